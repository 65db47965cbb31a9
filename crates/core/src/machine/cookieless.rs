//! Clients that keep no cookie must not mint a session per request.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::ids::{Fingerprint, VisitId, Visitor};
use crate::limits;
use crate::time::Timestamp;

/// What is known of the fingerprints of some partitions that have unconfirmed sessions, or share one.
#[derive(Debug)]
pub struct Cookieless {
    prints: HashMap<Fingerprint, Print>,
    /// Fingerprints none of whose sessions is open, since when, oldest first; each once, and some have been open since.
    lingering: VecDeque<(Timestamp, Fingerprint)>,
    lingering_max: usize,
    /// Forgotten before their time.
    forgotten: u64,
}

/// What is known of one fingerprint. Nearly all of those that a flood brings have one session each: so one costs no
/// more than its id.
#[derive(Debug)]
enum Print {
    /// One unconfirmed session, which may still have time.
    One(VisitId),
    Known(Box<Known>),
}

#[derive(Debug, Default)]
struct Known {
    /// Unconfirmed sessions that still have time to be confirmed, oldest first.
    young: Vec<Young>,
    /// Unconfirmed sessions that live on after their time. A late confirmation still counts.
    stale: Vec<VisitId>,
    /// How many in a row were not confirmed in time.
    misses: u8,
    /// Those of them that had ended by then: their token may still come back.
    missed: Vec<VisitId>,
    /// The session that the fingerprint's requests share.
    shared: Option<VisitId>,
    /// Visitors that returned a token without a visit, and were let out for it: once each.
    let_out: Vec<Visitor>,
    /// When the last of its sessions ended, if it lingers for that.
    lingers: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Young {
    visit: VisitId,
    at: Timestamp,
    /// Whether it has ended already. It still may be missed.
    ended: bool,
}

/// A request that would start a session.
#[derive(Debug, Clone, Copy)]
pub struct Applicant {
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
    Own {
        /// An unconfirmed session of the same fingerprint that has to make room for it.
        instead_of: Option<VisitId>,
    },
    /// It joins (or starts) the session that its fingerprint shares.
    Shared(VisitId),
}

/// For how long a fingerprint is remembered that kept no cookie and has no open session any more.
const LINGERS: Duration = Duration::from_secs(60 * 60);

impl Known {
    fn age(&mut self, now: Timestamp) {
        let overdue = self.young.iter().take_while(|young| now.since(young.at) > limits::CONFIRM_WITHIN).count();
        let too_many = (self.missed.len() + overdue).saturating_sub(limits::PROVISIONAL_PER_FINGERPRINT_MAX);
        self.missed.drain(..too_many.min(self.missed.len()));
        for young in self.young.drain(..overdue) {
            let list = if young.ended { &mut self.missed } else { &mut self.stale };
            list.push(young.visit);
            self.misses = self.misses.saturating_add(1);
        }
    }

    fn is_cookieless(&self) -> bool {
        // One place is kept for the session that they will share.
        self.misses >= limits::UNCONFIRMED_IN_A_ROW_MAX
            || self.young.len() + self.stale.len() + 1 >= limits::PROVISIONAL_PER_FINGERPRINT_MAX
    }

    /// Counts a session as unconfirmed. Returns the one that has to go for it, if there are as many as may be.
    fn count(&mut self, visit: VisitId, at: Timestamp) -> Option<VisitId> {
        let mut gone = None;
        if self.young.len() + self.stale.len() >= limits::PROVISIONAL_PER_FINGERPRINT_MAX {
            gone = match self.stale.is_empty() {
                false => Some(self.stale.remove(0)),
                true => Some(self.young.remove(0)).filter(|young| !young.ended).map(|young| young.visit),
            };
        }
        let place = self.young.partition_point(|young| young.at <= at);
        self.young.insert(place, Young { visit, at, ended: false });
        gone
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

    /// Whether one of its sessions is open.
    fn is_open(&self) -> bool {
        self.shared.is_some() || !self.stale.is_empty() || self.young.iter().any(|young| !young.ended)
    }

    /// One of its sessions is over, and is not waited for any more. If it was missed, its token may still come back.
    fn over(&mut self, visit: VisitId) {
        if self.stale.contains(&visit) {
            let too_many = (self.missed.len() + 1).saturating_sub(limits::PROVISIONAL_PER_FINGERPRINT_MAX);
            self.missed.drain(..too_many);
            self.missed.push(visit);
        }
        self.forget(visit);
    }

    fn forget(&mut self, visit: VisitId) {
        self.young.retain(|young| young.visit != visit);
        self.stale.retain(|other| *other != visit);
    }
}

impl Print {
    fn known(&mut self) -> &mut Known {
        if let Self::One(visit) = *self {
            let young = vec![Young { visit, at: visit.started_at(), ended: false }];
            *self = Self::Known(Box::new(Known { young, ..Known::default() }));
        }
        match self {
            Self::Known(known) => known,
            Self::One(_) => unreachable!("it has just been made more"),
        }
    }
}

impl Default for Cookieless {
    fn default() -> Self {
        Self::new(limits::FINGERPRINTS_MAX)
    }
}

impl Cookieless {
    /// Nothing is known yet; of fingerprints without open sessions at most `lingering_max` ever will be.
    pub fn new(lingering_max: usize) -> Self {
        Self { prints: HashMap::new(), lingering: VecDeque::new(), lingering_max, forgotten: 0 }
    }

