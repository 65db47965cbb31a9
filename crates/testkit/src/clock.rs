//! A clock that stands still until the test moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::ports::Clock;

/// A clock that tests set, and that may jump.
#[derive(Debug)]
pub struct SimClock {
    now: AtomicI64,
    /// How far the wall clock is ahead of it.
    wall_ahead: AtomicI64,
}

impl SimClock {
    /// A clock that stands at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self { now: AtomicI64::new(at.micros()), wall_ahead: AtomicI64::new(0) }
    }

    /// Moves it to `at`, back as well, and the wall clock with it.
    pub fn set(&self, at: Timestamp) {
        self.now.store(at.micros(), Ordering::SeqCst);
    }

    /// Somebody sets the wall clock: it is `micros` ahead of this one from now on, or behind it.
    pub fn set_wall_ahead(&self, micros: i64) {
        self.wall_ahead.store(micros, Ordering::SeqCst);
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().after(by));
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst) + self.wall_ahead.load(Ordering::SeqCst))
    }
}
