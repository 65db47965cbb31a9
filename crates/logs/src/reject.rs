//! Lines that are no request, and the account of all lines.

use std::ops::AddAssign;
use std::sync::Arc;

/// Why a line is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Longer than [`LINE_BYTES_MAX`](crate::limits::LINE_BYTES_MAX).
    #[error("line too long: at most {} bytes expected, {bytes} found", crate::limits::LINE_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// Nothing but NUL bytes: what a crash leaves where a block was not written.
    #[error("nothing but NUL bytes")]
    Nul,
    /// It does not have the format's shape.
    #[error("does not fit the format from byte {at} of the line on: {expected} expected")]
    Shape {
        /// The byte of the line where it goes wrong.
        at: u32,
        /// What should stand there.
        expected: &'static str,
    },
    /// A time that is none.
    #[error("byte {at} of the line: a time expected")]
    Time {
        /// Where it should be.
        at: u32,
    },
    /// A status that is none.
    #[error("byte {at} of the line: a status expected")]
    Status {
        /// Where it should be.
        at: u32,
    },
    /// A row before any `#Fields`.
    #[error("a row before the first #Fields line")]
    NoFields,
    /// JSON that is none, or no object.
    #[error("byte {at} of the line: {expected} of a JSON object expected")]
    Json {
        /// Where it goes wrong.
        at: u32,
        /// What should stand there.
        expected: &'static str,
    },
    /// A request without a time makes no visit.
    #[error("no time")]
    NoTime,
    /// A time without its year makes no visit.
    #[error("a time without a year")]
    NoYear,
}

impl Reason {
    /// A short name that stays the same, for tables and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Nul => "nul",
            Self::Shape { .. } => "shape",
            Self::Time { .. } => "time",
            Self::Status { .. } => "status",
            Self::NoFields => "no_fields",
            Self::Json { .. } => "json",
            Self::NoTime => "no_time",
            Self::NoYear => "no_year",
        }
    }
}

/// A line that was not read, and where to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// The line's number, from 1.
    pub line: u64,
    /// The line's first byte, from 0, in the decompressed text.
    pub offset: u64,
    /// Why.
    pub reason: Reason,
    /// The line's bytes, at most [`REJECT_BYTES_MAX`](crate::limits::REJECT_BYTES_MAX).
    pub bytes: Vec<u8>,
}

/// What became of lines. Every line is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests.
    pub parsed: u64,
    /// Directives, comments, blank lines, and what a server says about itself.
    pub directives: u64,
    /// Lines that are neither.
    pub rejected: u64,
}

impl Tally {
    /// All lines.
    pub const fn lines(&self) -> u64 {
        self.parsed + self.directives + self.rejected
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.parsed += other.parsed;
        self.directives += other.directives;
        self.rejected += other.rejected;
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}
