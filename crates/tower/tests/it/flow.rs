//! A visit from its first page to its end.

use std::time::Duration;

use http::{Method, Request};
use serde_json::json;
use visitlog_core::mask::Mask;
use visitlog_core::model::{EndReason, Entry, Event, EventKind, Identity, Via};
use visitlog_tower::{Route, Settings, Visit};

use crate::world::{Answer, Browser, HOST, Site, html, line, status, with_headers};

/// A little shop: what a path does is in its name.
pub(crate) fn shop(visit: &Visit, request: &Request<()>) -> Answer {
    match request.uri().path() {
        "/login" => visit.login("alice"),
        "/login-bob" => visit.login("bob"),
        "/logout" => visit.logout(),
        "/abandon" => visit.abandon(),
        "/delete" => drop(visit.action("Profile picture deleted", "deletion").with("size", 512)),
        "/cart" => visit.increment("items", 1),
        "/style.css" => return with_headers(status(200), &[("content-type", "text/css")]),
        "/missing" => return with_headers(status(404), &[("content-type", "text/html")]),
        "/old" => return with_headers(status(302), &[("location", "/")]),
        "/file" => return with_headers(status(200), &[("content-type", "application/pdf")]),
        _ => {}
    }
    let user = visit.current_user().map(|user| user.as_str().to_owned());
    let body = json!({"user": user, "items": visit.get("items"), "id": visit.id().map(|id| id.to_string())});
    html(&body.to_string())
}

#[test]
fn a_visit_is_one_chronological_record() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    let mut walk = |path: &str| {
        let answer = browser.get(&site, path);
        site.pass(Duration::from_secs(1));
        answer
    };
    for path in ["/?utm_source=x", "/style.css", "/login", "/missing", "/old", "/file", "/delete", "/cart", "/logout"] {
        walk(path);
    }
    let visit = site.only_ended();
    let events: Vec<String> = visit.events.iter().map(line).collect();
    assert_eq!(
        events,
        [
            "page_view /",
            "login alice",
            "page_view /login",
            "page_error /missing",
            "page_view /delete",
            "action Profile picture deleted deletion {\"size\":512}",
            "page_view /cart",
            "page_view /logout",
            "logout alice",
        ]
    );
    assert_eq!(visit.end.reason, EndReason::LoggedOut);
    assert_eq!(visit.end.values.get("items"), Some(&json!(1)));
    assert_eq!(visit.end.user.map(|user| user.as_str().to_owned()).as_deref(), Some("alice"));
    assert!(visit.end.confirmed);
    assert_eq!(&*visit.end.site, HOST);
    assert_eq!(visit.start.identity, Identity::Cookie);
    assert_eq!(visit.start.is_new_visitor, Some(true));
    assert_eq!(visit.start.facts.via, Via::Tower);
    assert_eq!(visit.start.facts.user_agent.expose().as_deref(), Some("Firefox"));
    assert_eq!(visit.start.facts.ip.expose().map(|ip| ip.to_string()).as_deref(), Some("203.0.113.0"), "the network");
}

#[test]
fn an_event_knows_its_request() {
    let site = Site::new(|_, _| {
        let mut answer = with_headers(html("hello"), &[("content-length", "5")]);
        answer.extensions_mut().insert(Route("/items/{id}".into()));
        answer
    });
    let mut request = Browser::new().request(&Method::GET, "/items/7?q=a%20b");
    request.headers_mut().insert("referer", "https://search.example/".parse().unwrap());
    site.send(request);
    let (_, entry) = site.store.entries().into_iter().find(|(_, entry)| matches!(entry, Entry::Event(_))).unwrap();
    let Entry::Event(event) = entry else { unreachable!() };
    let facts = event.request.unwrap();
    assert_eq!(event.kind, EventKind::PageView);
    assert_eq!(facts.host.unwrap().as_str(), HOST);
    assert_eq!((&*facts.path, facts.query.as_deref()), ("/items/7", Some("q=a%20b")));
    assert_eq!((facts.route.as_deref(), &*facts.method), (Some("/items/{id}"), "GET"));
    assert_eq!((facts.status, facts.bytes), (200, Some(5)));
    assert_eq!(facts.referrer.as_deref(), Some("https://search.example/"));
}

