//! `backlog-<sink>.park`: the visits of a sink that is down, so that the journal need not keep them. Format version 1,
//! integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `VLPARK\r\n` |
//! | 8..12 | format version, 1 |
//! | 12..28 | the journal's UUID |
//! | 28..32 | CRC-32C of bytes 0..28 |
//!
//! then frames, one a visit, in the order of the journal:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the payload |
//! | 4..8 | CRC-32C over bytes 8..32 and the payload |
//! | 8..16 | LSN of the visit's `End` |
//! | 16..32 | the visit's id |
//! | 32.. | payload: for each entry its kind (u8), a length (u32) and its bytes, see [`codec`] |
//!
//! How long the file is says the source: the park's acknowledgement (in a journal, under the name `<sink>.park`) names the last `End` that
//! was parked (or dropped, where the quota was reached), and as its place the version `1` (u8) and the file's length
//! (u64). What lies behind that length is void: a write that was not acknowledged, whose visits are still in the
//! journal. Which frames the sink has already is told by its own acknowledgement. When it has them all, the file goes.
//!
//! To take frames out, the others are written to a file of the next *generation*, `backlog-<sink>.<generation>.park`; the
//! acknowledgement's place is then the version `2` (u8), the file's length (u64) and its generation (u64). The older file
//! goes once that acknowledgement is on stable storage. The file without a number is of generation 0.

mod erase;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::codec::{self, CodecError, EntryKind};
use visitlog_core::model::{EndedVisit, Entry, assemble};
use visitlog_core::ports::{Disk, DiskFile, Mark, RawEntry};
use visitlog_core::{Lsn, VisitId};

use crate::quarantine::Why;

const MAGIC: [u8; 8] = *b"VLPARK\r\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 32;

/// What can be wrong with a park.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParkError {
    /// The disk refused.
    #[error("{doing} {} failed", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not this journal's.
    #[error("{}: a backlog of journal {uuid:032x} expected, another file found; move the file away", path.display())]
    Foreign { path: PathBuf, uuid: u128 },
    /// The file has visits that the sink has not, and is gone.
    #[error("{}: a backlog of {expected} bytes expected, none found: its visits are lost", path.display())]
    Missing { path: PathBuf, expected: u64 },
    /// The file is not as it was written.
    #[error("{} at byte {at}: {what}; restore the file, or move it away and lose its visits", path.display())]
    Damaged { path: PathBuf, at: u64, what: String },
}

