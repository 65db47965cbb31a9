//! What an app says by headers, and what a client must not.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method};
use serde_json::json;
use visitlog_core::model::Via;
use visitlog_tower::settings::{HeaderProtocol, Settings};

use crate::world::{Browser, Site, html, line, named, with_headers};

#[test]
fn headers_say_what_rust_says() {
    let site = Site::with(Settings::for_proxy(), |_, request| match request.uri().path() {
        "/all" => with_headers(
            html(""),
            &[
                ("visitlog-end", "?1"),
                ("visitlog-action", "\"Profile picture deleted\";type=deletion;size=512"),
                ("visitlog-action", "second"),
                ("visitlog-set", "plan=\"pro\", seats=3"),
                ("visitlog-user", "\"alice\""),
                ("visitlog-nonsense", "1"),
            ],
        ),
        _ => html(""),
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let answer = browser.get(&site, "/all");
    assert_eq!(named(answer.headers(), "visitlog"), [""; 0], "no such header reaches the browser");
    let visit = site.only_ended();
    assert_eq!(
        visit.events.iter().map(line).collect::<Vec<_>>(),
        [
            "page_view /",
            "login alice",
            "page_view /all",
            "action Profile picture deleted deletion {\"size\":512}",
            "action second",
        ]
    );
    assert_eq!(visit.end.values.get("plan"), Some(&json!("pro")));
    assert_eq!(visit.end.values.get("seats"), Some(&json!(3)));
    assert_eq!(visit.start.facts.via, Via::Proxy);
    assert_eq!(site.layer.counts().headers_ignored, 1);
}

#[test]
fn logging_out_by_header_ends_the_session() {
    let site = Site::with(Settings::for_proxy(), |_, request| match request.uri().path() {
        "/in" => with_headers(html(""), &[("visitlog-user", "\"alice\"")]),
        "/out" => with_headers(html(""), &[("visitlog-user", "?0")]),
        _ => html(""),
    });
    let mut browser = Browser::new();
    for path in ["/in", "/out", "/"] {
        browser.get(&site, path);
    }
    assert_eq!(
        site.only_ended().events.iter().map(line).collect::<Vec<_>>(),
        ["login alice", "page_view /in", "page_view /out", "logout alice"]
    );
}

#[test]
fn a_setting_names_the_paths_that_may_speak() {
    let header_protocol = HeaderProtocol::Paths(vec!["/app".into()]);
    let settings = Settings { header_protocol, ..Settings::default() };
    let site = Site::with(settings, |_, _| with_headers(html(""), &[("visitlog-action", "spoken")]));
    let mut browser = Browser::new();
    for path in ["/app/x", "/upload/evil.html"] {
        assert_eq!(named(browser.get(&site, path).headers(), "visitlog"), [""; 0], "{path}");
    }
    let events = site.events(browser.visit(&site).unwrap());
    assert_eq!(events, ["action spoken", "page_view /app/x", "page_view /upload/evil.html"]);
}

#[test]
fn off_leaves_such_headers_alone() {
    let site = Site::new(|_, _| with_headers(html(""), &[("visitlog-action", "spoken")]));
    let mut browser = Browser::new();
    assert_eq!(named(browser.get(&site, "/").headers(), "visitlog"), ["visitlog-action"]);
    assert_eq!(site.events(browser.visit(&site).unwrap()), ["page_view /"]);
}

#[test]
fn the_app_is_told_the_session_by_us_only() {
    let seen = Arc::new(Mutex::new(Vec::<HeaderMap>::new()));
    let log = seen.clone();
    let site = Site::with(Settings { hide_cookie: false, ..Settings::for_proxy() }, move |_, request| {
        log.lock().unwrap().push(request.headers().clone());
        html("")
    });
    let mut browser = Browser::new();
    for path in ["/", "/again", "/style.css"] {
        let mut request = browser.request(&Method::GET, path);
        request.headers_mut().append("visitlog-session", "forged".parse().unwrap());
        request.headers_mut().append("visitlog_session", "forged".parse().unwrap());
        request.headers_mut().append("visitlog-user", "\"admin\"".parse().unwrap());
        browser.send(&site, request);
    }
    let visit = browser.visit(&site).unwrap().to_string();
    for headers in &*seen.lock().unwrap() {
        assert_eq!(named(headers, "visitlog"), ["visitlog-session"]);
        assert_eq!(headers.get_all("visitlog-session").iter().count(), 1);
        assert_eq!(headers["visitlog-session"], *visit);
    }
    let cookies = seen.lock().unwrap()[1]["cookie"].clone();
    let cookie = browser.cookie.unwrap();
    assert_eq!(cookies, format!("theme=dark; {cookie}; lang=en"), "cookies pass byte for byte");
}

#[test]
fn our_cookie_can_be_hidden_from_the_app() {
    let settings = Settings { hide_cookie: true, ..Settings::for_proxy() };
    let site = Site::with(settings, |_, request| {
        html(request.headers().get("cookie").map_or("", |value| value.to_str().unwrap()))
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    assert_eq!(browser.get(&site, "/").body(), "theme=dark; lang=en");
}

#[test]
fn garbage_fails_no_answer() {
    let site = Site::with(Settings::for_proxy(), |_, _| {
        with_headers(html("ok"), &[("visitlog-action", "\"unclosed"), ("visitlog-user", "="), ("visitlog-end", "1")])
    });
    let mut browser = Browser::new();
    let answer = browser.get(&site, "/");
    assert_eq!((answer.status().as_u16(), answer.body().as_str()), (200, "ok"));
    assert_eq!(site.events(browser.visit(&site).unwrap()), ["page_view /"]);
    assert_eq!(site.layer.counts().headers_ignored, 3);
}

#[test]
fn an_app_may_say_with_every_answer_which_visit_it_was_told() {
    let site = Site::with(Settings::for_proxy(), |_, request| {
        let told = request.headers()["visitlog-session"].to_str().unwrap().to_owned();
        let mut answer = with_headers(html(""), &[("visitlog-user", "\"alice\"")]);
        answer.headers_mut().insert("visitlog-session", format!("\"{told}\"").parse().unwrap());
        answer
    });
    let mut browser = Browser::new();
    for path in ["/", "/a"] {
        browser.get(&site, path);
    }
    let visit = browser.visit(&site).expect("a cookie");
    assert_eq!(site.started(), [visit]);
    assert_eq!(site.events(visit), ["login alice", "page_view /", "page_view /a"]);
}
