//! `visitlog import`: what was imported counts once, whatever became of the file, and whatever befell the importer.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::dice;
use crate::server::{Server, run, say, visitlog};
use crate::upstream::Upstream;
use crate::weblog::{MORNING_S, WebLog, check_pages, end_all, gzip, line};
use visitlog_testkit::Dice;

#[test]
fn twice_grown_renamed_and_compressed_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (logs, dice) = (tempfile::tempdir().unwrap(), Dice::new(1));
    let mut log = WebLog::new(logs.path(), MORNING_S);
    let import = |name: &str| say(&["import", logs.path().join(name).to_str().unwrap()], &data);
    log.grow(100, &dice);
    assert!(import("access.log").contains("100 lines of 1 file"));
    assert!(import("access.log").contains("100 lines were imported before"));
    log.grow(100, &dice);
    let said = import("access.log");
    assert!(
        said.contains("100 lines: 100 parsed, 0 directives, 0 rejected (100 lines were imported before)"),
        "{said}"
    );
    fs::rename(log.path(), logs.path().join("access.log.1")).unwrap();
    assert!(import("access.log.1").contains("\n  0 lines"));
    gzip(&logs.path().join("access.log.1"));
    assert!(import("access.log*").contains("\n  0 lines"));
    end_all(&data);
    check_pages(&data, 200);
    // Visits span the parts: as many as one import makes.
    let whole = folder.path().join("whole");
    say(&["import", logs.path().join("access.log.1.gz").to_str().unwrap(), "--final"], &whole);
    let visits = "SELECT started_at, ended_at, page_views, entry_path, exit_path, end_reason FROM visits ORDER BY 1, 4";
    let csv = |data| say(&["query", visits, "-o", "csv"], data);
    assert_eq!(csv(&data), csv(&whole));
    assert!(csv(&data).lines().count() > 6, "{}", csv(&data));
}

#[test]
fn a_last_line_without_an_end_is_left_and_what_can_not_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (path, rejects) = (folder.path().join("a.log"), folder.path().join("rejects"));
    let (log, said_rejects) = (path.to_str().unwrap(), rejects.to_str().unwrap());
    let (first, second) =
        (line(MORNING_S, "192.0.2.1", "/p0", 200, "A"), line(MORNING_S, "192.0.2.1", "/p1", 200, "A"));
    let third = line(MORNING_S, "192.0.2.1", "/p2", 200, "A");
    fs::write(&path, format!("{first}what is this?\n{second}{}", &third[..30])).unwrap();
    let refused = run(&["import", log, "--max-errors", "0"], &data);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && why.contains("more than 0 lines can't be read") && why.contains("line 2"),
        "{why}"
    );
    let said = say(&["import", log, "--rejects", said_rejects, "--site", "shop.example"], &data);
    assert!(said.contains("3 lines: 2 parsed, 0 directives, 1 rejected"), "{said}");
    assert!(said.contains("the last line has no end"), "{said}");
    let reject: serde_json::Value = serde_json::from_str(&fs::read_to_string(&rejects).unwrap()).unwrap();
    assert_eq!((&reject["line"], &reject["bytes"]), (&2.into(), &"what is this?".into()));
    fs::write(&path, format!("{first}what is this?\n{second}{third}")).unwrap();
    say(&["import", log, "--site", "shop.example", "--final"], &data);
    check_pages(&data, 3);
    let csv = say(&["query", "SELECT DISTINCT site, via, identity FROM visits", "-o", "csv"], &data);
    assert_eq!(csv, "site,via,identity\nshop.example,log,import\n");
}

