//! Visitors who are led elsewhere by where they are, and what an app is told of that.

use http::Method;
use serde_json::json;
use visitlog_core::model::{CountryCode, Place};
use visitlog_tower::redirects::REDIRECTED;
use visitlog_tower::settings::{Identify, PublicPages, Redirect};
use visitlog_tower::{Locator, Settings};

use crate::world::{Answer, Browser, Site, html, line, with_headers};

/// 192.0.2.0/24 is in Germany, 198.51.100.0/24 in France.
fn settings() -> Settings {
    fn country(text: &str) -> CountryCode {
        CountryCode::new(text).unwrap()
    }
    let redirect = |countries: &[&str], languages: &[&str], from: &str, to: &str| Redirect {
        countries: countries.iter().map(|text| country(text)).collect(),
        languages: languages.iter().map(|text| (*text).to_owned()).collect(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let locator = Locator::new(move |address| {
        let code = match address.to_string() {
            ip if ip.starts_with("192.0.2.") => "DE",
            ip if ip.starts_with("198.51.100.") => "FR",
            _ => return None,
        };
        Place::new(Some(country(code)), None, None)
    });
    Settings {
        locator,
        redirects: vec![
            redirect(&["DE", "AT"], &[], "/", "/de/"),
            redirect(&[], &["fr"], "/", "/fr/"),
            redirect(&["DE"], &[], "/blog/*", "/de/blog/*"),
        ],
        ..Settings::default()
    }
}

fn site(settings: Settings) -> Site {
    Site::with(settings, |visit, _| {
        let country = visit.country().map(|country| country.to_string());
        with_headers(html(&country.unwrap_or_default()), &[("cache-control", "public, max-age=60")])
    })
}

fn german() -> Browser {
    Browser { address: "192.0.2.7", agent: "Mozilla/5.0 Firefox", ..Browser::new() }
}

fn location(answer: &Answer) -> Option<&str> {
    answer.headers().get("location").map(|to| to.to_str().unwrap())
}

fn header<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn a_visitor_is_led_once_in_a_session_and_the_visit_goes_on() {
    let (site, mut browser) = (site(settings()), german());
    let led = browser.get(&site, "/?utm_source=mail");
    assert_eq!((led.status().as_u16(), location(&led)), (302, Some("/de/?utm_source=mail")));
    assert_eq!(header(&led, "cache-control"), ["private, no-store"]);
    assert_eq!(header(&led, "vary"), ["Accept-Language", "Cookie"]);
    let there = browser.get(&site, "/de/?utm_source=mail");
    assert_eq!((location(&there), there.body().as_str()), (None, "DE"));
    // Who asks for the other page by himself gets it.
    assert_eq!(location(&browser.get(&site, "/")), None);
    assert_eq!(location(&browser.get(&site, "/blog/a")), None);
    let visit = browser.visit(&site).unwrap();
    assert_eq!(site.started(), [visit]);
    assert_eq!(site.events(visit), ["page_view /de/", "page_view /", "page_view /blog/a"]);
    site.pass(std::time::Duration::from_secs(31 * 60));
    let ended = site.only_ended();
    assert_eq!(ended.end.values.get(REDIRECTED), Some(&json!("/de/")));
    assert_eq!(ended.events.iter().map(line).collect::<Vec<_>>().len(), 3);
    assert_eq!(location(&browser.get(&site, "/blog/a/b?c")), Some("/de/blog/a/b?c"), "another session");
}

#[test]
fn others_are_led_nowhere() {
    let site = site(settings());
    let ask = |browser: &Browser, method: Method, path: &str, headers: &[(&'static str, &'static str)]| {
        let mut request = browser.request(&method, path);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        location(&site.send(request)).map(str::to_owned)
    };
    let german = german();
    assert_eq!(ask(&german, Method::POST, "/", &[]), None, "a form");
    assert_eq!(ask(&german, Method::HEAD, "/", &[]), None);
    assert_eq!(ask(&german, Method::GET, "/", &[("x-requested-with", "XMLHttpRequest")]), None, "a script");
    assert_eq!(ask(&german, Method::GET, "/", &[("sec-purpose", "prefetch")]), None, "nobody looks at it yet");
    assert_eq!(ask(&german, Method::GET, "/", &[("referer", "http://shop.example/de/")]), None, "a link of the site");
    assert_eq!(ask(&german, Method::GET, "/", &[("sec-fetch-site", "same-origin")]), None, "one without a referrer");
    assert_eq!(ask(&german, Method::GET, "/other", &[]), None);
    let bot = Browser { agent: "Mozilla/5.0 (compatible; Googlebot/2.1)", ..german.clone() };
    assert_eq!(ask(&bot, Method::GET, "/", &[]), None);
    let nowhere = Browser { address: "203.0.113.7", ..german.clone() };
    assert_eq!(ask(&nowhere, Method::GET, "/", &[]), None);
    assert_eq!(ask(&nowhere, Method::GET, "/", &[("accept-language", "fr-CA, en;q=0.9")]).as_deref(), Some("/fr/"));
    assert_eq!(ask(&german, Method::GET, "/", &[("referer", "http://elsewhere.example/")]).as_deref(), Some("/de/"));
}

#[test]
fn no_cache_keeps_for_all_what_some_are_led_away_from() {
    let mut nowhere = Browser { address: "203.0.113.7", ..german() };
    let mut browser = nowhere.clone();
    let one = site(settings());
    browser.get(&one, "/other");
    let answer = browser.get(&one, "/");
    assert_eq!(
        (header(&answer, "cache-control"), header(&answer, "vary")),
        (vec!["private, no-cache"], vec!["Accept-Language", "Cookie"])
    );
    let answer = browser.get(&one, "/blog/a");
    assert_eq!(header(&answer, "vary"), ["Cookie"], "nobody asks for the language there");
    let answer = browser.get(&one, "/other");
    assert_eq!((header(&answer, "cache-control"), header(&answer, "vary")), (vec!["public, max-age=60"], vec![]));
    let keep = site(Settings { public_pages: PublicPages::Keep, ..settings() });
    let answer = nowhere.get(&keep, "/");
    assert_eq!(
        (header(&answer, "cache-control"), header(&answer, "vary")),
        (vec!["public, max-age=60"], vec!["Accept-Language", "Cookie"])
    );
}

#[test]
fn who_is_known_by_fingerprint_is_led_once_too() {
    let (site, mut browser) = (site(Settings { identify: Identify::ByFingerprint, ..settings() }), german());
    assert_eq!(location(&browser.get(&site, "/")), Some("/de/"));
    assert_eq!(location(&browser.get(&site, "/")), None);
    let mut other = Browser { address: "192.0.2.200", ..german() };
    assert_eq!(location(&other.get(&site, "/")), Some("/de/"));
}

#[test]
fn an_app_is_told_the_country_by_a_header_and_by_nobody_else() {
    let told = |settings: Settings, address: &'static str| {
        let site = Site::with(settings, |_, request| {
            html(request.headers().get("visitlog-country").map_or("none", |country| country.to_str().unwrap()))
        });
        let browser = Browser { address, ..german() };
        ["/x", "/style.css"].map(|path| {
            let mut request = browser.request(&Method::GET, path);
            request.headers_mut().insert("visitlog-country", "US".parse().unwrap());
            site.send(request).body().clone()
        })
    };
    assert_eq!(told(Settings { tell_country: true, ..settings() }, "192.0.2.7"), ["DE", "DE"]);
    assert_eq!(told(Settings { tell_country: true, ..settings() }, "203.0.113.7"), ["none", "none"]);
    assert_eq!(told(Settings::for_proxy(), "192.0.2.7"), ["none", "none"]);
}

#[test]
fn redirects_that_make_no_sense_are_refused() {
    let redirects = vec![Redirect { from: "/".into(), to: "/de/".into(), ..Redirect::default() }];
    let error = Settings { redirects, ..Settings::default() }.check().unwrap_err();
    assert_eq!(error.to_string(), "redirect from /: a country or a language expected");
}
