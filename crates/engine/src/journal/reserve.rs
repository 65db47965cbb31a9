//! Room on the disk that is kept for when it is full.
//!
//! A full disk can only get free by segments that go, and before they go a base and acknowledgements must be written. The
//! reserve is a file beside the segments that holds nothing; when a write finds the disk full it is removed, and what it
//! occupied is used for just that. It is made again as soon as there is room.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use visitlog_core::Timestamp;
use visitlog_core::ports::Disk;

use super::error::JournalError;

/// Its file's name.
const NAME: &str = "reserve";

/// After a try to make it that failed, until the next one.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// What is kept.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_held: AtomicBool,
    /// Whether `spent` is something: asked with each request.
    is_spent: AtomicBool,
    spent: Mutex<Option<Spent>>,
    try_at: Mutex<Timestamp>,
}

/// How much had been appended, since the journal was opened, when it was given up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) traffic: u64,
    pub(super) maintenance: u64,
}

impl Reserve {
    /// What a former life left of it.
    pub(super) fn find(disk: &Arc<dyn Disk>, dir: &Path, bytes: u64) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        let found = match disk.open_to_read(&path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        };
        let found = found.map_err(|error| JournalError::io("look at", &path, error))?;
        Ok(Self {
            path,
            bytes,
            is_held: AtomicBool::new(found > 0 && found == bytes),
            is_spent: AtomicBool::new(false),
            spent: Mutex::default(),
            try_at: Mutex::new(Timestamp::EPOCH),
        })
    }

    /// What traffic may have of it, and as much maintenance that frees nothing.
    pub(super) const fn share(&self) -> u64 {
        self.bytes / 4
    }

    /// When it was given up, if it is not back yet.
    pub(super) fn spent(&self) -> Option<Spent> {
        if self.is_spent.load(Ordering::Relaxed) { *self.spent.lock() } else { None }
    }

    /// Gives it up. `false` if there is none, or it can't be.
    pub(super) fn spend(&self, disk: &dyn Disk, at: Spent) -> bool {
        let mut spent = self.spent.lock();
        if !self.is_held.load(Ordering::SeqCst) || disk.remove(&self.path).is_err() {
            return false;
        }
        self.is_held.store(false, Ordering::SeqCst);
        *spent = Some(at);
        self.is_spent.store(true, Ordering::SeqCst);
        tracing::warn!(
            bytes = self.bytes,
            "the disk is full: the journal's reserve is used so that old segments can go"
        );
        true
    }

    /// Does what needs room; where the disk is full, once more without the reserve.
    pub(super) fn spend_if_full<T>(
        &self,
        disk: &Arc<dyn Disk>,
        work: impl Fn() -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        match work() {
            Err(error) if error.is_full() && self.spend(&**disk, Spent::default()) => work(),
            other => other,
        }
    }

    /// Makes it where it is missing.
    pub(super) fn keep(&self, disk: &dyn Disk, now: Timestamp) -> bool {
        if self.is_held.load(Ordering::SeqCst) || self.bytes == 0 {
            return self.bytes > 0;
        }
        {
            let mut try_at = self.try_at.lock();
            if now < *try_at {
                return false;
            }
            *try_at = now.after(TRY_EVERY);
        }
        let made = disk.create(&self.path).and_then(|file| {
            if file.len()? > self.bytes {
                file.set_len(self.bytes)?;
            }
            file.allocate(self.bytes)?;
            file.sync_data()
        });
        if let Err(error) = made {
            // What there is of it must not be what fills the disk.
            let removed = disk.remove(&self.path);
            tracing::debug!(%error, ?removed, "the journal's reserve can't be made");
            return false;
        }
        let mut spent = self.spent.lock();
        self.is_held.store(true, Ordering::SeqCst);
        self.is_spent.store(false, Ordering::SeqCst);
        if spent.take().is_some() {
            tracing::info!(bytes = self.bytes, "there is room on the disk again: the journal has its reserve back");
        }
        true
    }
}
