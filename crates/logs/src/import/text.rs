//! The text of a file as it is read, and which parts of it were imported before: from its start, or as another file that
//! somebody has put into it.
//!
//! A line that is the first request of a known file may be the start of that file. Whether it is, its first and last bytes
//! tell, which have to be looked at before the lines between are read: so what can't be read anywhere, a pipe or what is
//! compressed, is written to a temporary file from there on. A text that ends before a known file does is what that one
//! begins with, if the file is still there and says so. A piece out of the middle of a known file is not found.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::register::{Known, Marker, Register, Source as _, line_hash};
use crate::input::{Chunk, ChunkReader, Input, InputError};

/// Lines of a known file that is found inside of another one: fewer may be there twice by chance.
const PART_LINES_MIN: u64 = 3;
/// What is compared at a time.
const COMPARED_BYTES: usize = 1 << 20;

/// What the threads share: the text, in order.
pub(super) struct Text {
    pub(super) name: Arc<str>,
    pub(super) chunks: ChunkReader,
    pub(super) marker: Marker,
    /// All before was imported already.
    pub(super) known_to: u64,
    /// The known files that were found in it, by number and end.
    pub(super) parts: HashSet<(u32, u64)>,
    /// Where it can be read anywhere, and where in the text that begins.
    pub(super) anywhere: Option<(Arc<File>, u64)>,
    /// Where temporary files are made.
    pub(super) spill_dir: Option<PathBuf>,
    pub(super) buffers: Vec<Vec<u8>>,
    pub(super) lines: u64,
    pub(super) known_lines: u64,
    /// Bytes of the file that were read and not told yet.
    pub(super) raw: Arc<AtomicU64>,
    pub(super) takes_open_line: bool,
    pub(super) left_open: bool,
    pub(super) is_over: bool,
}

/// A chunk with lines that are not known, and where those are that are.
pub(super) struct Fresh {
    pub(super) chunk: Chunk,
    pub(super) known: Vec<Range<u64>>,
}

