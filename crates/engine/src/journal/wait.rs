//! Answers that wait for their record to be durable.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use visitlog_core::Lsn;
use visitlog_core::ports::StoreError;

use super::journal::Journal;
use crate::sync::atomic::Ordering;

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

impl Journal {
    /// Waits until the record at `lsn` is durable in the configured mode.
    pub fn wait(self: &Arc<Self>, lsn: Lsn) -> Wait {
        Wait { journal: Arc::clone(self), lsn, has_stepped_back: false }
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
            journal.is_waited_for();
        }
        Poll::Pending
    }
}
