//! Files are read, from where the register knows them on, and their requests gathered.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt, MetadataExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use visitlog_core::Timestamp;

use super::register::{BOM, Known, Marker, Register, Source, WINDOW_BYTES};
use super::text::{Fresh, Text};
use crate::detect::{DetectError, detect, fitted};
use crate::format::{Clients, Format};
use crate::input::{Chunk, ChunkReader, Input, InputError, Line};
use crate::parse::{Hints, Parser, Row, Wanted};
use crate::reject::{Reject, Tally};
use crate::sessions::{Gatherer, Origin, SessionSettings, SessionsError};

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Its format is not known.
    #[error(transparent)]
    Format(#[from] DetectError),
    /// Its requests can't be kept.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// Whoever watches had enough.
    #[error("stopped")]
    Stopped,
}

/// Is told how it goes, by several threads.
pub trait Watch: Sync {
    /// So many more bytes of the file were read (compressed, if it is), and so many more lines of its text.
    fn progressed(&self, bytes: u64, lines: u64) {
        let _ = (bytes, lines);
    }

    /// A line was rejected. Breaks when that is enough.
    fn rejected(&self, reject: Reject) -> ControlFlow<()> {
        let _ = reject;
        ControlFlow::Continue(())
    }

    /// Whether to go on at all.
    fn goes_on(&self) -> bool {
        true
    }
}

/// How files are read.
#[derive(Debug, Clone)]
pub struct ReadSettings {
    /// Their format. Default: each file's own, by its content.
    pub format: Option<Format>,
    /// What times leave out.
    pub hints: Hints,
    /// Where rows say who their client is.
    pub clients: Clients,
    /// Whether a last line without an end is taken as it is. Else it may still be being written: it is left for the next
    /// time. What is compressed, or comes by a pipe, does not go on in any case.
    pub takes_open_lines: bool,
    /// Threads that parse.
    pub threads: usize,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDone {
    /// The format's name.
    pub format: String,
    /// What the verdict rests on; `None` where the settings name the format.
    pub because: Option<String>,
    /// Its lines that were not known before.
    pub tally: Tally,
    /// Lines that were imported before.
    pub known_lines: u64,
    /// Whether a last line without an end was left for the next time.
    pub left_open: bool,
    /// What is wrong with the compressed bytes of which it was read as far as that goes.
    pub damage: Option<String>,
}

/// Reads files into gatherers.
#[derive(Debug)]
pub struct Reading {
    settings: ReadSettings,
    importer: u128,
    spill_dir: Option<PathBuf>,
    /// A file failed of which some requests were gathered.
    is_spoiled: bool,
    /// The files as known with what was read.
    pub register: Register,
    /// One a thread.
    pub gatherers: Vec<Gatherer>,
}

impl Reading {
    /// Goes on with a register.
    pub fn new(
        settings: ReadSettings,
        sessions: &Arc<SessionSettings>,
        settled: &Arc<HashMap<Box<str>, Timestamp>>,
        importer: u128,
        register: Register,
    ) -> Self {
        let gatherer = |_| Gatherer::new(Arc::clone(sessions)).after(Arc::clone(settled));
        let gatherers = (0..settings.threads.max(1)).map(gatherer).collect();
        Self { settings, importer, spill_dir: sessions.spill_dir.clone(), is_spoiled: false, register, gatherers }
    }

    /// Whether what was gathered is of no use, since a file failed in its middle. One that could not be read at all spoils
    /// nothing.
    pub const fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// Of a file that was written last then; 0 where nobody knows.
    pub(super) fn hints(&self, modified_s: i64) -> Hints {
        let hints = self.settings.hints.clone();
        if modified_s == 0 { hints } else { Hints { until: Some(Timestamp::from_secs(modified_s)), ..hints } }
    }

    /// What reads the lines of a file of this format.
    pub(super) fn parser(&self, format: &Format) -> Parser {
        Parser::new(format, Wanted::hit()).with_clients(&self.settings.clients)
    }

