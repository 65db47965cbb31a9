//! Where sinks get ended visits from, and where it is kept how far each of them has come.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;

use crate::ids::{Lsn, VisitId};
use crate::model::{BrokenChain, EndedVisit};
use crate::ports::{Clock, Disk, StoreError};

/// Names a stream of ended visits for ever: a journal, or a partition of a store across a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u128);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Who keeps what an acknowledgement speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keeper {
    /// The sink itself.
    Sink,
    /// Its park: what a sink that is down will get later, and the source need not keep.
    Park,
}

/// How far somebody has come in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// All visits that ended up to here are kept there, or never will be.
    pub upto: Lsn,
    /// Where the keeper stands behind them: its own words.
    pub place: Vec<u8>,
}

/// What waits for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Visits that can be read now.
    pub readable: u64,
    /// The first of them.
    pub first: Option<Lsn>,
    /// Visits, those included that can't be read yet because they are not on stable storage.
    pub visits: u64,
}

/// The most that is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Visits.
    pub visits: usize,
    /// Bytes of their records; exceeded only by a single visit that is longer.
    pub bytes: u64,
}

/// A record as its bytes, see [`crate::codec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// Its position.
    pub at: Lsn,
    /// The code of its kind, see [`crate::codec::EntryKind`].
    pub kind: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Why a visit can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It may work later.
    #[error("ended visits can't be read at present")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is kept of it can't be read, and never will be.
    #[error("visit {visit}: its records can't be read")]
    Unreadable {
        /// Which.
        visit: VisitId,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It can be read, and makes no visit.
    #[error(transparent)]
    Broken(#[from] BrokenChain),
}

impl SourceError {
    /// Whether to try again.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A visit of a stream: the position of its end, which visit, and what it was or why nobody knows.
#[derive(Debug)]
pub struct Found {
    /// The position of its `End`.
    pub end: Lsn,
    /// Which visit.
    pub visit: VisitId,
    /// What it was.
    pub what: Result<EndedVisit, SourceError>,
}

/// A sink that was there once and is not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub sink: String,
    /// What its park said last, if there are visits in it that the sink has not.
    pub parked: Option<Mark>,
    /// Visits that ended meanwhile, and that it will never get.
    pub missed: u64,
}

/// A source of ended visits: some streams of them, each in an order of its own. It keeps each visit until all sinks that
/// it knows have acknowledged it; until [`EndedVisits::subscribe`] was called once, all of them.
///
/// Nothing here blocks for longer than reading takes, and nothing has to be asked again and again: whoever has nothing to
/// do waits for [`EndedVisits::wake_on_news`].
pub trait EndedVisits: Send + Sync {
    /// The streams.
    fn streams(&self) -> Vec<StreamId>;

    /// Says which sinks there are. One that was never there before starts behind what had ended when the source was
    /// opened. For others that were there once, nothing more is kept than what their parks hold: see
    /// [`EndedVisits::left_out`].
    fn subscribe(&self, sinks: &[String]);

    /// Whether acknowledgements can be taken now.
    ///
    /// # Errors
    /// `Unavailable` for a while, `Stopped` for good.
    fn check(&self) -> Result<(), StoreError>;

    /// The position of the newest record of a stream, readable or not.
    fn newest(&self, stream: StreamId) -> Lsn;

    /// What ended up to here ended before the source was opened, and may have been delivered by a former life.
    fn recovered(&self, stream: StreamId) -> Lsn;

    /// What waits for a sink behind a position.
    fn waiting(&self, stream: StreamId, after: Lsn) -> Waiting;

    /// The position of the first End behind a position, readable or not.
    fn next_end(&self, stream: StreamId, after: Lsn) -> Option<Lsn>;

    /// The visits that ended behind a position, readable or not, in order.
    fn pending(&self, stream: StreamId, after: Lsn) -> Vec<VisitId>;

    /// Reads on behind a position: at least one visit, if one can be read. Ends early before one that can't be had at
    /// present; that one is told alone.
    fn read(&self, stream: StreamId, after: Lsn, most: Most) -> Vec<Found>;

    /// What can still be read of a visit's records, oldest first, back from its `End`; about `bytes_max` at most.
    fn raw(&self, stream: StreamId, visit: VisitId, end: Lsn, bytes_max: u64) -> Vec<RawEntry>;

    /// The visit as it may be delivered now: `None` if it was erased, or if nothing of it is left
    /// ([`EndedVisit::has_withdrawn`]); without the name of one before it that was.
    fn admit(&self, stream: StreamId, end: Lsn, visit: EndedVisit) -> Option<EndedVisit>;

    /// Takes down how far a sink, or its park, has come.
    fn acknowledge(&self, stream: StreamId, sink: &str, keeper: Keeper, mark: Mark);

    /// The latest that was taken down.
    fn acknowledged(&self, stream: StreamId, sink: &str, keeper: Keeper) -> Option<Mark>;

    /// Up to where a sink's acknowledgements, or its park's, survive whatever happens.
    fn settled(&self, stream: StreamId, sink: &str, keeper: Keeper) -> Lsn;

    /// Whether the latest acknowledgement survives whatever happens: its place too, where it says what the one before said.
    fn is_settled(&self, stream: StreamId, sink: &str, keeper: Keeper) -> bool;

    /// Bytes that a sink makes the source keep: from the oldest record that it needs to the newest.
    fn held_bytes(&self, stream: StreamId, sink: &str) -> u64;

    /// The oldest position that a sink makes the source keep.
    fn needed_from(&self, stream: StreamId, sink: &str) -> Option<Lsn>;

    /// The sinks that were there once and are not now.
    fn left_out(&self, stream: StreamId) -> Vec<LeftOut>;

    /// Visits that ended while a sink was left out, which it will never get.
    fn missed(&self, stream: StreamId, sink: &str) -> u64;

    /// Up to where it has missed what it neither has nor finds in its park.
    fn missed_upto(&self, stream: StreamId, sink: &str) -> Lsn;

    /// What ended up to here is to be delivered without waiting for more.
    fn hastened(&self, stream: StreamId) -> Lsn;

    /// Wakes this whenever there may be something new: visits to read, acknowledgements settled, something hastened.
    fn wake_on_news(&self, waker: Waker);
}

/// What feeds sinks: the visits that end, and what is around them.
#[derive(Clone)]
pub struct Feed {
    /// The visits that end.
    pub visits: Arc<dyn EndedVisits>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The data folder, which is this process's.
    pub data: PathBuf,
    /// The folder where parks lie; it exists.
    pub parks: PathBuf,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("data", &self.data).finish_non_exhaustive()
    }
}
