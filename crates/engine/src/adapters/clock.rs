//! The system's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use visitlog_core::Timestamp;
use visitlog_core::ports::Clock;

/// Wall time at its start, then the boot-time clock, which goes on through suspend and never goes back. A wall clock
/// that is set while it runs does not move it.
#[derive(Debug)]
pub struct SystemClock {
    /// What is added to the time since boot, in microseconds.
    offset: AtomicI64,
}

impl SystemClock {
    /// Starts at the wall clock's time.
    #[expect(clippy::disallowed_methods, reason = "this is the real clock")]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let wall = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        Self { offset: AtomicI64::new(wall.saturating_sub(since_boot())) }
    }

    /// Puts it forward so that it tells at least `at` now: a wall clock that was set back between two starts must not
    /// make time run twice.
    pub fn not_before(&self, at: Timestamp) {
        self.offset.fetch_max(at.micros().saturating_sub(since_boot()), Ordering::SeqCst);
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.offset.load(Ordering::Relaxed).saturating_add(since_boot()))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the real clock")]
fn since_boot() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_from_where_it_was_put() {
        let clock = SystemClock::start();
        let now = clock.now();
        assert!(now > Timestamp::from_secs(1_600_000_000), "{now:?}");
        assert!(clock.now() >= now);
        let later = now.after(Duration::from_secs(3_600));
        clock.not_before(later);
        assert!(clock.now() >= later);
        clock.not_before(now);
        assert!(clock.now() >= later, "never put back");
        assert!(clock.now().since(later) < Duration::from_secs(600));
    }
}
