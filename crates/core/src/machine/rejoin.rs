//! How parallel requests with one old token meet in one new session.

use std::collections::{HashMap, VecDeque};

use crate::ids::{Fingerprint, Fingerprints, TokenMark, VisitId, Visitor};
use crate::limits;
use crate::ports::Token;
use crate::time::Timestamp;

/// What started a session.
#[derive(Debug, Clone, Copy)]
struct By {
    visit: VisitId,
    /// `None` after a restart: the token's own.
    visitor: Option<Visitor>,
    fingerprint: Fingerprint,
    at: Timestamp,
}

/// A session that was started a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twin {
    /// Its visit.
    pub(super) visit: VisitId,
    /// Its visitor, where that is known: after a restart it is not.
    pub(super) visitor: Option<Visitor>,
}

/// The sessions that old tokens started a moment ago.
#[derive(Debug)]
pub(super) struct Rejoin {
    starts: HashMap<TokenMark, By>,
    order: VecDeque<(Timestamp, TokenMark)>,
    max: usize,
}

impl Rejoin {
    /// None yet, and never more than `max`: as many as sessions may be provisional. Who replays one token under many
    /// names starts more of them in ten seconds than that; they are evicted by then, and nobody can join them.
    pub(super) fn new(max: usize) -> Self {
        Self { starts: HashMap::new(), order: VecDeque::new(), max: max.max(1) }
    }

    /// A token with this mark started a session.
    pub(super) fn started(&mut self, mark: TokenMark, twin: Twin, fingerprint: Fingerprint, now: Timestamp) {
        let Twin { visit, visitor } = twin;
        self.starts.insert(mark, By { visit, visitor, fingerprint, at: now });
        self.order.push_back((now, mark));
        self.prune(now);
    }

    /// The session that this token started less than ten seconds ago, if the fingerprint is still the same.
    pub(super) fn find(&mut self, token: &Token, fingerprint: Fingerprints, now: Timestamp) -> Option<Twin> {
        if self.order.is_empty() {
            return None;
        }
        self.prune(now);
        let by = self.starts.get(&token.mark())?;
        let same = by.fingerprint == fingerprint.today || by.fingerprint == fingerprint.yesterday;
        same.then_some(Twin { visit: by.visit, visitor: by.visitor })
    }

    /// Entries of both tables.
    pub(super) fn entries(&self) -> usize {
        self.starts.len() + self.order.len()
    }

    fn prune(&mut self, now: Timestamp) {
        while let Some(&(at, mark)) = self.order.front() {
            if now.since(at) <= limits::REJOIN_WITHIN && self.order.len() <= self.max {
                break;
            }
            self.order.pop_front();
            // The same token may have started another since: that one is further back in the order.
            if self.starts.get(&mark).is_some_and(|by| by.at == at) {
                self.starts.remove(&mark);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Day;

    fn token(visit: Option<u128>) -> Token {
        let (visitor, visit) = (Visitor::from_u128(9), visit.map(VisitId::from_u128));
        Token { visitor, visit, number: 1, rotation: 0, born: Day::default() }
    }

    fn prints(today: u64) -> Fingerprints {
        Fingerprints { today: Fingerprint(today), yesterday: Fingerprint(today + 1000) }
    }

    #[test]
    fn a_token_that_is_replayed_fills_nothing() {
        let mut rejoin = Rejoin::new(10);
        let new = Twin { visit: VisitId::from_u128(5), visitor: Some(Visitor::from_u128(6)) };
        for n in 0..1_000 {
            rejoin.started(token(Some(n % 100)).mark(), new, Fingerprint(n as u64), Timestamp::from_micros(n as i64));
        }
        assert_eq!((rejoin.entries(), rejoin.starts.len()), (20, 10));
        assert_eq!(rejoin.find(&token(Some(99)), prints(999), Timestamp::from_secs(1)), Some(new));
    }

    #[test]
    fn joins_for_ten_seconds_from_the_same_fingerprint() {
        let mut rejoin = Rejoin::new(10);
        let new = Twin { visit: VisitId::from_u128(5), visitor: Some(Visitor::from_u128(6)) };
        rejoin.started(token(Some(1)).mark(), new, Fingerprint(7), Timestamp::from_secs(100));
        assert_eq!(rejoin.find(&token(Some(1)), prints(7), Timestamp::from_secs(110)), Some(new));
        assert_eq!(rejoin.find(&token(Some(1)), prints(8), Timestamp::from_secs(105)), None);
        assert_eq!(rejoin.find(&token(Some(2)), prints(7), Timestamp::from_secs(105)), None);
        let other_hands = Token { rotation: 1, ..token(Some(1)) };
        assert_eq!(rejoin.find(&other_hands, prints(7), Timestamp::from_secs(105)), None);
        assert_eq!(rejoin.find(&token(None), prints(7), Timestamp::from_secs(105)), None);
        assert_eq!(rejoin.find(&token(Some(1)), prints(7), Timestamp::from_secs(111)), None);
    }
}
