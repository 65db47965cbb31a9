//! What was refused or cut, counted by reason, and told once a minute: a flood of refusals is no flood of lines.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::served::Served;

/// One reason is told so often at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Counts by reason. Reasons stand in the code: there are a few dozen of them.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, Count>>);

#[derive(Debug, Default)]
struct Count {
    times: u64,
    told: u64,
    told_at: Option<Instant>,
}

impl Tally {
    /// Counts once more. When it is time to tell, how often it has happened since it was told last.
    pub(crate) fn count(&self, reason: &'static str) -> Option<u64> {
        self.count_at(reason, Instant::now())
    }

    fn count_at(&self, reason: &'static str, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock();
        let count = counts.entry(reason).or_default();
        count.times += 1;
        if count.told_at.is_some_and(|at| now.duration_since(at) < TELL_EVERY) {
            return None;
        }
        count.told_at = Some(now);
        let times = count.times - count.told;
        count.told = count.times;
        Some(times)
    }

    /// How often it has happened since the start, by reason.
    pub fn by_reason(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().iter().map(|(reason, count)| (*reason, count.times)).collect()
    }
}

/// What happens between clients and the site that no visit tells of.
#[derive(Debug, Default)]
pub struct Tallies {
    /// Requests that were answered with an error of ours, for what is wrong with them.
    pub refused: Tally,
    /// Connections that were refused, cut or closed for others.
    pub cut: Tally,
    /// Headers that were not believed, and other signs that a proxy stands in front that nobody named.
    pub dropped: Tally,
    /// At what the upstream failed.
    pub upstream: Tally,
    /// Pages that did not get the script that they were to get.
    pub left_alone: Tally,
    /// What was answered.
    pub served: Served,
    /// What became of the access log's lines.
    pub access_log: LogLines,
}

/// Lines of the access log.
#[derive(Debug, Default)]
pub struct LogLines {
    /// Those that were written.
    pub written: AtomicU64,
    /// Those that found no room in memory, or that the disk did not take.
    pub lost: AtomicU64,
}

impl Tallies {
    pub(crate) fn refused(&self, reason: &'static str, path: &str) {
        if let Some(times) = self.refused.count(reason) {
            tracing::warn!(reason, path, times, "request refused");
        }
    }

    pub(crate) fn left_alone(&self, reason: &'static str) {
        if let Some(times) = self.left_alone.count(reason) {
            tracing::warn!(reason, times, "page left without the presence script");
        }
    }

    pub(crate) fn cut(&self, reason: &'static str) {
        if let Some(times) = self.cut.count(reason) {
            tracing::warn!(reason, times, "connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_a_minute_and_how_often() {
        let (tally, start) = (Tally::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(tally.count_at("a", at(0)), Some(1));
        assert_eq!(tally.count_at("a", at(1)), None);
        assert_eq!(tally.count_at("b", at(2)), Some(1), "another reason has a word of its own");
        assert_eq!(tally.count_at("a", at(59)), None);
        assert_eq!(tally.count_at("a", at(61)), Some(3));
        assert_eq!(tally.by_reason(), [("a", 4), ("b", 1)]);
    }
}
