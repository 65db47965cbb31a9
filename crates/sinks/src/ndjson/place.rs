//! How far the sink has come: a day's file, an offset in it, and a checksum over what lies just before.
//!
//! Encoded, little-endian: version `1` (u8), year (i16), month (u8), day (u8), offset (u64), CRC-32C (u32) over the up
//! to 4,096 bytes before the offset. No bytes at all say: nothing delivered yet.

use std::io;

use jiff::civil::Date;
use visitlog_core::Timestamp;
use visitlog_core::ports::DiskFile;

use super::erase;
use crate::document::to_jiff;

const VERSION: u8 = 1;
const BYTES: usize = 1 + 4 + 8 + 4;
/// So much before the offset is checked. A page: what an editor or another program changes near the end is seen,
/// and reading it costs nothing.
const CHECKED_BYTES_MAX: u64 = 4_096;

/// A place in a day's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's day.
    pub(super) day: Date,
    /// Bytes of whole lines in it.
    pub(super) offset: u64,
    /// Over what lies before the offset.
    pub(super) crc: u32,
}

impl Place {
    /// The start of a day's file.
    pub(super) const fn start_of(day: Date) -> Self {
        Self { day, offset: 0, crc: 0 }
    }

    /// The place at `offset` of a day's file as it is now.
    pub(super) fn in_file(day: Date, file: &dyn DiskFile, offset: u64) -> io::Result<Self> {
        let from = offset.saturating_sub(CHECKED_BYTES_MAX);
        let mut before = vec![0; usize::try_from(offset - from).unwrap_or(0)];
        let read = file.read_at(&mut before, from)?;
        if read != before.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { day, offset, crc: crc32c::crc32c(&before) })
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.day.year().to_le_bytes());
        bytes.push(self.day.month().unsigned_abs());
        bytes.push(self.day.day().unsigned_abs());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// `None` where the bytes are none of ours, or of a later version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let [VERSION, y0, y1, month, day, rest @ ..] = bytes else { return None };
        let year = i16::from_le_bytes([*y0, *y1]);
        let day = Date::new(year, i8::try_from(*month).ok()?, i8::try_from(*day).ok()?).ok()?;
        let (offset, crc) = rest.split_first_chunk()?;
        let crc = crc.try_into().ok()?;
        Some(Self { day, offset: u64::from_le_bytes(*offset), crc: u32::from_le_bytes(crc) })
    }
}

/// Whether erasure may have changed what a place's checksum is over.
pub(super) fn holds_erased(file: &dyn DiskFile, offset: u64) -> io::Result<bool> {
    let from = offset.saturating_sub(CHECKED_BYTES_MAX);
    let mut before = vec![0; usize::try_from(offset - from).unwrap_or(0)];
    file.read_at(&mut before, from)?;
    Ok(erase::shows(&before))
}

/// The day, in UTC, that a moment belongs to.
pub(super) fn day_of(at: Timestamp) -> Date {
    jiff::tz::Offset::UTC.to_datetime(to_jiff(at)).date()
}

/// A day's file name.
pub(super) fn file_name(day: Date) -> String {
    format!("visits-{day}.ndjson")
}

/// The day of a file name; `None` where it is not one of ours.
pub(super) fn day_in(name: &str) -> Option<Date> {
    let day = name.strip_prefix("visits-")?.strip_suffix(".ndjson")?.parse().ok()?;
    (file_name(day) == name).then_some(day)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place { day: date(2026, 11, 21), offset: 0x0102_0304_0506, crc: 0xdead_beef };
        let bytes = place.encode();
        assert_eq!(Place::decode(&bytes), Some(place));
        for len in 0..bytes.len() {
            assert_eq!(Place::decode(&bytes[..len]), None, "{len} bytes");
        }
        let mut later = bytes.clone();
        later[0] = 2;
        assert_eq!(Place::decode(&later), None, "a later version");
        let mut no_date = bytes;
        no_date[3] = 13;
        assert_eq!(Place::decode(&no_date), None, "a thirteenth month");
    }

    #[test]
    fn days_are_utc_and_named_by_date() {
        let late = Timestamp::from_secs(1_763_769_599);
        assert_eq!(file_name(day_of(late)), "visits-2025-11-21.ndjson");
        assert_eq!(file_name(day_of(late.after(std::time::Duration::from_secs(1)))), "visits-2025-11-22.ndjson");
        assert_eq!(day_in("visits-2025-11-21.ndjson"), Some(date(2025, 11, 21)));
        for other in ["visits-20251121.ndjson", "visits-2025-11-21.ndjson.moved", "visits-.ndjson", "lock"] {
            assert_eq!(day_in(other), None, "{other}");
        }
    }
}
