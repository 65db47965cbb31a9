//! Sorted runs: what does not fit into memory waits in files, each sorted, that are read back as one sorted stream.
//!
//! A run is a file:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `VLRUN`, 0, 0, version 1 |
//! | | records, sorted: length of the payload (u32, little-endian), key, payload; see `record` |
//! | 16 × 24 | the footer: for each slice of the visitors (by the first four bits) where its records begin, where they end, and a hash of these bytes (u64 each, little-endian) |
//! | 8 | a hash of the footer |
//!
//! Slices let several threads read one run. Hashes are the first 8 bytes of BLAKE3.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use visitlog_core::VisitorId;
use visitlog_core::erasure::Survey;
use visitlog_core::page::PageParams;

use super::error::SessionsError;
use super::record::{KEY_BYTES, Key, Record};

/// Slices of the visitors.
pub(super) const SLICES: usize = 16;
const MAGIC: [u8; 8] = *b"VLRUN\0\0\x01";
const FOOTER_BYTES: usize = SLICES * 24 + 8;
/// What is read of a run at a time.
const READ_BYTES: usize = 32 << 10;
/// What is written of a run at a time.
const WRITE_BYTES: usize = 128 << 10;
/// Runs that are read at once; more are merged into one first.
const RUNS_MAX: usize = 128;
/// More than any record has: the limits of its texts and of its key.
const RECORD_BYTES_MAX: usize = 64 << 10;

pub(super) type KeyBytes = [u8; KEY_BYTES];

pub(super) fn slice_of(key: &KeyBytes) -> usize {
    usize::from(key[0] >> 4)
}

fn hash64(hash: &blake3::Hash) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|at| hash.as_bytes()[at]))
}

/// Requests in a file, sorted.
#[derive(Debug, Clone)]
pub struct Run {
    file: Arc<File>,
    slices: [Slice; SLICES],
    /// Its hashes say whether it is what was written. One that goes with its process has none.
    is_hashed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    from: u64,
    to: u64,
    hash: u64,
}

impl Run {
    /// A run that was written before.
    ///
    /// # Errors
    /// When the file can't be read, or is no run.
    pub fn open(mut file: File) -> Result<Self, SessionsError> {
        let failed = || SessionsError::io("read waiting requests");
        let length = file.seek(SeekFrom::End(0)).map_err(failed())?;
        let short = || SessionsError::damaged(format!("{length} bytes found, a header and a footer expected"));
        let footer_at = length.checked_sub(FOOTER_BYTES as u64).ok_or_else(short)?;
        let (mut magic, mut footer) = (MAGIC, [0; FOOTER_BYTES]);
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut magic)).map_err(failed())?;
        file.seek(SeekFrom::Start(footer_at)).and_then(|_| file.read_exact(&mut footer)).map_err(failed())?;
        if magic != MAGIC {
            return Err(SessionsError::damaged(format!("{MAGIC:02x?} expected at its start, {magic:02x?} found")));
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| footer[at + byte]));
        let (expected, found) = (number(FOOTER_BYTES - 8), hash64(&blake3::hash(&footer[..FOOTER_BYTES - 8])));
        if expected != found {
            return Err(SessionsError::damaged(format!("footer: hash {expected:016x} expected, {found:016x} found")));
        }
        let slices = std::array::from_fn(|slice| {
            let at = slice * 24;
            Slice { from: number(at), to: number(at + 8), hash: number(at + 16) }
        });
        Ok(Self { file: Arc::new(file), slices, is_hashed: true })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.slices.iter().all(|slice| slice.from == slice.to)
    }

    /// Puts it on stable storage.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<(), SessionsError> {
        self.file.sync_all().map_err(SessionsError::io("sync waiting requests"))
    }
}

/// For who looks for somebody's requests, or removes them.
impl Run {
    /// Adds the visitors who were this user in one of their requests.
    pub(crate) fn visitors_of(&self, user: &str, visitors: &mut HashSet<u128>) -> Result<(), SessionsError> {
        self.each(|key, payload| {
            let record = Record::decode(payload).ok_or_else(|| SessionsError::damaged("a record can't be read"))?;
            if record.facts.is_some_and(|facts| facts.user == Some(user)) {
                visitors.insert(Key::from_bytes(key).visitor);
            }
            Ok(())
        })
    }

    /// Shows a survey whose requests they are.
    pub(crate) fn survey(&self, survey: &mut Survey) -> Result<(), SessionsError> {
        self.each(|key, payload| {
            let record = Record::decode(payload).ok_or_else(|| SessionsError::damaged("a record can't be read"))?;
            let user = record.facts.and_then(|facts| facts.user);
            survey.see(VisitorId::from_u128(Key::from_bytes(key).visitor), user);
            Ok(())
        })
    }

