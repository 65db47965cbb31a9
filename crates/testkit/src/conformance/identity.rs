//! Who belongs to which session, and who never does.
#![expect(missing_docs, reason = "a case's name says what it asserts")]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use std::collections::HashSet;

use visitlog_core::model::{Event, Identity};
use visitlog_core::ports::{Class, Clock as _, Outcome, Standing, Token};
use visitlog_core::{Host, VisitId, limits};

use super::tested::{ADMITTED, HELD};
use super::{Restarts, StoreUnderTest, Tested, action, login, set, view};

const MINUTES_31: u64 = 31 * 60;

pub fn the_rotation_before_is_recorded_for_thirty_seconds_and_gets_nothing<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.with_ops("/", vec![set("cart", 3)]);
    let visit = browser.visit();
    let mut old = browser.clone();
    browser.fetch(vec![login("alice")]);
    tested.wait(30);
    let request = old.begin(false);
    let live = request.live().unwrap();
    assert!(!live.current && live.data.is_none());
    let at = request.begun.at;
    let committed = old.finish(request, Class::Page(view("/old", at)), vec![set("cart", 9), login("mallory")]);
    assert_eq!((committed.visit, committed.issue, committed.refused), (Some(visit), None, 2));
    assert_eq!(tested.only().user.as_ref().unwrap().as_str(), "alice");
    tested.wait(1);
    let request = old.begin(false);
    let Standing::Fresh(fresh) = request.begun.standing else { panic!("later it is a stranger's") };
    assert_ne!(fresh.visitor, browser.token.unwrap().visitor);
    let committed = old.finish(request, Class::Page(view("/stranger", at)), Vec::new());
    let stranger = committed.issue.unwrap();
    assert_eq!((stranger.visitor, stranger.number), (fresh.visitor, 1));
}

pub fn a_double_submitted_login_keeps_the_browser_that_sent_it<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/login");
    let mut second = browser.clone();
    let (one, two) = (browser.begin(false), second.begin(false));
    browser.finish(one, Class::Other(None), vec![login("alice")]);
    let committed = second.finish(two, Class::Other(None), vec![login("alice")]);
    let rotation = committed.issue.map(|token| token.rotation);
    assert_eq!(rotation, tested.unless_restarted(Some(1), None, HELD));
    assert_eq!(second.begin(false).live().unwrap().current, tested.unless_restarted(true, false, HELD));
}

pub fn ten_thousand_requests_without_a_cookie_cost_at_most_64_sessions<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for n in 0..10_000 {
        if n % 100 == 0 {
            tested.wait(1);
        }
        bot.page("/");
    }
    tested.wait(MINUTES_31);
    tested.tick();
    let ended = tested.ended();
    assert!(ended.len() <= 64, "{} sessions", ended.len());
    assert_eq!(ended.iter().map(|visit| visit.events.len()).sum::<usize>(), 10_000);
    assert!(ended.iter().all(|visit| !visit.end.confirmed));
}

pub fn the_same_holds_for_one_ended_token_presented_again_and_again<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    browser.asset();
    tested.wait(MINUTES_31);
    browser.keeps_cookies = false;
    for _ in 0..1_000 {
        tested.wait(1);
        browser.page("/");
    }
    tested.tick();
    let sessions = tested.open().len() + tested.ended().len();
    assert!(sessions <= tested.unless_restarted(8, 64, ADMITTED), "{sessions} sessions");
}

pub fn fifty_new_browsers_behind_one_address_get_fifty_sessions<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browsers: Vec<_> = (0..50).map(|_| tested.browser(1)).collect();
    let mut visits = HashSet::new();
    for browser in &mut browsers {
        visits.insert(browser.page("/").visit.unwrap());
    }
    for browser in &mut browsers {
        browser.asset();
        visits.insert(browser.page("/second").visit.unwrap());
    }
    assert_eq!(visits.len(), 50);
    assert_eq!(tested.open().len(), 50);
}

