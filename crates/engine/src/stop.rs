//! Tells threads that it is time to stop.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Tells threads that it is time to stop, and wakes those that sleep.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    /// Whether it is time.
    pub fn is_set(&self) -> bool {
        *self.stopped.lock()
    }

    /// Sleeps, unless it is time to stop. True if it is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.wake.wait_for(&mut stopped, timeout);
        }
        *stopped
    }

    /// It is time.
    pub fn set(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_all();
    }
}
