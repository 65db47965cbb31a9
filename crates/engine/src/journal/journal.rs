//! The open journal: what its writing, syncing and reading sides share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use visitlog_core::ports::{Disk, DiskDir, Durability, StoreError};
use visitlog_core::{Lsn, Timestamp};

use super::ahead;
use super::buffer::{Append, Chunk, Dirty, SinceBase, Write};
use super::config::Config;
use super::error::JournalError;
use super::format::Seed;
use super::record::RecordRef;
use super::recovery::{self, Opened, Recovered};
use super::reserve::{Reserve, Spent};
use super::segments::Segments;
use super::wakeup::{Waiters, Wakeup};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};

/// Where no answer waits for the writer's thread it is woken before its time when so much has gathered.
const GATHER_BYTES: u64 = 2 * 1024 * 1024;

/// A write failed.
pub(super) const FAILED_WRITE: u8 = 1;
/// A write takes too long.
pub(super) const SLOW_WRITE: u8 = 2;
/// In `power`, a sync takes too long.
pub(super) const SLOW_SYNC: u8 = 4;

/// After a write that took too long, answers leave writing to the writer's thread for so long: a disk that hangs again
/// and again then holds one thread of a runtime a minute, and no second one beside it.
const ANSWERS_REST: Duration = Duration::from_secs(60);

/// Why a journal takes nothing more once it was closed.
const CLOSED: &str = "closed";

/// An open journal. All methods take `&self` and may be called from any thread.
///
/// Locks, in the order in which they may be taken: `syncing`, `writing`, `appending`, `flight`, then the rest, which
/// are held for a moment only.
pub struct Journal {
    pub(super) config: Config,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) uuid: u128,
    pub(super) epoch: u64,
    pub(super) seed: Seed,
    pub(super) segments: Segments,
    /// The gather buffer.
    pub(super) appending: Mutex<Append>,
    /// What is being written, or waits for a disk that takes nothing.
    pub(super) flight: RwLock<Option<Arc<Chunk>>>,
    pub(super) writing: Mutex<Write>,
    pub(super) syncing: Mutex<()>,
    pub(super) dirty: Mutex<Dirty>,
    /// Positions: everything below is appended, written, synced.
    pub(super) appended: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) synced: AtomicU64,
    /// Behind the last record that is no `Synced`: nothing beyond is worth a sync.
    pub(super) content_end: AtomicU64,
    /// Bytes that maintenance has appended since it was opened, and those of them that are written.
    pub(super) maintenance_appended: AtomicU64,
    pub(super) maintenance_written: AtomicU64,
    pub(super) folder: Arc<dyn DiskDir>,
    pub(super) reserve: Reserve,
    pub(super) waiters: Waiters,
    pub(super) wakeup: Wakeup,
    /// See [`Journal::let_answers_write`].
    pub(super) answers_write: AtomicBool,
    /// A write took too long lately: until when answers don't write.
    answers_rest: AtomicBool,
    answers_rest_until: Mutex<Timestamp>,
    /// An answer waits for the writer's thread all the same.
    pub(super) is_urgent: AtomicBool,
    /// What is wrong with the disk at present: [`FAILED_WRITE`], [`SLOW_WRITE`], [`SLOW_SYNC`].
    pub(super) stalled: AtomicU8,
    /// Waits that ended before their record was durable.
    pub(super) undurable: AtomicU64,
    /// Nothing more is taken; what is there is being written.
    is_closing: AtomicBool,
    pub(super) poison: OnceLock<Arc<str>>,
    pub(super) write_watch: Watch,
    pub(super) sync_watch: Watch,
    pub(super) base_due: AtomicBool,
    pub(super) bases: Mutex<Bases>,
}

/// How big it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of all records that are kept.
    pub bytes: u64,
    /// Of these, bytes not yet written.
    pub unwritten: u64,
    /// Of these, bytes that maintenance has appended.
    pub unwritten_maintenance: u64,
    /// Of all, bytes not yet synced (unwritten ones included).
    pub unsynced: u64,
    /// Segments.
    pub segments: usize,
}

/// How much of what the journal may be it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    /// There is room.
    Room,
    /// More than half: what holds old segments back is to be hastened.
    Half,
    /// All: nobody unknown is to start a session.
    Full,
    /// An eighth more than all: nobody is.
    Over,
}

