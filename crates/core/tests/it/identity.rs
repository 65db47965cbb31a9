//! Who belongs to which session, and who never does.

use std::collections::HashSet;

use visitlog_core::model::{Entry, Start};
use visitlog_core::ports::{Class, Clock as _, Op, Outcome, Standing, Token};
use visitlog_core::{Day, Host, VisitId};

use crate::browser::{Browser, START, World, is_live, login, set, view};

const MINUTES_31: u64 = 31 * 60;

#[test]
fn fifty_parallel_requests_with_one_expired_token_start_one_session() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    browser.asset();
    let old = browser.visit();
    world.wait(MINUTES_31);
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
    assert_eq!(world.store.open().len(), 1);
}

#[test]
fn a_logged_out_token_never_joins() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    let stolen = browser.token;
    let old = browser.visit();
    browser.fetch(vec![Op::Logout]);
    assert_ne!(browser.token, stolen, "logout's own response replaces the cookie");
    let mut visits = HashSet::new();
    for _ in 0..5 {
        let mut thief = world.browser(1);
        (thief.token, thief.keeps_cookies) = (stolen, false);
        let request = thief.begin(false);
        assert!(matches!(request.begun.standing, Standing::Fresh(_)));
        let at = request.begun.at;
        visits.insert(thief.finish(request, Class::Page(view("/", at)), Vec::new()).visit.unwrap());
    }
    assert!(!visits.contains(&old));
    assert_eq!(visits.len(), 5, "they never meet in one session either");
    browser.page("/");
    let start = world.store.entries().into_iter().rev().find_map(|(_, entry)| match entry {
        Entry::Start(start) => Some(start),
        _ => None,
    });
    let start = start.unwrap();
    assert_eq!((start.previous, start.number), (Some(old), 2), "the next visit knows which one it follows");
}

#[test]
fn a_twin_joins_only_until_the_session_logs_in() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let expired = browser.clone();
    world.wait(MINUTES_31);
    browser.page("/back");
    let mut tab = expired.clone();
    assert_eq!(tab.page("/tab").visit, Some(browser.visit()));
    // This one begins before the login and is answered after it.
    let mut slow = expired.clone();
    let request = slow.begin(false);
    assert!(is_live(&request.begun).is_some());
    browser.fetch(vec![login("alice")]);
    let at = request.begun.at;
    let committed = slow.finish(request, Class::Page(view("/slow", at)), Vec::new());
    assert_eq!(committed.issue, None, "an old token must not be exchanged for that of a user");
    let mut late = expired.clone();
    assert_eq!(late.page("/late").outcome, Outcome::Started);
}

#[test]
fn a_twin_joins_for_ten_seconds_and_only_from_the_same_fingerprint() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let expired = browser.clone();
    world.wait(MINUTES_31);
    browser.page("/back");
    let mut elsewhere = expired.clone();
    elsewhere.fingerprint = 2;
    assert_ne!(elsewhere.page("/elsewhere").visit, Some(browser.visit()));
    world.wait(11);
    let mut later = expired.clone();
    assert_ne!(later.page("/later").visit, Some(browser.visit()));
}

#[test]
fn the_rotation_before_is_recorded_for_thirty_seconds_and_gets_nothing() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.with_ops("/", vec![set("cart", 3)]);
    let visit = browser.visit();
    let mut old = browser.clone();
    browser.fetch(vec![login("alice")]);
    world.wait(30);
    let request = old.begin(false);
    let live = is_live(&request.begun).unwrap();
    assert!(!live.current && live.data.user.is_none() && live.data.values.is_empty());
    let at = request.begun.at;
    let committed = old.finish(request, Class::Page(view("/old", at)), vec![set("cart", 9), login("mallory")]);
    assert_eq!((committed.visit, committed.issue, committed.refused), (Some(visit), None, 2));
    assert_eq!(world.store.open()[0].data.user.as_ref().unwrap().as_str(), "alice");
    world.wait(1);
    let request = old.begin(false);
    let Standing::Fresh(fresh) = request.begun.standing else { panic!("later it is a stranger's") };
    assert_ne!(fresh.visitor, browser.token.unwrap().visitor);
    let committed = old.finish(request, Class::Page(view("/stranger", at)), Vec::new());
    let stranger = committed.issue.unwrap();
    assert_eq!((stranger.visitor, stranger.number), (fresh.visitor, 1));
}

#[test]
fn a_double_submitted_login_keeps_the_browser_that_sent_it() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/login");
    let mut second = browser.clone();
    let (one, two) = (browser.begin(false), second.begin(false));
    browser.finish(one, Class::Other(None), vec![login("alice")]);
    let committed = second.finish(two, Class::Other(None), vec![login("alice")]);
    assert_eq!(committed.issue.unwrap().rotation, 2);
    assert!(is_live(&second.begin(false).begun).unwrap().current);
}

