//! What happens to one session at once.

use std::time::Duration;

use crate::explore;
use crate::store::{IDLE, Setup, Store, join};

/// Two pages, a terminate and the sweep.
fn one_session() {
    let store = Store::new(Setup::default());
    let (visit, token) = store.visitor(1, "/0");
    join([
        store.go(move |store| store.page(1, token, "/1")),
        store.go(move |store| store.page(1, token, "/2")),
        store.go(move |store| store.terminate(visit)),
        store.go(|store| store.sweep_after(IDLE + Duration::from_secs(5))),
    ]);
    store.engine.check_invariants().expect("all hold");
    store.end_all();
    store.check_delivered();
    assert!(store.taken().iter().any(|ended| ended.visit == visit));
}

#[test]
fn a_session_under_pages_a_terminate_and_the_sweep_ends_once_and_loses_nothing() {
    explore(one_session);
}

/// Three first requests of one browser, none of which has a cookie yet, and the end of what they start.
fn one_fingerprint() {
    let store = Store::new(Setup::default());
    join([
        store.go(|store| store.page(1, None, "/1")),
        store.go(|store| store.page(1, None, "/2")),
        store.go(|store| {
            let (visit, _) = store.visitor(1, "/3");
            store.terminate(visit);
        }),
        store.go(|store| store.sweep_after(IDLE * 2)),
    ]);
    store.end_all();
    store.check_delivered();
}

#[test]
fn first_requests_of_one_fingerprint_start_sessions_that_end() {
    explore(one_fingerprint);
}

/// Requests that come back with the token of a session that ends meanwhile.
fn twins() {
    let store = Store::new(Setup::default());
    let (_, token) = store.visitor(1, "/0");
    store.sweep_after(IDLE * 2);
    join([
        store.go(move |store| store.page(1, token, "/1")),
        store.go(move |store| store.page(1, token, "/2")),
        store.go(move |store| store.page(1, token, "/3")),
    ]);
    assert_eq!(store.engine.open_sessions(), 1, "they meet in one");
    store.end_all();
    store.check_delivered();
}

#[test]
fn requests_with_one_expired_token_meet_in_one_session() {
    explore(twins);
}
