//! How much of each limit is used, and how often each did something.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted where a limit bites, since the sessions were opened; each only grows.
#[derive(Debug, Default)]
pub(super) struct BudgetCounters {
    pub(super) evicted_open: AtomicU64,
    pub(super) evicted_provisional: AtomicU64,
    pub(super) evicted_fingerprint: AtomicU64,
    pub(super) tombstones_forgotten: AtomicU64,
    pub(super) sites_refused: AtomicU64,
    pub(super) commits_repeated: AtomicU64,
}

/// How often each limit of [`super::Budget`] did something, since the sessions were opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetCounts {
    /// Sessions that ended because there were too many open ones.
    pub evicted_open: u64,
    /// Provisional sessions that ended because there were too many of them.
    pub evicted_provisional: u64,
    /// Provisional sessions that ended because their fingerprint had too many of them.
    pub evicted_fingerprint: u64,
    /// Ended sessions that were forgotten before their time.
    pub tombstones_forgotten: u64,
    /// Confirmed sessions whose host could not become a site.
    pub sites_refused: u64,
    /// Fingerprints that were forgotten before their time.
    pub fingerprints_forgotten: u64,
    /// Commits that came again, and were answered as the first time.
    pub commits_repeated: u64,
}

/// How much of each limit of [`super::Budget`] is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetUse {
    /// Open sessions.
    pub open_sessions: usize,
    /// Provisional ones among them.
    pub provisional: usize,
    /// Ended sessions that are remembered.
    pub tombstones: usize,
    /// Sites.
    pub sites: usize,
    /// Fingerprints that are remembered though none of their sessions is open.
    pub fingerprints: usize,
}

pub(super) fn add(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

impl BudgetCounters {
    /// All of them now. Fingerprints are counted where they are.
    pub(super) fn read(&self, fingerprints_forgotten: u64) -> BudgetCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BudgetCounts {
            evicted_open: read(&self.evicted_open),
            evicted_provisional: read(&self.evicted_provisional),
            evicted_fingerprint: read(&self.evicted_fingerprint),
            tombstones_forgotten: read(&self.tombstones_forgotten),
            sites_refused: read(&self.sites_refused),
            fingerprints_forgotten,
            commits_repeated: read(&self.commits_repeated),
        }
    }
}