    /// Whether anything is known of a fingerprint.
    pub fn knows(&self, key: Fingerprint) -> bool {
        self.prints.contains_key(&key)
    }

    /// Whether a request without a session of its own would share one.
    pub fn is_cookieless(&mut self, key: Fingerprint, now: Timestamp) -> bool {
        match self.prints.get_mut(&key) {
            None | Some(Print::One(_)) => false,
            Some(Print::Known(known)) => {
                known.age(now);
                known.is_cookieless()
            }
        }
    }

    /// Decides about a request that would start a session.
    pub fn admit(&mut self, key: Fingerprint, applicant: &Applicant, now: Timestamp) -> Admission {
        self.prune(now);
        let own = applicant.cookies || applicant.needs_own;
        let Some(print) = self.prints.get_mut(&key) else {
            let print = match own {
                true => Print::One(applicant.visit),
                false => Print::Known(Box::new(Known { shared: Some(applicant.visit), ..Known::default() })),
            };
            self.prints.insert(key, print);
            return if own { Admission::Own { instead_of: None } } else { Admission::Shared(applicant.visit) };
        };
        let known = print.known();
        known.age(now);
        let shares = !applicant.cookies || known.is_cookieless();
        if shares && !applicant.needs_own && !known.lets_out(applicant.returning) {
            return Admission::Shared(*known.shared.get_or_insert(applicant.visit));
        }
        let is_full = known.young.len() + known.stale.len() >= limits::PROVISIONAL_PER_FINGERPRINT_MAX;
        if is_full && !applicant.needs_own {
            // Who shows that it keeps cookies is counted where there is room, and pushes nobody out.
            return Admission::Own { instead_of: None };
        }
        Admission::Own { instead_of: known.count(applicant.visit, now) }
    }

    /// Whether this is still the session that a fingerprint's requests share.
    pub fn shares(&self, key: Fingerprint, visit: VisitId) -> bool {
        matches!(self.prints.get(&key), Some(Print::Known(known)) if known.shared == Some(visit))
    }

    /// A session was confirmed: its fingerprint keeps cookies.
    pub fn confirmed(&mut self, key: Fingerprint, visit: VisitId) {
        match self.prints.get_mut(&key) {
            Some(Print::One(only)) if *only != visit => {}
            Some(Print::One(_)) => self.remove(key),
            Some(Print::Known(known)) => {
                known.misses = 0;
                known.forget(visit);
                known.young.retain(|young| !young.ended);
                known.missed.clear();
                if !known.is_open() {
                    self.remove(key);
                }
            }
            None => {}
        }
    }

    /// A request presents the token of a session that has ended. If it ended unconfirmed, its fingerprint keeps cookies
    /// after all; that is said once for each, so that nobody goes on presenting one.
    pub fn returned(&mut self, key: Fingerprint, visit: VisitId) {
        let Some(Print::Known(known)) = self.prints.get_mut(&key) else { return };
        let ended = known.young.iter().any(|young| young.visit == visit && young.ended);
        if ended || known.missed.contains(&visit) {
            known.young.retain(|young| young.visit != visit);
            known.missed.retain(|other| *other != visit);
            known.misses = 0;
        }
    }

