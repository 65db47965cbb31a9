//! A web server's log as it lives: it grows, is rotated, copied and cut, compressed; and who counts what came of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::say;
use visitlog_testkit::Dice;

/// 2026-11-21 10:00:00 UTC.
pub(crate) const MORNING_S: i64 = 1_795_255_200;

/// A log in a folder of its own. Each page in it is another one.
pub(crate) struct WebLog {
    pub(crate) folder: PathBuf,
    file: File,
    /// Pages so far.
    pub(crate) pages: u64,
    /// Seconds since 1970 of the next line.
    pub(crate) clock_s: i64,
    /// A line is so many seconds after the one before, or fewer.
    pub(crate) step_s: u64,
    rotations: u32,
    /// What was done to the file.
    pub(crate) done: BTreeMap<&'static str, u32>,
}

/// A line of format combined.
pub(crate) fn line(at_s: i64, client: &str, path: &str, status: u16, agent: &str) -> String {
    let time = jiff::Timestamp::from_second(at_s).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let time = time.strftime("%d/%b/%Y:%H:%M:%S %z");
    format!("{client} - - [{time}] \"GET {path} HTTP/1.1\" {status} 512 \"-\" \"{agent}\"\n")
}

impl WebLog {
    pub(crate) fn new(folder: &Path, clock_s: i64) -> Self {
        let folder = folder.to_owned();
        let file = open(&folder.join("access.log"));
        Self { folder, file, pages: 0, clock_s, step_s: 20, rotations: 0, done: BTreeMap::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("access.log")
    }

    /// Writes pages of some visitors, sometimes in two pieces.
    pub(crate) fn grow(&mut self, lines: u64, dice: &Dice) {
        for _ in 0..lines {
            let client = format!("192.0.2.{}", dice.below(6));
            let line = line(self.clock_s, &client, &format!("/p{}", self.pages), 200, "Mozilla/5.0");
            self.pages += 1;
            self.clock_s += dice.below(self.step_s) as i64;
            let (first, second) = line.split_at(dice.below(line.len() as u64) as usize);
            self.file.write_all(first.as_bytes()).unwrap();
            if dice.one_in(10) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            self.file.write_all(second.as_bytes()).unwrap();
        }
    }

    fn rotated(&mut self) -> PathBuf {
        self.rotations += 1;
        self.folder.join(format!("access.log-{:04}", self.rotations))
    }

    /// Something happens to the file.
    pub(crate) fn rotate(&mut self, dice: &Dice) {
        let what = match dice.below(4) {
            0 => {
                let to = self.rotated();
                fs::rename(self.path(), to).unwrap();
                self.file = open(&self.path());
                "renamed"
            }
            1 => {
                let to = self.rotated();
                fs::copy(self.path(), to).unwrap();
                self.file.set_len(0).unwrap();
                "copied and cut"
            }
            2 => {
                let to = self.rotated();
                fs::rename(self.path(), &to).unwrap();
                // The writer notices late.
                self.grow(3, dice);
                self.file = open(&self.path());
                "renamed, noticed late"
            }
            _ => {
                let to = self.rotated();
                fs::rename(self.path(), &to).unwrap();
                self.file = open(&self.path());
                self.grow(2, dice);
                gzip(&to);
                "renamed and compressed"
            }
        };
        *self.done.entry(what).or_default() += 1;
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

/// As `gzip` does it: the compressed file is there before the other one goes.
pub(crate) fn gzip(path: &Path) {
    assert!(Command::new("gzip").arg(path).status().unwrap().success());
}

/// Ends all sessions that imports of the folder have left open.
pub(crate) fn end_all(data: &Path) {
    let empty = data.join("empty.log");
    fs::write(&empty, "").unwrap();
    say(&["import", empty.to_str().unwrap(), "--final"], data);
}

/// Each page is in the tables, and no page twice; the tables agree with each other.
pub(crate) fn check_pages(data: &Path, pages: u64) {
    let csv = |sql: &str| say(&["query", sql, "-o", "csv"], data);
    let found = csv("SELECT path, count(*) FROM events WHERE kind = 'page_view' GROUP BY path");
    let counts: BTreeMap<&str, &str> = found.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count != "1").take(5).collect();
    let missing: Vec<_> =
        (0..pages).map(|n| format!("/p{n}")).filter(|path| !counts.contains_key(path.as_str())).collect();
    assert!(
        twice.is_empty() && missing.is_empty() && counts.len() as u64 == pages,
        "{pages} pages expected, {} found; more than once: {twice:?}; missing {}: {:?}",
        counts.len(),
        missing.len(),
        missing.iter().take(10).collect::<Vec<_>>()
    );
    let sums = csv("SELECT sum(page_views), count(*) - count(DISTINCT visit_id) FROM visits");
    assert_eq!(sums.lines().nth(1), Some(format!("{pages},0").as_str()));
}
