//! Who may ask the admin address, with real servers and the real command line.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::http::{Browser, Conn};
use crate::personal;
use crate::server::{Server, eventually, run, say, visitlog};
use crate::upstream::Upstream;

const PASSWORD: &str = "correct horse battery staple";
const JSON: (&str, &str) = ("content-type", "application/json");
/// As a page of the admin address sends it.
const OWN_PAGE: (&str, &str) = ("sec-fetch-site", "same-origin");

/// An answer.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["code"].as_str().unwrap().to_owned()
    }

    /// What a browser would send back.
    fn cookies(&self) -> String {
        let set = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let pairs: Vec<&str> = set.filter_map(|value| value.split(';').next()).collect();
        pairs.iter().filter_map(|pair| pair.split_once('=')).for_each(|(_, value)| personal::note(value));
        pairs.join("; ")
    }
}

fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
    let request = http::Request::builder().method(method).uri(format!("http://{}{path}", server.admin));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = match method {
        "GET" | "DELETE" => config.new_agent().run(request.body(()).unwrap()),
        _ => config.new_agent().run(request.body(body.to_owned()).unwrap()),
    };
    let (parts, mut body) = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")).into_parts();
    let body = body.with_config().limit(u64::MAX).read_to_vec().unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

fn sign_in(server: &Server, name: &str, password: &str, cookies: &str) -> Answer {
    let body = json!({ "name": name, "password": password }).to_string();
    ask(server, "POST", "/api/v1/session", &[JSON, OWN_PAGE, ("cookie", cookies)], &body)
}

/// A command with something on standard input.
fn tell(args: &[&str], data: &Path, input: &str) -> String {
    let mut child = visitlog()
        .args(args)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A token of the command line's making.
fn token(data: &Path, scope: &str) -> String {
    let made = say(&["token", "add", scope, "--scope", scope], data).trim().to_owned();
    personal::note(&made);
    format!("Bearer {made}")
}

#[test]
fn before_there_is_an_account_only_the_link_and_the_command_line_get_in() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &[]);
    assert_eq!(ask(&server, "GET", "/healthz", &[], "").status, 200);
    // The dashboard's own files say nothing about anybody.
    for path in ["/", "/visits"] {
        let page = ask(&server, "GET", path, &[], "");
        assert_eq!(
            (page.status, page.headers["content-type"].as_bytes()),
            (200, &b"text/html; charset=utf-8"[..]),
            "{path}"
        );
        assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
    }
    for path in ["/metrics", "/api/v1/visits", "/api/v1/users", "/api/v1/session", "/nowhere"] {
        let answer = ask(&server, "GET", path, &[], "");
        assert_eq!((answer.status, answer.code().as_str()), (401, "not_set_up"), "{path}");
    }
    assert_eq!(sign_in(&server, "ann", PASSWORD, "").code(), "not_set_up");
    assert!(say(&["visits"], data).contains("visit"), "the command line works");

    let link = server.set_up.clone().unwrap();
    let key = link.split_once('=').unwrap().1;
    personal::note(key);
    assert_eq!(ask(&server, "GET", "/setup", &[], "").code(), "wrong_link");
    assert_eq!(ask(&server, "GET", &link[..link.len() - 1], &[], "").code(), "wrong_link");
    let form = ask(&server, "GET", &link, &[], "");
    assert_eq!((form.status, form.headers["content-type"].as_bytes()), (200, &b"text/html; charset=utf-8"[..]));
    assert!(form.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let fill = |key: &str, password: &str| {
        let body = format!("key={key}&name=Ann&password={}", password.replace(' ', "+"));
        let kind = ("content-type", "application/x-www-form-urlencoded");
        ask(&server, "POST", "/setup", &[kind, OWN_PAGE], &body)
    };
    assert_eq!(fill("wrong", PASSWORD).code(), "wrong_link");
    assert_eq!(fill(key, "short").status, 422);
    let done = fill(key, PASSWORD);
    assert_eq!((done.status, done.headers["location"].as_bytes()), (303, &b"/"[..]), "{}", done.body);
    let cookies = done.cookies();
    let who = ask(&server, "GET", "/api/v1/session", &[("cookie", &cookies)], "").json();
    assert_eq!((&who["who"], &who["role"]), (&json!("user ann"), &json!("admin")));
    assert_eq!(fill(key, PASSWORD).status, 404, "once");
    assert_eq!(ask(&server, "GET", &link, &[], "").status, 404);
    assert_eq!(ask(&server, "GET", "/api/v1/visits", &[], "").code(), "unauthorized");

    // A restart signs nobody out, but gives the command line another token, and prints no link.
    let old = server.bearer();
    server.end();
    let server = Server::start(data, &upstream, &[]);
    assert_eq!(server.set_up, None);
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[("cookie", &cookies)], "").status, 200);
    assert_eq!(ask(&server, "GET", "/metrics", &[("authorization", &old)], "").status, 401);
    let out = ask(&server, "DELETE", "/api/v1/session", &[("cookie", &cookies), OWN_PAGE], "");
    assert_eq!(out.status, 204);
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[("cookie", &cookies)], "").status, 401);
}