#[test]
fn ten_thousand_requests_without_a_cookie_cost_at_most_64_sessions() {
    let world = World::new();
    let mut bot = world.browser(1);
    bot.keeps_cookies = false;
    for n in 0..10_000 {
        if n % 100 == 0 {
            world.wait(1);
        }
        bot.page("/");
    }
    world.wait(MINUTES_31);
    world.tick();
    let ended = world.store.ended();
    assert!(ended.len() <= 64, "{} sessions", ended.len());
    assert_eq!(ended.iter().map(|visit| visit.events.len()).sum::<usize>(), 10_000);
    assert!(ended.iter().all(|visit| !visit.end.confirmed));
}

#[test]
fn the_same_holds_for_one_ended_token_presented_again_and_again() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    browser.asset();
    world.wait(MINUTES_31);
    browser.keeps_cookies = false;
    for _ in 0..1_000 {
        world.wait(1);
        browser.page("/");
    }
    world.tick();
    let sessions = world.store.open().len() + world.store.ended().len();
    assert!(sessions <= 8, "{sessions} sessions");
}

#[test]
fn fifty_new_browsers_behind_one_address_get_fifty_sessions() {
    let world = World::new();
    let mut browsers: Vec<_> = (0..50).map(|_| world.browser(1)).collect();
    let mut visits = HashSet::new();
    for browser in &mut browsers {
        visits.insert(browser.page("/").visit.unwrap());
    }
    for browser in &mut browsers {
        browser.asset();
        visits.insert(browser.page("/second").visit.unwrap());
    }
    assert_eq!(visits.len(), 50);
    assert_eq!(world.store.open().len(), 50);
}

#[test]
fn a_cookieless_client_that_returns_its_cookie_gets_a_session() {
    let world = World::new();
    let mut bot = world.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..100 {
        bot.page("/");
    }
    let mut browser = world.browser(1);
    let committed = browser.page("/");
    assert_eq!((committed.outcome, committed.visit), (Outcome::Shared, None));
    assert_eq!(browser.token.unwrap().visit, None, "a token without a visit");
    let committed = browser.page("/again");
    assert_eq!(committed.outcome, Outcome::Started);
    assert_eq!(browser.page("/more").visit, committed.visit);
}

#[test]
fn a_shared_session_hands_nothing_back_and_a_login_leaves_it() {
    let world = World::new();
    let mut bot = world.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..100 {
        bot.page("/");
    }
    let mut user = world.browser(1);
    assert!(matches!(user.begin(false).begun.standing, Standing::Shared { .. }));
    let committed = user.with_ops("/login", vec![login("alice"), set("plan", "pro")]);
    assert_eq!(committed.outcome, Outcome::Started);
    assert_eq!(is_live(&user.begin(false).begun).unwrap().data.values["plan"], "pro");
    assert!(matches!(world.browser(1).begin(false).begun.standing, Standing::Shared { .. }));
}

#[test]
fn a_client_chosen_id_is_never_adopted() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let chosen = VisitId::from_u128(42);
    browser.token = browser.token.map(|token| Token { visit: Some(chosen), ..token });
    let committed = browser.page("/");
    assert_eq!(committed.outcome, Outcome::Started);
    assert_ne!(committed.visit, Some(chosen));
}

#[test]
fn a_forged_host_makes_no_site() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    browser.asset();
    for n in 0..100 {
        let mut forger = world.browser(100 + n);
        forger.host = Host::new(&format!("forged-{n}.example"));
        forger.page("/");
    }
    assert_eq!(world.store.sites(), ["shop.example"]);
    world.wait(MINUTES_31);
    world.tick();
    let sites: HashSet<_> = world.store.ended().iter().map(|visit| visit.end.site.clone()).collect();
    assert_eq!(sites, HashSet::from(["shop.example".into(), "other".into()]));
}

#[test]
fn the_old_token_tells_the_new_visit_where_it_comes_from() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let first = browser.visit();
    world.wait(MINUTES_31);
    browser.page("/");
    world.wait(MINUTES_31);
    world.tick();
    let ended = world.store.ended();
    assert_eq!((ended[0].start.number, ended[0].start.is_new_visitor, ended[0].start.previous), (1, Some(true), None));
    assert_eq!(
        (ended[1].start.number, ended[1].start.is_new_visitor, ended[1].start.previous),
        (2, Some(false), Some(first))
    );
}

