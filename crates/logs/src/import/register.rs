//! Which lines of which files were imported. A file is known by its content, not by its name: whether it has grown, was
//! renamed, copied or compressed since, what was imported of it counts once.
//!
//! Two hashes know a file again: that of its first bytes, and that of the last bytes before the end of what was imported.
//! Both windows have 4 KiB, or less where less was imported. Offsets are in the decompressed text.

use std::collections::{BTreeMap, HashMap};
use std::io;

use serde::{Deserialize, Serialize};

/// Bytes of each of the two windows that a file is known by.
pub const WINDOW_BYTES: usize = 4_096;
/// Says that a text is UTF-8.
pub(super) const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A hash of some bytes, and how many these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    bytes: u32,
    hash: u128,
}

impl Mark {
    /// Of at most a window.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        let hash = u128::from_be_bytes(std::array::from_fn(|at| hash.as_bytes()[at]));
        Self { bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX), hash }
    }

    pub(super) const fn len(self) -> usize {
        self.bytes as usize
    }
}

/// A file, as far as it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its number, in the order in which files were first seen.
    pub number: u32,
    /// What it is called in visits' ids.
    pub id: u128,
    /// Where it was seen last; only for people, and to find what became of it.
    pub path: String,
    /// Its first bytes.
    pub head: Mark,
    /// Where the first line begins that was not imported.
    pub end: u64,
    /// The last bytes before.
    pub tail: Mark,
    /// Lines before.
    pub lines: u64,
    /// When the file was last written, in seconds since 1970, by its folder.
    pub modified_s: i64,
    /// The first line of a request, if its first bytes have one: a hash of it, and where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<(u64, u32)>,
}

/// A text that can be looked at anywhere.
pub trait Source {
    /// Reads at an offset; fewer bytes than asked for only at the end.
    ///
    /// # Errors
    /// When it can't be read.
    fn read_at(&mut self, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
}

impl Source for &[u8] {
    fn read_at(&mut self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        Ok(self[from..self.len().min(from.saturating_add(bytes))].to_vec())
    }
}

/// The files that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub struct Register {
    files: Vec<Known>,
    next: u32,
    /// The logs that were followed, and which files beside them are older than that: those last written before this
    /// time, in seconds since 1970.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    followed: BTreeMap<String, i64>,
    #[serde(skip)]
    index: Index,
}

/// As it is written down.
#[derive(Deserialize)]
struct Saved {
    files: Vec<Known>,
    next: u32,
    #[serde(default)]
    followed: BTreeMap<String, i64>,
}

impl From<Saved> for Register {
    fn from(Saved { files, next, followed }: Saved) -> Self {
        let mut index = Index::default();
        files.iter().enumerate().for_each(|(at, known)| index.add(at, known));
        Self { files, next, followed, index }
    }
}

/// Where files are among those that are known, by the first line of a request in them; and those without such a line.
#[derive(Debug, Clone, Default)]
struct Index {
    by_first: HashMap<u64, Vec<usize>>,
    others: Vec<usize>,
}

/// It says nothing that the files don't.
impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

impl Index {
    fn list(&mut self, known: &Known) -> &mut Vec<usize> {
        match known.first {
            Some((first, _)) => self.by_first.entry(first).or_default(),
            None => &mut self.others,
        }
    }

    fn add(&mut self, at: usize, known: &Known) {
        self.list(known).push(at);
    }

    fn remove(&mut self, at: usize, known: &Known) {
        self.list(known).retain(|other| *other != at);
    }

    fn of(&self, first: Option<(u64, u32)>) -> impl Iterator<Item = usize> {
        let same = first.and_then(|(first, _)| self.by_first.get(&first));
        same.into_iter().flatten().chain(&self.others).copied()
    }
}

impl Register {
    /// All files.
    pub fn files(&self) -> &[Known] {
        &self.files
    }

    /// From when on files beside a followed log are its own. `begin` says so when it is followed for the first time.
    ///
    /// # Errors
    /// What `begin` says.
    pub(super) fn followed_since<E>(&mut self, log: &str, begin: impl FnOnce() -> Result<i64, E>) -> Result<i64, E> {
        if let Some(since_s) = self.followed.get(log) {
            return Ok(*since_s);
        }
        let since_s = begin()?;
        self.followed.insert(log.to_owned(), since_s);
        Ok(since_s)
    }

