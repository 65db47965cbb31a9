//! A journal with a flipped bit, a journal with a torn tail.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dice;
use crate::http::Browser;
use crate::server::{Server, eventually, run, say};
use crate::upstream::Upstream;
use crate::visits;

const ARGS: [&str; 2] = ["--idle-timeout", "2s"];
/// Nothing expires while the test runs.
const SLOW: [&str; 2] = ["--idle-timeout", "5m"];

/// The only segment.
fn segment(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let segments: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "seg")).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments[0].clone()
}

fn pages(server: &Server, what: &str, count: usize) {
    let mut browser = Browser::new(server.site, what);
    (0..count).for_each(|n| assert_eq!(browser.get(&format!("/{what}/{n}"), &[]).status, 200));
}

/// A sound journal of a server that was ended.
fn sound(data: &Path, upstream: &Upstream, args: &[&str]) {
    let server = Server::start(data, upstream, args);
    (0..5).for_each(|n| pages(&server, &format!("page{n}"), 10));
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
}

fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

/// `segment S at byte B` of a message.
fn place(said: &str) -> String {
    let from = said.find("segment ").unwrap_or_else(|| panic!("no segment is named: {said}"));
    let words: Vec<&str> = said[from..].split_whitespace().take(5).collect();
    assert!(words[1].parse::<u64>().is_ok() && words[2] == "at" && words[3] == "byte", "{said}");
    words.join(" ")
}

#[test]
fn a_flipped_bit_below_the_synced_mark_is_a_hard_error_that_names_its_place() {
    let (folder, upstream, dice) = (tempfile::tempdir().unwrap(), Upstream::start(), dice::fresh());
    sound(folder.path(), &upstream, &ARGS);
    let path = segment(folder.path());
    let whole = fs::read(&path).unwrap();
    assert!(say(&["journal", "verify"], folder.path()).contains("sound"));

    let middle = whole.len() as u64 * 4;
    let bits = [middle, middle + 1].into_iter().chain((0..10).map(|_| dice.below(middle)));
    for bit in bits {
        flip(&path, bit);
        let Err((status, log)) = Server::try_start(folder.path(), &upstream, &ARGS) else {
            panic!("it started with bit {bit} of {} flipped", path.display());
        };
        assert_eq!(status.code(), Some(1), "{log}");
        let verified = run(&["journal", "verify"], folder.path());
        let report = String::from_utf8(verified.stdout).unwrap();
        assert_eq!(verified.status.code(), Some(1), "{report}");
        let damaged = report.lines().find(|line| line.starts_with("damaged: ")).unwrap_or_else(|| panic!("{report}"));
        assert!(damaged.contains(&place(&log)), "the start says:\n{log}\nthe report says:\n{report}");
        let byte: u64 = place(damaged).trim_end_matches(':').rsplit(' ').next().unwrap().parse().unwrap();
        assert!(byte <= bit / 8 && bit / 8 < byte + 4_096, "byte {} is damaged: {damaged}", bit / 8);
        assert_eq!(run(&["journal", "dump"], folder.path()).status.code(), Some(1));
        flip(&path, bit);
        assert_eq!(fs::read(&path).unwrap(), whole, "nothing was changed by those who looked");
    }
    let server = Server::start(folder.path(), &upstream, &ARGS);
    server.wait_until_all_have_ended();
    assert_eq!(visits::ended(folder.path()).len(), 5);
}

#[test]
fn a_torn_tail_is_cut_and_only_the_tail_is_lost() {
    let (folder, upstream, dice) = (tempfile::tempdir().unwrap(), Upstream::start(), dice::fresh());
    sound(folder.path(), &upstream, &SLOW);
    for round in 0..6 {
        let server = Server::start(folder.path(), &upstream, &SLOW);
        let synced = format!("synced{round}");
        pages(&server, &synced, 3);
        eventually("a sync", || server.metric("visitlog_journal_unsynced_bytes ") < 100.0);
        pages(&server, &format!("tail{round}"), 3);
        server.kill();
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.path().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.file_name().is_some_and(|name| name != "reserve"));
        files.sort_unstable();
        let path = files.pop().unwrap();
        let bytes = fs::read(&path).unwrap();
        let torn = match round % 3 {
            // Cut off within the last record.
            0 => bytes[..bytes.len() - 1 - dice.below(30) as usize].to_vec(),
            // Written, but for its last bytes, which the disk had not yet got.
            1 => [&bytes[..bytes.len() - 8], &[0; 8]].concat(),
            // What was there before shows behind it.
            _ => [&bytes[..], &[0xab; 100]].concat(),
        };
        fs::write(&path, torn).unwrap();
        let report = say(&["journal", "verify"], folder.path());
        assert!(report.contains("torn: segment "), "round {round}: {report}");
        let server = Server::start(folder.path(), &upstream, &SLOW);
        eventually("a word about it", || server.log().contains("the journal's end was torn"));
        pages(&server, &format!("after{round}"), 1);
        let open: Vec<serde_json::Value> = serde_json::from_str(&server.ask("/api/v1/visits?limit=1000").1).unwrap();
        let open: Vec<visits::Visit> = open.into_iter().map(visits::Visit).collect();
        for n in 0..3 {
            visits::visit_with(&open, &format!("/{synced}/{n}"));
        }
        for n in 0..2 {
            visits::visit_with(&open, &format!("/tail{round}/{n}"));
        }
        visits::visit_with(&open, &format!("/after{round}/0"));
        let (status, log) = server.end();
        assert!(status.success(), "{log}");
        assert!(say(&["journal", "verify"], folder.path()).contains("sound"));
    }
    let server = Server::start(folder.path(), &upstream, &ARGS);
    server.wait_until_all_have_ended();
    assert_eq!(visits::ended(folder.path()).len(), 5 + 6 * 3);
}

#[test]
fn a_dump_shows_what_happened_and_masks_who_it_was() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &ARGS);
    let mut browser = Browser::new(server.site, "a very particular agent");
    browser.get("/welcome", &[("X-Login", "mata.hari"), ("X-Set", "plan=secret plan")]);
    let visit = browser.get("/again", &[]).seen().visit().unwrap().to_owned();
    pages(&server, "other", 2);
    // A server may have the folder meanwhile.
    let all = say(&["journal", "dump"], folder.path());
    assert!(all.contains("path=\"/other/1\"") && all.contains("path=\"/welcome\""), "{all}");
    for personal in ["a very particular agent", "mata.hari", "secret plan"] {
        assert!(!all.contains(personal), "{personal} is shown:\n{all}");
    }
    let one = say(&["journal", "dump", "--personal", "--visit", &visit], folder.path());
    assert!(
        one.contains("a very particular agent") && one.contains("mata.hari") && one.contains("secret plan"),
        "{one}"
    );
    assert!(!one.contains("/other/"), "{one}");
    server.end();
    assert_eq!(run(&["journal", "verify"], &folder.path().join("nowhere")).status.code(), Some(1));
}
