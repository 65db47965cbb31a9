//! Which part of the journal the open sessions need.

use visitlog_core::Lsn;

use crate::config::SHARDS;
use crate::engine::Engine;
use crate::floor::Floor;

impl Engine {
    /// Below which position nothing is needed any more, once everything up to the second one is synced. It may be lower
    /// than it could be, for sessions come and go meanwhile, and never higher.
    pub(crate) fn collection_bound(&self) -> (Lsn, Lsn) {
        self.collection_bound_with(|| {})
    }

    /// The same; `between` happens between the look at the shards and that at the sinks.
    fn collection_bound_with(&self, between: impl FnOnce()) -> (Lsn, Lsn) {
        // Shards before sinks: a session that ends in between is seen by one of them.
        let early = (!self.config.asks_shards_first()).then(|| self.ledger.oldest_needed());
        let bound = self.oldest_open();
        between();
        let needed = early.unwrap_or_else(|| self.ledger.oldest_needed());
        // Not up to the journal's end: its last record may say that all before it is synced, and then no sync follows
        // until there is something else.
        (bound.min(needed.unwrap_or(bound)), self.journal.content_end())
    }

    /// The least first position of an open session's chain, or a lower one.
    fn oldest_open(&self) -> Lsn {
        let newest = self.journal.appended();
        let mut floors = self.floors.lock();
        let mut lowest = Lsn::NONE;
        // Once each; again where a session was carried or ended just then.
        for _ in 0..2 * SHARDS {
            let Some((shard, floor)) = floors.iter().copied().enumerate().min_by_key(|(_, floor)| floor.at) else {
                break;
            };
            lowest = floor.at;
            if lowest >= newest || self.is_still(floor) {
                break;
            }
            floors[shard] = self.look_for_floor(shard);
        }
        lowest.min(newest)
    }

    fn is_still(&self, floor: Floor) -> bool {
        floor.whose.is_some_and(|visit| {
            self.shard_of(visit.partition()).get(visit).is_some_and(|open| open.chain.first == floor.at)
        })
    }

    /// Looks at all sessions of a shard, a page at a time.
    fn look_for_floor(&self, shard: usize) -> Floor {
        // Sessions that start from now on begin behind this.
        let mut floor = Floor { at: self.journal.appended(), whose: None };
        let mut page = 0;
        while let Some(shard) = Some(self.shard_of(shard as u8)).filter(|shard| page < shard.pages()) {
            for chain in shard.chains_of_page(page).filter(|chain| chain.first.is_some()) {
                if chain.first < floor.at {
                    floor = Floor { at: chain.first, whose: Some(chain.visit) };
                }
            }
            page += 1;
        }
        floor
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use visitlog_core::model::UserId;
    use visitlog_core::ports::{Arrival, Class, Commit, EndedVisits as _, Op, SessionStore as _};
    use visitlog_core::{Fingerprint, Fingerprints, Host, VisitId};
    use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

    use super::*;
    use crate::config::EngineConfig;
    use crate::journal::Flags;

    fn a_session(engine: &Engine) -> VisitId {
        let fingerprint = Fingerprints { today: Fingerprint(1), yesterday: Fingerprint(2) };
        let host = Host::new("shop.example");
        let arrival = Arrival { host: host.clone(), token: None, fingerprint, passive: false, cookies: true };
        let begun = engine.begin(arrival).now().expect("at once").expect("begun");
        let commit = Commit {
            request: begun.request,
            at: begun.at,
            host,
            token: None,
            fingerprint,
            standing: begun.standing,
            class: Class::Other(None),
            ops: vec![Op::Login(UserId::new("alice"))],
            on_start: Vec::new(),
            facts: Some(Box::default()),
            cookies: true,
        };
        let done = engine.commit(commit);
        let decided = done.decided().and_then(|decided| decided.as_ref().ok());
        decided.and_then(|committed| committed.visit).expect("started")
    }

    #[test]
    fn a_session_that_ends_between_the_looks_is_seen() {
        let (clock, entropy) =
            (Arc::new(SimClock::new(visitlog_testkit::samples::MORNING)), Arc::new(SimEntropy::new(3)));
        let disk = Arc::new(SimDisk::new(1));
        let opened = Engine::open(disk, Path::new("journal"), EngineConfig::default(), clock, entropy);
        let (engine, _) = opened.expect("opened");
        engine.ended().subscribe(&["files".to_owned()]);
        let visit = a_session(&engine);
        let first = engine.shard_of(visit.partition()).get(visit).expect("open").chain.first;
        engine.journal.appender().append_raw(visit, Lsn::NONE, Flags::CARRIED, crate::journal::Kind::Event, &[0; 9]);
        let (bound, _) = engine.collection_bound_with(|| {
            assert!(engine.end_session(visit).expect("taken").0);
        });
        assert!(bound <= first, "its records from {first} on are needed, those below {bound} would go");
    }
}
