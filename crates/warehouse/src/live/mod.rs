//! What is going on: visits that are open, and those that have ended and are not in the tables yet, as rows.
//!
//! [`Live`] follows the store's records ([`LiveSource`]), enriches each visit once, and keeps its rows in Arrow within a
//! budget. Events beyond the budget are let go and read from the journal by the statement that needs them: the answer
//! is the same, and takes longer; [`LiveCounts`] says how often.
//!
//! It follows only while somebody asks ([`Live::follow`]); the first statement reads what is still recorded.
//!
//! A [`Snapshot`] is what a statement sees. Taking one catches up with everything that has been answered for.
//!
//! Visits that a sink has parked are in no chain any more: they are seen as long as their rows are in memory, and
//! again once the tables have them.

mod buffer;
mod build;
mod chunk;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod scan;
mod session;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deltalake::arrow::error::ArrowError;
use parking_lot::Mutex;
use visitlog_core::ports::{LiveError, LiveSource};
use visitlog_core::{Lsn, Timestamp};

use self::buffer::Buffer;
pub use self::snapshot::{Scope, Snapshot};
use visitlog_enrich::Enricher;

/// Memory for rows of open visits and of ended ones that are not in the tables yet: about a million events in 100,000
/// visits. Events beyond it are read from the journal by the statement that asks for them.
pub const LIVE_BYTES_MAX: usize = 256 << 20;

/// So long what is recorded is followed when a statement has asked for it.
pub const FOLLOWED_FOR: Duration = Duration::from_secs(5 * 60);

/// How [`Live`] is set up.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// About how much memory it may take. Rows of visits stay in any case; events beyond are let go.
    pub bytes_max: usize,
    /// Whether there are tables that ended visits go to. If not, a visit is forgotten when it ends.
    pub has_tables: bool,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self { bytes_max: LIVE_BYTES_MAX, has_tables: true }
    }
}

/// How the buffer is doing, and what it has done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveCounts {
    /// Visits that it knows now: open ones, and ended ones that are not in the tables.
    pub visits: usize,
    /// Of these, visits whose events are in the journal only.
    pub without_events: usize,
    /// About how much memory it takes now, in bytes.
    pub bytes: usize,
    /// Chunks of rows that it has now.
    pub chunks: usize,
    /// Records seen.
    pub records: u64,
    /// Records that could not be understood.
    pub unreadable: u64,
    /// Visits whose events were let go because the budget was exceeded.
    pub let_go: u64,
    /// Visits whose chain was read again because their enrichment had changed.
    pub read_again: u64,
    /// Visits whose rows were copied to merge chunks.
    pub merged: u64,
    /// How often everything had to be read again.
    pub restarts: u64,
}

/// Why what is going on can't be told.
#[derive(Debug, thiserror::Error)]
pub enum LiveFault {
    /// The store's records can't be read.
    #[error(transparent)]
    Source(#[from] LiveError),
    /// Rows can't be made, most likely because a column has too much text.
    #[error("rows of open visits can't be made")]
    Rows(#[from] ArrowError),
}

/// What is going on, as rows. Share it by `Arc`; its calls may take long: they read files and compute.
pub struct Live {
    buffer: Mutex<Buffer>,
    source: Arc<dyn LiveSource>,
    /// A statement has asked since the last look.
    asked: AtomicBool,
    /// Until when what is recorded is followed.
    followed_until: Mutex<Option<Timestamp>>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Live {
    /// Nothing is read yet. `node` names the machine, where there are several.
    pub fn new(
        source: Arc<dyn LiveSource>,
        enricher: Arc<Enricher>,
        node: Option<Arc<str>>,
        settings: LiveSettings,
    ) -> Self {
        let buffer = Mutex::new(Buffer::new(Arc::clone(&source), enricher, node, settings));
        Self { buffer, source, asked: AtomicBool::new(false), followed_until: Mutex::new(None) }
    }

    /// Sees what has been recorded so far if a statement has asked lately, so that the next one finds little to do. If none
    /// has for [`FOLLOWED_FOR`], everything is let go: following costs as much as a good part of the traffic does. To be
    /// called every second or so.
    ///
    /// # Errors
    /// As [`Live::catch_up`].
    pub fn follow(&self, now: Timestamp) -> Result<(), LiveFault> {
        let mut until = self.followed_until.lock();
        if self.asked.swap(false, Ordering::Relaxed) {
            *until = Some(now.after(FOLLOWED_FOR));
        }
        match *until {
            Some(until) if now <= until => {}
            Some(_) => {
                *until = None;
                self.buffer.lock().restart();
                return Ok(());
            }
            None => return Ok(()),
        }
        drop(until);
        self.catch_up()
    }

    /// Sees all that has been recorded so far.
    ///
    /// # Errors
    /// When the store's records can't be read; the next call tries again.
    pub fn catch_up(&self) -> Result<(), LiveFault> {
        let _hold = self.source.hold();
        self.buffer.lock().catch_up()
    }

    /// Both tables hold all visits that ended up to here: they are needed no more.
    pub fn flushed(&self, upto: Lsn) {
        self.buffer.lock().flushed(upto);
    }

    /// Lets go of every row, to read again what is still recorded: after an erasure.
    pub fn reread(&self) {
        self.buffer.lock().restart();
    }

    /// All visits, as of now.
    ///
    /// # Errors
    /// When the store's records can't be read, or rows can't be made of them.
    pub fn snapshot(&self) -> Result<Snapshot, LiveFault> {
        self.asked.store(true, Ordering::Relaxed);
        let mut buffer = self.buffer.lock();
        // Before catching up: what the buffer knows then can be read as long as the snapshot lives.
        let hold = self.source.hold();
        let mut tries = 0;
        loop {
            buffer.catch_up()?;
            match buffer.write_rows() {
                Ok(()) => return Ok(Snapshot::of(&buffer, hold)),
                // A visit that the tables had got, and the buffer was not told so. It has begun anew.
                Err(fault) if fault.is_gone() && tries < 3 => tries += 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// How it is doing.
    pub fn counts(&self) -> LiveCounts {
        let buffer = self.buffer.lock();
        LiveCounts {
            visits: buffer.sessions.len(),
            without_events: buffer.sessions.values().filter(|session| session.let_go).count(),
            bytes: buffer.bytes(),
            chunks: buffer.chunks.len(),
            ..buffer.counts
        }
    }
}
