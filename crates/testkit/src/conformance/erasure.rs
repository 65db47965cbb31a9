//! Somebody is erased: no sink gets what waits, nobody is told of it, and others go on.
#![expect(missing_docs, reason = "a case's name says what it asserts")]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use visitlog_core::VisitId;
use visitlog_core::erasure::{Claim, FoundVisits, Subject, Whose};
use visitlog_core::model::{EndedVisit, UserId};
use visitlog_core::ports::{Erased, Op, SessionStore as _, Standing};

use super::{Browser, Restarts, StoreUnderTest, Tested, login, visitor_id};

const MINUTES_31: u64 = 31 * 60;

/// What Alice and Bob have done when she is erased; no sink has any of it.
struct Scene<'a, S> {
    alice: Browser<'a, S>,
    /// Of her browser: with her login; without; with her login, and open.
    hers: [VisitId; 3],
    /// One that has ended, and an open one.
    bobs: [VisitId; 2],
}

fn scene<S: StoreUnderTest>(tested: &Tested<S>) -> Scene<'_, S> {
    let (mut alice, mut bob) = (tested.browser(1), tested.browser(2));
    alice.with_ops("/", vec![login("alice")]);
    let first = alice.visit();
    alice.fetch(vec![Op::Logout]);
    alice.page("/");
    let anonymous = alice.visit();
    alice.fetch(vec![Op::Abandon]);
    alice.with_ops("/", vec![login("alice")]);
    bob.with_ops("/", vec![login("bob")]);
    let bobs_first = bob.visit();
    bob.fetch(vec![Op::Logout]);
    bob.with_ops("/", vec![login("bob")]);
    Scene { hers: [first, anonymous, alice.visit()], bobs: [bobs_first, bob.visit()], alice }
}

fn erase<S: StoreUnderTest>(tested: &Tested<S>, subject: Subject) -> Erased {
    let erasing = tested.store().erase(&Whose::of(subject), &FoundVisits::default());
    let erased = tested.answer(erasing).expect("taken");
    tested.step();
    erased
}

fn alice() -> Subject {
    Subject::User(UserId::new("alice"))
}

/// All visits, once all have ended.
fn all_ended<S: StoreUnderTest>(tested: &Tested<S>) -> Vec<EndedVisit> {
    tested.wait(MINUTES_31);
    tested.tick();
    assert!(tested.open().is_empty());
    tested.ended()
}

fn ids(visits: &[EndedVisit]) -> Vec<VisitId> {
    let mut ids: Vec<VisitId> = visits.iter().map(|visit| visit.visit).collect();
    ids.sort_unstable();
    ids
}

pub fn no_sink_gets_the_erased_and_others_go_on<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let Scene { alice: mut browser, hers, bobs } = scene(&tested);
    let erased = erase(&tested, alice());
    assert_eq!(erased.ended, 1);
    assert_eq!((erased.visits.count(Claim::Login), erased.visits.count(Claim::Anonymous)), (2, 0));
    assert!(erased.visits.contains(hers[0]) && erased.visits.contains(hers[2]));
    assert!(!erased.below.is_empty(), "a sink can be told by it");
    assert_eq!(tested.open().iter().map(|open| open.visit).collect::<Vec<_>>(), [bobs[1]]);
    let request = browser.begin(false);
    assert!(!matches!(request.begun.standing, Standing::Live(_)), "her token opens nothing");
    // She comes back: that is another visit, and it is not erased.
    browser.with_ops("/again", vec![login("alice")]);
    let again = browser.visit();
    let ended = all_ended(&tested);
    let mut expected = vec![hers[1], bobs[0], bobs[1], again];
    expected.sort_unstable();
    assert_eq!(ids(&ended), expected);
    for visit in ended {
        let previous = visit.start.previous;
        assert!(previous.is_none_or(|previous| !hers[..1].contains(&previous)), "{} names an erased one", visit.visit);
        assert_ne!(previous, Some(hers[2]), "{} names an erased one", visit.visit);
        assert_eq!(previous, Some(bobs[0]).filter(|_| visit.visit == bobs[1]));
    }
}

pub fn a_visitor_is_erased_with_the_anonymous_visits<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let Scene { alice, hers, bobs } = scene(&tested);
    let erased = erase(&tested, Subject::Visitor(visitor_id(alice.token.unwrap().visitor)));
    assert_eq!(erased.ended, 1);
    assert_eq!((erased.visits.count(Claim::Login), erased.visits.count(Claim::Anonymous)), (2, 1));
    assert!(hers.iter().all(|visit| erased.visits.contains(*visit)));
    let mut expected = bobs;
    expected.sort_unstable();
    assert_eq!(ids(&all_ended(&tested)), expected);
}

pub fn an_erasure_that_is_asked_for_again_finds_nothing_open<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let Scene { hers, .. } = scene(&tested);
    assert_eq!(erase(&tested, alice()).ended, 1);
    assert_eq!(erase(&tested, alice()).ended, 0);
    let nobody = erase(&tested, Subject::User(UserId::new("nobody")));
    assert_eq!((nobody.ended, nobody.visits), (0, FoundVisits::default()));
    let ended = ids(&all_ended(&tested));
    assert_eq!(ended.len(), 3, "{ended:?}");
    assert!(ended.contains(&hers[1]) && !ended.contains(&hers[0]) && !ended.contains(&hers[2]));
}
