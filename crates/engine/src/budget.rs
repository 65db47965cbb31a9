//! What strangers can fill, limit by limit: how much of each is used, and how often it did something.

use std::time::Duration;

use visitlog_core::machine::{Budget, BudgetCounts, BudgetUse};
use visitlog_core::{Timestamp, limits};

use crate::engine::Engine;

/// One limit on what strangers can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// What it is called, in metrics and in the log.
    pub name: &'static str,
    /// How much of it is used; `None` where it is one for each fingerprint.
    pub used: Option<u64>,
    /// How much there may be.
    pub max: u64,
    /// What happens at it.
    pub what: &'static str,
    /// How often that has happened since the start.
    pub times: u64,
}

impl Engine {
    /// What strangers can fill, limit by limit.
    pub fn limited(&self) -> [Limited; 7] {
        let Budget { open_sessions, provisional, tombstones, sites: _, fingerprints } = self.config.budget;
        let used = self.budget_used();
        let counts: BudgetCounts = self.budget_counts();
        let limit = |name, used: usize, max: usize, what, times| Limited {
            name,
            used: Some(used as u64),
            max: max as u64,
            what,
            times,
        };
        let (provisional_max, prints_max) = (limits::PROVISIONAL_PER_FINGERPRINT_MAX as u64, fingerprints);
        [
            limit("open_sessions", used.open_sessions, open_sessions, "sessions were evicted", counts.evicted_open),
            limit("provisional", used.provisional, provisional, "sessions were evicted", counts.evicted_provisional),
            Limited {
                name: "provisional_per_fingerprint",
                used: None,
                max: provisional_max,
                what: "sessions were evicted",
                times: counts.evicted_fingerprint,
            },
            limit("tombstones", used.tombstones, tombstones, "ended ones were forgotten", counts.tombstones_forgotten),
            limit("sites", used.sites, self.sessions.sites_max(), "sessions count to other", counts.sites_refused),
            limit("fingerprints", used.fingerprints, prints_max, "were forgotten", counts.fingerprints_forgotten),
            Limited {
                name: "journal_bytes",
                used: Some(self.journal.usage().bytes),
                max: self.config.journal.bytes_max,
                what: "sessions were not started",
                times: self.counters.snapshot().over_quota,
            },
        ]
    }

    /// How much of what strangers can fill is filled.
    pub fn budget_used(&self) -> BudgetUse {
        self.sessions.used()
    }
}

/// How often a limit that goes on doing something is said at most.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Says in the log what limits do.
#[derive(Debug, Default)]
pub(crate) struct LimitLog {
    said: Vec<(Timestamp, u64)>,
}

impl LimitLog {
    /// Looks at the limits, and logs what there is to say. Returns how many it spoke of. To be called once a second or
    /// so.
    pub(crate) fn look(&mut self, now: Timestamp, limits: &[Limited]) -> usize {
        let first = self.said.len() < limits.len();
        self.said.resize(limits.len(), (now, 0));
        let mut spoken = 0;
        for (limit, (at, said)) in limits.iter().zip(&mut self.said) {
            let is_new = *said == 0 || first;
            if limit.times == *said || !is_new && now.since(*at) < SAY_EVERY {
                continue;
            }
            let Limited { name, max, what, times, .. } = *limit;
            let times = times - std::mem::replace(said, times);
            *at = now;
            tracing::warn!(limit = name, max, times, "at its limit: {what}");
            spoken += 1;
        }
        spoken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(times: u64) -> [Limited; 2] {
        let limit = |name, times| Limited { name, used: Some(1), max: 1, what: "it was full", times };
        [limit("quiet", 0), limit("full", times)]
    }

    #[test]
    fn what_a_limit_does_is_said_at_once_and_then_once_a_minute() {
        let mut log = LimitLog::default();
        let at = Timestamp::from_secs;
        assert_eq!(log.look(at(1), &limits(0)), 0);
        assert_eq!(log.look(at(2), &limits(5)), 1);
        assert_eq!((3..62).map(|s| log.look(at(s), &limits(5 + s as u64))).sum::<usize>(), 0, "not each one");
        assert_eq!(log.look(at(62), &limits(90)), 1);
        assert_eq!(log.look(at(200), &limits(90)), 0, "it did nothing since");
        assert_eq!(log.look(at(201), &limits(91)), 1);
    }
}
