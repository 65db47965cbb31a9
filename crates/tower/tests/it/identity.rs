//! Who gets which session, and who doesn't.

use std::time::Duration;

use http::Method;
use visitlog_core::limits;
use visitlog_core::ports::Token;
use visitlog_core::{Day, Host, VisitId, Visitor};
use visitlog_tower::Keys;
use visitlog_tower::settings::Settings;
use visitlog_tower::token::Scope;

use crate::flow::shop;
use crate::world::{Browser, HOST, Site, html, line, set_cookie, with_headers};

fn site() -> Site {
    Site::new(shop)
}

/// Visits the site's start page with a cookie; says which visit it was recorded in.
fn recorded_in(site: &Site, cookie: String) -> VisitId {
    let mut browser = Browser { cookie: Some(cookie), ..Browser::new() };
    browser.get(site, "/");
    browser.visit(site).unwrap()
}

#[test]
fn forged_and_truncated_tokens_start_a_new_session() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let (mine, cookie) = (browser.visit(&site).unwrap(), browser.cookie.clone().unwrap());
    assert_eq!(recorded_in(&site, cookie.clone()), mine, "the real one is known");

    let mut flipped = cookie.clone().into_bytes();
    let at = flipped.len() - 30;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let other_keys = Keys::generate(&[1; 64]);
    let token =
        Token { visitor: Visitor::from_u128(7), visit: Some(mine), number: 1, rotation: 0, born: Day::default() };
    let forged = other_keys.seal(&token, Scope::Host(&Host::new(HOST)));
    let cases = [
        String::from_utf8(flipped).unwrap(),
        cookie[..cookie.len() - 1].to_owned(),
        format!("{cookie}A"),
        "visitlog=".to_owned(),
        format!("visitlog={mine}"),
        format!("visitlog={}", forged.as_str()),
    ];
    for bad in cases {
        assert_ne!(recorded_in(&site, bad.clone()), mine, "{bad}");
    }
}

#[test]
fn a_client_chosen_id_is_never_adopted() {
    let site = site();
    let unknown = VisitId::from_u128(0x0199_0b1e_6f5c_7c4e_8b0d_3f2f_6c1f_9a11);
    let token =
        Token { visitor: Visitor::from_u128(7), visit: Some(unknown), number: 1, rotation: 0, born: Day::default() };
    let cookie = format!("visitlog={}", site.keys.seal(&token, Scope::Host(&Host::new(HOST))).as_str());
    assert_ne!(recorded_in(&site, cookie), unknown);
}

#[test]
fn a_token_of_one_site_opens_nothing_on_another() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/login");
    browser.host = "other.example";
    let answer = browser.request(&Method::GET, "/");
    let answer = site.send(answer);
    assert!(answer.body().contains("\"user\":null"), "{}", answer.body());
    assert_eq!(site.started().len(), 2);
}

#[test]
fn who_comes_where_others_keep_no_cookie_takes_its_landing_page_along() {
    let site = site();
    for _ in 0..100 {
        Browser { keeps: false, ..Browser::new() }.get(&site, "/bot");
    }
    let started = site.started().len();
    let mut bounced = Browser::new();
    let lands = |browser: &Browser, path: &str| {
        let mut request = browser.request(&Method::GET, path);
        request.headers_mut().insert("referer", "https://news.example/".parse().unwrap());
        request
    };
    let landing = lands(&bounced, "/bounced");
    bounced.send(&site, landing);
    let answer = bounced.get(&site, "/style.css");
    assert_eq!(set_cookie(&answer), None, "an asset brings no cookie");
    let mut visitor = Browser::new();
    let landing = lands(&visitor, "/landing?utm_campaign=spring");
    visitor.send(&site, landing);
    site.pass(Duration::from_secs(20));
    visitor.get(&site, "/style.css");
    visitor.get(&site, "/next");
    let visits = site.started().split_off(started);
    assert_eq!(visits.len(), 2);
    assert_eq!(visitor.visit(&site), Some(visits[1]));
    site.pass(Duration::from_secs(31 * 60));
    let ended = site.store.ended();
    for (visit, lines) in
        [(visits[0], vec!["page_view /bounced"]), (visits[1], vec!["page_view /landing", "page_view /next"])]
    {
        let ended = ended.iter().find(|ended| ended.visit == visit).unwrap();
        assert_eq!(ended.events.iter().map(line).collect::<Vec<_>>(), lines);
        assert!(ended.end.confirmed);
        assert_eq!(ended.start.facts.referrer.as_deref(), Some("https://news.example/"));
    }
    let others = ended.iter().filter(|ended| !visits.contains(&ended.visit)).flat_map(|ended| &ended.events);
    assert!(others.map(line).all(|line| line == "page_view /bot"));
}