pub fn a_cookieless_client_that_returns_its_cookie_gets_a_session<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..100 {
        bot.page("/");
    }
    let mut browser = tested.browser(1);
    let committed = browser.page("/");
    assert_eq!((committed.outcome, committed.visit), (Outcome::Shared, None));
    assert_eq!(browser.token.unwrap().visit, None, "a token without a visit");
    let committed = browser.page("/again");
    assert_eq!(committed.outcome, Outcome::Started);
    assert_eq!(browser.page("/more").visit, committed.visit);
}

/// A client that keeps no cookie has made its fingerprint known for that.
fn flood<S: StoreUnderTest>(tested: &Tested<S>) {
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..100 {
        bot.page("/bot");
    }
}

/// The paths of the pages of all ended visits: of those of a cookie, in order, and how many others there are.
fn pages<S: StoreUnderTest>(tested: &Tested<S>) -> (Vec<Vec<String>>, usize) {
    tested.wait(MINUTES_31 + 60);
    tested.tick();
    let path = |event: &Event| event.request.as_ref().map_or(String::new(), |request| request.path.to_string());
    let (own, others): (Vec<_>, Vec<_>) =
        tested.ended().into_iter().partition(|visit| visit.start.identity == Identity::Cookie && visit.end.confirmed);
    let own = own.iter().map(|visit| visit.events.iter().map(path).collect()).collect();
    (own, others.iter().map(|visit| visit.events.len()).sum())
}

/// What a restart forgets.
const FORGOTTEN: &str = "of a fingerprint without open sessions nothing is known";
const LANDED: &str = "what was done first is known in memory alone";

pub fn who_returns_a_token_takes_along_what_it_did_first<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    flood(&tested);
    let mut browser = tested.browser(1);
    let landed = tested.clock.now();
    browser.with_ops("/landing", vec![action("added", landed)]);
    tested.wait(5);
    let committed = browser.page("/next");
    assert_eq!(committed.outcome, Outcome::Started);
    tested.wait(1);
    assert_eq!(browser.page("/more").visit, committed.visit);
    let visit = browser.visit();
    let (own, others) = pages(&tested);
    let usual = vec![vec!["".to_owned(), "/landing".into(), "/next".into(), "/more".into()]];
    let restarted = vec![vec!["/next".to_owned(), "/more".into()]];
    assert_eq!((own, others), tested.unless_restarted((usual, 100), (restarted, 102), LANDED));
    let ended = tested.ended().into_iter().find(|ended| ended.visit == visit).unwrap();
    assert_eq!((ended.start.number, ended.start.is_new_visitor), (1, Some(true)));
    assert_eq!(ended.start.at == landed, tested.unless_restarted(true, false, LANDED));
}

pub fn an_asset_takes_it_along_and_the_next_page_goes_on_there<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    flood(&tested);
    let mut bounced = tested.browser(1);
    bounced.page("/bounced");
    bounced.asset();
    let mut browser = tested.browser(1);
    browser.page("/landing");
    (0..3).for_each(|_| browser.asset());
    tested.wait(60);
    browser.page("/next");
    let (mut own, others) = pages(&tested);
    own.sort();
    let usual = vec![vec!["/bounced".to_owned()], vec!["/landing".into(), "/next".into()]];
    assert_eq!((own, others), tested.unless_restarted((usual, 100), (Vec::new(), 103), LANDED));
}

pub fn parallel_requests_take_it_along_once<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    flood(&tested);
    let mut browser = tested.browser(1);
    browser.page("/landing");
    let (one, two, three, asset) =
        (browser.begin(false), browser.begin(false), browser.begin(false), browser.begin(true));
    let mut second = browser.clone();
    for (request, path) in [(one, "/a"), (two, "/b"), (three, "/c")] {
        let at = request.begun.at;
        second.finish(request, Class::Page(view(path, at)), Vec::new());
    }
    browser.finish_asset(asset);
    let (own, others) = pages(&tested);
    let usual = vec![["/landing", "/a", "/b", "/c"].map(String::from).to_vec()];
    if tested.unless_restarted(true, false, LANDED) {
        assert_eq!((own, others), (usual, 100));
    } else {
        assert_eq!(own.iter().map(Vec::len).sum::<usize>() + others, 104);
    }
}

