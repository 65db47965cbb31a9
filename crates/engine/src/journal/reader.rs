//! The reading side: one record, one chain, many chains.

use std::fmt;

use visitlog_core::{Lsn, VisitId};

use super::codec::Before;
use super::error::{Corrupt, Fault, JournalError};
use super::format::{self, Kind, RECORD_LEN_MIN};
use super::journal::Journal;
use super::record::{ChainEntry, RecordRef};
use super::segments::RecordPlace;

/// Read around a record of a single chain: its predecessors are often close before it.
const BEHIND_BYTES: u64 = 3 * 1024;
const AHEAD_BYTES: u64 = 1024;

/// Whether records of this kind tell anything that the visit is made of. Touches and the values on the way don't: the
/// end has the last of both.
pub(super) const fn makes_visit(kind: Kind) -> bool {
    matches!(kind, Kind::Start | Kind::Event | Kind::Rotate | Kind::Withdraw | Kind::End)
}

/// Bytes of the journal in memory: part of one segment, or one record that is not written yet. Who reads several records
/// in one neighbourhood keeps it in between.
pub struct Window {
    place: Option<RecordPlace>,
    start: u64,
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("start", &self.start).field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// An empty one.
    pub const fn new() -> Self {
        Self { place: None, start: 0, bytes: Vec::new() }
    }

    /// The whole record at `lsn`, checked, if it is in the window.
    pub(super) fn record(&self, journal: &Journal, lsn: u64) -> Result<Option<RecordRef<'_>>, JournalError> {
        let Some(bytes) = lsn
            .checked_sub(self.start)
            .and_then(|at| self.bytes.get(usize::try_from(at).ok()?..))
            .filter(|bytes| bytes.len() >= RECORD_LEN_MIN)
        else {
            return Ok(None);
        };
        let (segment, seed, room) = match &self.place {
            Some(place) => (place.segment.first, place.segment.seed, self.extent(journal, place) - lsn),
            None => (0, journal.seed, bytes.len() as u64),
        };
        let corrupt = |fault| {
            let byte = self.place.as_ref().map_or(0, |place| place.byte(lsn));
            JournalError::Corrupt(Corrupt { segment: Lsn(segment), byte, fault })
        };
        let len = format::record_len(bytes, room).map_err(corrupt)?;
        let Some(record) = bytes.get(..len) else {
            return Ok(None);
        };
        format::check(record, Lsn(lsn), seed).map(Some).map_err(corrupt)
    }

    fn extent(&self, journal: &Journal, place: &RecordPlace) -> u64 {
        place.end.min(journal.written().0)
    }

    /// The same, checked to be of `visit`.
    pub(super) fn record_of(
        &self,
        journal: &Journal,
        visit: VisitId,
        lsn: u64,
    ) -> Result<Option<RecordRef<'_>>, JournalError> {
        let Some(record) = self.record(journal, lsn)? else {
            return Ok(None);
        };
        if record.visit == visit {
            return Ok(Some(record));
        }
        Err(JournalError::Stranger {
            segment: self.place.as_ref().map_or(Lsn::NONE, |place| Lsn(place.segment.first)),
            byte: self.place.as_ref().map_or(0, |place| place.byte(lsn)),
            expected: visit,
            found: record.visit,
        })
    }

    /// Fills the window so that it holds the record at `lsn` whole, and what stands up to `behind` before and up to
    /// `ahead` after its start in the same segment.
    pub(super) fn fetch(&mut self, journal: &Journal, lsn: u64, behind: u64, ahead: u64) -> Result<(), JournalError> {
        if lsn >= journal.written().0 && self.fetch_unwritten(journal, lsn) {
            return Ok(());
        }
        let written = journal.written().0;
        let outside = || JournalError::Outside { lsn: Lsn(lsn), oldest: journal.oldest(), end: journal.appended() };
        let place = journal.segments.locate(lsn)?.filter(|_| lsn < written).ok_or_else(outside)?;
        let extent = place.end.min(written);
        if lsn >= extent {
            return Err(outside());
        }
        self.start = lsn.saturating_sub(behind).max(place.segment.first);
        let end = lsn.saturating_add(ahead).min(extent);
        self.read(journal, &place, end)?;
        let record = &self.bytes[((lsn - self.start) as usize).min(self.bytes.len())..];
        // A record that can't be is reported by `record`.
        if let Ok(len) = format::record_len(record, extent - lsn)
            && len > record.len()
        {
            self.read(journal, &place, lsn + len as u64)?;
        }
        let missing = (lsn - self.start) as usize + RECORD_LEN_MIN > self.bytes.len();
        if missing {
            let fault = Fault::Missing { expected: "a record" };
            let byte = place.byte(lsn);
            return Err(JournalError::Corrupt(Corrupt { segment: Lsn(place.segment.first), byte, fault }));
        }
        self.place = Some(place);
        Ok(())
    }

    fn read(&mut self, journal: &Journal, place: &RecordPlace, end: u64) -> Result<(), JournalError> {
        self.bytes.resize((end - self.start) as usize, 0);
        let mut filled = 0;
        while filled < self.bytes.len() {
            let offset = place.byte(self.start) + filled as u64;
            match place.file.read_at(&mut self.bytes[filled..], offset) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) => {
                    // What is in it now belongs to no place.
                    self.bytes.clear();
                    return Err(JournalError::io("read", &journal.segments.path(place.segment.first), error));
                }
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }

    /// Looks in the gather buffer, then in what is being written: the way that records go.
    fn fetch_unwritten(&mut self, journal: &Journal, lsn: u64) -> bool {
        self.bytes.clear();
        let append = journal.appending.lock();
        if let Some(record) = append.chunk.record(lsn) {
            self.bytes.extend_from_slice(record);
        } else {
            drop(append);
            let flight = journal.flight.read();
            if let Some(record) = flight.as_ref().and_then(|chunk| chunk.record(lsn)) {
                self.bytes.extend_from_slice(record);
            }
        }
        self.place = None;
        self.start = lsn;
        !self.bytes.is_empty()
    }
}