    /// Adds the pages of these visitors' requests, as far as they are known.
    pub(crate) fn pages_of(
        &self,
        visitors: &HashSet<u128>,
        params: &PageParams,
        pages: &mut HashSet<Box<str>>,
    ) -> Result<(), SessionsError> {
        self.each(|key, payload| {
            let record = Record::decode(payload).ok_or_else(|| SessionsError::damaged("a record can't be read"))?;
            if let Some(facts) = record.facts.filter(|_| visitors.contains(&Key::from_bytes(key).visitor)) {
                pages.insert(params.page(record.site, facts.path, facts.query).into());
            }
            Ok(())
        })
    }

    /// How many requests are these visitors'.
    pub(crate) fn count_of(&self, visitors: &HashSet<u128>) -> Result<u64, SessionsError> {
        let mut count = 0;
        self.each(|key, _| {
            count += u64::from(visitors.contains(&Key::from_bytes(key).visitor));
            Ok(())
        })?;
        Ok(count)
    }

    /// The same without these visitors' requests, in an empty file.
    pub(crate) fn without(&self, visitors: &HashSet<u128>, file: File) -> Result<Self, SessionsError> {
        let mut writer = RunWriter::new(file)?;
        self.each(|key, payload| {
            let is_theirs = visitors.contains(&Key::from_bytes(key).visitor);
            if is_theirs { Ok(()) } else { writer.push(key, payload) }
        })?;
        writer.finish()
    }

    fn each(&self, mut take: impl FnMut(&KeyBytes, &[u8]) -> Result<(), SessionsError>) -> Result<(), SessionsError> {
        (0..SLICES).try_for_each(|slice| Merge::new(vec![Source::of_run(self, slice)])?.drain(&mut take))
    }
}

/// Writes a run, in the order of its keys.
pub(super) struct RunWriter {
    out: BufWriter<File>,
    at: u64,
    slice: usize,
    slices: [Slice; SLICES],
    hasher: Option<blake3::Hasher>,
}

impl RunWriter {
    pub(super) fn new(file: File) -> Result<Self, SessionsError> {
        Self::with(file, Some(blake3::Hasher::new()))
    }

    /// One that goes with its process.
    pub(super) fn temporary(file: File) -> Result<Self, SessionsError> {
        Self::with(file, None)
    }

    fn with(file: File, hasher: Option<blake3::Hasher>) -> Result<Self, SessionsError> {
        let mut out = BufWriter::with_capacity(WRITE_BYTES, file);
        out.write_all(&MAGIC).map_err(SessionsError::io("write waiting requests"))?;
        let at = MAGIC.len() as u64;
        let slices = [Slice { from: at, to: at, hash: 0 }; SLICES];
        Ok(Self { out, at, slice: 0, slices, hasher })
    }

    pub(super) fn push(&mut self, key: &KeyBytes, payload: &[u8]) -> Result<(), SessionsError> {
        self.go_to(slice_of(key));
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        for part in [&length[..], key, payload] {
            self.out.write_all(part).map_err(SessionsError::io("write waiting requests"))?;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(part);
            }
            self.at += part.len() as u64;
        }
        Ok(())
    }

    /// Ends the slices before this one.
    fn go_to(&mut self, slice: usize) {
        while self.slice < slice {
            let ended = &mut self.slices[self.slice];
            ended.to = self.at;
            if let Some(hasher) = &mut self.hasher {
                ended.hash = hash64(&hasher.finalize());
                hasher.reset();
            }
            self.slice += 1;
            self.slices[self.slice].from = self.at;
        }
    }

    pub(super) fn finish(mut self) -> Result<Run, SessionsError> {
        self.go_to(SLICES - 1);
        let last = &mut self.slices[SLICES - 1];
        (last.to, last.hash) = (self.at, self.hasher.as_ref().map_or(0, |hasher| hash64(&hasher.finalize())));
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        for slice in &self.slices {
            [slice.from, slice.to, slice.hash].iter().for_each(|number| footer.extend(number.to_le_bytes()));
        }
        footer.extend(hash64(&blake3::hash(&footer)).to_le_bytes());
        let failed = || SessionsError::io("write waiting requests");
        self.out.write_all(&footer).map_err(failed())?;
        let file = self.out.into_inner().map_err(|error| failed()(error.into_error()))?;
        Ok(Run { file: Arc::new(file), slices: self.slices, is_hashed: self.hasher.is_some() })
    }
}

