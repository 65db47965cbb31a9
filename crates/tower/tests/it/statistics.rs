//! Where visits are recorded for statistics alone.

use std::time::Duration;

use http::{HeaderValue, Method, Request};
use visitlog_core::model::{CountryCode, Entry, Hints, Place};
use visitlog_core::page::PageParams;
use visitlog_core::rules::Addresses;
use visitlog_tower::privacy::{Mode, Privacy};
use visitlog_tower::settings::{Classifier, Locator, Settings};

use crate::world::{Browser, Site, html};

fn settings() -> Settings {
    Settings {
        privacy: Privacy { mode: Mode::Statistics, ..Privacy::default() },
        addresses: Addresses::Whole,
        locator: Locator::new(|_| Place::new(CountryCode::new("CH"), Some("Bern"), Some("Thun"))),
        classifier: Classifier::new(|agent| format!("browser={}", &agent[..7]).into()),
        page_params: PageParams::parse(["id"]).unwrap(),
        ..Settings::default()
    }
}

fn site() -> Site {
    let mut site = Site::with(settings(), |visit, _| {
        visit.login("erika");
        visit.set("mail", "e@example.org");
        visit.action("Looked", "look").with("mail", "e@example.org");
        assert_eq!(visit.current_user().unwrap().as_str(), "erika", "this request sees it");
        html("")
    });
    site.layer = site.layer.clone().on_session_start(|start| {
        assert!(start.facts().ip.expose().is_none());
        start.set("from-hook", "e@example.org");
    });
    site
}

#[test]
fn what_statistics_do_not_need_goes_nowhere() {
    let site = site();
    let mut browser = Browser { agent: "Firefox of Erika/1.0", address: "203.0.113.77", ..Browser::new() };
    let (mut parts, ()) =
        browser.request(&Method::GET, "/shop?id=7&mail=e@example.org&utm_source=nl&who=erika").into_parts();
    parts.headers.insert("referer", HeaderValue::from_static("https://mail.example/inbox/erika?x"));
    parts.headers.insert("accept-language", HeaderValue::from_static("de-CH,en;q=0.5"));
    let answer = browser.send(&site, Request::from_parts(parts, ()));
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Max-Age=86400;"), "a day: {cookie}");
    let entries = format!("{:?}", site.store.entries());
    for trace in ["erika", "e@example.org", "203.0.113", "inbox", "Bern", "Thun", "CH,en", "from-hook"] {
        assert!(!entries.to_lowercase().contains(&trace.to_lowercase()), "{trace} in {entries}");
    }
    let start = site.store.entries().into_iter().find_map(|(_, entry)| match entry {
        Entry::Start(start) => Some(start),
        _ => None,
    });
    let facts = start.expect("a session").facts;
    assert_eq!(facts.user_agent.expose().as_deref(), Some("browser=Firefox"));
    assert_eq!(facts.user_agent(), None);
    assert!(facts.hints.expect("some").has(Hints::REDUCED));
    assert_eq!((facts.language.as_deref(), facts.referrer.as_deref()), (Some("de"), Some("https://mail.example/")));
    assert_eq!(facts.place, Place::new(CountryCode::new("CH"), None, None));
    let query = site.store.entries().into_iter().find_map(|(_, entry)| match entry {
        Entry::Event(event) => event.request?.query,
        _ => None,
    });
    assert_eq!(query.as_deref(), Some("id=7&mail=***&utm_source=nl&who=***"));
    let visit = browser.visit_in(&site, Mode::Statistics).expect("a session");
    assert_eq!(site.events(visit), ["action Looked look", "page_view /shop"]);
}

#[test]
fn a_visitor_is_of_a_day_whatever_the_store_was_told() {
    let site = site();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let first = browser.visit_in(&site, Mode::Statistics);
    browser.get(&site, "/");
    assert_eq!(browser.visit_in(&site, Mode::Statistics), first);
    site.pass(Duration::from_secs(2 * 24 * 60 * 60));
    browser.get(&site, "/");
    let starts: Vec<_> = site
        .store
        .entries()
        .into_iter()
        .filter_map(|(_, entry)| if let Entry::Start(start) = entry { Some(start) } else { None })
        .collect();
    assert_eq!(starts.len(), 2);
    assert_ne!(starts[0].facts.visitor_id, starts[1].facts.visitor_id);
    assert_eq!((starts[1].previous, starts[1].number), (None, 1));
}