    /// A session ended unconfirmed. One that ended before its time to be confirmed was over is still missed then: who
    /// comes without a cookie and ends each session at once mints one per request, too. `evicted`: to make room.
    pub fn ended(&mut self, key: Fingerprint, visit: VisitId, evicted: bool, now: Timestamp) {
        let Some(print) = self.prints.get_mut(&key) else { return };
        match print {
            Print::One(only) if *only != visit => return,
            Print::One(_) if evicted || now.since(visit.started_at()) > limits::CONFIRM_WITHIN => {
                return self.remove(key);
            }
            Print::One(_) => {
                let known = print.known();
                known.young.iter_mut().for_each(|young| young.ended = true);
            }
            Print::Known(known) => {
                known.age(now);
                match known.young.iter_mut().find(|young| young.visit == visit) {
                    Some(young) if !evicted => young.ended = true,
                    _ => known.over(visit),
                }
                if known.shared == Some(visit) {
                    known.shared = None;
                }
            }
        }
        self.linger(key, now);
    }

    /// A session was not started after all.
    pub fn withdrawn(&mut self, key: Fingerprint, visit: VisitId) {
        match self.prints.get_mut(&key) {
            Some(Print::One(only)) if *only == visit => self.remove(key),
            Some(Print::Known(known)) => {
                known.forget(visit);
                if !known.is_open() && known.misses == 0 && known.young.is_empty() {
                    self.remove(key);
                }
            }
            _ => {}
        }
    }

    /// An open, unconfirmed session, as recovery found it.
    pub fn restore(&mut self, key: Fingerprint, visit: VisitId, shared: bool) {
        match self.prints.get_mut(&key) {
            None if !shared => drop(self.prints.insert(key, Print::One(visit))),
            None => {
                let known = Known { shared: Some(visit), ..Known::default() };
                self.prints.insert(key, Print::Known(Box::new(known)));
            }
            Some(print) if shared => print.known().shared = Some(visit),
            Some(print) => {
                let known = print.known();
                if known.young.len() + known.stale.len() < limits::PROVISIONAL_PER_FINGERPRINT_MAX {
                    known.count(visit, visit.started_at());
                }
            }
        }
    }

    /// Keeps in mind for a while what is known of a fingerprint without open sessions, if that is anything.
    fn linger(&mut self, key: Fingerprint, now: Timestamp) {
        let Some(Print::Known(known)) = self.prints.get_mut(&key) else { return };
        if known.is_open() {
            return;
        }
        if known.young.is_empty() && known.misses == 0 {
            return self.remove(key);
        }
        // Once, however often its sessions end: who ends one a request must not push the others out.
        if known.lingers.replace(now).is_none() {
            self.lingering.push_back((now, key));
        }
        self.prune(now);
    }

    fn prune(&mut self, now: Timestamp) {
        while let Some(&(since, key)) = self.lingering.front() {
            let is_over = now.since(since) > LINGERS;
            if !is_over && self.lingering.len() <= self.lingering_max {
                break;
            }
            self.lingering.pop_front();
            let Some(Print::Known(known)) = self.prints.get_mut(&key) else { continue };
            match known.lingers.take() {
                _ if known.is_open() => {}
                Some(last) if last > since => {
                    known.lingers = Some(last);
                    self.lingering.push_back((last, key));
                }
                _ => {
                    self.forgotten += u64::from(!is_over);
                    self.remove(key);
                }
            }
        }
    }

    fn remove(&mut self, key: Fingerprint) {
        self.prints.remove(&key);
        // After a flood of strangers, their room is given back.
        if self.prints.capacity() > 4_096 && self.prints.len() < self.prints.capacity() / 8 {
            self.prints.shrink_to(self.prints.len() * 2);
        }
    }

    /// Fingerprints that are remembered.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Fingerprints that are remembered, or about to be forgotten, though none of their sessions is open.
    pub(super) fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// Fingerprints, and what is known of them.
    pub(super) fn entries(&self) -> usize {
        let known = |print: &Print| match print {
            Print::One(_) => 1,
            Print::Known(known) => 1 + known.young.len() + known.stale.len() + known.missed.len() + known.let_out.len(),
        };
        self.lingering.len() + self.prints.values().map(known).sum::<usize>()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    /// Fingerprints that were forgotten before their time, for want of room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_returns_a_token_pushes_nobody_out() {
        let mut index = Cookieless::new(1_000);
        let one = |n: u128, returning: Option<u128>| Applicant {
            visit: VisitId::from_u128(n),
            needs_own: false,
            returning: returning.map(Visitor::from_u128),
            cookies: true,
        };
        let now = Timestamp::from_secs(1);
        for n in 0..63 {
            assert_eq!(index.admit(Fingerprint(1), &one(n, None), now), Admission::Own { instead_of: None });
        }
        for n in 100..120 {
            assert_eq!(index.admit(Fingerprint(1), &one(n, Some(n)), now), Admission::Own { instead_of: None });
        }
    }