/// Requests in memory, in the order in which they came, until they are sorted.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) arena: Vec<u8>,
    pub(super) index: Vec<(Key, u32, u32)>,
}

impl Batch {
    pub(super) fn bytes(&self) -> usize {
        self.arena.len() + self.index.len() * size_of::<(Key, u32, u32)>()
    }

    pub(super) fn sort(&mut self) {
        self.index.sort_unstable_by_key(|(key, ..)| *key);
    }

    pub(super) fn payload(&self, at: u32, length: u32) -> &[u8] {
        &self.arena[at as usize..at as usize + length as usize]
    }

    /// Writes what is in it, and forgets it.
    pub(super) fn spill(&mut self, file: File) -> Result<Run, SessionsError> {
        self.sort();
        let mut writer = RunWriter::temporary(file)?;
        for (key, at, length) in &self.index {
            writer.push(&key.to_bytes(), self.payload(*at, *length))?;
        }
        self.arena.clear();
        self.index.clear();
        writer.finish()
    }
}

/// Runs of one size, then those that were made of several of these, and so on: so that however much there is, few are
/// read at once, and nothing is written more than a few times.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<Vec<Run>>);

impl Levels {
    /// Adds a run; where there are many, makes one of them in a file that `fresh` gives.
    pub(super) fn push(
        &mut self,
        run: Run,
        fresh: &mut dyn FnMut() -> Result<File, SessionsError>,
    ) -> Result<(), SessionsError> {
        let mut run = run;
        for level in 0.. {
            if level == self.0.len() {
                self.0.push(Vec::new());
            }
            self.0[level].push(run);
            if self.0[level].len() < RUNS_MAX {
                break;
            }
            let runs = std::mem::take(&mut self.0[level]);
            let mut writer = RunWriter::temporary(fresh()?)?;
            for slice in 0..SLICES {
                let sources = runs.iter().map(|run| Source::of_run(run, slice)).collect();
                Merge::new(sources)?.drain(|key, payload| writer.push(key, payload))?;
            }
            run = writer.finish()?;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_runs(self) -> Vec<Run> {
        self.0.into_iter().flatten().collect()
    }
}

/// A slice of what was gathered somewhere, in order.
pub(super) enum Source<'a> {
    Memory { batch: &'a Batch, next: usize, end: usize },
    File(Box<FileSource>),
}

pub(super) struct FileSource {
    file: Arc<File>,
    /// What is read next, and where the slice ends.
    at: u64,
    to: u64,
    buffer: Vec<u8>,
    /// Where the current record begins and ends in the buffer.
    current: (usize, usize),
    hasher: Option<blake3::Hasher>,
    hash: u64,
}

impl<'a> Source<'a> {
    /// Of a sorted batch.
    pub(super) fn of_batch(batch: &'a Batch, slice: usize) -> Self {
        let bound = |slice: usize| batch.index.partition_point(|(key, ..)| ((key.visitor >> 124) as usize) < slice);
        Self::Memory { batch, next: bound(slice), end: bound(slice + 1) }
    }

    pub(super) fn of_run(run: &Run, slice: usize) -> Self {
        let Slice { from, to, hash } = run.slices[slice];
        let (file, hasher) = (Arc::clone(&run.file), run.is_hashed.then(blake3::Hasher::new));
        Self::File(Box::new(FileSource { file, at: from, to, buffer: Vec::new(), current: (0, 0), hasher, hash }))
    }

    /// Goes to the next record; its key, or `None` at the end.
    fn advance(&mut self) -> Result<Option<KeyBytes>, SessionsError> {
        match self {
            Self::Memory { batch, next, end } => {
                let key = (*next < *end).then(|| batch.index[*next].0.to_bytes());
                *next += 1;
                Ok(key)
            }
            Self::File(source) => source.advance(),
        }
    }

    /// The payload of the current record.
    fn payload(&self) -> &[u8] {
        match self {
            Self::Memory { batch, next, .. } => {
                let (_, at, length) = batch.index[*next - 1];
                batch.payload(at, length)
            }
            Self::File(source) => &source.buffer[source.current.0 + 4 + KEY_BYTES..source.current.1],
        }
    }
}

impl FileSource {
    fn advance(&mut self) -> Result<Option<KeyBytes>, SessionsError> {
        const HEAD: usize = 4 + KEY_BYTES;
        let from = self.current.1;
        if !self.fill(from, HEAD)? {
            let found = self.hasher.as_ref().map_or(self.hash, |hasher| hash64(&hasher.finalize()));
            if found != self.hash {
                let expected = self.hash;
                return Err(SessionsError::damaged(format!("hash {expected:016x} expected, {found:016x} found")));
            }
            return Ok(None);
        }
        let from = self.current.1;
        let length = u32::from_le_bytes(std::array::from_fn(|at| self.buffer[from + at])) as usize;
        if length > RECORD_BYTES_MAX || !self.fill(from, HEAD + length)? {
            return Err(SessionsError::damaged(format!("a record of {length} bytes is not there")));
        }
        let from = self.current.1;
        self.current = (from, from + HEAD + length);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.buffer[from..from + HEAD + length]);
        }
        Ok(Some(std::array::from_fn(|at| self.buffer[from + 4 + at])))
    }

