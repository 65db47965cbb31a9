//! How old a visitor gets.
#![expect(missing_docs, reason = "a case's name says what it asserts")]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use std::collections::HashSet;

use visitlog_core::Day;
use visitlog_core::ports::{Class, Token};

use super::tested::SUCCEEDED;
use super::{Browser, Restarts, StoreUnderTest, Tested, login, view};

const MINUTES_31: u64 = 31 * 60;
const TOO_OLD_DAYS: u32 = 396;

/// The browser's visitor was born so long ago that no session may start for him any more.
fn make_too_old<S: StoreUnderTest>(tested: &Tested<S>, browser: &mut Browser<'_, S>) {
    let born = Day::from_number(Day::of(tested.now()).number() - TOO_OLD_DAYS);
    browser.token = browser.token.map(|token| Token { born, ..token });
}

pub fn a_birth_is_kept_and_one_that_lies_ahead_is_put_right<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let today = Day::of(tested.now());
    let mut browser = tested.browser(1);
    browser.page("/");
    assert_eq!(browser.token.unwrap().born, today);
    tested.wait(3 * 86_400);
    browser.page("/");
    assert_eq!((browser.token.unwrap().born, browser.token.unwrap().number), (today, 2), "the next session's token");
    browser.with_ops("/", vec![login("alice")]);
    assert_eq!((browser.token.unwrap().born, browser.token.unwrap().rotation), (today, 1), "a rotation");
    tested.wait(86_400);
    browser.token = browser.token.map(|token| Token { born: Day::MAX, ..token });
    browser.page("/");
    assert_eq!(browser.token.unwrap().born.number(), today.number() + 4, "a clock was wrong: born today");
}

pub fn a_visitor_who_is_too_old_goes_on_in_the_session_and_then_is_a_new_one<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let (first, old) = (browser.visit(), browser.token.unwrap());
    make_too_old(&tested, &mut browser);
    assert_eq!(browser.page("/on").visit, Some(first), "the session goes on");
    tested.wait(MINUTES_31);
    browser.page("/new");
    let token = browser.token.unwrap();
    assert_ne!(token.visitor, old.visitor);
    assert_eq!((token.number, token.born), (1, Day::of(tested.now())), "born today");
    let start = tested.start_of(browser.visit());
    assert_eq!((start.previous, start.number, start.is_new_visitor), (None, 1, Some(true)), "nothing of the old one");
    tested.wait(MINUTES_31);
    browser.page("/again");
    assert_eq!(browser.token.unwrap().visitor, token.visitor, "and that one stays");
    assert_eq!(tested.start_of(browser.visit()).previous, token.visit);
}

pub fn a_visitor_on_the_last_day_is_still_the_same<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let old = browser.token.unwrap();
    let born = Day::from_number(Day::of(tested.now()).number() - TOO_OLD_DAYS + 1);
    browser.token = Some(Token { born, ..old });
    tested.wait(MINUTES_31);
    browser.page("/");
    assert_eq!((browser.token.unwrap().visitor, browser.token.unwrap().born), (old.visitor, born), "never renewed");
}

pub fn twins_of_a_visitor_who_is_too_old_meet_in_one_session_of_one_new_visitor<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    browser.asset();
    make_too_old(&tested, &mut browser);
    let old = browser.token.unwrap();
    tested.wait(MINUTES_31);
    let mut tabs: Vec<_> = (0..20).map(|_| browser.clone()).collect();
    let requests: Vec<_> = tabs.iter().map(|tab| tab.begin(false)).collect();
    let mut tokens = HashSet::new();
    for (tab, request) in tabs.iter_mut().zip(requests) {
        let at = request.begun.at;
        tab.finish(request, Class::Page(view("/tab", at)), Vec::new());
        tokens.insert(tab.token.map(|token| (token.visitor, token.visit, token.number)));
    }
    let mut late = browser.clone();
    late.page("/late");
    tokens.insert(late.token.map(|token| (token.visitor, token.visit, token.number)));
    assert_eq!(tokens.len(), tested.unless_restarted(1, 21, SUCCEEDED), "{tokens:?}");
    assert!(tokens.iter().flatten().all(|(visitor, _, number)| *visitor != old.visitor && *number == 1));
    assert_eq!(tested.start_of(late.visit()).previous, None);
}

pub fn another_users_login_starts_the_session_of_who_follows_a_visitor_who_is_too_old<S: StoreUnderTest>(
    restarts: Restarts,
) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    make_too_old(&tested, &mut browser);
    let old = browser.token.unwrap();
    let begun = browser.begin(false);
    let successor = begun.live().unwrap().successor.expect("too old");
    let committed = browser.finish(begun, Class::Other(None), vec![login("bob")]);
    let token = browser.token.unwrap();
    assert_ne!(committed.visit, old.visit);
    assert_eq!((token.visitor, token.number, token.visit), (successor, 1, committed.visit));
    let start = tested.start_of(browser.visit());
    assert_eq!((start.previous, start.number, start.is_new_visitor), (None, 1, Some(true)));
    assert_eq!(start.partition, successor.partition());
    assert!(browser.begin(false).live().is_some_and(|live| live.current), "its token opens it");
}

pub fn a_token_without_a_visit_ages_too<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    browser.token = browser.token.map(|token| Token { visit: None, number: 0, ..token });
    make_too_old(&tested, &mut browser);
    let old = browser.token.unwrap();
    browser.page("/");
    assert_ne!(browser.token.unwrap().visitor, old.visitor);
    assert_eq!(tested.start_of(browser.visit()).is_new_visitor, Some(true));
}