    /// Finds a file by its content: of those that it begins with, the one of which most was imported.
    ///
    /// # Errors
    /// When the source can't be read.
    pub fn find(&self, source: &mut impl Source) -> io::Result<Option<&Known>> {
        self.find_at(source, 0)
    }

    /// The same of a text that begins somewhere in a file.
    ///
    /// # Errors
    /// When the source can't be read.
    pub fn find_at(&self, source: &mut impl Source, start: u64) -> io::Result<Option<&Known>> {
        let head = source.read_at(start, WINDOW_BYTES)?;
        let mut found: Option<&Known> = None;
        for known in self.candidates(&head) {
            if found.is_none_or(|found| found.end < known.end) && known.ends_in(source, start)? {
                found = Some(known);
            }
        }
        Ok(found)
    }

    /// The files that a text which begins with `head` may be: all of it, or its first [`WINDOW_BYTES`].
    pub fn candidates(&self, head: &[u8]) -> Vec<&Known> {
        // Of many files, many are as long.
        let mut marks: HashMap<usize, Mark> = HashMap::new();
        let known = self.index.of(first_request(head)).map(|at| &self.files[at]);
        let begins = |known: &&Known| {
            let len = known.head.len();
            let Some(same) = head.get(..len).filter(|_| known.end > 0) else { return false };
            *marks.entry(len).or_insert_with(|| Mark::of(same)) == known.head
        };
        known.filter(begins).collect()
    }

    /// The files with the same first request of which more was imported than a text has: it may be what they begin with.
    pub(super) fn longer(&self, head: &[u8], bytes: u64) -> Vec<&Known> {
        let Some((first, _)) = first_request(head) else { return Vec::new() };
        self.starting_with(first).filter(|known| known.end > bytes).collect()
    }

    /// Whether the first request of a known file is a line of this hash.
    pub(super) fn has_first(&self, first: u64) -> bool {
        self.index.by_first.contains_key(&first)
    }

    /// The files whose first request is a line of this hash.
    pub(super) fn starting_with(&self, first: u64) -> impl Iterator<Item = &Known> {
        self.index.by_first.get(&first).into_iter().flatten().map(|at| &self.files[*at])
    }

    /// Whether this is still known.
    pub(super) fn has(&self, known: &Known) -> bool {
        self.index.of(known.first).any(|at| self.files[at] == *known)
    }

    /// A file that was not seen before. Its number and its id stay, whatever is imported of it.
    pub fn begin(&mut self, importer: u128, path: &str) -> Known {
        let number = self.next;
        self.next += 1;
        let id = Mark::of(&[&importer.to_be_bytes()[..], &number.to_be_bytes()].concat()).hash;
        let nothing = Mark::of(&[]);
        Known {
            number,
            id,
            path: path.to_owned(),
            head: nothing,
            end: 0,
            tail: nothing,
            lines: 0,
            modified_s: 0,
            first: None,
        }
    }

    /// A file that was found is imported further, under a path. One of which so little is known that another may have
    /// begun in the same way gets a number and an id of its own, unless the path is still the same.
    pub fn go_on(&mut self, importer: u128, found: &Known, path: &str) -> Known {
        let is_surely_it = found.end >= WINDOW_BYTES as u64 || found.path == path;
        let fresh = if is_surely_it { found.clone() } else { self.begin(importer, path) };
        Known { path: path.to_owned(), number: fresh.number, id: fresh.id, ..found.clone() }
    }