#[test]
fn what_is_taken_along_is_in_one_visit_whenever_a_crash_comes() {
    let landing = |lost: usize, crashes: usize| {
        let site = site();
        for _ in 0..100 {
            Browser { keeps: false, ..Browser::new() }.get(&site, "/bot");
        }
        let mut visitor = Browser::new();
        visitor.get(&site, "/landing");
        let before = site.store.entries().len();
        visitor.get(&site, "/next");
        let brought = site.store.entries().len() - before;
        site.store.crash(lost);
        for _ in 1..crashes {
            // What comes then is not taken for what was brought.
            visitor.get(&site, "/later");
            site.store.crash(0);
        }
        site.pass(Duration::from_secs(32 * 60));
        let lines = site.store.ended().into_iter().flat_map(|ended| ended.events);
        (lines.filter(|event| line(event) == "page_view /landing").count(), brought)
    };
    let (_, brought) = landing(0, 1);
    assert!(brought >= 4, "a start, both pages and the withdrawal");
    for (lost, crashes) in (0..=brought).flat_map(|lost| [(lost, 1), (lost, 3)]) {
        assert_eq!(landing(lost, crashes).0, 1, "{lost} of {brought} records lost, {crashes} crashes");
    }
}

#[test]
fn a_token_is_void_after_the_logout() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/login");
    let (mine, replayed) = (browser.visit(&site).unwrap(), browser.cookie.clone().unwrap());
    browser.get(&site, "/logout");
    assert_ne!(browser.cookie.clone().unwrap(), replayed, "the logout's own answer replaces the cookie");
    browser.get(&site, "/");
    assert_ne!(browser.visit(&site), Some(mine), "and it starts another visit");
    assert_ne!(recorded_in(&site, replayed.clone()), mine);
    let mut thief = Browser { cookie: Some(replayed), ..Browser::new() };
    assert!(thief.get(&site, "/").body().contains("\"user\":null"));
}

#[test]
fn an_outdated_rotation_is_recorded_but_gets_nothing() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let visit = browser.visit(&site).unwrap();
    let mut old = browser.clone();
    browser.get(&site, "/login");
    assert_eq!(browser.visit(&site), Some(visit), "the visit goes on");
    browser.get(&site, "/cart");

    site.pass(Duration::from_secs(29));
    let answer = old.get(&site, "/in-grace");
    assert_eq!(answer.body(), "{\"id\":null,\"items\":null,\"user\":null}");
    assert_eq!(set_cookie(&answer), None);
    assert!(site.events(visit).contains(&"page_view /in-grace".to_owned()), "{:?}", site.events(visit));

    site.pass(Duration::from_secs(2));
    let answer = old.get(&site, "/later");
    assert!(answer.body().contains("\"user\":null"));
    assert_ne!(old.visit(&site), Some(visit), "a stranger's");
    assert!(!site.events(visit).contains(&"page_view /later".to_owned()));
}

#[test]
fn an_outdated_rotation_writes_no_values() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let mut old = browser.clone();
    browser.get(&site, "/login");
    old.get(&site, "/cart");
    assert!(browser.get(&site, "/").body().contains("\"items\":null"));
    assert_eq!(site.layer.counts().ops_refused, 1);
}

#[test]
fn parallel_requests_with_one_expired_token_start_one_session() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    site.pass(Duration::from_secs(3_600));
    let mut tabs = vec![browser; 50];
    tabs.iter_mut().for_each(|tab| drop(tab.get(&site, "/")));
    let visits: std::collections::BTreeSet<_> = tabs.iter().map(|tab| tab.visit(&site).unwrap()).collect();
    assert_eq!(visits.len(), 1);
    assert_eq!(site.started().len(), 2);
}

#[test]
fn parallel_requests_after_a_logout_never_share() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/login");
    let replayed = browser.clone();
    browser.get(&site, "/logout");
    let mut tabs = vec![replayed; 5];
    tabs.iter_mut().for_each(|tab| drop(tab.get(&site, "/")));
    let visits: std::collections::BTreeSet<_> = tabs.iter().map(|tab| tab.visit(&site).unwrap()).collect();
    assert_eq!(visits.len(), 5);
}

