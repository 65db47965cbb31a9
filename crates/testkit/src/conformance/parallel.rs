//! Parallel requests with one old token meet in one session, or never.
#![expect(missing_docs, reason = "a case's name says what it asserts")]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use std::collections::HashSet;

use visitlog_core::ports::{Class, Op, Outcome, Standing};

use super::{Restarts, StoreUnderTest, Tested, login, view};

const MINUTES_31: u64 = 31 * 60;

pub fn fifty_parallel_requests_with_one_expired_token_start_one_session<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    browser.asset();
    let old = browser.visit();
    tested.wait(MINUTES_31);
    let mut tabs: Vec<_> = (0..50).map(|_| browser.clone()).collect();
    let requests: Vec<_> = tabs.iter().map(|tab| tab.begin(false)).collect();
    let mut visits = HashSet::new();
    let mut tokens = HashSet::new();
    for (tab, request) in tabs.iter_mut().zip(requests) {
        let at = request.begun.at;
        visits.insert(tab.finish(request, Class::Page(view("/tab", at)), Vec::new()).visit.unwrap());
        tokens.insert(tab.token.map(|token| (token.visit, token.number)));
    }
    assert_eq!((visits.len(), tokens.len()), (1, 1), "one session, and every tab gets its token");
    assert!(!visits.contains(&old));
    assert_eq!(tested.open().len(), 1);
}

pub fn a_logged_out_token_never_joins<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    let stolen = browser.token;
    let old = browser.visit();
    browser.fetch(vec![Op::Logout]);
    assert_ne!(browser.token, stolen, "logout's own response replaces the cookie");
    let mut visits = HashSet::new();
    for _ in 0..5 {
        let mut thief = tested.browser(1);
        (thief.token, thief.keeps_cookies) = (stolen, false);
        let request = thief.begin(false);
        assert!(matches!(request.begun.standing, Standing::Fresh(_)));
        let at = request.begun.at;
        visits.insert(thief.finish(request, Class::Page(view("/", at)), Vec::new()).visit.unwrap());
    }
    assert!(!visits.contains(&old));
    assert_eq!(visits.len(), 5, "they never meet in one session either");
    browser.page("/");
    let start = tested.start_of(browser.visit());
    assert_eq!((start.previous, start.number), (Some(old), 2), "the next visit knows which one it follows");
}

pub fn a_twin_joins_only_until_the_session_logs_in<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let expired = browser.clone();
    tested.wait(MINUTES_31);
    browser.page("/back");
    let mut tab = expired.clone();
    assert_eq!(tab.page("/tab").visit, Some(browser.visit()));
    // This one begins before the login and is answered after it.
    let mut slow = expired.clone();
    let request = slow.begin(false);
    assert!(request.live().is_some());
    browser.fetch(vec![login("alice")]);
    let at = request.begun.at;
    let committed = slow.finish(request, Class::Page(view("/slow", at)), Vec::new());
    assert_eq!(committed.issue, None, "an old token must not be exchanged for that of a user");
    let mut late = expired.clone();
    assert_eq!(late.page("/late").outcome, Outcome::Started);
}

pub fn a_twin_joins_a_session_that_logged_in_if_the_app_says_the_same_user<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let expired = browser.clone();
    tested.wait(MINUTES_31);
    // Both begin before either is answered.
    let (mut one, mut two, mut other) = (expired.clone(), expired.clone(), expired.clone());
    let (first, second, third) = (one.begin(false), two.begin(false), other.begin(false));
    one.finish(first, Class::Other(None), vec![login("alice")]);
    two.finish(second, Class::Other(None), vec![login("alice")]);
    other.finish(third, Class::Other(None), vec![login("bob")]);
    assert_eq!(two.visit(), one.visit(), "the app says that it is she");
    assert_ne!(other.visit(), one.visit(), "he is somebody else");
    assert!(one.begin(false).live().unwrap().current && two.begin(false).live().unwrap().current);
}

pub fn a_twin_joins_for_ten_seconds_and_only_from_the_same_fingerprint<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let expired = browser.clone();
    tested.wait(MINUTES_31);
    browser.page("/back");
    let mut elsewhere = expired.clone();
    elsewhere.fingerprint = 2;
    assert_ne!(elsewhere.page("/elsewhere").visit, Some(browser.visit()));
    tested.wait(11);
    let mut later = expired.clone();
    assert_ne!(later.page("/later").visit, Some(browser.visit()));
}

pub fn only_an_expired_or_evicted_sessions_token_joins<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    browser.asset();
    for _ in 0..100 {
        tested.wait(15 * 60);
        browser.fetch(Vec::new());
    }
    assert_eq!(tested.reasons(), ["max_age"]);
    let mut tabs = [browser.clone(), browser.clone()];
    let visits: Vec<_> = tabs.iter_mut().map(|tab| tab.page("/").visit).collect();
    assert_ne!(visits[0], visits[1]);
}
