//! The lines of a chunk, each counted once.

use std::ops::Range;

use super::parser::Parser;
use super::reader::Parsed;
use super::row::Row;
use crate::input::{Chunk, Line};
use crate::reject::{Reason, Reject, Tally};

impl Parser {
    /// Reads a chunk's lines that begin at `from` in the file's text, or behind. `row` takes the requests, and may still
    /// refuse one; `reject` takes the lines that are none. Lines in front tell their directives only.
    ///
    /// # Errors
    /// Those of `row` and `reject`: then the rest is not read.
    pub fn read<E>(
        &mut self,
        chunk: &Chunk,
        from: u64,
        row: impl FnMut(&Line<'_>, &Row<'_>) -> Result<Result<(), Reason>, E>,
        reject: impl FnMut(Reject) -> Result<(), E>,
    ) -> Result<Tally, E> {
        self.read_but(chunk, std::slice::from_ref(&(0..from)), row, reject)
    }

    /// The same of all lines but those that begin in these parts of the text.
    ///
    /// # Errors
    /// As for [`Parser::read`].
    pub fn read_but<E>(
        &mut self,
        chunk: &Chunk,
        known: &[Range<u64>],
        mut row: impl FnMut(&Line<'_>, &Row<'_>) -> Result<Result<(), Reason>, E>,
        mut reject: impl FnMut(Reject) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let mut tally = Tally::default();
        let is_known = |line: u64| known.iter().any(|part| part.contains(&line));
        if let Some(line) = chunk.too_long.as_ref().filter(|line| !is_known(line.offset)) {
            tally.rejected += 1;
            reject(line.clone())?;
        }
        self.resume(&chunk.start.directives);
        for line in chunk.lines() {
            let parsed = self.parse(line.bytes);
            if is_known(line.offset) {
                continue;
            }
            let read = match parsed {
                Parsed::Row(found) => row(&line, &found)?,
                Parsed::Directive => {
                    tally.directives += 1;
                    continue;
                }
                Parsed::Rejected(reason) => Err(reason),
            };
            match read {
                Ok(()) => tally.parsed += 1,
                Err(reason) => {
                    tally.rejected += 1;
                    reject(line.reject(&chunk.file, reason))?;
                }
            }
        }
        Ok(tally)
    }
}
