//! The writing side: gather, write once, sync, say so.

use std::sync::Arc;
use std::sync::atomic::fence;

use visitlog_core::model::Entry;
use visitlog_core::ports::Durability;
use visitlog_core::{Lsn, VisitId};

use super::buffer::{Append, Chunk, Dirty, Write};
use super::codec;
use super::error::JournalError;
use super::format::{self, Flags, HEADER_LEN, Header, Kind, META_BYTES_MAX, RECORD_LEN_MIN};
use super::journal::{FAILED_WRITE, Journal, SLOW_SYNC, SLOW_WRITE};
use super::meta::{self, Ack, BaseItem};
use super::segments::Segment;
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;

/// A buffer that had to grow this far for one storm is not kept for the next write.
const SPARE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often in a row an answer writes, while others come that wait too.
const TURNS: usize = 4;

/// The append lock: what goes through one appender stands together, in order.
pub struct Appender<'a> {
    journal: &'a Journal,
    append: MutexGuard<'a, Append>,
    content: bool,
    is_maintenance: bool,
    /// Bytes that count as maintenance's.
    maintenance: u64,
}

impl Appender<'_> {
    /// What is appended by it counts as maintenance's, see [`Journal::room_for_maintenance`]. Copies, acknowledgements
    /// and bases always do.
    #[must_use]
    pub fn for_maintenance(mut self) -> Self {
        self.is_maintenance = true;
        self
    }

    /// Appends an entry of `visit`, whose previous record is `prev`.
    pub fn append(&mut self, visit: VisitId, prev: Lsn, flags: Flags, entry: &Entry) -> Lsn {
        self.record(codec::kind_of(entry), flags, visit, prev, |out| codec::encode(entry, out))
    }

    /// Appends a record whose payload was read before: `flags` should have [`Flags::CARRIED`].
    pub fn append_raw(&mut self, visit: VisitId, prev: Lsn, flags: Flags, kind: Kind, payload: &[u8]) -> Lsn {
        self.record(kind, flags, visit, prev, |out| out.extend_from_slice(payload))
    }

    /// Appends a sink's acknowledgement.
    pub fn append_ack(&mut self, ack: &Ack) -> Lsn {
        self.own(Kind::Ack, |out| meta::put_ack(out, ack))
    }

    /// Appends a part of a base, see [`Journal::begin_base`]; splits it into records of at most 64 KiB.
    pub fn append_base(&mut self, items: &[BaseItem]) {
        let (mut body, mut item_bytes, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            item_bytes.clear();
            meta::put_item(&mut item_bytes, item, &mut scratch);
            if !body.is_empty() && RECORD_LEN_MIN + body.len() + item_bytes.len() > META_BYTES_MAX {
                self.own(Kind::Base, |out| out.extend_from_slice(&body));
                body.clear();
            }
            body.extend_from_slice(&item_bytes);
        }
        if !body.is_empty() {
            self.own(Kind::Base, |out| out.extend_from_slice(&body));
        }
    }

    /// The next record begins a new segment, so that those before it can go.
    pub fn begin_segment(&mut self) {
        self.append.turns = true;
    }

    /// The position of the next record.
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.append.next())
    }

    fn own(&mut self, kind: Kind, payload: impl FnOnce(&mut Vec<u8>)) -> Lsn {
        self.record(kind, Flags::NONE, VisitId::from_u128(0), Lsn::NONE, payload)
    }

    fn record(
        &mut self,
        kind: Kind,
        flags: Flags,
        visit: VisitId,
        prev: Lsn,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Lsn {
        let append = &mut *self.append;
        let lsn = append.next();
        let out = &mut append.chunk.bytes;
        let start = format::begin(out, Lsn(lsn), kind, flags, visit, prev);
        payload(out);
        format::seal(out, start, self.journal.seed);
        let end = append.chunk.end();
        if self.is_maintenance || flags.has(Flags::CARRIED) || kind.is_of_journal() {
            append.chunk.maintenance += end - lsn;
            self.maintenance += end - lsn;
        }
        let is_full = HEADER_LEN + (end - append.segment) > self.journal.config.segment_len();
        let is_asked = std::mem::take(&mut append.turns);
        append.since_base.saw(kind, end - lsn);
        if (is_full || is_asked) && lsn != append.segment {
            append.segment = lsn;
            append.chunk.rolls.push(lsn);
            append.since_base.is_segment_new = true;
        }
        if (is_asked || append.since_base.is_base_due()) && !self.journal.base_due.load(Ordering::Relaxed) {
            self.journal.base_due.store(true, Ordering::SeqCst);
        }
        self.content |= kind != Kind::Synced;
        Lsn(lsn)
    }
}