/// matomo#16443, #24955, warehouse#18406, vahrplan#102: a token in the query, and again in the next page's referrer.
#[test]
fn secrets_in_queries_and_referrers_are_not_written_down() {
    for (mask, query, referrer) in [
        (
            Mask::default().keeping(["code"]),
            "token=***&email=***&code=de&utm_source=nl",
            "http://shop.example/reset?token=***",
        ),
        (
            Mask::OFF,
            "token=SECRET&email=e%40example.org&code=de&utm_source=nl",
            "http://shop.example/reset?token=SECRET",
        ),
    ] {
        let site = Site::with(Settings { mask, ..Settings::default() }, |_, _| html("hello"));
        let mut browser = Browser::new();
        for path in ["/reset?token=SECRET&email=e%40example.org&code=de&utm_source=nl", "/next"] {
            let mut request = browser.request(&Method::GET, path);
            request.headers_mut().insert("referer", "http://shop.example/reset?token=SECRET".parse().unwrap());
            browser.take(&site.send(request));
        }
        let mut written = Vec::new();
        for (_, entry) in site.store.entries() {
            match entry {
                Entry::Start(start) => written.push((None, start.facts.referrer)),
                Entry::Event(Event { request: Some(facts), .. }) => {
                    written.push((facts.query.as_deref().map(str::to_owned), facts.referrer));
                }
                _ => {}
            }
        }
        assert!(written.len() >= 3, "{written:?}");
        assert!(written.iter().all(|(_, written)| written.as_deref() == Some(referrer)), "{written:?}");
        assert_eq!(written.iter().find_map(|(query, _)| query.as_deref()), Some(query));
    }
}

#[test]
fn what_is_too_long_is_cut_and_marked() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    browser.agent = Box::leak("x".repeat(5_000).into_boxed_str());
    browser.get(&site, &format!("/{}", "y".repeat(5_000)));
    let facts = site.store.entries().into_iter().find_map(|(_, entry)| match entry {
        Entry::Start(start) => Some(start.facts),
        _ => None,
    });
    let agent = facts.unwrap().user_agent.into_inner().unwrap();
    assert!(agent.len() <= 1_024 && agent.ends_with('…'), "{} bytes", agent.len());
    let [event] = &site.events(browser.visit(&site).unwrap())[..] else { panic!("one event") };
    assert!(event.len() < 2_100 && event.ends_with('…'), "{} bytes", event.len());
}

#[test]
fn only_pages_and_what_the_app_names_start_a_session() {
    let site = Site::new(shop);
    for path in ["/style.css", "/missing", "/old", "/file"] {
        assert!(!Browser::new().take(&Browser::new().get(&site, path)), "{path} gives no cookie");
    }
    assert!(!Browser::new().take(&Browser::new().post(&site, "/")), "a form alone doesn't");
    assert_eq!(site.started(), []);
    Browser::new().post(&site, "/delete");
    Browser::new().get(&site, "/");
    assert_eq!(site.started().len(), 2);
}

#[test]
fn an_asset_confirms_and_slides_nothing() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    assert!(!site.store.open()[0].confirmed);
    site.pass(Duration::from_secs(60));
    browser.get(&site, "/style.css");
    let open = site.store.open().remove(0);
    assert!(open.confirmed);
    assert_eq!(open.in_flight, 0, "a passive request holds nothing");
    site.pass(Duration::from_secs(29 * 60 + 2));
    assert_eq!(site.only_ended().end.reason, EndReason::Expired);
}

#[test]
fn a_visitor_who_comes_back_is_known() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let first = browser.visit(&site).unwrap();
    site.pass(Duration::from_secs(3_600));
    browser.get(&site, "/");
    let second = browser.visit(&site).unwrap();
    assert_ne!(first, second);
    let starts: Vec<_> = site
        .store
        .entries()
        .into_iter()
        .filter_map(|(_, entry)| if let Entry::Start(start) = entry { Some(start) } else { None })
        .collect();
    assert_eq!((starts[1].previous, starts[1].number, starts[1].is_new_visitor), (Some(first), 2, Some(false)));
    assert_eq!(starts[0].facts.visitor_id, starts[1].facts.visitor_id);
    assert_ne!(starts[0].facts.visitor_id.as_u128(), 0);
}

#[test]
fn values_last_as_long_as_the_session() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    let items = |answer: &Answer| serde_json::from_str::<serde_json::Value>(answer.body()).unwrap()["items"].clone();
    assert_eq!(items(&browser.get(&site, "/cart")), 1);
    assert_eq!(items(&browser.get(&site, "/cart")), 2, "a request sees what it did itself");
    assert_eq!(items(&browser.get(&site, "/")), 2);
    browser.get(&site, "/abandon");
    assert_eq!(items(&browser.get(&site, "/")), json!(null));
    assert_eq!(site.only_ended().end.reason, EndReason::Abandoned);
}

#[test]
fn another_users_login_is_a_logout_and_a_start() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    browser.get(&site, "/login");
    let first = browser.visit(&site).unwrap();
    browser.get(&site, "/cart");
    browser.get(&site, "/login-bob");
    let second = browser.visit(&site).unwrap();
    assert_ne!(first, second);
    assert_eq!(site.only_ended().end.reason, EndReason::LoggedOut);
    let answer = browser.get(&site, "/");
    assert!(answer.body().contains("bob") && answer.body().contains("\"items\":null"), "{}", answer.body());
    assert_eq!(site.events(second)[..2], ["login bob", "page_view /login-bob"]);
}

