//! Forms that another site has its visitors send here: no cookie comes with them.

use std::time::Duration;

use http::{Method, Request};
use tower::Service as _;
use visitlog_tower::Settings;

use crate::world::{Answer, Browser, Site, html, status, with_headers};

/// A browser that keeps the cookie under which something waits, too.
struct Jar {
    browser: Browser,
    handover: Option<String>,
}

impl Jar {
    fn new() -> Self {
        Self { browser: Browser::new(), handover: None }
    }

    fn send(&mut self, site: &Site, mut request: Request<()>) -> Answer {
        if let (Some(handover), true) = (&self.handover, *request.method() == Method::GET) {
            let cookies = self.browser.cookie.iter().chain([handover]).cloned().collect::<Vec<_>>().join("; ");
            request.headers_mut().insert("cookie", cookies.parse().unwrap());
        }
        let answer = site.send(request);
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let pair = line.split(';').next().unwrap().to_owned();
            if !pair.starts_with("visitlog-handover=") {
                self.browser.cookie = Some(pair);
            } else if line.contains("Max-Age=0") {
                self.handover = None;
            } else {
                assert!(line.contains("; Max-Age=60; HttpOnly; SameSite=Lax"), "{line}");
                assert_eq!(answer.headers()["cache-control"], "private, no-cache");
                self.handover = Some(pair);
            }
        }
        answer
    }

    fn get(&mut self, site: &Site, path: &str) -> Answer {
        let request = self.browser.request(&Method::GET, path);
        self.send(site, request)
    }

    /// Another site has the browser send a form.
    fn form_of_another_site(&mut self, site: &Site, path: &str) -> Answer {
        let mut request = self.browser.request(&Method::POST, path);
        request.headers_mut().remove("cookie");
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        request.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
        self.send(site, request)
    }
}

fn shop() -> Site {
    Site::with(Settings::for_proxy(), |_, request| match request.uri().path() {
        "/acs" => with_headers(status(302), &[("location", "/account"), ("visitlog-user", "\"alice\"")]),
        "/paid" => with_headers(html(""), &[("visitlog-action", "\"Order paid\";type=order"), ("visitlog-page", "?1")]),
        _ => html(""),
    })
}

#[test]
fn a_login_by_another_sites_form_stays_in_the_visit() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.get(&site, "/?utm_source=news");
    jar.get(&site, "/login");
    let visit = jar.browser.visit(&site).expect("a cookie");
    let before = jar.browser.cookie.clone();
    jar.form_of_another_site(&site, "/acs");
    assert_eq!((&jar.browser.cookie, jar.handover.is_some()), (&before, true), "the visitor is not replaced");
    jar.get(&site, "/account");
    assert!(jar.handover.is_none(), "it has been handed over");
    jar.get(&site, "/settings");
    assert_eq!(site.started(), [visit]);
    let expected = ["page_view /", "page_view /login", "login alice", "page_view /account", "page_view /settings"];
    assert_eq!(site.events(visit), expected);
    site.pass(Duration::from_secs(3_600));
    assert_eq!(site.only_ended().end.user.expect("alice").as_str(), "alice");
}

#[test]
fn what_was_paid_and_shown_counts_in_the_buyers_visit() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.get(&site, "/cart");
    jar.form_of_another_site(&site, "/paid");
    jar.get(&site, "/orders");
    let visit = jar.browser.visit(&site).expect("a cookie");
    assert_eq!(site.started(), [visit]);
    let expected = ["page_view /cart", "action Order paid order", "page_view /paid", "page_view /orders"];
    assert_eq!(site.events(visit), expected);
}

#[test]
fn who_came_by_the_form_starts_with_it() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.form_of_another_site(&site, "/acs");
    assert_eq!(site.started().len(), 0);
    jar.get(&site, "/account");
    let visit = jar.browser.visit(&site).expect("a cookie");
    assert_eq!(site.started(), [visit]);
    assert_eq!(site.events(visit), ["login alice", "page_view /account"]);
}

