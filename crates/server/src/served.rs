//! What the site's clients were answered, counted: requests by status, how long they took, connections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency histogram, in milliseconds.
pub const BOUNDS_MS: [u64; 12] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// Statuses that there can be: 100 to 599. Others count as 599.
const STATUSES: usize = 500;

/// Counts of what was served.
#[derive(Debug)]
pub struct Served {
    by_status: Box<[AtomicU64; STATUSES]>,
    /// By the first bound that it was within; the last is for all above.
    by_time: [AtomicU64; BOUNDS_MS.len() + 1],
    time_us: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
}

impl Default for Served {
    fn default() -> Self {
        Self {
            by_status: Box::new([const { AtomicU64::new(0) }; STATUSES]),
            by_time: [const { AtomicU64::new(0) }; BOUNDS_MS.len() + 1],
            time_us: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }
}

impl Served {
    /// The head of an answer is ready, so long after the request's.
    pub(crate) fn answered(&self, status: u16, after: Duration) {
        let place = usize::from(status.clamp(100, 599) - 100);
        self.by_status[place].fetch_add(1, Relaxed);
        let bound = BOUNDS_MS.iter().position(|bound| after <= Duration::from_millis(*bound));
        self.by_time[bound.unwrap_or(BOUNDS_MS.len())].fetch_add(1, Relaxed);
        self.time_us.fetch_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    /// Answers since the start, by status.
    pub fn by_status(&self) -> Vec<(u16, u64)> {
        let counts = (100..).zip(self.by_status.iter().map(|count| count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// For each bound how many answers took no longer; then all of them, and the sum of their times.
    pub fn by_time(&self) -> ([u64; BOUNDS_MS.len()], u64, Duration) {
        let mut total = 0;
        let mut within = [0; BOUNDS_MS.len()];
        for (within, count) in within.iter_mut().zip(&self.by_time) {
            total += count.load(Relaxed);
            *within = total;
        }
        let all = total + self.by_time[BOUNDS_MS.len()].load(Relaxed);
        (within, all, Duration::from_micros(self.time_us.load(Relaxed)))
    }

    /// Connections since the start, and those that are open.
    pub fn connections(&self) -> (u64, u64) {
        // In this order, so that none is closed that was not accepted.
        let closed = self.closed.load(Relaxed);
        let accepted = self.accepted.load(Relaxed);
        (accepted, accepted.saturating_sub(closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_status_and_by_time() {
        let served = Served::default();
        for (status, ms) in [(200, 0), (200, 5), (404, 6), (599, 60_000), (999, 1)] {
            served.answered(status, Duration::from_millis(ms));
        }
        assert_eq!(served.by_status(), [(200, 2), (404, 1), (599, 2)]);
        let (within, all, sum) = served.by_time();
        assert_eq!((within[0], within[1], within[2], within[11], all), (2, 3, 4, 4, 5));
        assert_eq!(sum, Duration::from_millis(60_012));
        served.accepted();
        served.accepted();
        served.closed();
        assert_eq!(served.connections(), (2, 1));
    }
}