#[test]
fn the_start_hook_says_what_a_session_holds() {
    let mut site = Site::new(shop);
    site.layer = site.layer.clone().on_session_start(|start| {
        let landing = format!("{} {} {}", start.host(), start.path(), start.visit().is_some());
        start.set("landing", landing);
        start.set("items", 10);
    });
    let mut browser = Browser::new();
    browser.get(&site, "/cart");
    browser.get(&site, "/cart");
    browser.get(&site, "/logout");
    let values = site.only_ended().end.values;
    assert_eq!(values.get("landing"), Some(&json!("shop.example /cart true")));
    assert_eq!(values.get("items"), Some(&json!(12)), "set before all else, and only once");
}

#[test]
fn times_and_durations_are_the_requests_own() {
    // The app takes a second, names an action, and takes another one.
    let clock = std::sync::Arc::new(std::sync::OnceLock::<std::sync::Arc<visitlog_testkit::SimClock>>::new());
    let in_app = clock.clone();
    let site = Site::new(move |visit, _| {
        let clock = in_app.get().unwrap();
        clock.advance(Duration::from_secs(1));
        visit.action("halfway", "");
        clock.advance(Duration::from_secs(1));
        html("")
    });
    clock.set(site.clock.clone()).unwrap();
    let began = visitlog_core::ports::Clock::now(&*site.clock);
    Browser::new().get(&site, "/");
    let events: Vec<_> = site
        .store
        .entries()
        .into_iter()
        .filter_map(|(_, entry)| if let Entry::Event(event) = entry { Some(event) } else { None })
        .collect();
    let [action, page] = &events[..] else { panic!("two events: {events:?}") };
    assert_eq!((action.kind, action.time), (EventKind::Action, began.after(Duration::from_secs(1))));
    assert_eq!(page.time, began);
    assert_eq!(page.request.as_ref().unwrap().duration_us, 2_001_000);
}

#[test]
fn requests_at_once_of_an_app_that_always_says_who_it_is_log_in_once() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let ready = std::sync::Arc::new(AtomicBool::new(false));
    let is_ready = ready.clone();
    let site = Site::slow(Settings::for_proxy(), move |request| {
        let ready = is_ready.clone();
        Box::pin(std::future::poll_fn(move |_| match request.uri().path() {
            "/" => std::task::Poll::Ready(Ok(html(""))),
            _ if !ready.load(Ordering::Relaxed) => std::task::Poll::Pending,
            _ => std::task::Poll::Ready(Ok(with_headers(status(204), &[("visitlog-user", "\"alice\"")]))),
        }))
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let mut calls: Vec<_> =
        ["/a", "/b", "/c"].iter().map(|path| site.open(browser.request(&Method::POST, path))).collect();
    ready.store(true, Ordering::Relaxed);
    let answers: Vec<_> = calls.iter_mut().map(|call| call.poll().expect("ready")).collect();
    let visit = site.started()[0];
    assert_eq!(site.events(visit), ["page_view /", "login alice"]);
    // Whichever answer comes last, its cookie is the current one.
    for answer in &answers {
        let mut browser = browser.clone();
        browser.take(answer);
        site.pass(Duration::from_secs(40));
        browser.get(&site, "/");
        assert_eq!(browser.visit(&site), Some(visit));
    }
    assert_eq!(site.started(), [visit]);
}

#[test]
fn restored_tabs_of_an_app_that_always_says_who_it_is_start_one_visit() {
    let ready = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_ready = ready.clone();
    let site = Site::slow(Settings::for_proxy(), move |_| {
        let ready = is_ready.clone();
        Box::pin(std::future::poll_fn(move |_| match ready.load(std::sync::atomic::Ordering::Relaxed) {
            true => std::task::Poll::Ready(Ok(with_headers(html(""), &[("visitlog-user", "\"alice\"")]))),
            false => std::task::Poll::Pending,
        }))
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    site.pass(Duration::from_secs(31 * 60));
    ready.store(false, std::sync::atomic::Ordering::Relaxed);
    let mut tabs: Vec<_> =
        ["/a", "/b", "/c"].iter().map(|path| site.open(browser.request(&Method::GET, path))).collect();
    ready.store(true, std::sync::atomic::Ordering::Relaxed);
    let _answers: Vec<_> = tabs.iter_mut().map(|tab| tab.poll().expect("ready")).collect();
    assert_eq!(site.started().len(), 2, "the one before, and one for all tabs");
}