#[test]
fn whose_visitor_does_not_come_gets_a_session_of_its_own() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.form_of_another_site(&site, "/acs");
    site.pass(Duration::from_secs(61));
    let mut other = Browser { address: "203.0.113.99", ..Browser::new() };
    other.get(&site, "/elsewhere");
    let started = site.started();
    assert_eq!(started.len(), 2, "another's request carries it out");
    assert_eq!(site.events(started[0]), ["login alice"]);
    // Too late: its cookie is worth nothing any more.
    jar.browser.get(&site, "/account");
    assert_eq!(site.started().len(), 3);
    assert_eq!(site.layer.counts().ops_lost, 0);
}

#[test]
fn a_form_that_says_nothing_and_a_webhook_leave_no_cookie() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.form_of_another_site(&site, "/callback");
    assert!(jar.handover.is_none() && jar.browser.cookie.is_none());
    let machine = Browser { agent: "Payments/1.0", ..Browser::new() };
    let answer = site.send(machine.request(&Method::POST, "/paid"));
    assert!(!answer.headers()["set-cookie"].to_str().unwrap().contains("handover"), "no browser sent it");
    assert_eq!(site.started().len(), 1);
}

#[test]
fn that_nobody_is_known_without_cookies_logs_nobody_out() {
    let site = Site::with(Settings::for_proxy(), |_, request| match request.uri().path() {
        "/search" => with_headers(html(""), &[("visitlog-user", "?0")]),
        _ => with_headers(html(""), &[("visitlog-user", "\"alice\"")]),
    });
    let mut jar = Jar::new();
    jar.get(&site, "/");
    let visit = jar.browser.visit(&site).expect("a cookie");
    // The form comes without the app's cookie too, so that the app knows nobody.
    jar.form_of_another_site(&site, "/search");
    assert!(jar.handover.is_none(), "nothing has to wait");
    jar.get(&site, "/account");
    assert_eq!((site.store.ended().len(), site.started()), (0, vec![visit]));
    assert_eq!(site.events(visit), ["login alice", "page_view /", "page_view /account"]);
}

#[test]
fn what_waits_at_one_host_is_not_handed_over_at_another() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.form_of_another_site(&site, "/acs");
    jar.browser.host = "bank.example";
    jar.get(&site, "/account");
    assert_eq!(
        site.events(site.started()[0]),
        ["page_view /account"],
        "who logs in at one site is no user of the other"
    );
    jar.browser = Browser::new();
    jar.get(&site, "/account");
    assert_eq!(
        site.events(site.started()[1]),
        ["login alice", "page_view /account"],
        "it still waits where it belongs"
    );
}

#[test]
fn a_form_whose_request_is_recorded_is_recorded_where_it_is_handed_over() {
    let mut settings = Settings::for_proxy();
    settings.rules.record_requests = true;
    let site = Site::with(settings, |_, request| match request.uri().path() {
        "/acs" => with_headers(status(302), &[("visitlog-user", "\"alice\"")]),
        _ => html(""),
    });
    let mut jar = Jar::new();
    jar.get(&site, "/");
    jar.form_of_another_site(&site, "/acs");
    jar.get(&site, "/account");
    let visit = site.started()[0];
    assert_eq!(site.events(visit), ["page_view /", "login alice", "request /acs", "page_view /account"]);
}

#[test]
fn what_is_carried_out_beside_a_request_that_breaks_off_is_counted_as_lost() {
    let (site, mut jar) = (shop(), Jar::new());
    jar.form_of_another_site(&site, "/acs");
    site.pass(Duration::from_secs(61));
    let mut other = Browser { address: "203.0.113.99", ..Browser::new() };
    drop(site.service().call(other.request(&Method::GET, "/")));
    other.get(&site, "/");
    let logins =
        site.started().iter().flat_map(|visit| site.events(*visit)).filter(|line| line == "login alice").count();
    assert_eq!(logins as u64 + site.layer.counts().ops_lost, 1);
}

#[test]
fn one_stranger_takes_nobody_elses_place() {
    let (site, mut jar) = (shop(), Jar::new());
    for _ in 0..visitlog_core::limits::HANDOVERS_MAX {
        let mut mallory = Jar::new();
        mallory.browser.address = "198.51.100.9";
        mallory.form_of_another_site(&site, "/acs");
    }
    jar.get(&site, "/");
    jar.form_of_another_site(&site, "/acs");
    assert!(jar.handover.is_some());
}
