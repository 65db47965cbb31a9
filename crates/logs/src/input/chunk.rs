//! Chunks of whole lines.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::{InputError, decode};
use crate::format::Directives;
use crate::limits::{CHUNK_BYTES, LINE_BYTES_MAX, REJECT_BYTES_MAX, SAMPLE_BYTES};
use crate::reject::{Reason, Reject};

/// Where a reader stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The byte of the decompressed text.
    pub offset: u64,
    /// The number of the line that starts there, from 1.
    pub line: u64,
    /// The directives that are in force there.
    pub directives: Arc<Directives>,
}

impl Default for Start {
    fn default() -> Self {
        Self { offset: 0, line: 1, directives: Arc::default() }
    }
}

/// A piece of a log: whole lines, and all that has to be known to read them without those before.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The file's name.
    pub file: Arc<str>,
    /// Where its first line stands, and the directives in force there.
    pub start: Start,
    /// Whole lines with what ends them; only the last one of a file may have no end.
    pub bytes: Vec<u8>,
    /// A line in front of them that was too long to be read.
    pub too_long: Option<Reject>,
}

/// A line of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its first byte in the file's text.
    pub offset: u64,
    /// Its bytes, without the end of the line.
    pub bytes: &'a [u8],
}

impl Line<'_> {
    /// This line as one that was not read.
    pub fn reject(&self, file: &Arc<str>, reason: Reason) -> Reject {
        let bytes = self.bytes[..self.bytes.len().min(REJECT_BYTES_MAX)].to_vec();
        Reject { file: Arc::clone(file), line: self.number, offset: self.offset, reason, bytes }
    }
}

impl Chunk {
    /// Its lines.
    pub fn lines(&self) -> Lines<'_> {
        Lines { rest: &self.bytes, number: self.start.line, offset: self.start.offset }
    }

    /// The last line has no end: it may go on one day.
    pub fn is_last_line_open(&self) -> bool {
        self.bytes.last().is_some_and(|byte| *byte != b'\n')
    }
}

/// The lines of a chunk.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
    offset: u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (bytes, len) = match memchr(b'\n', self.rest) {
            Some(at) => (&self.rest[..at], at + 1),
            None => (self.rest, self.rest.len()),
        };
        let line = Line { number: self.number, offset: self.offset, bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes) };
        self.rest = &self.rest[len..];
        self.number += 1;
        self.offset += len as u64;
        Some(line)
    }
}

/// Reads a text in chunks. Memory: two chunks and a line of [`LINE_BYTES_MAX`] at most, whatever the file.
pub struct ChunkReader {
    file: Arc<str>,
    reader: Box<dyn Read + Send>,
    /// What was read and not yet handed out.
    pending: Vec<u8>,
    next: Start,
    is_at_end: bool,
}

impl ChunkReader {
    /// The chunks of a stream, decompressed if its first bytes say so.
    ///
    /// # Errors
    /// It can't be read, or is UTF-16.
    pub fn open(file: &Arc<str>, raw: Box<dyn Read + Send>) -> Result<Self, InputError> {
        let failed = |source| InputError::Read { file: Arc::clone(file), offset: 0, source };
        let reader = decode::decode(raw).map_err(failed)?;
        let mut chunks = Self::resume(file, reader, Start::default());
        chunks.fill(3)?;
        if chunks.pending.starts_with(&[0xff, 0xfe]) || chunks.pending.starts_with(&[0xfe, 0xff]) {
            return Err(InputError::Utf16 { file: Arc::clone(file) });
        }
        if chunks.pending.starts_with(&[0xef, 0xbb, 0xbf]) {
            chunks.pending.drain(..3);
            chunks.next.offset = 3;
        }
        Ok(chunks)
    }

    /// The chunks of a plain text whose reader stands at `start`, the beginning of a line.
    pub fn resume(file: &Arc<str>, reader: Box<dyn Read + Send>, start: Start) -> Self {
        Self { file: Arc::clone(file), reader, pending: Vec::new(), next: start, is_at_end: false }
    }

