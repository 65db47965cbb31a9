//! What is found out about a visitor, once, when a session starts.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use visitlog_core::model::{CountryCode, Entry, Hints, Place, StartFacts};
use visitlog_tower::settings::{Addresses, Locator, Settings};

use crate::flow::shop;
use crate::world::{Browser, Site, html, status};

fn starts(site: &Site) -> Vec<StartFacts> {
    let entries = site.store.entries().into_iter();
    entries.filter_map(|(_, entry)| if let Entry::Start(start) = entry { Some(start.facts) } else { None }).collect()
}

/// As a browser goes to a page.
fn navigation(browser: &Browser, path: &str) -> Request<()> {
    let mut request = browser.request(&Method::GET, path);
    let fields = [
        ("accept", "text/html,*/*;q=0.8"),
        ("accept-language", "de"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    for (name, value) in fields {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

#[test]
fn the_locator_is_asked_once_a_session_with_the_whole_address() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let locator = Locator::new(move |address| {
        log.lock().unwrap().push(address);
        Place::new(CountryCode::new("DE"), Some("Bayern"), None)
    });
    let settings = Settings { locator, addresses: Addresses::Network, ..Settings::default() };
    assert_eq!(format!("{:?}", settings.locator), "Locator(..)");
    let site = Site::with(settings, shop);
    let mut browser = Browser::new();
    for _ in 0..3 {
        browser.get(&site, "/");
    }
    site.pass(Duration::from_secs(3_600));
    browser.get(&site, "/");
    let whole: IpAddr = "203.0.113.7".parse().unwrap();
    assert_eq!(*asked.lock().unwrap(), [whole, whole], "once for each of two sessions");
    let facts = starts(&site);
    assert_eq!(facts.len(), 2);
    for facts in facts {
        assert_eq!(facts.ip.expose().unwrap().to_string(), "203.0.113.0");
        let place = facts.place.unwrap();
        assert_eq!((place.country, place.region.as_deref()), (CountryCode::new("DE"), Some("Bayern")));
    }
}

#[test]
fn a_locator_that_panics_costs_the_place_only() {
    let locator = Locator::new(|_| panic!("a broken file"));
    let site = Site::with(Settings { locator, ..Settings::default() }, shop);
    let mut browser = Browser::new();
    assert_eq!(browser.get(&site, "/").status(), 200);
    assert!(browser.visit(&site).is_some(), "recorded all the same");
    assert_eq!(starts(&site)[0].place, None);
    assert_eq!(site.layer.counts().panics, 1);
}

#[test]
fn the_first_requests_headers_are_looked_at() {
    let site = Site::new(|_, _| html(""));
    site.send(navigation(&Browser::new(), "/"));
    let good = [Hints::PAGE, Hints::LANGUAGE, Hints::ACCEPTS_HTML, Hints::FETCH, Hints::FETCH_SOUND, Hints::NAVIGATES];
    assert_eq!(starts(&site)[0].hints, Some(good.into_iter().fold(Hints::NONE, Hints::with)));
    let mut plain = Browser { agent: "curl/8.14.1", ..Browser::new() };
    plain.get(&site, "/");
    assert_eq!(starts(&site)[1].hints, Some(Hints::PAGE), "nothing but a page");
}

#[test]
fn a_session_that_starts_without_a_page_says_so() {
    let site = Site::new(|visit, _| {
        visit.action("Signed up", "account");
        status(204)
    });
    site.send(navigation(&Browser::new(), "/signup"));
    let hints = starts(&site)[0].hints.unwrap();
    assert!(hints.has(Hints::LANGUAGE) && !hints.has(Hints::PAGE), "{hints:?}");
}

#[test]
fn an_asset_that_starts_a_session_is_not_looked_at() {
    let site = Site::new(|visit, _| {
        visit.action("Downloaded", "file");
        html("")
    });
    site.send(navigation(&Browser::new(), "/style.css"));
    assert_eq!(starts(&site)[0].hints, None);
}
