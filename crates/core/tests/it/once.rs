//! A commit counts once, however often it comes.

use visitlog_core::ports::{Class, Outcome, SessionStore};

use crate::browser::{World, action, is_live, login, view};

#[test]
fn a_first_contact_committed_twice_starts_one_session() {
    let world = World::new();
    let mut browser = world.browser(1);
    let request = browser.begin(false);
    let (again, at) = (request.clone(), request.begun.at);
    let one = browser.finish(request, Class::Page(view("/", at)), Vec::new());
    let two = browser.finish(again.clone(), Class::Page(view("/", at)), Vec::new());
    assert_eq!((one.outcome, &one), (Outcome::Started, &two));
    assert_eq!((world.store.open().len(), world.store.open()[0].events), (1, 1));
    // Also once it has ended.
    world.store.terminate(browser.visit());
    assert_eq!(browser.finish(again, Class::Page(view("/", at)), Vec::new()), one);
    assert_eq!((world.store.open().len(), world.store.ended().len()), (0, 1));
    assert_eq!(world.store.sessions().counts().commits_repeated, 2);
}

#[test]
fn a_request_in_a_live_session_committed_twice_is_recorded_once_and_holds_once() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let (request, other) = (browser.begin(false), browser.begin(false));
    let (again, at) = (request.clone(), request.begun.at);
    let one = browser.finish(request, Class::Page(view("/a", at)), vec![login("alice"), action("named", at)]);
    let two = browser.finish(again.clone(), Class::Page(view("/a", at)), vec![login("alice"), action("named", at)]);
    assert_eq!(one, two);
    let open = &world.store.open()[0];
    assert_eq!((open.events, open.in_flight), (4, 1), "the other request still holds it");
    // Nor does giving the hold back once more let the other's go.
    world.store.release(is_live(&again.begun).and_then(|live| live.hold).expect("it was live"));
    assert_eq!(world.store.open()[0].in_flight, 1);
    world.store.release(is_live(&other.begun).and_then(|live| live.hold).expect("it is live"));
    assert_eq!(world.store.open()[0].in_flight, 0);
}

#[test]
fn a_request_in_a_shared_session_committed_twice_is_recorded_once() {
    let world = World::with(visitlog_core::rules::SiteRules::default(), false);
    let mut browser = world.browser(1);
    let request = browser.begin(false);
    let (again, at) = (request.clone(), request.begun.at);
    let one = browser.finish(request, Class::Page(view("/", at)), Vec::new());
    assert_eq!(one, browser.finish(again, Class::Page(view("/", at)), Vec::new()));
    assert_eq!((one.outcome, world.store.open()[0].events), (Outcome::Shared, 1));
}

#[test]
fn what_nobody_remembers_any_more_is_refused_not_done_again() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let request = browser.begin(false);
    let (again, at) = (request.clone(), request.begun.at);
    browser.finish(request, Class::Page(view("/a", at)), Vec::new());
    for _ in 0..300 {
        browser.page("/more");
    }
    assert_eq!(browser.finish(again, Class::Page(view("/a", at)), Vec::new()).outcome, Outcome::Gone);
    assert_eq!(world.store.open()[0].events, 302);
}
