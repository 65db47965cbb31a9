//! What clients did first that came without a cookie into the session that their fingerprint shares: who then returns the
//! token that it was given takes that along into a session of its own.
//!
//! All of it is in memory: after a restart what was done stays where it was recorded.

use std::collections::{HashMap, VecDeque};

use crate::ids::{VisitId, Visitor};
use crate::limits;
use crate::model::Brings;
use crate::ports::Commit;

/// What a client did first.
#[derive(Debug)]
pub(super) enum Landing {
    /// It waits in the session that its fingerprint shares.
    Shared(Box<Landed>),
    /// It has gone along into this session.
    Own(VisitId),
}

/// A first request that was recorded in a shared session.
#[derive(Debug)]
pub(super) struct Landed {
    /// Which of the session's events are its.
    pub(super) brings: Brings,
    /// What it did.
    pub(super) commit: Commit,
}

/// The first requests of a shard's visitors.
#[derive(Debug, Default)]
pub(super) struct Landings {
    by_visitor: HashMap<Visitor, Landing>,
    /// Their visitors, the oldest first, each once.
    order: VecDeque<Visitor>,
}

impl Landings {
    /// Remembers what a visitor did first, who was drawn for it. Of too many the oldest is forgotten.
    pub(super) fn keep(&mut self, visitor: Visitor, landed: Landed) {
        while self.order.len() >= limits::LANDINGS_PER_SHARD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_visitor.remove(&oldest);
        }
        if self.by_visitor.insert(visitor, Landing::Shared(Box::new(landed))).is_none() {
            self.order.push_back(visitor);
        }
    }

    /// Where it is now.
    pub(super) fn get(&self, visitor: Visitor) -> Option<&Landing> {
        self.by_visitor.get(&visitor)
    }

    /// Whether what this visitor did first waits to be taken along.
    pub(super) fn waits(&self, visitor: Visitor) -> bool {
        matches!(self.get(visitor), Some(Landing::Shared(_)))
    }

    /// Takes along what waits, into this session. A second time there is nothing.
    pub(super) fn take(&mut self, visitor: Visitor, into: VisitId) -> Option<Box<Landed>> {
        match self.by_visitor.get_mut(&visitor) {
            Some(landing @ Landing::Shared(_)) => match std::mem::replace(landing, Landing::Own(into)) {
                Landing::Shared(landed) => Some(landed),
                Landing::Own(_) => None,
            },
            _ => None,
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.order.len()
    }
}