    /// A file was imported as far as this; `found` is what was known of it before. That is forgotten, unless it is so
    /// little that it may have been another file.
    pub fn put(&mut self, known: Known, found: Option<&Known>) {
        if known.end == 0 {
            return;
        }
        let is_replaced = |old: &Known| found.is_some_and(|found| old == found && found.number == known.number);
        let is_same = |old: &Known| (old.head, old.end, old.tail) == (known.head, known.end, known.tail);
        let firsts = [known.first, found.and_then(|found| found.first)];
        let mut gone: Vec<usize> = firsts.into_iter().flat_map(|first| self.index.of(first)).collect();
        gone.retain(|at| is_replaced(&self.files[*at]) || is_same(&self.files[*at]));
        gone.sort_unstable();
        gone.dedup();
        for at in gone.into_iter().rev() {
            self.index.remove(at, &self.files[at]);
            self.files.swap_remove(at);
            if let Some(moved) = self.files.get(at) {
                self.index.remove(self.files.len(), moved);
                self.index.add(at, moved);
            }
        }
        self.index.add(self.files.len(), &known);
        self.files.push(known);
    }

    /// What visits' ids call each file.
    pub fn ids(&self) -> impl Iterator<Item = (u32, u128)> {
        self.files.iter().map(|known| (known.number, known.id))
    }
}

/// What tells the first line of a request in a text's first bytes, if it is whole: headers are the same in many files.
fn first_request(head: &[u8]) -> Option<(u64, u32)> {
    let mut at = if head.starts_with(&BOM) { BOM.len() } else { 0 };
    while let Some(len) = memchr::memchr(b'\n', &head[at..]) {
        let line = &head[at..at + len];
        if line.first() != Some(&b'#') && !line.trim_ascii().is_empty() {
            return Some((line_hash(line.strip_suffix(b"\r").unwrap_or(line)), u32::try_from(at).ok()?));
        }
        at += len + 1;
    }
    None
}

/// A hash of a line that is the same for ever, and soon done: each line is looked at.
pub(super) fn line_hash(line: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = line.len() as u64;
    let mut words = line.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(std::array::from_fn(|at| word[at]));
        hash = (hash.rotate_left(26) ^ word).wrapping_mul(FACTOR);
    }
    let rest = words.remainder().iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    hash = (hash.rotate_left(26) ^ rest).wrapping_mul(FACTOR);
    (hash ^ (hash >> 32)).wrapping_mul(FACTOR)
}

impl Known {
    /// Whether a text that begins as this file does, at `start` of a source, has the same bytes before [`Known::end`].
    ///
    /// # Errors
    /// When it can't be read.
    pub fn ends_in(&self, source: &mut impl Source, start: u64) -> io::Result<bool> {
        let bytes = source.read_at(start + self.end - self.tail.len() as u64, self.tail.len())?;
        Ok(Mark::of(&bytes) == self.tail)
    }

    /// Whether a text is still this file, grown at most.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn is_still(&self, source: &mut impl Source) -> io::Result<bool> {
        if self.end == 0 {
            return Ok(true);
        }
        self.is_at(source, 0)
    }

    /// Whether a source has its first bytes and its last ones at `start`.
    pub(super) fn is_at(&self, source: &mut impl Source, start: u64) -> io::Result<bool> {
        Ok(Mark::of(&source.read_at(start, self.head.len())?) == self.head && self.ends_in(source, start)?)
    }

    /// Where its first request stands.
    pub(super) fn first_at(&self) -> u64 {
        self.first.map_or(0, |(_, at)| at.into())
    }

    /// How many of the bytes before [`Known::end`] it is known by.
    pub fn tail_bytes(&self) -> usize {
        self.tail.len()
    }

    /// Whether these are the bytes before [`Known::end`].
    pub fn ends_with(&self, bytes: &[u8]) -> bool {
        Mark::of(bytes) == self.tail
    }
}

/// Watches a file's text go by, from its start or from where it is known, and says what to know it by.
#[derive(Debug, Clone, Default)]
pub struct Marker {
    head: Vec<u8>,
    tail: Vec<u8>,
    at: u64,
}

impl Marker {
    /// Goes on where a file is known: `head` are its first bytes, `tail` the last ones before `at`.
    pub fn resume(head: &[u8], tail: &[u8], at: u64) -> Self {
        Self { head: head[..head.len().min(WINDOW_BYTES)].to_vec(), tail: tail.to_vec(), at }
    }

