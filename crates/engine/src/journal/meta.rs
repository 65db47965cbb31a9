//! Payloads of the journal's own records: `Ack`, `Synced`, `Base`.

use visitlog_core::model::EndReason;
use visitlog_core::{Lsn, Timestamp, VisitId};

/// A sink has all Ends up to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The sink's name.
    pub sink: String,
    /// The last End that it has.
    pub lsn: Lsn,
    /// Where the sink stands behind it: its own words.
    pub place: Vec<u8>,
}

/// A piece of state that belongs to no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseItem {
    /// A sink's latest acknowledgement.
    Ack(Ack),
    /// A site that a confirmed session has used.
    Site(String),
    /// A session that ended and must not be opened or joined again.
    Tombstone {
        /// The visit.
        visit: VisitId,
        /// Why it ended.
        reason: EndReason,
        /// When its end was decided.
        closed_at: Timestamp,
    },
    /// The engine's time when the Base was written: after a restart the clock goes on from here at least.
    Time(Timestamp),
}