impl Text {
    /// The next chunk with lines that are not known, cut before what is not whole.
    pub(super) fn next(&mut self, register: &Register) -> Result<Option<Fresh>, InputError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let buffer = self.buffers.pop().unwrap_or_default();
            let Some(mut chunk) = self.chunks.next_chunk(buffer)? else {
                self.is_over = true;
                return Ok(None);
            };
            if chunk.start.offset > self.marker.at() {
                self.marker.pass_over(chunk.start.offset);
            }
            if chunk.is_last_line_open() && !self.takes_open_line {
                self.left_open = true;
                let whole = memchr::memrchr(b'\n', &chunk.bytes).map_or(0, |at| at + 1);
                chunk.bytes.truncate(whole);
            }
            let next = self.chunks.position();
            self.lines = next.line - 1 - u64::from(self.left_open);
            let known = self.known_in(&chunk, register)?;
            self.marker.see(&chunk.bytes);
            let end = chunk.start.offset + chunk.bytes.len() as u64;
            let is_known = known.first().is_some_and(|part| part.start <= chunk.start.offset && end <= part.end);
            if !is_known || chunk.too_long.as_ref().is_some_and(|line| line.offset >= self.known_to) {
                return Ok(Some(Fresh { chunk, known }));
            }
            self.buffers.push(chunk.bytes);
        }
    }

    /// The parts of a chunk that were imported before.
    fn known_in(&mut self, chunk: &Chunk, register: &Register) -> Result<Vec<Range<u64>>, InputError> {
        let (start, end) = (chunk.start.offset, chunk.start.offset + chunk.bytes.len() as u64);
        let mut known: Vec<Range<u64>> = Vec::new();
        if self.known_to >= end {
            self.known_lines += chunk.lines().count() as u64;
            known.push(start..end);
            return Ok(known);
        }
        if self.known_to > start {
            known.push(start..self.known_to);
        } else if register.files().is_empty() {
            return Ok(known);
        }
        for line in chunk.lines() {
            if line.offset < self.known_to {
                self.known_lines += 1;
                continue;
            }
            let first = line_hash(line.bytes);
            if !register.has_first(first) || line.bytes.first() == Some(&b'#') {
                continue;
            }
            let Some((from, to)) = self.part_at(line.offset, first, chunk, register)? else { continue };
            // The lines behind are counted as they come.
            self.known_to = to;
            self.known_lines +=
                chunk.lines().filter(|other| (from..=line.offset).contains(&other.offset)).count() as u64;
            known.push(from..to);
        }
        Ok(known)
    }

    /// The part that begins with this line or a header before it, if it is a file that is known.
    fn part_at(
        &mut self,
        line: u64,
        first: u64,
        chunk: &Chunk,
        register: &Register,
    ) -> Result<Option<(u64, u64)>, InputError> {
        let mut found: Option<(u64, &Known)> = None;
        for known in register.starting_with(first) {
            let Some(from) = line.checked_sub(known.first_at()).filter(|from| *from >= self.known_to) else { continue };
            if from == 0 || known.lines < PART_LINES_MIN || self.parts.contains(&(known.number, known.end)) {
                continue;
            }
            self.make_anywhere(Some(chunk))?;
            let Some((file, base)) = self.anywhere.clone().filter(|(_, base)| *base <= from) else { continue };
            let is_there = known.is_at(&mut &*file, from - base).map_err(self.failed())?;
            if is_there && found.is_none_or(|(_, other)| other.end < known.end) {
                found = Some((from, known));
            }
        }
        Ok(found.map(|(from, known)| {
            self.parts.insert((known.number, known.end));
            (from, from + known.end)
        }))
    }

    /// The known file that the text begins with; and whether a known file begins with the whole text.
    pub(super) fn begins_with<'r>(
        &mut self,
        head: &[u8],
        register: &'r Register,
    ) -> Result<(Option<&'r Known>, bool), InputError> {
        let longer = register.longer(head, 0);
        if register.candidates(head).is_empty() && longer.is_empty() {
            return Ok((None, false));
        }
        self.make_anywhere(None)?;
        let Some((file, base)) = self.anywhere.clone().filter(|(_, base)| *base == 0) else { return Ok((None, false)) };
        let found = register.find(&mut &*file).map_err(self.failed())?;
        if let Some(found) = found {
            self.parts.insert((found.number, found.end));
            return Ok((Some(found), false));
        }
        let size = file.metadata().map_err(self.failed())?.len() - base;
        let is_start = longer.iter().filter(|known| known.end > size).any(|known| begins(known, &file, size));
        Ok((None, is_start))
    }

    /// Whether another known file follows one that the text begins with.
    pub(super) fn is_followed(&self, found: &Known, register: &Register) -> Result<bool, InputError> {
        let Some((file, 0)) = &self.anywhere else { return Ok(false) };
        let next = register.find_at(&mut &**file, found.end).map_err(self.failed())?;
        Ok(next.is_some_and(|next| next.lines >= PART_LINES_MIN))
    }

    /// Writes what can be read only once to a temporary file, from the current chunk on.
    fn make_anywhere(&mut self, current: Option<&Chunk>) -> Result<(), InputError> {
        if self.anywhere.is_some() {
            return Ok(());
        }
        let mut base = current.map_or(self.chunks.position().offset, |chunk| chunk.start.offset);
        let failed = self.failed();
        let made = match &self.spill_dir {
            Some(dir) => tempfile::tempfile_in(dir),
            None => tempfile::tempfile(),
        };
        let mut file = made.map_err(&failed)?;
        let seen = self.marker.windows().0;
        // A mark of the byte order is part of the text, though no line has it.
        if base == self.marker.at() && base == seen.len() as u64 {
            file.write_all(seen).map_err(&failed)?;
            base = 0;
        }
        if let Some(chunk) = current {
            file.write_all(&chunk.bytes).map_err(&failed)?;
        }
        let goes_on = file.stream_position().map_err(&failed)?;
        let next = self.chunks.position().clone();
        self.chunks.write_rest(&mut file)?;
        let mut rest = file.try_clone().map_err(&failed)?;
        rest.seek(SeekFrom::Start(goes_on)).map_err(&failed)?;
        self.chunks = self.chunks.resumed(Box::new(rest), next);
        self.anywhere = Some((Arc::new(file), base));
        Ok(())
    }

    fn failed(&self) -> impl Fn(io::Error) -> InputError + use<> {
        let file = Arc::clone(&self.name);
        move |source| InputError::Open { file: Arc::clone(&file), source }
    }
}

