//! Privacy modes: what each must not keep is searched for in every byte of the data folder, and in what SQL says.

use std::path::Path;

use serde_json::Value;

use crate::erase::{Traces, found, id, text};
use crate::http::Browser;
use crate::server::{Server, eventually, say};
use crate::upstream::Upstream;

const ADDRESS: &str = "2001:db8:66::4321";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Erikas-Own/7 Gecko/20100101 Firefox/140.0";
const USER: &str = "erika-mustermann";
const REFERRER: &str = "https://mail.example/erikas-inbox?folder=erikas-folder";
const SITE_COOKIE: &str = "shop-session=erikas-shop-session";
const OUT: &str = "/.well-known/visitlog/opt-out";

/// What names or follows a person, with a word for it.
fn personal() -> Traces {
    let ip: std::net::Ipv6Addr = ADDRESS.parse().unwrap();
    let mut traces: Traces = [
        USER,
        "erikas-plan",
        "erikas-property",
        "erikas-query",
        ADDRESS,
        "Erikas-Own",
        "erikas-inbox",
        "erikas-folder",
        "erikas-shop-session",
        "rm-CH",
    ]
    .into_iter()
    .map(text)
    .collect();
    traces.push(("the address in binary".to_owned(), ip.octets().to_vec()));
    traces
}

/// Which of them `full` keeps: all but the site's own cookies.
fn kept_in_full(trace: &str) -> bool {
    trace != "erikas-shop-session"
}

struct Site {
    folder: tempfile::TempDir,
    server: Server,
    _upstream: Upstream,
}

