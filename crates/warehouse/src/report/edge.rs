//! Where visits begin and end.

use super::error::ReportError;

/// Where a visit begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Entry,
    Exit,
}

impl Edge {
    pub(super) fn parse(name: &str) -> Result<Self, ReportError> {
        match name {
            "entry" => Ok(Self::Entry),
            "exit" => Ok(Self::Exit),
            _ => Err(ReportError::unknown("by", name, &["entry", "exit"])),
        }
    }
}
