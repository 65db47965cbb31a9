//! How much the upkeep may append at once.

use crate::engine::Engine;

/// What the upkeep may append in one step: it must leave room for traffic, and give sinks their turn.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u64,
}

impl Allowance {
    pub(crate) fn of(engine: &Engine) -> Self {
        Self { left: engine.journal.room_for_maintenance().min(engine.config.upkeep_bytes_at_once) }
    }

    /// All that a step may append, whether there is room for it or not.
    pub(crate) fn whole(engine: &Engine) -> Self {
        Self { left: engine.config.upkeep_bytes_at_once }
    }

    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    pub(crate) const fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}
