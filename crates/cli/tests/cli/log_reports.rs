//! `visitlog report` on logs as they lie there, and the reports on what a server answered.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::server::visitlog;
use crate::weblog::MORNING_S;

const FORMAT: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time"#;
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn log() -> String {
    let line = |after_s: i64, client: &str, path: &str, status: u16, referrer: &str, agent: &str, took: &str| {
        let time = jiff::Timestamp::from_second(MORNING_S + 10 + after_s).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let time = time.strftime("%d/%b/%Y:%H:%M:%S %z");
        format!("{client} - - [{time}] \"GET {path} HTTP/1.1\" {status} 100 \"{referrer}\" \"{agent}\" {took}\n")
    };
    [
        line(0, "192.0.2.1", "/", 200, "-", FIREFOX, "0.100"),
        line(1, "192.0.2.1", "/gone", 404, "https://shop.example/", FIREFOX, "0.010"),
        line(2, "192.0.2.1", "/paper.pdf", 200, "-", FIREFOX, "0.010"),
        line(3, "192.0.2.1", "/paper.pdf", 206, "-", FIREFOX, "0.010"),
        line(4, "192.0.2.1", "/a.css", 200, "-", FIREFOX, "0.010"),
        line(5, "198.51.100.7", "/robots.txt", 200, "-", "curl/8.0", "0.010"),
        line(6, "198.51.100.7", "/", 200, "-", "curl/8.0", "0.300"),
        line(3_600, "192.0.2.2", "/", 200, "-", FIREFOX, "0.900"),
        "what is this?\n".to_owned(),
    ]
    .concat()
}

/// Rows of a report on a log, and what was said beside it.
fn rows(command: &mut Command, report: &[&str], log: &Path) -> (Vec<String>, String) {
    let output = command.arg("report").arg(report[0]).arg(log).args(&report[1..]).args(["-o", "csv"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{report:?}: {said}");
    let rows = String::from_utf8(output.stdout).unwrap();
    (rows.lines().skip(1).map(str::to_owned).collect(), said)
}

#[test]
fn a_log_is_reported_on_without_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, log()).unwrap();
    let report = |args: &[&str]| {
        let own = ["--format", FORMAT, "--site", "shop.example"];
        rows(visitlog().current_dir(folder.path()), &[args, &own].concat(), &path)
    };
    for (asked, expected) in [
        (&["overview"][..], vec!["2,2,2,0,1.0,2.0,1.0,0"]),
        (&["pages"], vec!["/,2,2,2,2,2,"]),
        (&["pages", "--by", "exit"], vec!["/,2,2,2,1.0,2.0"]),
        (&["sites"], vec!["shop.example,2,2,2,1.0,2.0"]),
        (&["not_found"], vec!["/gone,1,https://shop.example/,1"]),
        (&["downloads"], vec!["/paper.pdf,1,1,200"]),
        (&["bots"], vec!["tool,1,1,2,1,200"]),
        (&["speed"], vec!["/,2,500.0,100.0,900.0,900.0,900.0,900.0"]),
        (&["speed", "--bots"], vec!["/,3,433.3,300.0,900.0,900.0,900.0,900.0"]),
        (&["requests"], vec!["200,6,3,0,600,221.7", "206,1,0,0,100,10.0", "404,1,0,1,100,10.0"]),
        (&["requests", "--by", "path", "--filter", "page=/", "--filter", "bot="], vec!["/,2,2,0,200,500.0"]),
        (&["requests", "--by", "weekday"], vec!["6 Sat,8,3,1,800,168.8"]),
        (&["requests", "--by", "hour"], vec!["10,7,2,1,700,64.3", "11,1,1,0,100,900.0"]),
        (&["requests", "--by", "hour", "--tz", "Asia/Kolkata"], vec!["15,7,2,1,700,64.3", "16,1,1,0,100,900.0"]),
        (&["requests", "--by", "hour", "--from", "2026-11-21T11:00"], vec!["11,1,1,0,100,900.0"]),
        (&["clients"], vec!["192.0.2.1,,1,1,1,1.0,3.1", "192.0.2.2,,1,1,1,1.0,0.9"]),
    ] {
        let (rows, said) = report(asked);
        assert!(said.contains("1 line can't be read"), "{asked:?}: {said}");
        assert_eq!(rows, expected, "{asked:?}");
    }
    // Nothing is left where it was asked.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_report_without_a_log_or_a_folder_says_what_it_needs() {
    for (args, words) in [
        (&["report"][..], "log files expected"),
        (&["report", "pages", "a.log", "--data", "x"], "cannot be used with"),
        (&["report", "requests", "a.log", "--filter", "country=DE"], "one of site, page, bot expected"),
        (&["report", "pages", "there-is-none.log"], "there-is-none.log"),
    ] {
        let output = visitlog().args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{args:?}: {said}");
    }
}
