//! The proxy's own access log: what it holds and what not, and that an import of it gives the visits that were recorded.

use std::fs;
use std::path::Path;

use crate::http::Browser;
use crate::server::{Server, eventually, say};
use crate::upstream::Upstream;

const SITE: (&str, &str) = ("Host", "shop.example");

/// What both tell alike: each visit's pages, errors and requests, in their order.
const ALIKE: &str = "SELECT v.user_agent, v.site, v.page_views, e.kind, e.host, split_part(e.path, ';', 1) AS path, e.query, \
                     e.method, e.status FROM events AS e JOIN visits AS v ON v.visit_id = e.visit_id \
                     WHERE e.kind IN ('page_view', 'page_error', 'request') ORDER BY v.started_at, v.user_agent, e.seq";
/// Visits of which the log tells the start, though not what was named in them.
const COUNT: &str = "SELECT count(*) AS n, sum(page_views) AS pages FROM visits";
/// To the microsecond.
const TIMES: &str = "SELECT time, status FROM events WHERE kind IN ('page_view', 'page_error') ORDER BY time";

/// Visitors of all kinds. The first one's visit, and all tokens that were given.
fn traffic(server: &Server) -> (String, Vec<String>) {
    let mut tokens = Vec::new();
    let mut first = Browser::new(server.site, "Mozilla/5.0 (first) Gecko/1");
    let mut visit = String::new();
    for (path, headers) in [
        ("/?token=hunter2&page=1", &[("Cookie", "sid=secret-of-the-site")][..]),
        ("/app.js", &[]),
        (
            "/list;jsessionid=0123456789ABCDEF0123456789ABCDEF?q=a+b",
            &[("Referer", "http://user:hunter2@a.example/?key=hunter2")],
        ),
        // No page, though its path looks like one; a page, though its path does not.
        ("/api/basket", &[("X-Answer", "Visitlog-Page: ?0")]),
        ("/report.pdf", &[("X-Answer", "Visitlog-Page: ?1")]),
        ("/none", &[("X-Status", "404")]),
        ("/part", &[("X-Requested-With", "XMLHttpRequest")]),
        ("/order", &[("X-Action", "Order placed"), ("X-Answer", "Visitlog-Page: ?0")]),
        ("/healthz", &[]),
        ("/last", &[]),
    ] {
        let headers: Vec<_> = headers.iter().copied().chain([SITE]).collect();
        let answer = first.get(path, &headers);
        tokens.extend(answer.token());
        if let Some(told) = answer.seen().visit() {
            told.clone_into(&mut visit);
        }
    }
    // One who logs out and comes again, one whose visit is nothing but what the site named, and one that keeps no cookie.
    let mut second = Browser::new(server.site, "Mozilla/5.0 (second)");
    second.get("/in", &[SITE, ("X-Login", "alice@shop.example")]);
    second.get("/out", &[SITE, ("X-Logout", "1")]);
    second.get("/again", &[SITE]);
    tokens.extend(second.token.clone());
    let mut third = Browser::new(server.site, "Mozilla/5.0 (third)");
    third.get("/subscribe", &[SITE, ("X-Action", "Subscribed"), ("X-Answer", "Visitlog-Page: ?0")]);
    tokens.extend(third.token.clone());
    let mut forgetful = Browser::new(server.site, "curl/8 (\"quoted\" \\ agent)");
    forgetful.keeps = false;
    for page in 0..8 {
        tokens.extend(forgetful.get(&format!("/f{page}"), &[SITE]).token());
    }
    (visit, tokens)
}

