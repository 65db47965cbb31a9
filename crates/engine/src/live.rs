//! What is going on now: open sessions with their events, read without holding up traffic.

use std::sync::Arc;

use visitlog_core::machine::Open;
use visitlog_core::model::{Entry, Gathered, OpenVisit, Values};
use visitlog_core::{VisitId, invariants};

use crate::config::SHARDS;
use crate::engine::Engine;
use crate::journal::JournalError;

impl Engine {
    /// The open sessions, the one seen last first, without their events.
    pub fn open_list(&self) -> Vec<Open> {
        let mut open = Vec::new();
        for shard in 0..SHARDS {
            let mut page = 0;
            // A page at a time, so that traffic gets its turn in between.
            while let Some(shard) = Some(self.shard_of(shard as u8)).filter(|shard| page < shard.pages()) {
                open.extend(shard.page(page));
                page += 1;
            }
        }
        open.sort_by_key(|open| std::cmp::Reverse((open.last_seen, open.chain.visit)));
        open
    }

    /// An open session with its events so far. `None`: no such session is open.
    ///
    /// # Errors
    /// When its chain can't be read.
    pub fn read_open(&self, visit: VisitId) -> Result<Option<OpenVisit>, JournalError> {
        let Some(open) = self.shard_of(visit.partition()).get(visit) else { return Ok(None) };
        let entries = match self.journal.read_chain(visit, open.chain.last) {
            Ok(entries) => entries,
            // It was carried or ended meanwhile, and its old segments are gone.
            Err(_) if self.has_moved(&open) => return self.read_open(visit),
            Err(error) => return Err(error),
        };
        let mut start = None;
        let mut events = Gathered::default();
        for record in entries {
            if let Some(Entry::Start(first)) = events.see(record.entry) {
                start = Some(*first);
            }
        }
        let site = self.sessions.site(open.host);
        let values: Arc<Values> = open.data.values.clone();
        Ok(start.map(|start| OpenVisit {
            visit,
            start,
            site,
            last_seen: open.last_seen,
            confirmed: open.confirmed,
            user: open.data.user.clone(),
            values,
            events: events.into_events(),
        }))
    }

    /// Checks what must always hold of the open sessions and their wheels. Slow: for tests.
    ///
    /// # Errors
    /// Says which rule is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        (0..SHARDS).try_for_each(|shard| invariants::check_shard(&self.shard_of(shard as u8)))
    }

    /// Entries of all tables, queues and lists of the open sessions, which memory follows. Slow: for tests.
    pub fn entries(&self) -> usize {
        self.sessions.entries()
    }

    fn has_moved(&self, before: &Open) -> bool {
        let now = self.shard_of(before.chain.visit.partition()).get(before.chain.visit);
        now.is_none_or(|now| now.chain.first != before.chain.first)
    }
}