#[test]
fn the_command_line_makes_accounts_and_tokens_with_and_without_a_server() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    tell(&["user", "add", "ann", "--role", "admin"], data, PASSWORD);
    let made = say(&["token", "add", "prometheus", "--scope", "metrics", "--expires-in-days", "9"], data);
    let bearer = format!("Bearer {}", made.trim());
    let server = Server::start(data, &upstream, &[]);
    assert_eq!(server.set_up, None, "there is an account");
    assert_eq!(ask(&server, "GET", "/metrics", &[("authorization", &bearer)], "").status, 200);
    assert_eq!(ask(&server, "GET", "/api/v1/visits", &[("authorization", &bearer)], "").code(), "forbidden");
    let session = sign_in(&server, "ANN", PASSWORD, "").cookies();
    tell(&["user", "add", "bob"], data, PASSWORD);
    say(&["user", "role", "bob", "analyst"], data);
    let listed = say(&["user", "list"], data);
    assert!(listed.contains("ann") && listed.contains("bob") && listed.contains("analyst"), "{listed}");
    assert!(!run(&["user", "remove", "ann"], data).status.success(), "the last admin");
    tell(&["user", "password", "ann"], data, "another horse battery staple");
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[("cookie", &session)], "").status, 401);
    assert_eq!(sign_in(&server, "ann", PASSWORD, "").code(), "wrong_password");
    assert_eq!(sign_in(&server, "ann", "another horse battery staple", "").status, 204);
    let tokens = say(&["token", "list"], data);
    let id = tokens.lines().find(|line| line.contains("prometheus")).unwrap().split(' ').next().unwrap();
    assert!(!tokens.contains(made.trim()));
    say(&["token", "remove", id], data);
    assert_eq!(ask(&server, "GET", "/metrics", &[("authorization", &bearer)], "").status, 401);
    server.end();
    say(&["user", "remove", "bob"], data);
    assert!(!say(&["user", "list"], data).contains("bob"));
    let log = std::fs::read_to_string(data.join("admin/audit.ndjson")).unwrap();
    for words in ["add_user", "sign_in", "POST /api/v1/users", "PATCH /api/v1/users/ann", "DELETE /api/v1/tokens/"] {
        assert!(log.contains(words), "{words} expected in\n{log}");
    }
    assert!(!log.contains(PASSWORD) && !log.contains(made.trim()));
}

/// A way to come, and what it may do.
struct Way {
    name: String,
    headers: Vec<(&'static str, String)>,
    may: Vec<String>,
}

/// Everybody who could ask.
fn ways(server: &Server, data: &Path) -> Vec<Way> {
    let all = ["metrics", "read", "query", "operate", "export", "erase", "admin"];
    let known = |scopes: &[&str]| scopes.iter().chain(&["caller"]).map(|scope| (*scope).to_owned()).collect();
    let way = |name: &str, header: &'static str, value: String, may: Vec<String>| Way {
        name: name.to_owned(),
        headers: vec![(header, value), (OWN_PAGE.0, OWN_PAGE.1.to_owned())],
        may,
    };
    let mut ways = vec![
        Way { name: "nobody".to_owned(), headers: Vec::new(), may: Vec::new() },
        way("a token that is none", "authorization", "Bearer vlt_none".to_owned(), Vec::new()),
        way("a password", "authorization", "Basic YW5uOmNvcnJlY3Q=".to_owned(), Vec::new()),
        way("a session that is none", "cookie", "visitlog-admin=none".to_owned(), Vec::new()),
        way("the command line", "authorization", server.bearer(), known(&all)),
    ];
    for scope in all {
        ways.push(way(&format!("a token for {scope}"), "authorization", token(data, scope), known(&[scope])));
    }
    for (role, may) in [("viewer", &all[..2]), ("analyst", &all[..3]), ("admin", &all[..])] {
        tell(&["user", "add", role, "--role", role], data, PASSWORD);
        ways.push(way(
            &format!("a session of a {role}"),
            "cookie",
            sign_in(server, role, PASSWORD, "").cookies(),
            known(may),
        ));
    }
    ways
}

