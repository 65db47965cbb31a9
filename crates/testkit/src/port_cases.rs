//! What a [`SessionStore`] owes beside the rules about sessions: that a commit counts once, that an unknown outcome can
//! be asked about, and what is asked of its open sessions. Each case brings its own browsers and asserts.
//!
//! A store under test answers commits at once, or is stepped by `settle`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use visitlog_core::model::{Event, EventKind};
use visitlog_core::ports::{
    Arrival, Begun, Class, Commit, Committed, Inquiry, Outcome, SessionStore, Standing, StoreError, Token,
};
use visitlog_core::{Fingerprint, Fingerprints, Host, VisitId};

use crate::{LossyStore, Wire};

/// A store under test, and what makes its answers come.
pub struct Tested<'a, S> {
    /// The store.
    pub store: Arc<S>,
    /// Does what the store's threads would do.
    pub settle: &'a dyn Fn(),
}

impl<S> std::fmt::Debug for Tested<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tested")
    }
}

impl<S: SessionStore> Tested<'_, S> {
    /// Runs all cases.
    ///
    /// # Panics
    /// When the store does not keep one of them.
    pub fn run_all(&self) {
        self.twice_is_once();
        self.an_unknown_outcome_is_known_afterwards();
        self.a_terminated_session_is_gone();
        self.an_open_visit_has_its_events();
        self.a_list_misses_none_that_stays();
    }

    fn twice_is_once(&self) {
        let begun = self.begin(1_001, None);
        let commit = commit_of(1_001, None, &begun);
        let first = self.commit(&*self.store, commit.clone()).expect("taken");
        assert_eq!(first.outcome, Outcome::Started);
        let again = self.commit(&*self.store, commit).expect("taken");
        assert_eq!((again.visit, again.issue), (first.visit, first.issue), "answered as the first time");
        assert_eq!(self.events(first.visit), 1, "a start");
        let begun = self.begin(1_001, first.issue);
        let commit = commit_of(1_001, first.issue, &begun);
        let first = self.commit(&*self.store, commit.clone()).expect("taken");
        let again = self.commit(&*self.store, commit).expect("taken");
        assert_eq!((first.outcome, again.outcome), (Outcome::Recorded, Outcome::Recorded));
        assert_eq!(self.events(first.visit), 2, "a page in a live session");
    }

    fn an_unknown_outcome_is_known_afterwards(&self) {
        let lossy = LossyStore::new(Arc::clone(&self.store));
        for (print, wire) in [(1_011, Wire::LosesAnswers), (1_012, Wire::LosesCommits)] {
            let begun = self.begin(print, None);
            let commit = commit_of(print, None, &begun);
            lossy.set_wire(wire);
            assert_eq!(self.commit(&lossy, commit.clone()), Err(StoreError::Unknown));
            lossy.set_wire(Wire::Whole);
            let known = self.ask(lossy.outcome(begun.request)).expect("asked");
            match wire {
                Wire::LosesAnswers => assert!(known.is_some_and(|known| known.outcome == Outcome::Started)),
                _ => assert_eq!(known, None, "it never got there"),
            }
            let sent_again = self.commit(&lossy, commit).expect("taken");
            assert_eq!(self.events(sent_again.visit), 1, "{wire:?}: once");
            let known = self.ask(lossy.outcome(begun.request)).expect("asked").expect("known");
            assert_eq!((known.visit, known.issue), (sent_again.visit, sent_again.issue));
        }
    }

    fn a_terminated_session_is_gone(&self) {
        let token = self.page(1_021);
        let visit = token.visit.expect("a visit");
        assert_eq!(self.ask(self.store.terminate(visit)), Ok(true));
        assert_eq!(self.ask(self.store.terminate(visit)), Ok(false), "ended once");
        assert_eq!(self.ask(self.store.open_visit(visit)), Ok(None));
        let begun = self.begin(1_021, Some(token));
        assert!(!matches!(begun.standing, Standing::Live(_)), "its token opens nothing");
    }

    fn an_open_visit_has_its_events(&self) {
        let token = self.page(1_031);
        let visit = token.visit.expect("a visit");
        let open = self.ask(self.store.open_visit(visit)).expect("read").expect("open");
        assert_eq!((open.visit, open.events.len(), open.start.number), (visit, 1, 1));
        assert_eq!(self.ask(self.store.open_visit(VisitId::from_u128(7))), Ok(None));
    }

    fn a_list_misses_none_that_stays(&self) {
        let staying: BTreeSet<VisitId> = (2_000..2_050).filter_map(|print| self.page(print).visit).collect();
        let mut passing: Vec<VisitId> = (3_000..3_050).filter_map(|print| self.page(print).visit).collect();
        let (mut seen, mut next) = (BTreeSet::new(), None);
        for page in 0.. {
            let listed = self.ask(self.store.list(next, 7)).expect("listed");
            assert!(listed.sessions.len() <= 7, "no more than asked for");
            for session in listed.sessions {
                assert!(seen.insert(session.visit), "{} is listed twice", session.visit);
                assert!(session.events >= 1 && session.in_flight == 0 || !staying.contains(&session.visit));
            }
            if let Some(leaves) = passing.pop() {
                self.ask(self.store.terminate(leaves)).expect("ended");
            }
            self.page(4_000 + page);
            next = listed.next;
            if next.is_none() {
                break;
            }
        }
        assert!(seen.is_superset(&staying), "{} of {} listed", seen.intersection(&staying).count(), staying.len());
    }

    fn begin(&self, print: u64, token: Option<Token>) -> Begun {
        let arrival = Arrival { host: host(), token, fingerprint: prints(print), passive: false, cookies: true };
        self.ask(Box::pin(std::future::ready(self.store.begin(arrival).now().expect("at once")))).expect("begun")
    }

    fn page(&self, print: u64) -> Token {
        let begun = self.begin(print, None);
        let committed = self.commit(&*self.store, commit_of(print, None, &begun)).expect("taken");
        committed.issue.expect("a token")
    }

    fn events(&self, visit: Option<VisitId>) -> usize {
        let open = self.ask(self.store.open_visit(visit.expect("a visit"))).expect("read").expect("open");
        open.events.len()
    }

    fn commit(&self, store: &impl SessionStore, commit: Commit) -> Result<Committed, StoreError> {
        self.ask(Box::pin(store.commit(commit)))
    }

    fn ask<T>(&self, mut inquiry: Inquiry<T>) -> Result<T, StoreError> {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..4 {
            if let Poll::Ready(answer) = inquiry.as_mut().poll(&mut context) {
                return answer;
            }
            (self.settle)();
        }
        panic!("no answer although the store was settled");
    }
}

fn host() -> Host {
    Host::new("shop.example")
}

fn prints(print: u64) -> Fingerprints {
    // Spread over the partitions, as those of clients are.
    let today = print.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Fingerprints { today: Fingerprint(today), yesterday: Fingerprint(!today) }
}

fn commit_of(print: u64, token: Option<Token>, begun: &Begun) -> Commit {
    let time = begun.at;
    let view = Event { time, kind: EventKind::PageView, name: None, type_: None, request: None, properties: None };
    Commit {
        request: begun.request,
        at: time,
        host: host(),
        token,
        fingerprint: prints(print),
        standing: begun.standing.clone(),
        class: Class::Page(view),
        ops: Vec::new(),
        on_start: Vec::new(),
        facts: Some(Box::default()),
    }
}
