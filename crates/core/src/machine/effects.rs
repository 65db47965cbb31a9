//! Where a shard's decisions go.

use super::indexes::Indexes;
use super::sites::HostIndex;
use super::slots::Chain;
use crate::ids::{Lsn, VisitId};
use crate::model::Entry;
use crate::session::{Ended, Record, Session};
use crate::time::Timestamp;

/// The log of a store: where records are appended. The other thing that sessions need of a store is
/// [`Entropy`](crate::ports::Entropy).
pub trait Log {
    /// Appends an entry to a session's chain as it stands so far, and returns its position. `confirms`: the record also
    /// says that the client returned the session's cookie. Called with the session's shard held.
    fn append(&self, chain: &Chain, confirms: bool, entry: &Entry) -> Lsn;

    /// These records of a session are about to be appended; for whoever keeps who is online. Called with the session's
    /// shard held.
    fn decided(&self, session: &Session, host: HostIndex, now: Timestamp, records: &[Record]) {
        let _ = (session, host, now, records);
    }

    /// A session has ended; for whoever counts.
    fn ended(&self, ended: &Ended) {
        let _ = ended;
    }
}

/// One call into the sessions: where its records go, and what it has to do and to wait for in the end.
pub(super) struct Effects<'a, L> {
    pub(super) log: &'a L,
    pub(super) indexes: &'a Indexes,
    /// The newest record that an answer has to wait for.
    pub(super) newest: Lsn,
    /// Sessions that a newer login took the place of.
    pub(super) superseded: Vec<VisitId>,
}

impl<'a, L: Log> Effects<'a, L> {
    pub(super) const fn new(log: &'a L, indexes: &'a Indexes) -> Self {
        Self { log, indexes, newest: Lsn::NONE, superseded: Vec::new() }
    }

    pub(super) fn append(&mut self, chain: &mut Chain, confirms: bool, entry: &Entry) {
        let lsn = self.log.append(chain, confirms, entry);
        if !chain.first.is_some() {
            chain.first = lsn;
        }
        chain.last = lsn;
        self.reached(lsn);
    }

    /// An answer has to wait for this record.
    pub(super) fn reached(&mut self, newest: Lsn) {
        self.newest = self.newest.max(newest);
    }
}
