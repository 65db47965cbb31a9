//! The journal's writing side.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use visitlog_core::model::Entry;
use visitlog_core::ports::{Disk, StoreError};
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::config::Config;
use super::error::JournalError;
use super::format::{Flags, Kind};
use super::meta::{Ack, BaseItem};
use super::record::{ChainEntry, RawRecord, RecordRef};

/// An open journal. All methods take `&self` and may be called from any thread.
pub struct Journal {}

/// What opening a journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The journal's UUID.
    pub uuid: u128,
    /// Whether the folder held no journal, and a new one was made.
    pub created: bool,
    /// Valid records read.
    pub records: u64,
    /// The first record's position.
    pub oldest: Lsn,
    /// The position behind the last good record, where the journal goes on.
    pub end: Lsn,
    /// What the readable `Synced` records prove to have been on stable storage.
    pub mark: Lsn,
    /// The epoch from now on.
    pub epoch: u64,
    /// Where it was cut, if it was, and why.
    pub cut: Option<super::error::Corrupt>,
    /// Leftover segments that were removed.
    pub removed: Vec<PathBuf>,
}

/// How big it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of all records that are kept.
    pub bytes: u64,
    /// Of these, bytes not yet written.
    pub unwritten: u64,
    /// Of these, bytes not yet synced (unwritten ones included).
    pub unsynced: u64,
    /// Segments.
    pub segments: usize,
}

/// The append lock: what goes through one appender stands together, in order.
pub struct Appender<'a> {
    journal: &'a Journal,
}

impl Appender<'_> {
    /// Appends an entry of `visit`, whose previous record is `prev`.
    pub fn append(&mut self, visit: VisitId, prev: Lsn, flags: Flags, entry: &Entry) -> Lsn {
        unimplemented!()
    }

    /// Appends a record whose payload was read before: `flags` should have [`Flags::CARRIED`].
    pub fn append_raw(&mut self, visit: VisitId, prev: Lsn, flags: Flags, kind: Kind, payload: &[u8]) -> Lsn {
        unimplemented!()
    }

    /// Appends a sink's acknowledgement.
    pub fn append_ack(&mut self, ack: &Ack) -> Lsn {
        unimplemented!()
    }

    /// Appends a part of a base, see [`Journal::begin_base`]; splits it into records of at most 64 KiB.
    pub fn append_base(&mut self, items: &[BaseItem]) {
        unimplemented!()
    }

    /// The position of the next record.
    pub fn next_lsn(&self) -> Lsn {
        unimplemented!()
    }
}

/// Where a base begins, from [`Journal::begin_base`].
#[derive(Debug)]
#[must_use = "a base that is not finished lets no segment go"]
pub struct BaseStart {
    pub(crate) at: Lsn,
}

impl Journal {
    /// Opens the journal of a folder, or makes a new one (with `uuid`) where there is none. Reads it whole: calls
    /// `on_record` for each valid record, in order. Cuts it where a power cut has torn it, and syncs what is left.
    ///
    /// # Errors
    /// When the disk refuses, or something below the last synced mark is damaged.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: Config,
        uuid: u128,
        on_record: impl FnMut(RecordRef<'_>),
    ) -> Result<(Self, Recovered), JournalError> {
        unimplemented!()
    }

    /// Whether it can take more. Cheap; to be asked before a decision that appends.
    ///
    /// # Errors
    /// `Stopped` after a failed sync, for ever; `Unavailable` while too much waits for a disk that takes nothing.
    pub fn check(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Takes the append lock.
    pub fn appender(&self) -> Appender<'_> {
        unimplemented!()
    }

    /// Writes what has gathered, and wakes who waited for that. True if anything was written. To be called by one
    /// thread at a time; others wait.
    ///
    /// # Errors
    /// When the disk does not take it: nothing is lost, the next call tries again. Until then nobody waits. Or when
    /// the journal is poisoned.
    pub fn write_step(&self) -> Result<bool, JournalError> {
        unimplemented!()
    }

    /// Puts what is written on stable storage, and appends a `Synced` record that says so. True if there was anything
    /// to sync.
    ///
    /// # Errors
    /// When the disk fails to: the journal is poisoned.
    pub fn sync_step(&self) -> Result<bool, JournalError> {
        unimplemented!()
    }

