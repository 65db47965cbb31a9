//! Reading segments from front to back, as they stand on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::Lsn;
use visitlog_core::ports::{Disk, DiskFile};

use super::error::{Corrupt, Fault, JournalError};
use super::format::{self, HEADER_LEN, Header, RECORD_LEN_MIN, Seed};
use super::record::RecordRef;

/// Bytes read at a time.
const READ_BYTES: usize = 1024 * 1024;

/// A segment's file as it is found.
#[derive(Debug, Clone)]
pub(super) struct SegmentFile {
    pub(super) first: Lsn,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) header: Result<Header, Fault>,
    /// Follows a segment of a higher epoch: a leftover of an earlier life.
    pub(super) void: bool,
}

impl SegmentFile {
    pub(super) fn corrupt(&self, byte: u64, fault: Fault) -> Corrupt {
        Corrupt { segment: self.first, byte, fault }
    }
}

/// Who else may have the journal open while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nobody,
    /// Its owner, who lets old segments go meanwhile: one that is no more is passed over.
    Owner,
}

impl Beside {
    /// What was opened; `None` if it is gone and may be.
    fn opened<T>(self, opened: io::Result<T>) -> io::Result<Option<T>> {
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self == Self::Owner => Ok(None),
            other => other.map(Some),
        }
    }
}

/// The segment files of a folder, by first LSN.
pub(super) fn survey(disk: &Arc<dyn Disk>, dir: &Path, beside: Beside) -> Result<Vec<SegmentFile>, JournalError> {
    let mut files = Vec::new();
    for path in disk.list(dir).map_err(|error| JournalError::io("list", dir, error))? {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(first) = name.and_then(format::first_of_name) {
            files.extend(look_at(disk, first, path, beside)?);
        }
    }
    files.sort_by_key(|file| file.first);
    let mut epoch = 0;
    for file in &mut files {
        if let Ok(header) = &file.header {
            file.void = header.epoch < epoch;
            epoch = epoch.max(header.epoch);
        }
    }
    Ok(files)
}

fn look_at(
    disk: &Arc<dyn Disk>,
    first: Lsn,
    path: PathBuf,
    beside: Beside,
) -> Result<Option<SegmentFile>, JournalError> {
    let read = || {
        let Some(file) = beside.opened(disk.open_to_read(&path))? else { return Ok(None) };
        let mut bytes = [0; HEADER_LEN as usize];
        let got = file.read_at(&mut bytes, 0)?;
        let header = if got < bytes.len() && bytes[..got].iter().all(|byte| *byte == 0) {
            Err(Fault::Missing { expected: "a segment's header" })
        } else {
            Header::decode(&bytes).and_then(|header| {
                if header.first == first {
                    Ok(header)
                } else {
                    Err(Fault::Place { expected: first, found: header.first })
                }
            })
        };
        Ok(Some((file.len()?, header)))
    };
    match read() {
        Ok(Some((len, header))) => Ok(Some(SegmentFile { first, path, len, header, void: false })),
        Ok(None) => Ok(None),
        Err(error) => Err(JournalError::io("read", &path, error)),
    }
}

/// What comes next in a segment.
pub(super) enum Step<'a> {
    Record(RecordRef<'a>),
    /// Its extent, or the last segment's file, ends here.
    Done,
    /// Not a record.
    Bad(Fault),
}

/// Goes through the records of one segment.
pub(super) struct Scan<'s> {
    file: Arc<dyn DiskFile>,
    path: &'s Path,
    seed: Seed,
    first: u64,
    /// First LSN of the next segment.
    extent_end: Option<u64>,
    /// Where the file ends, as an LSN, or the extent if that is before.
    data_end: u64,
    bytes: Vec<u8>,
    /// LSN of `bytes[0]`.
    start: u64,
    at: usize,
}

