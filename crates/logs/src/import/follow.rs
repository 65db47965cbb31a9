//! Follows a log as it grows, whatever happens to its file.
//!
//! A file that is open is followed by what it holds. Each time, before and after it is read, its first bytes and the last
//! ones that were read are compared with what is known of it: so a file that was cut, and perhaps grew again at once, is
//! never taken for the same. What the register knows is the only truth about how far a file was read.
//!
//! | what happened | what is done |
//! |---|---|
//! | renamed, and a new one made | the old one is read on for a while, for its writer may not have noticed yet; the new one from its start |
//! | copied, and cut | what was not read yet is found in the copy, by content; then from the start |
//! | the copy, or the renamed one, was compressed | the same |
//! | the copy is being made | as long as it holds what the log begins with, and grows, it is left alone |
//! | several times, while nobody followed | files beside it whose names begin alike are read, as far as they are known, or newer than the first look at the log |
//! | an inode was used again | nothing: inodes are only compared with those of open files |

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::{ReadError, Reading, Watch};
use super::register::{Known, Mark, Marker, Source as _, WINDOW_BYTES};
use crate::detect::{detect, fitted};
use crate::format::Format;
use crate::input::{ChunkReader, Input, InputError, Start};
use crate::parse::Parser;
use crate::reject::Tally;

/// What is read of a file at a time.
const READ_BYTES: usize = 4 << 20;
/// What tells a format.
const SAMPLE_BYTES: usize = 64 << 10;
/// A file that has another name by now is let go when it has not grown for so many looks.
const LOOKS_AFTER_RENAME: u32 = 240;
/// So many looks that found a file, or a folder, unchanged by its times say that it is: times have a grain.
const LOOKS_UNTIL_QUIET: u32 = 8;
/// And so often it is looked at closely all the same.
const LOOKS_QUIET: u32 = 40;

/// A log that is followed.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    name: Arc<str>,
    current: Option<Followed>,
    /// Renamed ones, which may still be written.
    older: Vec<Followed>,
    /// The files beside it, as they were when they were last looked at, and whether that is done with.
    beside: HashMap<PathBuf, (Stamp, bool)>,
    /// When the folder was changed, as of the last look into it, and looks that have found it so.
    folder: Quiet<(i64, i64)>,
    /// The format that was told last: a new file may begin with a line that tells none.
    format: Option<Format>,
}

/// Whether something has stayed the same for long enough to be left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Quiet<T> {
    last: Option<T>,
    looks: u32,
}

impl<T: PartialEq> Quiet<T> {
    /// As of the last look.
    const fn was_quiet(&self) -> bool {
        self.looks >= LOOKS_UNTIL_QUIET
    }

    fn is_quiet(&mut self, now: T) -> bool {
        let now = Some(now);
        self.looks = if self.last == now { self.looks + 1 } else { 0 };
        self.last = now;
        if self.looks >= LOOKS_UNTIL_QUIET + LOOKS_QUIET {
            self.looks = LOOKS_UNTIL_QUIET;
            return false;
        }
        self.looks > LOOKS_UNTIL_QUIET
    }
}

/// What changes when a file becomes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// An open file.
#[derive(Debug)]
struct Followed {
    file: File,
    /// What it is called in the register; `None` as long as nothing was read of it.
    known: Option<Known>,
    start: Start,
    parser: Option<Parser>,
    /// The first bytes, as long as nothing was read.
    glimpse: Mark,
    /// Looks since it grew.
    idle: u32,
    /// Its size and when it was written, when all of it was read.
    written: Quiet<(u64, i64, i64)>,
}

/// How it stands with an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Nothing more to read.
    Same,
    /// Lines were read.
    Grown,
    /// It is not the same any more.
    Cut,
}

