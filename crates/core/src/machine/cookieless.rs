//! Clients that keep no cookie must not mint a session per request.

use std::collections::HashMap;

use crate::ids::{Fingerprint, Fingerprints, VisitId, Visitor};
use crate::limits;
use crate::time::Timestamp;

/// What is known of the fingerprints that have unconfirmed sessions, or share one.
#[derive(Debug, Default)]
pub struct Cookieless {
    prints: HashMap<Fingerprint, Print>,
}

#[derive(Debug, Default)]
struct Print {
    /// Unconfirmed sessions that still have time to be confirmed, oldest first.
    young: Vec<(VisitId, Timestamp)>,
    /// Unconfirmed sessions that live on after their time. A late confirmation still counts.
    stale: Vec<VisitId>,
    /// How many in a row were not confirmed in time.
    misses: u8,
    /// The session that the fingerprint's requests share.
    shared: Option<VisitId>,
    /// Visitors that returned a token without a visit, and were let out for it: once each.
    let_out: Vec<Visitor>,
}

/// A request that would start a session.
#[derive(Debug, Clone, Copy)]
pub struct Applicant {
    /// Its fingerprint.
    pub prints: Fingerprints,
    /// The session that it would start.
    pub visit: VisitId,
    /// Whether it must have one of its own, whatever its fingerprint: it logs in, or sets a value.
    pub needs_own: bool,
    /// The visitor of a token without a visit, by which it shows that it keeps cookies.
    pub returning: Option<Visitor>,
    /// Whether cookies are in use at all. Without them all share.
    pub cookies: bool,
}

/// Whether a request may start a session of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may; it counts as unconfirmed from now on.
    Own(Fingerprint),
    /// It joins (or starts) the session that its fingerprint shares.
    Shared(Fingerprint, VisitId),
}

impl Print {
    fn age(&mut self, now: Timestamp) {
        let overdue = self.young.iter().take_while(|(_, at)| now.since(*at) > limits::CONFIRM_WITHIN).count();
        for (visit, _) in self.young.drain(..overdue) {
            self.stale.push(visit);
            self.misses = self.misses.saturating_add(1);
        }
    }

    fn is_cookieless(&self) -> bool {
        // One place is kept for the session that they will share.
        self.misses >= limits::UNCONFIRMED_IN_A_ROW_MAX
            || self.young.len() + self.stale.len() + 1 >= limits::PROVISIONAL_PER_FINGERPRINT_MAX
    }

    /// Counts a session as unconfirmed; at the most as many as matter, for more can't make it more cookieless.
    fn count(&mut self, visit: VisitId, at: Timestamp) {
        if self.young.len() + self.stale.len() < limits::PROVISIONAL_PER_FINGERPRINT_MAX {
            let place = self.young.partition_point(|(_, other)| *other <= at);
            self.young.insert(place, (visit, at));
        }
    }

    /// Whether a visitor that returned a token without a visit gets a session of its own for it. The first time it
    /// does: a client that goes on presenting that token keeps no cookies after all.
    fn lets_out(&mut self, returning: Option<Visitor>) -> bool {
        let Some(visitor) = returning else { return false };
        let first = !self.let_out.contains(&visitor) && self.let_out.len() < limits::PROVISIONAL_PER_FINGERPRINT_MAX;
        if first {
            self.let_out.push(visitor);
        }
        first
    }

    fn is_idle(&self) -> bool {
        self.young.is_empty() && self.stale.is_empty() && self.shared.is_none()
    }
}

impl Cookieless {
    /// The key under which a request's fingerprint is known: yesterday's, if that is the one in use.
    fn key(&self, prints: Fingerprints) -> Fingerprint {
        let known = |print| self.prints.contains_key(&print);
        if !known(prints.today) && known(prints.yesterday) { prints.yesterday } else { prints.today }
    }

    /// Whether a request without a session of its own would share one.
    pub fn is_cookieless(&mut self, prints: Fingerprints, now: Timestamp) -> bool {
        let key = self.key(prints);
        self.prints.get_mut(&key).is_some_and(|print| {
            print.age(now);
            print.is_cookieless()
        })
    }

    /// Decides about a request that would start a session.
    pub fn admit(&mut self, applicant: &Applicant, now: Timestamp) -> Admission {
        let key = self.key(applicant.prints);
        let print = self.prints.entry(key).or_default();
        print.age(now);
        let shares = !applicant.cookies || print.is_cookieless();
        if shares && !applicant.needs_own && !print.lets_out(applicant.returning) {
            return Admission::Shared(key, *print.shared.get_or_insert(applicant.visit));
        }
        print.count(applicant.visit, now);
        Admission::Own(key)
    }

    /// Whether this is still the session that a fingerprint's requests share.
    pub fn shares(&self, key: Fingerprint, visit: VisitId) -> bool {
        self.prints.get(&key).is_some_and(|print| print.shared == Some(visit))
    }

    /// A session was confirmed: its fingerprint keeps cookies.
    pub fn confirmed(&mut self, key: Fingerprint, visit: VisitId) {
        if let Some(print) = self.prints.get_mut(&key) {
            print.misses = 0;
            forget(print, visit);
            self.drop_if_idle(key);
        }
    }