impl<'s> Scan<'s> {
    /// `next` is the first LSN of the next segment. `None`: the segment is gone.
    pub(super) fn new(
        disk: &Arc<dyn Disk>,
        segment: &'s SegmentFile,
        seed: Seed,
        next: Option<Lsn>,
        beside: Beside,
    ) -> Result<Option<Self>, JournalError> {
        let opened = beside.opened(disk.open_to_read(&segment.path));
        let Some(file) = opened.map_err(|error| JournalError::io("open", &segment.path, error))? else {
            return Ok(None);
        };
        let first = segment.first.0;
        // A stray file may be named for any position.
        let file_end = first.saturating_add(segment.len.saturating_sub(HEADER_LEN));
        Ok(Some(Self {
            file,
            path: &segment.path,
            seed,
            first,
            extent_end: next.map(|next| next.0),
            data_end: file_end.min(next.map_or(u64::MAX, |next| next.0)),
            bytes: Vec::new(),
            start: first,
            at: 0,
        }))
    }

    /// The position of the next step.
    pub(super) fn lsn(&self) -> Lsn {
        Lsn(self.start + self.at as u64)
    }

    /// The byte of the file where the next step is.
    pub(super) fn byte(&self) -> u64 {
        HEADER_LEN + self.lsn().0 - self.first
    }

    pub(super) fn step(&mut self) -> Result<Step<'_>, JournalError> {
        let lsn = self.lsn();
        let room = self.data_end - lsn.0;
        if room == 0 {
            return Ok(match self.extent_end {
                Some(end) if end > lsn.0 => Step::Bad(Fault::Missing { expected: "a record" }),
                _ => Step::Done,
            });
        }
        if room < RECORD_LEN_MIN as u64 {
            return Ok(Step::Bad(Fault::Missing { expected: "the rest of a record" }));
        }
        self.have(RECORD_LEN_MIN)?;
        let len = match format::record_len(&self.bytes[self.at..], room) {
            Ok(len) => len,
            Err(fault) => return Ok(Step::Bad(fault)),
        };
        self.have(len)?;
        let Some(record) = self.bytes.get(self.at..self.at + len) else {
            return Ok(Step::Bad(Fault::Missing { expected: "the rest of a record" }));
        };
        match format::check(record, lsn, self.seed) {
            Ok(record) => {
                self.at += len;
                Ok(Step::Record(record))
            }
            Err(fault) => Ok(Step::Bad(fault)),
        }
    }

    /// The highest position that a readable `Synced` record from here on names, bytes that are no records passed over.
    pub(super) fn later_marks(mut self) -> Result<Lsn, JournalError> {
        let mut mark = Lsn::NONE;
        while self.data_end - self.lsn().0 >= RECORD_LEN_MIN as u64 {
            self.have(READ_BYTES)?;
            let lsn = self.lsn();
            let here = &self.bytes[self.at..];
            if here.len() < RECORD_LEN_MIN {
                break;
            }
            if u64::from_le_bytes(format::array(here, 8)) == lsn.0
                && here[16] == format::Kind::Synced as u8
                && let Ok(len) = format::record_len(here, here.len() as u64)
                && let Ok(record) = format::check(&here[..len], lsn, self.seed)
            {
                mark = mark.max(mark_in(&record));
            }
            self.at += 1;
        }
        Ok(mark)
    }

    /// Makes sure that so many bytes are there from `at` on, as far as there are any.
    fn have(&mut self, len: usize) -> Result<(), JournalError> {
        let there = self.bytes.len() - self.at;
        let left = usize::try_from(self.data_end - self.lsn().0).unwrap_or(usize::MAX);
        if there >= len.min(left) || (len == READ_BYTES && there >= 64 * 1024) {
            return Ok(());
        }
        self.start += self.at as u64;
        self.bytes.copy_within(self.at.., 0);
        self.at = 0;
        let want = len.max(READ_BYTES).min(left);
        self.bytes.resize(want, 0);
        let mut filled = there;
        while filled < want {
            let offset = HEADER_LEN + self.start - self.first + filled as u64;
            let got = self
                .file
                .read_at(&mut self.bytes[filled..], offset)
                .map_err(|error| JournalError::io("read", self.path, error))?;
            if got == 0 {
                break;
            }
            filled += got;
        }
        self.bytes.truncate(filled);
        Ok(())
    }
}