impl Follow {
    /// Begins to follow a file, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            name: path.to_string_lossy().into(),
            current: None,
            older: Vec::new(),
            beside: HashMap::new(),
            folder: Quiet::default(),
            format: None,
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// When a file can't be read or its format is not known, or whoever watches has had enough.
    pub fn look(&mut self, reading: &mut Reading, watch: &dyn Watch) -> Result<Tally, ReadError> {
        let mut tally = Tally::default();
        let Self { older, format, .. } = self;
        for older in older {
            if older.look(&self.name, format, reading, watch, &mut tally)? == Look::Cut {
                older.idle = LOOKS_AFTER_RENAME;
            }
        }
        self.older.retain(|older| older.idle < LOOKS_AFTER_RENAME);
        if let Some(current) = &mut self.current {
            let look = current.look(&self.name, &mut self.format, reading, watch, &mut tally)?;
            if look == Look::Cut {
                self.current = None;
            } else if !current.is_at(&self.path).map_err(self.failed())? {
                self.older.extend(self.current.take());
            }
        }
        if self.current.is_some() && self.older.is_empty() && self.is_folder_quiet() {
            return Ok(tally);
        }
        let beside = self.beside().map_err(self.failed())?;
        let is_new = |(path, stamp): &(PathBuf, Stamp)| self.beside.get(path) != Some(&(*stamp, true));
        if self.current.is_none() || beside.iter().any(is_new) {
            tally += self.catch_up(beside, reading, watch)?;
            // More of it may have been read under another name: it is opened again where the register says.
            self.current = None;
        }
        if self.current.is_none() {
            self.current = self.open(reading)?;
        }
        Ok(tally)
    }

    /// Whether it has to be looked at again soon, though nothing more may happen to it: what was written within a grain of
    /// the clock, or to a renamed file elsewhere, is seen by looking only.
    pub fn is_restless(&self) -> bool {
        let is_quiet = |current: &Followed| current.written.was_quiet() && self.folder.was_quiet();
        !self.older.is_empty()
            || self.beside.values().any(|(_, is_done)| !is_done)
            || self.current.as_ref().is_some_and(|current| !is_quiet(current))
    }

    /// Nothing came, went or was renamed beside it, and all that is there was looked at.
    fn is_folder_quiet(&mut self) -> bool {
        let folder = folder_of(&self.path);
        let Ok(meta) = folder.metadata() else { return false };
        self.folder.is_quiet((meta.mtime(), meta.mtime_nsec())) && self.beside.values().all(|(_, is_done)| *is_done)
    }

    fn failed(&self) -> impl Fn(io::Error) -> InputError + use<> {
        let file = Arc::clone(&self.name);
        move |source| InputError::Open { file: Arc::clone(&file), source }
    }

