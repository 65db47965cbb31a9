//! Room on the disk that is kept for when it is full.
//!
//! A full disk can only get free by segments that go, and before they go a base and acknowledgements must be written. The
//! reserve is a file beside the segments that holds nothing. Each time a write finds the disk full, an eighth of it is given
//! up (not all at once: whoever else writes to that disk takes of it, too), and used for just that. It is made whole
//! again as soon as there is room.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::ports::{Disk, DiskFile};

use super::error::JournalError;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Its file's name.
const NAME: &str = "reserve";

/// It is given up in so many steps.
const STEPS: u64 = 8;

/// After a try to make it that failed, until the next one.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// What is kept.
pub(super) struct Reserve {
    path: PathBuf,
    /// How long it is to be.
    bytes: u64,
    /// Whether `State::spent` is something: asked with each request.
    is_spent: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// None where there is no file.
    file: Option<Arc<dyn DiskFile>>,
    /// How long it is.
    left: u64,
    spent: Option<Spent>,
    try_at: Timestamp,
}

/// How much had been appended, since the journal was opened, when the first of it was given up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) traffic: u64,
    pub(super) maintenance: u64,
}

impl Reserve {
    /// What a former life left of it.
    pub(super) fn find(disk: &Arc<dyn Disk>, dir: &Path, bytes: u64) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        let find = || match disk.open(&path) {
            Ok(file) => Ok((file.len()?, Some(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, None)),
            Err(error) => Err(error),
        };
        let (left, file) = find().map_err(|error| JournalError::io("look at", &path, error))?;
        let state = State { file, left, spent: None, try_at: Timestamp::EPOCH };
        Ok(Self { path, bytes, is_spent: AtomicBool::new(false), state: Mutex::new(state) })
    }

    /// What traffic may have of it, and as much maintenance that frees nothing.
    pub(super) const fn share(&self) -> u64 {
        self.bytes / 4
    }

    /// When it was begun to be given up, if it is not whole again.
    pub(super) fn spent(&self) -> Option<Spent> {
        if self.is_spent.load(Ordering::Relaxed) { self.state.lock().spent } else { None }
    }

    /// Gives up a part of it. `false` if there is none, or it can't be.
    pub(super) fn spend(&self, at: Spent) -> bool {
        let mut state = self.state.lock();
        let left = state.left.saturating_sub(self.bytes.div_ceil(STEPS).max(1));
        let Some(file) = state.file.as_ref().filter(|_| state.left > 0) else { return false };
        if let Err(error) = file.set_len(left) {
            tracing::error!(%error, "the journal's reserve can't be given up");
            return false;
        }
        state.left = left;
        if state.spent.is_none() {
            state.spent = Some(at);
            self.is_spent.store(true, Ordering::SeqCst);
            tracing::warn!(
                bytes = self.bytes,
                "the disk is full: the journal's reserve is used so that old segments can go"
            );
        }
        true
    }

    /// Does what needs room; where the disk is full, again with what the reserve gives.
    pub(super) fn spend_if_full<T>(
        &self,
        at: Spent,
        mut work: impl FnMut() -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        loop {
            match work() {
                Err(error) if error.is_full() && self.spend(at) => {}
                other => return other,
            }
        }
    }

    /// Makes it whole where it is not. Whether it is.
    pub(super) fn keep(&self, disk: &dyn Disk, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        if state.left == self.bytes || now < state.try_at {
            return state.left == self.bytes;
        }
        state.try_at = now.after(TRY_EVERY);
        if let Err(error) = self.fill_up(disk, &mut state) {
            tracing::debug!(%error, "the journal's reserve can't be made");
            // What there is of it more than before must not be what fills the disk.
            if let Some(file) = &state.file
                && let Err(error) = file.set_len(state.left)
            {
                tracing::error!(%error, "the journal's reserve can't be cut");
            }
            return false;
        }
        state.left = self.bytes;
        self.is_spent.store(false, Ordering::SeqCst);
        if state.spent.take().is_some() {
            tracing::info!(bytes = self.bytes, "there is room on the disk again: the journal has its reserve back");
        }
        true
    }

    fn fill_up(&self, disk: &dyn Disk, state: &mut State) -> io::Result<()> {
        let file = match &state.file {
            Some(file) => Arc::clone(file),
            None => disk.create(&self.path)?,
        };
        state.file = Some(Arc::clone(&file));
        if state.left > self.bytes {
            return file.set_len(self.bytes);
        }
        file.allocate(self.bytes)?;
        file.sync_data()
    }
}
