//! What can be wrong with a journal.

use std::io;
use std::path::PathBuf;

use visitlog_core::{Lsn, VisitId};

/// Why a journal could not be opened, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("journal: {doing} {}", path.display())]
    Io {
        /// What was being done, as in "open" or "sync".
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// What stands on the disk is not what was written there.
    #[error("{0}")]
    Corrupt(Corrupt),
    /// A record is not of the session whose chain led to it.
    #[error("segment {segment} at byte {byte}: a record of visit {expected} expected, one of {found} found")]
    Stranger {
        /// The segment's first LSN.
        segment: Lsn,
        /// The record's place in the file.
        byte: u64,
        /// Whose chain it was.
        expected: VisitId,
        /// Whose record it is.
        found: VisitId,
    },
    /// A sync failed before.
    #[error("journal stopped: {reason}")]
    Stopped {
        /// What failed.
        reason: std::sync::Arc<str>,
    },
    /// A position outside of the journal was asked for.
    #[error("lsn {lsn} is not in the journal, which holds {oldest} up to {end}")]
    Outside {
        /// The position.
        lsn: Lsn,
        /// The journal's first position.
        oldest: Lsn,
        /// The position behind its last record.
        end: Lsn,
    },
}

impl JournalError {
    pub(crate) fn io(doing: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// A place in a segment that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment} at byte {byte}: {fault}")]
pub struct Corrupt {
    /// The segment's first LSN, which its file is named for.
    pub segment: Lsn,
    /// Bytes from the start of the file.
    pub byte: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong at a place in a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The segment has another magic: it is no segment, or its first bytes are damaged.
    #[error("magic {expected:02x?} expected, {found:02x?} found")]
    Magic {
        /// The magic.
        expected: [u8; 8],
        /// What stands there.
        found: [u8; 8],
    },
    /// A format that this program does not know.
    #[error("format version {expected} expected, {found} found")]
    Version {
        /// The newest known.
        expected: u32,
        /// The segment's.
        found: u32,
    },
    /// The bytes do not fit their checksum.
    #[error("checksum {expected:#010x} expected, {found:#010x} found")]
    Checksum {
        /// Computed from the bytes.
        expected: u32,
        /// As it stands there.
        found: u32,
    },
    /// A record's length cannot be.
    #[error("a record of {at_least} to {at_most} bytes expected, one of {found} found")]
    Length {
        /// A record's header.
        at_least: u64,
        /// What the segment has room for.
        at_most: u64,
        /// The length as it stands there.
        found: u64,
    },
    /// A record or header says that it belongs elsewhere.
    #[error("lsn {expected} expected, {found} found")]
    Place {
        /// The place's own.
        expected: Lsn,
        /// What stands there.
        found: Lsn,
    },
    /// A segment of another journal.
    #[error("journal {expected:032x} expected, {found:032x} found")]
    Journal {
        /// The other segments'.
        expected: u128,
        /// This segment's.
        found: u128,
    },
    /// The file ends, or holds only zeros, where something must stand.
    #[error("{expected} expected, the end of the file found")]
    Missing {
        /// What.
        expected: &'static str,
    },
    /// Only zeros stand where something must.
    #[error("{expected} expected, zeros found")]
    Zeros {
        /// What.
        expected: &'static str,
    },
    /// A kind of record that this program does not know.
    #[error("a known kind of record expected, kind {found} found")]
    Kind {
        /// Its code.
        found: u8,
    },
    /// A record's payload cannot be understood though its checksum is right.
    #[error("payload: {0}")]
    Payload(super::codec::CodecError),
}

impl Fault {
    /// Whether nothing stands there. A header is written in one sector, so a power cut leaves it whole or not at all:
    /// any other fault of a header is damage.
    pub(crate) const fn is_blank(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Zeros { .. })
    }

    /// Whether a newer program may have written it: its checksum is right, so it was not torn, and is not to be cut.
    pub(crate) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Version { .. } | Self::Kind { .. } | Self::Payload(_))
    }
}
