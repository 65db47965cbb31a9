//! Pages that say that they are there.

use std::time::Duration;

use http::{Method, Request};
use visitlog_core::ports::Sign;
use visitlog_tower::presence::{BEAT_PATH, SCRIPT_PATH};
use visitlog_tower::{Settings, Visit, class, settings};

use crate::world::{Answer, Browser, Site, html, status};

/// An app that must never be asked for what is ours.
fn app(visit: &Visit, request: &Request<()>) -> Answer {
    assert!(!request.uri().path().starts_with("/.well-known/visitlog/"), "asked for {}", request.uri());
    if request.uri().path() == "/logout" {
        visit.logout();
    }
    html("")
}

fn beat(site: &Site, browser: &mut Browser, sign: &str) -> Answer {
    browser.post(site, &format!("{BEAT_PATH}?i=1&n=1&s={sign}&p=%2Fcart%3Fq%3D1"))
}

fn next(answer: &Answer) -> &str {
    answer.headers()["next-beat"].to_str().unwrap()
}

#[test]
fn a_beat_confirms_and_never_slides() {
    let site = Site::new(app);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let visit = browser.visit(&site).unwrap();
    let recorded = site.store.entries().len();
    let answer = beat(&site, &mut browser, "v");
    assert_eq!((answer.status().as_u16(), next(&answer)), (204, "30"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(!answer.headers().contains_key("set-cookie"));
    assert_eq!(site.store.beats(), [(visit, Sign::Visible, Some("/cart?q=1".to_owned()))]);
    assert!(site.store.sessions().get(visit).unwrap().confirmed, "its cookie came back");
    assert!(site.store.entries().len() <= recorded + 1, "no more than that is written down");
    for _ in 0..59 {
        site.pass(Duration::from_secs(30));
        beat(&site, &mut browser, "h");
    }
    site.pass(Duration::from_secs(29));
    assert_eq!(site.store.ended().len(), 0);
    site.pass(Duration::from_secs(3));
    assert_eq!(site.store.ended().len(), 1, "a forgotten tab keeps no session open");
    let answer = beat(&site, &mut browser, "v");
    assert_eq!((answer.status().as_u16(), next(&answer)), (204, "60"));
    assert_eq!((site.started().len(), site.store.beats().len()), (1, 60), "and starts none");
}

#[test]
fn a_beat_slides_where_a_setting_says_so() {
    let site = Site::with(Settings { beats_slide: true, ..Settings::default() }, app);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    for _ in 0..10 {
        site.pass(Duration::from_secs(20 * 60));
        beat(&site, &mut browser, "v");
    }
    assert_eq!(site.store.ended().len(), 0);
    site.pass(Duration::from_secs(29 * 60));
    beat(&site, &mut browser, "l");
    site.pass(Duration::from_secs(2 * 60));
    assert_eq!(site.store.ended().len(), 1, "who leaves stays no longer");
}

#[test]
fn nobody_is_there_after_a_logout_and_strangers_are_told_the_same() {
    let site = Site::new(app);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    browser.get(&site, "/logout");
    for browser in
        [&mut browser, &mut Browser::new(), &mut Browser { cookie: Some("visitlog=x".into()), ..Browser::new() }]
    {
        let answer = beat(&site, browser, "v");
        assert_eq!((answer.status().as_u16(), next(&answer)), (204, "60"));
    }
    assert_eq!(site.store.beats(), []);
    let mut foreign = browser.request(&Method::POST, &format!("{BEAT_PATH}?i=1&n=1&s=v"));
    foreign.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(site.send(foreign).status(), 403);
    site.store.set_down(true);
    assert_eq!(beat(&site, &mut browser, "v").status(), 204, "a store that is down is nobody's error");
}

#[test]
fn what_leaves_no_trace_leaves_none_here() {
    let rules = class::Rules { disabled_paths: vec!["/cart".into()], ..class::Rules::default() };
    let site = Site::with(Settings { rules, ..Settings::default() }, app);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    assert_eq!(next(&beat(&site, &mut browser, "v")), "60");
    assert_eq!(site.store.beats(), []);
}

#[test]
fn a_page_that_was_made_ahead_counts_when_it_says_that_it_is_shown() {
    let site = Site::new(app);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let mut ahead = browser.request(&Method::GET, "/cart?q=1");
    ahead.headers_mut().insert("sec-purpose", "prefetch;prerender".parse().unwrap());
    browser.send(&site, ahead);
    let visit = browser.visit(&site).unwrap();
    assert_eq!(site.events(visit), ["page_view /"]);
    site.pass(Duration::from_secs(5));
    let mut shown = browser.request(&Method::POST, &format!("{BEAT_PATH}?i=1&n=1&s=v&p=%2Fcart%3Fq%3D1"));
    shown.headers_mut().insert("referer", "https://shop.example/cart?q=1".parse().unwrap());
    assert_eq!(browser.send(&site, shown).status(), 204);
    assert_eq!(site.events(visit), ["page_view /", "page_view /cart"]);
}

#[test]
fn the_script_is_served_unless_that_is_switched_off() {
    let site = Site::new(app);
    let answer = Browser::new().get(&site, SCRIPT_PATH);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(site.started().len(), 0);
    let off = Site::with(Settings { presence: settings::Presence::Off, ..Settings::default() }, |_, _| status(404));
    assert_eq!(Browser::new().get(&off, SCRIPT_PATH).status(), 404);
}
