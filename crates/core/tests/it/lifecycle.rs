//! How sessions start, go on and end.

use std::sync::Arc;
use std::time::Duration;

use visitlog_core::limits;
use visitlog_core::machine::{Budget, ShardConfig};
use visitlog_core::model::{EventKind, Identity};
use visitlog_core::ports::{Class, Op, Outcome, SessionStore, Standing};
use visitlog_core::rules::SiteRules;
use visitlog_testkit::port_cases::Tested;

use crate::browser::{World, action, is_live, login, set, view};

const MINUTES_30: u64 = 30 * 60;

#[test]
fn only_a_page_view_or_something_named_starts_a_session() {
    let world = World::new();
    let mut browser = world.browser(1);
    for class in [Class::Other(None), Class::Passive, Class::PageError(view("/missing", world_now(&world)))] {
        let request = browser.begin(false);
        assert_eq!(browser.finish(request, class, Vec::new()).outcome, Outcome::Nothing);
    }
    assert_eq!(browser.fetch(vec![Op::Logout]).outcome, Outcome::Nothing);
    assert!(world.store.open().is_empty() && browser.token.is_none());
    assert_eq!(browser.fetch(vec![action("subscribed", world_now(&world))]).outcome, Outcome::Started);
    assert_eq!(world.browser(2).page("/").outcome, Outcome::Started);
}

fn world_now(world: &World) -> visitlog_core::Timestamp {
    use visitlog_core::ports::Clock;
    world.clock.now()
}

#[test]
fn a_request_exactly_on_the_timeout_belongs_a_later_one_does_not() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let first = browser.visit();
    world.wait(MINUTES_30);
    world.tick();
    assert_eq!(browser.page("/on-time").visit, Some(first));
    world.clock.advance(Duration::from_secs(MINUTES_30) + Duration::from_micros(1));
    assert_eq!(browser.page("/late").outcome, Outcome::Started);
    assert_ne!(browser.visit(), first);
    let ended = world.store.ended();
    assert_eq!((ended.len(), ended[0].visit, ended[0].end.reason.as_str()), (1, first, "expired"));
    assert_eq!(ended[0].end.ended_at, visitlog_core::Timestamp::from_secs(1_763_719_200 + 1_800));
    assert_eq!(ended[0].events.len(), 2);
}

#[test]
fn the_wheel_ends_without_further_traffic_and_never_early() {
    let world = World::new();
    world.browser(1).page("/");
    world.wait(MINUTES_30);
    world.tick();
    assert_eq!(world.store.open().len(), 1);
    world.wait(2);
    world.tick();
    assert_eq!(world.reasons(), ["expired"]);
}

#[test]
fn a_touch_slides_without_a_record_for_every_request() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    for _ in 0..100 {
        world.clock.advance(Duration::from_millis(100));
        browser.fetch(Vec::new());
    }
    let touches = world.store.entries().len();
    assert!((10..=13).contains(&touches), "{touches} records for 10 s of requests");
    world.wait(MINUTES_30 - 1);
    world.tick();
    assert_eq!(world.store.open().len(), 1, "the last fetch slid it");
}

#[test]
fn max_age_ends_even_a_busy_session() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    for _ in 0..97 {
        world.wait(15 * 60);
        browser.page("/");
        world.tick();
    }
    assert_eq!(world.reasons(), ["max_age"]);
    assert_eq!(world.store.open().len(), 1, "the next request started another");
}

#[test]
fn a_request_in_flight_holds_off_idle_expiry() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let slow = browser.begin(false);
    for _ in 0..4 {
        world.wait(20 * 60);
        world.tick();
    }
    assert_eq!(world.store.open().len(), 1);
    let time = slow.begun.at;
    assert_eq!(browser.finish(slow, Class::Page(view("/slow", time)), Vec::new()).outcome, Outcome::Recorded);
    world.wait(MINUTES_30 + 2);
    world.tick();
    assert_eq!(world.reasons(), ["expired"]);
}

#[test]
fn a_request_that_is_dropped_lets_go() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let dropped = browser.begin(false);
    world.wait(MINUTES_30 + 60);
    world.tick();
    assert_eq!(world.store.open().len(), 1);
    world.store.release(is_live(&dropped.begun).unwrap().hold.unwrap());
    world.wait(2);
    world.tick();
    assert_eq!(world.reasons(), ["expired"]);
}

#[test]
fn a_dropped_request_does_not_keep_a_session_open_for_its_whole_age() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let (one, two) = (browser.begin(false), browser.begin(false));
    world.store.release(is_live(&one.begun).and_then(|live| live.hold).expect("held"));
    browser.finish(two, Class::Other(None), vec![]);
    world.wait(1_802);
    world.tick();
    assert_eq!(world.reasons(), ["expired"]);
}

