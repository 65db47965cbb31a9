//! A flood of strangers over real sockets, and visitors who go on beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::Browser;
use crate::server::{Server, eventually};
use crate::upstream::Upstream;
use crate::visits;

const SITE: &str = "shop.example";
const FOR: Duration = Duration::from_secs(8);
const VISITORS: usize = 4;
/// Multiples of the parts that share each.
const LIMITS: [(&str, &str, u64); 5] = [
    ("--max-open-sessions", "open_sessions", 3_200),
    ("--max-provisional", "provisional", 1_600),
    ("--max-tombstones", "tombstones", 1_600),
    ("--max-fingerprints", "fingerprints", 320),
    ("--max-journal", "journal_bytes", 4 << 20),
];

/// Requests of somebody who never keeps a cookie: a name, a host and a wish of its own each.
fn flood(site: SocketAddr, who: usize, is_over: &AtomicBool, asked: &AtomicU64) {
    let mut browser = Browser::new(site, "");
    browser.keeps = false;
    let (mut number, mut old) = (0, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        browser.agent =
            if number % 8 == 0 { format!("hammer {who}") } else { format!("Mozilla/5.0 ({who}; {number})") };
        let (host, user) = (format!("forged-{who}-{number}.example"), format!("stranger-{who}-{number}"));
        let wish = [("X-View", ""), ("X-Goodbye", ""), ("X-Login", user.as_str()), ("X-View", "")][number % 4];
        // What somebody got long ago, and whose session is over by now.
        browser.token = if number % 16 == 0 && number > 4_000 { old.pop() } else { None };
        let answer = browser.get(&format!("/stranger/{who}/{number}"), &[("Host", &host), wish]);
        assert_eq!(answer.status, 200, "the site is served to strangers too");
        if number < 1_000 {
            old.extend(answer.token().filter(|token| !token.is_empty()));
        }
        asked.fetch_add(1, Ordering::Relaxed);
        // So that a second or two pass before a visitor's first request is among the oldest.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the flood, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A browser that looks at pages, logs in and out, and says how many pages each of its visits has to have.
fn visit(site: SocketAddr, who: usize, is_over: &AtomicBool) -> Vec<(String, Vec<String>)> {
    let mut browser = Browser::new(site, &format!("Mozilla/5.0 (visitor {who})"));
    let user = format!("visitor-{who}");
    let mut visits: Vec<(String, Vec<String>)> = Vec::new();
    let (mut number, mut has_left) = (0, true);
    while !is_over.load(Ordering::Relaxed) || !has_left {
        number += 1;
        let path = format!("/visitor/{who}/{number}");
        let wish = match number % 20 {
            3 => ("X-Login", user.as_str()),
            0 => ("X-Goodbye", ""),
            _ => ("X-View", ""),
        };
        let answer = browser.get(&path, &[("Host", SITE), wish]);
        assert_eq!(answer.status, 200);
        if std::mem::replace(&mut has_left, false) {
            assert!(answer.our_cookie().is_some(), "visitor {who}: a visit began at {path} without a cookie");
            // What the page consists of brings the cookie back.
            let asset = browser.get("/app.css", &[("Host", SITE)]);
            let visit = asset.seen().visit().expect("its visit is told").to_owned();
            visits.push((visit, Vec::new()));
        } else {
            let visit = answer.seen().visit().map(str::to_owned);
            let expected = visits.last().map(|(visit, _)| visit.clone());
            assert_eq!(visit, expected, "visitor {who} was put out at {path}");
        }
        visits.last_mut().unwrap().1.push(path);
        has_left = number % 20 == 0;
        std::thread::sleep(Duration::from_millis(15));
    }
    visits
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    // A segment may go meanwhile.
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn limit(server: &Server, family: &str, limit: &str) -> u64 {
    server.metric(&format!("visitlog_limit_{family}{{limit=\"{limit}\"}}")) as u64
}

#[test]
fn a_flood_fills_nothing_and_disturbs_no_visitor() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path().join("data");
    let values = LIMITS.map(|(_, _, max)| max.to_string());
    let mut args = vec!["--site", SITE, "--visitor-max-age", "30d", "--workers", "2"];
    for ((flag, ..), value) in LIMITS.iter().zip(&values) {
        args.extend([flag, value.as_str()]);
    }
    let server = Server::start(&data, &upstream, &args);
    let journal = data.join("journal");
    let (is_over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (site, mut longest) = (server.site, 0);
    let visited: Vec<_> = std::thread::scope(|scope| {
        let (is_over, asked) = (&is_over, &asked);
        let over = Over(is_over);
        let visitors: Vec<_> = (0..VISITORS).map(|who| scope.spawn(move || visit(site, who, is_over))).collect();
        (0..2).for_each(|who| drop(scope.spawn(move || flood(site, who, is_over, asked))));
        let begun = Instant::now();
        while begun.elapsed() < FOR && visitors.iter().all(|visitor| !visitor.is_finished()) {
            for (_, name, max) in LIMITS {
                let used = limit(&server, "used", name);
                assert!(used <= max, "{name}: {used} of {max}");
            }
            longest = longest.max(bytes_in(&journal));
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(over);
        visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect()
    });
    let asked = asked.into_inner();
    assert!(asked > 1_000, "only {asked} requests of strangers");
    // The reserve for a full disk is kept in the folder, too.
    let reserve = 64 << 20;
    assert!(longest < reserve + 2 * (4 << 20), "{longest} bytes in {}", journal.display());
    for name in ["provisional", "tombstones"] {
        assert!(asked < 5_000 || limit(&server, "hits_total", name) > 0, "{name} was never reached");
    }
    assert_eq!(limit(&server, "max", "sites"), 1, "a named list is closed");
    assert_eq!(limit(&server, "used", "sites"), 1);
    assert_eq!(server.losses("journal_quota"), 0, "nobody was refused for the journal");
    assert_eq!(server.losses("store_unavailable"), 0);
    if limit(&server, "hits_total", "provisional") > 0 {
        eventually("the log to say so", || server.log().contains("at its limit"));
        let said = server.log().matches("at its limit").count();
        assert!(said < 30, "said {said} times");
    }
    let pages: usize = visited.iter().map(|(_, pages)| pages.len()).sum();
    assert!(visited.len() >= VISITORS && pages > 20 * VISITORS, "{pages} pages in {} visits", visited.len());
    eventually("the visits of visitors to be in the file", || {
        let ended = visits::ended(&data);
        visited.iter().all(|(visit, _)| ended.iter().any(|ended| ended.id() == visit))
    });
    let ended = visits::ended(&data);
    for (visit, pages) in &visited {
        let ended = ended.iter().find(|ended| ended.id() == visit).unwrap();
        assert_eq!((ended.reason(), &ended.0["site"]), ("logged_out", &SITE.into()));
        assert_eq!(ended.pages().iter().filter(|page| page.starts_with("/visitor/")).count(), pages.len(), "{visit}");
    }
    let forged = ended.iter().filter(|visit| visit.0["site"] != SITE);
    assert!(forged.clone().count() > 100, "strangers' visits are visits");
    assert!(forged.clone().all(|visit| visit.0["site"] == "other"), "a forged host made a site");
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}
