//! What is gathered, written and not yet synced.

use std::sync::Arc;

use visitlog_core::ports::DiskFile;

use super::format;
use super::kind::Kind;

/// Records that stand together in memory.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are maintenance's.
    pub(super) maintenance: u64,
    /// First LSNs of the segments that begin in it.
    pub(super) rolls: Vec<u64>,
}

impl Chunk {
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The record at `lsn`, if it begins here.
    pub(super) fn record(&self, lsn: u64) -> Option<&[u8]> {
        let bytes = self.bytes.get(usize::try_from(lsn.checked_sub(self.start)?).ok()?..)?;
        let len = format::record_len(bytes, bytes.len() as u64).ok()?;
        bytes.get(..len)
    }
}

/// What the append lock guards.
pub(super) struct Append {
    pub(super) chunk: Chunk,
    /// First LSN of the segment that the next record goes to, unless it is full.
    pub(super) segment: u64,
    /// The next record begins a segment, however short this one is.
    pub(super) turns: bool,
    pub(super) since_base: SinceBase,
}

/// What was appended since the last base began: when the next one is worth it.
#[derive(Default)]
pub(super) struct SinceBase {
    /// Whether a segment was begun.
    pub(super) is_segment_new: bool,
    /// Bytes of the base.
    pub(super) base: u64,
    /// Bytes of other records. `Synced` ones don't count: they are no reason to write anything.
    pub(super) others: u64,
}

impl SinceBase {
    pub(super) fn saw(&mut self, kind: Kind, bytes: u64) {
        match kind {
            Kind::Synced => {}
            Kind::Base => self.base += bytes,
            _ => self.others += bytes,
        }
    }

    /// A base that is longer than a segment makes a new one begin, which is no reason for another base: else they
    /// would go on without end. There must be as much else.
    pub(super) fn is_base_due(&self) -> bool {
        self.is_segment_new && self.others >= self.base
    }
}

impl Append {
    pub(super) fn new(next: u64) -> Self {
        Self {
            chunk: Chunk { start: next, ..Chunk::default() },
            segment: next,
            turns: false,
            since_base: SinceBase::default(),
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.chunk.end()
    }
}

/// What the writer holds.
pub(super) struct Write {
    /// The segment being written.
    pub(super) segment: u64,
    pub(super) file: Arc<dyn DiskFile>,
    /// Everything below is written: at times the middle of a chunk.
    pub(super) done: u64,
    pub(super) spare: Vec<u8>,
}

impl Write {
    pub(super) fn new(segment: u64, file: Arc<dyn DiskFile>) -> Self {
        Self { segment, file, done: segment, spare: Vec::new() }
    }
}

/// What is written and not yet synced.
#[derive(Default)]
pub(super) struct Dirty {
    pub(super) files: Vec<(u64, Arc<dyn DiskFile>)>,
    pub(super) dir: bool,
}

impl Dirty {
    pub(super) fn add(&mut self, segment: u64, file: &Arc<dyn DiskFile>) {
        if self.files.last().is_none_or(|(last, _)| *last != segment) {
            self.files.push((segment, Arc::clone(file)));
        }
    }
}
