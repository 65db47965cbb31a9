//! Many chains at once: in each sweep, one record back in every chain, in the order of the journal.
//!
//! Ends come in batches of thousands, their chains interleaved over the segments. Read one after the other they cost
//! a seek a record; read level by level they cost a few passes in one direction, which the system reads ahead.

use visitlog_core::{Lsn, VisitId};

use super::codec::Before;
use super::error::JournalError;
use super::journal::Journal;
use super::reader::{Window, makes_visit};
use super::record::ChainEntry;

/// Records that are no further apart are read together: reading so much costs less than another call.
const GAP_BYTES: u64 = 16 * 1024;
/// Bytes read at a time.
const WINDOW_BYTES: u64 = 512 * 1024;
/// Read behind the start of a run's last record; longer ones are read again.
const LAST_BYTES: u64 = 1024;

/// Chains, and bytes of their entries, that are in memory at once where many are gone through.
const CHAINS_AT_ONCE: usize = 1_024;
const CHAINS_BYTES: usize = 16 * 1024 * 1024;

/// What a common chain has room in without growing.
const CHAIN_RECORDS: usize = 12;

/// What an entry takes in memory beside its payload: itself, and the facts of its request.
const ENTRY_BYTES: usize = 256;

/// A chain being walked.
struct Walker {
    visit: VisitId,
    entries: Vec<ChainEntry>,
    /// What the entries take, about.
    bytes: usize,
    failed: Option<JournalError>,
}

impl Journal {
    /// Reads many chains at once, in sweeps over the segments, as far as they fit in about `bytes` of memory: the first
    /// ones of those that were asked for, one at least if any were. Who wants the others asks again. The results are in
    /// the order of the questions, each oldest first, and hold what [`Journal::read_chain`] would.
    ///
    /// About a thousand chains at a time are fastest: what is read still is in the processor's cache when it is used.
    pub fn read_chains(&self, ends: &[(VisitId, Lsn)], bytes: usize) -> Vec<Result<Vec<ChainEntry>, JournalError>> {
        let mut walkers: Vec<Walker> = ends.iter().map(|(visit, _)| Walker::new(*visit)).collect();
        let mut level: Vec<(u64, u32)> =
            ends.iter().zip(0..).filter(|((_, last), _)| last.is_some()).map(|((_, last), at)| (last.0, at)).collect();
        let (mut window, mut before) = (Window::new(), Before::default());
        let mut next = Vec::new();
        let mut held = 0;
        while !level.is_empty() {
            level.sort_unstable();
            for at in 0..level.len() {
                let (lsn, who) = level[at];
                let Some(walker) = walkers.get_mut(who as usize) else { continue };
                let had = walker.bytes;
                match self.go_back((&mut window, &mut before), walker, lsn, &level[at..]) {
                    Ok(Lsn::NONE) => {}
                    Ok(prev) => next.push((prev.0, who)),
                    Err(error) => walker.failed = Some(error),
                }
                held += walker.bytes - had;
                while held > bytes && walkers.len() > 1 {
                    held -= walkers.pop().map_or(0, |last| last.bytes);
                }
            }
            level.clear();
            std::mem::swap(&mut level, &mut next);
            level.retain(|(_, who)| (*who as usize) < walkers.len());
        }
        walkers.into_iter().map(Walker::finish).collect()
    }

    /// Calls `on_chain` for each of any number of chains, in order, with some of them in memory at a time.
    ///
    /// # Errors
    /// Those of `on_chain`.
    pub fn each_chain<E>(
        &self,
        mut ends: &[(VisitId, Lsn)],
        mut on_chain: impl FnMut((VisitId, Lsn), Result<Vec<ChainEntry>, JournalError>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !ends.is_empty() {
            let chains = self.read_chains(&ends[..ends.len().min(CHAINS_AT_ONCE)], CHAINS_BYTES);
            let (read, rest) = ends.split_at(chains.len());
            read.iter().zip(chains).try_for_each(|(end, chain)| on_chain(*end, chain))?;
            ends = rest;
        }
        Ok(())
    }

    /// Reads the record at `lsn`, and those before it in its chain as long as they are in the window anyway. Returns
    /// the first that is not.
    fn go_back(
        &self,
        (window, before): (&mut Window, &mut Before),
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
            next = self.before(record)?;
            if makes_visit(record.kind) {
                walker.bytes += ENTRY_BYTES + record.payload.len();
                walker.entries.push(self.chain_entry(record, before)?);
            }
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
    fn new(visit: VisitId) -> Self {
        Self { visit, entries: Vec::with_capacity(CHAIN_RECORDS), bytes: 0, failed: None }
    }

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
