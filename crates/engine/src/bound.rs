//! Which part of the journal the open sessions need.

use visitlog_core::{Lsn, VisitId};

use crate::engine::{Engine, SHARDS};

/// A position below which no open session of a shard needs anything. It stays true: chains only move up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Floor {
    at: Lsn,
    /// Whose chain begins there. As long as that is so, no other session has to be looked at.
    whose: Option<VisitId>,
}

impl Engine {
    /// Below which position nothing is needed any more, once everything up to the second one is synced. It may be lower
    /// than it could be, for sessions come and go meanwhile, and never higher.
    pub(crate) fn collection_bound(&self) -> (Lsn, Lsn) {
        // Shards before sinks: a session that ends in between is seen by one of them.
        let bound = self.oldest_open();
        let needed = self.ledger.oldest_needed();
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
