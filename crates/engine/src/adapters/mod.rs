//! The real world behind the ports: clock, entropy and disk.

use std::io;

use visitlog_core::Timestamp;
use visitlog_core::ports::{Clock, Entropy};

/// The system's clock: wall time at its start, then the boot-time clock, which goes on through suspend and never goes
/// back.
#[derive(Debug)]
pub struct SystemClock {}

impl SystemClock {
    /// Starts at the wall clock's time.
    pub fn start() -> Self {
        unimplemented!()
    }

    /// Puts it forward so that it tells at least `at` now: a wall clock that was set back must not make time run twice.
    pub fn not_before(&self, at: Timestamp) {
        unimplemented!()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        unimplemented!()
    }
}

/// The system's random bits.
#[derive(Debug)]
pub struct SystemEntropy {}

impl SystemEntropy {
    /// Draws the first bits.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn new() -> io::Result<Self> {
        unimplemented!()
    }
}

impl Entropy for SystemEntropy {
    fn random(&self) -> u128 {
        unimplemented!()
    }
}

/// The system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;