pub fn a_shared_session_of_which_nothing_is_left_is_no_visit<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    flood(&tested);
    tested.wait(MINUTES_31 + 60);
    tested.tick();
    let before = tested.ended().len();
    let mut browser = tested.browser(1);
    let outcome = browser.page("/landing").outcome;
    assert_eq!(outcome, tested.unless_restarted(Outcome::Shared, Outcome::Started, FORGOTTEN));
    browser.asset();
    tested.wait(MINUTES_31 + 60);
    tested.tick();
    assert_eq!(tested.ended().len() - before, 1, "the shared one was this visitor's alone");
    let last = tested.ended().pop().unwrap();
    assert_eq!((last.start.identity, last.events.len()), (Identity::Cookie, 1));
}

pub fn who_takes_along_what_is_forgotten_is_admitted_as_anybody<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    flood(&tested);
    let requests: Vec<_> = (0..200)
        .map(|_| {
            let mut browser = tested.browser(1);
            browser.page("/landing");
            let request = browser.begin(false);
            (browser, request)
        })
        .collect();
    for _ in 0..limits::LANDINGS_PER_SHARD_MAX {
        tested.browser(1).page("/landing");
    }
    for (mut browser, request) in requests {
        let at = request.begun.at;
        browser.finish(request, Class::Page(view("/next", at)), Vec::new());
    }
    // As many as were unconfirmed at once, the shared one among them, and as many again that showed a token.
    let usual = 2 * limits::PROVISIONAL_PER_FINGERPRINT_MAX;
    let most = tested.unless_restarted(usual, usize::MAX, "who showed a token is known in memory alone");
    assert!(tested.open().len() <= most, "{} sessions of one fingerprint", tested.open().len());
}

pub fn what_was_done_first_too_long_ago_stays_where_it_is<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    flood(&tested);
    let mut browser = tested.browser(1);
    browser.page("/landing");
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..4 {
        tested.wait(10 * 60);
        bot.page("/bot");
    }
    browser.page("/next");
    tested.wait(1);
    browser.page("/more");
    assert_eq!(pages(&tested), (vec![vec!["/next".to_owned(), "/more".into()]], 105));
}

pub fn a_shared_session_hands_nothing_back_and_a_login_leaves_it<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..100 {
        bot.page("/");
    }
    let mut user = tested.browser(1);
    assert!(matches!(user.begin(false).begun.standing, Standing::Shared { .. }));
    let committed = user.with_ops("/login", vec![login("alice"), set("plan", "pro")]);
    assert_eq!(committed.outcome, Outcome::Started);
    assert_eq!(user.begin(false).live().unwrap().data.as_ref().unwrap().values["plan"], "pro");
    assert!(matches!(tested.browser(1).begin(false).begun.standing, Standing::Shared { .. }));
}

pub fn a_client_chosen_id_is_never_adopted<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let chosen = VisitId::from_u128(42);
    browser.token = browser.token.map(|token| Token { visit: Some(chosen), ..token });
    let committed = browser.page("/");
    assert_eq!(committed.outcome, Outcome::Started);
    assert_ne!(committed.visit, Some(chosen));
}

pub fn a_forged_host_makes_no_site<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    browser.asset();
    for n in 0..100 {
        let mut forger = tested.browser(100 + n);
        forger.host = Host::new(&format!("forged-{n}.example"));
        forger.page("/");
    }
    assert_eq!((tested.used().sites, tested.site_of(browser.visit()).as_str()), (1, "shop.example"));
    tested.wait(MINUTES_31);
    tested.tick();
    let sites: HashSet<_> = tested.ended().iter().map(|visit| visit.end.site.clone()).collect();
    assert_eq!(sites, HashSet::from(["shop.example".into(), "other".into()]));
}

pub fn the_old_token_tells_the_new_visit_where_it_comes_from<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let first = browser.visit();
    tested.wait(MINUTES_31);
    browser.page("/");
    tested.wait(MINUTES_31);
    tested.tick();
    let ended = tested.ended();
    assert_eq!((ended[0].start.number, ended[0].start.is_new_visitor, ended[0].start.previous), (1, Some(true), None));
    assert_eq!(
        (ended[1].start.number, ended[1].start.is_new_visitor, ended[1].start.previous),
        (2, Some(false), Some(first))
    );
}
