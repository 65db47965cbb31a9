//! Visits that have ended a moment ago: in the journal, not yet in what their sink keeps.

use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;

use crate::engine::Engine;
use crate::journal::JournalError;
use crate::sinks::{PendingEnd, assemble};

impl Engine {
    /// The visits that have ended and are on their way to the sink of this name, the newest end first; `limit` of them
    /// at most. Some may be with the sink already: they are here until that is on stable storage.
    ///
    /// # Errors
    /// When a chain can't be read.
    pub fn on_the_way(&self, sink: &str, limit: usize) -> Result<Vec<EndedVisit>, JournalError> {
        let ends = self.sinks.newest(sink, limit);
        ends.into_iter().filter_map(|end| self.ended(sink, end).transpose()).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// When its chain can't be read.
    pub fn one_on_the_way(&self, sink: &str, visit: VisitId) -> Result<Option<EndedVisit>, JournalError> {
        match self.sinks.find(sink, visit) {
            Some(end) => self.ended(sink, end),
            None => Ok(None),
        }
    }

    fn ended(&self, sink: &str, end: PendingEnd) -> Result<Option<EndedVisit>, JournalError> {
        match self.journal.read_chain(end.visit, end.end) {
            Ok(chain) => Ok(assemble(end.visit, chain.into_iter().map(|record| record.entry).collect()).ok()),
            // It has arrived, and its segments could go.
            Err(_) if self.sinks.find(sink, end.visit).is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
