//! The segments that a journal consists of at present, and their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::Lsn;
use visitlog_core::ports::{Disk, DiskDir, DiskFile};

use super::error::JournalError;
use super::format::{HEADER_LEN, Seed, file_name};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};

/// Files kept open for reading. A journal of 100 GB has 1,600 segments, a process 1,024 descriptors by default.
const OPEN_FILES_MAX: usize = 64;

/// One segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) seed: Seed,
}

/// Where a record stands.
#[derive(Clone)]
pub(super) struct RecordPlace {
    pub(super) segment: Segment,
    /// The first LSN behind the segment; `u64::MAX` for the last one.
    pub(super) end: u64,
    pub(super) file: Arc<dyn DiskFile>,
}

impl RecordPlace {
    /// The byte of the file where a position stands.
    pub(super) const fn byte(&self, lsn: u64) -> u64 {
        HEADER_LEN + (lsn - self.segment.first)
    }
}

/// All segments, oldest first.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    folder: Arc<dyn DiskDir>,
    list: RwLock<Vec<Segment>>,
    /// The first one's first position.
    oldest: AtomicU64,
    /// The most recently used one last.
    files: Mutex<Vec<(u64, Arc<dyn DiskFile>)>>,
    collecting: Mutex<()>,
    holds: Arc<HeldFrom>,
}

/// Positions from which on nothing may go for the time being.
type HeldFrom = Mutex<Vec<u64>>;

/// Keeps every segment that there was when it was made, until it is dropped.
#[derive(Debug)]
pub struct SegmentsHeld {
    from: u64,
    holds: Arc<HeldFrom>,
}

impl Drop for SegmentsHeld {
    fn drop(&mut self) {
        let mut holds = self.holds.lock();
        if let Some(at) = holds.iter().position(|from| *from == self.from) {
            holds.swap_remove(at);
        }
    }
}

impl Segments {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, folder: Arc<dyn DiskDir>, list: Vec<Segment>) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            folder,
            oldest: AtomicU64::new(list.first().map_or(0, |segment| segment.first)),
            list: RwLock::new(list),
            files: Mutex::default(),
            collecting: Mutex::default(),
            holds: Arc::default(),
        }
    }

    /// Keeps every segment that there is now.
    pub(super) fn hold(&self) -> SegmentsHeld {
        // SegmentsHeld meanwhile: a collection looks at the holds under the same lock.
        let list = self.list.read();
        let from = list.first().map_or(0, |segment| segment.first);
        self.holds.lock().push(from);
        SegmentsHeld { from, holds: Arc::clone(&self.holds) }
    }

    pub(super) fn path(&self, first: u64) -> PathBuf {
        self.dir.join(file_name(Lsn(first)))
    }

    pub(super) fn count(&self) -> usize {
        self.list.read().len()
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::SeqCst)
    }

    /// Adds the newest one.
    pub(super) fn push(&self, segment: Segment, file: Arc<dyn DiskFile>) {
        self.list.write().push(segment);
        self.keep(segment.first, file);
    }

    /// Where the record at `lsn` stands; `None` before the oldest segment.
    pub(super) fn locate(&self, lsn: u64) -> Result<Option<RecordPlace>, JournalError> {
        // SegmentsHeld while the file is opened: a segment that is being removed must not be made again by that.
        let list = self.list.read();
        let after = list.partition_point(|segment| segment.first <= lsn);
        let Some(segment) = after.checked_sub(1).map(|at| list[at]) else {
            return Ok(None);
        };
        let end = list.get(after).map_or(u64::MAX, |next| next.first);
        Ok(Some(RecordPlace { segment, end, file: self.file(segment.first)? }))
    }

    /// Removes segments that end at or below `bound`, oldest first, never the newest, and none that is held.
    pub(super) fn collect(&self, bound: u64, sync_dir: bool) -> Result<usize, JournalError> {
        let _one = self.collecting.lock();
        let mut removed = 0;
        loop {
            let oldest = {
                let mut list = self.list.write();
                let held = self.holds.lock().iter().copied().min();
                if list.len() < 2 || list[1].first > held.map_or(bound, |held| bound.min(held)) {
                    return Ok(removed);
                }
                let oldest = list.remove(0);
                self.oldest.store(list[0].first, Ordering::SeqCst);
                oldest
            };
            self.files.lock().retain(|(open, _)| *open != oldest.first);
            let path = self.path(oldest.first);
            if let Err(error) = self.disk.remove(&path) {
                // It is the oldest still: a later one must not go before it.
                let mut list = self.list.write();
                list.insert(0, oldest);
                self.oldest.store(oldest.first, Ordering::SeqCst);
                return Err(JournalError::io("remove", &path, error));
            }
            // Before the next: a power cut must not take a newer one and leave an older.
            if sync_dir {
                self.folder.sync().map_err(|error| JournalError::io("sync", &self.dir, error))?;
            }
            removed += 1;
        }
    }

    fn file(&self, first: u64) -> Result<Arc<dyn DiskFile>, JournalError> {
        let mut files = self.files.lock();
        if let Some(at) = files.iter().rposition(|(open, _)| *open == first) {
            let entry = files.remove(at);
            let file = Arc::clone(&entry.1);
            files.push(entry);
            return Ok(file);
        }
        drop(files);
        let path = self.path(first);
        let file = self.disk.open_to_read(&path).map_err(|error| JournalError::io("open", &path, error))?;
        self.keep(first, Arc::clone(&file));
        Ok(file)
    }

    fn keep(&self, first: u64, file: Arc<dyn DiskFile>) {
        let mut files = self.files.lock();
        if files.len() >= OPEN_FILES_MAX {
            files.remove(0);
        }
        files.push((first, file));
    }
}

#[cfg(test)]
impl Segments {
    /// First LSNs, oldest first.
    pub(super) fn firsts(&self) -> Vec<u64> {
        self.list.read().iter().map(|segment| segment.first).collect()
    }
}
