//! What an erasure took out of what waits for sinks, or was set aside.

use visitlog_core::erasure::FoundVisits;

/// What was taken out of parks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasedParks {
    /// Nothing is under way; else it is to be called again.
    pub is_done: bool,
    /// Visits that went because they are damaged: nobody can say whom they name.
    pub unreadable: u64,
}

/// What was taken out of quarantines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErasedAside {
    /// Which visits went.
    pub visits: FoundVisits,
    /// Visits that went because they are damaged: nobody can say whom they name, or which they are.
    pub unreadable: u64,
}
