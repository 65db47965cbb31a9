//! What happened in a run: a hash of all of it, and the last lines in words.

use std::collections::VecDeque;
use std::fmt::{Arguments, Write as _};
use std::hash::{DefaultHasher, Hasher as _};

const KEPT: usize = 40;

/// Two runs of one seed must leave the same.
pub(crate) struct Trace {
    hash: DefaultHasher,
    last: VecDeque<String>,
    pub(crate) step: usize,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { hash: DefaultHasher::new(), last: VecDeque::with_capacity(KEPT), step: 0 }
    }

    pub(crate) fn note(&mut self, words: Arguments<'_>) {
        let mut line = if self.last.len() == KEPT { self.last.pop_front().unwrap_or_default() } else { String::new() };
        line.clear();
        let _ = write!(line, "{:5} {words}", self.step);
        self.hash.write(line.as_bytes());
        self.last.push_back(line);
    }

    /// Takes in bytes that say nothing to a person.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(crate) fn last(&self) -> String {
        self.last.iter().map(|line| format!("{line}\n")).collect()
    }
}
