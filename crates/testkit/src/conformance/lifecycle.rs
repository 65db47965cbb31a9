//! How sessions start, go on and end.
#![expect(missing_docs, reason = "a case's name says what it asserts")]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use std::time::Duration;

use visitlog_core::limits;
use visitlog_core::model::{EventKind, Identity};
use visitlog_core::ports::{Class, Commit, Op, Outcome, SessionStore as _, Standing};
use visitlog_core::rules::SiteRules;

use super::{Restarts, Setup, StoreUnderTest, Tested, action, login, set, view};

const MINUTES_30: u64 = 30 * 60;

pub fn only_a_page_view_or_something_named_starts_a_session<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    for class in [Class::Other(None), Class::Passive, Class::PageError(view("/missing", tested.now()))] {
        let request = browser.begin(false);
        assert_eq!(browser.finish(request, class, Vec::new()).outcome, Outcome::Nothing);
    }
    assert_eq!(browser.fetch(vec![Op::Logout]).outcome, Outcome::Nothing);
    assert!(tested.open().is_empty() && browser.token.is_none());
    assert_eq!(browser.fetch(vec![action("subscribed", tested.now())]).outcome, Outcome::Started);
    assert_eq!(tested.browser(2).page("/").outcome, Outcome::Started);
}

pub fn a_request_exactly_on_the_timeout_belongs_a_later_one_does_not<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let first = browser.visit();
    tested.wait(MINUTES_30);
    tested.tick();
    assert_eq!(browser.page("/on-time").visit, Some(first));
    tested.clock.advance(Duration::from_secs(MINUTES_30) + tested.padding() + Duration::from_micros(1));
    assert_eq!(browser.page("/late").outcome, Outcome::Started);
    assert_ne!(browser.visit(), first);
    let ended = tested.ended();
    assert_eq!((ended.len(), ended[0].visit, ended[0].end.reason.as_str()), (1, first, "expired"));
    assert_eq!(ended[0].end.ended_at, visitlog_core::Timestamp::from_secs(1_763_719_200 + 1_800));
    assert_eq!(ended[0].events.len(), 2);
}

pub fn the_wheel_ends_without_further_traffic_and_never_early<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    tested.browser(1).page("/");
    tested.wait(MINUTES_30);
    tested.tick();
    assert_eq!(tested.open().len(), 1);
    tested.wait(2);
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}

pub fn max_age_ends_even_a_busy_session<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    for _ in 0..97 {
        tested.wait(15 * 60);
        browser.page("/");
        tested.tick();
    }
    assert_eq!(tested.reasons(), ["max_age"]);
    assert_eq!(tested.open().len(), 1, "the next request started another");
}

pub fn the_order_inside_a_request<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    let request = browser.begin(false);
    let at = request.begun.at;
    let named = at.after(Duration::from_millis(5));
    browser.finish(
        request,
        Class::Page(view("/bye", at)),
        vec![Op::Logout, set("plan", "pro"), action("cancelled", named), login("alice")],
    );
    let ended = tested.ended();
    assert_eq!(tested.reasons(), ["logged_out"], "the request that says goodbye belongs to the visit that it ends");
    let kinds: Vec<_> = ended[0].events.iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&EventKind::PageView) && kinds.contains(&EventKind::Login), "{kinds:?}");
    assert_eq!(ended[0].end.values["plan"], "pro");
    assert_eq!(ended[0].end.user.as_ref().unwrap().as_str(), "alice");
    // It was named after the answer, by the application's clock: no event is of a time to come.
    let cancelled = ended[0].events.iter().find(|event| event.name.as_deref() == Some("cancelled")).unwrap();
    assert!(cancelled.time <= ended[0].end.ended_at, "a visit does not end before its last event");
    assert_eq!(ended[0].events.last().unwrap().kind, EventKind::Logout, "by time, then by order");
    let at = |kind| kinds.iter().position(|other| *other == kind);
    assert!(at(EventKind::PageView) < at(EventKind::Logout), "the page view comes before the goodbye: {kinds:?}");
}

pub fn login_goes_on_with_the_visit_under_another_token<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let visit = browser.visit();
    let old = browser.token;
    browser.fetch(vec![login("alice")]);
    assert_eq!(browser.visit(), visit);
    assert_ne!(browser.token, old);
    let request = browser.begin(false);
    let live = request.live().unwrap();
    assert_eq!(live.data.as_ref().unwrap().user.as_ref().unwrap().as_str(), "alice");
    browser.finish(request, Class::Other(None), Vec::new());
}

pub fn another_users_login_is_a_logout_and_a_start<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.with_ops("/", vec![login("alice"), set("secret", "alice's")]);
    let alice = browser.visit();
    let committed = browser.with_ops("/switch", vec![login("bob")]);
    assert_ne!(committed.visit, Some(alice));
    assert_eq!(browser.token.unwrap().visit, committed.visit);
    let ended = tested.ended();
    assert_eq!((ended[0].visit, ended[0].end.reason.as_str()), (alice, "logged_out"));
    let open = tested.only();
    assert_eq!(open.user.as_ref().unwrap().as_str(), "bob");
    assert!(open.values.is_empty(), "alice's values are not bob's");
    let request = browser.begin(false);
    assert!(request.live().unwrap().current);
}

