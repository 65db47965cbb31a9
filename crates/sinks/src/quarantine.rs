//! `quarantine-<sink>.<generation>.aside`: visits that a sink can't be given. Format version 1, integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `VLQUAR\r\n` |
//! | 8..12 | format version, 1 |
//! | 12..28 | the stream |
//! | 28..36 | generation: which file of this sink it is, from 1 |
//! | 36..44 | bytes that it had when it was made, this header included |
//! | 44..48 | CRC-32C of bytes 0..44 |
//!
//! then frames, one a visit, in the order in which they were set aside:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the payload |
//! | 4..8 | CRC-32C over bytes 8..40 and the payload |
//! | 8..16 | position of the visit's `End` |
//! | 16..32 | the visit's id |
//! | 32..40 | when it was set aside: microseconds since 1970 |
//! | 40.. | payload: why (u8, see [`Why`]), the error (length u16, text), then what there is of the visit: for each entry its position (u64; 0 where nobody knows), its kind (u8), a length (u32) and its bytes, see [`visitlog_core::codec`] |
//!
//! A file only grows; to take frames out, one of the next generation is written whole, and then the older one goes. One
//! that is shorter than it was when it was made is void: a crash came between. A frame at the end that is not whole is
//! void too: its visit was not acknowledged, and comes again. What is damaged in between is counted and passed over, to
//! the next frame that is sound; it stays until an erasure takes it, for nobody can say whom it names.
//!
//! An entry of kind 0 is none: bytes of a visit of which nothing can be read.

mod erase;
#[cfg(test)]
mod fixture_tests;
mod scan;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::codec::{self, CodecError, EntryKind};
use visitlog_core::limits::{QUARANTINE_REASON_BYTES_MAX, cut};
use visitlog_core::model::{EndedVisit, Entry, assemble};
use visitlog_core::ports::{Disk, DiskFile, RawEntry, StreamId};
use visitlog_core::{Lsn, Timestamp, VisitId};

const MAGIC: [u8; 8] = *b"VLQUAR\r\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
const FRAME_BYTES: usize = 40;
/// The kind of bytes that are no entry.
pub(crate) const NO_ENTRY: u8 = 0;

/// Why a visit was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Its records can't be read.
    Unreadable,
    /// Its records make no visit.
    Broken,
    /// The sink refused it for good.
    Refused,
    /// The sink panicked whenever it was given it.
    Panicked,
}

impl Why {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Panicked => "panicked",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Unreadable => 1,
            Self::Broken => 2,
            Self::Refused => 3,
            Self::Panicked => 4,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Unreadable,
            2 => Self::Broken,
            3 => Self::Refused,
            4 => Self::Panicked,
            _ => return None,
        })
    }
}

/// A visit that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The position of its `End`.
    pub end: Lsn,
    /// Which visit.
    pub visit: VisitId,
    /// When it was set aside.
    pub at: Timestamp,
    /// Why.
    pub why: Why,
    /// What went wrong, in words.
    pub what: String,
}

/// What can be wrong with a quarantine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuarantineError {
    #[error("{doing} {} failed", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: visits of stream {stream} that were set aside expected, another file found; move the file away", path.display())]
    Foreign { path: PathBuf, stream: StreamId },
}

/// Where a frame stands.
#[derive(Debug, Clone)]
struct Frame {
    aside: SetAside,
    at: u64,
    len: u64,
}

/// The visits that one sink was not given.
pub(crate) struct Quarantine {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sink: String,
    stream: StreamId,
    generation: u64,
    /// Valid bytes in the file; 0 where there is none.
    len: u64,
    frames: Vec<Frame>,
    /// What is no frame any more.
    damaged: Vec<Range<u64>>,
    is_read: bool,
}

