//! How a sink is doing.

use std::sync::Arc;

use visitlog_core::{Lsn, Timestamp};

/// How a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SinkState {
    /// It has not been made ready yet.
    #[default]
    Starting,
    /// It takes what comes.
    Running,
    /// It fails, and is tried again.
    Failing {
        /// Since when.
        since: Timestamp,
        /// How it failed last.
        what: Arc<str>,
    },
    /// A person wants it to be left alone, until the next start at most.
    Paused {
        /// Since when.
        since: Timestamp,
    },
    /// It is not configured at present; what its park holds waits for it.
    LeftOut,
    /// It is not tried again before a person has looked.
    Stopped {
        /// Since when.
        since: Timestamp,
        /// Why, and what to do.
        what: Arc<str>,
    },
}

/// A sink, as metrics and a person see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// How it is doing.
    pub state: SinkState,
    /// The last End that it has acknowledged.
    pub acknowledged: Lsn,
    /// The last End that it was given, or that was parked or passed for it.
    pub taken: Lsn,
    /// Visits that it still has to get, parked ones included.
    pub backlog: u64,
    /// The oldest position of the source that it still needs.
    pub oldest_needed: Option<Lsn>,
    /// Bytes of the source from there to the newest record.
    pub held_bytes: u64,
    /// Visits in its park.
    pub parked: u64,
    /// Bytes of its park.
    pub parked_bytes: u64,
    /// Visits that were set aside.
    pub set_aside: u64,
    /// Bytes that they take.
    pub set_aside_bytes: u64,
    /// Visits that were set aside and can't be read any more.
    pub set_aside_damaged: u64,
    /// Panics since the start of the process.
    pub panics: u64,
    /// Visits delivered since the start of the process.
    pub delivered: u64,
    /// Visits that it will never get, because its park was full: loss reason `sink_quota`.
    pub lost_quota: u64,
    /// Visits that were to be set aside when there was no room for that: loss reason `sink_quarantine`.
    pub lost_quarantine: u64,
    /// Visits that ended while it was left out: loss reason `sink_left_out`.
    pub lost_left_out: u64,
    /// For a sink that gathers: since when visits have waited for others.
    pub waiting_since: Option<Timestamp>,
}
