//! The engine's time: the one rule of where it starts and how it follows the wall clock.
//!
//! It starts at the wall clock's time, or where the journal's last record left off if that is later, goes on through
//! suspend and never goes back. Where it and the wall clock differ it runs slower or faster until they agree: half as fast
//! while it is ahead, a tenth faster while it is behind, so that no jump of the wall clock ends sessions in heaps. A
//! journal whose last record is more than a day ahead was written under a wrong clock, which no slow pace mends: then it
//! starts at the wall clock's time, and sessions that were active "later" count as active now. A wall clock that was never
//! set is not followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::time::Duration;

use parking_lot::Mutex;
use visitlog_core::Timestamp;
use visitlog_core::ports::Clock;

/// What the journal may be ahead of the wall clock at a start: it is worked off in twice that.
pub(crate) const AHEAD_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A wall clock that tells less was never set: 2025 began then.
const EARLIEST: Timestamp = Timestamp::from_secs(1_735_689_600);
/// A difference that is worth following, in microseconds, and one that is none any more.
const FAR_US: i64 = 2_000_000;
const NEAR_US: i64 = 100_000;

/// How fast it runs, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Steady = 1_000,
    Slow = 500,
    Fast = 1_100,
}

/// The injected clock, as far ahead of it as has come about.
pub(crate) struct EngineClock {
    inner: Arc<dyn Clock>,
    /// Odd while the next four change.
    turn: AtomicU64,
    /// The inner clock's time, and this one's, at the last change of pace.
    from: AtomicI64,
    at: AtomicI64,
    /// The wall clock's then: where a pace that is not steady ends.
    wall: AtomicI64,
    pace: AtomicI64,
    turning: Mutex<Pace>,
}

/// Where a clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartsAt {
    Wall,
    /// The wall clock is behind the journal.
    Journal,
    /// The journal was written under a wrong clock.
    Back,
    /// The wall clock was never set.
    NeverSet,
}

impl EngineClock {
    /// Starts it; `last` is the moment of the journal's last record.
    pub(crate) fn start(inner: Arc<dyn Clock>, last: Timestamp) -> Self {
        let (steady, wall) = (inner.now(), inner.wall());
        let ahead = last.since(wall);
        let start = if ahead.is_zero() {
            StartsAt::Wall
        } else if wall < EARLIEST {
            StartsAt::NeverSet
        } else if ahead > AHEAD_MAX {
            StartsAt::Back
        } else {
            StartsAt::Journal
        };
        match start {
            StartsAt::Wall => {}
            StartsAt::Journal => tracing::info!(
                ?ahead,
                "the journal's last record is ahead of the wall clock: time runs at half its pace until they agree"
            ),
            StartsAt::Back => tracing::warn!(
                ?ahead,
                "the journal was written under a clock that was wrong: time goes on by the wall clock, and what was active since counts as active now"
            ),
            StartsAt::NeverSet => {
                tracing::warn!(?wall, "the wall clock was never set: time goes on from the journal's last record");
            }
        }
        let at = if matches!(start, StartsAt::Wall | StartsAt::Back) { wall } else { last };
        let clock = Self {
            inner,
            turn: AtomicU64::new(0),
            from: AtomicI64::new(steady.micros()),
            at: AtomicI64::new(at.micros()),
            wall: AtomicI64::new(wall.micros()),
            pace: AtomicI64::new(Pace::Steady as i64),
            turning: Mutex::new(Pace::Steady),
        };
        clock.follow();
        clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        loop {
            let turn = self.turn.load(Ordering::Acquire);
            let steady = self.inner.now().micros();
            let from = self.from.load(Ordering::Relaxed);
            let at = self.at.load(Ordering::Relaxed);
            let wall = self.wall.load(Ordering::Relaxed);
            let pace = self.pace.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if turn.is_multiple_of(2) && self.turn.load(Ordering::Relaxed) == turn {
                return Timestamp::from_micros(told(steady.saturating_sub(from).max(0), at, wall, pace));
            }
            std::hint::spin_loop();
        }
    }

    /// How far it is ahead of the wall clock, in microseconds; negative where it is behind.
    pub(crate) fn ahead_us(&self) -> i64 {
        self.now().micros().saturating_sub(self.inner.wall().micros())
    }

    /// Sets its pace by the wall clock. To be called some times a second.
    pub(crate) fn follow(&self) {
        let mut pace = self.turning.lock();
        let wall = self.inner.wall();
        let ahead = self.ahead_us();
        let next = if wall < EARLIEST { Pace::Steady } else { next_pace(*pace, ahead) };
        if next == *pace {
            return;
        }
        // A reader is either before this, by what was, or after it; so it never sees time go back.
        self.turn.fetch_add(1, Ordering::SeqCst);
        let steady = self.inner.now().micros();
        let since = steady.saturating_sub(self.from.load(Ordering::Relaxed)).max(0);
        let (at, met) = (self.at.load(Ordering::Relaxed), self.wall.load(Ordering::Relaxed));
        self.from.store(steady, Ordering::Relaxed);
        self.at.store(told(since, at, met, *pace as i64), Ordering::Relaxed);
        self.wall.store(wall.micros(), Ordering::Relaxed);
        self.pace.store(next as i64, Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::SeqCst);
        *pace = next;
        let seconds = ahead as f64 / 1e6;
        match next {
            Pace::Steady => tracing::info!("time agrees with the wall clock again"),
            Pace::Slow => tracing::info!(seconds, "time is ahead of the wall clock: it runs at half its pace"),
            Pace::Fast => tracing::info!(seconds, "time is behind the wall clock: it runs a tenth faster"),
        }
    }
}

