//! A text file's lines, the last one first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const BLOCK: u64 = 64 * 1024;

/// The whole lines of a file from its end. A last line without its line break is being written: it is left out.
#[derive(Debug)]
pub(crate) struct LinesFromEnd {
    file: File,
    /// What lies before here has not been read.
    unread: u64,
    /// Read, but not handed out: a part of a line, or whole lines.
    tail: Vec<u8>,
}

impl LinesFromEnd {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let unread = file.seek(SeekFrom::End(0))?;
        let mut lines = Self { file, unread, tail: Vec::new() };
        while !lines.tail.contains(&b'\n') && lines.unread > 0 {
            lines.read_block()?;
        }
        let whole = lines.tail.iter().rposition(|&byte| byte == b'\n');
        lines.tail.truncate(whole.unwrap_or(0));
        if whole.is_none() {
            lines.unread = 0;
        }
        Ok(lines)
    }

    fn read_block(&mut self) -> io::Result<()> {
        let len = self.unread.min(BLOCK);
        self.unread -= len;
        self.file.seek(SeekFrom::Start(self.unread))?;
        let mut block = vec![0; len as usize];
        self.file.read_exact(&mut block)?;
        block.append(&mut self.tail);
        self.tail = block;
        Ok(())
    }

    fn next_line(&mut self) -> io::Result<Option<String>> {
        let at = loop {
            match self.tail.iter().rposition(|&byte| byte == b'\n') {
                Some(at) => break Some(at),
                None if self.unread == 0 => break None,
                None => self.read_block()?,
            }
        };
        let line = self.tail.split_off(at.map_or(0, |at| at + 1));
        self.tail.truncate(at.unwrap_or(0));
        if line.is_empty() && at.is_none() {
            return Ok(None);
        }
        String::from_utf8(line).map(Some).map_err(io::Error::other)
    }
}

impl Iterator for LinesFromEnd {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let lines: Vec<String> =
            LinesFromEnd::open(file.path()).expect("opened").map(|line| line.expect("read")).collect();
        assert_eq!(lines, expect);
    }

    #[test]
    fn the_last_line_comes_first() {
        check("", &[]);
        check("a\n", &["a"]);
        check("a\nb\nc\n", &["c", "b", "a"]);
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out() {
        check("a\nb\nc", &["b", "a"]);
        check("abc", &[]);
    }

    #[test]
    fn lines_may_be_longer_than_a_block() {
        let long = "x".repeat(3 * BLOCK as usize);
        check(&format!("{long}\nshort\n{long}\n"), &[&long, "short", &long]);
        check(&format!("short\n{long}"), &["short"]);
    }
}
