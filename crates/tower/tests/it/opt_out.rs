//! The page on which visitors opt out.

use http::{HeaderValue, Method, Request};
use visitlog_core::model::EndReason;
use visitlog_tower::Settings;
use visitlog_tower::opt_out::{COOKIE, PATH};
use visitlog_tower::privacy::{Mode, Privacy};
use visitlog_tower::settings::HeaderProtocol;

use crate::world::{Answer, Browser, Site, html, with_headers};

fn site(mode: Mode) -> Site {
    let privacy = Privacy { mode, ..Privacy::default() };
    let settings = Settings { privacy, header_protocol: HeaderProtocol::AllPaths, ..Settings::default() };
    Site::with(settings, |visit, request| match request.uri().path() {
        "/no" => with_headers(html(""), &[("visitlog-consent", "?0")]),
        path => {
            assert_ne!(path, PATH, "the app never sees it");
            html(&visit.is_recorded().to_string())
        }
    })
}

fn cookies(answer: &Answer) -> Vec<&str> {
    answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

fn with(request: Request<()>, name: &'static str, value: &str) -> Request<()> {
    let (mut parts, ()) = request.into_parts();
    parts.headers.insert(name, HeaderValue::from_str(value).unwrap());
    Request::from_parts(parts, ())
}

const SET: &str = "visitlog-opt-out=1; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax";
const GONE: &str = "visitlog=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax";

#[test]
fn who_opts_out_is_counted_only() {
    for mode in [Mode::Full, Mode::Statistics] {
        let site = site(mode);
        let mut browser = Browser::new();
        browser.get(&site, "/");
        let visit = browser.visit_in(&site, mode).expect("a session");
        let page = site.send(browser.request(&Method::GET, PATH));
        assert_eq!((page.status().as_u16(), page.headers()["cache-control"].to_str().unwrap()), (200, "no-store"));
        assert!(page.body().contains("are") && page.body().contains("Do not record my visits"), "{}", page.body());
        let chosen = site.send(browser.request(&Method::POST, PATH));
        assert_eq!((chosen.status().as_u16(), chosen.headers()["location"].to_str().unwrap()), (303, PATH));
        assert_eq!(cookies(&chosen), [SET, GONE]);
        let ended = site.only_ended();
        assert_eq!((ended.visit, ended.end.reason), (visit, EndReason::Abandoned), "at once");
        let out = |path: &str| with(Browser::new().request(&Method::GET, path), "cookie", &format!("{COOKIE}=1"));
        let before = site.store.entries().len();
        assert_eq!(site.send(out("/")).body(), "false");
        assert!(site.send(out(PATH)).body().contains("You have opted out"));
        assert_eq!(site.store.entries().len(), before);
        assert_eq!(site.layer.counts().counted_opted_out, 1);
        let back = site.send(Browser::new().request(&Method::POST, &format!("{PATH}?choice=in")));
        assert_eq!(cookies(&back), ["visitlog-opt-out=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]);
    }
}

#[test]
fn a_no_of_the_app_is_an_opt_out_where_nobody_is_asked() {
    let site = site(Mode::Full);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let answer = site.send(browser.request(&Method::GET, "/no"));
    assert_eq!(cookies(&answer), [GONE, SET]);
    assert_eq!(site.only_ended().end.reason, EndReason::Abandoned);
    let again = with(Browser::new().request(&Method::GET, "/no"), "cookie", &format!("{COOKIE}=1"));
    assert!(cookies(&site.send(again)).is_empty(), "it is known");
}

#[test]
fn others_do_not_choose() {
    let site = site(Mode::Full);
    let post = || Browser::new().request(&Method::POST, PATH);
    let answer = site.send(with(post(), "origin", "https://evil.example"));
    assert_eq!((answer.status().as_u16(), cookies(&answer).len()), (403, 0));
    let answer = site.send(Browser::new().request(&Method::PUT, PATH));
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD, POST"));
}

#[test]
fn where_it_is_off_the_path_is_the_apps() {
    let privacy = Privacy { opt_out: false, ..Privacy::default() };
    let site = Site::with(Settings { privacy, ..Settings::default() }, |_, _| html("the app's"));
    assert_eq!(site.send(Browser::new().request(&Method::POST, PATH)).body(), "the app's");
}
