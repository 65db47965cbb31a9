//! `visitlog tail` under fire: the log is rotated, copied and cut, compressed, and the tail killed, again and again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::dice;
use crate::http::PATIENCE;
use crate::server::{Server, eventually, say, visitlog};
use crate::upstream::Upstream;
use crate::weblog::{WebLog, check_pages, end_all, line};

fn start(log: &WebLog, data: &Path, args: &[&str]) -> Child {
    visitlog()
        .args(["tail", log.path().to_str().unwrap(), "--poll-every", "10ms", "--commit-every", "30ms"])
        .args(args)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn end(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        assert!(Instant::now() < deadline, "it did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Some time ago: visits end while the log grows.
fn clock() -> i64 {
    jiff::Timestamp::now().as_second() - 100_000
}

#[test]
fn no_line_is_lost_or_doubled_whatever_happens_to_the_log_and_the_tail() {
    let (folder, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, dice) = (folder.path().join("data"), dice::fresh());
    let mut log = WebLog::new(logs.path(), clock());
    let mut kills = 0;
    let mut child = start(&log, &data, &[]);
    // What is rotated away before that is none of its business.
    eventually("it to follow the log", || data.join("import/state").exists());
    for _ in 0..250 {
        let lines = dice.below(12);
        log.grow(lines, &dice);
        if dice.one_in(6) {
            log.rotate(&dice);
        }
        std::thread::sleep(Duration::from_millis(dice.below(60)));
        if dice.one_in(7) {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // While nobody follows, it goes on.
            for _ in 0..dice.below(4) {
                let lines = dice.below(12);
                log.grow(lines, &dice);
                if dice.one_in(2) {
                    log.rotate(&dice);
                }
            }
            child = start(&log, &data, &[]);
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    end(child);
    end_all(&data);
    check_pages(&data, log.pages);
    eprintln!("{kills} kills, {} pages; {:?}", log.pages, log.done);
    assert!(kills > 10 && log.done.len() == 4, "{kills} {:?}", log.done);
}

#[test]
fn a_server_stores_what_is_followed_and_visits_end_though_nothing_more_is_written() {
    let (folder, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, upstream, dice) = (folder.path(), Upstream::start(), dice::fresh());
    let mut log = WebLog::new(logs.path(), clock());
    // When nothing comes any more, what the last few lines are apart has to pass.
    log.step_s = 3;
    let server = Server::start(data, &upstream, &[]);
    let child = start(&log, data, &["--idle-timeout", "1s", "--lateness", "0"]);
    log.grow(30, &dice);
    let count = || say(&["query", "SELECT count(*) FROM events", "-o", "csv"], data);
    eventually("all visits to end", || count() == "count(*)\n30\n");
    check_pages(data, 30);
    end(child);
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}

/// The rows of a statement, below the names of its columns.
fn rows(data: &Path, sql: &str) -> Vec<String> {
    say(&["query", sql, "-o", "csv"], data).lines().skip(1).map(str::to_owned).collect()
}

/// Visits of a log are seen while they go on, and never twice when they end.
fn goes_on_and_ends(data: &Path) {
    let logs = tempfile::tempdir().unwrap();
    let path = logs.path().join("access.log");
    let mut log = fs::File::options().append(true).create(true).open(&path).unwrap();
    let mut write = |client: u32, page: u32| {
        let now = jiff::Timestamp::now().as_second();
        let text = line(now, &format!("192.0.2.{client}"), &format!("/p{page}"), 200, "Mozilla/5.0");
        log.write_all(text.as_bytes()).unwrap();
    };
    let mut command = visitlog();
    command.args(["tail", path.to_str().unwrap(), "--site", "shop.example", "--poll-every", "20ms"]);
    command.args(["--commit-every", "100ms", "--idle-timeout", "20s", "--lateness", "0", "--data"]).arg(data);
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    eventually("it to follow the log", || data.join("import/state").exists());
    (1..=3).for_each(|client| write(client, client));
    write(1, 4);
    let open = "SELECT visit_id, page_views FROM visits WHERE ended_at IS NULL ORDER BY started_at, page_views";
    eventually("visits that go on", || rows(data, open).len() == 3 && rows(data, "SELECT path FROM events").len() == 4);
    let before: BTreeMap<String, String> = rows(data, open)
        .iter()
        .map(|row| row.split_once(',').map(|(id, views)| (id.to_owned(), views.to_owned())).unwrap())
        .collect();
    let sums = "SELECT count(*), count(DISTINCT visit_key), cast(sum(page_views) AS BIGINT) FROM visits";
    assert_eq!(rows(data, sums), ["3,3,4"]);
    assert_eq!(rows(data, "SELECT count(*) FROM online WHERE site = 'shop.example'"), ["3"]);
    let listed = say(&["visits", "--open", "--output", "json"], data);
    assert!(before.keys().all(|id| listed.contains(id.as_str())), "{listed}");
    let of_one = format!("SELECT count(*) FROM events WHERE visit_id = '{}'", before.keys().next().unwrap());
    assert_ne!(rows(data, &of_one), ["0"]);
    // One goes on while the others end: whoever asks meanwhile sees each page once.
    let mut page = 5;
    write(1, page);
    eventually("two visits to end", || {
        page += 1;
        write(1, page);
        let pages = rows(data, "SELECT path, count(*) FROM events GROUP BY path HAVING count(*) > 1 OR path = '/p2'");
        assert_eq!(pages, ["/p2,1"]);
        assert!(rows(data, sums)[0].starts_with("3,3,"), "{}", rows(data, sums)[0]);
        rows(data, "SELECT visit_id FROM visits WHERE ended_at IS NOT NULL").len() == 2
    });
    let after = rows(data, "SELECT visit_id FROM visits ORDER BY visit_id");
    assert_eq!(after, before.into_keys().collect::<Vec<_>>(), "under the same ids");
    eventually("the last page", || rows(data, sums) == [format!("3,3,{page}")]);
    assert_eq!(rows(data, "SELECT count(*) FROM online"), ["1"]);
    end(child);
}

#[test]
fn visits_are_seen_while_they_go_on() {
    let folder = tempfile::tempdir().unwrap();
    goes_on_and_ends(&folder.path().join("data"));
}

#[test]
fn visits_are_seen_by_a_server_while_they_go_on() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    goes_on_and_ends(folder.path());
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}