    const KEY: Fingerprint = Fingerprint(1);

    fn visit(n: u128) -> VisitId {
        VisitId::from_u128(n)
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    /// A visit that started at a moment.
    fn visit_at(n: u128, s: i64) -> VisitId {
        VisitId::new(at(s), n << 64, 0)
    }

    fn applicant(visit: VisitId) -> Applicant {
        Applicant { visit, needs_own: false, returning: None, cookies: true }
    }

    fn admit(index: &mut Cookieless, n: u128, s: i64) -> bool {
        matches!(index.admit(KEY, &applicant(visit_at(n, s)), at(s)), Admission::Own { .. })
    }

    #[test]
    fn a_fingerprint_costs_little() {
        assert!(size_of::<(Fingerprint, Print)>() <= 32, "{}", size_of::<(Fingerprint, Print)>());
    }

    #[test]
    fn ten_thousand_requests_at_once_cost_at_most_64_sessions() {
        let mut index = Cookieless::default();
        let mut sessions = std::collections::HashSet::new();
        for n in 0..10_000 {
            sessions.insert(match index.admit(KEY, &applicant(visit_at(n, 0)), at(0)) {
                Admission::Own { .. } => visit_at(n, 0),
                Admission::Shared(shared) => shared,
            });
        }
        assert_eq!(sessions.len(), 64);
    }

    #[test]
    fn three_unconfirmed_in_a_row_make_it_cookieless_and_a_confirmation_ends_that() {
        let mut index = Cookieless::default();
        assert!(admit(&mut index, 1, 0) && admit(&mut index, 2, 11) && admit(&mut index, 3, 22));
        assert!(!index.is_cookieless(KEY, at(32)));
        assert!(index.is_cookieless(KEY, at(33)));
        assert!(!admit(&mut index, 4, 33));
        index.confirmed(KEY, visit_at(2, 11));
        assert!(admit(&mut index, 5, 34));
    }

    #[test]
    fn fifty_browsers_that_return_their_cookies_get_fifty() {
        let mut index = Cookieless::default();
        assert!((0..50).all(|n| admit(&mut index, n, 0)));
        (0..50).for_each(|n| index.confirmed(KEY, visit_at(n, 0)));
        assert!(index.is_empty());
    }

    #[test]
    fn a_login_starts_its_own_even_then_but_not_without_bound() {
        let mut index = Cookieless::default();
        let own = |n| Applicant { needs_own: true, cookies: false, ..applicant(visit_at(n, 0)) };
        let shared = Applicant { cookies: false, ..applicant(visit(1_000_000)) };
        assert!(matches!(index.admit(KEY, &shared, at(0)), Admission::Shared(_)));
        for n in 0..64 {
            assert_eq!(index.admit(KEY, &own(n), at(0)), Admission::Own { instead_of: None }, "{n}");
        }
        for n in 64..10_000 {
            let oldest = Some(visit_at(n - 64, 0));
            assert_eq!(index.admit(KEY, &own(n), at(0)), Admission::Own { instead_of: oldest }, "the oldest goes");
        }
    }

    #[test]
    fn sessions_that_end_before_they_could_be_confirmed_are_missed_all_the_same() {
        let mut index = Cookieless::default();
        for n in 0..3 {
            let s = n as i64 * 15;
            assert!(admit(&mut index, n, s));
            index.ended(KEY, visit_at(n, s), false, at(s));
        }
        assert!(!admit(&mut index, 3, 45), "three of them");
        let mut at_once = Cookieless::default();
        for n in 0..1_000 {
            assert_eq!(admit(&mut at_once, n, 0), n < 63);
            at_once.ended(KEY, visit_at(n, 0), false, at(0));
        }
    }

    #[test]
    fn the_token_of_an_ended_session_shows_once_that_its_client_keeps_cookies() {
        let mut index = Cookieless::default();
        for n in 0..30 {
            let s = n as i64 * 15;
            assert!(admit(&mut index, n, s));
            index.ended(KEY, visit_at(n, s), false, at(s));
            index.returned(KEY, visit_at(n, s));
        }
        for n in 30..33 {
            let s = n as i64 * 15;
            assert!(admit(&mut index, n, s));
            index.ended(KEY, visit_at(n, s), false, at(s));
            index.returned(KEY, visit_at(0, 0));
        }
        assert!(!admit(&mut index, 33, 33 * 15), "it goes on presenting one");
        index.returned(KEY, visit_at(31, 31 * 15));
        assert!(admit(&mut index, 34, 34 * 15), "late, but it came back");
    }

    #[test]
    fn a_token_that_comes_back_once_its_session_has_expired_is_no_sign_of_a_cookieless_client() {
        let mut index = Cookieless::default();
        admit(&mut index, 1_000, 0);
        for n in 0..20 {
            let s = n as i64 * 1_900;
            assert!(admit(&mut index, n, s), "session {n}");
            index.ended(KEY, visit_at(n, s), false, at(s + 1_801));
            index.returned(KEY, visit_at(n, s));
        }
    }

    #[test]
    fn what_has_no_open_session_is_forgotten_in_time_and_for_want_of_room() {
        let mut index = Cookieless::new(10);
        for n in 0..100 {
            let key = Fingerprint(n);
            index.admit(key, &applicant(visit_at(u128::from(n), 0)), at(0));
            index.ended(key, visit_at(u128::from(n), 0), false, at(1));
        }
        assert_eq!((index.len(), index.forgotten()), (10, 90));
        index.admit(KEY, &applicant(visit_at(1, 4_000)), at(4_000));
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn who_ends_the_shared_session_again_and_again_pushes_nobody_out() {
        let mut index = Cookieless::new(10);
        let other = Fingerprint(2);
        for n in 0..3 {
            let visit = visit_at(1_000_000 + n, 0);
            index.admit(other, &applicant(visit), at(0));
            index.ended(other, visit, false, at(0));
        }
        for n in 0..1_000 {
            let visit = match index.admit(KEY, &applicant(visit_at(n, 20)), at(20)) {
                Admission::Own { .. } => visit_at(n, 20),
                Admission::Shared(shared) => shared,
            };
            index.ended(KEY, visit, false, at(20));
        }
        assert_eq!((index.forgotten(), index.lingering.len()), (0, 2));
        assert!(index.is_cookieless(other, at(31)) && index.is_cookieless(KEY, at(31)));
        index.admit(other, &applicant(visit(1)), at(3_610));
        assert!(index.knows(KEY) && index.knows(other), "an hour after it was last open");
        index.admit(Fingerprint(3), &applicant(visit(2)), at(3_621));
        assert!(!index.knows(KEY));
    }

    #[test]
    fn an_ended_shared_session_is_replaced() {
        let mut index = Cookieless::default();
        let without = |n| Applicant { cookies: false, ..applicant(visit(n)) };
        index.admit(KEY, &without(1), at(0));
        assert!(index.shares(KEY, visit(1)));
        index.ended(KEY, visit(1), false, at(0));
        assert!(index.is_empty());
        assert_eq!(index.admit(KEY, &without(2), at(1)), Admission::Shared(visit(2)));
    }

    #[test]
    fn a_returned_token_lets_its_visitor_out_once() {
        let mut index = Cookieless::default();
        (0..100).for_each(|n| assert_eq!(admit(&mut index, n, 0), n < 63));
        let back = |n| Applicant { returning: Some(Visitor::from_u128(7)), ..applicant(visit(n)) };
        assert!(matches!(index.admit(KEY, &back(200), at(1)), Admission::Own { .. }));
        assert!(matches!(index.admit(KEY, &back(201), at(2)), Admission::Shared(..)));
    }

    #[test]
    fn recovery_finds_them_again() {
        let mut index = Cookieless::default();
        (0..3).for_each(|n| index.restore(KEY, visit_at(n, 0), false));
        assert!(index.is_cookieless(KEY, at(11)));
        index.restore(Fingerprint(2), visit(9), true);
        assert!(index.shares(Fingerprint(2), visit(9)));
    }
}