/// What it tells so many microseconds after a change of pace: no pace goes beyond where the wall clock is met.
fn told(since: i64, at: i64, wall: i64, pace: i64) -> i64 {
    if pace == Pace::Steady as i64 {
        return at.saturating_add(since);
    }
    let paced = at.saturating_add(since.saturating_mul(pace) / 1_000);
    let met = wall.saturating_add(since);
    if pace < Pace::Steady as i64 { paced.max(met) } else { paced.min(met) }
}

/// The pace at so many microseconds ahead.
const fn next_pace(pace: Pace, ahead_us: i64) -> Pace {
    match pace {
        Pace::Slow if ahead_us > NEAR_US => Pace::Slow,
        Pace::Fast if ahead_us < -NEAR_US => Pace::Fast,
        _ if ahead_us > FAR_US => Pace::Slow,
        _ if ahead_us < -FAR_US => Pace::Fast,
        _ => Pace::Steady,
    }
}

#[cfg(test)]
mod tests {
    use visitlog_testkit::SimClock;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_763_719_200);
    const HOUR: Duration = Duration::from_secs(3_600);
    const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

    /// Lets so many seconds pass, looking often; time never goes back. How far ahead it is then, in seconds.
    fn pass(clock: &EngineClock, inner: &SimClock, seconds: u64) -> i64 {
        let mut last = clock.now();
        for _ in 0..seconds * 5 {
            inner.advance(Duration::from_millis(200));
            let before = clock.now();
            clock.follow();
            let now = clock.now();
            assert!(before >= last && now >= before, "{last:?} {before:?} {now:?}");
            assert!(now.since(last) <= Duration::from_millis(220), "no faster than a tenth");
            last = now;
        }
        clock.ahead_us() / 1_000_000
    }

    #[test]
    fn an_hour_ahead_is_worked_off_in_two() {
        let inner = Arc::new(SimClock::new(NOON));
        let clock = EngineClock::start(inner.clone(), NOON.after(HOUR));
        assert_eq!(clock.now(), NOON.after(HOUR), "never less than the last record");
        assert_eq!(pass(&clock, &inner, 3_600), 1_800);
        assert_eq!(pass(&clock, &inner, 3_600), 0);
        assert_eq!(pass(&clock, &inner, 600), 0, "and they agree");
    }

    #[test]
    fn nobody_has_to_look_when_they_meet() {
        for (ahead, us) in [(HOUR, 0), (Duration::ZERO, 60_000_000)] {
            let inner = Arc::new(SimClock::new(NOON));
            let clock = EngineClock::start(inner.clone(), NOON.after(ahead));
            inner.set_wall_ahead(us);
            clock.follow();
            inner.advance(10 * HOUR);
            assert_eq!(clock.ahead_us(), 0);
            clock.follow();
            inner.advance(10 * HOUR);
            assert_eq!(clock.ahead_us(), 0);
        }
    }

    #[test]
    fn ten_years_ahead_are_not() {
        let inner = Arc::new(SimClock::new(NOON));
        let clock = EngineClock::start(inner.clone(), NOON.after(YEARS));
        assert_eq!((clock.now(), pass(&clock, &inner, 10)), (NOON, 0));
    }

    #[test]
    fn a_wall_clock_that_jumps_is_followed_slowly() {
        let inner = Arc::new(SimClock::new(NOON));
        let clock = EngineClock::start(inner.clone(), Timestamp::EPOCH);
        assert_eq!((clock.now(), pass(&clock, &inner, 10)), (NOON.after(Duration::from_secs(0)), 0));
        inner.set_wall_ahead(120_000_000);
        assert_eq!(clock.ahead_us(), -120_000_000);
        assert_eq!(pass(&clock, &inner, 600), -60);
        assert_eq!(pass(&clock, &inner, 605), 0);
        inner.set_wall_ahead(0);
        assert_eq!(pass(&clock, &inner, 120), 60);
        assert_eq!(pass(&clock, &inner, 125), 0);
        inner.set_wall_ahead(-1_000_000);
        assert_eq!(pass(&clock, &inner, 60), 1, "a second is not worth it");
    }

    #[test]
    fn a_wall_clock_that_was_never_set_is_not_followed() {
        let inner = Arc::new(SimClock::new(Timestamp::from_secs(100)));
        let clock = EngineClock::start(inner.clone(), NOON);
        assert_eq!(clock.now(), NOON);
        pass(&clock, &inner, 60);
        assert_eq!(clock.now(), NOON.after(Duration::from_secs(60)));
        // It is set at last.
        inner.set_wall_ahead(NOON.micros() - 100_000_000);
        assert_eq!(pass(&clock, &inner, 60), 0);
    }
}
