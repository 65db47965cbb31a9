//! Erasure of one visitor or user from the engine: their open sessions, the visits on their way to the sinks, and the
//! journal's own copies.
//!
//! 1. [`Engine::begin_erasure`] ends their sessions and journals a [`Barrier`]: from there on no sink gets a visit of
//!    theirs that ended before, whatever crashes.
//! 2. Once every sink is past the barrier, what the sinks have stored can be erased there: no copy can follow.
//! 3. [`Engine::release_journal`] begins a new segment. The upkeep then carries the other open sessions into it, and lets
//!    everything before it go. [`Engine::is_released`] says when.
//!
//! After a crash in between, the journal's copies go as well, for the barrier is found; what the sinks store does not:
//! the barrier names nobody. So the erasure has to be asked for again.

use std::sync::atomic::Ordering;

use hashbrown::HashSet;
use visitlog_core::model::{EndReason, assemble};
use visitlog_core::ports::StoreError;
use visitlog_core::{Lsn, VisitId};

use crate::engine::Engine;
use crate::journal::{Barrier, BaseItem, ChainEntry, JournalError, Kind, Whose};
use crate::ledger::PendingEnd;

/// Journal read at once.
const READ_BYTES: usize = 1024 * 1024;
/// How often a session is looked for that is carried meanwhile.
const TRIES: usize = 3;

/// Why an erasure could not begin.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// A chain can't be read, so nobody knows whose it is.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal can't take more.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An erasure that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Visits of theirs that ended below are given to no sink any more.
    pub below: Lsn,
    /// Sessions that it ended.
    pub ended: u64,
    /// Visits of theirs that the journal still has anything of, those sessions included.
    pub visits: Vec<VisitId>,
}

impl Engine {
    /// The open sessions of a visitor, or those in which a user was logged in.
    ///
    /// # Errors
    /// When a chain can't be read.
    pub fn open_of(&self, whose: Whose<'_>) -> Result<Vec<VisitId>, JournalError> {
        let mut chains = Vec::new();
        self.sessions.for_each_shard(|shard| chains.extend(shard.chains().map(|chain| (chain.visit, chain.last))));
        let mut theirs = Vec::new();
        self.journal.each_chain(&chains, |(visit, _), found| {
            let found = found.map_or_else(|_| self.chain_now(visit), |chain| Ok(Some(chain)))?;
            if found.is_some_and(|chain| owns(whose, &chain)) {
                theirs.push(visit);
            }
            Ok::<_, JournalError>(())
        })?;
        Ok(theirs)
    }

    /// The visits of theirs that ended below a position and that some sink still has to get.
    ///
    /// # Errors
    /// When a chain can't be read.
    pub fn ended_of(&self, whose: Whose<'_>, below: Lsn) -> Result<Vec<VisitId>, JournalError> {
        let ends: Vec<_> = self.ledger.below(below).into_iter().map(|end| (end.visit, end.end)).collect();
        let mut theirs = Vec::new();
        self.journal.each_chain(&ends, |(visit, end), found| {
            match found {
                Ok(chain) if owns(whose, &chain) => theirs.push(visit),
                Ok(_) => {}
                // It has arrived, and its segments could go.
                Err(_) if !self.ledger.below(below).iter().any(|left| left.end == end) => {}
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        Ok(theirs)
    }

    /// Ends somebody's sessions, and keeps all their visits that have ended until now from every sink.
    ///
    /// # Errors
    /// When the journal can't be read, or can't take more.
    pub fn begin_erasure(&self, whose: Whose<'_>) -> Result<Begun, EraseError> {
        self.journal.check()?;
        let mut ended = 0;
        for visit in self.open_of(whose)? {
            ended += u64::from(self.terminate(visit, EndReason::Terminated)?.0);
        }
        let below = {
            let mut appender = self.journal.appender();
            let below = appender.next_lsn();
            let barrier = Barrier::new(whose, below, self.entropy.random());
            appender.append_base(&[BaseItem::Erased(barrier)]);
            self.ledger.bar(barrier);
            below
        };
        let visits = self.recorded_of(whose)?;
        Ok(Begun { below, ended, visits })
    }

    /// Begins a new segment, so that all that the journal holds by now can go. These visits were erased: nothing names
    /// them any more. Returns the position below which nothing will be left.
    pub fn release_journal(&self, visits: impl IntoIterator<Item = VisitId>) -> Lsn {
        self.forget(visits.into_iter().collect());
        let now = self.now();
        let mut appender = self.journal.appender();
        appender.begin_segment();
        let below = appender.next_lsn();
        appender.append_base(&[BaseItem::Time(now)]);
        drop(appender);
        self.release_below.fetch_max(below.0, Ordering::SeqCst);
        below
    }

    /// Whether the journal keeps nothing from below a position.
    pub fn is_released(&self, below: Lsn) -> bool {
        self.journal.oldest() >= below
    }

    /// Below which position all of the journal is to go, if it has not gone yet.
    pub(crate) fn releasing(&self) -> Option<Lsn> {
        let below = Lsn(self.release_below.load(Ordering::SeqCst));
        (self.journal.oldest() < below).then_some(below)
    }

    /// The visits of theirs that the journal still has a record of, needed or not.
    fn recorded_of(&self, whose: Whose<'_>) -> Result<Vec<VisitId>, JournalError> {
        let end = self.journal.appended();
        let _hold = self.journal.hold();
        let mut from = self.journal.oldest();
        let mut theirs = HashSet::new();
        while from < end {
            let next = self.journal.read_tail(from, READ_BYTES, &mut |record| {
                let is_session = !matches!(record.kind, Kind::Ack | Kind::Synced | Kind::Base);
                if is_session && record.entry().is_ok_and(|entry| whose.owns_entry(&entry)) {
                    theirs.insert(record.visit);
                }
            })?;
            if next == from {
                break;
            }
            from = next;
        }
        Ok(theirs.into_iter().collect())
    }

    /// After a crash: forgets that visits have ended which a barrier says are erased.
    pub(crate) fn forget_barred(&self, ends: &[PendingEnd]) {
        let mut barred = HashSet::new();
        let chains: Vec<_> = ends.iter().map(|end| (end.visit, end.end)).collect();
        let Ok(()) = self.journal.each_chain(&chains, |(visit, end), chain| {
            // What can't be read any more is old: its segments went in part.
            let Ok(chain) = chain else { return Ok::<_, std::convert::Infallible>(()) };
            let ended = assemble(visit, chain.into_iter().map(|record| record.entry).collect());
            if ended.is_ok_and(|ended| self.ledger.is_barred(end, &ended)) {
                barred.insert(visit);
            }
            Ok(())
        });
        self.forget(barred);
    }

    /// Nothing names these visits any more.
    fn forget(&self, visits: HashSet<VisitId>) {
        self.sessions.for_each_shard(|shard| shard.forget_tombstones(|visit| visits.contains(&visit)));
        self.ledger.erased(visits);
    }

    /// A session's chain as it is now; `None` if it is not open any more.
    fn chain_now(&self, visit: VisitId) -> Result<Option<Vec<ChainEntry>>, JournalError> {
        let mut tries = 0;
        loop {
            let Some(open) = self.shard_of(visit.partition()).get(visit) else { return Ok(None) };
            match self.journal.read_chain(visit, open.chain.last) {
                Ok(chain) => return Ok(Some(chain)),
                Err(_) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

fn owns(whose: Whose<'_>, chain: &[ChainEntry]) -> bool {
    chain.iter().any(|record| whose.owns_entry(&record.entry))
}