impl Journal {
    /// Reads the record at `lsn`, written or not, and checks that it is of `visit`. With it comes the position of the
    /// visit's previous record.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or is another visit's.
    pub fn read(&self, visit: VisitId, lsn: Lsn) -> Result<(ChainEntry, Lsn), JournalError> {
        let mut window = Window::new();
        let record = self.record_at(&mut window, visit, lsn, AHEAD_BYTES)?;
        Ok((self.chain_entry(record, &mut Before::default())?, record.prev))
    }

    /// Reads a visit's chain from its last record back, and returns what makes the visit, oldest first: its start,
    /// events, logins and end. Touches and the values that were set on the way are passed over: there may be any number
    /// of them, and the end has the last of both.
    ///
    /// # Errors
    /// When a record can't be read, is damaged, or is another visit's.
    pub fn read_chain(&self, visit: VisitId, last: Lsn) -> Result<Vec<ChainEntry>, JournalError> {
        let (mut chain, mut before) = (Vec::new(), Before::default());
        self.walk_back(&mut Window::new(), visit, (last, Lsn::NONE), &mut |record| {
            if makes_visit(record.kind) {
                chain.push(self.chain_entry(record, &mut before)?);
            }
            Ok(())
        })?;
        chain.reverse();
        Ok(chain)
    }

    /// Calls `on_record` for each record of a visit's chain from the first position back, as far as they are newer than
    /// the second one.
    ///
    /// # Errors
    /// When a record can't be read, is damaged, or is another visit's; or those of `on_record`.
    pub fn walk_back(
        &self,
        window: &mut Window,
        visit: VisitId,
        (last, upto): (Lsn, Lsn),
        on_record: &mut dyn FnMut(RecordRef<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut next = last;
        while next > upto {
            if window.record_of(self, visit, next.0)?.is_none() {
                window.fetch(self, next.0, BEHIND_BYTES, AHEAD_BYTES)?;
            }
            let record = window.record_of(self, visit, next.0)?.ok_or_else(|| self.outside(next))?;
            on_record(record)?;
            next = self.before(record)?;
        }
        Ok(())
    }

    /// The record at `lsn`, written or not, checked to be of `visit`; `ahead` bytes from there on are read with it.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or is another visit's.
    pub fn record_at<'w>(
        &self,
        window: &'w mut Window,
        visit: VisitId,
        lsn: Lsn,
        ahead: u64,
    ) -> Result<RecordRef<'w>, JournalError> {
        if window.record_of(self, visit, lsn.0)?.is_none() {
            window.fetch(self, lsn.0, 0, ahead)?;
        }
        window.record_of(self, visit, lsn.0)?.ok_or_else(|| self.outside(lsn))
    }

    /// The previous record's position, which must be lower: else a walk would have no end.
    pub(super) fn before(&self, record: RecordRef<'_>) -> Result<Lsn, JournalError> {
        if record.prev < record.lsn {
            return Ok(record.prev);
        }
        Err(self.corrupt(record.lsn, Fault::Place { expected: Lsn(record.lsn.0 - 1), found: record.prev }))
    }

    pub(super) fn chain_entry(&self, record: RecordRef<'_>, before: &mut Before) -> Result<ChainEntry, JournalError> {
        match record.entry_after(before) {
            Ok(entry) => Ok(ChainEntry { lsn: record.lsn, flags: record.flags, entry }),
            Err(error) => Err(self.corrupt(record.lsn, Fault::Payload(error))),
        }
    }

    fn corrupt(&self, lsn: Lsn, fault: Fault) -> JournalError {
        let segment = self.segments.locate(lsn.0).ok().flatten().map_or(0, |place| place.segment.first);
        let byte = format::HEADER_LEN + lsn.0 - segment;
        JournalError::Corrupt(Corrupt { segment: Lsn(segment), byte, fault })
    }

    pub(crate) fn outside(&self, lsn: Lsn) -> JournalError {
        JournalError::Outside { lsn, oldest: self.oldest(), end: self.appended() }
    }
}