    pub(super) const fn format(&self) -> Option<&Format> {
        self.settings.format.as_ref()
    }

    /// A file that was not seen before.
    pub(super) fn begin_file(&mut self, name: &str) -> Known {
        self.register.begin(self.importer, name)
    }

    /// Whether something of a file was imported. An error where it is compressed and can't be read to its end: it may
    /// still be being written.
    pub(super) fn knows(&self, input: &Input) -> Result<bool, ReadError> {
        let (mut chunks, _) = open(input, None)?;
        let head = head(&mut chunks)?.0;
        let plain = plain(input, &head);
        if plain.is_none() {
            let mut buffer = Vec::new();
            while let Some(chunk) = chunks.next_chunk(buffer)? {
                buffer = chunk.bytes;
            }
            if let Some(damage) = chunks.damage() {
                let (offset, source) = (chunks.position().offset, io::Error::other(damage));
                return Err(InputError::Read { file: Arc::clone(input.name()), offset, source }.into());
            }
        }
        Ok(self.find(input, &head, plain.as_ref())?.is_some())
    }

    /// Takes all that a reader has, none of which was read before.
    pub(super) fn take_chunks(
        &mut self,
        chunks: &mut ChunkReader,
        parser: &mut Parser,
        file: u32,
        watch: &dyn Watch,
    ) -> Result<Tally, ReadError> {
        let (gatherer, mut tally) = (&mut self.gatherers[0], Tally::default());
        let mut buffer = Vec::new();
        while let Some(chunk) = chunks.next_chunk(buffer)? {
            tally += parse_chunk(&chunk, parser, gatherer, file, &[], watch)?;
            buffer = chunk.bytes;
        }
        Ok(tally)
    }

    /// Reads what is new in a file.
    ///
    /// # Errors
    /// When it can't be read, its format is not known, or whoever watches has had enough; [`Reading::is_spoiled`] says
    /// whether what was gathered is of use then.
    pub fn read(&mut self, input: &Input, watch: &dyn Watch) -> Result<FileDone, ReadError> {
        self.read_as(input, None, watch)
    }

    /// The same; `usual` is the format of a file that does not tell its own yet.
    pub(super) fn read_as(
        &mut self,
        input: &Input,
        usual: Option<&Format>,
        watch: &dyn Watch,
    ) -> Result<FileDone, ReadError> {
        let raw = Arc::<AtomicU64>::default();
        let (mut chunks, modified_s) = open(input, Some(&raw))?;
        let (head, starts_at) = head(&mut chunks)?;
        let plain = plain(input, &head);
        let takes_open_line = self.settings.takes_open_lines || plain.is_none();
        let mut sample = chunks.sample()?;
        if !takes_open_line {
            // Half a line tells no format.
            sample = &sample[..memchr::memrchr(b'\n', sample).map_or(0, |at| at + 1)];
        }
        let (format, because) = match &self.settings.format {
            Some(format) => (fitted(format, sample), None),
            None if sample.is_empty() => return Ok(FileDone::empty(!head.is_empty())),
            None => match (detect(sample, input.name()), usual) {
                (Ok(detection), _) => (detection.format, Some(detection.because)),
                (Err(_), Some(usual)) => (usual.with_sample(sample), None),
                (Err(error), None) => return Err(error.into()),
            },
        };
        let mut marker = Marker::default();
        marker.see(&head[..usize::try_from(starts_at).unwrap_or(0)]);
        let mut text = Text {
            name: Arc::clone(input.name()),
            chunks,
            marker,
            known_to: 0,
            parts: HashSet::new(),
            anywhere: plain.map(|file| (Arc::new(file), 0)),
            spill_dir: self.spill_dir.clone(),
            buffers: Vec::new(),
            lines: 0,
            known_lines: 0,
            raw,
            takes_open_line,
            left_open: false,
            is_over: false,
        };
        let (found, is_start) = text.begins_with(&head, &self.register)?;
        let found = found.cloned();
        text.known_to = if is_start { u64::MAX } else { found.as_ref().map_or(0, |found| found.end) };
        let mut known = match &found {
            Some(found) if !text.is_followed(found, &self.register)? => {
                self.register.go_on(self.importer, found, input.name())
            }
            _ => self.register.begin(self.importer, input.name()),
        };
        let parsed = self.parse(text, &format, &self.hints(modified_s), known.number, watch);
        self.is_spoiled |= parsed.is_err();
        let (mut text, tally) = parsed?;
        let known_lines = text.known_lines;
        if found.as_ref().is_some_and(|found| text.marker.at() < found.end) {
            // It was cut at this moment. Nothing was taken; what it holds now is another text.
            let format = format.name().to_owned();
            return Ok(FileDone { format, because, tally, known_lines, left_open: false, damage: None });
        }
        text.marker.mark(&mut known);
        known.lines = text.lines;
        known.modified_s = modified_s;
        self.register.put(known, found.as_ref());
        let format = format.name().to_owned();
        let damage = text.chunks.damage();
        Ok(FileDone { format, because, tally, known_lines, left_open: text.left_open, damage })
    }

