//! Log files as tables, of more lines than fit into a chunk, against a plain count.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use visitlog_warehouse::logs::{FileOptions, Files, WithFiles};
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{EmptyCatalog, Prepared, SqlError};

const LINES: usize = 30_000;
const COOKIE: &str = "IIS7SessionTracking=18302628887781179643";

/// An IIS log with cookies: `LINES` requests, and what each of some columns should have.
fn iis_log(folder: &Path) -> (PathBuf, Vec<(String, Option<String>)>) {
    let mut text = String::from(
        "#Software: Microsoft Internet Information Services 7.0\r\n#Version: 1.0\r\n#Date: 2009-01-09 00:00:00\r\n\
         #Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Cookie) \
         sc-status sc-substatus sc-win32-status\r\n",
    );
    let mut rows = Vec::new();
    for n in 0..LINES {
        let (hour, minute, second) = (n / 3_600 % 24, n / 60 % 60, n % 60);
        let stem = format!("/page{}.aspx", n % 97);
        let cookie = match n % 5 {
            0 => Some(COOKIE.to_owned()),
            1 => None,
            _ => Some(format!("IIS7SessionTracking={}", n % 1_000)),
        };
        let written = cookie.as_deref().unwrap_or("-");
        let _ = write!(
            text,
            "2009-01-09 {hour:02}:{minute:02}:{second:02} 10.0.0.1 GET {stem} - 80 - 192.0.2.{} Mozilla/4.0+(compatible;+MSIE+7.0) {written} 200 0 0\r\n",
            n % 250
        );
        rows.push((stem, cookie));
    }
    let path = folder.join("u_ex090109.log");
    std::fs::write(&path, text).unwrap();
    (path, rows)
}

async fn lines_of(sql: &str, options: &FileOptions) -> Result<(Vec<String>, Arc<Files>), SqlError> {
    let files = Arc::new(Files::open(sql, options)?.unwrap());
    let catalog = WithFiles::new(Arc::clone(&files), None);
    let text = super::text(&super::engine(), &catalog, Prepared::of(sql), Format::Tsv).await?;
    Ok((text.lines().map(str::to_owned).collect(), files))
}

async fn result(sql: &str) -> Vec<String> {
    lines_of(sql, &FileOptions::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}")).0
}

#[tokio::test]
async fn the_two_queries_of_logparser_users() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rows) = iis_log(folder.path());
    let path = path.display();

    let sql = format!("SELECT cs-uri-stem from {path} where cs(Cookie)='{COOKIE}'");
    let (mut found, files) = lines_of(&sql, &FileOptions::default()).await.unwrap();
    assert_eq!(found.remove(0), "cs-uri-stem");
    let mut wanted: Vec<String> =
        rows.iter().filter(|(_, cookie)| cookie.as_deref() == Some(COOKIE)).map(|(stem, _)| stem.clone()).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    let account = &files.account()[0];
    assert_eq!((account.tally.parsed, account.tally.directives, account.tally.rejected), (LINES as u64, 4, 0));
    assert_eq!(files.verdicts()[0].format, "w3c");

    let mut found = result(&format!("SELECT cs(Cookie),count(*) from {path} GROUP BY cs(Cookie)")).await;
    assert_eq!(found.remove(0), "cs(Cookie)\tcount(*)");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().for_each(|(_, cookie)| *counts.entry(cookie.as_deref().unwrap_or("\\N")).or_default() += 1);
    let mut wanted: Vec<String> = counts.iter().map(|(cookie, count)| format!("{cookie}\t{count}")).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_small_limit_gives_the_first_lines_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rows) = iis_log(folder.path());
    let found = result(&format!("SELECT line, cs-uri-stem FROM {} LIMIT 20000", path.display())).await;
    let wanted = rows.iter().take(20_000).zip(5..).map(|((stem, _), line)| format!("{line}\t{stem}"));
    assert_eq!(found[1..], wanted.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_can_be_read_twice_in_a_statement_and_again_and_again_in_a_recursion() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = iis_log(folder.path());
    let path = path.display();
    let sql = format!(
        "SELECT count(*) FROM {path} a JOIN {path} b ON a.line = b.line + 1 WHERE a.cs-uri-stem <> b.cs-uri-stem"
    );
    let (found, files) = lines_of(&sql, &FileOptions::default()).await.unwrap();
    assert_eq!(found[1], (LINES - 1).to_string());
    assert_eq!(files.account().len(), 1);
    assert_eq!(files.account()[0].tally.parsed, LINES as u64, "lines count once");
    let sql = format!(
        "WITH RECURSIVE steps(n) AS (SELECT min(line) FROM {path} UNION ALL \
         SELECT l.line FROM steps JOIN {path} l ON l.line = steps.n + 1 WHERE steps.n < 9) SELECT count(*) FROM steps"
    );
    assert_eq!(result(&sql).await[1], "5");
}