impl Drop for Appender<'_> {
    fn drop(&mut self) {
        let (journal, end) = (self.journal, self.append.next());
        if end == journal.appended.load(Ordering::Relaxed) {
            return;
        }
        // Before the bytes themselves count, so that they never count as traffic's.
        if self.maintenance > 0 {
            journal.maintenance_appended.fetch_add(self.maintenance, Ordering::SeqCst);
        }
        if self.content {
            journal.content_end.store(end, Ordering::Release);
        }
        journal.appended.store(end, Ordering::SeqCst);
        if journal.has_work() {
            journal.wakeup.work();
        }
    }
}

impl Journal {
    /// Takes the append lock.
    pub fn appender(&self) -> Appender<'_> {
        Appender { journal: self, append: self.appending.lock(), content: false, is_maintenance: false, maintenance: 0 }
    }

    /// Whether somebody holds the append lock.
    pub(crate) fn is_appending(&self) -> bool {
        self.appending.is_locked()
    }

    pub(super) fn append_synced(&self, end: Lsn) {
        self.appender().own(Kind::Synced, |out| visitlog_core::codec::wire::put_u64(out, end.0));
    }

    /// Writes what has gathered, and wakes who waited for that. True if anything was written. To be called by one
    /// thread at a time; others wait.
    ///
    /// # Errors
    /// When the disk does not take it: nothing is lost, the next call tries again. Until then nobody waits. Or when
    /// the journal is poisoned.
    pub fn write_step(&self) -> Result<bool, JournalError> {
        self.write_gathered(self.writing.lock())
    }

    /// The same by an answer that waits, unless somebody writes already. False if this wrote nothing: then it is the
    /// writer's thread's business, failures too. Those whose records came while this wrote need not wake that thread:
    /// they are seen to here.
    pub(super) fn write_if_idle(&self) -> bool {
        let mut has_written = false;
        for _ in 0..TURNS {
            let Some(write) = self.writing.try_lock() else { return has_written };
            let is_written = self.write_gathered(write).unwrap_or(false);
            has_written |= is_written;
            // Who finds the lock taken has said before that it waits.
            fence(Ordering::SeqCst);
            if !self.is_urgent.load(Ordering::SeqCst) {
                return has_written;
            }
            if !is_written {
                break;
            }
        }
        self.wakeup.work();
        has_written
    }

    /// An answer waits that could not write, for somebody else did.
    pub(super) fn is_waited_for(&self) {
        // Who writes may have begun before the record was appended.
        self.is_urgent.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !self.writing.is_locked() {
            self.wakeup.work();
        }
    }

    fn write_gathered(&self, mut write: MutexGuard<'_, Write>) -> Result<bool, JournalError> {
        self.refuse_if_poisoned()?;
        self.is_urgent.store(false, Ordering::SeqCst);
        let Some(chunk) = self.next_chunk(&mut write) else {
            return Ok(false);
        };
        self.write_watch.begin();
        let result = self.reserve.spend_if_full(self.spent_now(), || self.write_chunk(&mut write, &chunk));
        self.write_watch.end();
        if let Err(error) = result {
            self.stall(FAILED_WRITE);
            return Err(error);
        }
        *self.flight.write() = None;
        self.maintenance_written.fetch_add(chunk.maintenance, Ordering::SeqCst);
        if let Ok(chunk) = Arc::try_unwrap(chunk)
            && chunk.bytes.capacity() <= SPARE_BYTES_MAX
        {
            write.spare = chunk.bytes;
            write.spare.clear();
        }
        drop(write);
        self.unstall(FAILED_WRITE | SLOW_WRITE);
        if self.config.durability == Durability::Process {
            self.waiters.release(self.written.load(Ordering::SeqCst));
        }
        Ok(true)
    }

    /// What failed to be written before, or what has gathered since.
    fn next_chunk(&self, write: &mut Write) -> Option<Arc<Chunk>> {
        if let Some(chunk) = &*self.flight.read() {
            return Some(Arc::clone(chunk));
        }
        let mut append = self.appending.lock();
        if append.chunk.bytes.is_empty() {
            return None;
        }
        let next = Chunk { start: append.next(), bytes: std::mem::take(&mut write.spare), ..Chunk::default() };
        let chunk = Arc::new(std::mem::replace(&mut append.chunk, next));
        // Before the append lock goes: a reader looks there first, and then here.
        *self.flight.write() = Some(Arc::clone(&chunk));
        Some(chunk)
    }

    /// Writes the pieces of a chunk to the segments that they belong to.
    fn write_chunk(&self, write: &mut Write, chunk: &Chunk) -> Result<(), JournalError> {
        let ends = chunk.rolls.iter().copied().chain([chunk.end()]);
        let mut from = chunk.start;
        for to in ends {
            if to > write.done && to > from {
                if chunk.rolls.contains(&from) && write.segment != from {
                    self.roll(write, from)?;
                }
                let bytes = &chunk.bytes[(from - chunk.start) as usize..(to - chunk.start) as usize];
                write
                    .file
                    .write_at(bytes, HEADER_LEN + (from - write.segment))
                    .map_err(|error| JournalError::io("write", &self.segments.path(write.segment), error))?;
                // Before it counts as written: a sync that counts it in must find its file.
                self.dirty.lock().add(write.segment, &write.file);
                write.done = to;
                self.written.store(to, Ordering::SeqCst);
            }
            from = to;
        }
        Ok(())
    }

    /// Begins a new segment. Neither the old one nor the new one is synced here, so that nobody waits for that:
    /// [`Journal::sync_step`] syncs all that are written and the folder before it says so.
    fn roll(&self, write: &mut Write, first: u64) -> Result<(), JournalError> {
        let path = self.segments.path(first);
        let file = self.disk.create(&path).map_err(|error| JournalError::io("create", &path, error))?;
        self.dirty.lock().dir = true;
        let header = Header { uuid: self.uuid, epoch: self.epoch, first: Lsn(first) };
        file.write_at(&header.encode(), 0).map_err(|error| JournalError::io("write", &path, error))?;
        self.segments.push(Segment { first, seed: self.seed }, Arc::clone(&file));
        write.segment = first;
        write.file = file;
        Ok(())
    }

    /// Puts what is written on stable storage, and appends a `Synced` record that says so. True if there was anything
    /// to sync.
    ///
    /// # Errors
    /// When the disk fails to: the journal is poisoned.
    pub fn sync_step(&self) -> Result<bool, JournalError> {
        let _one = self.syncing.lock();
        self.refuse_if_poisoned()?;
        let end = self.written.load(Ordering::SeqCst);
        if self.synced.load(Ordering::SeqCst) >= end.min(self.content_end.load(Ordering::SeqCst)) {
            return Ok(false);
        }
        let dirty = std::mem::take(&mut *self.dirty.lock());
        self.sync_watch.begin();
        let result = self.sync(&dirty);
        self.sync_watch.end();
        if let Err(error) = result {
            self.poison(&error);
            return Err(error);
        }
        self.synced.store(end, Ordering::SeqCst);
        self.append_synced(Lsn(end));
        if self.config.durability == Durability::Power {
            self.unstall(SLOW_SYNC);
            self.waiters.release(end);
        }
        Ok(true)
    }

    fn sync(&self, dirty: &Dirty) -> Result<(), JournalError> {
        for (segment, file) in &dirty.files {
            file.sync_data().map_err(|error| JournalError::io("sync", &self.segments.path(*segment), error))?;
        }
        if dirty.dir && !self.config.no_dir_sync() {
            self.folder.sync().map_err(|error| JournalError::io("sync", &self.dir, error))?;
        }
        Ok(())
    }

    fn refuse_if_poisoned(&self) -> Result<(), JournalError> {
        match self.poison.get() {
            Some(reason) => Err(JournalError::Stopped { reason: Arc::clone(reason) }),
            None => Ok(()),
        }
    }
}
