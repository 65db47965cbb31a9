//! What keeps the erased from coming back.
//!
//! A barrier says: the visits of one visitor or user that ended below a position are erased. Whoever brings `End`s to
//! sinks leaves those out, so that no crash and no backlog can deliver them again. It does not name whom it is for: it
//! holds 128 bits of a BLAKE3 hash over a salt of its own and the id. A visitor's id can't be found by that; a user's
//! name could be tried by who has the record, which is why it goes with the segments that it was needed for.

use visitlog_core::model::{EndedVisit, Event};
use visitlog_core::{Lsn, VisitorId};

pub use visitlog_core::model::Whose;

const CONTEXT: &[u8] = b"visitlog erasure 1\0";

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// `End`s below it are erased.
    pub below: Lsn,
    /// Makes its mark another one each time.
    pub salt: u128,
    /// Of whom.
    pub mark: u128,
}

impl Barrier {
    /// A barrier against somebody's visits; `salt` is random.
    pub fn new(whose: Whose<'_>, below: Lsn, salt: u128) -> Self {
        let mark = match whose {
            Whose::Visitor(visitor) => mark_of_visitor(salt, visitor),
            Whose::User(user) => mark_of_user(salt, user.as_str()),
        };
        Self { below, salt, mark }
    }

    /// Whether a visit, whose `End` is at `end`, must not get to any sink.
    pub fn bars(&self, end: Lsn, visit: &EndedVisit) -> bool {
        let is = |user: &str| mark_of_user(self.salt, user) == self.mark;
        end < self.below
            && (mark_of_visitor(self.salt, visit.start.facts.visitor_id) == self.mark
                || visit.end.user.as_ref().is_some_and(|user| is(user.as_str()))
                || visit.events.iter().filter_map(Event::user).any(is))
    }
}

fn mark_of_visitor(salt: u128, visitor: VisitorId) -> u128 {
    mark(salt, 1, &visitor.as_u128().to_le_bytes())
}

fn mark_of_user(salt: u128, user: &str) -> u128 {
    mark(salt, 2, user.as_bytes())
}

fn mark(salt: u128, what: u8, id: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(CONTEXT).update(&salt.to_le_bytes()).update(&[what]).update(id);
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use visitlog_core::model::{EventKind, UserId};

    use super::*;
    use visitlog_testkit::samples::{MORNING, visit};

    #[test]
    fn bars_only_whom_it_is_for_and_only_below() {
        let visit = visit(1, MORNING);
        let other = VisitorId::from_u128(visit.start.facts.visitor_id.as_u128() + 1);
        let visitor = Barrier::new(Whose::Visitor(visit.start.facts.visitor_id), Lsn(100), 7);
        assert!(visitor.bars(Lsn(99), &visit) && !visitor.bars(Lsn(100), &visit));
        assert!(!Barrier::new(Whose::Visitor(other), Lsn(100), 7).bars(Lsn(99), &visit));
        let alice = UserId::new("alice");
        let user = Barrier::new(Whose::User(&alice), Lsn(100), 7);
        let mut visit = visit;
        visit.events.clear();
        visit.end.user = None;
        assert!(!user.bars(Lsn(1), &visit));
        visit.end.user = Some(alice.clone());
        assert!(user.bars(Lsn(1), &visit));
        visit.end.user = None;
        let (time, kind) = (visit.start.at, EventKind::Login);
        let name = Some("alice".into());
        visit.events.push(Event { time, kind, name, type_: None, request: None, properties: None });
        assert!(user.bars(Lsn(1), &visit), "who logged in, whoever it was in the end");
        assert_ne!(user.mark, Barrier::new(Whose::User(&alice), Lsn(100), 8).mark, "salted");
    }
}