/// A server that keeps a log of this format, its traffic, its end. The first visit's id.
fn recorded(data: &Path, log: &Path, format: &str) -> String {
    let upstream = Upstream::start();
    let options = ["--access-log", log.to_str().unwrap(), "--access-log-format", format, "--site", SITE.1];
    let server = Server::start(data, &upstream, &options);
    let (visit, tokens) = traffic(&server);
    eventually("the lines to be written", || server.metric("visitlog_access_log_lines_total") >= 22.0);
    assert_eq!(server.metric("visitlog_access_log_lost_lines_total"), 0.0);
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
    let text = fs::read_to_string(log).unwrap();
    for secret in tokens.iter().map(String::as_str).chain([
        "hunter2",
        "secret-of-the-site",
        "0123456789ABCDEF",
        "alice",
        "127.0.0.1",
    ]) {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    visit
}

#[test]
fn an_import_of_our_own_log_gives_the_visits_that_were_recorded() {
    for format in ["w3c", "combined", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let [data, imported] = ["data", "imported"].map(|name| folder.path().join(name));
        let log = folder.path().join("access.log");
        recorded(&data, &log, format);
        let text = fs::read_to_string(&log).unwrap();
        let said = say(&["import", log.to_str().unwrap(), "--final"], &imported);
        assert!(said.contains(" 0 rejected"), "{said}\n{text}");
        let csv = |sql: &str, data: &Path| say(&["query", sql, "-o", "csv"], data);
        let expected = csv(ALIKE, &data);
        assert!(expected.lines().count() > 15 && expected.contains("/list"), "{expected}");
        // What it tells by the second has no order within one.
        let in_order = |rows: String| {
            let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
            if format == "combined" {
                rows.sort();
            }
            rows
        };
        // `+` is a space in W3C's user agents; none of these has one.
        assert_eq!(in_order(csv(ALIKE, &imported)), in_order(expected), "{format}\n{text}");
        assert_eq!(csv(COUNT, &imported), csv(COUNT, &data), "{format}\n{text}");
        if format != "combined" {
            assert_eq!(csv(TIMES, &imported), csv(TIMES, &data), "{format}\n{text}");
        }
    }
}

#[test]
fn the_queries_of_logparser_find_a_visit_in_our_own_log() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("access.log"));
    let visit = recorded(&data, &log, "w3c");
    let query = |sql: &str| {
        let mut command = crate::server::visitlog();
        let output = command.args(["query", sql, "-o", "csv"]).current_dir(folder.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{sql}\n{out}{err}");
        out.into_owned()
    };
    let stems = query(&format!("SELECT cs-uri-stem from access.log where cs(Cookie)='visitlog={visit}'"));
    let expected =
        ["/", "/app.js", "/list", "/api/basket", "/report.pdf", "/none", "/part", "/order", "/healthz", "/last"];
    let stems: Vec<&str> = stems.lines().skip(1).map(|line| line.split(';').next().unwrap()).collect();
    assert_eq!(stems, expected);
    let groups = query("SELECT cs(Cookie),count(*) from access.log GROUP BY cs(Cookie)");
    assert!(groups.contains(&format!("visitlog={visit},10\n")), "{groups}");
}

#[test]
fn another_program_may_put_the_log_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("access.log"));
    let upstream = Upstream::start();
    let options = ["--access-log", log.to_str().unwrap(), "--access-log-rotate", "never"];
    let server = Server::start(&data, &upstream, &options);
    let mut browser = Browser::new(server.site, "Mozilla/5.0");
    let count = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    browser.get("/1", &[]);
    eventually("a line", || count("access.log") == 1);
    fs::rename(&log, folder.path().join("old")).unwrap();
    browser.get("/2", &[]);
    eventually("a line in the file that was put aside", || count("old") == 2);
    server.hang_up();
    eventually("a new file", || {
        browser.get("/3", &[]);
        count("access.log") > 0
    });
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}

#[test]
fn a_log_that_can_not_be_written_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start();
    let log = folder.path().join("nowhere/access.log");
    let options = ["--access-log", log.to_str().unwrap()];
    let (status, said) = Server::try_start(&folder.path().join("data"), &upstream, &options).err().expect("refused");
    assert!(!status.success() && said.contains("nowhere/access.log") && said.contains("No such file"), "{said}");
}