#[test]
fn a_request_that_turns_out_to_be_passive_lets_go_at_the_idle_deadline() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let first = browser.begin(false);
    world.wait(1_000);
    browser.fetch(vec![]);
    world.wait(900);
    world.tick(); // Looked at while the first is under way: again only at 3,700.
    browser.finish(first, Class::Passive, vec![]);
    world.wait(902); // The fetch was 1,802 ago.
    world.tick();
    assert_eq!(world.reasons(), ["expired"]);
}

#[test]
fn the_order_inside_a_request() {
    let world = World::new();
    let mut browser = world.browser(1);
    let request = browser.begin(false);
    let at = request.begun.at;
    let named = at.after(Duration::from_millis(5));
    browser.finish(
        request,
        Class::Page(view("/bye", at)),
        vec![Op::Logout, set("plan", "pro"), action("cancelled", named), login("alice")],
    );
    let ended = world.store.ended();
    assert_eq!(world.reasons(), ["logged_out"], "the request that says goodbye belongs to the visit that it ends");
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

#[test]
fn login_goes_on_with_the_visit_under_another_token() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let visit = browser.visit();
    let old = browser.token;
    browser.fetch(vec![login("alice")]);
    assert_eq!(browser.visit(), visit);
    assert_ne!(browser.token, old);
    let request = browser.begin(false);
    let live = is_live(&request.begun).unwrap();
    assert_eq!(live.data.user.as_ref().unwrap().as_str(), "alice");
    browser.finish(request, Class::Other(None), Vec::new());
}

#[test]
fn another_users_login_is_a_logout_and_a_start() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.with_ops("/", vec![login("alice"), set("secret", "alice's")]);
    let alice = browser.visit();
    let committed = browser.with_ops("/switch", vec![login("bob")]);
    assert_ne!(committed.visit, Some(alice));
    assert_eq!(browser.token.unwrap().visit, committed.visit);
    let ended = world.store.ended();
    assert_eq!((ended[0].visit, ended[0].end.reason.as_str()), (alice, "logged_out"));
    let open = world.store.open();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].data.user.as_ref().unwrap().as_str(), "bob");
    assert!(open[0].data.values.is_empty(), "alice's values are not bob's");
    let request = browser.begin(false);
    assert!(is_live(&request.begun).unwrap().current);
}

#[test]
fn logout_may_keep_the_session() {
    let world = World::with(SiteRules { logout_ends_session: false, ..SiteRules::default() }, true);
    let mut browser = world.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    let visit = browser.visit();
    browser.fetch(vec![Op::Logout]);
    assert_eq!(browser.visit(), visit);
    assert_eq!(world.store.open()[0].data.user, None);
}

#[test]
fn a_newer_login_supersedes_where_only_one_is_allowed() {
    let world = World::with(SiteRules { single_login: true, ..SiteRules::default() }, true);
    let (mut home, mut work) = (world.browser(1), world.browser(2));
    home.with_ops("/", vec![login("alice")]);
    let at_home = home.visit();
    work.with_ops("/", vec![login("alice")]);
    let ended = world.store.ended();
    assert_eq!((ended[0].visit, ended[0].end.reason.as_str()), (at_home, "superseded"));
    assert_eq!(world.store.open().len(), 1);
    let request = home.begin(false);
    assert!(matches!(request.begun.standing, Standing::Fresh(_)));
}

#[test]
fn a_full_visit_ends_and_the_next_request_starts_another() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let first = browser.visit();
    for n in 1..limits::EVENTS_PER_VISIT_MAX {
        assert_eq!(browser.page(&format!("/{n}")).visit, Some(first));
    }
    assert_eq!(world.reasons(), ["max_events"]);
    assert_eq!(world.store.ended()[0].events.len(), usize::from(limits::EVENTS_PER_VISIT_MAX));
    assert_eq!(browser.page("/next").outcome, Outcome::Started);
}

#[test]
fn the_cap_evicts_unconfirmed_sessions_first() {
    // The testkit's store has four shards that share this cap; all browsers below share one partition by accident
    // only, so the cap is checked over all of them.
    let world = World::configured(
        &ShardConfig { budget: Budget { open_sessions: 12, ..Budget::default() }, ..ShardConfig::default() },
        true,
    );
    let mut confirmed: Vec<_> = (0..2).map(|n| world.browser(n)).collect();
    for browser in &mut confirmed {
        browser.page("/");
        browser.asset();
    }
    for n in 10..60 {
        world.wait(1);
        world.browser(n).page("/");
    }
    assert!(world.store.open().len() <= 12);
    assert!(world.reasons().iter().all(|reason| *reason == "evicted"));
    for browser in &confirmed {
        assert!(is_live(&browser.begin(true).begun).is_some(), "a confirmed session was evicted before others");
    }
}

