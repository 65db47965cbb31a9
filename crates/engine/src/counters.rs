//! What the engine counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use visitlog_core::model::EndReason;
use visitlog_core::ports::{Committed, Outcome};

/// Counters since the engine was opened; each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    starts: AtomicU64,
    ends: [AtomicU64; EndReason::ALL.len()],
    events: AtomicU64,
    late_us_sum: AtomicU64,
    late_us_max: AtomicU64,
    late: AtomicU64,
    gone: AtomicU64,
    refused: AtomicU64,
    unavailable: AtomicU64,
    over_quota: AtomicU64,
}

/// All counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions started.
    pub starts: u64,
    /// Sessions ended, in the order of [`EndReason::ALL`].
    pub ends: [u64; EndReason::ALL.len()],
    /// Events recorded.
    pub events: u64,
    /// Ends by the clock: how many, how late in sum and at most.
    pub late: (u64, Duration, Duration),
    /// Writes refused because the session had ended.
    pub gone: u64,
    /// Operations refused by a limit.
    pub refused: u64,
    /// Calls refused because the journal could not take more.
    pub unavailable: u64,
    /// Of these, sessions that were not started because the journal was as long as it may be.
    pub over_quota: u64,
}

impl Counters {
    pub(crate) fn started(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, reason: EndReason, late_us: u64) {
        self.ends[reason as usize].fetch_add(1, Ordering::Relaxed);
        if matches!(reason, EndReason::Expired | EndReason::MaxAge) {
            self.late.fetch_add(1, Ordering::Relaxed);
            self.late_us_sum.fetch_add(late_us, Ordering::Relaxed);
            self.late_us_max.fetch_max(late_us, Ordering::Relaxed);
        }
    }

    pub(crate) fn committed(&self, committed: &Committed) {
        if committed.outcome == Outcome::Gone {
            self.gone.fetch_add(1, Ordering::Relaxed);
        }
        if committed.refused > 0 {
            self.refused.fetch_add(u64::from(committed.refused), Ordering::Relaxed);
        }
    }

    pub(crate) fn unavailable(&self) {
        self.unavailable.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn over_quota(&self) {
        self.over_quota.fetch_add(1, Ordering::Relaxed);
    }

    /// All counters now.
    pub fn snapshot(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let micros = |counter: &AtomicU64| Duration::from_micros(read(counter));
        Counts {
            starts: read(&self.starts),
            ends: std::array::from_fn(|reason| read(&self.ends[reason])),
            events: read(&self.events),
            late: (read(&self.late), micros(&self.late_us_sum), micros(&self.late_us_max)),
            gone: read(&self.gone),
            refused: read(&self.refused),
            unavailable: read(&self.unavailable),
            over_quota: read(&self.over_quota),
        }
    }
}
