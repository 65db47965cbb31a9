//! `visitlog tail` under fire: the log is rotated, copied and cut, compressed, and the tail killed, again and again.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::dice;
use crate::http::PATIENCE;
use crate::server::{Server, eventually, say, visitlog};
use crate::upstream::Upstream;
use crate::weblog::{WebLog, check_pages, end_all};

fn start(log: &WebLog, data: &std::path::Path, args: &[&str]) -> Child {
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
