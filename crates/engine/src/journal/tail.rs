//! Following the journal: its records in order, written or not, without holding up who writes.

use visitlog_core::Lsn;

use super::error::{Corrupt, Fault, JournalError};
use super::format::{self, HEADER_LEN, RECORD_LEN_MIN, Seed};
use super::journal::Journal;
use super::record::RecordRef;
use super::segments::SegmentsHeld;

/// Taken out of the gather buffer at a time: how long its lock is held for a reader.
const GATHERED_BYTES: usize = 256 * 1024;

/// Bytes of the journal that stand together.
struct Stretch {
    bytes: Vec<u8>,
    seed: Seed,
    /// First LSN of the segment; 0 where it is not written yet.
    segment: u64,
    /// The first position behind what could have been taken.
    end: u64,
}

impl Journal {
    /// Calls `on_record` for each record from `from` on, in order, until about `bytes` of them were read or there are
    /// no more. Returns where to go on.
    ///
    /// # Errors
    /// [`JournalError::Outside`] when `from` is not kept any more; or when a record can't be read or is damaged.
    pub fn read_tail(
        &self,
        from: Lsn,
        bytes: usize,
        on_record: &mut dyn FnMut(RecordRef<'_>),
    ) -> Result<Lsn, JournalError> {
        let mut next = from.0;
        let limit = from.0.saturating_add(bytes as u64);
        let mut want = bytes.max(RECORD_LEN_MIN);
        while next < self.appended().0 && (next == from.0 || next < limit) {
            let Some(stretch) = self.stretch(next, want)? else { continue };
            let taken = stretch.records(next, on_record)?;
            if taken == 0 {
                // Not even one record is whole.
                let room = stretch.end - next;
                let len = format::record_len(&stretch.bytes, room).map_err(|fault| stretch.corrupt(next, fault))?;
                if len <= stretch.bytes.len() || len <= want {
                    return Err(stretch.corrupt(next, Fault::Missing { expected: "the rest of a record" }));
                }
                want = len;
                continue;
            }
            next += taken as u64;
            want = usize::try_from(limit.saturating_sub(next)).unwrap_or(usize::MAX).max(RECORD_LEN_MIN);
        }
        Ok(Lsn(next))
    }

    /// Keeps every segment that there is now, until it is dropped.
    pub fn hold(&self) -> SegmentsHeld {
        self.segments.hold()
    }

    /// Up to `want` bytes from `lsn` on. `None`: they were being written just now; ask again.
    fn stretch(&self, lsn: u64, want: usize) -> Result<Option<Stretch>, JournalError> {
        let written = self.written().0;
        if lsn >= written {
            return Ok(self.unwritten_stretch(lsn, want));
        }
        let Some(place) = self.segments.locate(lsn)? else { return Err(self.outside(Lsn(lsn))) };
        let end = place.end.min(written);
        let want = usize::try_from(end - lsn).unwrap_or(usize::MAX).min(want);
        let mut bytes = vec![0; want];
        let mut filled = 0;
        while filled < want {
            let read = place.file.read_at(&mut bytes[filled..], place.byte(lsn) + filled as u64);
            match read.map_err(|error| JournalError::io("read", &self.segments.path(place.segment.first), error))? {
                0 => break,
                got => filled += got,
            }
        }
        bytes.truncate(filled);
        Ok(Some(Stretch { bytes, seed: place.segment.seed, segment: place.segment.first, end }))
    }

    /// Looks in the gather buffer, then in what is being written: the way that records go.
    fn unwritten_stretch(&self, lsn: u64, want: usize) -> Option<Stretch> {
        let cut = |start: u64, bytes: &[u8], most: usize| {
            let bytes = bytes.get(usize::try_from(lsn.checked_sub(start)?).ok()?..)?;
            let end = lsn + bytes.len() as u64;
            let bytes = bytes[..bytes.len().min(want.min(most))].to_vec();
            (!bytes.is_empty()).then_some(Stretch { bytes, seed: self.seed, segment: 0, end })
        };
        {
            let append = self.appending.lock();
            // A record that is longer than that is asked for again by its length.
            let most = GATHERED_BYTES.max(append.chunk.record(lsn).map_or(0, <[u8]>::len));
            if let Some(stretch) = cut(append.chunk.start, &append.chunk.bytes, most) {
                return Some(stretch);
            }
        }
        let flight = self.flight.read().clone()?;
        cut(flight.start, &flight.bytes, usize::MAX)
    }
}

impl Stretch {
    /// Calls `on_record` for all records that are whole; how many bytes they are.
    fn records(&self, first: u64, on_record: &mut dyn FnMut(RecordRef<'_>)) -> Result<usize, JournalError> {
        let mut at = 0;
        while self.bytes.len() - at >= RECORD_LEN_MIN {
            let lsn = first + at as u64;
            let corrupt = |fault| self.corrupt(lsn, fault);
            let len = format::record_len(&self.bytes[at..], self.end - lsn).map_err(corrupt)?;
            let Some(record) = self.bytes.get(at..at + len) else { break };
            on_record(format::check(record, Lsn(lsn), self.seed).map_err(corrupt)?);
            at += len;
        }
        Ok(at)
    }

    fn corrupt(&self, lsn: u64, fault: Fault) -> JournalError {
        let byte = if self.segment == 0 { 0 } else { HEADER_LEN + lsn - self.segment };
        JournalError::Corrupt(Corrupt { segment: Lsn(self.segment), byte, fault })
    }
}
