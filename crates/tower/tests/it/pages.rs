//! What is a page, where headers alone don't tell.

use std::time::Duration;

use http::{Method, Request};
use visitlog_tower::Settings;

use crate::world::{Browser, Site, html, status, with_headers};

const PREFETCH: &[(&str, &str)] = &[("sec-purpose", "prefetch"), ("sec-fetch-dest", "document")];

fn with(browser: &Browser, method: &Method, path: &str, lines: &[(&'static str, &str)]) -> Request<()> {
    let mut request = browser.request(method, path);
    for (name, value) in lines {
        request.headers_mut().insert(*name, value.parse().expect("a header value"));
    }
    request
}

fn get(site: &Site, browser: &mut Browser, path: &str, lines: &[(&'static str, &str)]) {
    let request = with(browser, &Method::GET, path, lines);
    browser.send(site, request);
}

fn on_page(path: &str) -> [(&'static str, String); 1] {
    [("referer", format!("https://shop.example{path}"))]
}

fn get_from(site: &Site, browser: &mut Browser, path: &str, referrer: &str) {
    let lines = on_page(referrer);
    let lines: Vec<(&'static str, &str)> = lines.iter().map(|(name, value)| (*name, &**value)).collect();
    get(site, browser, path, &lines);
}

fn only_visit(site: &Site) -> Vec<String> {
    let started = site.started();
    assert_eq!(started.len(), 1, "visits: {started:?}");
    site.events(started[0])
}

#[test]
fn a_page_that_was_prefetched_counts_when_it_is_shown() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    for path in ["/a?n=1", "/b", "/never"] {
        get(&site, &mut browser, path, PREFETCH);
    }
    assert_eq!(only_visit(&site), ["page_view /"], "nobody has seen the others");
    site.pass(Duration::from_secs(10));
    // The sheet that the shown page asks for, and another thing of it.
    get_from(&site, &mut browser, "/a.css", "/a?n=1");
    get_from(&site, &mut browser, "/a.js", "/a?n=1");
    // The next page that is opened from one of which nothing was asked for.
    get_from(&site, &mut browser, "/c", "/b");
    assert_eq!(only_visit(&site), ["page_view /", "page_view /a", "page_view /b", "page_view /c"]);
    let sent = site.store.entries().len();
    get_from(&site, &mut browser, "/b.css", "/b");
    assert_eq!(site.store.entries().len(), sent, "it counts once");
}

#[test]
fn a_page_that_was_prefetched_and_asked_for_again_counts_once() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    get(&site, &mut browser, "/a", PREFETCH);
    browser.get(&site, "/a");
    get_from(&site, &mut browser, "/a.css", "/a");
    assert_eq!(only_visit(&site), ["page_view /", "page_view /a"]);
}

#[test]
fn what_was_prefetched_is_nobody_elses_and_not_for_ever() {
    let site = Site::new(|_, _| html(""));
    let (mut one, mut other) = (Browser::new(), Browser { address: "203.0.113.8", ..Browser::new() });
    one.get(&site, "/");
    other.get(&site, "/");
    get(&site, &mut one, "/a", PREFETCH);
    get_from(&site, &mut other, "/a.css", "/a");
    site.pass(Duration::from_secs(301));
    get_from(&site, &mut one, "/a.css", "/a");
    let visits = site.started();
    assert_eq!([site.events(visits[0]), site.events(visits[1])], [["page_view /"], ["page_view /"]]);
}

#[test]
fn who_comes_by_a_page_that_was_prefetched_came_from_where_that_was_linked() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    get(&site, &mut browser, "/landing", &[("sec-purpose", "prefetch"), ("referer", "https://search.example/")]);
    get_from(&site, &mut browser, "/landing.css", "/landing");
    assert_eq!(site.started().len(), 0, "a sheet's answer can't give a cookie");
    get_from(&site, &mut browser, "/next", "/landing");
    browser.get(&site, "/third");
    assert_eq!(only_visit(&site), ["page_view /landing", "page_view /next", "page_view /third"]);
    site.pass(Duration::from_secs(3_600));
    let visit = site.only_ended();
    assert_eq!(visit.start.facts.referrer.as_deref(), Some("https://search.example/"));
}

#[test]
fn the_app_says_what_was_a_page() {
    let site = Site::with(Settings::for_proxy(), |visit, request| match request.uri().path() {
        "/turbo" => with_headers(html(""), &[("visitlog-page", "?1;title=\"Turbo\"")]),
        "/form" => with_headers(html(""), &[("visitlog-page", "?1;path=\"/results\"")]),
        "/part" => with_headers(html(""), &[("visitlog-page", "?0")]),
        "/logo.png" => with_headers(status(200), &[("visitlog-page", "?1")]),
        "/rust" => {
            visit.page().title("Cart").path("/cart");
            status(200)
        }
        "/no" => {
            visit.no_page();
            html("")
        }
        _ => html(""),
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    get(&site, &mut browser, "/turbo", &[("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors")]);
    browser.post(&site, "/form?q=x");
    for path in ["/part", "/logo.png", "/rust", "/no"] {
        browser.get(&site, path);
    }
    let expected =
        ["page_view /", "page_view Turbo /turbo", "page_view /results", "page_view /logo.png", "page_view Cart /cart"];
    assert_eq!(only_visit(&site), expected);
}

#[test]
fn an_answer_speaks_of_the_visit_that_it_names() {
    use std::sync::Mutex;
    let tells = Mutex::new(String::new());
    let site = Site::with(Settings::for_proxy(), move |visit, request| {
        let told = tells.lock().expect("the id").clone();
        match request.uri().path() {
            "/pay" => {
                let id = request.headers()["visitlog-session"].to_str().expect("an id");
                *tells.lock().expect("the id") = id.to_owned();
                html("")
            }
            "/webhook" => {
                let mut answer = with_headers(status(204), &[("visitlog-action", "\"Paid\";type=payment")]);
                answer.headers_mut().insert("visitlog-session", format!("\"{told}\"").parse().expect("a value"));
                answer
            }
            "/job" => {
                visit.belongs_to(told.parse().expect("an id"));
                visit.set("paid", true);
                visit.login("mallory");
                status(204)
            }
            "/out" => {
                visit.belongs_to(told.parse().expect("an id"));
                visit.logout();
                status(204)
            }
            "/in" => {
                visit.login("alice");
                html("")
            }
            _ => html(""),
        }
    });
    let mut buyer = Browser::new();
    let mut machine = Browser { address: "198.51.100.9", agent: "Payments/1.0", ..Browser::new() };
    buyer.get(&site, "/");
    buyer.get(&site, "/in");
    buyer.get(&site, "/pay");
    for path in ["/webhook", "/webhook", "/job"] {
        assert!(!machine.take(&site.send(machine.request(&Method::POST, path))), "no cookie");
    }
    buyer.get(&site, "/thanks");
    let expected = [
        "page_view /",
        "login alice",
        "page_view /in",
        "page_view /pay",
        "action Paid payment",
        "action Paid payment",
        "page_view /thanks",
    ];
    assert_eq!(only_visit(&site), expected);
    assert_eq!(site.layer.counts().ops_refused, 1, "nobody logs in for another");
    machine.post(&site, "/out");
    let visit = site.only_ended();
    assert_eq!((visit.end.reason.as_str(), &visit.end.values["paid"]), ("logged_out", &true.into()));
    machine.post(&site, "/webhook");
    assert_eq!((site.started().len(), site.layer.counts().gone), (1, 1), "it has ended: nothing is added to it");
}

#[test]
fn a_page_that_prefetches_itself_does_not_count_again() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    // A link in the menu leads to the page itself, and the mouse rests on it.
    get(&site, &mut browser, "/", &[("sec-purpose", "prefetch"), ("referer", "https://shop.example/")]);
    get_from(&site, &mut browser, "/more.js", "/");
    get_from(&site, &mut browser, "/b", "/");
    assert_eq!(only_visit(&site), ["page_view /", "page_view /b"]);
}

#[test]
fn a_page_that_was_prefetched_and_then_fails_is_an_error_only() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let site = Site::new(move |_, request| match request.uri().path() {
        "/a" if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 => {
            with_headers(status(500), &[("content-type", "text/html")])
        }
        _ => html(""),
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    get(&site, &mut browser, "/a", PREFETCH);
    browser.get(&site, "/a");
    get_from(&site, &mut browser, "/error.css", "/a");
    assert_eq!(only_visit(&site), ["page_view /", "page_error /a"]);
}

#[test]
fn a_page_that_was_prefetched_before_a_visit_starts_with_the_next_one_that_can_keep_a_cookie() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    site.pass(Duration::from_secs(31 * 60));
    get(&site, &mut browser, "/a", PREFETCH);
    get_from(&site, &mut browser, "/a.css", "/a");
    site.pass(Duration::from_secs(60));
    get_from(&site, &mut browser, "/b", "/a");
    let started = site.started();
    assert_eq!(started.len(), 2, "a sheet's answer gives no cookie: {started:?}");
    assert_eq!(site.events(started[1]), ["page_view /a", "page_view /b"]);
}

#[test]
fn what_an_app_says_of_a_path_has_its_query_masked_too() {
    let site = Site::new(|visit, _| {
        visit.page().path("/cart?token=s3cret-of-hers&tab=2");
        html("")
    });
    let mut browser = Browser::new();
    browser.get(&site, "/app");
    assert_eq!(only_visit(&site), ["page_view /cart"]);
    let text = format!("{:?}", site.store.entries());
    assert!(!text.contains("s3cret") && text.contains("tab=2"), "{text}");
}

#[test]
fn an_app_that_always_says_who_it_is_makes_nobody_active_by_what_leaves_no_trace() {
    let mut settings = Settings::for_proxy();
    settings.rules.paths.excluded_paths.push("/poll".into());
    let site = Site::with(settings, |_, _| with_headers(html(""), &[("visitlog-user", "\"alice\"")]));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    for _ in 0..4 {
        site.pass(Duration::from_secs(10 * 60));
        browser.get(&site, "/poll");
        browser.get(&site, "/app.css");
    }
    let visit = site.started()[0];
    let ended: Vec<_> = site.store.ended().iter().map(|visit| visit.end.reason.as_str()).collect();
    assert_eq!(
        (site.events(visit), ended),
        (vec!["login alice".to_owned(), "page_view /".to_owned()], vec!["expired"])
    );
}

#[test]
fn an_app_that_says_of_all_its_pages_that_they_are_says_nothing_of_who_has_seen_them() {
    let site = Site::with(Settings::for_proxy(), |_, request| {
        let mut answer = html("");
        if request.uri().path().ends_with(".css") {
            return answer;
        }
        let said = format!("?1;title=\"{}\"", request.uri().path());
        answer.headers_mut().insert("visitlog-page", said.parse().expect("a value"));
        answer
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    // What Turbo does when the mouse rests on a link, and what htmx's extension does.
    let turbo = [("x-sec-purpose", "prefetch"), ("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors")];
    for path in ["/a", "/never"] {
        get(&site, &mut browser, path, &turbo);
    }
    get(&site, &mut browser, "/b", &[("hx-request", "true"), ("hx-boosted", "true"), ("hx-preloaded", "true")]);
    assert_eq!(only_visit(&site), ["page_view / /"]);
    get_from(&site, &mut browser, "/a.css", "/a");
    get_from(&site, &mut browser, "/b.css", "/b");
    assert_eq!(only_visit(&site), ["page_view / /", "page_view /a /a", "page_view /b /b"]);
}

#[test]
fn a_forgotten_tab_that_polls_an_excluded_path_starts_nothing() {
    let mut settings = Settings::for_proxy();
    settings.rules.paths.excluded_paths.push("/poll".into());
    let site = Site::with(settings, |_, _| with_headers(html(""), &[("visitlog-user", "\"alice\"")]));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    for _ in 0..20 {
        site.pass(Duration::from_secs(10 * 60));
        browser.get(&site, "/poll");
    }
    assert_eq!(site.started().len(), 1);
}
