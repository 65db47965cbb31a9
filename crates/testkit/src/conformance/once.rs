//! A commit counts once, however often it comes.
#![expect(missing_docs, reason = "a case's name says what it asserts")]

use visitlog_core::ports::{Class, Outcome};
use visitlog_core::session;

use super::tested::{ANSWERED, HELD};
use super::{Restarts, Setup, StoreUnderTest, Tested, action, login, view};

pub fn a_first_contact_committed_twice_starts_one_session<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    let request = browser.begin(false);
    let (again, at) = (request.clone(), request.begun.at);
    let one = browser.finish(request, Class::Page(view("/", at)), Vec::new());
    let two = browser.finish(again.clone(), Class::Page(view("/", at)), Vec::new());
    assert_eq!((one.outcome, &one), (Outcome::Started, &two));
    assert_eq!((tested.open().len(), tested.open()[0].events), (1, 1));
    // Also once it has ended.
    tested.terminate(browser.visit());
    let three = browser.finish(again, Class::Page(view("/", at)), Vec::new());
    assert_eq!(three, tested.unless_restarted(one, session::gone(), ANSWERED));
    assert_eq!((tested.open().len(), tested.ended().len()), (0, 1));
    assert_eq!(tested.counts().commits_repeated, tested.unless_restarted(2, 1, ANSWERED));
}

pub fn a_request_in_a_live_session_committed_twice_is_recorded_once_and_holds_once<S: StoreUnderTest>(
    restarts: Restarts,
) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let (request, other) = (browser.begin(false), browser.begin(false));
    let (again, at) = (request.clone(), request.begun.at);
    let one = browser.finish(request, Class::Page(view("/a", at)), vec![login("alice"), action("named", at)]);
    let two = browser.finish(again.clone(), Class::Page(view("/a", at)), vec![login("alice"), action("named", at)]);
    assert_eq!(two, tested.unless_restarted(one, session::gone(), ANSWERED));
    let open = &tested.open()[0];
    let held = tested.unless_restarted(1, 0, HELD);
    assert_eq!((open.events, open.in_flight), (4, held), "the other request still holds it");
    // Nor does giving the hold back once more let the other's go.
    browser.drop_request(&again);
    assert_eq!(tested.open()[0].in_flight, held);
    browser.drop_request(&other);
    assert_eq!(tested.open()[0].in_flight, 0);
}

pub fn a_request_in_a_shared_session_committed_twice_is_recorded_once<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::with(Setup { cookies: false, ..Setup::default() }, restarts);
    let mut browser = tested.browser(1);
    let request = browser.begin(false);
    let (again, at) = (request.clone(), request.begun.at);
    let one = browser.finish(request, Class::Page(view("/", at)), Vec::new());
    assert_eq!(one, browser.finish(again, Class::Page(view("/", at)), Vec::new()));
    assert_eq!((one.outcome, tested.open()[0].events), (Outcome::Shared, tested.unless_restarted(1, 2, ANSWERED)));
}

pub fn what_nobody_remembers_any_more_is_refused_not_done_again<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let request = browser.begin(false);
    let (again, at) = (request.clone(), request.begun.at);
    browser.finish(request, Class::Page(view("/a", at)), Vec::new());
    for _ in 0..300 {
        browser.page("/more");
    }
    assert_eq!(browser.finish(again, Class::Page(view("/a", at)), Vec::new()).outcome, Outcome::Gone);
    assert_eq!(tested.open()[0].events, 302);
}
