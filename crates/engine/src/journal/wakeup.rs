//! Who waits, and who is to be woken.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex};
use std::task::Waker;
use std::time::Duration;

/// Who waits, and for what.
#[derive(Default)]
pub(super) struct Waiters {
    pub(super) list: Mutex<Vec<(u64, Waker)>>,
}

impl Waiters {
    /// Wakes those who wait for records below `end`.
    pub(super) fn release(&self, end: u64) {
        let mut woken = Vec::new();
        {
            let mut list = self.list.lock();
            if list.is_empty() {
                return;
            }
            if list.iter().all(|(lsn, _)| *lsn < end) {
                std::mem::swap(&mut *list, &mut woken);
                list.reserve(woken.len());
            } else {
                woken.extend(list.extract_if(.., |(lsn, _)| *lsn < end));
            }
        }
        for (_, waker) in woken {
            waker.wake();
        }
    }
}

/// Lets one thread sleep until there is work, and costs the others next to nothing while it does not sleep.
#[derive(Default)]
pub(super) struct Wakeup {
    sleeping: AtomicBool,
    poked: Mutex<bool>,
    condition: Condvar,
}

impl Wakeup {
    /// Sleeps unless there is work or somebody poked. Everything that makes `has_work` true must be followed by
    /// [`Wakeup::work`].
    pub(super) fn sleep(&self, timeout: Duration, has_work: impl Fn() -> bool) {
        let mut poked = self.poked.lock();
        self.sleeping.store(true, Ordering::SeqCst);
        if !*poked && !has_work() {
            self.condition.wait_for(&mut poked, timeout);
        }
        self.sleeping.store(false, Ordering::SeqCst);
        *poked = false;
    }

    /// There is work now.
    pub(super) fn work(&self) {
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            drop(self.poked.lock());
            self.condition.notify_one();
        }
    }

    /// Ends the sleep in any case, the next one too if nobody sleeps.
    pub(super) fn poke(&self) {
        *self.poked.lock() = true;
        self.condition.notify_one();
    }
}