/// Where a base begins, from [`Journal::begin_base`].
#[derive(Debug)]
#[must_use = "a base that is not finished lets no segment go"]
pub struct BaseStart {
    at: Lsn,
}

/// Bases, begin and end: the last one that is synced, and those that are not yet.
#[derive(Default)]
pub(super) struct Bases {
    ready: u64,
    pending: Vec<(u64, u64)>,
}

/// Sees whether something has been under way for too long.
#[derive(Default)]
pub(super) struct Watch {
    /// Odd while it is under way.
    turn: AtomicU64,
    seen: Mutex<(u64, Timestamp)>,
}

impl Journal {
    /// Opens the journal of a folder, or makes a new one (with `uuid`) where there is none. Reads it whole: calls
    /// `on_record` for each valid record, in order. Cuts it where a power cut has torn it, and syncs what is left.
    ///
    /// # Errors
    /// When the disk refuses, or something below the last synced mark is damaged. What `on_record` was told is void
    /// then.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: Config,
        uuid: u128,
        mut on_record: impl FnMut(RecordRef<'_>),
    ) -> Result<(Self, Recovered), JournalError> {
        let opened = recovery::open(&disk, dir, &config, uuid, |walk| walk(&mut on_record))?;
        Ok(Self::opened(disk, dir, config, opened))
    }

    /// The same for who has much to do with each record: calls `prepare` for each, and `apply`, in this thread and in
    /// order, for what that made of many of them. With more than one of `readers` another thread reads and prepares
    /// what comes next meanwhile.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_ahead<T: Send>(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: Config,
        uuid: u128,
        readers: usize,
        prepare: impl Fn(&RecordRef<'_>) -> T + Send,
        apply: impl FnMut(&mut Vec<T>),
    ) -> Result<(Self, Recovered), JournalError> {
        let read = |walk: &ahead::WalkAll<'_>| ahead::read(walk, readers > 1, prepare, apply);
        let opened = recovery::open(&disk, dir, &config, uuid, read)?;
        Ok(Self::opened(disk, dir, config, opened))
    }

    fn opened(disk: Arc<dyn Disk>, dir: &Path, config: Config, opened: Opened) -> (Self, Recovered) {
        let Opened { recovered, segments, seed, file, folder, reserve } = opened;
        let end = recovered.end.0;
        let journal = Self {
            segments: Segments::new(Arc::clone(&disk), dir, Arc::clone(&folder), segments),
            appending: Mutex::new(Append::new(end)),
            flight: RwLock::default(),
            writing: Mutex::new(Write::new(end, file)),
            syncing: Mutex::default(),
            dirty: Mutex::default(),
            appended: AtomicU64::new(end),
            written: AtomicU64::new(end),
            synced: AtomicU64::new(end),
            content_end: AtomicU64::new(end),
            maintenance_appended: AtomicU64::new(0),
            maintenance_written: AtomicU64::new(0),
            folder,
            reserve,
            waiters: Waiters::default(),
            wakeup: Wakeup::default(),
            answers_write: AtomicBool::new(false),
            answers_rest: AtomicBool::new(false),
            answers_rest_until: Mutex::new(Timestamp::EPOCH),
            is_urgent: AtomicBool::new(false),
            stalled: AtomicU8::new(0),
            undurable: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            poison: OnceLock::new(),
            write_watch: Watch::default(),
            sync_watch: Watch::default(),
            base_due: AtomicBool::new(true),
            bases: Mutex::default(),
            uuid: recovered.uuid,
            epoch: recovered.epoch,
            config,
            disk,
            dir: dir.to_owned(),
            seed,
        };
        if !recovered.created {
            journal.append_synced(Lsn(end));
        }
        (journal, recovered)
    }

    /// Whether it can take more of traffic. Cheap; to be asked before a decision that appends. What maintenance has
    /// appended does not count, see [`Journal::room_for_maintenance`].
    ///
    /// # Errors
    /// `Stopped` after a failed sync or [`Journal::close`], for ever; `Unavailable` while too much waits for a disk
    /// that takes nothing.
    pub fn check(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.poison.get() {
            return Err(StoreError::Stopped { reason: Arc::clone(reason) });
        }
        if self.is_closing.load(Ordering::SeqCst) {
            return Err(StoreError::Stopped { reason: CLOSED.into() });
        }
        if self.unwritten().saturating_sub(self.unwritten_maintenance()) > self.config.unwritten_share() {
            return Err(StoreError::Unavailable { reason: "the disk takes nothing and too much waits for it" });
        }
        if let Some(spent) = self.reserve.spent()
            && self.traffic_appended().saturating_sub(spent.traffic) > self.reserve.share()
        {
            return Err(StoreError::Unavailable { reason: "the disk is full" });
        }
        Ok(())
    }

