//! State that belongs to no session, written again so that old segments can go: a base, in pieces.

use visitlog_core::Host;
use visitlog_core::machine::Tombstone;

use crate::allowance::Allowance;
use crate::config::SHARDS;
use crate::engine::Engine;
use crate::journal::{BaseItem, BaseStart};

/// Tombstones that are written before other writers get their turn.
const PIECE: usize = 1_024;

/// A base that is being written.
#[derive(Debug)]
pub(crate) struct Base {
    start: BaseStart,
    /// The next shard whose tombstones are to be written.
    shard: usize,
    /// Those of the shard before it that are left. One that comes later says so in the session's `End`, behind the
    /// base's beginning.
    tombstones: Vec<Tombstone>,
}

impl Base {
    /// Begins one, with all of it that is short.
    pub(crate) fn begin(engine: &Engine, allowance: &mut Allowance) -> Self {
        let journal = &engine.journal;
        let start = journal.begin_base();
        let before = journal.appended();
        journal.appender().append_base(&[BaseItem::Time(engine.now())]);
        engine.ledger.append_base();
        {
            let sites = engine.sessions.known_sites();
            let items: Vec<_> = sites.iter().map(Host::to_string).map(BaseItem::Site).collect();
            journal.appender().append_base(&items);
        }
        allowance.spend(journal.appended().0 - before.0);
        Self { start, shard: 0, tombstones: Vec::new() }
    }

    /// Goes on, as far as the allowance goes. Gives itself back if that is not the end.
    pub(crate) fn step(mut self, engine: &Engine, allowance: &mut Allowance) -> Option<Self> {
        loop {
            if self.tombstones.is_empty() {
                if self.shard == SHARDS {
                    engine.journal.finish_base(self.start);
                    return None;
                }
                self.tombstones.extend(engine.shard_of(self.shard as u8).tombstones());
                self.shard += 1;
                continue;
            }
            if allowance.is_spent() {
                return Some(self);
            }
            self.write_piece(engine, allowance);
        }
    }

    fn write_piece(&mut self, engine: &Engine, allowance: &mut Allowance) {
        let piece = self.tombstones.split_off(self.tombstones.len().saturating_sub(PIECE));
        let mut appender = engine.journal.appender();
        let before = appender.next_lsn();
        // Under the append lock: an erasure that has begun a new segment since leaves nothing of it there.
        let left = piece.into_iter().filter(|tomb| !engine.ledger.is_erased(tomb.visit));
        let items: Vec<_> = left.map(BaseItem::Tombstone).collect();
        appender.append_base(&items);
        allowance.spend(appender.next_lsn().0 - before.0);
    }
}
