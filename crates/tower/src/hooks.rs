//! The app's say when a session starts.
//!
//! The end of a session is not this crate's to tell: it comes after the last request, perhaps after a crash. The store
//! says it to its sinks and end hooks, as an [`EndedVisit`](visitlog_core::model::EndedVisit).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;
use visitlog_core::ids::{Host, VisitId};
use visitlog_core::limits;
use visitlog_core::model::StartFacts;
use visitlog_core::ports::Op;

use crate::counters::Counters;

/// What a hook for starts is told, and where it says what the session shall hold.
#[derive(Debug)]
pub struct SessionStart<'a> {
    pub(crate) visit: Option<VisitId>,
    pub(crate) host: &'a Host,
    pub(crate) path: &'a str,
    pub(crate) facts: &'a StartFacts,
    pub(crate) ops: Vec<Op>,
}

impl SessionStart<'_> {
    /// The visit's id, where it is known already.
    pub const fn visit(&self) -> Option<VisitId> {
        self.visit
    }

    /// The host that was asked for.
    pub const fn host(&self) -> &Host {
        self.host
    }

    /// The path that was asked for.
    pub const fn path(&self) -> &str {
        self.path
    }

    /// What is known of the visitor.
    pub const fn facts(&self) -> &StartFacts {
        self.facts
    }

    /// Gives a key a value, before the request that starts the session does anything else.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        if self.ops.len() < limits::OPS_PER_COMMIT_MAX {
            self.ops.push(Op::Set(key.into(), value.into()));
        }
    }
}

/// A hook for starts.
pub(crate) type OnStart = Arc<dyn Fn(&mut SessionStart<'_>) + Send + Sync>;

/// Asks the hook. What it said before it panicked doesn't count.
pub(crate) fn ask(hook: &OnStart, mut start: SessionStart<'_>, counters: &Counters) -> Vec<Op> {
    if catch_unwind(AssertUnwindSafe(|| hook(&mut start))).is_ok() {
        return start.ops;
    }
    counters.panics.add(1);
    tracing::error!("the hook for the start of a session panicked");
    Vec::new()
}