    /// Bytes that maintenance (ends that fall due, copies that carry chains forward, bases) may append now: none when
    /// enough of its own waits to be written. To be asked before each step of it; a step may go beyond by what it
    /// appends at once. So maintenance goes at the disk's pace, has a share of the buffer that is not traffic's, and no
    /// single write that answers wait for gets long by it.
    pub fn room_for_maintenance(&self) -> u64 {
        if self.poison.get().is_some() || self.is_closing.load(Ordering::SeqCst) {
            return 0;
        }
        let room = self.config.maintenance_pace().saturating_sub(self.unwritten_maintenance());
        match self.reserve.spent() {
            None => room,
            Some(spent) => {
                let appended = self.maintenance_appended.load(Ordering::SeqCst).saturating_sub(spent.maintenance);
                room.min(self.reserve.share().saturating_sub(appended))
            }
        }
    }

    fn unwritten_maintenance(&self) -> u64 {
        let written = self.maintenance_written.load(Ordering::SeqCst);
        self.maintenance_appended.load(Ordering::SeqCst).saturating_sub(written)
    }

    fn traffic_appended(&self) -> u64 {
        let maintenance = self.maintenance_appended.load(Ordering::SeqCst);
        self.appended.load(Ordering::SeqCst).saturating_sub(maintenance)
    }

    /// Whether the disk is full and what was kept for that is being used: traffic, and maintenance that frees nothing,
    /// have a quarter of it each; the rest is for bases and acknowledgements, so that old segments can go. Over once
    /// [`Journal::keep_reserve`] has it again.
    pub fn is_on_reserve(&self) -> bool {
        self.reserve.spent().is_some()
    }

    /// Makes the reserve where it is missing: a file beside the segments, as long as the settings say, that a full disk
    /// gets back. Tries every few seconds at most. Whether it is there.
    pub fn keep_reserve(&self, now: Timestamp) -> bool {
        self.poison.get().is_none() && self.reserve.keep(&*self.disk, now)
    }

    /// What a reserve that is spent now is spent at.
    pub(super) fn spent_now(&self) -> Spent {
        Spent { traffic: self.traffic_appended(), maintenance: self.maintenance_appended.load(Ordering::SeqCst) }
    }

    /// What a wait for `lsn` has come to, if it has.
    pub(super) fn outcome(&self, lsn: Lsn) -> Option<Result<bool, StoreError>> {
        let end = match self.config.durability {
            Durability::Relaxed => u64::MAX,
            Durability::Process => self.written.load(Ordering::SeqCst),
            Durability::Power => self.synced.load(Ordering::SeqCst),
        };
        if end > lsn.0 && (end != u64::MAX || self.poison.get().is_none()) {
            return Some(Ok(end != u64::MAX || !self.lets_go()));
        }
        if let Some(reason) = self.poison.get() {
            // What `relaxed` has promised for less is on stable storage perhaps.
            let is_kept = self.synced.load(Ordering::SeqCst) > lsn.0;
            return Some(if is_kept { Ok(true) } else { Err(StoreError::Stopped { reason: Arc::clone(reason) }) });
        }
        self.lets_go().then_some(Ok(false))
    }

    /// Whether nobody waits at present. A slow disk lets nobody go in `power`, where an answer is a promise; one that
    /// refuses to take anything does.
    fn lets_go(&self) -> bool {
        let why = match self.config.durability {
            Durability::Power => FAILED_WRITE,
            Durability::Process | Durability::Relaxed => FAILED_WRITE | SLOW_WRITE,
        };
        self.stalled.load(Ordering::SeqCst) & why != 0
    }

    /// Answers that left before what they tell of was durable in the configured mode, since it was opened: the disk was
    /// slow or took nothing, or the journal had stopped.
    pub fn undurable_answers(&self) -> u64 {
        self.undurable.load(Ordering::Relaxed)
    }