#[test]
fn a_birth_is_kept_and_one_that_lies_ahead_is_put_right() {
    let world = World::new();
    let today = Day::of(START);
    let mut browser = world.browser(1);
    browser.page("/");
    assert_eq!(browser.token.unwrap().born, today);
    world.wait(3 * 86_400);
    browser.page("/");
    assert_eq!((browser.token.unwrap().born, browser.token.unwrap().number), (today, 2), "the next session's token");
    browser.with_ops("/", vec![login("alice")]);
    assert_eq!((browser.token.unwrap().born, browser.token.unwrap().rotation), (today, 1), "a rotation");
    world.wait(86_400);
    browser.token = browser.token.map(|token| Token { born: Day::MAX, ..token });
    browser.page("/");
    assert_eq!(browser.token.unwrap().born.number(), today.number() + 4, "a clock was wrong: born today");
}

const TOO_OLD_DAYS: u32 = 396;

/// The browser's visitor was born so long ago that no session may start for him any more.
fn make_too_old(world: &World, browser: &mut Browser<'_>) {
    let born = Day::from_number(Day::of(world.clock.now()).number() - TOO_OLD_DAYS);
    browser.token = browser.token.map(|token| Token { born, ..token });
}

fn start_of(world: &World, visit: VisitId) -> Start {
    let starts = world.store.entries().into_iter().filter(|(id, _)| *id == visit);
    starts.into_iter().find_map(|(_, entry)| if let Entry::Start(start) = entry { Some(*start) } else { None }).unwrap()
}

#[test]
fn a_visitor_who_is_too_old_goes_on_in_the_session_and_then_is_a_new_one() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let (first, old) = (browser.visit(), browser.token.unwrap());
    make_too_old(&world, &mut browser);
    assert_eq!(browser.page("/on").visit, Some(first), "the session goes on");
    world.wait(MINUTES_31);
    browser.page("/new");
    let token = browser.token.unwrap();
    assert_ne!(token.visitor, old.visitor);
    assert_eq!((token.number, token.born), (1, Day::of(world.clock.now())), "born today");
    let start = start_of(&world, browser.visit());
    assert_eq!((start.previous, start.number, start.is_new_visitor), (None, 1, Some(true)), "nothing of the old one");
    world.wait(MINUTES_31);
    browser.page("/again");
    assert_eq!(browser.token.unwrap().visitor, token.visitor, "and that one stays");
    assert_eq!(start_of(&world, browser.visit()).previous, token.visit);
}

#[test]
fn a_visitor_on_the_last_day_is_still_the_same() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    let old = browser.token.unwrap();
    let born = Day::from_number(Day::of(world.clock.now()).number() - TOO_OLD_DAYS + 1);
    browser.token = Some(Token { born, ..old });
    world.wait(MINUTES_31);
    browser.page("/");
    assert_eq!((browser.token.unwrap().visitor, browser.token.unwrap().born), (old.visitor, born), "never renewed");
}

#[test]
fn twins_of_a_visitor_who_is_too_old_meet_in_one_session_of_one_new_visitor() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    browser.asset();
    make_too_old(&world, &mut browser);
    let old = browser.token.unwrap();
    world.wait(MINUTES_31);
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
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens.iter().flatten().all(|(visitor, _, number)| *visitor != old.visitor && *number == 1));
    assert_eq!(start_of(&world, late.visit()).previous, None);
}

#[test]
fn another_users_login_starts_the_session_of_who_follows_a_visitor_who_is_too_old() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.with_ops("/", vec![login("alice")]);
    make_too_old(&world, &mut browser);
    let old = browser.token.unwrap();
    let begun = browser.begin(false);
    let successor = is_live(&begun.begun).unwrap().successor.expect("too old");
    let committed = browser.finish(begun, Class::Other(None), vec![login("bob")]);
    let token = browser.token.unwrap();
    assert_ne!(committed.visit, old.visit);
    assert_eq!((token.visitor, token.number, token.visit), (successor, 1, committed.visit));
    let start = start_of(&world, browser.visit());
    assert_eq!((start.previous, start.number, start.is_new_visitor), (None, 1, Some(true)));
    assert_eq!(start.partition, successor.partition());
    assert!(is_live(&browser.begin(false).begun).is_some_and(|live| live.current), "its token opens it");
}

#[test]
fn a_token_without_a_visit_ages_too() {
    let world = World::new();
    let mut browser = world.browser(1);
    browser.page("/");
    browser.token = browser.token.map(|token| Token { visit: None, number: 0, ..token });
    make_too_old(&world, &mut browser);
    let old = browser.token.unwrap();
    browser.page("/");
    assert_ne!(browser.token.unwrap().visitor, old.visitor);
    assert_eq!(start_of(&world, browser.visit()).is_new_visitor, Some(true));
}
