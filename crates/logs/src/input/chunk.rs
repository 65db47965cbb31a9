//! Chunks of whole lines.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::{InputError, decode};
use crate::format::Directives;
use crate::limits::{CHUNK_BYTES, LINE_BYTES_MAX, REJECT_BYTES_MAX, SAMPLE_BYTES};
use crate::parse::{next_record, records};

const _: () = assert!(CHUNK_BYTES >= LINE_BYTES_MAX, "a chunk that has no end of a line is a line that is too long");
use crate::reject::{Reason, Reject};

/// What a buffer has at first.
const FIRST_BYTES: usize = 64 << 10;

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
        Lines { rest: &self.bytes, number: self.start.line, offset: self.start.offset, records: None }
    }

    /// The last line has no end: it may go on one day.
    pub fn is_last_line_open(&self) -> bool {
        self.bytes.last().is_some_and(|byte| *byte != b'\n')
    }
}

/// The lines of a chunk. Each object of a line that is an array of them is a line of its own.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
    offset: u64,
    /// A line that is an array of objects, and where the rest of them stands.
    records: Option<(Line<'a>, Range<usize>)>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        if self.records.is_some()
            && let Some(record) = self.next_record()
        {
            return Some(record);
        }
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
        if matches!(bytes.first(), Some(b'[' | b'{')) { Some(self.perhaps_array(line)) } else { Some(line) }
    }
}

impl<'a> Lines<'a> {
    /// The line, or the first of its objects, if it is an array of them.
    fn perhaps_array(&mut self, line: Line<'a>) -> Line<'a> {
        self.records = records(line.bytes).map(|range| (line, range));
        self.next_record().unwrap_or(line)
    }

    fn next_record(&mut self) -> Option<Line<'a>> {
        let (line, range) = self.records.take()?;
        let found = next_record(line.bytes, range.clone())?;
        let record = Line { offset: line.offset + found.start as u64, bytes: &line.bytes[found.clone()], ..line };
        self.records = Some((line, found.end..range.end));
        Some(record)
    }
}

/// Reads a text in chunks. Memory: one chunk and the part of a line behind it, whatever the file.
pub struct ChunkReader {
    file: Arc<str>,
    reader: Box<dyn Read + Send>,
    /// What was read and not yet handed out.
    pending: Vec<u8>,
    next: Start,
    is_at_end: bool,
    /// What went wrong behind what was handed out.
    failure: Option<InputError>,
    chunk_bytes: usize,
    decoding: Option<Arc<decode::State>>,
    damage: Option<Damage>,
}

/// Where a compressed text could not be read on.
#[derive(Debug)]
struct Damage {
    offset: u64,
    why: String,
}

impl ChunkReader {
    /// The chunks of a stream, decompressed if its first bytes say so.
    ///
    /// # Errors
    /// It can't be read, or is an archive.
    pub fn open(file: &Arc<str>, raw: Box<dyn Read + Send>) -> Result<Self, InputError> {
        let failed = |source| InputError::Read { file: Arc::clone(file), offset: 0, source };
        let decoded = decode::decode(raw).map_err(failed)?;
        let mut chunks = Self::resume(file, decoded.reader, Start::default());
        chunks.decoding = Some(decoded.state);
        chunks.fill_pending(decode::MAGIC_BYTES)?;
        chunks.refuse_archive()?;
        let order = [[0xff, 0xfe], [0xfe, 0xff]].iter().position(|mark| chunks.pending.starts_with(mark));
        if let Some(order) = order {
            let start = io::Cursor::new(chunks.pending.split_off(2));
            let rest = std::mem::replace(&mut chunks.reader, Box::new(io::empty()));
            chunks.reader = Box::new(decode::Utf16::new(start.chain(rest), order == 1));
            chunks.pending.clear();
            chunks.is_at_end = false;
            chunks.fill_pending(3)?;
        }
        if chunks.pending.starts_with(&[0xef, 0xbb, 0xbf]) {
            chunks.pending.drain(..3);
            chunks.next.offset = 3;
        }
        Ok(chunks)
    }

    /// The chunks of a plain text whose reader stands at `start`, the beginning of a line.
    pub fn resume(file: &Arc<str>, reader: Box<dyn Read + Send>, start: Start) -> Self {
        Self {
            file: Arc::clone(file),
            reader,
            pending: Vec::new(),
            next: start,
            is_at_end: false,
            failure: None,
            chunk_bytes: CHUNK_BYTES,
            decoding: None,
            damage: None,
        }
    }

