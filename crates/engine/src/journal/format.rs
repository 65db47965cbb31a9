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
//! | 17 | flags: 1 carried, 2 confirms, 4 the last one carried; others are ignored |
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
pub use super::kind::{Flags, Kind};
pub use super::record::RECORD_LEN_MIN;
use super::record::RecordRef;

/// The first bytes of every segment.
pub const MAGIC: [u8; 8] = *b"VLJRNL\r\n";
/// The format's version.
pub const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub const HEADER_LEN: u64 = 64;
/// The first position of a new journal.
pub const FIRST_LSN: Lsn = Lsn(64);
/// A record of the journal's own is split before it gets longer than this.
pub const META_BYTES_MAX: usize = 64 * 1024;

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The journal's UUID.
    pub uuid: u128,
    /// The epoch of its records.
    pub epoch: u64,
    /// Its first LSN.
    pub first: Lsn,
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut bytes = [0; HEADER_LEN as usize];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.uuid.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it back.
    ///
    /// # Errors
    /// When the bytes are no header of a version that this program knows. Only zeros: [`Fault::Zeros`].
    pub fn decode(bytes: &[u8; HEADER_LEN as usize]) -> Result<Self, Fault> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Fault::Zeros { expected: "a segment's header" });
        }
        let magic: [u8; 8] = array(bytes, 0);
        if magic != MAGIC {
            return Err(Fault::Magic { expected: MAGIC, found: magic });
        }
        let (expected, found) = (crc32c::crc32c(&bytes[..60]), u32::from_le_bytes(array(bytes, 60)));
        if expected != found {
            return Err(Fault::Checksum { expected, found });
        }
        let version = u32::from_le_bytes(array(bytes, 8));
        if version != VERSION {
            return Err(Fault::Version { expected: VERSION, found: version });
        }
        Ok(Self {
            uuid: u128::from_le_bytes(array(bytes, 16)),
            epoch: u64::from_le_bytes(array(bytes, 32)),
            first: Lsn(u64::from_le_bytes(array(bytes, 40))),
        })
    }
}

/// The name of a segment's file.
pub fn file_name(first: Lsn) -> String {
    format!("journal-{:020}.seg", first.0)
}

/// The first LSN that a file is named for; `None` for other files.
pub fn first_of_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Lsn)
}

/// What every record of a journal's epoch begins its checksum with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// Of a journal and an epoch.
    pub fn new(uuid: u128, epoch: u64) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(&uuid.to_le_bytes()), &epoch.to_le_bytes()))
    }

    /// The checksum of a whole record.
    fn of(self, record: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &record[..4]), &record[8..])
    }
}

/// Begins a record at the end of a buffer; the payload follows, then [`seal`].
pub(super) fn begin(out: &mut Vec<u8>, lsn: Lsn, kind: Kind, flags: Flags, visit: VisitId, prev: Lsn) -> usize {
    let start = out.len();
    let mut head = [0; RECORD_LEN_MIN];
    head[8..16].copy_from_slice(&lsn.0.to_le_bytes());
    head[16] = kind as u8;
    head[17] = flags.0;
    head[18..34].copy_from_slice(&visit.as_u128().to_le_bytes());
    head[34..42].copy_from_slice(&prev.0.to_le_bytes());
    out.extend_from_slice(&head);
    start
}

/// Ends the record that began at `start`: its length and its checksum.
pub(super) fn seal(out: &mut [u8], start: usize, seed: Seed) {
    let record = &mut out[start..];
    let len = u32::try_from(record.len()).expect("a record is shorter than 4 GiB: limits hold long before");
    record[..4].copy_from_slice(&len.to_le_bytes());
    let crc = seed.of(record);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The length of the record that begins here.
///
/// # Errors
/// When it can't be: too short for a record, or longer than `room`.
pub(super) fn record_len(bytes: &[u8], room: u64) -> Result<usize, Fault> {
    let Some(len) = bytes.first_chunk::<4>() else {
        return Err(Fault::Missing { expected: "a record" });
    };
    let len = u64::from(u32::from_le_bytes(*len));
    if len == 0 && bytes.iter().take(RECORD_LEN_MIN).all(|byte| *byte == 0) {
        return Err(Fault::Zeros { expected: "a record" });
    }
    if len < RECORD_LEN_MIN as u64 || len > room {
        return Err(Fault::Length { at_least: RECORD_LEN_MIN as u64, at_most: room, found: len });
    }
    Ok(len as usize)
}

/// The record that these bytes are, all of them.
///
/// # Errors
/// When its checksum, its place or its kind is wrong.
pub(super) fn check(record: &[u8], lsn: Lsn, seed: Seed) -> Result<RecordRef<'_>, Fault> {
    let (expected, found) = (seed.of(record), u32::from_le_bytes(array(record, 4)));
    if expected != found {
        return Err(Fault::Checksum { expected, found });
    }
    let place = Lsn(u64::from_le_bytes(array(record, 8)));
    if place != lsn {
        return Err(Fault::Place { expected: lsn, found: place });
    }
    Ok(RecordRef {
        lsn,
        kind: Kind::from_code(record[16]).ok_or(Fault::Kind { found: record[16] })?,
        flags: Flags(record[17]),
        visit: VisitId::from_u128(u128::from_le_bytes(array(record, 18))),
        prev: Lsn(u64::from_le_bytes(array(record, 34))),
        payload: &record[RECORD_LEN_MIN..],
    })
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the caller has checked the length")
}
