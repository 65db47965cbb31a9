//! What statements may take.

use std::time::Duration;

/// Memory that all statements together may take for sorting, grouping and joining; then they spill to disk or fail.
pub const MEMORY_BYTES: usize = 512 << 20;
/// Disk that they may take for what does not fit into memory.
pub const SPILL_BYTES: u64 = 4 << 30;
/// Time that a statement may take until its last row has been taken, the wait for its turn included.
pub const TIME: Duration = Duration::from_secs(60);
/// Rows that a statement may give.
pub const ROWS: u64 = 1_000_000;
/// Statements that run at once; others wait for their turn.
pub const AT_ONCE: usize = 4;
/// Length of a statement.
pub const SQL_BYTES_MAX: usize = 65_536;
/// Memory that the functions of a statement may take for the text that they make of one batch of rows (8,192 at most): one
/// part of its memory in so many, and never less than [`TEXT_BYTES_MIN`].
pub const TEXT_SHARE: usize = 8;
/// The least of that.
pub const TEXT_BYTES_MIN: usize = 16 << 20;
/// Operators in a row in one expression: `a OR b OR c` has two. Lists in `IN (...)` may be longer.
pub const CHAIN_MAX: usize = 1_000;
/// Tables that one statement may read, those of each `WITH` counted where it is used; queries in one, and parts of a `UNION`.
pub const TABLES_MAX: usize = 256;
/// Parts of an expression with all that its columns are computed of.
pub const EXPRESSION_MAX: usize = 100_000;

/// What statements may take, as set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all statements together. Default 512 MiB.
    pub memory_bytes: usize,
    /// Disk for what does not fit into memory, of all statements together. Default 4 GiB.
    pub spill_bytes: u64,
    /// Time of one statement, the wait for its turn included. Default 60 s.
    pub time: Duration,
    /// Rows of one result. Default 1,000,000.
    pub rows: u64,
    /// Statements that run at once. Default 4.
    pub at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: MEMORY_BYTES, spill_bytes: SPILL_BYTES, time: TIME, rows: ROWS, at_once: AT_ONCE }
    }
}