/// Whether a known file, as it is now, begins with all of a text.
fn begins(known: &Known, text: &File, size: u64) -> bool {
    let compare = || -> io::Result<bool> {
        let path = std::path::Path::new(&known.path);
        if !path.metadata()?.is_file() {
            return Ok(false);
        }
        let Ok(mut other) = Input::file(path).decompressed() else { return Ok(false) };
        let mut at = 0;
        let mut theirs = vec![0; COMPARED_BYTES];
        while at < size {
            let ours = (&mut &*text).read_at(at, COMPARED_BYTES)?;
            let theirs = &mut theirs[..ours.len()];
            if ours.is_empty() || other.read_exact(theirs).is_err() || ours != *theirs {
                return Ok(false);
            }
            at += ours.len() as u64;
        }
        Ok(true)
    };
    compare().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::{ReadSettings, Reading, Register, Watch};
    use super::*;
    use crate::parse::Hints;
    use crate::sessions::{SessionSettings, VisitorKey};

    struct Unwatched;

    impl Watch for Unwatched {}

    fn lines(name: u32, range: Range<u32>) -> String {
        let line = |n: u32| {
            let (minute, second) = (n / 60 % 60, n % 60);
            format!(
                "192.0.2.{name} - - [21/Nov/2026:{:02}:{minute:02}:{second:02} +0000] \"GET /{n} HTTP/1.1\" 200 5\n",
                n / 3600
            )
        };
        range.map(line).collect()
    }

    /// New lines, and those that were known.
    fn import(register: &mut Register, path: &Path) -> (u64, u64) {
        let settings = Arc::new(SessionSettings::new(VisitorKey::new([1; 32])));
        let read = ReadSettings {
            format: None,
            hints: Hints::default(),
            clients: Default::default(),
            takes_open_lines: true,
            threads: 2,
        };
        let mut reading = Reading::new(read, &settings, &Arc::default(), 1, std::mem::take(register));
        let done = reading.read(&Input::file(path), &Unwatched).expect("a log");
        *register = reading.register;
        assert_eq!(reading.gatherers.iter().map(|gatherer| gatherer.counts().requests).sum::<u64>(), done.tally.parsed);
        (done.tally.parsed, done.known_lines)
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, text).expect("written");
            path
        }

        fn gz(&self, name: &str, text: &str) -> PathBuf {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text.as_bytes()).expect("memory");
            self.file(name, out.finish().expect("memory"))
        }
    }

    #[test]
    fn what_a_known_file_begins_with_is_known() {
        for count in [4, 40, 4_000] {
            let (folder, mut register) = (Folder::new(), Register::default());
            let (all, some) = (lines(1, 0..count), lines(1, 0..count / 2));
            let whole = folder.file("access.log", &all);
            let (plain, packed) = (folder.file("access.log.copy", &some), folder.gz("access.log.gz", &some));
            assert_eq!(import(&mut register, &whole), (count.into(), 0));
            assert_eq!(import(&mut register, &plain), (0, (count / 2).into()), "{count}");
            assert_eq!(import(&mut register, &packed), (0, (count / 2).into()), "{count}");
            assert_eq!(import(&mut register, &whole), (0, count.into()), "and it is still known");
            let other = folder.file("other.log", some + &lines(2, 0..3));
            assert_eq!(import(&mut register, &other).0, 3, "it goes on otherwise");
        }
    }

    #[test]
    fn known_files_in_one_are_known_wherever_they_are() {
        for count in [5, 3_000] {
            let (folder, mut register) = (Folder::new(), Register::default());
            let (a, b, c) = (lines(1, 0..count), lines(2, 0..count), lines(3, 0..count));
            import(&mut register, &folder.file("a", &a));
            import(&mut register, &folder.file("b", &b));
            let (two, one) = (u64::from(2 * count), u64::from(count));
            assert_eq!(import(&mut register, &folder.file("ab", [&*a, &*b].concat())), (0, two));
            assert_eq!(import(&mut register, &folder.gz("ba", &[&*b, &*a].concat())), (0, two));
            assert_eq!(import(&mut register, &folder.gz("cab", &[&*c, &*a, &*b].concat())), (one, two), "{count}");
            assert_eq!(import(&mut register, &folder.file("c", &c)), (0, one), "it is what cab begins with");
        }
    }

    #[test]
    fn headers_are_no_lines_of_their_own() {
        let (folder, mut register) = (Folder::new(), Register::default());
        let header = "#Software: Microsoft Internet Information Services 10.0\r\n#Fields: date time c-ip cs-method cs-uri-stem sc-status\r\n";
        let day = |day: u32| {
            let rows =
                (0..200).map(|n| format!("2026-11-{day:02} 10:{:02}:{:02} 192.0.2.1 GET /{n} 200\r\n", n / 60, n % 60));
            [header.to_owned(), rows.collect()].concat()
        };
        import(&mut register, &folder.file("1", day(1)));
        assert_eq!(import(&mut register, &folder.file("2", day(2))).0, 200, "the same header");
        assert_eq!(import(&mut register, &folder.file("123", [day(1), day(2), day(3)].concat())).0, 200);
        assert_eq!(
            import(&mut register, &folder.gz("34", &[day(3), day(4)].concat())).0,
            400,
            "3 was a piece of another"
        );
    }

    #[test]
    fn a_pipe_is_known_once_it_has_passed() {
        let (folder, mut register) = (Folder::new(), Register::default());
        let pipe = folder.0.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let piped = |register: &mut Register, text: String| {
            let to = pipe.clone();
            let writer = std::thread::spawn(move || fs::write(to, text).expect("written"));
            let done = import(register, &pipe);
            writer.join().expect("written");
            done
        };
        assert_eq!(piped(&mut register, lines(1, 0..2_000)), (2_000, 0));
        assert_eq!(piped(&mut register, lines(1, 0..2_000)), (0, 2_000));
        assert_eq!(piped(&mut register, lines(1, 0..2_100)), (100, 2_000));
        import(&mut register, &folder.file("a", lines(2, 0..50)));
        assert_eq!(piped(&mut register, lines(3, 0..50) + &lines(2, 0..50) + &lines(3, 50..60)), (60, 50));
        assert_eq!(piped(&mut register, "\u{feff}".to_owned() + &lines(4, 0..50)), (50, 0));
        assert_eq!(piped(&mut register, "\u{feff}".to_owned() + &lines(4, 0..50)), (0, 50));
    }

    #[test]
    fn equal_lines_of_one_file_all_count() {
        let (folder, mut register) = (Folder::new(), Register::default());
        let line = lines(1, 0..1);
        let log = folder.file("a", &line);
        assert_eq!(import(&mut register, &log), (1, 0));
        folder.file("a", line.repeat(4));
        assert_eq!(import(&mut register, &log), (3, 1));
        folder.file("a", line.repeat(5));
        assert_eq!(import(&mut register, &log), (1, 4));
        let other = folder.file("b", lines(2, 0..3) + &line);
        assert_eq!(import(&mut register, &other), (4, 0));
    }
}