    /// For the writer's thread: returns when there is something to write (in `relaxed`: when there is much), when
    /// `timeout` has passed, or on [`Journal::wake_writer`]. While stalled or poisoned only the latter two.
    pub fn wait_for_work(&self, timeout: Duration) {
        self.wakeup.sleep(timeout, || self.has_work());
    }

    /// From now on an answer that waits for a write does it itself where nobody else writes, which saves the way to the
    /// writer's thread and back; in `process` only. That thread goes on with what nobody waits for, and with a disk
    /// that takes nothing.
    pub fn let_answers_write(&self) {
        let is_process = self.config.durability == Durability::Process;
        self.answers_write.store(is_process, Ordering::SeqCst);
    }

    /// Whether answers write: not while the disk takes nothing, for then it is one thread's business to try, and not
    /// for a while after it was slow, for a thread of a runtime must not hang in it.
    pub(super) fn answers_write(&self) -> bool {
        self.answers_write.load(Ordering::Relaxed) && !self.answers_rest.load(Ordering::Relaxed) && !self.is_stalled()
    }

    /// Ends a [`Journal::wait_for_work`], for a shutdown.
    pub fn wake_writer(&self) {
        self.wakeup.poke();
    }

    pub(super) fn has_work(&self) -> bool {
        let unwritten = self.unwritten();
        let enough = match self.config.durability {
            Durability::Relaxed => GATHER_BYTES,
            Durability::Process if self.answers_write() && !self.is_urgent.load(Ordering::SeqCst) => GATHER_BYTES,
            Durability::Process | Durability::Power => 1,
        };
        unwritten >= enough && !self.is_stalled() && self.poison.get().is_none()
    }

    fn unwritten(&self) -> u64 {
        let written = self.written.load(Ordering::SeqCst);
        self.appended.load(Ordering::SeqCst).saturating_sub(written)
    }

    /// Marks the journal stalled when a write (in `power`: or a sync) has been under way for longer than `limit`, as
    /// seen by the calls of this method. From then on answers wait no longer, except in `power`, and for a minute they
    /// leave writing to the writer's thread. True if it is stalled now.
    pub fn stall_if_slow(&self, now: Timestamp, limit: Duration) -> bool {
        if self.write_watch.is_slow(now, limit) {
            *self.answers_rest_until.lock() = now.after(ANSWERS_REST);
            self.answers_rest.store(true, Ordering::Relaxed);
            self.stall(SLOW_WRITE);
        } else if self.answers_rest.load(Ordering::Relaxed) && now >= *self.answers_rest_until.lock() {
            self.answers_rest.store(false, Ordering::Relaxed);
        }
        if self.config.durability == Durability::Power && self.sync_watch.is_slow(now, limit) {
            self.stall(SLOW_SYNC);
        }
        self.is_stalled()
    }

    pub(super) fn stall(&self, why: u8) {
        if self.stalled.fetch_or(why, Ordering::SeqCst) & why == 0 && self.lets_go() {
            self.waiters.release(u64::MAX);
        }
    }

    pub(super) fn unstall(&self, why: u8) {
        if self.is_stalled() {
            self.stalled.fetch_and(!why, Ordering::SeqCst);
        }
    }