#[test]
fn every_request_that_there_is_asks_everybody_who_he_is() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    tell(&["user", "add", "ann", "--role", "admin"], data, PASSWORD);
    let server = Server::start(data, &upstream, &[]);
    let ways = ways(&server, data);
    let described: Value = serde_json::from_slice(&visitlog().arg("openapi").output().unwrap().stdout).unwrap();
    let mut asked = 0;
    for (pattern, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let needs = operation["x-needs"].as_str().unwrap();
            let path = pattern.replace("{id}", "0").replace("{name}", "nothing").replace("{order}", "nothing");
            // Not the session that is asked for again and again.
            if (method.as_str(), pattern.as_str()) == ("delete", "/api/v1/session") {
                continue;
            }
            for way in &ways {
                if pattern == "/api/v1/live" && way.may.iter().any(|scope| scope == needs) {
                    // It goes on for minutes: `visitlog online` reads it.
                    continue;
                }
                let headers: Vec<_> = way.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = ask(&server, &method.to_uppercase(), &path, &headers, "");
                let refused = matches!(answer.status, 401 | 403);
                let may = way.may.iter().any(|scope| scope == needs);
                let what = format!(
                    "{method} {pattern}, which needs {needs}, of {}: {} {}",
                    way.name, answer.status, answer.body
                );
                match needs {
                    "nothing" => assert!(!refused, "{what}"),
                    "set_up" => assert_eq!(answer.status, 404, "{what}"),
                    "password" => assert!(matches!(answer.status, 400 | 415), "{what}"),
                    _ if pattern.ends_with("/password") && may => {
                        assert_eq!(answer.status == 403, !way.name.starts_with("a session of"), "{what}");
                    }
                    _ => assert_eq!(refused, !may, "{what}"),
                }
                if refused {
                    let expected = if way.may.is_empty() { 401 } else { 403 };
                    assert_eq!(answer.status, expected, "{what}");
                    answer.code();
                }
                assert!(answer.status < 500, "{what}");
                assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{what}");
                assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
                asked += 1;
            }
        }
    }
    assert!(asked > 400, "{asked}");
    eprintln!("{asked} requests of {} ways to come", ways.len());
    // What is not there is no more open than what is.
    assert_eq!(ask(&server, "GET", "/api/v1/nothing", &[], "").status, 401);
    let bearer = server.bearer();
    let put = ask(&server, "PUT", "/api/v1/users", &[("authorization", &bearer)], "");
    assert_eq!((put.status, put.headers["allow"].to_str().unwrap()), (405, "GET, POST"));
    assert_eq!(ask(&server, "GET", "/api/v1/nothing", &[("authorization", &bearer)], "").status, 404);
}

