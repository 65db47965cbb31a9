//! Many chains at once: in each sweep, one record back in every chain, in the order of the journal.
//!
//! Ends come in batches of thousands, their chains interleaved over the segments. Read one after the other they cost
//! a seek a record; read level by level they cost a few passes in one direction, which the system reads ahead.

use visitlog_core::{Lsn, VisitId};

use super::error::JournalError;
use super::journal::Journal;
use super::reader::Window;
use super::record::ChainEntry;

/// Records that are no further apart are read together: reading so much costs less than another call.
const GAP_BYTES: u64 = 16 * 1024;
/// Bytes read at a time.
const WINDOW_BYTES: u64 = 512 * 1024;
/// Read behind the start of a run's last record; longer ones are read again.
const LAST_BYTES: u64 = 1024;

/// What a common chain has room in without growing.
const CHAIN_RECORDS: usize = 12;

/// A chain being walked.
struct Walker {
    visit: VisitId,
    entries: Vec<ChainEntry>,
    failed: Option<JournalError>,
}

impl Journal {
    /// Reads many chains at once, in sweeps over the segments. The results are in the order of the questions, each
    /// oldest first.
    ///
    /// Holds all their entries in memory. About a thousand chains at a time are fastest: what is read still is in the
    /// processor's cache when it is used.
    pub fn read_chains(&self, ends: &[(VisitId, Lsn)]) -> Vec<Result<Vec<ChainEntry>, JournalError>> {
        let mut walkers: Vec<Walker> = ends
            .iter()
            .map(|(visit, _)| Walker { visit: *visit, entries: Vec::with_capacity(CHAIN_RECORDS), failed: None })
            .collect();
        let mut level: Vec<(u64, u32)> =
            ends.iter().zip(0..).filter(|((_, last), _)| last.is_some()).map(|((_, last), at)| (last.0, at)).collect();
        let mut window = Window::new();
        let mut next = Vec::new();
        while !level.is_empty() {
            level.sort_unstable();
            for at in 0..level.len() {
                let (lsn, who) = level[at];
                let walker = &mut walkers[who as usize];
                match self.go_back(&mut window, walker, lsn, &level[at..]) {
                    Ok(Lsn::NONE) => {}
                    Ok(prev) => next.push((prev.0, who)),
                    Err(error) => walker.failed = Some(error),
                }
            }
            level.clear();
            std::mem::swap(&mut level, &mut next);
        }
        walkers.into_iter().map(Walker::finish).collect()
    }

    /// Reads the record at `lsn`, and those before it in its chain as long as they are in the window anyway. Returns
    /// the first that is not.
    fn go_back(
        &self,
        window: &mut Window,
        walker: &mut Walker,
        lsn: u64,
        rest: &[(u64, u32)],
    ) -> Result<Lsn, JournalError> {
        let mut next = Lsn(lsn);
        let mut fetched = false;
        while next.is_some() {
            let Some(record) = window.record_of(self, walker.visit, next.0)? else {
                if next.0 != lsn {
                    return Ok(next);
                }
                if fetched {
                    return Err(self.outside(next));
                }
                window.fetch(self, lsn, 0, run_of(rest))?;
                fetched = true;
                continue;
            };
            walker.entries.push(self.chain_entry(record)?);
            next = self.before(record)?;
        }
        Ok(Lsn::NONE)
    }
}

/// How many bytes to read from the first of these positions on.
fn run_of(positions: &[(u64, u32)]) -> u64 {
    let first = positions[0].0;
    let mut last = first;
    for (lsn, _) in positions {
        if lsn - last > GAP_BYTES || lsn - first > WINDOW_BYTES {
            break;
        }
        last = *lsn;
    }
    last - first + LAST_BYTES
}

impl Walker {
    fn finish(mut self) -> Result<Vec<ChainEntry>, JournalError> {
        match self.failed {
            Some(error) => Err(error),
            None => {
                self.entries.reverse();
                Ok(self.entries)
            }
        }
    }
}
