//! What is worth a line in the log, and happens too often for a line each.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use visitlog_core::Timestamp;

/// So long nothing more is said of it, in seconds.
const SILENCE_S: i64 = 60;

/// Something that is said at most once a minute.
#[derive(Debug)]
pub(crate) struct Seldom {
    said_at_s: AtomicI64,
    unsaid: AtomicU64,
}

impl Default for Seldom {
    fn default() -> Self {
        Self { said_at_s: AtomicI64::new(i64::MIN), unsaid: AtomicU64::new(0) }
    }
}

impl Seldom {
    /// How often it has happened unsaid since the last time, if it is to be said now.
    pub(crate) fn may_say(&self, now: Timestamp) -> Option<u64> {
        let (now_s, before) = (now.secs(), self.said_at_s.load(Ordering::Relaxed));
        let is_time = now_s.saturating_sub(before) >= SILENCE_S || now_s < before;
        if is_time && self.said_at_s.compare_exchange(before, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_and_how_often_not() {
        let (seldom, at) = (Seldom::default(), Timestamp::from_secs);
        assert_eq!(seldom.may_say(at(100)), Some(0));
        assert_eq!((seldom.may_say(at(100)), seldom.may_say(at(159))), (None, None));
        assert_eq!(seldom.may_say(at(160)), Some(2));
        assert_eq!(seldom.may_say(at(50)), Some(0), "the clock was put back");
    }
}