#[test]
fn sessions_that_cookieless_clients_share_are_evicted_before_those_of_visitors() {
    let budget = Budget { open_sessions: 64, provisional: 32, ..Budget::default() };
    let day = Duration::from_secs(86_400);
    let rules = Arc::new([SiteRules { idle_timeout: day, ..SiteRules::default() }]);
    let world = World::configured(&ShardConfig { budget, rules, ..ShardConfig::default() }, true);
    let mut known: Vec<_> = (0..4).map(|n| world.browser(n)).collect();
    for browser in &mut known {
        browser.page("/");
        browser.asset();
    }
    // Each of them comes often enough to share one.
    for print in 100..300 {
        let mut stranger = world.browser(print);
        stranger.keeps_cookies = false;
        (0..8).take_while(|_| stranger.page("/").outcome != Outcome::Shared).for_each(|_| world.wait(11));
    }
    for browser in &known {
        assert!(is_live(&browser.begin(true).begun).is_some(), "a visitor's session was evicted for strangers");
    }
    assert!(world.store.open().len() <= 32 + 4, "{}", world.store.open().len());
    world.tick();
}

#[test]
fn values_are_field_level_and_bounded() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let (left, right) = (browser.begin(false), browser.begin(false));
    browser.finish(left, Class::Other(None), vec![set("a", 1), Op::Increment("n".into(), 2)]);
    browser.finish(right, Class::Other(None), vec![set("b", 2), Op::Increment("n".into(), 3)]);
    let values = world.store.open()[0].data.values.clone();
    assert_eq!((&values["a"], &values["b"], &values["n"]), (&1.into(), &2.into(), &5.into()));
    let refused = browser.fetch(vec![set("big", "x".repeat(limits::VALUES_BYTES_MAX)), set("small", true)]);
    assert_eq!(refused.refused, 1);
    let values = world.store.open()[0].data.values.clone();
    assert!(!values.contains_key("big") && values.contains_key("small"));
    browser.fetch(vec![Op::Remove("small".into()), Op::Increment("a".into(), i64::MAX)]);
    let values = world.store.open()[0].data.values.clone();
    assert!(!values.contains_key("small"));
    assert_eq!(values["a"], 1, "an overflow is refused");
}

#[test]
fn a_write_to_an_ended_session_is_refused() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let slow = browser.begin(false);
    browser.fetch(vec![Op::Logout]);
    let time = slow.begun.at;
    let committed = browser.finish(slow, Class::Page(view("/slow", time)), vec![set("zombie", true)]);
    assert_eq!((committed.outcome, committed.issue), (Outcome::Gone, None));
    assert!(world.store.open().is_empty());
    assert_eq!(world.store.ended().len(), 1);
}

#[test]
fn without_cookies_everybody_is_known_by_fingerprint() {
    let world = World::with(SiteRules::default(), false);
    let mut browsers: Vec<_> = [1, 1, 2].into_iter().map(|print| world.browser(print)).collect();
    for browser in &mut browsers {
        let committed = browser.page("/");
        assert_eq!((committed.outcome, committed.visit, committed.issue), (Outcome::Shared, None, None));
    }
    world.wait(MINUTES_30 + 2);
    world.tick();
    let ended = world.store.ended();
    assert_eq!(ended.iter().map(|visit| visit.events.len()).sum::<usize>(), 3);
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|visit| visit.start.identity == Identity::Fingerprint && visit.start.number == 0));
    let visitors: Vec<_> = ended.iter().map(|visit| visit.start.facts.visitor_id.as_u128()).collect();
    assert!(visitors.contains(&1) && visitors.contains(&2), "a fingerprint is a visitor: {visitors:?}");
}

#[test]
fn an_app_may_say_with_every_answer_who_it_is() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    let token = browser.token;
    for _ in 0..5 {
        assert_eq!(browser.with_ops("/", vec![login("alice")]).issue, None);
    }
    assert_eq!(browser.token, token);
    browser.fetch(vec![Op::Logout]);
    let logins = world.store.ended()[0].events.iter().filter(|event| event.kind == EventKind::Login).count();
    assert_eq!(logins, 1);
}

#[test]
fn a_request_that_finds_the_shared_session_overdue_ends_it() {
    let world = World::with(SiteRules::default(), false);
    let mut browser = world.browser(1);
    browser.page("/");
    world.wait(MINUTES_30 + 1);
    browser.page("/late");
    world.wait(MINUTES_30 + 2);
    world.tick();
    let ended = world.store.ended();
    let counts: Vec<_> = ended.iter().map(|visit| visit.events.len()).collect();
    assert_eq!(counts, [1, 1]);
    assert_ne!(ended[0].visit, ended[1].visit, "no visit starts twice");
}

#[test]
fn only_an_expired_or_evicted_sessions_token_joins() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    browser.asset();
    for _ in 0..100 {
        world.wait(15 * 60);
        browser.fetch(Vec::new());
    }
    assert_eq!(world.reasons(), ["max_age"]);
    let mut tabs = [browser.clone(), browser.clone()];
    let visits: Vec<_> = tabs.iter_mut().map(|tab| tab.page("/").visit).collect();
    assert_ne!(visits[0], visits[1]);
}

#[test]
fn the_store_in_memory_keeps_the_cases_of_the_port() {
    let world = World::new();
    let store = Arc::new(world.store);
    Tested { store, settle: &|| {} }.run_all();
}
