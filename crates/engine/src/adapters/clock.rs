//! The system's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use visitlog_core::Timestamp;
use visitlog_core::ports::Clock;

/// Wall time at its start, then the boot-time clock, which goes on through suspend and never goes back. A wall clock
/// that is set while it runs does not move it.
#[derive(Debug)]
pub struct SystemClock {
    /// What is added to the time since boot, in microseconds.
    offset: i64,
}

impl SystemClock {
    /// Starts at the wall clock's time.
    pub fn start() -> Self {
        Self { offset: wall().saturating_sub(since_boot()) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.offset.saturating_add(since_boot()))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(wall())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the real clock")]
fn wall() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)
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
    fn it_goes_forward_from_the_wall_clocks_time() {
        let clock = SystemClock::start();
        let now = clock.now();
        assert!(now > Timestamp::from_secs(1_600_000_000), "{now:?}");
        assert!(clock.now() >= now);
        assert!(clock.wall().since(now) < Duration::from_secs(600));
    }
}