    /// The text goes on.
    pub fn see(&mut self, bytes: &[u8]) {
        let missing = WINDOW_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        if self.at == self.head.len() as u64 {
            self.head.extend_from_slice(&bytes[..missing]);
        }
        self.at += bytes.len() as u64;
        let fresh = &bytes[bytes.len().saturating_sub(WINDOW_BYTES)..];
        let kept = self.tail.len().min(WINDOW_BYTES - fresh.len());
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(fresh);
    }

    /// What lies before `to` is not seen: the marks are those of what is.
    pub fn pass_over(&mut self, to: u64) {
        self.at = to;
        self.tail.clear();
    }

    /// How far it has seen.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// What to know the file by, up to here.
    pub fn marks(&self) -> (Mark, Mark) {
        (Mark::of(&self.head), Mark::of(&self.tail))
    }

    /// Writes down what the file is known by, up to here.
    pub(super) fn mark(&self, known: &mut Known) {
        (known.head, known.tail) = self.marks();
        known.end = self.at;
        known.first = first_request(&self.head);
    }

    /// The bytes that it has kept: the first, and the last.
    pub fn windows(&self) -> (&[u8], &[u8]) {
        (&self.head, &self.tail)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn import(register: &mut Register, path: &str, text: &[u8]) -> u64 {
        let found = register.find(&mut &*text).expect("memory").cloned();
        let mut known = match &found {
            Some(found) => register.go_on(7, found, path),
            None => register.begin(7, path),
        };
        let mut marker = Marker::default();
        marker.see(text);
        let from = known.end;
        marker.mark(&mut known);
        register.put(known, found.as_ref());
        from
    }

    fn text(lines: std::ops::Range<u32>) -> Vec<u8> {
        lines.flat_map(|n| format!("line {n} of it\n").into_bytes()).collect()
    }

    #[test]
    fn a_file_counts_once_under_whatever_name() {
        let mut register = Register::default();
        let (short, long) = (text(0..500), text(0..2_000));
        assert_eq!(import(&mut register, "a", &short), 0);
        assert_eq!(import(&mut register, "a.1", &short), short.len() as u64, "nothing new");
        assert_eq!(import(&mut register, "a", &long), short.len() as u64, "grown");
        assert_eq!(import(&mut register, "b", &text(1..500)), 0, "another file");
        assert_eq!(register.files().len(), 2);
        let id = register.files()[0].id;
        assert_eq!(import(&mut register, "a.2", &long), long.len() as u64);
        assert!(register.files().iter().any(|known| known.id == id), "an id stays");
    }

    #[test]
    fn files_that_begin_alike_are_told_apart() {
        let mut register = Register::default();
        let header = b"#Software: a\n#Fields: x\n";
        assert_eq!(import(&mut register, "a", header), 0);
        let (a, b) = ([&header[..], &text(0..500)].concat(), [&header[..], &text(500..1_000)].concat());
        let header = header.len() as u64;
        assert_eq!(import(&mut register, "b", &b), header, "it may be the first one, grown");
        assert_eq!(import(&mut register, "a", &a), header, "but this may be it as well");
        assert_eq!(import(&mut register, "a", &a), a.len() as u64);
        assert_eq!(import(&mut register, "b", &b), b.len() as u64);
        let ids: std::collections::HashSet<_> = register.ids().collect();
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn another_middle_is_seen_by_what_was_last() {
        let mut register = Register::default();
        let (old, mut new) = (text(0..1_000), text(0..1_000));
        import(&mut register, "a", &old);
        let last = new.len() - 10;
        new[last] ^= 1;
        assert_eq!(import(&mut register, "a", &new), 0);
    }

    proptest! {
        #[test]
        fn parts_are_marked_as_the_whole(cuts in proptest::collection::vec(0..20_000_usize, 0..8), length in 0..20_000_usize) {
            let text: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).chain([0, length]).collect();
            cuts.sort_unstable();
            let (mut whole, mut parts) = (Marker::default(), Marker::default());
            whole.see(&text);
            for part in cuts.windows(2) {
                let (head, tail) = parts.windows();
                parts = Marker::resume(head, tail, parts.at());
                parts.see(&text[part[0]..part[1]]);
            }
            prop_assert_eq!(parts.marks(), whole.marks());
            prop_assert_eq!(parts.at(), length as u64);
        }
    }
}
