//! A disk that is full, and has room again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::http::Browser;
use crate::server::{Server, eventually};
use crate::upstream::Upstream;
use crate::visits;

/// A file system in memory, of a size. Dropping it unmounts it.
pub(crate) struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    pub(crate) fn of(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .expect("this test needs the program mount");
        let said = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "this test mounts a tmpfs, for which it has to be root: {said}");
        Self { folder }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let block = vec![7_u8; 1 << 20];
        let mut file = fs::File::create(self.filler()).unwrap();
        let mut length = block.len();
        while length > 0 {
            match std::io::Write::write(&mut file, &block[..length]) {
                Ok(_) => {}
                Err(_) => length /= 2,
            }
        }
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is still open there must not keep it: it goes when that does.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// A page that is answered within a bound.
fn page(browser: &mut Browser, path: &str, headers: &[(&str, &str)], within: Duration) {
    let began = Instant::now();
    let answer = browser.get(path, headers);
    assert_eq!(answer.status, 200, "{path}");
    assert!(began.elapsed() <= within, "{path} took {:?}", began.elapsed());
}

/// Pages of several browsers; what they asked for.
pub(crate) fn pages(server: &Server, what: &str, count: usize, within: Duration) -> Vec<String> {
    let mut asked = Vec::new();
    for b in 0..4 {
        let mut browser = Browser::new(server.site, &format!("{what}{b}"));
        for n in 0..count {
            let path = format!("/{what}/{b}/{n}");
            page(&mut browser, &path, &[], within);
            asked.push(path);
        }
    }
    asked
}

fn recorded(data: &Path) -> Vec<String> {
    let visits = visits::ended(data);
    let mut pages: Vec<String> = visits.iter().flat_map(|visit| visit.pages()).map(str::to_owned).collect();
    let all = pages.len();
    pages.sort_unstable();
    pages.dedup();
    assert_eq!(all, pages.len(), "pages that are recorded twice");
    pages
}

fn missing<'a>(asked: &'a [String], recorded: &[String]) -> Vec<&'a String> {
    asked.iter().filter(|path| recorded.binary_search(path).is_err()).collect()
}

const ARGS: [&str; 2] = ["--idle-timeout", "2s"];
/// A wait that is bounded, once; on a busy machine a bit more.
pub(crate) const ONCE: Duration = Duration::from_secs(5);
const EACH: Duration = Duration::from_secs(2);

#[test]
fn a_full_disk_costs_the_site_nothing_and_what_is_lost_is_counted() {
    let disk = SmallDisk::of("256m");
    let upstream = Upstream::start();
    let server = Server::start(&disk.data(), &upstream, &ARGS);
    let before = pages(&server, "before", 20, ONCE);
    assert_eq!(server.ask("/healthz").0, 200);
    disk.fill();
    // The first pages may still find room in a block that was begun; then one waits, and none after it.
    let mut while_full = pages(&server, "full", 200, ONCE);
    eventually("the disk to be full", || server.metric("visitlog_journal_on_reserve ") == 1.0);
    while_full.extend(pages(&server, "stalled", 50, EACH));
    let (status, said) = server.ask("/healthz");
    assert_eq!(status, 503);
    assert!(said.contains("stalled"), "{said}");
    assert_eq!(server.losses("events_lost"), 0, "what the reserve takes is not lost");

    // More than its share of the reserve: now it is lost, and counted.
    let mut lossy = Vec::new();
    let large = format!("large={}", "x".repeat(15_000));
    let mut browser = Browser::new(server.site, "lossy");
    while server.losses("events_lost") == 0 {
        assert!(lossy.len() < 20_000, "nothing is lost, though nothing can be written");
        for _ in 0..500 {
            let path = format!("/lossy/{}", lossy.len());
            page(&mut browser, &path, &[("X-Set", &large)], EACH);
            lossy.push(path);
        }
    }
    disk.make_room();
    eventually("the journal to go on", || server.ask("/healthz").0 == 200);
    let after = pages(&server, "after", 20, ONCE);
    let lost = server.losses("events_lost");
    server.wait_until_all_have_ended();
    let there = recorded(&disk.data());
    assert!(missing(&before, &there).is_empty());
    assert!(missing(&while_full, &there).is_empty(), "written to the reserve, or kept in memory until there was room");
    assert!(missing(&after, &there).is_empty());
    assert_eq!(missing(&lossy, &there).len() as u64, lost, "what is lost is what was counted");

    // All of that is on the disk.
    server.kill();
    let server = Server::start(&disk.data(), &upstream, &ARGS);
    server.wait_until_all_have_ended();
    assert_eq!(recorded(&disk.data()), there);
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
}

#[test]
fn a_kill_while_the_disk_is_full_keeps_what_was_acknowledged_before() {
    let disk = SmallDisk::of("16m");
    let upstream = Upstream::start();
    let mut server = Server::start(&disk.data(), &upstream, &ARGS);
    let before = pages(&server, "before", 20, ONCE);
    disk.fill();
    let while_full = pages(&server, "full", 100, ONCE);
    eventually("the journal to stall", || server.metric("visitlog_journal_stalled ") == 1.0);
    assert!(server.is_alive());
    server.kill();
    disk.make_room();
    let server = Server::start(&disk.data(), &upstream, &ARGS);
    let after = pages(&server, "after", 20, ONCE);
    server.wait_until_all_have_ended();
    let there = recorded(&disk.data());
    assert!(missing(&before, &there).is_empty());
    assert!(missing(&after, &there).is_empty());
    assert!(missing(&while_full, &there).len() < while_full.len() + 1);
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
}

#[test]
fn a_graceful_end_on_a_full_disk_ends() {
    let disk = SmallDisk::of("16m");
    let upstream = Upstream::start();
    let server = Server::start(&disk.data(), &upstream, &ARGS);
    pages(&server, "before", 5, ONCE);
    disk.fill();
    pages(&server, "full", 100, ONCE);
    let (_, log) = server.end();
    assert!(log.contains("the journal's end could not be written"), "what is lost is said:\n{log}");
}
