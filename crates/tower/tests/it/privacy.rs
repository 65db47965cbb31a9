//! With cookies switched off.

use http::Method;
use serde_json::json;
use visitlog_core::model::{Entry, Identity};
use visitlog_tower::settings::{Addresses, HeaderProtocol, Identify, Settings};

use crate::world::{Browser, Site, html, set_cookie};

fn settings() -> Settings {
    Settings {
        identify: Identify::ByFingerprint,
        addresses: Addresses::None,
        tell_session: true,
        header_protocol: HeaderProtocol::AllPaths,
        ..Settings::default()
    }
}

#[test]
fn everybody_is_known_by_fingerprint() {
    let site = Site::with(settings(), |visit, request| {
        let told = request.headers().contains_key("visitlog-session");
        html(&json!([visit.id().is_some(), visit.get("x"), told]).to_string())
    });
    let (mut one, mut twin) = (Browser::new(), Browser::new());
    let mut other = Browser { agent: "Chrome", ..Browser::new() };
    for browser in [&mut one, &mut twin, &mut other] {
        let answer = browser.get(&site, "/");
        assert_eq!(set_cookie(&answer), None);
        assert!(!answer.headers().contains_key("cache-control"));
        assert_eq!(answer.body(), "[false,null,false]", "a fingerprint is no credential");
    }
    let starts: Vec<_> = site
        .store
        .entries()
        .into_iter()
        .filter_map(|(_, entry)| if let Entry::Start(start) = entry { Some(start) } else { None })
        .collect();
    assert_eq!(starts.len(), 2, "one for each fingerprint");
    assert!(starts.iter().all(|start| start.identity == Identity::Fingerprint));
    assert!(starts.iter().all(|start| start.facts.ip.expose().is_none()), "no address is kept");
    assert_ne!(starts[0].facts.visitor_id, starts[1].facts.visitor_id);
}

#[test]
fn a_cookie_from_before_opens_nothing() {
    let with = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&with, "/");
    let without = Site::with(settings(), |visit, _| html(&format!("{:?}", visit.id())));
    let answer = without.send(browser.request(&Method::GET, "/"));
    assert_eq!(answer.body(), "None");
}
