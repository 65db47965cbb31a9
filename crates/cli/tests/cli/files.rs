//! SQL over log files: no server and no data folder.

use std::path::Path;
use std::process::Output;

use crate::server::{Server, run, visitlog};
use crate::upstream::Upstream;

const COMBINED: &str = "\
192.0.2.1 - - [09/Jan/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"
192.0.2.1 - - [09/Jan/2026:10:00:09 +0000] \"GET /cart?id=7 HTTP/1.1\" 200 700 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"
no request at all
192.0.2.2 - bob [09/Jan/2026:12:05:00 +0000] \"GET /=1+1 HTTP/1.1\" 404 - \"=cmd()\" \"curl/8.5.0\"
";

const IIS: &str = "\
#Software: Microsoft Internet Information Services 7.0
#Version: 1.0
#Date: 2009-01-09 00:00:00
#Fields: date time cs-method cs-uri-stem c-ip cs(Cookie) sc-status
2009-01-09 00:00:01 GET /a.aspx 192.0.2.1 IIS7SessionTracking=18302628887781179643 200
2009-01-09 00:00:02 GET /b.aspx 192.0.2.2 - 200
2009-01-09 00:00:03 GET /c.aspx 192.0.2.1 IIS7SessionTracking=18302628887781179643 404
";

/// Runs `visitlog` in a folder with these files.
fn in_folder(folder: &Path, args: &[&str]) -> Output {
    std::fs::write(folder.join("access.log"), COMBINED).unwrap();
    std::fs::write(folder.join("u_ex090109.log"), IIS).unwrap();
    visitlog().args(args).current_dir(folder).output().unwrap()
}

fn query(folder: &Path, args: &[&str]) -> (String, String) {
    let output = in_folder(folder, &[&["query"], args].concat());
    assert!(output.status.success(), "{args:?}: {output:?}");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_two_queries_of_logparser_users_run_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let (out, said) = query(
        folder.path(),
        &[
            "SELECT cs-uri-stem from u_ex090109.log where cs(Cookie)='IIS7SessionTracking=18302628887781179643'",
            "-o",
            "csv",
        ],
    );
    assert_eq!(out, "cs-uri-stem\n/a.aspx\n/c.aspx\n");
    assert!(said.starts_with("u_ex090109.log: w3c, because "), "{said}");
    let (out, _) =
        query(folder.path(), &["SELECT cs(Cookie),count(*) from u_ex090109.log GROUP BY cs(Cookie)", "-o", "csv"]);
    let mut lines: Vec<&str> = out.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(lines, ["cs(Cookie),count(*)", ",1", "IIS7SessionTracking=18302628887781179643,2"]);
}