pub fn logout_may_keep_the_session<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::with(
        Setup { rules: SiteRules { logout_ends_session: false, ..SiteRules::default() }, ..Setup::default() },
        restarts,
    );
    let mut browser = tested.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    let visit = browser.visit();
    browser.fetch(vec![Op::Logout]);
    assert_eq!(browser.visit(), visit);
    assert_eq!(tested.only().user, None);
}

pub fn a_newer_login_supersedes_where_only_one_is_allowed<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::with(
        Setup { rules: SiteRules { single_login: true, ..SiteRules::default() }, ..Setup::default() },
        restarts,
    );
    let (mut home, mut work) = (tested.browser(1), tested.browser(2));
    home.with_ops("/", vec![login("alice")]);
    let at_home = home.visit();
    work.with_ops("/", vec![login("alice")]);
    let ended = tested.ended();
    assert_eq!((ended[0].visit, ended[0].end.reason.as_str()), (at_home, "superseded"));
    assert_eq!(tested.open().len(), 1);
    let request = home.begin(false);
    assert!(matches!(request.begun.standing, Standing::Fresh(_)));
}

pub fn a_full_visit_ends_and_the_next_request_starts_another<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let first = browser.visit();
    for n in 1..limits::EVENTS_PER_VISIT_MAX {
        assert_eq!(browser.page(&format!("/{n}")).visit, Some(first));
    }
    assert_eq!(tested.reasons(), ["max_events"]);
    assert_eq!(tested.ended()[0].events.len(), usize::from(limits::EVENTS_PER_VISIT_MAX));
    assert_eq!(browser.page("/next").outcome, Outcome::Started);
}

pub fn a_write_to_an_ended_session_is_refused<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let slow = browser.begin(false);
    browser.fetch(vec![Op::Logout]);
    let time = slow.begun.at;
    let committed = browser.finish(slow, Class::Page(view("/slow", time)), vec![set("zombie", true)]);
    assert_eq!((committed.outcome, committed.issue), (Outcome::Gone, None));
    assert!(tested.open().is_empty());
    assert_eq!(tested.ended().len(), 1);
}

pub fn without_cookies_everybody_is_known_by_fingerprint<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::with(Setup { cookies: false, ..Setup::default() }, restarts);
    let mut browsers: Vec<_> = [1, 1, 2].into_iter().map(|print| tested.browser(print)).collect();
    for browser in &mut browsers {
        let committed = browser.page("/");
        assert_eq!((committed.outcome, committed.visit, committed.issue), (Outcome::Shared, None, None));
    }
    tested.wait(MINUTES_30 + 2);
    tested.tick();
    let ended = tested.ended();
    assert_eq!(ended.iter().map(|visit| visit.events.len()).sum::<usize>(), 3);
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|visit| visit.start.identity == Identity::Fingerprint && visit.start.number == 0));
    let visitors: Vec<_> = ended.iter().map(|visit| visit.start.facts.visitor_id.as_u128()).collect();
    assert!(visitors.contains(&1) && visitors.contains(&2), "a fingerprint is a visitor: {visitors:?}");
}

pub fn an_app_may_say_with_every_answer_who_it_is<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    let token = browser.token;
    for _ in 0..5 {
        assert_eq!(browser.with_ops("/", vec![login("alice")]).issue, None);
    }
    assert_eq!(browser.token, token);
    browser.fetch(vec![Op::Logout]);
    let logins = tested.ended()[0].events.iter().filter(|event| event.kind == EventKind::Login).count();
    assert_eq!(logins, 1);
}

pub fn a_request_that_finds_the_shared_session_overdue_ends_it<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::with(Setup { cookies: false, ..Setup::default() }, restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    tested.wait(MINUTES_30 + 1);
    tested.clock.advance(tested.padding());
    browser.page("/late");
    tested.wait(MINUTES_30 + 2);
    tested.tick();
    let ended = tested.ended();
    let counts: Vec<_> = ended.iter().map(|visit| visit.events.len()).collect();
    assert_eq!(counts, [1, 1]);
    assert_ne!(ended[0].visit, ended[1].visit, "no visit starts twice");
}

pub fn an_app_may_say_with_every_answer_that_nobody_is_in<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let visit = browser.visit();
    for path in ["/a", "/b"] {
        browser.with_ops(path, vec![Op::Nobody]);
        assert_eq!(browser.visit(), visit);
    }
    // Asked before the login, answered after it.
    let slow = browser.begin(false);
    browser.fetch(vec![login("alice")]);
    let time = slow.begun.at;
    browser.clone().finish(slow, Class::Page(view("/slow", time)), vec![Op::Nobody]);
    assert_eq!(tested.only().user.as_ref().map(visitlog_core::model::UserId::as_str), Some("alice"));
    browser.with_ops("/out", vec![Op::Nobody]);
    assert_eq!(tested.reasons(), ["logged_out"]);
    assert_eq!(tested.browser(2).fetch(vec![Op::Nobody]).outcome, Outcome::Nothing, "and it starts nothing");
}

pub fn who_can_get_no_cookie_is_known_by_fingerprint_at_once<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.keeps_cookies = false;
    for path in ["/", "/a", "/b"] {
        let request = browser.begin(false);
        let page = Class::Page(view(path, request.begun.at));
        let commit = Commit { cookies: false, ..browser.commit_of(request, page, Vec::new()) };
        assert_eq!(tested.answer(tested.store().commit(commit)).unwrap().outcome, Outcome::Shared);
    }
    let open = tested.only();
    assert_eq!((open.start.identity, open.events.len()), (Identity::Fingerprint, 3));
}