    /// Sees to it that so many bytes of the slice stand at `from` in the buffer, which may move to its start (where
    /// `current` says). False at the end of the slice.
    fn fill(&mut self, from: usize, count: usize) -> Result<bool, SessionsError> {
        if self.buffer.len() - from >= count {
            return Ok(true);
        }
        self.buffer.drain(..from);
        self.current = (0, 0);
        while self.buffer.len() < count && self.at < self.to {
            let more = usize::try_from(self.to - self.at).unwrap_or(usize::MAX).min(READ_BYTES);
            let had = self.buffer.len();
            self.buffer.resize(had + more, 0);
            let failed = SessionsError::io("read waiting requests");
            self.file.read_exact_at(&mut self.buffer[had..], self.at).map_err(failed)?;
            self.at += more as u64;
        }
        match self.buffer.len() {
            0 => Ok(false),
            there if there >= count => Ok(true),
            there => Err(SessionsError::damaged(format!("{count} bytes expected, {there} found"))),
        }
    }
}

/// Several sorted sources as one.
pub(super) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    heads: BinaryHeap<Reverse<(KeyBytes, usize)>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(mut sources: Vec<Source<'a>>) -> Result<Self, SessionsError> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (at, source) in sources.iter_mut().enumerate() {
            heads.extend(source.advance()?.map(|key| Reverse((key, at))));
        }
        Ok(Self { sources, heads })
    }

    /// Gives every record, in order.
    pub(super) fn drain(
        mut self,
        mut take: impl FnMut(&KeyBytes, &[u8]) -> Result<(), SessionsError>,
    ) -> Result<(), SessionsError> {
        while let Some(mut head) = self.heads.peek_mut() {
            let (key, at) = head.0;
            let source = &mut self.sources[at];
            take(&key, source.payload())?;
            match source.advance()? {
                Some(next) => head.0.0 = next,
                None => drop(std::collections::binary_heap::PeekMut::pop(head)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use visitlog_core::Timestamp;

    use super::*;

    fn records() -> Vec<(KeyBytes, Vec<u8>)> {
        let key =
            |n: u128| Key { visitor: n << 122, time: Timestamp::from_secs(n as i64), rank: 1, file: 2, offset: 3 };
        (0..40).map(|n| (key(n).to_bytes(), vec![n as u8; n as usize])).collect()
    }

    fn run_of(bytes: &[u8]) -> Result<Run, SessionsError> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        Run::open(file)
    }

    fn read(run: &Run) -> Result<Vec<(KeyBytes, Vec<u8>)>, SessionsError> {
        let mut all = Vec::new();
        for slice in 0..SLICES {
            Merge::new(vec![Source::of_run(run, slice)])?.drain(|key, payload| {
                all.push((*key, payload.to_vec()));
                Ok(())
            })?;
        }
        Ok(all)
    }

    fn written() -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut writer = RunWriter::new(file.reopen().expect("the same")).expect("begun");
        records().iter().for_each(|(key, payload)| writer.push(key, payload).expect("written"));
        writer.finish().expect("ended");
        std::fs::read(file.path()).expect("there")
    }

    #[test]
    fn a_run_is_read_as_it_was_written_and_damage_is_seen() {
        let bytes = written();
        assert_eq!(read(&run_of(&bytes).expect("a run")).expect("whole"), records());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let found = run_of(&damaged).and_then(|run| read(&run));
            assert!(matches!(found, Err(SessionsError::Damaged { .. } | SessionsError::Io { .. })), "byte {at}");
        }
        assert!(run_of(&bytes[..bytes.len() - 1]).is_err());
        assert!(run_of(&[]).is_err());
    }

    /// As the first version has written it.
    #[test]
    fn version_1_can_be_read_for_ever() {
        let bytes = include_bytes!("fixtures/run-1");
        assert_eq!(read(&run_of(bytes).expect("a run")).expect("whole"), records());
        assert_eq!(written(), bytes, "and it is still written so");
    }
}
