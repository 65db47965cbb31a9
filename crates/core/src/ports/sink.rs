//! Where ended visits go.

use std::io;
use std::time::Duration;

use crate::ids::{Lsn, VisitId};
use crate::model::EndedVisit;
use crate::ports::StreamId;

/// Where ended visits go. Called by one thread at a time, in the order of one stream.
pub trait VisitSink: Send {
    /// Its name in the source's acknowledgements: stable across restarts.
    fn name(&self) -> &str;

    /// Tells which stream feeds it and where that one's newest record stands; called before each
    /// [`VisitSink::resume`].
    ///
    /// # Errors
    /// When what it holds of that stream is newer than the stream: another copy of it is the right one.
    fn attach(&mut self, stream: StreamId, newest: Lsn) -> Result<(), SinkError> {
        let _ = (stream, newest);
        Ok(())
    }

    /// Makes ready to go on behind `acknowledged`, the place that the last acknowledgement named (none: from the
    /// start). `pending` says which visits come next, as far as they are known: what a sink holds behind its place can
    /// only be theirs.
    ///
    /// # Errors
    /// When what it finds is not what it left: it must refuse, not guess.
    fn resume(&mut self, acknowledged: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError>;

    /// How many visits it wants at once. `None`: whatever there is, as soon as it is there.
    fn gathers(&self) -> Option<Gathering> {
        None
    }

    /// Takes a batch: visits, each with the position of its `End`, which rises. Either it is on stable storage when
    /// this returns, or the sink has gathered it, and it is after the next [`VisitSink::flush`]. The journal keeps what
    /// is only gathered.
    ///
    /// # Errors
    /// When it could take nothing of the batch; where it has stored a first part of it, it says [`Kept::Upto`] instead.
    /// A sink that does not gather gets the same batch again. One that does forgets all that it has gathered and gets that
    /// again, perhaps in other batches, and perhaps more with it: what it has stored all the same it has to know by the
    /// positions.
    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError>;

    /// The visits up to this `End` that were not delivered never will be: they are erased. For a sink that gathers and
    /// keeps positions of its own.
    fn skipped(&mut self, upto: Lsn) {
        let _ = upto;
    }

    /// Brings all that was gathered to stable storage. Only called for a sink that gathers.
    ///
    /// # Errors
    /// As [`VisitSink::deliver`]: it forgets what it has gathered, and gets it again.
    fn flush(&mut self) -> Result<Kept, SinkError> {
        Ok(Kept::All(Vec::new()))
    }
}

/// How a sink wants its visits gathered: few large batches instead of many small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathering {
    /// So many visits at once; fewer where what the journal keeps for them grows too large.
    pub visits_max: usize,
    /// The longest that a visit waits for others.
    pub wait_max: Duration,
}

/// What a sink did with a batch.
#[derive(Debug)]
pub enum Delivery {
    /// It is on stable storage, or a first part of it.
    Stored(Kept),
    /// It is gathered.
    Gathered,
    /// It is gathered, and the sink holds as much as it can: flush before the next.
    Full,
}

/// What is on stable storage of what a sink was given since the last time that it said so.
#[derive(Debug)]
pub enum Kept {
    /// All of it: the sink's place behind it.
    All(Vec<u8>),
    /// A first part. The rest is not, and what was gathered of it is forgotten: it comes again, as if that alone had
    /// failed.
    Upto {
        /// What ended up to here is stored, nothing behind it: from the first visit's position on, and before the last
        /// one's.
        upto: Lsn,
        /// The sink's place behind it.
        place: Vec<u8>,
        /// What became of the rest.
        rest: SinkError,
    },
}

/// Why a sink did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It may work later.
    #[error("sink {sink}: {what}")]
    Unavailable {
        /// Which.
        sink: String,
        /// What it was doing.
        what: String,
        /// What went wrong.
        #[source]
        source: Option<io::Error>,
    },
    /// It will never take some of the visits: they are set aside, and it gets the others again.
    #[error("sink {sink}: {what}")]
    Refused {
        /// Which.
        sink: String,
        /// The positions of those that it refuses; none where it does not know which.
        at: Vec<Lsn>,
        /// Why.
        what: String,
    },
    /// What it holds is not what it left: a person must look.
    #[error("sink {sink}: {what}")]
    Changed {
        /// Which.
        sink: String,
        /// Expected against found, and what to do.
        what: String,
    },
}

impl SinkError {
    /// Whether to try again.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Refused { .. })
    }
}
