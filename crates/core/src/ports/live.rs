//! What is going on, as the one who shows it needs to read it: the store's records as a tail to follow.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;

use crate::ids::{Lsn, VisitId};
use crate::model::Entry;

/// A store's records, in order, to be followed from any position that is still kept. Reading holds up no writer.
pub trait LiveSource: Send + Sync {
    /// The position behind the newest record. Whatever has been answered for is below, and what is below can be read.
    fn newest(&self) -> Lsn;

    /// A position to start from: from there on the records of each session that is open, and of each `End` that some
    /// sink still has to get, are complete (as originals or as carried copies).
    fn oldest(&self) -> Lsn;

    /// Reads on from a position that was [`Tail::next`] or [`LiveSource::oldest`]: about `bytes` of records, at least
    /// one if there is one.
    ///
    /// # Errors
    /// [`LiveError::Collected`] when the position is not kept any more: start again at [`LiveSource::oldest`].
    fn read(&self, from: Lsn, bytes: usize) -> Result<Tail, LiveError>;

    /// Reads chains back from these records, each oldest first, in the order of the questions: what makes the visits.
    /// Touches and the values that were set on the way are not among it.
    fn chains(&self, ends: &[(VisitId, Lsn)]) -> Vec<Result<Vec<TailRecord>, LiveError>>;

    /// As long as this is kept, everything that can be read now can be read.
    fn hold(&self) -> Hold;

    /// The site that an open session counts to now; `None` if there is no such session any more.
    fn site(&self, visit: VisitId) -> Option<Box<str>>;

    /// How many sites are known. When there are more than before, open sessions of [`crate::machine::Sites::OTHER`]
    /// may have got one.
    fn sites_known(&self) -> usize;
}

/// Some records of a store.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tail {
    /// In order.
    pub records: Vec<TailRecord>,
    /// Where to read on.
    pub next: Lsn,
    /// Records whose payload could not be understood though their checksum was right; they are not among the others.
    pub unreadable: u64,
}

/// A record of a session's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct TailRecord {
    /// Its position.
    pub lsn: Lsn,
    /// The same session's record before it; [`Lsn::NONE`] for the first.
    pub prev: Lsn,
    /// Whose it is.
    pub visit: VisitId,
    /// Whether it says that the client returned the cookie.
    pub confirms: bool,
    /// Whether it is a copy.
    pub carried: Carried,
    /// What it says.
    pub entry: Entry,
}

/// Whether a record is a copy of an older one, made so that the older one's segment can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carried {
    /// An original.
    #[default]
    No,
    /// A copy, more of which follow.
    Copy,
    /// The last copy: from here on the chain is that of the copies.
    Last,
}

