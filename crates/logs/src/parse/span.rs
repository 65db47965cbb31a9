//! Where values stand in a line.

/// A part of a line; or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) const NONE: Self = Self { start: u32::MAX, end: 0 };

    /// Lines are shorter than 4 GiB ([`LINE_BYTES_MAX`](crate::limits::LINE_BYTES_MAX)).
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Its bytes, whatever they are; `None` if it is nothing.
    pub(crate) fn of(self, line: &[u8]) -> Option<&[u8]> {
        line.get(self.start as usize..self.end as usize)
    }

    /// Its bytes, unless they are empty or `-`.
    pub(crate) fn said(self, line: &[u8]) -> Option<&[u8]> {
        self.of(line).filter(|bytes| !bytes.is_empty() && *bytes != b"-")
    }

    /// The byte before it is this one.
    pub(crate) fn is_after(self, byte: u8, line: &[u8]) -> bool {
        self.start > 0 && line.get(self.start as usize - 1) == Some(&byte)
    }

    /// Where it starts.
    pub(crate) const fn start(self) -> u32 {
        self.start
    }

    /// From its start to the end of `last`.
    pub(crate) const fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }
}