    /// The first bytes that were not handed out yet, for [`detect`](crate::detect): whole lines, if there is one.
    ///
    /// # Errors
    /// The text can't be read.
    pub fn sample(&mut self) -> Result<&[u8], InputError> {
        self.fill(SAMPLE_BYTES)?;
        let sample = &self.pending[..self.pending.len().min(SAMPLE_BYTES)];
        let is_whole = self.is_at_end && sample.len() == self.pending.len();
        let len = if is_whole { sample.len() } else { memrchr(b'\n', sample).map_or(sample.len(), |at| at + 1) };
        Ok(&self.pending[..len])
    }

    /// Where the next chunk starts.
    pub fn position(&self) -> &Start {
        &self.next
    }

    /// The next chunk; `None` at the end. `buffer` is one that is used no more, or an empty one.
    ///
    /// # Errors
    /// The text can't be read on. What was read before was handed out.
    pub fn next_chunk(&mut self, mut buffer: Vec<u8>) -> Result<Option<Chunk>, InputError> {
        let too_long = if let Some(line) = self.pass_too_long()? { Some(line) } else { None };
        let start = self.next.clone();
        // What was read before an error is handed out first.
        let failure = self.fill(CHUNK_BYTES).err();
        buffer.clear();
        let end = match memrchr(b'\n', &self.pending) {
            Some(at) => at + 1,
            None if self.is_at_end || failure.is_some() => self.pending.len(),
            None => 0,
        };
        let end = if self.is_at_end && failure.is_none() { self.pending.len() } else { end };
        if end == 0 && too_long.is_none() {
            return failure.map_or(Ok(None), Err);
        }
        buffer.extend_from_slice(&self.pending[..end]);
        self.pending.drain(..end);
        self.advance(&buffer);
        Ok(Some(Chunk { file: Arc::clone(&self.file), start, bytes: buffer, too_long }))
    }

    /// Moves the position behind `bytes`, whole lines.
    fn advance(&mut self, bytes: &[u8]) {
        let is_open = bytes.last().is_some_and(|byte| *byte != b'\n');
        self.next.offset += bytes.len() as u64;
        self.next.line += memchr_iter(b'\n', bytes).count() as u64 + u64::from(is_open);
        let mut changed: Option<Directives> = None;
        let starts = memmem::find_iter(bytes, b"\n#").map(|at| at + 1);
        for at in
            starts.chain([0]).filter(|at| bytes.get(*at) == Some(&b'#')).collect::<std::collections::BTreeSet<_>>()
        {
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |len| at + len);
            let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
            changed.get_or_insert_with(|| Directives::clone(&self.next.directives)).read(line);
        }
        if let Some(directives) = changed.filter(|directives| *directives != *self.next.directives) {
            self.next.directives = Arc::new(directives);
        }
    }

    /// Passes over a line that is too long, if there is one next.
    fn pass_too_long(&mut self) -> Result<Option<Reject>, InputError> {
        self.fill(LINE_BYTES_MAX + 1)?;
        if self.pending.len() <= LINE_BYTES_MAX || memchr(b'\n', &self.pending).is_some() {
            return Ok(None);
        }
        let head = self.pending[..REJECT_BYTES_MAX].to_vec();
        let Start { offset, line, .. } = self.next;
        let mut bytes = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.pending) {
                bytes += at as u64;
                self.pending.drain(..=at);
                self.next.offset += bytes + 1;
                break;
            }
            bytes += self.pending.len() as u64;
            self.pending.clear();
            self.fill(CHUNK_BYTES)?;
            if self.pending.is_empty() {
                self.next.offset += bytes;
                break;
            }
        }
        self.next.line += 1;
        let file = Arc::clone(&self.file);
        Ok(Some(Reject { file, line, offset, reason: Reason::TooLong { bytes }, bytes: head }))
    }

    /// Reads until so many bytes are pending, or the text is at its end.
    fn fill(&mut self, wanted: usize) -> Result<(), InputError> {
        while self.pending.len() < wanted && !self.is_at_end {
            let len = self.pending.len();
            let more = wanted - len;
            match self.reader.by_ref().take(more as u64).read_to_end(&mut self.pending) {
                Ok(0) => self.is_at_end = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    self.is_at_end = true;
                    let offset = self.next.offset + self.pending.len() as u64;
                    return Err(InputError::Read { file: Arc::clone(&self.file), offset, source });
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkReader").field("file", &self.file).field("next", &self.next).finish_non_exhaustive()
    }
}
