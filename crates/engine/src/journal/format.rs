//! The bytes of a segment, version 1. This page is the specification; all integers are little-endian.
//!
//! A journal is a folder of **segments**, files named `journal-<first LSN, 20 digits>.seg`. Together they hold one
//! endless stream of records; an **LSN** is a byte offset in that stream. The first record of a new journal has LSN
//! [`FIRST_LSN`]; 0 is no position. The record with LSN `l` stands at byte `HEADER_LEN + (l - first)` of the segment
//! with the greatest `first <= l`, and wholly in it. A segment's extent ends where the next one begins, the last
//! one's where its records end: what the file holds behind that is void.
//!
//! **Header** of a segment, 64 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `VLJRNL\r\n` |
//! | 8..12 | format version, 1 |
//! | 12..16 | zero |
//! | 16..32 | the journal's UUID |
//! | 32..40 | epoch: one more with each opening |
//! | 40..48 | first LSN |
//! | 48..60 | zero |
//! | 60..64 | CRC-32C of bytes 0..60 |
//!
//! **Record**:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the whole record, at least 42 |
//! | 4..8 | CRC-32C over the journal's UUID, the segment's epoch, bytes 0..4, bytes 8..length |
//! | 8..16 | LSN |
//! | 16 | kind |
//! | 17 | flags: 1 carried, 2 confirms; others are ignored |
//! | 18..34 | the visit's id; zero in records that belong to none |
//! | 34..42 | LSN of the same visit's previous record; 0 in its first |
//! | 42..length | payload, see [`super::codec`] and [`super::meta`] |
//!
//! **Epochs.** Every opening starts a new segment in a new epoch, behind the last good record of the one before. A
//! segment that follows one of a higher epoch is a leftover of an earlier life, cut off since: void. The file of the
//! new segment may exist already and hold records of an earlier life; it is not cleared: those records lack the new
//! epoch in their checksum.
//!
//! **Synced.** A `Synced` record names the LSN below which all was on stable storage before it was written. The
//! highest one named by any readable `Synced` record is the journal's mark. A bad record below the mark is damage, and
//! an error; the first bad one at or above it is where a power cut took the rest, and the journal ends there.

use visitlog_core::{Lsn, VisitId};

use super::error::Fault;

/// The first bytes of every segment.
pub const MAGIC: [u8; 8] = *b"VLJRNL\r\n";
/// The format's version.
pub const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub const HEADER_LEN: u64 = 64;
/// Bytes of a record before its payload.
pub const RECORD_LEN_MIN: usize = 42;
/// The first position of a new journal.
pub const FIRST_LSN: Lsn = Lsn(64);
/// A record of the journal's own is split before it gets longer than this.
pub const META_BYTES_MAX: usize = 64 * 1024;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A session starts.
    Start = 1,
    /// Something happened in it.
    Event = 2,
    /// Values changed.
    Set = 3,
    /// There was activity.
    Touch = 4,
    /// The token changed.
    Rotate = 5,
    /// The session ends.
    End = 6,
    /// A sink has all Ends up to a place.
    Ack = 16,
    /// Everything below a place is on stable storage.
    Synced = 17,
    /// State of the journal that belongs to no session, repeated so that older segments can go.
    Base = 18,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Event,
        Self::Set,
        Self::Touch,
        Self::Rotate,
        Self::End,
        Self::Ack,
        Self::Synced,
        Self::Base,
    ];

    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Event => "event",
            Self::Set => "set",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::End => "end",
            Self::Ack => "ack",
            Self::Synced => "synced",
            Self::Base => "base",
        }
    }
}

/// What else is to be known of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A copy of an older record of the same visit, made so that the older one's segment can go. A chain continues
    /// with the copies, not with what they replace.
    pub const CARRIED: Self = Self(1);
    /// It proves that the client returned our cookie.
    pub const CONFIRMS: Self = Self(2);

    /// Whether all of these are set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}
