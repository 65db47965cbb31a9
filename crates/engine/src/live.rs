//! What is going on now: open sessions with their events, read without holding up traffic.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use visitlog_core::machine::{HostIndex, Open};
use visitlog_core::model::{Entry, Gathered, OpenVisit, Values};
use visitlog_core::ports::{PresenceCounts, PresenceSource, Present};
use visitlog_core::{VisitId, invariants};

use crate::config::SHARDS;
use crate::engine::Engine;
use crate::journal::JournalError;
use crate::presence::Row;

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

    /// Everybody who is online, in no order that means anything.
    pub fn present(&self) -> Vec<Present> {
        let mut sites = HashMap::new();
        self.presence.rows().into_iter().map(|row| self.named(row, &mut sites)).collect()
    }

    /// One session, if it is online.
    pub fn present_one(&self, visit: VisitId) -> Option<Present> {
        self.presence.row(visit).map(|row| self.named(row, &mut HashMap::new()))
    }

    /// How many are online, by site.
    pub fn present_counts(&self) -> BTreeMap<Arc<str>, PresenceCounts> {
        let mut by_site = BTreeMap::<Arc<str>, PresenceCounts>::new();
        for (host, counts) in self.presence.counts() {
            by_site.entry(self.site_named(host)).or_default().add(&counts);
        }
        by_site
    }

    /// The site that a host counts to, as known now.
    pub fn site_named(&self, host: HostIndex) -> Arc<str> {
        self.sessions.site(host).into()
    }

    fn named(&self, row: Row, sites: &mut HashMap<HostIndex, Arc<str>>) -> Present {
        let Row { visit, host, user, state, page, title, tabs, since, last_seen } = row;
        let site = Arc::clone(sites.entry(host).or_insert_with(|| self.site_named(host)));
        Present { visit, site, user, state, page, title, tabs, since, last_seen }
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

impl PresenceSource for Engine {
    fn present(&self) -> Vec<Present> {
        Self::present(self)
    }
}