#[test]
fn an_outdated_token_never_joins_what_the_current_one_started() {
    // Somebody's cookie is planted in a victim's browser, who logs in: what he had is outdated from then on, also when
    // the victim's session has expired and the next one is seconds old.
    let site = site();
    let mut victim = Browser::new();
    victim.get(&site, "/");
    let mut planter = victim.clone();
    victim.get(&site, "/login");
    site.pass(Duration::from_secs(3_600));
    victim.get(&site, "/");
    planter.get(&site, "/");
    assert_ne!(planter.visit(&site), victim.visit(&site));
}

#[test]
fn a_client_that_keeps_no_cookie_costs_little() {
    let site = site();
    let mut client = Browser { keeps: false, ..Browser::new() };
    for _ in 0..1_000 {
        client.get(&site, "/");
    }
    assert!(site.store.open().len() <= limits::PROVISIONAL_PER_FINGERPRINT_MAX, "{} sessions", site.store.open().len());
    assert_eq!(site.layer.counts().events_lost, 0);
}

#[test]
fn new_browsers_behind_one_address_get_one_each() {
    let site = site();
    let mut browsers = vec![Browser::new(); 50];
    for path in ["/", "/next"] {
        browsers.iter_mut().for_each(|browser| drop(browser.get(&site, path)));
    }
    let visits: std::collections::BTreeSet<_> = browsers.iter().map(|browser| browser.visit(&site).unwrap()).collect();
    assert_eq!(visits.len(), 50);
}

#[test]
fn a_forged_host_makes_no_site() {
    let site = site();
    for n in 0..20 {
        let mut browser = Browser { host: Box::leak(format!("evil{n}.example").into_boxed_str()), ..Browser::new() };
        browser.get(&site, "/");
    }
    assert_eq!(site.store.sites().iter().filter(|name| name.starts_with("evil")).count(), 0);
}

#[test]
fn only_trusted_proxies_name_the_client() {
    use visitlog_tower::client::{ForwardedBy, TrustedProxies};
    let trusted_proxies = TrustedProxies::new(["203.0.113.0/24".parse().unwrap()], ForwardedBy::XForwardedFor);
    let addresses = visitlog_tower::settings::Addresses::Whole;
    let site = Site::with(Settings { trusted_proxies, addresses, ..Settings::default() }, |_, _| html(""));
    for (peer, expected) in [("203.0.113.7", "198.51.100.4"), ("192.0.2.1", "192.0.2.1")] {
        let mut request = Browser { address: peer, ..Browser::new() }.request(&Method::GET, "/");
        request.headers_mut().insert("x-forwarded-for", "198.51.100.4".parse().unwrap());
        request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
        let answer = site.send(request);
        let secure = set_cookie(&answer).unwrap().starts_with("__Host-");
        assert_eq!(secure, peer == "203.0.113.7", "only the proxy is believed that TLS ends there");
        let start = site.store.entries().into_iter().rev().find_map(|(_, entry)| match entry {
            visitlog_core::model::Entry::Start(start) => Some(start),
            _ => None,
        });
        assert_eq!(start.unwrap().facts.ip.expose().unwrap().to_string(), expected);
    }
}

#[test]
fn an_app_that_says_with_every_answer_who_is_in_or_that_nobody_is_keeps_its_visits_whole() {
    let site = Site::with(Settings::for_proxy(), |_, request| {
        let who = match request.uri().path() {
            "/" | "/a" | "/b" | "/bye" => "?0",
            _ => "\"alice\"",
        };
        with_headers(html(""), &[("visitlog-user", who)])
    });
    let mut browser = Browser::new();
    for path in ["/", "/a", "/b", "/c", "/d", "/bye"] {
        browser.get(&site, path);
    }
    let visit = site.only_ended();
    assert_eq!(visit.end.reason.as_str(), "logged_out");
    let events: Vec<String> = visit.events.iter().map(line).collect();
    let expected = ["page_view /", "page_view /a", "page_view /b", "login alice", "page_view /c", "page_view /d"];
    assert_eq!(events[..6], expected);
    assert_eq!(site.started().len(), 1);
}

#[test]
fn an_excluded_address_leaves_no_trace_whatever_the_app_says() {
    let mut settings = Settings::for_proxy();
    settings.rules.excluded_addresses = vec!["203.0.113.0/24".parse().unwrap()];
    let site = Site::with(settings, |visit, _| {
        visit.login("alice");
        with_headers(html(""), &[("visitlog-action", "x")])
    });
    let answer = Browser::new().get(&site, "/");
    assert_eq!((site.store.entries().len(), answer.headers().get("set-cookie")), (0, None));
    assert!(!answer.headers().contains_key("visitlog-action"), "its headers are taken out all the same");
    Browser { address: "198.51.100.7", ..Browser::new() }.get(&site, "/");
    assert_eq!(site.started().len(), 1);
}