#[test]
fn who_guesses_waits_and_who_knows_gets_in() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    tell(&["user", "add", "ann", "--role", "admin"], data, PASSWORD);
    let server = Server::start(data, &upstream, &[]);
    let known = sign_in(&server, "ann", PASSWORD, "").cookies();
    let device = known.split("; ").find(|pair| pair.starts_with("visitlog-device=")).unwrap().to_owned();
    let (mut looked_at, mut told_to_wait) = (Vec::new(), 0);
    for number in 0..60 {
        let name = if number % 2 == 0 { "ann" } else { "nobody-at-all" };
        let answer = sign_in(&server, name, "a wrong password indeed", "");
        match answer.status {
            401 => looked_at.push(answer.body),
            429 => {
                assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
                assert_eq!(answer.code(), "too_many_attempts");
                told_to_wait += 1;
            }
            other => panic!("{other} {}", answer.body),
        }
    }
    looked_at.dedup();
    assert_eq!(looked_at.len(), 1, "a name that there is and one that there is not look the same");
    assert!(told_to_wait > 40, "{told_to_wait} of 60");
    // The owner at the same address: with the mark of this browser, and by the command line.
    assert_eq!(sign_in(&server, "ann", PASSWORD, &device).status, 204);
    assert_eq!(ask(&server, "GET", "/api/v1/session", &[("cookie", &known)], "").status, 200, "and stays signed in");
    tell(&["user", "password", "ann"], data, "another horse battery staple");
    assert_eq!(sign_in(&server, "ann", "another horse battery staple", &device).status, 204);
    let log = server.ask("/api/v1/audit?limit=1000").1;
    assert!(log.contains("an unknown account") && !log.contains("nobody-at-all"), "{log}");
}

/// The status of a request whose bytes are what they are.
fn raw(server: &Server, head: &str) -> (u16, String) {
    let mut conn = Conn::open(server.admin).unwrap();
    conn.send(format!("{head}Authorization: {}\r\n\r\n", server.bearer()).as_bytes()).unwrap();
    let answer = conn.answer().unwrap();
    (answer.status, answer.body)
}