    fn refuse_archive(&self) -> Result<(), InputError> {
        match decode::archive(&self.pending) {
            Some((what, how)) => Err(InputError::Archive { file: Arc::clone(&self.file), what, how }),
            None => Ok(()),
        }
    }

    /// What is wrong with the compressed bytes, if anything is: what could be read of them was handed out. Known at the
    /// end.
    pub fn damage(&mut self) -> Option<String> {
        if let Some(Damage { offset, why }) = &self.damage {
            return Some(format!(
                "cut short or damaged behind byte {offset} of its text ({why}): the whole lines before were read"
            ));
        }
        self.decoding.as_ref().and_then(|state| state.take_behind())
    }

    /// The same with smaller chunks, [`CHUNK_BYTES`] at most. A line that is longer than a chunk is too long.
    #[must_use]
    pub fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes.clamp(1, CHUNK_BYTES);
        self
    }

    /// Writes what was not handed out yet, as it is.
    ///
    /// # Errors
    /// It can't be read or written.
    pub(crate) fn write_rest(&mut self, out: &mut impl io::Write) -> Result<(), InputError> {
        let name = Arc::clone(&self.file);
        out.write_all(&self.pending).map_err(|source| InputError::Open { file: name, source })?;
        self.pending.clear();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut buffer = vec![0; FIRST_BYTES];
        let mut written = 0;
        while !self.is_at_end {
            let mut filled = 0;
            let offset = self.next.offset;
            self.next.offset = offset + written;
            let read = self.fill(&mut buffer, &mut filled, FIRST_BYTES - 1);
            self.next.offset = offset;
            read?;
            out.write_all(&buffer[..filled])
                .map_err(|source| InputError::Open { file: Arc::clone(&self.file), source })?;
            written += filled as u64;
        }
        Ok(())
    }

    /// The same text from another reader, which stands at `start`.
    pub(crate) fn resumed(&self, reader: Box<dyn Read + Send>, start: Start) -> Self {
        let damage = self.damage.as_ref().map(|damage| Damage { offset: damage.offset, why: damage.why.clone() });
        let decoding = self.decoding.clone();
        Self { chunk_bytes: self.chunk_bytes, decoding, damage, ..Self::resume(&self.file, reader, start) }
    }

    /// The first bytes that were not handed out yet, for [`detect`](crate::detect): whole lines, if there is one.
    ///
    /// # Errors
    /// The text can't be read, or is an archive.
    pub fn sample(&mut self) -> Result<&[u8], InputError> {
        self.fill_pending(SAMPLE_BYTES)?;
        if self.next.offset == 0 {
            self.refuse_archive()?;
        }
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
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        // What is pending stands first; behind it there is room for more. (What is in the buffer need not be cleared.)
        let mut filled = self.pending.len();
        if buffer.len() < filled {
            buffer.resize(filled, 0);
        }
        buffer[..filled].copy_from_slice(&self.pending);
        let mut too_long = None;
        self.failure = self.fill(&mut buffer, &mut filled, self.chunk_bytes).err();
        let mut end = self.end_of_lines(&buffer[..filled]);
        if end == 0 && filled > self.chunk_bytes.min(LINE_BYTES_MAX) {
            too_long = Some(self.pass_too_long(&mut buffer, &mut filled));
            end = self.end_of_lines(&buffer[..filled]);
        }
        if end == 0 && too_long.is_none() {
            return self.failure.take().map_or(Ok(None), Err);
        }
        self.pending.clear();
        self.pending.extend_from_slice(&buffer[end..filled]);
        buffer.truncate(end);
        let start = self.next.clone();
        self.advance(&buffer);
        Ok(Some(Chunk { file: Arc::clone(&self.file), start, bytes: buffer, too_long }))
    }

    /// Where the last whole line ends; at the end of the text, where it ends.
    fn end_of_lines(&self, bytes: &[u8]) -> usize {
        if self.is_at_end && self.damage.is_none() { bytes.len() } else { memrchr(b'\n', bytes).map_or(0, |at| at + 1) }
    }

    /// Moves the position behind `bytes`, whole lines.
    fn advance(&mut self, bytes: &[u8]) {
        let is_open = bytes.last().is_some_and(|byte| *byte != b'\n');
        self.next.offset += bytes.len() as u64;
        self.next.line += memchr_iter(b'\n', bytes).count() as u64 + u64::from(is_open);
        if self.counts_days(bytes) {
            return;
        }
        let mut changed: Option<Directives> = None;
        let starts = memmem::find_iter(bytes, b"\n#").map(|at| at + 1);
        for at in (bytes.first() == Some(&b'#')).then_some(0).into_iter().chain(starts) {
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |len| at + len);
            let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
            changed.get_or_insert_with(|| Directives::clone(&self.next.directives)).read(line);
        }
        if let Some(directives) = changed.filter(|directives| *directives != *self.next.directives) {
            self.next.directives = Arc::new(directives);
        }
    }

    /// Reads each line, where the day of the next depends on it; says whether it does.
    fn counts_days(&mut self, bytes: &[u8]) -> bool {
        // Rare enough: directives stand at the start of a file.
        let is_fields = |line: &[u8]| line.first() == Some(&b'#');
        let mut directives = Directives::clone(&self.next.directives);
        if !directives.counts_days() {
            let head = bytes.split(|byte| *byte == b'\n').take_while(|line| is_fields(line));
            for line in head {
                directives.read(line.strip_suffix(b"\r").unwrap_or(line));
            }
            if !directives.counts_days() {
                return false;
            }
        }
        let mut directives = Directives::clone(&self.next.directives);
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match is_fields(line) {
                true => _ = directives.read(line),
                false => directives.pass(line),
            }
        }
        self.next.directives = Arc::new(directives);
        true
    }

    /// Passes over the line that fills the buffer, reads on behind it, and says what it was.
    fn pass_too_long(&mut self, buffer: &mut Vec<u8>, filled: &mut usize) -> Reject {
        let head = buffer[..REJECT_BYTES_MAX.min(*filled)].to_vec();
        let Start { offset, line, .. } = self.next;
        let mut bytes = 0;
        loop {
            if let Some(at) = memchr(b'\n', &buffer[..*filled]) {
                bytes += at as u64;
                self.next.offset += bytes + 1;
                buffer.copy_within(at + 1..*filled, 0);
                *filled -= at + 1;
                break;
            }
            bytes += *filled as u64;
            *filled = 0;
            if self.is_at_end {
                self.next.offset += bytes;
                break;
            }
            self.failure = self.fill(buffer, filled, self.chunk_bytes).err();
        }
        self.next.line += 1;
        Reject { file: Arc::clone(&self.file), line, offset, reason: Reason::TooLong { bytes }, bytes: head }
    }

    /// Reads until so many bytes of the buffer are filled, and more than a line may have; or until the text is at its end.
    fn fill(&mut self, buffer: &mut Vec<u8>, filled: &mut usize, wanted: usize) -> Result<(), InputError> {
        while *filled <= wanted && !self.is_at_end {
            // A small file needs no large buffer.
            if buffer.len() == *filled {
                buffer.resize((2 * buffer.len()).max(FIRST_BYTES).min(wanted + 1), 0);
            }
            let room = buffer.len().min(wanted + 1);
            match self.reader.read(&mut buffer[*filled..room]) {
                Ok(0) => self.is_at_end = true,
                Ok(len) => *filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    self.is_at_end = true;
                    let offset = self.next.offset + *filled as u64;
                    if self.decoding.as_ref().is_some_and(|state| state.is_damage()) {
                        self.damage = Some(Damage { offset, why: source.to_string() });
                        return Ok(());
                    }
                    return Err(InputError::Read { file: Arc::clone(&self.file), offset, source });
                }
            }
        }
        Ok(())
    }

    /// Reads until so many bytes are pending, or the text is at its end.
    fn fill_pending(&mut self, wanted: usize) -> Result<(), InputError> {
        let mut pending = std::mem::take(&mut self.pending);
        let mut filled = pending.len();
        let read = self.fill(&mut pending, &mut filled, wanted);
        pending.truncate(filled);
        self.pending = pending;
        read
    }
}

impl std::fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkReader").field("file", &self.file).field("next", &self.next).finish_non_exhaustive()
    }
}
