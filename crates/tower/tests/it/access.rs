//! What an access log is told.

use http::Method;
use visitlog_core::Trace;
use visitlog_tower::{Access, AccessNote};

use crate::flow::shop;
use crate::world::{Browser, Site};

fn told(site: &Site, browser: &mut Browser, path: &str, headers: &[(&'static str, &'static str)]) -> Access {
    let mut request = browser.request(&Method::GET, path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let note = AccessNote::default();
    request.extensions_mut().insert(note.clone());
    browser.send(site, request);
    note.get().expect("told")
}

#[test]
fn the_visit_and_what_a_request_left_there() {
    let (site, mut browser) = (Site::new(shop), Browser::new());
    let mut traces = Vec::new();
    let mut visits = Vec::new();
    for path in ["/style.css", "/", "/style.css", "/missing", "/old", "/cart", "/healthz"] {
        let access = told(&site, &mut browser, path, &[]);
        traces.push(access.trace);
        visits.push(access.visit);
    }
    use Trace::{Activity, None as Nothing, PageError, PageView};
    assert_eq!(traces, [Nothing, PageView, Nothing, PageError, Activity, PageView, Nothing]);
    let visit = browser.visit(&site);
    assert!(visit.is_some());
    assert_eq!(visits[0], None, "it started none");
    assert_eq!(visits[1..], [visit; 6], "an asset's visitor is in a visit, though it leaves nothing there");
}

#[test]
fn what_is_named_without_a_page_starts_a_visit_and_is_told() {
    let site = Site::new(|visit, _| {
        visit.action("Subscribed", "");
        visit.no_page();
        crate::world::html("")
    });
    let mut browser = Browser::new();
    let access = told(&site, &mut browser, "/subscribe", &[]);
    assert_eq!((access.trace, access.visit), (Trace::Named, browser.visit(&site)));
}

#[test]
fn nothing_in_it_opens_anything() {
    let (site, mut browser) = (Site::new(shop), Browser::new());
    let headers = [("referer", "http://u:hunter2@a.example/?password=hunter2"), ("authorization", "Bearer hunter2")];
    let access =
        told(&site, &mut browser, "/a;jsessionid=0123456789ABCDEF0123456789ABCDEF?token=hunter2&page=2", &headers);
    let text = format!("{access:?}");
    assert!(!text.contains("hunter2") && !text.contains("0123456789ABCDEF"), "{text}");
    assert!(access.path.starts_with("/a") && access.query.is_some_and(|query| query.ends_with("&page=2")));
    assert_eq!(access.address.map(|ip| ip.to_string()).as_deref(), Some("203.0.113.0"), "the network");
    assert_eq!((access.host.as_str(), access.user_agent.as_deref()), ("shop.example", Some("Firefox")));
}