    /// Whether the disk takes nothing at present.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst) != 0
    }

    pub(super) fn poison(&self, error: &JournalError) {
        let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        let reason = format!("{error}{source}");
        tracing::error!(reason, "the journal stopped: a sync failed, so nothing is known of what was written");
        self.poison.get_or_init(|| reason.into());
        self.waiters.release(u64::MAX);
    }

    /// Takes nothing more from now on, then writes and syncs what it has, and stops for good: nothing is written by this
    /// journal once this returns, whoever still holds it. Waits for what was not written end in an error.
    ///
    /// # Errors
    /// When the disk refuses what was left. It is closed all the same.
    pub fn close(&self) -> Result<(), JournalError> {
        if self.is_closing.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let flushed = self.flush();
        {
            // Nobody is in the midst of either, and whoever comes next sees that it has stopped.
            let (_syncing, _writing) = (self.syncing.lock(), self.writing.lock());
            self.poison.get_or_init(|| CLOSED.into());
        }
        self.waiters.release(u64::MAX);
        self.wake_writer();
        flushed
    }

    fn flush(&self) -> Result<(), JournalError> {
        while self.write_step()? || self.sync_step()? {}
        Ok(())
    }

    /// Why it stopped for good, if it did.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.poison.get().cloned()
    }

    /// Everything below is on stable storage.
    pub fn synced(&self) -> Lsn {
        Lsn(self.synced.load(Ordering::SeqCst))
    }

    /// Everything below is written.
    pub fn written(&self) -> Lsn {
        Lsn(self.written.load(Ordering::SeqCst))
    }

    /// Everything below is appended.
    pub fn appended(&self) -> Lsn {
        Lsn(self.appended.load(Ordering::SeqCst))
    }

    /// Behind the last record that is no `Synced`: nothing beyond is ever waited for.
    pub fn content_end(&self) -> Lsn {
        Lsn(self.content_end.load(Ordering::SeqCst))
    }

    /// The journal's UUID.
    pub const fn uuid(&self) -> u128 {
        self.uuid
    }

    /// How big it is.
    pub fn usage(&self) -> Usage {
        let (synced, appended) = (self.synced().0, self.appended().0);
        Usage {
            bytes: appended - self.oldest().0,
            unwritten: self.unwritten(),
            unwritten_maintenance: self.unwritten_maintenance().min(self.unwritten()),
            unsynced: appended - synced,
            segments: self.segments.count(),
        }
    }

    /// How much of what it may be it is. Cheap.
    pub fn fill(&self) -> Fill {
        let bytes = self.appended().0.saturating_sub(self.oldest().0);
        let max = self.config.bytes_max;
        if bytes <= max / 2 {
            Fill::Room
        } else if bytes <= max {
            Fill::Half
        } else if bytes <= max.saturating_add(max / 8) {
            Fill::Full
        } else {
            Fill::Over
        }
    }

    /// Whether a base should be written: a new segment was begun since the last one, and as much was appended as that
    /// one took. Without a base in a newer segment no older one is collected.
    pub fn base_due(&self) -> bool {
        self.base_due.load(Ordering::SeqCst)
    }

    /// Begins a base. State that belongs to no session is to be appended by [`super::Appender::append_base`] from now
    /// on, each part under the lock that guards that state, so that part and later records together say all; then
    /// [`Journal::finish_base`].
    pub fn begin_base(&self) -> BaseStart {
        let mut append = self.appending.lock();
        append.since_base = SinceBase::default();
        self.base_due.store(false, Ordering::SeqCst);
        BaseStart { at: Lsn(append.next()) }
    }

    /// Ends a base: once it is synced, segments before its beginning may go.
    #[expect(clippy::needless_pass_by_value, reason = "a base is finished once")]
    pub fn finish_base(&self, start: BaseStart) {
        let end = self.content_end().0;
        self.bases.lock().pending.push((start.at.0, end));
    }

    /// The first position that is still kept.
    pub fn oldest(&self) -> Lsn {
        Lsn(self.segments.oldest())
    }

    /// Removes the segments, oldest first, that end at or below `bound`, are synced, and are not needed for a base.
    /// Never the current one. How many went.
    ///
    /// # Errors
    /// When the disk refuses, those that went are gone; or when the journal is closed.
    pub fn collect(&self, bound: Lsn) -> Result<usize, JournalError> {
        if self.is_closing.load(Ordering::SeqCst) {
            return Err(JournalError::Stopped { reason: CLOSED.into() });
        }
        let synced = self.synced().0;
        let base = {
            let mut bases = self.bases.lock();
            let Bases { ready, pending } = &mut *bases;
            pending.retain(|(start, end)| {
                if *end <= synced {
                    *ready = (*ready).max(*start);
                }
                *end > synced
            });
            *ready
        };
        let bound = if self.config.no_collection_bound() { u64::MAX } else { bound.0.min(synced).min(base) };
        self.segments.collect(bound, !self.config.no_dir_sync())
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("dir", &self.dir)
            .field("epoch", &self.epoch)
            .field("synced", &self.synced())
            .field("written", &self.written())
            .field("appended", &self.appended())
            .finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn begin(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
    }

    fn is_slow(&self, now: Timestamp, limit: Duration) -> bool {
        let turn = self.turn.load(Ordering::SeqCst);
        let mut seen = self.seen.lock();
        if seen.0 != turn {
            *seen = (turn, now);
        }
        turn % 2 == 1 && now.since(seen.1) > limit
    }
}
