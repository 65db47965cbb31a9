//! What has changed, for whoever watches. As long as nobody does, nothing is kept.
//!
//! Bounded: of what comes faster than it is taken away the rest is dropped, and it is told that there was more.

use std::collections::VecDeque;
use std::sync::Arc;

use visitlog_core::machine::HostIndex;
use visitlog_core::model::{EndReason, Entry, Event, UserId};
use visitlog_core::{Timestamp, VisitId};

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Sessions that have changed and have not been told yet: of more, whoever watches looks at everybody anew.
const CHANGED_MAX: usize = 10_000;
/// Events, and ends, that have not been told yet: of more, the oldest are not told.
const HAPPENED_MAX: usize = 500;

/// Tells that there is something to take. Must not block, and ask for nothing: a session's shard is held.
pub type Notice = Arc<dyn Fn() + Send + Sync>;

/// What has changed since it was taken last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// Sessions that came, went, or are something else than before; `None`: too many to be told.
    pub sessions: Option<Vec<VisitId>>,
    /// What happened, in order.
    pub happened: Vec<Happened>,
    /// What happened besides, and is not told.
    pub skipped: u64,
}

/// An event or an end.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// In which session.
    pub visit: VisitId,
    /// Its host.
    pub host: HostIndex,
    /// Who was logged in.
    pub user: Option<UserId>,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An event.
    Event(Event),
    /// The session's end.
    End {
        /// Why.
        reason: EndReason,
        /// Its last activity.
        ended_at: Timestamp,
        /// When that was decided.
        closed_at: Timestamp,
    },
}

/// See the module's documentation.
#[derive(Default)]
pub struct Feed {
    watchers: AtomicUsize,
    /// Whether it has been told that there is something.
    told: AtomicBool,
    waiting: Mutex<Waiting>,
    notice: Mutex<Option<Notice>>,
}

#[derive(Debug, Default)]
struct Waiting {
    changed: Vec<VisitId>,
    too_many: bool,
    happened: VecDeque<Happened>,
    skipped: u64,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("watchers", &self.watchers).finish_non_exhaustive()
    }
}

/// As long as this is kept, changes are gathered.
#[derive(Debug)]
#[must_use = "changes are gathered as long as it is kept"]
pub struct Watching(Arc<Feed>);

impl Drop for Watching {
    fn drop(&mut self) {
        if self.0.watchers.fetch_sub(1, Ordering::SeqCst) == 1 {
            *self.0.waiting.lock() = Waiting::default();
            self.0.told.store(false, Ordering::SeqCst);
        }
    }
}

impl Feed {
    /// Calls this when there is something to take, once until it is taken.
    pub fn notify_by(&self, notice: Notice) {
        *self.notice.lock() = Some(notice);
    }

    /// Gathers from now on.
    pub fn watch(self: &Arc<Self>) -> Watching {
        self.watchers.fetch_add(1, Ordering::SeqCst);
        Watching(Arc::clone(self))
    }

    fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// What has changed since this was asked last.
    pub fn take(&self) -> Changes {
        // Before it is looked: what comes in between is told again.
        self.told.store(false, Ordering::SeqCst);
        let Waiting { mut changed, too_many, happened, skipped } = std::mem::take(&mut *self.waiting.lock());
        changed.sort_unstable();
        changed.dedup();
        Changes { sessions: (!too_many).then_some(changed), happened: happened.into(), skipped }
    }

    /// A session is something else than before.
    pub(super) fn changed(&self, visit: VisitId) {
        if !self.is_watched() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.changed.len() >= CHANGED_MAX {
            waiting.too_many = true;
        } else if waiting.changed.last() != Some(&visit) {
            waiting.changed.push(visit);
        }
        drop(waiting);
        self.tell();
    }

    /// An entry of a session is about to be recorded.
    pub(super) fn recorded(&self, visit: VisitId, host: HostIndex, user: Option<&UserId>, entry: &Entry) {
        if !self.is_watched() {
            return;
        }
        let what = match entry {
            Entry::Event(event) => What::Event(event.clone()),
            Entry::End(end) => What::End { reason: end.reason, ended_at: end.ended_at, closed_at: end.closed_at },
            _ => return,
        };
        let mut waiting = self.waiting.lock();
        if waiting.happened.len() >= HAPPENED_MAX {
            waiting.happened.pop_front();
            waiting.skipped += 1;
        }
        waiting.happened.push_back(Happened { visit, host, user: user.cloned(), what });
        drop(waiting);
        self.tell();
    }

    fn tell(&self) {
        if !self.told.swap(true, Ordering::SeqCst)
            && let Some(notice) = &*self.notice.lock()
        {
            notice();
        }
    }
}