impl ParkError {
    pub(crate) const fn is_retryable(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// A visit that was read: what it was, or why nobody knows.
pub(crate) struct Parked {
    pub(crate) end: Lsn,
    pub(crate) visit: VisitId,
    pub(crate) what: Result<EndedVisit, (Why, String)>,
}

/// A visit in the file that the sink has not.
#[derive(Debug, Clone, Copy)]
struct Frame {
    end: Lsn,
    visit: VisitId,
    at: u64,
    len: usize,
    crc: u32,
}

/// A sink's backlog on disk.
pub(crate) struct Park {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sink: String,
    /// Which file of the sink it is: [`Park::file_of`].
    generation: u64,
    path: PathBuf,
    /// Files of older generations, which are still there.
    older: Vec<PathBuf>,
    header: [u8; HEADER_BYTES],
    uuid: u128,
    /// Valid bytes in the file; 0 where there is none.
    len: u64,
    /// Frames that the sink has not.
    frames: VecDeque<Frame>,
    /// The last End that was parked or dropped.
    pub(crate) last: Lsn,
}

impl Park {
    /// An empty one; touches nothing.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, sink: &str, uuid: u128) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..28].copy_from_slice(&uuid.to_le_bytes());
        let crc = crc32c::crc32c(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        Self {
            disk,
            dir: dir.to_owned(),
            sink: sink.to_owned(),
            generation: 0,
            path: Self::file_of(dir, sink, 0),
            older: Vec::new(),
            header,
            uuid,
            len: 0,
            frames: VecDeque::new(),
            last: Lsn::NONE,
        }
    }

    /// Reads what a former life left: `parked` is the park's acknowledgement, `acknowledged` the sink's.
    pub(crate) fn recover(&mut self, parked: Option<&Mark>, acknowledged: Lsn) -> Result<(), ParkError> {
        self.len = 0;
        self.frames.clear();
        let needed = parked.filter(|parked| parked.upto > acknowledged);
        let expected = match needed {
            Some(parked) => {
                let (len, generation) = self.file_at(parked)?;
                self.generation = generation;
                self.path = Self::file_of(&self.dir, &self.sink, generation);
                len
            }
            None => 0,
        };
        self.find_older()?;
        self.remove_older()?;
        if expected > 0 {
            self.last = needed.map_or(Lsn::NONE, |parked| parked.upto);
        }
        if !self.disk.exists(&self.path).map_err(|source| self.io("looking for", source))? {
            return match expected {
                0 => Ok(()),
                expected => Err(ParkError::Missing { path: self.path.clone(), expected }),
            };
        }
        let file = self.opened(self.disk.open_to_read(&self.path))?;
        let mut header = [0; HEADER_BYTES];
        let read = self.read_at(&*file, &mut header, 0)?;
        let is_torn =
            expected == 0 && header.iter().zip(&self.header).all(|(found, ours)| found == ours || *found == 0);
        if header != self.header && !is_torn {
            return Err(ParkError::Foreign { path: self.path.clone(), uuid: self.uuid });
        }
        if expected == 0 {
            return self.remove();
        }
        self.len = read as u64;
        while self.len < expected {
            let frame = self.read_frame(&*file, self.len)?;
            self.len = frame.at + frame.len as u64;
            if frame.end > acknowledged {
                self.frames.push_back(frame);
            }
        }
        if self.len == expected {
            Ok(())
        } else {
            Err(self.damaged(expected, "the end of a visit expected, none found"))
        }
    }

    /// Appends visits and syncs them. `false`, and nothing written, when that would exceed `quota` bytes.
    pub(crate) fn append(&mut self, visits: &[(Lsn, EndedVisit)], quota: u64) -> Result<bool, ParkError> {
        let mut bytes = Vec::new();
        let mut frames = Vec::with_capacity(visits.len());
        let is_new = self.len == 0;
        if is_new {
            bytes.extend_from_slice(&self.header);
        }
        for (end, visit) in visits {
            frames.push(put_frame(&mut bytes, self.len, *end, visit));
        }
        if self.len + bytes.len() as u64 > quota {
            return Ok(false);
        }
        let file = self.opened(if is_new { self.disk.create(&self.path) } else { self.disk.open(&self.path) })?;
        file.write_at(&bytes, self.len).map_err(|source| self.io("writing", source))?;
        file.sync_data().map_err(|source| self.io("syncing", source))?;
        if is_new {
            self.disk.sync_dir(&self.dir).map_err(|source| self.io("syncing the folder of", source))?;
        }
        self.len += bytes.len() as u64;
        self.last = frames.last().map_or(self.last, |frame| frame.end);
        self.frames.extend(frames);
        Ok(true)
    }

    /// The next visits that the sink has not, behind the first `skip`: up to `max`, about `bytes_max` bytes, at least
    /// one if there is any.
    pub(crate) fn read(&self, skip: usize, max: usize, bytes_max: u64) -> Result<Vec<Parked>, ParkError> {
        let mut visits = Vec::new();
        if self.frames.len() <= skip {
            return Ok(visits);
        }
        let file = self.opened(self.disk.open_to_read(&self.path))?;
        let mut bytes = 0;
        for frame in self.frames.iter().skip(skip).take(max) {
            bytes += frame.len as u64;
            if bytes > bytes_max && !visits.is_empty() {
                break;
            }
            let payload = self.read_payload(&*file, frame)?;
            let what = match take_entries(&payload) {
                Ok(entries) => assemble(frame.visit, entries).map_err(|error| (Why::Broken, error.to_string())),
                Err(error) => Err((Why::Unreadable, format!("{} at byte {}: {error}", self.path.display(), frame.at))),
            };
            visits.push(Parked { end: frame.end, visit: frame.visit, what });
        }
        Ok(visits)
    }

    /// Whether a visit is in it that the sink has not.
    pub(crate) fn holds(&self, end: Lsn) -> bool {
        self.frames.iter().any(|frame| frame.end == end)
    }

    /// The entries of a visit, as far as they can be read.
    pub(crate) fn raw(&self, end: Lsn) -> Vec<RawEntry> {
        let frame = self.frames.iter().find(|frame| frame.end == end);
        let payload = frame
            .and_then(|frame| self.read_payload(&*self.disk.open_to_read(&self.path).ok()?, frame).ok())
            .unwrap_or_default();
        let (mut entries, mut rest) = (Vec::new(), &payload[..]);
        while let Ok(Some((kind, payload, more))) = take_raw(rest) {
            entries.push(RawEntry { at: Lsn::NONE, kind, payload: payload.to_vec() });
            rest = more;
        }
        entries
    }

    /// The sink has the next `count`.
    pub(crate) fn consume(&mut self, count: usize) {
        self.frames.drain(..count.min(self.frames.len()));
    }

    /// Visits that the sink has not.
    pub(crate) fn visits(&self) -> impl Iterator<Item = VisitId> + '_ {
        self.frames.iter().map(|frame| frame.visit)
    }

    pub(crate) fn count(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Bytes of the file.
    pub(crate) const fn bytes(&self) -> u64 {
        self.len
    }

    /// Whether the sink has all of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The place that the park's acknowledgement names.
    pub(crate) fn place(&self) -> Vec<u8> {
        let mut place = vec![if self.generation == 0 { 1 } else { 2 }];
        place.extend_from_slice(&self.len.to_le_bytes());
        if self.generation > 0 {
            place.extend_from_slice(&self.generation.to_le_bytes());
        }
        place
    }

    /// Removes the file, which the sink needs no more.
    pub(crate) fn remove(&mut self) -> Result<(), ParkError> {
        self.disk.remove(&self.path).map_err(|source| self.io("removing", source))?;
        self.len = 0;
        self.frames.clear();
        self.disk.sync_dir(&self.dir).map_err(|source| self.io("syncing the folder of", source))
    }

    /// How long the file is that a place names; 0 where it names none.
    pub(crate) fn bytes_at(place: &[u8]) -> u64 {
        let len = place.get(1..9).and_then(|len| len.try_into().ok());
        len.map_or(0, u64::from_le_bytes)
    }

    /// How long the file is that a mark names, and its generation.
    fn file_at(&self, parked: &Mark) -> Result<(u64, u64), ParkError> {
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes);
        match parked.place.split_first() {
            Some((1, len)) if let Ok(len) = number(len) => Ok((len, 0)),
            Some((2, rest))
                if let Some((len, generation)) = rest.split_at_checked(8)
                    && let (Ok(len), Ok(generation)) = (number(len), number(generation)) =>
            {
                Ok((len, generation))
            }
            _ => {
                let what = format!("a place of version 1 or 2 expected in the journal, {:02x?} found", parked.place);
                Err(self.damaged(0, &what))
            }
        }
    }

    fn read_frame(&self, file: &dyn DiskFile, at: u64) -> Result<Frame, ParkError> {
        let mut head = [0; FRAME_BYTES];
        if self.read_at(file, &mut head, at)? < FRAME_BYTES {
            return Err(self.damaged(at, "a visit expected, the end of the file found"));
        }
        let end = Lsn(u64_at(&head, 8));
        let visit = VisitId::from_u128(u128::from(u64_at(&head, 24)) << 64 | u128::from(u64_at(&head, 16)));
        let (len, crc) = (u64_at(&head, 0) as u32, (u64_at(&head, 0) >> 32) as u32);
        let frame = Frame { end, visit, at: at + FRAME_BYTES as u64, len: len as usize, crc };
        self.read_payload(file, &frame)?;
        Ok(frame)
    }

    fn read_payload(&self, file: &dyn DiskFile, frame: &Frame) -> Result<Vec<u8>, ParkError> {
        // A damaged length must not make us ask for gigabytes.
        let file_len = file.len().map_err(|source| self.io("reading", source))?;
        if frame.at + frame.len as u64 > file_len {
            return Err(self.damaged(frame.at, &format!("{} bytes expected, the file ends at {file_len}", frame.len)));
        }
        let mut payload = vec![0; frame.len];
        self.read_at(file, &mut payload, frame.at)?;
        let found = checksum(frame.end, frame.visit, &payload);
        if found == frame.crc {
            return Ok(payload);
        }
        Err(self.damaged(frame.at, &format!("checksum {:#010x} expected, {found:#010x} found", frame.crc)))
    }

    fn read_at(&self, file: &dyn DiskFile, buf: &mut [u8], at: u64) -> Result<usize, ParkError> {
        file.read_at(buf, at).map_err(|source| self.io("reading", source))
    }

    fn opened(&self, file: io::Result<Arc<dyn DiskFile>>) -> Result<Arc<dyn DiskFile>, ParkError> {
        file.map_err(|source| self.io("opening", source))
    }

    fn io(&self, doing: &'static str, source: io::Error) -> ParkError {
        ParkError::Io { doing, path: self.path.clone(), source }
    }

    fn damaged(&self, at: u64, what: &str) -> ParkError {
        ParkError::Damaged { path: self.path.clone(), at, what: what.to_owned() }
    }
}

/// Appends a visit to bytes that will stand at `base` of the file.
fn put_frame(out: &mut Vec<u8>, base: u64, end: Lsn, visit: &EndedVisit) -> Frame {
    let mut payload = Vec::new();
    put_entry(&mut payload, &Entry::Start(Box::new(visit.start.clone())));
    for event in &visit.events {
        put_entry(&mut payload, &Entry::Event(event.clone()));
    }
    put_entry(&mut payload, &Entry::End(Box::new(visit.end.clone())));
    put_payload(out, base, end, visit.visit, &payload)
}

fn put_payload(out: &mut Vec<u8>, base: u64, end: Lsn, visit: VisitId, payload: &[u8]) -> Frame {
    let (len, crc) = (payload.len(), checksum(end, visit, payload));
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&end.0.to_le_bytes());
    out.extend_from_slice(&visit.as_u128().to_le_bytes());
    let at = base + out.len() as u64;
    out.extend_from_slice(payload);
    Frame { end, visit, at, len, crc }
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.push(EntryKind::of(entry) as u8);
    let len_at = out.len();
    out.extend_from_slice(&[0; 4]);
    codec::encode(entry, out);
    let len = (out.len() - len_at - 4) as u32;
    out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}

fn take_entries(mut payload: &[u8]) -> Result<Vec<Entry>, CodecError> {
    let mut entries = Vec::new();
    while let Some((kind, bytes, rest)) = take_raw(payload)? {
        entries.push(codec::decode(EntryKind::from_code(kind)?, bytes)?);
        payload = rest;
    }
    Ok(entries)
}

/// An entry's kind and bytes, and what is behind it.
type Raw<'a> = (u8, &'a [u8], &'a [u8]);

/// The next entry.
fn take_raw(payload: &[u8]) -> Result<Option<Raw<'_>>, CodecError> {
    let Some((kind, rest)) = payload.split_first() else { return Ok(None) };
    let (len, rest) = rest.split_first_chunk().ok_or(CodecError::End { what: "length" })?;
    let len = u32::from_le_bytes(*len) as usize;
    let (bytes, rest) = rest.split_at_checked(len).ok_or(CodecError::End { what: "entry" })?;
    Ok(Some((*kind, bytes, rest)))
}

fn checksum(end: Lsn, visit: VisitId, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&end.0.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &visit.as_u128().to_le_bytes());
    crc32c::crc32c_append(crc, payload)
}

fn u64_at(bytes: &[u8; FRAME_BYTES], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