#[test]
fn other_sites_other_names_and_proxies_get_nothing_even_with_a_credential() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    tell(&["user", "add", "ann", "--role", "admin"], data, PASSWORD);
    let server = Server::start(data, &upstream, &["--admin-name", "admin.example.com"]);
    let admin = server.admin;
    let session = sign_in(&server, "ann", PASSWORD, "").cookies();
    let end = |headers: &[(&str, &str)]| {
        ask(&server, "POST", "/api/v1/sinks/ndjson/pause", &[&[("cookie", session.as_str())], headers].concat(), "")
    };
    let own = format!("http://{admin}");
    assert_eq!(end(&[OWN_PAGE]).status, 200);
    assert_eq!(end(&[("origin", &own)]).status, 200);
    for other in [
        &[("sec-fetch-site", "same-site")][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", "null")],
        &[],
    ] {
        assert_eq!(end(other).code(), "cross_site", "{other:?}");
    }
    // Another name for our address, in all places that a request has for one.
    for head in [
        "GET /api/v1/visits HTTP/1.1\r\nHost: evil.example\r\n".to_owned(),
        format!("GET /api/v1/visits HTTP/1.1\r\nHost: evil.example:{}\r\n", admin.port()),
        format!("GET http://evil.example/api/v1/visits HTTP/1.1\r\nHost: {admin}\r\n"),
        "GET /api/v1/visits HTTP/1.1\r\nHost: 127.0.0.1.nip.example\r\n".to_owned(),
    ] {
        let (status, body) = raw(&server, &head);
        assert!(matches!(status, 400 | 403), "{head}: {status} {body}");
    }
    let (status, body) =
        raw(&server, "GET /api/v1/visits HTTP/1.1\r\nHost: admin.example.com\r\nX-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(status, 200, "by the proxy that was named: {body}");
    for header in ["Via: 1.1 x", "X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7"] {
        let (status, body) = raw(&server, &format!("GET /api/v1/visits HTTP/1.1\r\nHost: {admin}\r\n{header}\r\n"));
        assert!(status == 403 && body.contains("proxied"), "{header}: {status} {body}");
    }
    // Through another server whose upstream is this admin address; one's own is refused at the start.
    let other = tempfile::tempdir().unwrap();
    let mut child = visitlog()
        .args(["serve", "--upstream", &own, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
        .arg(other.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let site = line.rsplit("http://").next().unwrap().trim().parse().unwrap();
    for host in [admin.to_string(), "localhost".to_owned(), "admin.example.com".to_owned()] {
        for path in ["/healthz", "/metrics", "/api/v1/visits", "/setup"] {
            let answer = Browser::new(site, "x").get(path, &[("Host", &host)]);
            assert!(matches!(answer.status, 401 | 403 | 404) || path == "/healthz", "{host}{path}: {}", answer.status);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What strangers write where they can.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "</title><iframe srcdoc='<script>alert(1)</script>'>",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE visits; --",
];

#[test]
fn what_strangers_write_is_harmless_in_every_answer() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &["--idle-timeout", "1h"]);
    for text in HOSTILE {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut browser = Browser::new(server.site, text);
        for path in [format!("/{escaped}?q={escaped}"), format!("/second?utm_source={escaped}")] {
            let login = [("Referer", text), ("X-Login", text)];
            browser.get(&path, &login);
            browser.get(&path, &login[..1]);
        }
    }
    eventually("sessions", || server.metric("visitlog_open_sessions") > 0.0);
    let bearer = server.bearer();
    let with = |method: &str, path: &str, body: &str| ask(&server, method, path, &[("authorization", &bearer)], body);
    let visits = with("GET", "/api/v1/visits?limit=100", "");
    assert!(visits.body.contains("onerror=alert"), "the corpus is there: {}", visits.body);
    let id = visits.json()[0]["visit_id"].as_str().unwrap().to_owned();
    let mut answers = vec![visits];
    for path in [
        format!("/api/v1/visits/{id}"),
        format!("/api/v1/sessions/{id}"),
        "/api/v1/sessions".to_owned(),
        "/api/v1/sites".to_owned(),
        "/metrics".to_owned(),
        "/api/v1/reports/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
        "/api/v1/sinks/%3Cscript%3E/quarantine".to_owned(),
        "/api/v1/visits/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
        "/api/v1/visits?%3Cscript%3E=1".to_owned(),
        "/api/v1/query/%3Cscript%3E".to_owned(),
        "/%3Cscript%3E".to_owned(),
        "/api/v1/export?user=%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
    ] {
        answers.push(with("GET", &path, ""));
    }
    for format in ["json", "ndjson", "csv", "tsv", "table", "csv-raw", "tsv-raw", "parquet"] {
        answers.push(with("GET", &format!("/api/v1/reports/pages?format={format}"), ""));
        let sql = "SELECT path, query, referrer, user_agent FROM events JOIN visits USING (visit_id)";
        answers.push(with("POST", &format!("/api/v1/query?format={format}"), sql));
        answers.push(with("POST", &format!("/api/v1/query?format={format}"), "SELECT '<script>' FROM \"<script>\""));
    }
    for answer in &answers {
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert!(!kind.contains("html") && !kind.contains("xml") && !kind.contains("svg"), "{kind}: {}", answer.body);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(answer.status < 500, "{}", answer.body);
    }
}

#[test]
fn readiness_ends_before_the_server_does() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let mut server = Server::start(folder.path(), &upstream, &["--drain-timeout", "20s"]);
    assert_eq!(ask(&server, "GET", "/readyz", &[], "").status, 200);
    // A request under way holds up the end.
    let mut slow = Conn::open(server.site).unwrap();
    slow.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Sleep: 4000\r\n\r\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.ask_to_end();
    eventually("the server to drain", || ask(&server, "GET", "/readyz", &[], "").status == 503);
    assert_eq!(ask(&server, "GET", "/healthz", &[], "").status, 200, "it lives");
    assert_eq!(slow.answer().unwrap().status, 200);
    assert!(server.wait().success());
}

#[test]
fn the_metrics_count_answers_their_times_and_what_the_upstream_fails_at() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    for _ in 0..3 {
        assert_eq!(browser.get("/", &[]).status, 200);
    }
    assert_eq!(server.metric("visitlog_http_requests_total{status=\"200\"}"), 3.0);
    assert_eq!(server.metric("visitlog_http_request_duration_seconds_count"), 3.0);
    assert_eq!(server.metric("visitlog_http_request_duration_seconds_bucket{le=\"+Inf\"}"), 3.0);
    assert_eq!(server.metric("visitlog_http_connections_total "), 1.0);
    assert_eq!(server.metric("visitlog_http_connections "), 1.0);
    server.end();
    let mut nowhere = upstream;
    nowhere.address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(folder.path(), &nowhere, &[]);
    assert_eq!(Browser::new(server.site, "browser").get("/", &[]).status, 502);
    assert_eq!(server.metric("visitlog_http_requests_total{status=\"502\"}"), 1.0);
    assert_eq!(server.metric("visitlog_upstream_failures_total{reason=\"unreachable\"}"), 1.0);
}
