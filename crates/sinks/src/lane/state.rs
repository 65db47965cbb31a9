//! What a lane remembers from one step to the next.

use visitlog_core::ports::Mark;
use visitlog_core::{Lsn, Timestamp};

use crate::park::Parked;

/// What a gathering sink has taken since its last flush.
#[derive(Default)]
pub(super) struct Round {
    /// Since when visits have waited for it to begin.
    pub(super) since: Option<Timestamp>,
    /// It has begun, or is to begin at once: a round that failed does not wait again.
    pub(super) is_due: bool,
    /// What was read for it, in order.
    pub(super) read: Vec<Read>,
    /// The sink can hold no more.
    pub(super) is_full: bool,
}

/// A visit that was read for a sink.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) end: Lsn,
    /// The sink was given it: it is not erased, and was not set aside.
    pub(super) is_given: bool,
}

impl Round {
    /// Visits that were read for it.
    pub(super) const fn gathered(&self) -> usize {
        self.read.len()
    }

    /// The last of them.
    pub(super) fn last(&self) -> Lsn {
        self.read.last().map_or(Lsn::NONE, |read| read.end)
    }
}

/// What was read in the source while the sink was at work, to be given to it next.
pub(super) struct Ahead {
    /// It comes behind this one.
    pub(super) after: Lsn,
    /// Never empty.
    pub(super) found: Vec<Parked>,
}

/// The search for a visit that a sink can't be given.
pub(super) struct Search {
    /// So many visits it is given at once.
    pub(super) size: usize,
    /// It goes on until this one.
    pub(super) upto: Lsn,
}

/// A lane's dealings with its park.
#[derive(Default)]
pub(super) struct Parking {
    /// The park's acknowledgement, until the file has been read.
    pub(super) recovered: Option<Mark>,
    pub(super) is_read: bool,
    /// Until all that is there is parked.
    pub(super) is_on: bool,
    pub(super) last_at: Timestamp,
    pub(super) not_before: Timestamp,
    /// Since when the backlog holds back too much of the source.
    pub(super) over_since: Option<Timestamp>,
    pub(super) lost: u64,
}

/// What is still to be given again.
#[derive(Default)]
pub(super) struct Replay {
    /// The Ends of what was set aside, in order.
    pub(super) left: Vec<Lsn>,
}