/// The position that a record proves to have been on stable storage. One beyond the record itself proves nothing:
/// nobody had written there.
fn mark_in(record: &RecordRef<'_>) -> Lsn {
    record.synced().ok().filter(|mark| *mark <= record.lsn).unwrap_or_default()
}

/// What going through all segments came to.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) records: u64,
    /// First LSNs of segments that went while they were to be read.
    pub(super) gone: Vec<Lsn>,
    /// Behind the last good record.
    pub(super) end: Lsn,
    pub(super) mark: Lsn,
    /// What was found at `end` instead of a record.
    pub(super) cut: Option<Corrupt>,
    /// Whether the cut is below the mark, or of a sort that no power cut leaves behind.
    pub(super) is_damage: bool,
}

/// Goes through segments that are not void, oldest first, and calls `on_record` for each valid record up to the first
/// thing that is none.
pub(super) fn walk(
    disk: &Arc<dyn Disk>,
    files: &[&SegmentFile],
    beside: Beside,
    seed_of: impl Fn(&Header) -> Seed,
    on_record: &mut dyn FnMut(RecordRef<'_>),
) -> Result<Walk, JournalError> {
    let mut walk = Walk { records: 0, gone: Vec::new(), end: Lsn::NONE, mark: Lsn::NONE, cut: None, is_damage: false };
    let mut seed = None;
    for (at, file) in files.iter().enumerate() {
        let next = files.get(at + 1).map(|next| next.first);
        let (fault, byte) = match &file.header {
            Ok(header) => {
                seed = Some(seed_of(header));
                let Some(mut scan) = Scan::new(disk, file, seed_of(header), next, beside)? else {
                    walk.gone.push(file.first);
                    walk.end = next.unwrap_or(file.first);
                    continue;
                };
                let fault = loop {
                    match scan.step()? {
                        Step::Record(record) => {
                            walk.records += 1;
                            walk.mark = walk.mark.max(mark_in(&record));
                            on_record(record);
                        }
                        Step::Done => break None,
                        Step::Bad(fault) => break Some(fault),
                    }
                };
                walk.end = scan.lsn();
                let Some(fault) = fault else { continue };
                let byte = scan.byte();
                walk.mark = walk.mark.max(scan.later_marks()?);
                (fault, byte)
            }
            // Its making was interrupted, and nothing was ever written to it.
            Err(fault) if fault.is_blank() && file.len <= HEADER_LEN && next.is_none() => {
                walk.end = file.first;
                break;
            }
            Err(fault) => {
                walk.end = file.first;
                if let Some(seed) = seed
                    && let Some(scan) = Scan::new(disk, file, seed, next, beside)?
                {
                    walk.mark = walk.mark.max(scan.later_marks()?);
                }
                (fault.clone(), 0)
            }
        };
        for (at, file) in files.iter().enumerate().skip(at + 1) {
            seed = file.header.as_ref().ok().map(&seed_of).or(seed);
            let next = files.get(at + 1).map(|next| next.first);
            if let Some(seed) = seed
                && let Some(scan) = Scan::new(disk, file, seed, next, beside)?
            {
                walk.mark = walk.mark.max(scan.later_marks()?);
            }
        }
        let cannot_be_torn = if file.header.is_err() { !fault.is_blank() } else { fault.is_unknown() };
        walk.is_damage = walk.end < walk.mark || cannot_be_torn;
        walk.cut = Some(file.corrupt(byte, fault));
        break;
    }
    Ok(walk)
}
