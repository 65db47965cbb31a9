//! How lanes are driven.

use std::time::Duration;

use visitlog_core::limits::{PARK_BYTES_MAX, QUARANTINE_BYTES_MAX, QUARANTINE_VISIT_SHARE};

/// How a lane is driven.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// Visits in a batch.
    pub batch_visits_max: usize,
    /// Bytes of a batch's records, unless a single visit has more: a batch is held in memory.
    pub batch_bytes_max: u64,
    /// The shortest time between two looks for visits: so that there are few larger batches, not many small ones.
    pub pace: Duration,
    /// How long after a first failure a sink is tried again; doubles with each further one.
    pub retry_min: Duration,
    /// The longest that a failing sink is left alone.
    pub retry_max: Duration,
    /// How long a sink may fail before its backlog is parked.
    pub park_after: Duration,
    /// How many bytes of the source's records a sink's backlog may hold back before it is parked.
    pub held_bytes_max: u64,
    /// The longest that a sink's park may be, in bytes. What comes then is lost to it, and counted.
    pub park_bytes_max: u64,
    /// The longest that a sink's quarantine may be, in bytes: what is set aside then is lost to it, and counted. The
    /// oldest stays, for it tells how it began. See [`QUARANTINE_VISIT_SHARE`] too.
    pub quarantine_bytes_max: u64,
    /// A sink that has not answered for so long hangs: it is down, until it comes back.
    pub hangs_after: Duration,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self {
            batch_visits_max: 4_096,
            batch_bytes_max: 32 * 1024 * 1024,
            pace: Duration::from_millis(200),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
            park_after: Duration::from_secs(300),
            held_bytes_max: 1 << 30,
            park_bytes_max: PARK_BYTES_MAX,
            quarantine_bytes_max: QUARANTINE_BYTES_MAX,
            hangs_after: Duration::from_secs(60),
        }
    }
}

impl LaneSettings {
    /// The most that is set aside of a visit whose records can't be read, in bytes.
    pub(crate) const fn unreadable_bytes_max(&self) -> u64 {
        self.quarantine_bytes_max / QUARANTINE_VISIT_SHARE
    }
}
