//! Which lines of which files were imported. A file is known by its content, not by its name: whether it has grown, was
//! renamed, copied or compressed since, what was imported of it counts once.
//!
//! Two hashes know a file again: that of its first bytes, and that of the last bytes before the end of what was imported.
//! Both windows have 4 KiB, or less where less was imported. Offsets are in the decompressed text.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

/// Bytes of each of the two windows that a file is known by.
pub const WINDOW_BYTES: usize = 4_096;

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
pub struct Register {
    files: Vec<Known>,
    next: u32,
    /// The logs that were followed, and which files beside them are older than that: those last written before this
    /// time, in seconds since 1970.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    followed: BTreeMap<String, i64>,
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
        let head = source.read_at(0, WINDOW_BYTES)?;
        let mut found: Option<&Known> = None;
        for known in self.files.iter().filter(|known| known.begins(&head)) {
            if found.is_none_or(|found| found.end < known.end) && known.ends_in(source)? {
                found = Some(known);
            }
        }
        Ok(found)
    }

    /// The files that a text which begins with `head` may be: all of it, or its first [`WINDOW_BYTES`].
    pub fn candidates(&self, head: &[u8]) -> Vec<&Known> {
        self.files.iter().filter(|known| known.begins(head)).collect()
    }

    /// A file that was not seen before. Its number and its id stay, whatever is imported of it.
    pub fn begin(&mut self, importer: u128, path: &str) -> Known {
        let number = self.next;
        self.next += 1;
        let id = Mark::of(&[&importer.to_be_bytes()[..], &number.to_be_bytes()].concat()).hash;
        let nothing = Mark::of(&[]);
        Known { number, id, path: path.to_owned(), head: nothing, end: 0, tail: nothing, lines: 0, modified_s: 0 }
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
        self.files.retain(|old| !is_replaced(old) && !is_same(old));
        self.files.push(known);
    }

    /// What visits' ids call each file.
    pub fn ids(&self) -> impl Iterator<Item = (u32, u128)> {
        self.files.iter().map(|known| (known.number, known.id))
    }
}

impl Known {
    fn begins(&self, head: &[u8]) -> bool {
        head.get(..self.head.len()).is_some_and(|head| self.end > 0 && Mark::of(head) == self.head)
    }

    /// Whether a text that begins as this file does has the same bytes before [`Known::end`].
    ///
    /// # Errors
    /// When it can't be read.
    pub fn ends_in(&self, source: &mut impl Source) -> io::Result<bool> {
        let bytes = source.read_at(self.end - self.tail.len() as u64, self.tail.len())?;
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
        Ok(Mark::of(&source.read_at(0, self.head.len())?) == self.head && self.ends_in(source)?)
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
        (known.head, known.tail) = marker.marks();
        known.end = text.len() as u64;
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