#[test]
fn a_server_that_has_the_folder_stores_what_is_imported() {
    let (folder, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, upstream, dice) = (folder.path(), Upstream::start(), Dice::new(2));
    let mut log = WebLog::new(logs.path(), MORNING_S);
    log.grow(50, &dice);
    let server = Server::start(data, &upstream, &[]);
    let path = log.path();
    say(&["import", path.to_str().unwrap(), "--final"], data);
    check_pages(data, 50);
    let body = r#"{"importer":"00000000000000000000000000000001","batch":1}"#;
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let request = agent.post(format!("http://{}/api/v1/import", server.admin));
    let answer = request.header("authorization", server.bearer()).send(body).unwrap();
    assert_eq!(answer.status().as_u16(), 409, "another importer's");
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
    check_pages(data, 50);
}

#[test]
fn no_line_is_lost_or_doubled_when_imports_are_killed() {
    let (folder, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, dice) = (folder.path().join("data"), dice::fresh());
    let mut log = WebLog::new(logs.path(), MORNING_S);
    let pattern = logs.path().join("access.log*");
    let (mut killed, mut done) = (0, 0);
    for _ in 0..40 {
        let lines = 1 + dice.below(40);
        log.grow(lines, &dice);
        if dice.one_in(4) {
            log.rotate(&dice);
        }
        let mut child = visitlog()
            .args(["import", pattern.to_str().unwrap(), "--lateness", "10m", "--data", data.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(700)));
        match child.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success(), "{status}");
                done += 1;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
            }
        }
    }
    say(&["import", pattern.to_str().unwrap(), "--final"], &data);
    check_pages(&data, log.pages);
    eprintln!("{killed} imports killed, {done} done, {} pages; {:?}", log.pages, log.done);
    assert!(killed >= 5 && !log.done.is_empty());
}

#[test]
fn times_without_a_year_are_the_last_before_the_log_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (data, path) = (folder.path().join("data"), folder.path().join("a.log"));
    let request =
        |time: &str| format!("{time} web1 nginx: 192.0.2.1 - - \"GET / HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"\n");
    fs::write(&path, request("Dec 31 23:59:59") + &request("Jan  1 00:00:01")).unwrap();
    // 2026-01-01 10:00:00 UTC.
    let written = std::time::UNIX_EPOCH + Duration::from_secs(1_767_261_600);
    fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    say(&["import", path.to_str().unwrap(), "--site", "shop.example", "--final"], &data);
    let csv = say(&["query", "SELECT started_at, page_views FROM visits", "-o", "csv"], &data);
    assert_eq!(csv, "started_at,page_views\n2025-12-31T23:59:59Z,2\n");
}

#[test]
fn all_requests_of_a_log_are_counted_by_the_hour_once() {
    let folder = tempfile::tempdir().unwrap();
    let (data, path) = (folder.path().join("data"), folder.path().join("a.log"));
    let at = |after_s: i64, path: &str, status: u16| {
        line(MORNING_S + after_s, "192.0.2.1", path, status, "Mozilla/5.0 Firefox/140.0")
    };
    let lines = [
        at(0, "/", 200),
        at(1, "/a.css", 200),
        at(2, "/a.css", 304),
        at(3, "/gone", 404),
        at(4, "/robots.txt", 200),
        at(3_600, "/", 200),
        at(3_601, "/private/x", 200),
    ];
    fs::write(&path, lines.concat()).unwrap();
    let import = ["import", path.to_str().unwrap(), "--site", "shop.example", "--exclude", "/private"];
    let counts =
        "SELECT hour, path, type, status, sum(requests) AS n FROM requests GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4";
    // The visits wait, the counts do not; and what comes again is known.
    for _ in 0..2 {
        say(&import, &data);
        let csv = say(&["query", counts, "-o", "csv"], &data);
        let rows: Vec<&str> = csv.lines().skip(1).map(|row| row.split_once(',').unwrap().1).collect();
        assert_eq!(
            rows,
            [
                "/,page_view,200,1",
                "/a.css,asset,200,1",
                "/a.css,asset,304,1",
                "/gone,page_error,404,1",
                "/robots.txt,service,200,1",
                "/,page_view,200,1",
            ]
        );
    }
}
