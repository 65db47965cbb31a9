//! No shared cache hands one visitor's cookie to another.

use visitlog_tower::cookie::{CookieSettings, Secure};
use visitlog_tower::settings::Settings;

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
fn what_is_everybodys_gets_no_cookie() {
    let site = Site::new(|_, request| match request.uri().path() {
        "/public" => with_headers(html(""), &[("cache-control", "public, max-age=60")]),
        "/immutable" => with_headers(html(""), &[("cache-control", "immutable")]),
        _ => status(304),
    });
    for path in ["/public", "/immutable", "/not-modified"] {
        let mut request = Browser::new().request(&http::Method::GET, path);
        request.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
        assert_eq!(set_cookie(&site.send(request)), None, "{path}");
    }
    assert_eq!(site.started().len(), 3, "they are page views all the same");
    assert_eq!(site.layer.counts().cookies_withheld, 3);
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
