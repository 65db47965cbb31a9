//! What happens to requests once the journal is as long as it may be.

use visitlog_core::ports::{Arrival, StoreError, Token};

use crate::engine::Engine;
use crate::journal::Fill;

impl Engine {
    /// Refuses a request that would start a session while the journal is too long: first those of strangers, whose
    /// sessions are provisional, then all. Open sessions go on.
    pub(crate) fn check_quota(&self, arrival: &Arrival) -> Result<(), StoreError> {
        let refused = match self.journal.fill() {
            Fill::Room | Fill::Half => false,
            Fill::Full => arrival.token.is_none(),
            Fill::Over => !arrival.token.is_some_and(|token| self.is_open(&token)),
        };
        if !refused || arrival.passive {
            return Ok(());
        }
        self.counters.over_quota();
        Err(StoreError::Unavailable { reason: "the journal is as long as it may be" })
    }

    fn is_open(&self, token: &Token) -> bool {
        token.visit.is_some_and(|visit| self.sessions.shard(visit.partition()).knows(visit))
    }
}
