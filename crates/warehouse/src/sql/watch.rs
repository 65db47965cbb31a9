//! When a statement has to stop: its time is up, nobody wants its result any more, or it makes more text than it may.
//! Whatever works for it asks here, often.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use datafusion::error::DataFusionError;

use super::limits::{Limits, TEXT_BYTES_MIN, TEXT_SHARE};

/// Why a statement was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// It took too long.
    #[error("the time of {limit:?} is over")]
    Time {
        /// The limit.
        limit: Duration,
    },
    /// Nobody takes its rows.
    #[error("nobody waits for the result")]
    Unwanted,
}

impl From<Stopped> for DataFusionError {
    fn from(stopped: Stopped) -> Self {
        Self::External(Box::new(stopped))
    }
}

/// One statement's.
#[derive(Debug)]
pub(super) struct Watch {
    limit: Duration,
    /// `None`: never.
    until: Option<Instant>,
    is_unwanted: AtomicBool,
    /// Text that the functions may make of one batch of rows.
    pub(super) text_bytes_max: usize,
}

impl Watch {
    /// Begins now.
    pub(super) fn start(limits: &Limits) -> Self {
        Self {
            limit: limits.time,
            until: Instant::now().checked_add(limits.time),
            is_unwanted: AtomicBool::new(false),
            text_bytes_max: (limits.memory_bytes / TEXT_SHARE).max(TEXT_BYTES_MIN),
        }
    }

    /// Nobody wants the result any more.
    pub(super) fn stop(&self) {
        self.is_unwanted.store(true, Relaxed);
    }

    /// Whether the statement may go on.
    pub(super) fn check(&self) -> Result<(), Stopped> {
        if self.is_unwanted.load(Relaxed) {
            return Err(Stopped::Unwanted);
        }
        match self.until {
            Some(until) if Instant::now() >= until => Err(Stopped::Time { limit: self.limit }),
            _ => Ok(()),
        }
    }

    /// So much text was made, of arguments of which so much goes away with the call.
    pub(super) fn made(&self, bytes: usize, freed: usize) -> Result<(), DataFusionError> {
        let made = MADE.get().map_or(bytes, |made| (made + bytes).saturating_sub(freed));
        if made > self.text_bytes_max {
            return Err(self.too_much());
        }
        MADE.set(MADE.get().map(|_| made));
        Ok(())
    }

    /// The error of whoever would make more text than may be.
    pub(super) fn too_much(&self) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!("functions may make {} bytes of text at once", self.text_bytes_max))
    }
}

thread_local! {
    /// The text that was made of the batch at hand, on this thread; `None` where what a call makes is gone after it.
    static MADE: Cell<Option<usize>> = const { Cell::new(Some(0)) };
}

/// Counts text anew while something lower is at work, and goes on counting where it was after that.
#[derive(Debug)]
pub(super) struct Counted(Option<usize>);

impl Counted {
    /// `adds_up`: what calls make is there until the batch is done.
    pub(super) fn anew(adds_up: bool) -> Self {
        Self(MADE.replace(adds_up.then_some(0)))
    }

    /// A batch has come: whoever asked for it begins with nothing made.
    pub(super) fn next_batch(mut self) {
        self.0 = self.0.map(|_| 0);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        MADE.set(self.0);
    }
}
