//! A store behind a wire that can break.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use visitlog_core::VisitId;
use visitlog_core::erasure::{FoundVisits, Whose};
use visitlog_core::model::OpenVisit;
use visitlog_core::ports::{
    Arrival, Commit, Committed, Cursor, Erased, Inquiry, OpenPage, Reply, RequestId, SessionHold, SessionStore,
    StoreError, Terminated,
};

/// What the wire does to commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// It carries them there, and the answers back.
    #[default]
    Whole,
    /// It carries them there; no answer comes back.
    LosesAnswers,
    /// They never get there, and nobody is told.
    LosesCommits,
}

/// A store whose commits go over a [`Wire`]: whoever commits while it is not whole is told that the outcome is unknown.
/// All else reaches the store.
#[derive(Debug)]
pub struct LossyStore<S> {
    store: Arc<S>,
    wire: Mutex<Wire>,
}

impl<S> LossyStore<S> {
    /// A store behind a wire that is whole.
    pub fn new(store: Arc<S>) -> Self {
        Self { store, wire: Mutex::default() }
    }

    /// What the wire does from now on.
    pub fn set_wire(&self, wire: Wire) {
        *self.wire.lock().unwrap_or_else(PoisonError::into_inner) = wire;
    }

    /// The store behind it.
    pub const fn store(&self) -> &Arc<S> {
        &self.store
    }
}

impl<S: SessionStore> SessionStore for LossyStore<S> {
    type Begin = S::Begin;
    type Commit = Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send>>;

    fn begin(&self, arrival: Arrival) -> Reply<S::Begin> {
        self.store.begin(arrival)
    }

    fn commit(&self, commit: Commit) -> Self::Commit {
        match *self.wire.lock().unwrap_or_else(PoisonError::into_inner) {
            Wire::Whole => Box::pin(self.store.commit(commit)),
            Wire::LosesAnswers => {
                let carried_out = self.store.commit(commit);
                Box::pin(async {
                    let _lost = carried_out.await;
                    Err(StoreError::Unknown)
                })
            }
            Wire::LosesCommits => Box::pin(std::future::ready(Err(StoreError::Unknown))),
        }
    }

    fn release(&self, hold: SessionHold) {
        self.store.release(hold);
    }

    fn hold_on(&self, visit: VisitId) -> Inquiry<Option<SessionHold>> {
        self.store.hold_on(visit)
    }

    fn outcome(&self, request: RequestId) -> Inquiry<Option<Committed>> {
        self.store.outcome(request)
    }

    fn terminate(&self, visit: VisitId) -> Inquiry<Terminated> {
        self.store.terminate(visit)
    }

    fn list(&self, from: Option<Cursor>, at_most: usize) -> Inquiry<OpenPage> {
        self.store.list(from, at_most)
    }

    fn open_visit(&self, visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        self.store.open_visit(visit)
    }

    fn erase(&self, whose: &Whose, stored: &FoundVisits) -> Inquiry<Erased> {
        self.store.erase(whose, stored)
    }
}