impl Quarantine {
    /// An empty one; touches nothing.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, sink: &str, stream: StreamId) -> Self {
        let (dir, sink) = (dir.to_owned(), sink.to_owned());
        Self { disk, dir, sink, stream, generation: 0, len: 0, frames: Vec::new(), damaged: Vec::new(), is_read: false }
    }

    /// What is in it, in the order in which it was set aside.
    pub(crate) fn list(&self) -> impl Iterator<Item = &SetAside> {
        self.frames.iter().map(|frame| &frame.aside)
    }

    pub(crate) const fn count(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Bytes of the file.
    pub(crate) const fn bytes(&self) -> u64 {
        self.len
    }

    /// Frames that can't be read any more.
    pub(crate) const fn damaged(&self) -> u64 {
        self.damaged.len() as u64
    }

    /// Sets a visit aside and syncs it. `false`, and nothing written, when that would exceed `quota` bytes.
    pub(crate) fn add(&mut self, aside: SetAside, entries: &[RawEntry], quota: u64) -> Result<bool, QuarantineError> {
        self.recover()?;
        if self.frames.iter().any(|frame| frame.aside.end == aside.end) {
            return Ok(true);
        }
        let mut bytes = Vec::new();
        let is_new = self.len == 0;
        if is_new {
            bytes.extend_from_slice(&self.header(self.generation + 1, HEADER_BYTES as u64));
        }
        let at = self.len + bytes.len() as u64;
        put_frame(&mut bytes, &aside, entries);
        if self.len + bytes.len() as u64 > quota {
            return Ok(false);
        }
        let path = self.path(self.generation + u64::from(is_new));
        let file = if is_new { self.disk.create(&path) } else { self.disk.open(&path) };
        let file = file.map_err(|source| io_error("opening", &path, source))?;
        let written = file.write_at(&bytes, self.len).and_then(|()| file.sync_data());
        written.map_err(|source| io_error("writing", &path, source))?;
        if is_new {
            self.sync_dir()?;
            self.generation += 1;
        }
        self.len += bytes.len() as u64;
        self.frames.push(Frame { aside, at, len: self.len - at });
        Ok(true)
    }

    /// What there is of a visit that was set aside.
    pub(crate) fn entries(&self, end: Lsn) -> Result<Vec<RawEntry>, QuarantineError> {
        let Some(frame) = self.frames.iter().find(|frame| frame.aside.end == end) else { return Ok(Vec::new()) };
        Ok(take_frame(&self.read(frame.at, frame.len)?).map(|(_, entries)| entries).unwrap_or_default())
    }

    /// Takes visits out; their bytes are gone then.
    pub(crate) fn remove(&mut self, ends: &[Lsn]) -> Result<(), QuarantineError> {
        self.recover()?;
        if !self.frames.iter().any(|frame| ends.contains(&frame.aside.end)) {
            return Ok(());
        }
        let kept = self.frames.iter().filter(|frame| !ends.contains(&frame.aside.end));
        let kept = kept.map(|frame| (frame.clone(), None)).collect();
        self.rewrite(kept, &self.damaged.clone())
    }

    /// Writes a file of the next generation with some frames, each with other bytes where there are any, and with what is
    /// damaged behind them; then the older goes.
    fn rewrite(&mut self, kept: Vec<(Frame, Option<Vec<u8>>)>, damaged: &[Range<u64>]) -> Result<(), QuarantineError> {
        let old = self.path(self.generation);
        let (mut frames, mut ranges, mut len) = (Vec::new(), Vec::new(), 0);
        if !kept.is_empty() || !damaged.is_empty() {
            let len_of =
                |(frame, bytes): &(Frame, Option<Vec<u8>>)| bytes.as_ref().map_or(frame.len, |b| b.len() as u64);
            let born = HEADER_BYTES as u64
                + kept.iter().map(len_of).sum::<u64>()
                + damaged.iter().map(|range| range.end - range.start).sum::<u64>();
            let path = self.path(self.generation + 1);
            let file = self.disk.create(&path).map_err(|source| io_error("opening", &path, source))?;
            let write =
                |bytes: &[u8], at| file.write_at(bytes, at).map_err(|source| io_error("writing", &path, source));
            write(&self.header(self.generation + 1, born), 0)?;
            len = HEADER_BYTES as u64;
            for (frame, bytes) in kept {
                let bytes = bytes.map_or_else(|| self.read(frame.at, frame.len), Ok)?;
                write(&bytes, len)?;
                frames.push(Frame { at: len, len: bytes.len() as u64, ..frame });
                len += bytes.len() as u64;
            }
            for range in damaged {
                let bytes = self.read(range.start, range.end - range.start)?;
                write(&bytes, len)?;
                ranges.push(len..len + bytes.len() as u64);
                len += bytes.len() as u64;
            }
            file.set_len(len).and_then(|()| file.sync_data()).map_err(|source| io_error("syncing", &path, source))?;
            self.sync_dir()?;
            self.generation += 1;
        }
        self.disk.remove(&old).map_err(|source| io_error("removing", &old, source))?;
        (self.frames, self.damaged, self.len) = (frames, ranges, len);
        self.sync_dir()
    }

    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, QuarantineError> {
        let path = self.path(self.generation);
        let file = self.disk.open_to_read(&path).map_err(|source| io_error("opening", &path, source))?;
        read_at(&*file, at, len).map_err(|source| io_error("reading", &path, source))
    }

    fn header(&self, generation: u64, born: u64) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..28].copy_from_slice(&self.stream.0.to_le_bytes());
        header[28..36].copy_from_slice(&generation.to_le_bytes());
        header[36..44].copy_from_slice(&born.to_le_bytes());
        let crc = crc32c::crc32c(&header[..44]);
        header[44..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.dir.join(format!("quarantine-{}.{generation}.aside", self.sink))
    }

    fn sync_dir(&self) -> Result<(), QuarantineError> {
        self.disk.sync_dir(&self.dir).map_err(|source| io_error("syncing the folder", &self.dir, source))
    }
}