    /// Reads what files beside it have that was not read, then its own text.
    fn catch_up(
        &mut self,
        beside: Vec<(PathBuf, Stamp)>,
        reading: &mut Reading,
        watch: &dyn Watch,
    ) -> Result<Tally, ReadError> {
        let mut before = std::mem::take(&mut self.beside);
        let newest = beside.iter().map(|(_, stamp)| stamp.modified.0).max();
        let begin = || Ok::<_, ReadError>(newest.map_or(i64::MIN, |newest_s| newest_s + 1));
        let since_s = reading.register.followed_since(&self.name, begin)?;
        let mut tally = Tally::default();
        for (path, stamp) in beside {
            let before = before.remove(&path);
            if before == Some((stamp, true)) {
                self.beside.insert(path, (stamp, true));
                continue;
            }
            self.beside.insert(path.clone(), (stamp, false));
            let input = Input::file(&path);
            // It may be renamed or compressed at this moment; then it is found under its other name, next time.
            let is_known = match reading.knows(&input) {
                Ok(is_known) => is_known,
                Err(_) if !path.exists() => continue,
                Err(error) => {
                    // It may be half compressed: it is looked at again.
                    tracing::debug!(error = &error as &dyn std::error::Error, "a file beside a log can't be read");
                    continue;
                }
            };
            // A copy that is being made looks like another file until it is whole: so one that nobody knows has to look the
            // same twice.
            let is_new = !is_known && stamp.modified.0 >= since_s;
            if is_new && (before != Some((stamp, false)) || self.begins_with(&path).map_err(self.failed())?) {
                continue;
            }
            // Older ones, from before it was followed, are none of its business.
            if is_known || is_new {
                tally += reading.read_as(&input, self.format.as_ref(), watch)?.tally;
            }
            self.beside.insert(path, (stamp, true));
        }
        match reading.read_as(&Input::file(&self.path), self.format.as_ref(), watch) {
            Ok(done) => tally += done.tally,
            Err(ReadError::Input(InputError::Open { source, .. })) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(tally)
    }

    /// Whether the log begins with what is in a file, and has more: as far as its first bytes and its last ones tell.
    fn begins_with(&self, path: &Path) -> io::Result<bool> {
        let (part, log) = match (File::open(path), File::open(&self.path)) {
            (Ok(part), Ok(log)) => (part, log),
            _ => return Ok(false),
        };
        let size = part.metadata()?.len();
        if size == 0 || log.metadata()?.len() <= size {
            return Ok(false);
        }
        let window = WINDOW_BYTES.min(usize::try_from(size).unwrap_or(usize::MAX));
        for at in [0, size - window as u64] {
            if (&part).read_at(at, window)? != (&log).read_at(at, window)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_beside(&self, path: &Path) -> bool {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (own, other) = (name(&self.path), name(path));
        self.path.parent() == path.parent() && other.len() > own.len() && other.starts_with(&own)
    }

    /// The files beside it whose names begin with its own, the oldest first.
    fn beside(&self) -> io::Result<Vec<(PathBuf, Stamp)>> {
        let folder = folder_of(&self.path);
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let path = self.path.with_file_name(entry?.file_name());
            // Asked first: there may be thousands of others.
            if !self.is_beside(&path) {
                continue;
            }
            let Ok(meta) = path.metadata() else { continue };
            let is_open = |followed: &Followed| followed.is_file(meta.dev(), meta.ino());
            if meta.is_file() && !self.older.iter().any(is_open) {
                let modified = (meta.mtime(), meta.mtime_nsec());
                found.push((path, Stamp { inode: meta.ino(), size: meta.len(), modified }));
            }
        }
        found.sort_by_key(|(_, stamp)| stamp.modified);
        Ok(found)
    }

    /// Opens the file that has the path now, where the register says that it was read to.
    fn open(&self, reading: &Reading) -> Result<Option<Followed>, ReadError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed()(error).into()),
        };
        let mark = (&file).read_at(0, 2).map_err(self.failed())?;
        if mark == [0xff, 0xfe] || mark == [0xfe, 0xff] {
            return Err(InputError::Utf16 { file: Arc::clone(&self.name) }.into());
        }
        let known = reading.register.find(&mut &file).map_err(self.failed())?.cloned();
        let mut start = Start::default();
        if let Some(known) = &known {
            let again = file.try_clone().map_err(self.failed())?;
            start = start_at(&self.name, again, known.end)?;
        }
        Ok(Some(Followed {
            file,
            known,
            start,
            parser: None,
            glimpse: Mark::of(&[]),
            idle: 0,
            written: Quiet::default(),
        }))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads a file up to where a line begins, to know which directives are in force there.
fn start_at(name: &Arc<str>, file: File, end: u64) -> Result<Start, InputError> {
    let mut chunks = ChunkReader::open(name, Box::new(io::Read::take(file, end)))?;
    let mut buffer = Vec::new();
    while let Some(chunk) = chunks.next_chunk(buffer)? {
        buffer = chunk.bytes;
    }
    Ok(chunks.position().clone())
}

impl Followed {
    fn is_file(&self, dev: u64, ino: u64) -> bool {
        self.file.metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == (dev, ino))
    }

