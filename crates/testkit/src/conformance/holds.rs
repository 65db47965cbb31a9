//! A request under way holds off the idle expiry of its session, and nothing does for ever.
#![expect(missing_docs, reason = "a case's name says what it asserts")]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use visitlog_core::ports::{Class, Outcome, SessionStore as _};
use visitlog_core::rules::SiteRules;

use super::tested::HELD;
use super::{Restarts, StoreUnderTest, Tested, view};

const MINUTES_30: u64 = 30 * 60;

pub fn a_request_in_flight_holds_off_idle_expiry<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let slow = browser.begin(false);
    for _ in 0..4 {
        tested.wait(20 * 60);
        tested.tick();
    }
    assert_eq!(tested.open().len(), tested.unless_restarted(1, 0, HELD));
    let time = slow.begun.at;
    let outcome = browser.finish(slow, Class::Page(view("/slow", time)), Vec::new()).outcome;
    assert_eq!(outcome, tested.unless_restarted(Outcome::Recorded, Outcome::Gone, HELD));
    tested.wait(MINUTES_30 + 2);
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}

pub fn a_request_that_is_dropped_lets_go<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let dropped = browser.begin(false);
    tested.wait(MINUTES_30 + 60);
    tested.tick();
    assert_eq!(tested.open().len(), 1);
    browser.drop_request(&dropped);
    tested.wait(2);
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}

pub fn a_dropped_request_does_not_keep_a_session_open_for_its_whole_age<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let (one, two) = (browser.begin(false), browser.begin(false));
    browser.drop_request(&one);
    browser.finish(two, Class::Other(None), vec![]);
    tested.wait(1_802);
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}

pub fn a_request_that_turns_out_to_be_passive_lets_go_at_the_idle_deadline<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let first = browser.begin(false);
    tested.wait(1_000);
    browser.fetch(vec![]);
    tested.wait(900);
    tested.tick(); // Looked at while the first is under way: again only at 3,700.
    browser.finish(first, Class::Passive, vec![]);
    tested.wait(902); // The fetch was 1,802 ago.
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}

pub fn holds_of_a_dead_incarnation_are_gone_after_a_restart<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let old = browser.begin(false);
    assert_eq!(tested.open()[0].in_flight, 1);
    tested.restart();
    assert_eq!(tested.open()[0].in_flight, 0, "who held it is no more");
    let new = browser.begin(false);
    let [before, after] = [&old, &new].map(|request| request.live().unwrap().hold.unwrap());
    assert_eq!((before.visit, before.until), (after.visit, after.until));
    assert_eq!(before.until, before.visit.started_at().after(SiteRules::default().max_age), "nobody holds for ever");
    assert_ne!(before.owner.incarnation, after.owner.incarnation);
    assert_ne!(before.request, after.request, "no two lives name two requests alike");
    // The dead one gives nobody else's back, neither by letting go nor by a commit, which is refused.
    tested.store().release(before);
    assert_eq!(tested.open()[0].in_flight, 1);
    let page = Class::Page(view("/", old.begun.at));
    let commit = browser.commit_of(old, page, Vec::new());
    assert_eq!(tested.answer(tested.store().commit(commit)).unwrap().outcome, Outcome::Gone);
    assert_eq!((tested.open()[0].in_flight, tested.open()[0].events), (1, 1));
    tested.store().release(after);
    tested.wait(MINUTES_30 + 3);
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}

pub fn a_hold_runs_out_at_its_deadline<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let held = browser.begin(false);
    let until = held.live().unwrap().hold.unwrap().until;
    tested.clock.set(until);
    tested.tick();
    assert_eq!(tested.open().len(), 1, "held to the last");
    tested.wait(2);
    tested.tick();
    assert_eq!(tested.reasons(), [tested.unless_restarted("max_age", "expired", HELD)]);
    browser.drop_request(&held);
}

pub fn a_request_that_goes_on_after_its_commit_holds_and_its_end_is_activity<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    let visit = browser.page("/video").visit.unwrap();
    let hold = tested.answer(tested.store().hold_on(visit)).unwrap().expect("it is open");
    assert!(hold.goes_on && hold.visit == visit);
    tested.step();
    for _ in 0..4 {
        tested.wait(20 * 60);
        tested.tick();
    }
    assert_eq!(tested.open().len(), tested.unless_restarted(1, 0, HELD));
    tested.store().release(hold);
    let ended = tested.now();
    tested.wait(20 * 60);
    tested.tick();
    assert_eq!(tested.open().len(), tested.unless_restarted(1, 0, HELD), "its end was activity");
    tested.wait(10 * 60 + 2);
    tested.tick();
    let [visit] = &tested.ended()[..] else { panic!("one visit") };
    assert_eq!(visit.end.reason.as_str(), "expired");
    assert_eq!(visit.end.ended_at == ended, tested.unless_restarted(true, false, HELD));
    assert!(tested.answer(tested.store().hold_on(visit.visit)).unwrap().is_none(), "it has ended");
}