impl Site {
    fn start(args: &[&str]) -> Self {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        let usual = ["--ip", "full", "--trusted-proxy", "127.0.0.0/8"];
        let server = Server::start(&folder.path().join("data"), &upstream, &[&usual, args].concat());
        Self { folder, server, _upstream: upstream }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn browser(&self) -> Browser {
        Browser::new(self.server.site, AGENT)
    }

    /// What the whole folder has of these, while it runs, and once it has ended.
    fn end_and_find(self, traces: &Traces) -> Vec<String> {
        let data = self.data();
        // Brings what has ended to the tables, and erases nobody.
        say(&["erase", "--user", "nobody"], &data);
        let mut hits = found(&data, traces);
        let (status, log) = self.server.end();
        assert!(status.success(), "{log}");
        hits.extend(found(&data, traces));
        hits
    }
}

/// A visit with everything in it that could follow a person: two pages, and a goodbye if it is to end.
fn visit(browser: &mut Browser, more: &[(&str, &str)], ends: bool) {
    let usual = [
        ("X-Forwarded-For", ADDRESS),
        ("Referer", REFERRER),
        ("Accept-Language", "rm-CH,rm;q=0.9"),
        ("Cookie", SITE_COOKIE),
        ("X-Login", USER),
        ("X-Set", "plan=erikas-plan"),
        ("X-Answer", "Visitlog-Action: \"Looked\";type=look;what=\"erikas-property\""),
    ];
    let with = |last: &[(&'static str, &'static str)]| [&usual, more, last].concat();
    browser.get("/shop?name=erikas-query&utm_source=letter", &with(&[]));
    browser.get("/cart", &with(if ends { &[("X-End", "1")] } else { &[] }));
}

fn names(hits: &[String], traces: &Traces) -> Vec<String> {
    let is_hit = |name: &str| hits.iter().any(|hit| hit.starts_with(&format!("{name} in ")));
    traces.iter().map(|(name, _)| name.clone()).filter(|name| is_hit(name)).collect()
}

fn rows(data: &Path, sql: &str) -> Vec<Value> {
    serde_json::from_str(&say(&["query", sql, "-o", "json"], data)).unwrap()
}

#[test]
fn full_keeps_what_its_table_says() {
    let site = Site::start(&[]);
    assert!(site.server.log().contains("mode=\"full\""), "a start names the mode: {}", site.server.log());
    let mut browser = site.browser();
    visit(&mut browser, &[], true);
    visit(&mut browser, &[], false);
    let token = browser.token.clone().expect("a cookie");
    let mut traces = personal();
    traces.push(text(&token));
    let hits = site.end_and_find(&traces);
    let expected: Vec<String> =
        traces.iter().map(|(name, _)| name.clone()).filter(|name| kept_in_full(name) && *name != token).collect();
    assert_eq!(names(&hits, &traces), expected, "and so the search is not blind");
}

#[test]
fn without_consent_there_are_only_counts() {
    let site = Site::start(&["--privacy-mode", "consent"]);
    assert!(site.server.log().contains("mode=\"consent\""), "{}", site.server.log());
    let (data, mut browser) = (site.data(), site.browser());
    for _ in 0..3 {
        visit(&mut browser, &[], false);
    }
    assert_eq!(browser.token, None, "no cookie");
    assert_eq!(site.server.metric("visitlog_requests_not_recorded_total{reason=\"no_consent\"}"), 6.0);
    let counts = "SELECT path, sum(requests) AS n FROM requests GROUP BY path ORDER BY path";
    eventually("counts to be stored", || rows(&data, counts).len() == 2);
    let expected = serde_json::json!([{"path": "/cart", "n": 3}, {"path": "/shop", "n": 3}]);
    assert_eq!(Value::from(rows(&data, counts)), expected);
    assert_eq!(rows(&data, "SELECT count(*) AS n FROM visits")[0]["n"], 0);
    // There is nothing to export or to erase.
    assert_eq!(say(&["export", "--user", USER], &data), "[]\n");
    assert!(say(&["erase", "--user", USER], &data).starts_with("erased: 0 visits with a login and 0 anonymous"));
    let mut traces = personal();
    traces.push(text(browser.agent.as_str()));
    assert_eq!(site.end_and_find(&traces), Vec::<String>::new());
}

#[test]
fn counts_are_stored_when_the_server_ends() {
    let site = Site::start(&["--privacy-mode", "consent", "--flush-after", "1h"]);
    let data = site.data();
    visit(&mut site.browser(), &[], false);
    site.server.end();
    assert_eq!(rows(&data, "SELECT sum(requests) AS n FROM requests")[0]["n"], 2);
}

#[test]
fn consent_begins_and_ends_a_record() {
    let site = Site::start(&["--privacy-mode", "consent"]);
    let (data, mut browser) = (site.data(), site.browser());
    browser.get("/before-consent", &[("X-Forwarded-For", ADDRESS)]);
    let agrees = ("X-Answer", "Visitlog-Consent: ?1");
    visit(&mut browser, &[agrees], false);
    let token = browser.token.clone().expect("a cookie remembers it");
    browser.get("/while-agreed", &[("X-Forwarded-For", ADDRESS)]);
    let answer = browser.get("/withdraws", &[("X-Answer", "Visitlog-Consent: ?0"), ("X-Forwarded-For", ADDRESS)]);
    assert!(
        answer.our_cookie().is_some_and(|cookie| cookie.starts_with("visitlog=; ") && cookie.contains("Max-Age=0"))
    );
    assert_eq!(browser.token, None);
    browser.get("/after-consent", &[("X-Forwarded-For", ADDRESS)]);
    let sql = "SELECT path FROM events WHERE kind = 'page_view' ORDER BY time, seq";
    let paths: Vec<Value> = rows(&data, sql).into_iter().map(|mut row| row["path"].take()).collect();
    assert_eq!(paths, ["/shop", "/cart", "/while-agreed"]);
    let visits = rows(&data, "SELECT visitor_id, end_reason FROM visits");
    assert_eq!((visits.len(), visits[0]["end_reason"].as_str()), (1, Some("abandoned")), "{visits:?}");
    // What was recorded is exported and erased.
    let visitor = visits[0]["visitor_id"].as_str().unwrap();
    let export = say(&["export", "--visitor", visitor], &data);
    assert!(export.contains(USER) && export.contains("/while-agreed") && !export.contains("/withdraws"), "{export}");
    let mut traces = personal();
    traces.extend(id(visitor));
    traces.push(text(&token));
    assert!(!found(&data, &traces).is_empty(), "is the search blind?");
    say(&["erase", "--visitor", visitor], &data);
    assert_eq!(site.end_and_find(&traces), Vec::<String>::new());
}

#[test]
fn a_sites_own_cookie_is_the_consent() {
    let site = Site::start(&["--privacy-mode", "consent", "--consent-cookie", "OptanonConsent=C0002:1"]);
    let (data, mut browser) = (site.data(), site.browser());
    browser.get("/no", &[("Cookie", "OptanonConsent=groups=C0001%3A1%2CC0002%3A0")]);
    assert_eq!(browser.token, None);
    browser.get("/yes", &[("Cookie", "OptanonConsent=groups=C0001%3A1%2CC0002%3A1")]);
    assert!(browser.token.is_some());
    browser.get("/not-any-more", &[("Cookie", "OptanonConsent=groups=C0001%3A1%2CC0002%3A0")]);
    assert_eq!(browser.token, None);
    let rows = rows(&data, "SELECT entry_path, exit_path, end_reason FROM visits");
    let expected = serde_json::json!([{"entry_path": "/yes", "exit_path": "/yes", "end_reason": "abandoned"}]);
    assert_eq!(Value::from(rows), expected);
}

#[test]
fn statistics_keep_nobody() {
    let site = Site::start(&["--privacy-mode", "statistics"]);
    assert!(site.server.log().contains("mode=\"statistics\""), "{}", site.server.log());
    let (data, mut browser) = (site.data(), site.browser());
    visit(&mut browser, &[], true);
    visit(&mut browser, &[], false);
    let token = browser.token.clone().expect("a cookie of a day");
    let sql = "SELECT visitor_id, user_id, ip, user_agent, referrer, referrer_domain, region, city, language, browser, \
               browser_version, os, device, session_values, page_views, utm_source FROM visits ORDER BY started_at LIMIT 1";
    let row = rows(&data, sql).remove(0);
    for column in ["user_id", "ip", "user_agent", "region", "city"] {
        assert_eq!(row[column], Value::Null, "{column}: {row}");
    }
    assert_eq!(
        (row["referrer_domain"].as_str(), row["language"].as_str()),
        (Some("mail.example"), Some("rm")),
        "{row}"
    );
    assert_eq!((row["page_views"].as_i64(), row["utm_source"].as_str()), (Some(2), Some("letter")), "{row}");
    let known =
        rows(&data, "SELECT ua_browser('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0') AS b");
    if known[0]["b"] != Value::Null {
        assert_eq!((row["browser"].as_str(), row["browser_version"].as_str()), (Some("Firefox"), Some("140")), "{row}");
    }
    // There is no user to export; a visitor of the day can be.
    assert_eq!(say(&["export", "--user", USER], &data), "[]\n");
    let visitor = row["visitor_id"].as_str().unwrap().to_owned();
    let export: Vec<Value> = serde_json::from_str(&say(&["export", "--visitor", &visitor], &data)).unwrap();
    assert_eq!(export.len(), 2, "{export:#?}");
    let mut traces = personal();
    traces.push(text(&token));
    assert_eq!(found(&data, &traces), Vec::<String>::new());
    say(&["erase", "--visitor", &visitor], &data);
    assert_eq!(say(&["export", "--visitor", &visitor], &data), "[]\n");
    traces.extend(id(&visitor));
    assert_eq!(site.end_and_find(&traces), Vec::<String>::new());
}

#[test]
fn signals_are_followed_as_the_settings_say() {
    let site = Site::start(&["--gpc", "no-record", "--dnt", "no-user"]);
    let data = site.data();
    let mut browser = site.browser();
    visit(&mut browser, &[("Sec-GPC", "1")], true);
    assert_eq!(browser.token, None);
    assert_eq!(site.server.metric("visitlog_requests_not_recorded_total{reason=\"signal\"}"), 2.0);
    assert_eq!(found(&data, &personal()), Vec::<String>::new());
    visit(&mut browser, &[("DNT", "1")], false);
    assert!(browser.token.is_some());
    let traces = personal();
    let hits = site.end_and_find(&traces);
    let of_a_user = [USER, "erikas-plan", "erikas-property", "erikas-shop-session"];
    let expected: Vec<String> =
        traces.iter().map(|(name, _)| name.clone()).filter(|name| !of_a_user.contains(&name.as_str())).collect();
    assert_eq!(names(&hits, &traces), expected);
}

#[test]
fn who_opts_out_leaves_no_more_traces() {
    let site = Site::start(&[]);
    let data = site.data();
    let mut browser = site.browser();
    browser.get("/first", &[]);
    let page = browser.get(OUT, &[]);
    assert!(page.status == 200 && page.body.contains("Do not record my visits"), "{}", page.body);
    let token = browser.token.clone().expect("a cookie");
    let request = format!(
        "POST {OUT} HTTP/1.1\r\nHost: {}\r\nCookie: visitlog={token}\r\nContent-Length: 0\r\n\r\n",
        site.server.site
    );
    let mut conn = crate::http::Conn::open(site.server.site).unwrap();
    conn.send(request.as_bytes()).unwrap();
    let answer = conn.answer().unwrap();
    assert_eq!((answer.status, answer.first("location")), (303, Some(OUT)));
    assert!(answer.all("set-cookie").iter().any(|cookie| cookie.starts_with("visitlog-opt-out=1; ")));
    assert_eq!(rows(&data, "SELECT end_reason FROM visits")[0]["end_reason"], "abandoned");
    let mut browser = site.browser();
    let out = ("Cookie", "visitlog-opt-out=1");
    assert!(browser.get(OUT, &[out]).body.contains("You have opted out"));
    visit(&mut browser, &[out], false);
    assert_eq!(browser.token, None);
    assert_eq!(site.server.metric("visitlog_requests_not_recorded_total{reason=\"opted_out\"}"), 2.0);
    let mut traces = personal();
    traces.retain(|(name, _)| name != "Erikas-Own");
    assert_eq!(site.end_and_find(&traces), Vec::<String>::new());
}

#[test]
fn a_site_has_a_mode_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("visitlog.toml");
    std::fs::write(&file, "[site.\"eu.example\".privacy]\nmode = \"consent\"\n").unwrap();
    let site = Site::start(&["--config", file.to_str().unwrap()]);
    let log = site.server.log();
    assert!(log.contains("site=\"eu.example\"") && log.contains("mode=\"consent\""), "{log}");
    let token = |host: &str| {
        let mut browser = site.browser();
        browser.get("/", &[("Host", host)]);
        browser.token
    };
    assert_eq!((token("eu.example").is_some(), token("us.example").is_some()), (false, true));
}