    /// Whether the path still names it.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        match path.metadata() {
            Ok(meta) => Ok(self.is_file(meta.dev(), meta.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn look(
        &mut self,
        name: &Arc<str>,
        usual: &mut Option<Format>,
        reading: &mut Reading,
        watch: &dyn Watch,
        tally: &mut Tally,
    ) -> Result<Look, ReadError> {
        let failed = |source| InputError::Open { file: Arc::clone(name), source };
        self.idle += 1;
        if self.known.as_ref().is_some_and(|known| !reading.register.has(known)) {
            // More of it was read elsewhere: from a compressed copy, perhaps.
            return Ok(Look::Cut);
        }
        let meta = self.file.metadata().map_err(failed)?;
        if self.written.is_quiet((meta.len(), meta.mtime(), meta.mtime_nsec())) {
            return Ok(Look::Same);
        }
        let mut looked = Look::Same;
        loop {
            if !self.is_still().map_err(failed)? {
                return Ok(Look::Cut);
            }
            let offset = self.start.offset;
            let mut bytes = (&self.file).read_at(offset, READ_BYTES).map_err(failed)?;
            // A line that is being written is left until it has an end. (One as long as this is rejected anyway.)
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            bytes.truncate(if whole == 0 && bytes.len() == READ_BYTES { READ_BYTES } else { whole });
            if bytes.is_empty() {
                if self.known.is_none() {
                    self.glimpse = Mark::of(&(&self.file).read_at(0, WINDOW_BYTES).map_err(failed)?);
                }
                let is_cut = self.file.metadata().map_err(failed)?.len() < offset;
                return Ok(if is_cut { Look::Cut } else { looked });
            }
            // What was read may already be another text.
            if !self.is_still().map_err(failed)? {
                return Ok(Look::Cut);
            }
            self.take(name, bytes, usual, reading, watch, tally)?;
            (looked, self.idle) = (Look::Grown, 0);
        }
    }

    /// Whether it still holds what was read of it.
    fn is_still(&self) -> io::Result<bool> {
        match &self.known {
            Some(known) => known.is_still(&mut &self.file),
            None => Ok(Mark::of(&(&self.file).read_at(0, self.glimpse.len())?) == self.glimpse),
        }
    }

    /// Takes whole lines.
    fn take(
        &mut self,
        name: &Arc<str>,
        bytes: Vec<u8>,
        usual: &mut Option<Format>,
        reading: &mut Reading,
        watch: &dyn Watch,
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let failed = |source| InputError::Open { file: Arc::clone(name), source };
        let found = self.known.clone();
        let mut known = match &found {
            Some(known) => known.clone(),
            None => reading.begin_file(name),
        };
        let head = (&self.file).read_at(0, WINDOW_BYTES).map_err(failed)?;
        let head = &head[..head.len().min(usize::try_from(known.end).unwrap_or(usize::MAX))];
        let tail_from = known.end.saturating_sub(WINDOW_BYTES as u64);
        let tail = (&self.file).read_at(tail_from, (known.end - tail_from) as usize).map_err(failed)?;
        let mut marker = Marker::resume(head, &tail, known.end);
        marker.see(&bytes);
        let modified_s = self.file.metadata().map_err(failed)?.mtime();
        let parser = match self.parser.take() {
            Some(parser) => parser,
            None => {
                let format = self.format(name, reading, &bytes, usual.as_ref())?;
                reading.parser(usual.insert(format))
            }
        };
        let mut parser = parser.with_hints(reading.hints(modified_s));
        let mut chunks = ChunkReader::resume(name, Box::new(Cursor::new(bytes)), self.start.clone());
        *tally += reading.take_chunks(&mut chunks, &mut parser, known.number, watch)?;
        self.start = chunks.position().clone();
        self.parser = Some(parser);
        marker.mark(&mut known);
        known.lines = self.start.line - 1;
        known.modified_s = modified_s;
        reading.register.put(known.clone(), found.as_ref());
        self.known = Some(known);
        Ok(())
    }

    fn format(
        &self,
        name: &Arc<str>,
        reading: &Reading,
        fresh: &[u8],
        usual: Option<&Format>,
    ) -> Result<Format, ReadError> {
        let failed = |source| InputError::Open { file: Arc::clone(name), source };
        let mut sample = (&self.file).read_at(0, SAMPLE_BYTES).map_err(failed)?;
        sample.truncate(memchr::memrchr(b'\n', &sample).map_or(0, |at| at + 1));
        let sample = if sample.is_empty() { fresh } else { &sample[..] };
        match reading.format() {
            Some(format) => Ok(fitted(format, sample)),
            None => match (detect(sample, name), usual) {
                (Ok(detection), _) => Ok(detection.format),
                (Err(_), Some(usual)) => Ok(usual.with_sample(sample)),
                (Err(error), None) => Err(error.into()),
            },
        }
    }
}