#[test]
fn rejected_lines_are_counted_kept_and_limited() {
    let folder = tempfile::tempdir().unwrap();
    let count = "SELECT count(*) AS n FROM access.log";
    let (out, said) = query(folder.path(), &[count, "-o", "csv", "--rejects", "rejects.ndjson"]);
    assert_eq!(out, "n\n3\n");
    assert!(said.contains("access.log: combined, because "), "{said}");
    assert!(said.contains("access.log: 1 of 4 lines rejected; the first: access.log, line 3: "), "{said}");
    let kept = std::fs::read_to_string(folder.path().join("rejects.ndjson")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(kept.trim()).unwrap();
    assert_eq!((&kept["line"], &kept["bytes"]), (&3.into(), &"no request at all".into()));

    let said = refused(&in_folder(folder.path(), &["query", count, "--max-errors", "0"]));
    assert!(said.contains("1 lines rejected, 0 at most"), "{said}");
}

#[test]
fn what_strangers_wrote_is_harmless_on_output() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = COMBINED.as_bytes().to_vec();
    log.extend_from_slice(
        b"192.0.2.3 - - [09/Jan/2026:12:06:00 +0000] \"GET /\x1b[2J HTTP/1.1\" 404 - \"-\" \"\xc2\x9b31m\"\n",
    );
    std::fs::write(folder.path().join("nasty.log"), log).unwrap();
    for output in ["table", "csv", "tsv", "json", "ndjson"] {
        let (out, _) = query(folder.path(), &["SELECT path, referrer, user_agent FROM nasty.log", "-o", output]);
        assert!(!out.contains(['\u{1b}', '\u{9b}']), "{output}: {out:?}");
        if output == "csv" {
            assert!(out.contains("/=1+1,'=cmd(),"), "{out}");
        }
    }
    let (out, _) = query(folder.path(), &["SELECT path, count(*) FROM nasty.log GROUP BY path", "-o", "chart"]);
    assert!(out.contains('█') && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn visits_of_a_log_in_one_statement() {
    let folder = tempfile::tempdir().unwrap();
    let (out, _) = query(
        folder.path(),
        &["SELECT ip, page_views, via FROM sessions('access.log', idle_timeout => '1h') ORDER BY ip", "-o", "csv"],
    );
    assert!(out.starts_with("ip,page_views,via\n192.0.2.1,2,log\n"), "{out}");
}

#[test]
fn formats_are_listed_and_files_described() {
    let folder = tempfile::tempdir().unwrap();
    let output = in_folder(folder.path(), &["formats"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("combined") && text.contains("w3c"), "{text}");

    let output = in_folder(folder.path(), &["describe", "access.log", "u_ex*.log"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "format    combined: NCSA combined",
        "lines     4: 3 requests, 0 directives, 1 rejected",
        "rejected  line 3: ",
        "file      u_ex090109.log",
        "lines     7: 3 requests, 4 directives, 0 rejected",
        "IIS7SessionTracking=18302628887781179643",
    ] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    let said = refused(&in_folder(folder.path(), &["describe", "none.log"]));
    assert!(said.contains("none.log"), "{said}");
}

#[test]
fn what_can_not_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.parquet"), "no parquet at all").unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    for (args, words) in [
        (vec!["query", "SELECT 1 FROM none.log"], "no file found"),
        (vec!["query", "SELECT pth FROM access.log"], "no column pth, perhaps path"),
        (vec!["query", "SELECT path FROM access.log x y"], "Line: 1, Column: 31"),
        (vec!["query", "SELECT 1 FROM visits"], "no table visits here: --data DIR or --server URL expected"),
        (vec!["query", "SELECT 1", "--raw"], "-o csv or -o tsv expected"),
        (vec!["query", "SELECT 1 INTO x FROM access.log", "--dialect", "logparser"], "a file as hits.csv"),
        (vec!["query", "SELECT 1 FROM broken.parquet"], "broken.parquet: parquet expected"),
        (vec!["query", "SELECT 1", "--format", "w3c", "--data", data], "the statement names none"),
        (vec!["query", "SELECT 1 FROM access.log", "--server", "http://127.0.0.1:1"], "a server reads no files"),
        (vec!["query", "SELECT REVERSEDNS(c-ip) FROM u_ex090109.log"], "name server"),
        (vec!["query", "SELECT c-ip INTO x.csv FROM u_ex090109.log"], "--out FILE"),
        (vec!["query", "SELECT 1 FROM access.log JOIN vsits ON true"], "no table vsits"),
        (vec!["query", "SELECT 1 FROM access.log", "--format", "nonsense"], "unknown format nonsense"),
    ] {
        let said = refused(&in_folder(folder.path(), &args));
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn what_needs_no_table_needs_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (out, said) = query(folder.path(), &["SELECT 1 AS x, query_param('/?a=b', 'a') AS y", "-o", "csv"]);
    assert_eq!((out.as_str(), said.as_str()), ("x,y\n1,b\n", ""));
    let (out, _) = query(folder.path(), &["SUMMARIZE SELECT value FROM generate_series(1, 4)", "-o", "csv"]);
    assert!(out.ends_with("value,Int64,1,4,4,2.5,1.2909944487358056,1.5,2.5,3.5,4,0.0\n"), "{out}");
}

#[test]
fn results_are_files_that_are_tables_again() {
    let folder = tempfile::tempdir().unwrap();
    let into = "SELECT [path] AS Page, COUNT(*) AS Hits INTO hits.csv FROM access.log GROUP BY Page ORDER BY Page";
    let (out, _) = query(folder.path(), &[into, "--dialect", "logparser"]);
    assert_eq!(out, "");
    let written = std::fs::read_to_string(folder.path().join("hits.csv")).unwrap();
    assert_eq!(written, "Page,Hits\n/,1\n/=1+1,1\n/cart,1\n");
    let (out, said) =
        query(folder.path(), &["SELECT page, hits + 1 AS more FROM hits.csv WHERE hits = 1 LIMIT 1", "-o", "csv"]);
    assert_eq!(out, "Page,more\n/,2\n");
    assert!(said.starts_with("hits.csv: csv, because its name ends so"), "{said}");

    query(folder.path(), &["SELECT time, path, bytes FROM access.log", "-o", "parquet", "--out", "log.parquet"]);
    let (out, _) = query(folder.path(), &["SELECT count(*) AS n, max(bytes) AS most FROM log.parquet", "-o", "csv"]);
    assert_eq!(out, "n,most\n3,700\n");
    let (out, _) = query(folder.path(), &["SUMMARIZE log.parquet", "-o", "csv"]);
    assert!(out.contains("\npath,Utf8,/,/cart,3,,,,,,3,0.0\n"), "{out}");
}

#[test]
fn raw_texts_are_what_strangers_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "SELECT referrer, user_agent FROM access.log WHERE \"user\" = 'bob'";
    assert_eq!(
        query(folder.path(), &["SELECT user_agent FROM access.log LIMIT 0", "-o", "csv", "--raw"]).0,
        "user_agent\n"
    );
    let (out, _) = query(folder.path(), &[sql, "-o", "csv"]);
    assert_eq!(out, "referrer,user_agent\n'=cmd(),curl/8.5.0\n");
    let (out, _) = query(folder.path(), &[sql, "-o", "csv", "--raw"]);
    assert_eq!(out, "referrer,user_agent\n=cmd(),curl/8.5.0\n");
}

#[test]
fn functions_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let output = in_folder(folder.path(), &["functions", "sub"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("SUBSTR(text, from [, n])") && !text.contains("cookie"), "{text}");
    let output = in_folder(folder.path(), &["functions", "--names"]);
    let names = String::from_utf8(output.stdout).unwrap();
    assert!(names.lines().any(|name| name == "HASHSEQ") && names.lines().any(|name| name == "cookie"), "{names}");
}

#[test]
fn standard_input_is_a_file_once() {
    use std::io::Write as _;
    use std::process::Stdio;

    let ask = |sql: &str| {
        let mut child = visitlog()
            .args(["query", sql, "-o", "csv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who refuses the statement need not read it.
        let _ = child.stdin.take().unwrap().write_all(COMBINED.as_bytes());
        child.wait_with_output().unwrap()
    };
    let output = ask("SELECT count(*) AS n FROM -");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n3\n", "{output:?}");
    let said = refused(&ask("SELECT count(*) FROM - a JOIN sessions('-') b ON true"));
    assert!(said.contains("standard input can be read once"), "{said}");
}

#[test]
fn files_and_visits_meet_in_the_folder_and_a_server_reads_no_files() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    std::fs::write(data.join("access.log"), COMBINED).unwrap();
    let path = data.join("access.log");
    let sql =
        format!("SELECT (SELECT count(*) FROM visits WHERE site = 'x') AS v, count(*) AS n FROM {}", path.display());
    let server = Server::start(data, &upstream, &[]);
    let answer = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .post(format!("http://{}/api/v1/query", server.admin))
        .header("authorization", server.bearer())
        .send(sql.as_str());
    let mut answer = answer.unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status().as_u16(), 400, "{body}");
    assert!(body.contains("not_allowed") && body.contains("no file reading through the server"), "{body}");
    assert!(refused(&run(&["query", &sql], data)).contains("a server runs on"));
    let found = run(&["query", "SELECT query_param('/?a=b', 'a') AS x, STRLEN('abc') AS n", "-o", "csv"], data);
    assert_eq!(String::from_utf8_lossy(&found.stdout), "x,n\nb,3\n");
    let found = run(&["query", "SELECT TOP 1 SUBSTR('abc', 0, 1) AS x", "--dialect", "logparser", "-o", "csv"], data);
    assert_eq!(String::from_utf8_lossy(&found.stdout), "x\na\n");
    drop(server);

    let found = run(&["query", &sql, "-o", "csv"], data);
    assert_eq!(String::from_utf8_lossy(&found.stdout), "v,n\n0,3\n", "{found:?}");
}