/// Keeps what can be read from going away, until it is dropped.
#[must_use = "it holds as long as it is kept"]
pub struct Hold(#[expect(dead_code, reason = "kept for its drop")] Box<dyn Any + Send + Sync>);

impl Hold {
    /// Holds as long as `guard` lives.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// They are not kept any more.
    #[error("records from {oldest} on are kept, those at {from} were asked for")]
    Collected {
        /// What was asked for.
        from: Lsn,
        /// The oldest that is kept.
        oldest: Lsn,
    },
    /// They can't be read.
    #[error("the records at {from} can't be read")]
    Unreadable {
        /// What was asked for.
        from: Lsn,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a record means to somebody who follows a tail.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A session's next entry.
    Entry(TailRecord),
    /// Nothing new happened, but the session's chain is that of the copies now.
    Moved {
        /// The session.
        visit: VisitId,
        /// Its first record.
        first: Lsn,
        /// Its newest record.
        last: Lsn,
    },
}

/// Makes sense of carried copies, for whoever follows a tail and for recovery. Copies of a session that the reader knows
/// tell it nothing but where its chain is now, once the last of them was seen. Those of one that it doesn't know are all
/// that there is: they count as if they were the originals, but not before the last of them either. A crash may have cut
/// a carrying short, and a later one be the one that counts.
#[derive(Debug, Default)]
pub struct Follow {
    carrying: HashMap<VisitId, Carrying>,
}

/// A carrying, so far.
#[derive(Debug)]
struct Carrying {
    first: Lsn,
    /// The copies, where the session was not known when they began.
    copies: Option<Vec<TailRecord>>,
}

impl Follow {
    /// A session has ended: what was carried of it until then counts no more.
    pub fn ended(&mut self, visit: VisitId) {
        self.carrying.remove(&visit);
    }

    /// Sees the next record. `known`: whether the reader knows its session as an open one. Calls `on` with what it
    /// means, in order; not at all where it means nothing.
    pub fn see(&mut self, record: TailRecord, known: bool, mut on: impl FnMut(Seen)) {
        let visit = record.visit;
        if let Entry::End(_) = record.entry {
            self.ended(visit);
        }
        if record.carried == Carried::No {
            // Of sessions that are not known the start is in a segment that is gone.
            if known || matches!(record.entry, Entry::Start(_)) {
                on(Seen::Entry(record));
            }
            return;
        }
        if !record.prev.is_some() {
            let copies = (!known).then(Vec::new);
            self.carrying.insert(visit, Carrying { first: record.lsn, copies });
        }
        let Some(carrying) = self.carrying.get_mut(&visit) else { return };
        let (is_last, last) = (record.carried == Carried::Last, record.lsn);
        if let Some(copies) = &mut carrying.copies {
            copies.push(record);
        }
        if !is_last {
            return;
        }
        match self.carrying.remove(&visit) {
            Some(Carrying { copies: Some(copies), .. }) => copies.into_iter().for_each(|copy| on(Seen::Entry(copy))),
            Some(Carrying { first, copies: None }) if known => on(Seen::Moved { visit, first, last }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Entry;
    use crate::time::Timestamp;

    const NOTHING: [u64; 0] = [];

    fn record(lsn: u64, prev: u64, carried: Carried) -> TailRecord {
        let at = Timestamp::EPOCH.after(Duration::from_secs(lsn));
        let entry = Entry::Touch { at, slides: true };
        TailRecord { lsn: Lsn(lsn), prev: Lsn(prev), visit: VisitId::from_u128(1), confirms: false, carried, entry }
    }

    fn seen(follow: &mut Follow, record: TailRecord, known: bool) -> Vec<u64> {
        let mut positions = Vec::new();
        follow.see(record, known, |seen| {
            positions.push(match seen {
                Seen::Entry(record) => record.lsn.0,
                Seen::Moved { first, last, .. } => 1_000 * first.0 + last.0,
            });
        });
        positions
    }

    #[test]
    fn copies_of_an_unknown_session_count_once_the_last_was_seen() {
        let mut follow = Follow::default();
        assert_eq!(seen(&mut follow, record(5, 3, Carried::No), false), NOTHING, "its start is gone");
        assert_eq!(seen(&mut follow, record(6, 2, Carried::Copy), false), NOTHING, "the first copies are gone");
        assert_eq!(seen(&mut follow, record(10, 0, Carried::Copy), false), NOTHING);
        assert_eq!(seen(&mut follow, record(20, 0, Carried::Copy), false), NOTHING, "the one before was cut short");
        assert_eq!(seen(&mut follow, record(21, 20, Carried::Copy), false), NOTHING);
        assert_eq!(seen(&mut follow, record(22, 21, Carried::Last), false), [20, 21, 22]);
        assert_eq!(seen(&mut follow, record(23, 22, Carried::No), true), [23]);
    }

    #[test]
    fn copies_of_a_known_session_only_move_it() {
        let mut follow = Follow::default();
        assert_eq!(seen(&mut follow, record(20, 0, Carried::Copy), true), NOTHING);
        assert_eq!(seen(&mut follow, record(21, 20, Carried::Last), true), [20_021]);
        assert!(follow.carrying.is_empty());
    }
}
