//! What an access log is told of a request.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use visitlog_core::ids::{Host, VisitId};
use visitlog_core::ports::{Class, Committed, Op, Outcome};
use visitlog_core::{Timestamp, Trace};

/// What the layer has to say of a request for an access log: put a new one into the request's extensions, and look into it
/// once the answer is there.
#[derive(Debug, Clone, Default)]
pub struct AccessNote(Arc<Mutex<Option<Access>>>);

/// A request as it may be written down: no credential, and no more of its client than the settings keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When it arrived, by the store's clock.
    pub arrived: Timestamp,
    /// The host that it asked for.
    pub host: Host,
    /// What is kept of the client's address.
    pub address: Option<IpAddr>,
    /// The path, without what names a session in it.
    pub path: Box<str>,
    /// The query, masked.
    pub query: Option<Box<str>>,
    /// `Referer`, masked.
    pub referrer: Option<Box<str>>,
    /// `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// The visit that it was recorded in, or that its visitor was in.
    pub visit: Option<VisitId>,
    /// What it left there.
    pub trace: Trace,
}

impl AccessNote {
    /// What the layer has said so far: nothing before the head of the answer is ready, and nothing where no layer is.
    pub fn get(&self) -> Option<Access> {
        self.lock().clone()
    }

    pub(crate) fn write(&self, access: Access) {
        *self.lock() = Some(access);
    }

    /// What came of the commit.
    pub(crate) fn committed<E>(&self, result: &Result<Committed, E>) {
        if let Some(access) = &mut *self.lock() {
            match result {
                Ok(Committed { outcome: Outcome::Nothing, .. }) => access.trace = Trace::None,
                Ok(Committed { outcome: Outcome::Gone, .. }) | Err(_) => {
                    (access.trace, access.visit) = (Trace::None, None);
                }
                Ok(committed) => access.visit = committed.visit,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Access>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a commit leaves, if the store takes it.
pub(crate) fn trace_of(class: &Class, ops: &[Op]) -> Trace {
    let names = ops.iter().any(|op| !matches!(op, Op::Logout | Op::Nobody | Op::Abandon));
    match class {
        Class::Page(_) => Trace::PageView,
        Class::PageError(_) => Trace::PageError,
        _ if names => Trace::Named,
        Class::Other(Some(_)) => Trace::Request,
        Class::Other(None) => Trace::Activity,
        Class::Passive => Trace::None,
    }
}
