//! Where visitors are recorded once they have agreed.

use std::time::Duration;

use http::{HeaderValue, Method, Request};
use visitlog_core::model::{EndReason, Entry};
use visitlog_core::requests::RequestCounts;
use visitlog_tower::privacy::{Mode, Privacy, Signal};
use visitlog_tower::settings::{HeaderProtocol, Settings};

use crate::world::{Answer, Browser, Site, html, status, with_headers};

fn settings(privacy: Privacy) -> Settings {
    let privacy = Privacy { mode: Mode::Consent, ..privacy };
    Settings { privacy, tell_session: true, header_protocol: HeaderProtocol::AllPaths, ..Settings::default() }
}

/// Says by its answer what the request's path says.
fn app(visit: &visitlog_tower::Visit, request: &Request<()>) -> Answer {
    visit.login("erika");
    visit.set("plan", "pro");
    visit.action("Looked", "look").with("mail", "e@example.org");
    let body = format!("{} {}", visit.is_recorded(), request.headers().contains_key("visitlog-session"));
    match request.uri().path() {
        "/agree" => with_headers(html(&body), &[("visitlog-consent", "?1")]),
        "/agree-by-script" => with_headers(status(204), &[("visitlog-consent", "?1")]),
        "/leave" => with_headers(html(&body), &[("visitlog-consent", "?0")]),
        "/leave-by-script" => {
            visit.consent(false);
            status(304)
        }
        _ => html(&body),
    }
}

fn site(privacy: Privacy) -> Site {
    Site::with(settings(privacy), app)
}

fn counted(site: &Site) -> Vec<String> {
    lines(&mut site.layer.take_counted())
}

fn lines(counts: &mut RequestCounts) -> Vec<String> {
    let mut all = Vec::new();
    counts.each(|count| {
        all.push(format!("{} {} {} {}", count.requests, count.kind.as_str(), count.status, count.path));
    });
    all.sort();
    all
}

/// All cookies that an answer sets.
fn cookies(answer: &Answer) -> Vec<&str> {
    answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn nobody_is_recorded_who_has_not_agreed() {
    let site = site(Privacy::default());
    let mut browser = Browser::new();
    for path in ["/", "/shop?mail=e@example.org", "/shop", "/style.css"] {
        let answer = browser.get(&site, path);
        assert_eq!(answer.body(), "false false");
        assert!(cookies(&answer).is_empty(), "no cookie");
        assert!(!answer.headers().contains_key("cache-control"), "it stays everybody's");
    }
    browser.post(&site, "/form");
    assert!(site.store.entries().is_empty(), "nothing went to the store");
    assert_eq!(counted(&site), ["1 page_view 200 /", "2 page_view 200 /shop"]);
    assert_eq!(site.layer.counts().counted_no_consent, 5);
    assert!(counted(&site).is_empty(), "they are taken once");
}

#[test]
fn who_agrees_is_recorded_from_that_answer_on() {
    for (path, first) in [("/agree", "page_view /agree"), ("/agree-by-script", "action Consent given consent")] {
        let site = site(Privacy::default());
        let mut browser = Browser::new();
        browser.get(&site, "/");
        let answer = browser.get(&site, path);
        assert_eq!(cookies(&answer).len(), 1, "{path}: our cookie remembers it");
        assert!(!answer.headers().contains_key("visitlog-consent"), "{path}");
        let visit = browser.visit_in(&site, Mode::Consent).unwrap_or_else(|| panic!("{path}: a session"));
        assert!(site.events(visit).iter().any(|event| event == first), "{path}: {:?}", site.events(visit));
        assert!(site.events(visit).iter().any(|event| event.starts_with("login erika")), "{path}: all of the request");
        assert!(!site.events(visit).iter().any(|event| event.contains("page_view /") && event.ends_with(" /")));
        assert_eq!(browser.get(&site, "/shop").body(), "true true");
        assert!(site.events(visit).contains(&"page_view /shop".to_owned()));
        assert_eq!(site.started().len(), 1, "{path}");
        // The next visit is recorded without being asked anew.
        site.pass(Duration::from_secs(24 * 60 * 60));
        browser.get(&site, "/shop");
        assert_eq!(site.started().len(), 2, "{path}");
    }
}

#[test]
fn assets_that_say_it_too_start_nothing() {
    let site = Site::with(settings(Privacy::default()), |_, _| with_headers(html(""), &[("visitlog-consent", "?1")]));
    Browser::new().get(&site, "/style.css");
    let prefetch = Browser::new().request(&Method::GET, "/next");
    let (mut parts, ()) = prefetch.into_parts();
    parts.headers.insert("sec-purpose", HeaderValue::from_static("prefetch"));
    site.send(Request::from_parts(parts, ()));
    assert!(site.store.entries().is_empty());
}

#[test]
fn who_withdraws_is_recorded_no_more() {
    for path in ["/leave", "/leave-by-script"] {
        let site = site(Privacy::default());
        let mut browser = Browser::new();
        browser.get(&site, "/agree");
        let visit = browser.visit_in(&site, Mode::Consent).expect("a session");
        let before = site.events(visit);
        let answer = browser.get(&site, path);
        assert_eq!(cookies(&answer), ["visitlog=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"], "{path}");
        assert_eq!(site.events(visit), before, "{path}: nothing of this request");
        let ended = site.only_ended();
        assert_eq!((ended.visit, ended.end.reason), (visit, EndReason::Abandoned), "{path}");
        browser.cookie = None;
        browser.get(&site, "/");
        assert_eq!(site.started().len(), 1, "{path}");
        browser.get(&site, "/agree");
        let again = site.store.entries().into_iter().filter_map(|(_, entry)| match entry {
            Entry::Start(start) => Some((start.previous, start.number)),
            _ => None,
        });
        assert_eq!(again.last(), Some((None, 1)), "{path}: another visitor");
    }
}

#[test]
fn a_cookie_of_another_mode_is_no_consent() {
    let full = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&full, "/");
    assert!(browser.cookie.is_some());
    let site = site(Privacy::default());
    let answer = site.send(browser.request(&Method::GET, "/"));
    assert_eq!(answer.body(), "false false");
    assert_eq!(cookies(&answer), ["visitlog=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"], "it goes");
    assert!(site.store.entries().is_empty());
}