    /// A session ended, or was not started after all.
    pub fn ended(&mut self, key: Fingerprint, visit: VisitId) {
        if let Some(print) = self.prints.get_mut(&key) {
            forget(print, visit);
            if print.shared == Some(visit) {
                print.shared = None;
            }
            self.drop_if_idle(key);
        }
    }

    /// An open, unconfirmed session, as recovery found it.
    pub fn restore(&mut self, key: Fingerprint, visit: VisitId, shared: bool, at: Timestamp) {
        let print = self.prints.entry(key).or_default();
        if shared {
            print.shared = Some(visit);
        } else {
            print.count(visit, at);
        }
    }

    fn drop_if_idle(&mut self, key: Fingerprint) {
        if self.prints.get(&key).is_some_and(Print::is_idle) {
            self.prints.remove(&key);
            // After a flood of strangers, their room is given back.
            if self.prints.capacity() > 4_096 && self.prints.len() < self.prints.capacity() / 8 {
                self.prints.shrink_to(self.prints.len() * 2);
            }
        }
    }

    /// Fingerprints that are remembered.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }
}

fn forget(print: &mut Print, visit: VisitId) {
    print.young.retain(|(other, _)| *other != visit);
    print.stale.retain(|other| *other != visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTS: Fingerprints = Fingerprints { today: Fingerprint(1), yesterday: Fingerprint(2) };

    fn visit(n: u128) -> VisitId {
        VisitId::from_u128(n)
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn applicant(n: u128) -> Applicant {
        Applicant { prints: PRINTS, visit: visit(n), needs_own: false, returning: None, cookies: true }
    }

    fn admit(index: &mut Cookieless, n: u128, s: i64) -> bool {
        matches!(index.admit(&applicant(n), at(s)), Admission::Own(_))
    }

    #[test]
    fn ten_thousand_requests_at_once_cost_at_most_64_sessions() {
        let mut index = Cookieless::default();
        let mut sessions = std::collections::HashSet::new();
        for n in 0..10_000 {
            sessions.insert(match index.admit(&applicant(n), at(0)) {
                Admission::Own(_) => visit(n),
                Admission::Shared(_, shared) => shared,
            });
        }
        assert_eq!(sessions.len(), 64);
    }

    #[test]
    fn three_unconfirmed_in_a_row_make_it_cookieless_and_a_confirmation_ends_that() {
        let mut index = Cookieless::default();
        assert!(admit(&mut index, 1, 0) && admit(&mut index, 2, 11) && admit(&mut index, 3, 22));
        assert!(!index.is_cookieless(PRINTS, at(32)));
        assert!(index.is_cookieless(PRINTS, at(33)));
        assert!(!admit(&mut index, 4, 33));
        index.confirmed(Fingerprint(1), visit(2));
        assert!(admit(&mut index, 5, 34));
    }

    #[test]
    fn fifty_browsers_that_return_their_cookies_get_fifty() {
        let mut index = Cookieless::default();
        assert!((0..50).all(|n| admit(&mut index, n, 0)));
        (0..50).for_each(|n| index.confirmed(Fingerprint(1), visit(n)));
        assert!(index.is_empty());
    }

    #[test]
    fn a_login_starts_its_own_even_then() {
        let mut index = Cookieless::default();
        assert!(matches!(index.admit(&Applicant { cookies: false, ..applicant(1) }, at(0)), Admission::Shared(..)));
        assert!(matches!(
            index.admit(&Applicant { needs_own: true, cookies: false, ..applicant(2) }, at(0)),
            Admission::Own(_)
        ));
    }

    #[test]
    fn midnight_splits_nothing() {
        let mut index = Cookieless::default();
        let shared = index.admit(&Applicant { cookies: false, ..applicant(1) }, at(0));
        let next_day = Fingerprints { today: Fingerprint(3), yesterday: PRINTS.today };
        assert_eq!(index.admit(&Applicant { prints: next_day, cookies: false, ..applicant(2) }, at(1)), shared);
    }

    #[test]
    fn an_ended_shared_session_is_replaced() {
        let mut index = Cookieless::default();
        index.admit(&Applicant { cookies: false, ..applicant(1) }, at(0));
        index.ended(Fingerprint(1), visit(1));
        assert!(index.is_empty());
        assert_eq!(
            index.admit(&Applicant { cookies: false, ..applicant(2) }, at(1)),
            Admission::Shared(Fingerprint(1), visit(2))
        );
    }

    #[test]
    fn a_returned_token_lets_its_visitor_out_once() {
        let mut index = Cookieless::default();
        (0..100).for_each(|n| assert_eq!(admit(&mut index, n, 0), n < 63));
        let back = |n| Applicant { returning: Some(Visitor::from_u128(7)), ..applicant(n) };
        assert!(matches!(index.admit(&back(200), at(1)), Admission::Own(_)));
        assert!(matches!(index.admit(&back(201), at(2)), Admission::Shared(..)));
    }

    #[test]
    fn sessions_that_must_be_are_not_all_remembered() {
        let mut index = Cookieless::default();
        for n in 0..10_000 {
            index.admit(&Applicant { needs_own: true, ..applicant(n) }, at(0));
        }
        let print = &index.prints[&Fingerprint(1)];
        assert!(print.young.len() + print.stale.len() <= limits::PROVISIONAL_PER_FINGERPRINT_MAX);
    }
}