    /// Waits until the record at `lsn` is durable in the configured mode.
    pub fn wait(self: &Arc<Self>, lsn: Lsn) -> Wait {
        unimplemented!()
    }

    /// For the writer's thread: returns when there is something to write (in `relaxed`: when there is much), when
    /// `timeout` has passed, or on [`Journal::wake_writer`]. While stalled only the latter two.
    pub fn wait_for_work(&self, timeout: Duration) {
        unimplemented!()
    }

    /// Ends a [`Journal::wait_for_work`], for a shutdown.
    pub fn wake_writer(&self) {
        unimplemented!()
    }

    /// Marks the journal stalled when a write (in `power`: or a sync) has been under way for longer than `limit`, as
    /// seen by the calls of this method. True if it is stalled now.
    pub fn stall_if_slow(&self, now: Timestamp, limit: Duration) -> bool {
        unimplemented!()
    }

    /// Whether the disk takes nothing at present.
    pub fn is_stalled(&self) -> bool {
        unimplemented!()
    }

    /// Why it stopped for good, if it did.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        unimplemented!()
    }

    /// Everything below is on stable storage.
    pub fn synced(&self) -> Lsn {
        unimplemented!()
    }

    /// Everything below is written.
    pub fn written(&self) -> Lsn {
        unimplemented!()
    }

    /// Everything below is appended.
    pub fn appended(&self) -> Lsn {
        unimplemented!()
    }

    /// The journal's UUID.
    pub fn uuid(&self) -> u128 {
        unimplemented!()
    }

    /// How big it is.
    pub fn usage(&self) -> Usage {
        unimplemented!()
    }

    /// Whether a base should be written: a new segment was begun since the last one. Without a base in a newer
    /// segment no older one is collected.
    pub fn base_due(&self) -> bool {
        unimplemented!()
    }

    /// Begins a base. State that belongs to no session is to be appended by [`Appender::append_base`] from now on, each
    /// part under the lock that guards that state, so that part and later records together say all; then
    /// [`Journal::finish_base`].
    pub fn begin_base(&self) -> BaseStart {
        unimplemented!()
    }

    /// Ends a base: once it is synced, segments before its beginning may go.
    pub fn finish_base(&self, start: BaseStart) {
        unimplemented!()
    }

    /// The first position that is still kept.
    pub fn oldest(&self) -> Lsn {
        unimplemented!()
    }

    /// Removes the segments, oldest first, that end at or below `bound`, are synced, and are not needed for a base.
    /// Never the current one. How many went.
    ///
    /// # Errors
    /// When the disk refuses; those that went are gone.
    pub fn collect(&self, bound: Lsn) -> Result<usize, JournalError> {
        unimplemented!()
    }

    /// Reads the record at `lsn`, written or not, and checks that it is of `visit`.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or is another visit's.
    pub fn read(&self, visit: VisitId, lsn: Lsn) -> Result<(ChainEntry, Lsn), JournalError> {
        unimplemented!()
    }

    /// Reads a visit's chain from its last record back, and returns it oldest first.
    ///
    /// # Errors
    /// When a record can't be read, is damaged, or is another visit's.
    pub fn read_chain(&self, visit: VisitId, last: Lsn) -> Result<Vec<ChainEntry>, JournalError> {
        unimplemented!()
    }

    /// The same, undecoded.
    ///
    /// # Errors
    /// When a record can't be read, is damaged, or is another visit's.
    pub fn read_chain_raw(&self, visit: VisitId, last: Lsn) -> Result<Vec<RawRecord>, JournalError> {
        unimplemented!()
    }

    /// Reads many chains at once, in sweeps over the segments. The results are in the order of the questions.
    pub fn read_chains(&self, ends: &[(VisitId, Lsn)]) -> Vec<Result<Vec<ChainEntry>, JournalError>> {
        unimplemented!()
    }
}

/// Waits for a record to be durable. Resolves to `false` while the disk takes nothing.
pub struct Wait {}

impl Future for Wait {
    type Output = Result<bool, StoreError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}