fn with_cookie(browser: &Browser, path: &str, cookie: &str) -> Request<()> {
    let (mut parts, ()) = browser.request(&Method::GET, path).into_parts();
    let ours = browser.cookie.as_deref().unwrap_or("a=b");
    parts.headers.insert("cookie", HeaderValue::try_from(format!("{cookie}; {ours}")).unwrap());
    Request::from_parts(parts, ())
}

#[test]
fn a_cookie_of_the_sites_own_says_it() {
    let site = site(Privacy { consent_cookie: Some("stats=yes".parse().unwrap()), ..Privacy::default() });
    let mut browser = Browser::new();
    let request = with_cookie(&browser, "/", "stats=no");
    browser.send(&site, request);
    assert!(browser.cookie.is_none() && site.store.entries().is_empty());
    let request = with_cookie(&browser, "/", "stats=yes");
    assert_eq!(browser.send(&site, request).body(), "true true");
    let visit = browser.visit_in(&site, Mode::Consent).expect("a session");
    let before = site.events(visit);
    let request = with_cookie(&browser, "/shop", "stats=no");
    let answer = site.send(request);
    assert_eq!(cookies(&answer), ["visitlog=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]);
    assert_eq!(answer.body(), "false false", "nothing is known of the session any more");
    assert_eq!((site.only_ended().visit, site.events(visit)), (visit, before));
}

#[test]
fn a_browsers_wish_stands_above_consent() {
    let with = |privacy: Privacy, header: &'static str| {
        let site = site(privacy);
        let mut browser = Browser::new();
        let (mut parts, ()) = browser.request(&Method::GET, "/agree").into_parts();
        parts.headers.insert(header, HeaderValue::from_static("1"));
        browser.send(&site, Request::from_parts(parts, ()));
        let visit = browser.visit_in(&site, Mode::Consent);
        (visit.map(|visit| site.events(visit)), site.layer.counts().counted_signal)
    };
    let gpc = |signal| Privacy { gpc: signal, ..Privacy::default() };
    let all = vec!["login erika", "action Looked look {\"mail\":\"e@example.org\"}", "page_view /agree"];
    let all = all.into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(with(gpc(Signal::Ignore), "sec-gpc"), (Some(all.clone()), 0));
    assert_eq!(with(gpc(Signal::NoRecord), "dnt"), (Some(all), 0), "each has its own setting");
    let no_user = ["action Looked look", "page_view /agree"].map(str::to_owned).to_vec();
    assert_eq!(with(gpc(Signal::NoUser), "sec-gpc"), (Some(no_user.clone()), 0));
    assert_eq!(with(Privacy { dnt: Signal::NoUser, ..Privacy::default() }, "dnt"), (Some(no_user), 0));
    assert_eq!(with(gpc(Signal::NoRecord), "sec-gpc"), (None, 1));
}

/// As reported of others: consent that is said with each answer must not undo an opt-out (matomo#12834), nor a cookie that
/// can't be read be taken for a yes (alkem-io/client-web#10123).
#[test]
fn an_opt_out_stands_above_consent() {
    let site = site(Privacy { consent_cookie: Some("stats=yes".parse().unwrap()), ..Privacy::default() });
    for cookie in ["stats=yes; visitlog-opt-out=1", "stats=%ff%zz%", "stats=", "stats", "STATS=yes", "xstats=yes"] {
        let answer = site.send(with_cookie(&Browser::new(), "/", cookie));
        assert_eq!((answer.body().as_str(), cookies(&answer).len()), ("false false", 0), "{cookie}");
    }
    let agreed = with_cookie(&Browser::new(), "/agree", "visitlog-opt-out=1");
    assert!(cookies(&site.send(agreed)).is_empty());
    assert!(site.store.entries().is_empty());
    let counts = site.layer.counts();
    assert_eq!((counts.counted_opted_out, counts.counted_no_consent), (2, 5));
}