/// The entries of a whole visit.
pub(crate) fn entries_of(visit: &EndedVisit) -> Vec<RawEntry> {
    let start = Entry::Start(Box::new(visit.start.clone()));
    let events = visit.events.iter().cloned().map(Entry::Event);
    let end = Entry::End(Box::new(visit.end.clone()));
    let raw = |entry: Entry| {
        let mut payload = Vec::new();
        codec::encode(&entry, &mut payload);
        RawEntry { at: Lsn::NONE, kind: EntryKind::of(&entry) as u8, payload }
    };
    std::iter::once(start).chain(events).chain([end]).map(raw).collect()
}

/// The visit that entries make; why they make none.
pub(crate) fn visit_of(visit: VisitId, entries: &[RawEntry]) -> Result<EndedVisit, String> {
    let entries = entries.iter().map(decode).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    assemble(visit, entries).map_err(|error| error.to_string())
}

fn decode(entry: &RawEntry) -> Result<Entry, CodecError> {
    codec::decode(EntryKind::from_code(entry.kind)?, &entry.payload)
}

fn put_frame(out: &mut Vec<u8>, aside: &SetAside, entries: &[RawEntry]) {
    let head = out.len();
    out.resize(head + FRAME_BYTES, 0);
    let what = cut(&aside.what, QUARANTINE_REASON_BYTES_MAX);
    out.push(aside.why.code());
    out.extend_from_slice(&(what.len() as u16).to_le_bytes());
    out.extend_from_slice(what.as_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.at.0.to_le_bytes());
        out.push(entry.kind);
        out.extend_from_slice(&(entry.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&entry.payload);
    }
    let len = (out.len() - head - FRAME_BYTES) as u32;
    out[head..head + 4].copy_from_slice(&len.to_le_bytes());
    out[head + 8..head + 16].copy_from_slice(&aside.end.0.to_le_bytes());
    out[head + 16..head + 32].copy_from_slice(&aside.visit.as_u128().to_le_bytes());
    out[head + 32..head + 40].copy_from_slice(&aside.at.micros().to_le_bytes());
    let crc = crc32c::crc32c(&out[head + 8..]);
    out[head + 4..head + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The frame of these bytes; `None` if it is not as it was written.
fn take_frame(bytes: &[u8]) -> Option<(SetAside, Vec<RawEntry>)> {
    let (head, payload) = bytes.split_at_checked(FRAME_BYTES)?;
    if crc32c::crc32c(&bytes[8..]) != u32::from_le_bytes(head[4..8].try_into().ok()?) {
        return None;
    }
    let (why, rest) = payload.split_first()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (what, mut rest) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
    let aside = SetAside {
        end: Lsn(u64_at(head, 8)),
        visit: VisitId::from_u128(u128::from_le_bytes(head[16..32].try_into().ok()?)),
        at: Timestamp::from_micros(i64::from_le_bytes(head[32..40].try_into().ok()?)),
        why: Why::of_code(*why)?,
        what: String::from_utf8_lossy(what).into_owned(),
    };
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (head, more) = rest.split_at_checked(13)?;
        let len = u32::from_le_bytes(head[9..13].try_into().ok()?) as usize;
        let (payload, more) = more.split_at_checked(len)?;
        entries.push(RawEntry { at: Lsn(u64_at(head, 0)), kind: head[8], payload: payload.to_vec() });
        rest = more;
    }
    Some((aside, entries))
}

fn read_at(file: &dyn DiskFile, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = file.read_at(&mut bytes, at)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> QuarantineError {
    QuarantineError::Io { doing, path: path.to_owned(), source }
}