    /// What is known of the file.
    fn find(&self, input: &Input, head: &[u8], plain: Option<&File>) -> Result<Option<Known>, ReadError> {
        let candidates = self.register.candidates(head);
        let read = |source| InputError::Open { file: Arc::clone(input.name()), source };
        if candidates.is_empty() {
            return Ok(None);
        }
        if let Some(mut file) = plain {
            return Ok(self.register.find(&mut file).map_err(read)?.cloned());
        }
        let Some(_) = input.path() else {
            // A pipe can be read once only.
            return Ok(None);
        };
        // Only from its start can it be decompressed: the last bytes before each end, as they go by.
        let (mut chunks, _) = open(input, None)?;
        let longest = candidates.iter().map(|known| known.end).max().unwrap_or(0);
        let (mut window, mut at) = (Vec::new(), chunks.position().offset);
        let mut found: Option<&Known> = None;
        let mut buffer = Vec::new();
        while at < longest
            && let Some(chunk) = chunks.next_chunk(buffer)?
        {
            window.drain(..window.len().saturating_sub(WINDOW_BYTES));
            if chunk.start.offset != at {
                window.clear();
            }
            window.extend_from_slice(&chunk.bytes);
            at = chunk.start.offset + chunk.bytes.len() as u64;
            for known in &candidates {
                let tail = known.end.checked_sub(at - window.len() as u64).and_then(|to| {
                    let to = usize::try_from(to).ok()?;
                    window.get(to.checked_sub(known.tail_bytes())?..to)
                });
                if tail.is_some_and(|tail| known.ends_with(tail)) && found.is_none_or(|found| found.end < known.end) {
                    found = Some(known);
                }
            }
            buffer = chunk.bytes;
        }
        Ok(found.cloned())
    }

