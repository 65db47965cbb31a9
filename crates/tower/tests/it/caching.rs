//! No shared cache hands one visitor's cookie to another.

use visitlog_tower::cookie::{CookieSettings, Secure};
use visitlog_tower::settings::{PublicPages, Settings};

use crate::world::{Browser, Site, html, set_cookie, status, with_headers};

#[test]
fn a_response_with_the_cookie_is_private() {
    let site = Site::new(|_, _| {
        with_headers(
            html(""),
            &[("cache-control", "max-age=60"), ("surrogate-control", "max-age=9"), ("cdn-cache-control", "max-age=9")],
        )
    });
    let mut browser = Browser::new();
    let first = browser.get(&site, "/");
    assert!(set_cookie(&first).is_some());
    assert_eq!(first.headers()["cache-control"], "private, no-cache");
    assert!(!first.headers().contains_key("surrogate-control"));
    assert!(!first.headers().contains_key("cdn-cache-control"));
    let second = browser.get(&site, "/");
    assert_eq!(set_cookie(&second), None, "who has the cookie gets none");
    assert_eq!(second.headers()["cache-control"], "max-age=60", "and such a response stays as it is");
    assert!(second.headers().contains_key("surrogate-control"));
}

#[test]
fn what_can_never_be_private_gets_no_cookie() {
    let site = Site::new(|_, request| match request.uri().path() {
        "/immutable" => with_headers(html(""), &[("cache-control", "immutable")]),
        _ => status(304),
    });
    for path in ["/immutable", "/not-modified"] {
        let mut request = Browser::new().request(&http::Method::GET, path);
        request.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
        assert_eq!(set_cookie(&site.send(request)), None, "{path}");
    }
    assert_eq!(site.started().len(), 2, "they are page views all the same");
    assert_eq!(site.layer.counts().cookies_withheld, 2);
}

/// A site that says of all its pages that they are everybody's, as static file servers do.
fn public(settings: Settings) -> Site {
    Site::with(settings, |visit, request| {
        match request.uri().path() {
            "/login" => visit.login("alice"),
            "/logout" => visit.logout(),
            _ => {}
        }
        with_headers(html(""), &[("cache-control", "public, max-age=0"), ("cdn-cache-control", "max-age=600")])
    })
}

#[test]
fn a_public_page_that_starts_a_session_becomes_private_and_others_stay_public() {
    let site = public(Settings::default());
    let mut browser = Browser::new();
    for (path, sets) in [("/", true), ("/a", false), ("/login", true), ("/b", false), ("/logout", true)] {
        let answer = browser.get(&site, path);
        assert_eq!(set_cookie(&answer).is_some(), sets, "{path}");
        let expected = if sets { "private, no-cache" } else { "public, max-age=0" };
        assert_eq!(answer.headers()["cache-control"], expected, "{path}");
        assert_eq!(answer.headers().contains_key("cdn-cache-control"), !sets, "{path}");
    }
    assert_eq!(site.started().len(), 1, "one person, one visit");
    assert_eq!(site.only_ended().end.user.expect("alice").as_str(), "alice");
}

#[test]
fn public_pages_of_clients_that_keep_no_cookie_stay_public_in_time() {
    let site = public(Settings::default());
    let mut robot = Browser { keeps: false, ..Browser::new() };
    for _ in 0..3 {
        robot.get(&site, "/");
        site.pass(std::time::Duration::from_secs(15));
    }
    let answer = robot.get(&site, "/");
    assert_eq!((set_cookie(&answer), answer.headers()["cache-control"].to_str().unwrap()), (None, "public, max-age=0"));
}

#[test]
fn where_a_cdn_keeps_public_pages_their_visitors_are_known_by_fingerprint_at_once() {
    let site = public(Settings { public_pages: PublicPages::Keep, ..Settings::default() });
    let mut browser = Browser::new();
    for path in ["/", "/a", "/b"] {
        let answer = browser.get(&site, path);
        assert_eq!(set_cookie(&answer), None, "{path}");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=0", "{path}");
    }
    assert_eq!(site.events(site.started()[0]), ["page_view /", "page_view /a", "page_view /b"]);
}

#[test]
fn every_attribute_reaches_the_browser() {
    let cookie = CookieSettings {
        name: Some("__Secure-id".into()),
        domain: Some("example".into()),
        secure: Secure::Always,
        partitioned: true,
        cache_control: Some("no-store".into()),
        ..CookieSettings::default()
    };
    let site = Site::with(Settings { cookie, ..Settings::default() }, |_, _| html(""));
    let mut browser = Browser::new();
    let answer = browser.get(&site, "/");
    let line = answer.headers()["set-cookie"].to_str().unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert!(pair.starts_with("__Secure-id="), "{line}");
    assert_eq!(attributes, "Path=/; Domain=example; Max-Age=34128000; Secure; HttpOnly; SameSite=Lax; Partitioned");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    // One cookie for all hosts below the domain: the session is the same on another one.
    browser.host = "www.example";
    let answer = browser.get(&site, "/");
    assert_eq!(set_cookie(&answer), None);
    assert_eq!(site.started().len(), 1);
}