#[tokio::test]
async fn compressed_files_are_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rows) = iis_log(folder.path());
    let zipped = folder.path().join("zipped.log");
    let mut out = flate2::write::GzEncoder::new(std::fs::File::create(&zipped).unwrap(), flate2::Compression::fast());
    out.write_all(&std::fs::read(&path).unwrap()).unwrap();
    out.finish().unwrap();
    let sql = format!("SELECT count(*), count(DISTINCT cs-uri-stem), sum(line) FROM {}", zipped.display());
    let first = result(&sql).await;
    assert_eq!(first[1].split('\t').next().unwrap(), rows.len().to_string());
    assert_eq!(first[1], result(&sql.replace("zipped.log", "u_ex090109.log")).await[1]);
}

#[tokio::test]
async fn rejected_lines_are_told_once_and_too_many_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let good = "192.0.2.1 - - [09/Jan/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 512 \"-\" \"-\"\n";
    std::fs::write(&path, format!("{}nonsense\n{good}more nonsense\n", good.repeat(20))).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let options = FileOptions {
        on_reject: Some(Arc::new(move |reject| heard.lock().unwrap().push((reject.line, reject.bytes.clone())))),
        ..FileOptions::default()
    };
    let sql = format!("SELECT count(*) FROM {0} a JOIN {0} b USING (line)", path.display());
    let (found, files) = lines_of(&sql, &options).await.unwrap();
    assert_eq!(found[1], "21");
    let mut told = told.lock().unwrap().clone();
    told.sort();
    assert_eq!(told, [(21, b"nonsense".to_vec()), (23, b"more nonsense".to_vec())]);
    let account = &files.account()[0];
    assert_eq!(account.tally.rejected, 2);
    assert!(account.first_reject.as_ref().unwrap().contains("line 21"), "{account:?}");

    let options = |max_errors| FileOptions { max_errors: Some(max_errors), ..FileOptions::default() };
    assert!(lines_of(&sql, &options(2)).await.is_ok());
    let error = lines_of(&sql, &options(1)).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("2 lines rejected, 1 at most"), "{error}");
}

#[tokio::test]
async fn where_files_are_not_read_a_statement_that_names_some_is_refused() {
    for sql in ["SELECT * FROM /etc/passwd", "SELECT * FROM 'access.log'", "SELECT 1 FROM sessions('a.log')"] {
        let error = super::engine().query(&EmptyCatalog, Prepared::of(sql)).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "not_allowed", "{sql}: {error}");
        assert!(error.to_string().contains("no file reading through the server"), "{error}");
    }
}

#[tokio::test]
async fn what_was_asked_for_is_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.log");
    std::fs::write(&path, "7|GET|/a|200\n8|GET|/b|404\n").unwrap();
    let options =
        FileOptions { format: Some("$remote_user|$request_method|$uri|$status".to_owned()), ..FileOptions::default() };
    let sql = format!("SELECT User, path FROM {} WHERE status = 404", path.display());
    let (found, _) = lines_of(&sql, &options).await.unwrap();
    assert_eq!(found, ["user\tpath", "8\t/b"]);
    let options = FileOptions { format: Some("combned".to_owned()), ..FileOptions::default() };
    assert!(lines_of(&sql, &options).await.map(|_| ()).unwrap_err().to_string().contains("unknown format combned"));
}

#[tokio::test]
async fn fields_that_a_later_line_names_are_columns_too() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = iis_log(folder.path());
    let mut text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() > 2 << 20, "more than is looked at first: {}", text.len());
    text.push_str("#Fields: date time c-ip cs-uri-stem time-taken\r\n2009-01-10 00:00:00 192.0.2.9 /late.aspx 17\r\n");
    std::fs::write(&path, text).unwrap();
    let found = result(&format!("SELECT cs-uri-stem, Time-Taken FROM {} WHERE time-taken > 0", path.display())).await;
    assert_eq!(found, ["cs-uri-stem\ttime-taken", "/late.aspx\t17"]);
    let found = result(&format!("SELECT * FROM {} WHERE cs-uri-stem = '/late.aspx'", path.display())).await;
    let cells: Vec<Vec<&str>> = found.iter().map(|row| row.split('\t').collect()).collect();
    let at = cells[0].iter().position(|column| *column == "time-taken").expect("a column of a later line");
    assert_eq!((cells.len(), cells[1][at]), (2, "17"));
}

#[tokio::test]
async fn what_a_column_of_data_holds_is_told_by_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("versions.csv");
    let mut text = String::from("id;version;day\n");
    for id in 0..30_000 {
        let _ = writeln!(text, "{id};10.5;1");
    }
    text.push_str("30000;11.0.1;2024/12/12\n");
    std::fs::write(&path, text).unwrap();
    let sql =
        format!("SELECT count(*), max(id), max(version), arrow_typeof(min(version)), max(day) FROM {}", path.display());
    assert_eq!(result(&sql).await[1], "30001\t30000\t11.0.1\tUtf8\t2024/12/12");
}
