//! SQL and reports, from the server and from its folder.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::server::{Server, eventually, run, say, visitlog};
use crate::upstream::Upstream;

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().new_agent()
}

fn read(mut answer: http::Response<ureq::Body>) -> (u16, String) {
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// An answer of the admin address to a body.
fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let request = agent().post(format!("http://{}{path}", server.admin)).header("authorization", server.bearer());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    read(request.send(body).unwrap())
}

fn get(server: &Server, path: &str) -> (u16, String) {
    let request = agent().get(format!("http://{}{path}", server.admin)).header("authorization", server.bearer());
    read(request.call().unwrap())
}

fn error((found, body): (u16, String), status: u16) -> String {
    assert_eq!(found, status, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["detail"].is_string(), "{body}");
    body["code"].as_str().unwrap().to_owned()
}

/// What must be the same with a server and without.
fn check(data: &Path) {
    assert_eq!(say(&["query", "SELECT 1 AS x, 'a,b' AS y", "-o", "csv"], data), "x,y\n1,\"a,b\"\n");
    assert_eq!(
        say(&["query", "SELECT upper($1) AS x", "--param", "é'; --", "-o", "ndjson"], data),
        "{\"x\":\"É'; --\"}\n"
    );
    let tables = say(&["query", "SHOW TABLES"], data);
    assert!(tables.contains("visits") && tables.contains("events"), "{tables}");
    assert!(say(&["query", "DESCRIBE visits"], data).contains("started_at"));
    assert_eq!(
        say(&["query", "SELECT count(*) AS n FROM visits WHERE site = 'nowhere'", "-o", "json"], data),
        "[\n{\"n\":0}\n]\n"
    );

    let reports = "overview pages sources countries devices actions visits sites clients requests not_found downloads bots speed \
         online left_out";
    for report in reports.split(' ') {
        let found = say(&["report", report, "--site", "nowhere", "-o", "csv"], data);
        assert_eq!(
            found.lines().count(),
            if ["overview", "left_out"].contains(&report) { 2 } else { 1 },
            "{report}: {found}"
        );
    }
    let days = say(&["report", "--by", "day", "--from", "7d", "--tz", "Asia/Kolkata", "-o", "tsv"], data);
    assert!(days.starts_with("day\tstart\tvisitors\tvisits") && days.lines().count() == 9, "{days}");

    for (args, words) in [
        (vec!["query", "DROP TABLE visits"], "only reading is allowed"),
        (vec!["query", "COPY visits TO '/tmp/x.csv'"], "only reading is allowed"),
        (vec!["query", "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'"], "only reading is allowed"),
        (vec!["query", "SELECT * FROM '/etc/shadow_of_nothing'"], "/etc/shadow_of_nothing"),
        (vec!["query", "SELECT sites FROM visits"], "perhaps site"),
        (vec!["query", "SELECT 1 / 0"], "ivide by zero"),
        (vec!["report", "--filter", "contry=DE"], "perhaps country"),
        (vec!["report", "--from", "soon"], "a date (2026-11-21)"),
    ] {
        let said = refused(&run(&args, data));
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_server_and_its_folder_answer_the_same() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &["--query-rows", "100000"]);
    check(data);
    let url = format!("http://{}/", server.admin);
    let elsewhere = ["query", "SELECT 1 AS x", "-o", "csv", "--server", &url];
    let output = visitlog().args(elsewhere).env("VISITLOG_TOKEN", &server.token).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "x\n1\n");

    // The reason of a result that broke off comes after it.
    let long = "SELECT value, md5(CAST(value AS VARCHAR)) FROM generate_series(1, 1000000)";
    let output = run(&["query", long, "-o", "csv"], data);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("more than 100000 rows"), "{said}");
    let out = data.join("out.csv");
    let output = run(&["query", long, "-o", "csv", "--out", out.to_str().unwrap()], data);
    assert!(!output.status.success() && !out.exists(), "a part is not taken for the whole");

    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    check(data);
    let within = "SELECT value FROM generate_series(1, 3)";
    say(&["query", within, "-o", "csv", "--out", out.to_str().unwrap()], data);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "value\n1\n2\n3\n");
}

#[test]
fn the_admin_address_takes_sql_as_text_and_json() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let json_type = &[("content-type", "application/json")];
    assert_eq!(post(&server, "/api/v1/query", &[], "SELECT 1 AS x"), (200, "[\n{\"x\":1}\n]\n".to_owned()));
    assert_eq!(post(&server, "/api/v1/query?format=csv", &[], "SELECT 1 AS x"), (200, "x\n1\n".to_owned()));
    let body = json!({ "sql": "SELECT $1 AS a, $2 AS b", "params": ["x", 2], "format": "tsv" }).to_string();
    assert_eq!(post(&server, "/api/v1/query", json_type, &body), (200, "a\tb\nx\t2\n".to_owned()));
    let (status, found) = get(&server, "/api/v1/reports/sources?by=source&filter=country%3DDE&format=csv");
    assert_eq!((status, found.as_str()), (200, "source,visitors,visits,page_views,bounce_rate,visit_duration_s\n"));

    let query = |headers: &[(&str, &str)], body: &str| post(&server, "/api/v1/query", headers, body);
    assert_eq!(error(query(&[], "INSERT INTO visits VALUES (1)"), 400), "not_allowed");
    assert_eq!(error(query(&[], "SELEC 1"), 400), "bad_sql");
    assert_eq!(error(query(&[], "SELECT x FROM visits"), 400), "unknown_column");
    assert_eq!(error(query(json_type, "{\"sq\": 1}"), 400), "bad_request");
    assert_eq!(
        error(query(&[("content-type", "application/x-www-form-urlencoded")], "sql=SELECT"), 400),
        "bad_request"
    );
    assert_eq!(error(query(&[("origin", "http://evil.example")], "SELECT 1"), 403), "cross_site");
    assert_eq!(error(get(&server, "/api/v1/reports/overwiev"), 400), "bad_report");
}

#[test]
fn who_stops_reading_stops_the_query() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &["--query-rows", "1000000000000", "--query-time", "1h"]);
    let endless = "SELECT value FROM generate_series(1, 100000000000)";
    for _ in 0..6 {
        let mut child = visitlog()
            .args(["query", endless, "-o", "csv", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "value");
        drop(lines);
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    }
    // More statements have been begun than may run at once.
    eventually("a turn", || run(&["query", "SELECT 1"], data).status.success());
    drop(server);
}

#[test]
fn ctrl_c_ends_a_query_and_leaves_nothing() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &["--query-rows", "1000000000000", "--query-time", "1h"]);
    let results = tempfile::tempdir().unwrap();
    let out = results.path().join("endless.csv");
    let interrupt = || {
        let endless = "SELECT value FROM generate_series(1, 100000000000)";
        let mut child = visitlog()
            .args(["query", endless, "-o", "csv", "--query-rows", "1000000000000", "--data"])
            .arg(data)
            .arg("--out")
            .arg(&out)
            .spawn()
            .unwrap();
        eventually("a part of the result", || {
            std::fs::read_dir(results.path()).unwrap().any(|file| file.unwrap().metadata().unwrap().len() > 100_000)
        });
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "as a shell says of it");
        assert_eq!(std::fs::read_dir(results.path()).unwrap().count(), 0, "half a result is none");
    };
    interrupt();
    // The server goes on with others.
    eventually("a turn", || run(&["query", "SELECT 1"], data).status.success());
    server.end();
    interrupt();
    assert!(run(&["query", "SELECT 1"], data).status.success());
}
