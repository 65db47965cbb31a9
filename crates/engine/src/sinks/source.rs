//! What the driver needs of the journal.

use visitlog_core::model::Entry;
use visitlog_core::ports::StoreError;
use visitlog_core::{Lsn, VisitId};

use crate::journal::{Ack, Journal, JournalError};

/// Where `End`s and their chains come from, and where acknowledgements are written. The journal is one.
pub trait EndSource: Send + Sync {
    /// The journal's UUID.
    fn uuid(&self) -> u128;
    /// Everything below is on stable storage.
    fn synced(&self) -> Lsn;
    /// Everything below is written.
    fn written(&self) -> Lsn;
    /// Everything below is appended.
    fn appended(&self) -> Lsn;
    /// Whether it can take an acknowledgement now.
    ///
    /// # Errors
    /// `Unavailable` while the disk takes nothing, `Stopped` when it never will again.
    fn check(&self) -> Result<(), StoreError>;
    /// The chains that end with these records, each oldest first, in the order of the questions: as many of the first
    /// ones as fit in about `bytes` of memory, one at least.
    fn chains(&self, ends: &[(VisitId, Lsn)], bytes: usize) -> Vec<Result<Vec<Entry>, JournalError>>;
    /// Appends an acknowledgement; returns its position.
    fn acknowledge(&self, ack: &Ack) -> Lsn;
}

impl EndSource for Journal {
    fn uuid(&self) -> u128 {
        Self::uuid(self)
    }

    fn synced(&self) -> Lsn {
        Self::synced(self)
    }

    fn written(&self) -> Lsn {
        Self::written(self)
    }

    fn appended(&self) -> Lsn {
        Self::appended(self)
    }

    fn check(&self) -> Result<(), StoreError> {
        Self::check(self)
    }

    fn chains(&self, ends: &[(VisitId, Lsn)], bytes: usize) -> Vec<Result<Vec<Entry>, JournalError>> {
        let entries = |chain: Vec<crate::journal::ChainEntry>| chain.into_iter().map(|record| record.entry).collect();
        self.read_chains(ends, bytes).into_iter().map(|chain| chain.map(entries)).collect()
    }

    fn acknowledge(&self, ack: &Ack) -> Lsn {
        self.appender().append_ack(ack)
    }
}
