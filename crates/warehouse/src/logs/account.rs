//! What became of the lines.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use visitlog_logs::{Reject, Tally};

use super::error::FilesError;

/// Takes each rejected line, once.
pub type OnReject = Arc<dyn Fn(&Reject) + Send + Sync>;

/// What became of a table's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAccount {
    /// What the statement calls the table.
    pub name: String,
    /// The lines that were read: all, or fewer where a `LIMIT` was reached.
    pub tally: Tally,
    /// The first line that was rejected: where it stands, and why.
    pub first_reject: Option<String>,
    /// What was not read at all, and why.
    pub warnings: Vec<String>,
}

/// What became of the lines of a statement's files.
pub type Account = Vec<FileAccount>;

/// Counts the lines of one table. A statement may read it more than once; the scan that read the most counts.
pub(super) struct Ledger {
    name: String,
    max_errors: Option<u64>,
    on_reject: Option<OnReject>,
    scans: Mutex<Scans>,
}

#[derive(Debug, Default)]
struct Scans {
    tallies: Vec<Tally>,
    first_reject: Option<(Arc<str>, u64, String)>,
    warnings: Vec<String>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Ledger {
    pub(super) fn new(name: &str, max_errors: Option<u64>, on_reject: Option<OnReject>) -> Self {
        Self { name: name.to_owned(), max_errors, on_reject, scans: Mutex::default() }
    }

    /// The number of a new scan.
    pub(super) fn begin(&self) -> usize {
        let mut scans = self.scans.lock();
        scans.tallies.push(Tally::default());
        scans.tallies.len() - 1
    }

    /// Adds what became of a chunk's lines.
    ///
    /// # Errors
    /// When more lines were rejected than may be.
    pub(super) fn add(&self, scan: usize, tally: Tally, rejects: &[Reject]) -> Result<(), FilesError> {
        let mut scans = self.scans.lock();
        let Some(sum) = scans.tallies.get_mut(scan) else { return Ok(()) };
        *sum += tally;
        let rejected = sum.rejected;
        if let Some(first) = rejects.first() {
            let is_earlier = |(file, line, _): &(Arc<str>, u64, String)| *file == first.file && first.line < *line;
            if scans.first_reject.as_ref().is_none_or(is_earlier) {
                scans.first_reject = Some((Arc::clone(&first.file), first.line, said(first)));
            }
        }
        if let Some(on_reject) = self.on_reject.as_ref().filter(|_| scan == 0) {
            rejects.iter().for_each(|reject| on_reject(reject));
        }
        match (self.max_errors, rejects.last()) {
            (Some(max), Some(last)) if rejected > max => Err(FilesError::TooMany { rejected, max, last: said(last) }),
            _ => Ok(()),
        }
    }

    /// Something is not read; said once, however often the table is.
    pub(super) fn warn(&self, what: String) {
        let mut scans = self.scans.lock();
        if !scans.warnings.contains(&what) {
            scans.warnings.push(what);
        }
    }

    pub(super) fn account(&self) -> FileAccount {
        let scans = self.scans.lock();
        let tally = scans.tallies.iter().max_by_key(|tally| tally.lines()).copied().unwrap_or_default();
        let first_reject = scans.first_reject.as_ref().map(|(.., said)| said.clone());
        FileAccount { name: self.name.clone(), tally, first_reject, warnings: scans.warnings.clone() }
    }
}

/// Where a rejected line stands, and why it was: none of its bytes.
fn said(reject: &Reject) -> String {
    format!("{}, line {}: {}", reject.file, reject.line, reject.reason)
}
