//! What the open sessions of a shard need of the journal.

use visitlog_core::{Lsn, VisitId};

/// A position below which no open session of a shard needs anything. It stays true: chains only move up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Floor {
    pub(crate) at: Lsn,
    /// Whose chain begins there. As long as that is so, no other session has to be looked at.
    pub(crate) whose: Option<VisitId>,
}
