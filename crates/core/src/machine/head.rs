//! The fixed-size state of one open session. Its events are in the journal, not here.

use std::sync::Arc;

use super::shard::Chain;
use super::sites::HostIndex;
use super::wheel::NONE;
use crate::ids::{Fingerprint, Lsn, VisitId};
use crate::model::Identity;
use crate::ports::SessionData;
use crate::time::Timestamp;

/// One open session in memory.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) visit: VisitId,
    /// The first record of its chain: what holds the journal's segments back.
    pub(super) first: Lsn,
    /// The newest record of its chain.
    pub(super) last: Lsn,
    /// Its last activity.
    pub(super) last_seen: Timestamp,
    /// Its last activity that the journal knows.
    pub(super) journaled: Timestamp,
    /// User and values; none where there are neither.
    pub(super) data: Option<Arc<SessionData>>,
    pub(super) fingerprint: Fingerprint,
    /// When the token was last changed, in whole seconds since 1970.
    pub(super) rotated_at_s: u32,
    /// Neighbours in its slot of the wheel.
    pub(super) next: u32,
    pub(super) prev: u32,
    pub(super) slot: u16,
    pub(super) events: u16,
    pub(super) rotation: u16,
    pub(super) in_flight: u16,
    pub(super) host: HostIndex,
    pub(super) rules: u8,
    pub(super) flags: Flags,
}

/// What is known of a session in a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    const CONFIRMED: u8 = 1;
    /// Confirmed, but no record says so yet.
    const CONFIRM_UNSAID: u8 = 2;
    const SHARED: u8 = 4;

    pub(super) fn of(identity: Identity) -> Self {
        Self(if identity == Identity::Fingerprint { Self::SHARED } else { 0 })
    }

    pub(super) fn confirmed(self) -> bool {
        self.0 & Self::CONFIRMED != 0
    }

    pub(super) fn shared(self) -> bool {
        self.0 & Self::SHARED != 0
    }

    pub(super) fn confirm(&mut self, said: bool) {
        self.0 |= Self::CONFIRMED | if said { 0 } else { Self::CONFIRM_UNSAID };
    }

    pub(super) fn confirm_unsaid(self) -> bool {
        self.0 & Self::CONFIRM_UNSAID != 0
    }

    /// Whether the next record has to say that the session is confirmed; it need not be said twice.
    pub(super) fn take_unsaid(&mut self) -> bool {
        let unsaid = self.confirm_unsaid();
        self.0 &= !Self::CONFIRM_UNSAID;
        unsaid
    }
}

impl Head {
    /// A session that starts; nothing of it is journaled yet.
    pub(super) fn new(
        visit: VisitId,
        at: Timestamp,
        fingerprint: Fingerprint,
        host: HostIndex,
        rules: u8,
        identity: Identity,
    ) -> Self {
        Self {
            visit,
            first: Lsn::NONE,
            last: Lsn::NONE,
            last_seen: at,
            journaled: at,
            data: None,
            fingerprint,
            rotated_at_s: 0,
            next: NONE,
            prev: NONE,
            slot: 0,
            events: 0,
            rotation: 0,
            in_flight: 0,
            host,
            rules,
            flags: Flags::of(identity),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        if self.flags.shared() { Identity::Fingerprint } else { Identity::Cookie }
    }

    pub(super) fn chain(&self) -> Chain {
        Chain { visit: self.visit, first: self.first, last: self.last, events: self.events }
    }

    pub(super) fn slide(&mut self, to: Timestamp) {
        self.last_seen = self.last_seen.max(to);
    }

    /// The journal knows of activity at `at`.
    pub(super) fn journal(&mut self, at: Timestamp) {
        self.journaled = self.journaled.max(at);
        self.slide(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_stays_small() {
        // 1,000,000 open sessions are to fit 200 bytes each, table and wheel included.
        assert!(size_of::<Head>() <= 104, "{}", size_of::<Head>());
    }

    #[test]
    fn a_confirmation_is_said_once() {
        let mut flags = Flags::of(Identity::Cookie);
        flags.confirm(false);
        assert!(flags.confirmed() && flags.take_unsaid() && !flags.take_unsaid() && flags.confirmed());
    }
}
