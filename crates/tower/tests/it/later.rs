//! What is said when the head of the answer is gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Method;
use serde_json::json;
use visitlog_tower::{FlushError, Visit};

use crate::world::{Browser, Site, html, status};

/// A site whose handlers leave their handle behind, as a socket or a job would.
fn keeping() -> (Site, Arc<Mutex<Vec<Visit>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let site = Site::new(move |visit, request| {
        keep.lock().unwrap().push(visit.clone());
        match request.uri().path() {
            "/login" => visit.login("alice"),
            "/logout" => visit.logout(),
            "/robots.txt" => drop(visit.action("read by a robot", "")),
            "/socket" => return status(101),
            _ => {}
        }
        html("")
    });
    (site, kept)
}

fn flush(visit: &Visit) -> Result<(), FlushError> {
    visit.flush().now_or_never().expect("at once")
}

#[test]
fn a_flush_goes_on_with_the_visit() {
    let (site, kept) = keeping();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    browser.get(&site, "/socket");
    let visit = kept.lock().unwrap()[1].clone();
    assert_eq!(flush(&visit), Ok(()), "nothing to do");
    site.pass(Duration::from_secs(5));
    visit.action("message", "chat").with("bytes", 9);
    visit.set("messages", 1);
    assert_eq!(site.events(browser.visit(&site).unwrap()), ["page_view /"], "not before it is flushed");
    assert_eq!(flush(&visit), Ok(()));
    visit.increment("messages", 1);
    assert_eq!(flush(&visit), Ok(()));
    let id = browser.visit(&site).unwrap();
    assert_eq!(site.events(id), ["page_view /", "action message chat {\"bytes\":9}"]);
    assert_eq!(site.store.open()[0].data.values.get("messages"), Some(&json!(2)));
    assert_eq!(site.store.open()[0].in_flight, 1, "the socket is open as long as its handle is kept");
}

#[test]
fn a_flush_after_a_login_in_the_request_meets_the_same_visit() {
    let (site, kept) = keeping();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    browser.get(&site, "/login");
    site.pass(Duration::from_secs(60));
    let visit = kept.lock().unwrap()[1].clone();
    visit.action("later", "");
    assert_eq!(flush(&visit), Ok(()), "with the token of after the login");
    assert!(site.events(browser.visit(&site).unwrap()).contains(&"action later".to_owned()));
}

#[test]
fn a_flush_never_undoes_an_end() {
    let (site, kept) = keeping();
    let mut browser = Browser::new();
    browser.get(&site, "/login");
    browser.get(&site, "/socket");
    let socket = kept.lock().unwrap()[1].clone();
    browser.get(&site, "/logout");
    let goodbye = kept.lock().unwrap()[2].clone();
    for visit in [socket, goodbye] {
        visit.set("x", 1);
        assert_eq!(flush(&visit), Err(FlushError::Gone));
        visit.action("again", "");
        assert_eq!(flush(&visit), Err(FlushError::Gone));
    }
    assert_eq!(site.started().len(), 1);
    assert_eq!(site.store.open().len(), 0);
    assert_eq!(site.layer.counts().gone, 4);
}

#[test]
fn a_flush_before_the_head_leaves_it_to_the_head() {
    let site = Site::new(|visit, _| {
        visit.action("first", "");
        assert_eq!(flush(visit), Ok(()));
        html("")
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    assert_eq!(site.events(browser.visit(&site).unwrap()), ["action first", "page_view /"]);
}

#[test]
fn what_nobody_flushes_is_counted() {
    let (site, kept) = keeping();
    Browser::new().get(&site, "/");
    let visit = kept.lock().unwrap().pop().unwrap();
    visit.action("one", "");
    visit.action("two", "");
    assert_eq!(site.layer.counts().ops_lost, 0);
    drop(visit);
    assert_eq!(site.layer.counts().ops_lost, 2);
}

#[test]
fn a_flush_while_the_store_is_down_says_so() {
    let (site, kept) = keeping();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let visit = kept.lock().unwrap()[0].clone();
    site.store.set_down(true);
    visit.action("lost", "");
    assert!(matches!(flush(&visit), Err(FlushError::Store(_))));
    assert_eq!(site.layer.counts().ops_lost, 1);
    site.store.set_down(false);
    visit.action("kept", "");
    assert_eq!(flush(&visit), Ok(()));
    assert_eq!(site.events(browser.visit(&site).unwrap()), ["page_view /", "action kept"]);
}

#[test]
fn an_action_makes_a_tracked_request_of_any_path() {
    let (site, _) = keeping();
    let mut browser = Browser::new();
    browser.get(&site, "/robots.txt");
    let visit = browser.visit(&site).expect("it starts a session");
    browser.get(&site, "/robots.txt");
    browser.get(&site, "/");
    assert_eq!(browser.visit(&site), Some(visit));
    assert_eq!(site.events(visit), ["action read by a robot", "action read by a robot", "page_view /"]);
    assert_eq!(site.store.open()[0].in_flight, 0);
}

#[test]
fn a_request_that_is_dropped_holds_nothing() {
    let site = Site::slow(visitlog_tower::Settings::default(), |request| {
        if request.uri().path() == "/slow" {
            Box::pin(std::future::pending())
        } else {
            Box::pin(async { Ok(html("")) })
        }
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let pending = site.open(browser.request(&Method::GET, "/slow"));
    assert_eq!(site.store.open()[0].in_flight, 1, "a request in flight holds off idle expiry");
    site.pass(Duration::from_secs(3_600));
    assert_eq!(site.store.ended().len(), 0);
    drop(pending);
    assert_eq!(site.store.open()[0].in_flight, 0);
    site.pass(Duration::from_secs(3_600));
    assert_eq!(site.store.ended().len(), 1);
}

#[test]
fn what_an_excluded_address_says_later_leaves_no_trace_either() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let mut settings = visitlog_tower::Settings::default();
    settings.rules.excluded_addresses = vec!["203.0.113.0/24".parse().unwrap()];
    let site = Site::with(settings, move |visit, _| {
        keep.lock().unwrap().push(visit.clone());
        status(101)
    });
    Browser::new().get(&site, "/socket");
    let visit = kept.lock().unwrap()[0].clone();
    visit.action("message", "chat");
    assert_eq!(flush(&visit), Ok(()));
    assert_eq!(visit.active().now_or_never().expect("at once"), Ok(()));
    assert_eq!(site.store.entries().len(), 0);
}

#[test]
fn a_socket_that_was_opened_before_a_login_stays_in_the_visit() {
    let (site, kept) = keeping();
    let mut browser = Browser::new();
    browser.get(&site, "/");
    browser.get(&site, "/socket");
    let socket = kept.lock().unwrap()[1].clone();
    browser.get(&site, "/login");
    site.pass(Duration::from_secs(60));
    socket.action("message", "chat");
    socket.set("stolen", true);
    assert_eq!(flush(&socket), Ok(()), "the visit lives, and the socket is in it");
    let visit = browser.visit(&site).unwrap();
    assert_eq!(site.events(visit), ["page_view /", "login alice", "page_view /login", "action message chat"]);
    assert_eq!(site.store.open()[0].data.values.get("stolen"), None, "its token is outdated");
    let (counts, open) = (site.layer.counts(), site.store.open());
    assert_eq!((counts.ops_refused, open[0].in_flight, open.len()), (1, 1, 1));
    browser.get(&site, "/logout");
    socket.action("message", "chat");
    assert_eq!(flush(&socket), Err(FlushError::Gone));
}
