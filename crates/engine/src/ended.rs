//! Visits that have ended a moment ago: in the journal, not yet in what their sink keeps.

use visitlog_core::model::{EndedVisit, assemble};
use visitlog_core::ports::{EndedVisits as _, Keeper};
use visitlog_core::{Lsn, VisitId};

use crate::engine::Engine;
use crate::journal::JournalError;
use crate::ledger::PendingEnd;

impl Engine {
    /// The visits that have ended and are on their way to the sink of this name, the newest end first; `limit` of them
    /// at most. Some may be with the sink already: they are here until that is on stable storage.
    ///
    /// # Errors
    /// When a chain can't be read.
    pub fn on_the_way(&self, sink: &str, limit: usize) -> Result<Vec<EndedVisit>, JournalError> {
        let ends = self.ledger.newest_behind(self.settled(sink), limit);
        ends.into_iter().filter_map(|end| self.ended_visit(end).transpose()).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// When its chain can't be read.
    pub fn one_on_the_way(&self, sink: &str, visit: VisitId) -> Result<Option<EndedVisit>, JournalError> {
        match self.ledger.find_behind(self.settled(sink), visit) {
            Some(end) => self.ended_visit(end),
            None => Ok(None),
        }
    }

    /// Up to where a sink needs no End any more, whatever happens.
    fn settled(&self, sink: &str) -> Lsn {
        let of = |keeper| {
            self.ledger.streams().first().map_or(Lsn::NONE, |stream| self.ledger.settled(*stream, sink, keeper))
        };
        of(Keeper::Sink).max(of(Keeper::Park))
    }

    fn ended_visit(&self, end: PendingEnd) -> Result<Option<EndedVisit>, JournalError> {
        match self.journal.read_chain(end.visit, end.end) {
            Ok(chain) => Ok(assemble(end.visit, chain.into_iter().map(|record| record.entry).collect())
                .ok()
                .filter(|visit| !visit.has_withdrawn())),
            // It has arrived, and its segments could go.
            Err(_) if self.ledger.find_behind(Lsn::NONE, end.visit).is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
