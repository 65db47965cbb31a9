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
//! A frame that is not as it was written is a visit that nobody can read: it is given out as such, and those behind it
//! are looked for, from one frame that is sound to the next.
//!
//! To take frames out, the others are written to a file of the next *generation*, `backlog-<sink>.<generation>.park`; the
//! acknowledgement's place is then the version `2` (u8), the file's length (u64) and its generation (u64). The older file
//! goes once that acknowledgement is on stable storage. The file without a number is of generation 0.

mod erase;
mod scan;

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::codec::{self, CodecError, EntryKind};
use visitlog_core::model::{EndedVisit, Entry, assemble};
use visitlog_core::ports::{Disk, DiskFile, Mark, RawEntry};
use visitlog_core::{Lsn, VisitId};

use crate::quarantine::{NO_ENTRY, Why};

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
    /// Nobody knows how much of the file counts.
    #[error("{}: a place of version 1 or 2 expected in the journal, {found:02x?} found", path.display())]
    Place { path: PathBuf, found: Vec<u8> },
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
    /// There is a file, and nothing in it counts.
    is_void: bool,
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
            is_void: false,
            frames: VecDeque::new(),
            last: Lsn::NONE,
        }
    }

    /// Reads what a former life left, and removes what is not needed of it: `parked` is the park's acknowledgement,
    /// `acknowledged` the sink's.
    pub(crate) fn recover(&mut self, parked: Option<&Mark>, acknowledged: Lsn) -> Result<(), ParkError> {
        self.look(parked, acknowledged)?;
        self.clear_up()
    }

    /// Removes the files that are not needed, once it is on stable storage which one is.
    pub(crate) fn clear_up(&mut self) -> Result<(), ParkError> {
        self.remove_older()?;
        if self.is_void { self.remove() } else { Ok(()) }
    }

    /// Reads what a former life left, and changes nothing.
    pub(crate) fn look(&mut self, parked: Option<&Mark>, acknowledged: Lsn) -> Result<(), ParkError> {
        (self.len, self.is_void) = (0, false);
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
        let upto = needed.map_or(Lsn::NONE, |parked| parked.upto);
        if expected > 0 {
            self.last = upto;
        }
        if !self.disk.exists(&self.path).map_err(|source| self.io("looking for", source))? {
            return match expected {
                0 => Ok(()),
                expected => Err(ParkError::Missing { path: self.path.clone(), expected }),
            };
        }
        let file = self.opened(self.disk.open_to_read(&self.path))?;
        let mut header = [0; HEADER_BYTES];
        self.read_at(&*file, &mut header, 0)?;
        let is_torn =
            expected == 0 && header.iter().zip(&self.header).all(|(found, ours)| found == ours || *found == 0);
        if header != self.header && !is_torn {
            if expected == 0 || crc32c::crc32c(&header[..28]).to_le_bytes() == header[28..] {
                return Err(ParkError::Foreign { path: self.path.clone(), uuid: self.uuid });
            }
            tracing::error!(path = %self.path.display(), "the header of parked visits is damaged");
        }
        if expected > 0 {
            self.frames = self.scan(&*file, expected, upto)?;
            self.frames.retain(|frame| frame.end > acknowledged);
            self.len = expected;
        }
        self.is_void = expected == 0;
        Ok(())
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
            let unreadable =
                |what: &dyn Display| (Why::Unreadable, format!("{} at byte {}: {what}", self.path.display(), frame.at));
            let what = match self.read_payload(&*file, frame)? {
                Ok(payload) => match take_entries(&payload) {
                    Ok(entries) => assemble(frame.visit, entries).map_err(|error| (Why::Broken, error.to_string())),
                    Err(error) => Err(unreadable(&error)),
                },
                Err(damage) => Err(unreadable(&damage)),
            };
            visits.push(Parked { end: frame.end, visit: frame.visit, what });
        }
        Ok(visits)
    }

    /// Whether a visit is in it that the sink has not.
    pub(crate) fn holds(&self, end: Lsn) -> bool {
        self.frames.iter().any(|frame| frame.end == end)
    }

    /// The entries of a visit; of a damaged one its bytes, about `bytes_max` at most.
    pub(crate) fn raw(&self, end: Lsn, bytes_max: u64) -> Vec<RawEntry> {
        let Some(frame) = self.frames.iter().find(|frame| frame.end == end) else { return Vec::new() };
        let Ok(file) = self.disk.open_to_read(&self.path) else { return Vec::new() };
        if let Ok(Ok(payload)) = self.read_payload(&*file, frame) {
            let (mut entries, mut rest) = (Vec::new(), &payload[..]);
            while let Ok(Some((kind, payload, more))) = take_raw(rest) {
                entries.push(RawEntry { at: Lsn::NONE, kind, payload: payload.to_vec() });
                rest = more;
            }
            return entries;
        }
        let mut payload = vec![0; frame.len.min(usize::try_from(bytes_max).unwrap_or(usize::MAX))];
        let read = file.read_at(&mut payload, frame.at).unwrap_or(0);
        payload.truncate(read);
        vec![RawEntry { at: Lsn::NONE, kind: NO_ENTRY, payload }]
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
        (self.len, self.is_void) = (0, false);
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
            _ => Err(ParkError::Place { path: self.path.clone(), found: parked.place.clone() }),
        }
    }

    /// What is kept of a visit; or what is damaged.
    fn read_payload(&self, file: &dyn DiskFile, frame: &Frame) -> Result<Result<Vec<u8>, String>, ParkError> {
        // A damaged length must not make us ask for gigabytes.
        let file_len = file.len().map_err(|source| self.io("reading", source))?;
        if frame.at + frame.len as u64 > file_len {
            return Ok(Err(format!("{} bytes expected, the file ends at {file_len}", frame.len)));
        }
        let mut payload = vec![0; frame.len];
        self.read_at(file, &mut payload, frame.at)?;
        let found = checksum(frame.end, frame.visit, &payload);
        if found == frame.crc {
            return Ok(Ok(payload));
        }
        Ok(Err(format!("checksum {:#010x} expected, {found:#010x} found", frame.crc)))
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
}

/// Appends a visit to bytes that will stand at `base` of the file.
fn put_frame(out: &mut Vec<u8>, base: u64, end: Lsn, visit: &EndedVisit) -> Frame {
    let mut payload = Vec::new();
    put_entry(&mut payload, &Entry::Start(Box::new(visit.start.clone())));
    for event in &visit.events {
        put_entry(&mut payload, &Entry::Event(event.clone()));
    }
    put_entry(&mut payload, &Entry::End(Box::new(visit.end.clone())));
    let (visit, len) = (visit.visit, payload.len());
    let crc = checksum(end, visit, &payload);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&end.0.to_le_bytes());
    out.extend_from_slice(&visit.as_u128().to_le_bytes());
    let at = base + out.len() as u64;
    out.extend_from_slice(&payload);
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