    fn parse(
        &mut self,
        text: Text,
        format: &Format,
        hints: &Hints,
        file: u32,
        watch: &dyn Watch,
    ) -> Result<(Text, Tally), ReadError> {
        let (text, clients) = (Mutex::new(text), self.settings.clients.clone());
        let register = &self.register;
        let run = |gatherer: &mut Gatherer| {
            let parser = Parser::new(format, Wanted::hit()).with_clients(&clients).with_hints(hints.clone());
            let done = parse_chunks(&text, register, parser, gatherer, file, watch);
            if done.is_err() {
                lock(&text).is_over = true;
            }
            done
        };
        let tallies = std::thread::scope(|scope| {
            let (first, others) = self.gatherers.split_at_mut(1);
            let threads: Vec<_> = others.iter_mut().map(|gatherer| scope.spawn(|| run(gatherer))).collect();
            let own = first.iter_mut().map(run).collect::<Vec<_>>();
            let others =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
            own.into_iter().chain(others).collect::<Result<Vec<_>, _>>()
        })?;
        Ok((text.into_inner().unwrap_or_else(PoisonError::into_inner), tallies.into_iter().sum()))
    }
}

impl FileDone {
    fn empty(left_open: bool) -> Self {
        Self { format: "empty".into(), because: None, tally: Tally::default(), known_lines: 0, left_open, damage: None }
    }
}

fn lock<'a>(text: &'a Mutex<Text>) -> MutexGuard<'a, Text> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens an input, and says when it was last written. `raw` counts the bytes that are read of it.
fn open(input: &Input, raw: Option<&Arc<AtomicU64>>) -> Result<(ChunkReader, i64), InputError> {
    let (Some(path), Some(raw)) = (input.path(), raw) else { return Ok((input.open()?, 0)) };
    let failed = |source| InputError::Open { file: Arc::clone(input.name()), source };
    let file = File::open(path).map_err(failed)?;
    let modified_s = file.metadata().map_err(failed)?.mtime();
    let counting = Counting { file, read: Arc::clone(raw) };
    Ok((ChunkReader::open(input.name(), Box::new(counting))?, modified_s))
}

/// The file itself, if its text is what stands in it.
fn plain(input: &Input, head: &[u8]) -> Option<File> {
    // To open a pipe again is to wait for another writer.
    if !input.path()?.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(input.path()?).ok()?;
    let mut start = vec![0; head.len()];
    file.read_exact_at(&mut start, 0).ok()?;
    (start == head).then_some(file)
}

impl Source for &File {
    fn read_at(&mut self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        let mut there = 0;
        while there < bytes {
            match FileExt::read_at(*self, &mut read[there..], offset + there as u64) {
                Ok(0) => break,
                Ok(more) => there += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        read.truncate(there);
        Ok(read)
    }
}

fn parse_chunks(
    text: &Mutex<Text>,
    register: &Register,
    mut parser: Parser,
    gatherer: &mut Gatherer,
    file: u32,
    watch: &dyn Watch,
) -> Result<Tally, ReadError> {
    let mut tally = Tally::default();
    loop {
        if !watch.goes_on() {
            return Err(ReadError::Stopped);
        }
        let Some(Fresh { chunk, known }) = lock(text).next(register)? else { return Ok(tally) };
        let parsed = parse_chunk(&chunk, &mut parser, gatherer, file, &known, watch)?;
        tally += parsed;
        let mut text = lock(text);
        watch.progressed(text.raw.swap(0, Ordering::Relaxed), parsed.lines());
        text.buffers.push(chunk.bytes);
    }
}

/// Takes the lines of a chunk but those that are known.
fn parse_chunk(
    chunk: &Chunk,
    parser: &mut Parser,
    gatherer: &mut Gatherer,
    file: u32,
    known: &[Range<u64>],
    watch: &dyn Watch,
) -> Result<Tally, ReadError> {
    let row = |line: &Line<'_>, row: &Row<'_>| match row.hit() {
        Ok(hit) => Ok(Ok(gatherer.add(&hit, Origin { file, offset: line.offset })?)),
        Err(reason) => Ok(Err(reason)),
    };
    parser.read_but(chunk, known, row, |reject| match watch.rejected(reject) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ReadError::Stopped),
    })
}

/// The first bytes of a text, and where its first line begins.
fn head(chunks: &mut ChunkReader) -> Result<(Vec<u8>, u64), InputError> {
    let starts_at = chunks.position().offset;
    let mut head = if starts_at == BOM.len() as u64 { BOM.to_vec() } else { Vec::new() };
    let sample = chunks.sample()?;
    head.extend_from_slice(&sample[..sample.len().min(WINDOW_BYTES - head.len())]);
    Ok((head, starts_at))
}

/// Counts what is read of a file.
struct Counting {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
