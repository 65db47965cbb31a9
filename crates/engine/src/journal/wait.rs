//! Waiting: answers for their record to be durable, the writer's thread for something to write.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use visitlog_core::Lsn;
use visitlog_core::ports::StoreError;

use super::journal::Journal;

/// Waits for a record to be durable: `true`, or `false` while the disk takes nothing (in `power`: refuses everything).
/// Ends that are not `true` are counted, see [`Journal::undurable_answers`].
///
/// Needs no runtime. May be dropped at any time.
///
/// Where answers write (`Journal::answers_write`), the first poll only steps behind the other tasks that are ready;
/// the second one writes what they all have appended meanwhile, unless somebody is at it already.
#[must_use = "nothing waits until it is polled"]
pub struct Wait {
    journal: Arc<Journal>,
    lsn: Lsn,
    has_stepped_back: bool,
}

impl Wait {
    pub(super) const fn new(journal: Arc<Journal>, lsn: Lsn) -> Self {
        Self { journal, lsn, has_stepped_back: false }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("lsn", &self.lsn).finish_non_exhaustive()
    }
}

impl Future for Wait {
    type Output = Result<bool, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.poll_outcome(context);
        if let Poll::Ready(Ok(false) | Err(_)) = outcome {
            self.journal.undurable.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

impl Wait {
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, StoreError>> {
        if let Some(outcome) = self.journal.outcome(self.lsn) {
            return Poll::Ready(outcome);
        }
        if self.journal.answers_write() {
            if !std::mem::replace(&mut self.has_stepped_back, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.journal.write_if_idle()
                && let Some(outcome) = self.journal.outcome(self.lsn)
            {
                return Poll::Ready(outcome);
            }
        }
        let journal = &self.journal;
        let mut list = journal.waiters.list.lock();
        // Whoever releases does so after the outcome can be seen, and under this lock.
        if let Some(outcome) = journal.outcome(self.lsn) {
            return Poll::Ready(outcome);
        }
        list.push((self.lsn.0, context.waker().clone()));
        drop(list);
        if journal.answers_write() {
            // Whoever writes at present may have begun before this record was appended.
            journal.is_urgent.store(true, Ordering::SeqCst);
            journal.wakeup.work();
        }
        Poll::Pending
    }
}

/// Who waits, and for what.
#[derive(Default)]
pub(super) struct Waiters {
    list: Mutex<Vec<(u64, Waker)>>,
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
