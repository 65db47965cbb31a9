//! What the port asks of a store beside the rules about sessions: that an unknown outcome can be asked about, and what is
//! asked of its open sessions.
#![expect(missing_docs, reason = "a case's name says what it asserts")]

use std::collections::BTreeSet;
use std::sync::Arc;

use visitlog_core::VisitId;
use visitlog_core::ports::{Class, Outcome, SessionStore as _, Standing, StoreError};
use visitlog_core::session::gone;

use super::tested::ANSWERED;
use super::{Browser, Restarts, StoreUnderTest, Tested, view};
use crate::{LossyStore, Wire};

/// A browser of many, spread over the partitions, as those of clients are.
fn browser<S: StoreUnderTest>(tested: &Tested<S>, print: u64) -> Browser<'_, S> {
    tested.browser(print.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn events<S: StoreUnderTest>(tested: &Tested<S>, visit: Option<VisitId>) -> usize {
    tested.open_visit(visit.expect("a visit")).expect("open").events.len()
}

pub fn twice_is_once<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = browser(&tested, 1_001);
    for (outcome, recorded, why) in
        [(Outcome::Started, 1, "a start"), (Outcome::Recorded, 2, "a page in a live session")]
    {
        let request = browser.begin(false);
        let (again, page) = (request.clone(), Class::Page(view("/", request.begun.at)));
        let first = browser.finish(request, page.clone(), Vec::new());
        let again = browser.finish(again, page, Vec::new());
        assert_eq!(first.outcome, outcome, "{why}");
        let is_live = outcome == Outcome::Recorded;
        let expected = tested.unless_restarted(first.clone(), if is_live { gone() } else { first.clone() }, ANSWERED);
        assert_eq!(again, expected, "answered as the first time");
        assert_eq!(events(&tested, first.visit), recorded, "{why}");
    }
}

pub fn an_unknown_outcome_is_known_afterwards<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    for (print, wire) in [(1_011, Wire::LosesAnswers), (1_012, Wire::LosesCommits)] {
        let browser = browser(&tested, print);
        let request = browser.begin(false);
        let (id, page) = (request.begun.request, Class::Page(view("/", request.begun.at)));
        let commit = browser.commit_of(request, page, Vec::new());
        let lossy = LossyStore::new(tested.store());
        lossy.set_wire(wire);
        assert_eq!(tested.answer(lossy.commit(commit.clone())), Err(StoreError::Unknown));
        drop(lossy);
        tested.step();
        let known = tested.answer(tested.store().outcome(id)).expect("asked");
        match wire {
            Wire::LosesAnswers => {
                let outcome = known.map(|known| known.outcome);
                assert_eq!(outcome, tested.unless_restarted(Some(Outcome::Started), None, ANSWERED));
            }
            _ => assert_eq!(known, None, "it never got there"),
        }
        let sent_again = tested.answer(tested.store().commit(commit)).expect("taken");
        assert_eq!(events(&tested, sent_again.visit), 1, "{wire:?}: once");
        let known = tested.answer(tested.store().outcome(id)).expect("asked").map(|known| (known.visit, known.issue));
        let said = Some((sent_again.visit, sent_again.issue));
        let is_forgotten = wire == Wire::LosesAnswers;
        assert_eq!(known, tested.unless_restarted(said, said.filter(|_| !is_forgotten), ANSWERED));
        tested.step();
    }
}

pub fn a_terminated_session_is_gone<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = browser(&tested, 1_021);
    browser.page("/");
    assert!(tested.terminate(browser.visit()));
    assert!(!tested.terminate(browser.visit()), "ended once");
    assert_eq!(tested.open_visit(browser.visit()), None);
    let begun = browser.begin(false).begun;
    assert!(!matches!(begun.standing, Standing::Live(_)), "its token opens nothing");
}

pub fn an_open_visit_has_its_events<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = browser(&tested, 1_031);
    browser.page("/");
    let visit = browser.visit();
    let open = tested.open_visit(visit).expect("open");
    assert_eq!((open.visit, open.events.len(), open.start.number), (visit, 1, 1));
    assert_eq!(tested.open_visit(VisitId::from_u128(7)), None);
}

pub fn a_list_misses_none_that_stays<S: StoreUnderTest>(restarts: Restarts) {
    // A place in the list lasts as long as the store runs: here it is read without a restart between.
    let tested = Tested::<S>::new(restarts);
    let page = |print| {
        let mut browser = browser(&tested, print);
        browser.page("/");
        browser.visit()
    };
    let staying: BTreeSet<VisitId> = (2_000..2_050).map(page).collect();
    let mut passing: Vec<VisitId> = (3_000..3_050).map(page).collect();
    let store: Arc<S::Store> = tested.store();
    let (mut seen, mut next) = (BTreeSet::new(), None);
    for _ in 0.. {
        let listed = tested.answer(store.list(next, 7)).expect("listed");
        assert!(listed.sessions.len() <= 7, "no more than asked for");
        for session in listed.sessions {
            assert!(seen.insert(session.visit), "{} is listed twice", session.visit);
            assert!(session.events >= 1 && session.in_flight == 0 || !staying.contains(&session.visit));
        }
        if let Some(leaves) = passing.pop() {
            tested.answer(store.terminate(leaves)).expect("ended");
        }
        let new = browser(&tested, 4_000 + seen.len() as u64);
        let request = new.begin(false);
        let page = Class::Page(view("/", request.begun.at));
        tested.answer(store.commit(new.commit_of(request, page, Vec::new()))).expect("taken");
        next = listed.next;
        if next.is_none() {
            break;
        }
    }
    assert!(seen.is_superset(&staying), "{} of {} listed", seen.intersection(&staying).count(), staying.len());
}
