//! Many at once, over real sockets.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::http::{Answer, Browser};
use crate::server::{Server, eventually};
use crate::upstream::Upstream;
use crate::visits::{self, Visit};

/// Asks with each browser at the same moment; the answers in order.
fn at_once(browsers: Vec<Browser>, path: impl Fn(usize) -> String) -> Vec<(Browser, Answer)> {
    let start = Arc::new(Barrier::new(browsers.len()));
    let threads: Vec<_> = browsers
        .into_iter()
        .enumerate()
        .map(|(n, mut browser)| {
            let (start, path) = (Arc::clone(&start), path(n));
            std::thread::spawn(move || {
                start.wait();
                let answer = browser.get(&path, &[]);
                (browser, answer)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// All visits that the server knows.
fn known(server: &Server) -> Vec<Visit> {
    let (status, body) = server.ask("/api/v1/visits?limit=10000");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Vec<serde_json::Value>>(&body).unwrap().into_iter().map(Visit).collect()
}

#[test]
fn fifty_parallel_requests_with_one_expired_cookie_start_one_session() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &["--idle-timeout", "2s"]);
    let mut browser = Browser::new(server.site, "fifty tabs");
    browser.get("/first", &[]);
    browser.get("/second", &[]);
    std::thread::sleep(Duration::from_millis(2_500));
    let tabs = at_once((0..50).map(|_| browser.twin()).collect(), |n| format!("/tab/{n}"));
    let tokens: HashSet<Option<String>> = tabs.iter().map(|(tab, _)| tab.token.clone()).collect();
    assert!(!tokens.contains(&browser.token), "each tab got the new session's cookie");
    server.wait_until_all_have_ended();
    let visits = visits::ended(folder.path());
    assert_eq!(visits.len(), 2);
    let (old, new) = (visits::visit_with(&visits, "/first"), visits::visit_with(&visits, "/tab/0"));
    assert_eq!(old.pages(), ["/first", "/second"]);
    assert_eq!(new.pages().len(), 50);
    assert_eq!(new.0["previous_visit_id"], old.id());
    assert_eq!((&new.0["visit_number"], &new.0["visitor_id"]), (&2.into(), &old.0["visitor_id"]));
}

#[test]
fn fifty_parallel_requests_with_a_logged_out_cookie_get_neither_the_old_session_nor_each_others() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "fifty thieves");
    browser.get("/first", &[("X-Login", "alice"), ("X-Set", "secret=yes")]);
    let old = browser.get("/second", &[]).seen().visit().unwrap().to_owned();
    let thieves: Vec<Browser> = (0..50).map(|_| browser.twin()).collect();
    browser.get("/bye", &[("X-Logout", "")]);
    let asked = at_once(thieves, |n| format!("/thief/{n}"));
    let visits = known(&server);
    let mut started = HashSet::new();
    for (n, (_, answer)) in asked.iter().enumerate() {
        let visit = visits::visit_with(&visits, &format!("/thief/{n}"));
        assert_ne!(visit.id(), old);
        assert!(started.insert(visit.id().to_owned()), "{n} joined another's session");
        assert!(visit.0["user_id"].is_null() && visit.0["values"].as_object().unwrap().is_empty());
        assert_ne!(answer.seen().visit(), Some(old.as_str()));
    }
    assert_eq!(visits::visit_with(&visits, "/bye").reason(), "logged_out");
    assert_eq!(visits::visit_with(&visits, "/bye").pages(), ["/first", "/second", "/bye"]);
}

#[test]
fn who_keeps_no_cookie_costs_64_sessions_at_most_and_fifty_browsers_get_fifty() {
    const BROWSERS: usize = 50;
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let site = server.site;
    let agent = "the same for all";
    let bots: Vec<_> = (0..4)
        .map(|bot| {
            std::thread::spawn(move || {
                let mut browser = Browser::new(site, agent);
                browser.keeps = false;
                (0..2_500).for_each(|n| assert_eq!(browser.get(&format!("/bot/{bot}/{n}"), &[]).status, 200));
            })
        })
        .collect();
    // They come while that goes on.
    let browsers: Vec<_> = (0..BROWSERS)
        .map(|b| {
            std::thread::spawn(move || {
                let mut browser = Browser::new(site, agent);
                std::thread::sleep(Duration::from_millis(10 * b as u64));
                (0..6).for_each(|n| assert_eq!(browser.get(&format!("/browser/{b}/{n}"), &[]).status, 200));
            })
        })
        .collect();
    browsers.into_iter().chain(bots).for_each(|thread| thread.join().unwrap());
    let visits = known(&server);
    let mut of_page: HashMap<&str, &Visit> = HashMap::new();
    for visit in &visits {
        visit.pages().into_iter().for_each(|page| assert!(of_page.insert(page, visit).is_none(), "{page} twice"));
    }
    assert_eq!(of_page.len(), 10_000 + BROWSERS * 6, "every page is in one visit");
    // The first page may have come when its fingerprint shared a session; from the second on it has its own.
    let mut own = HashSet::new();
    for b in 0..BROWSERS {
        let visit = of_page[format!("/browser/{b}/1").as_str()];
        (2..6).for_each(|n| assert_eq!(of_page[format!("/browser/{b}/{n}").as_str()].id(), visit.id()));
        assert!(visit.pages().iter().all(|page| page.starts_with(&format!("/browser/{b}/"))), "{:?}", visit.pages());
        assert!(own.insert(visit.id()));
    }
    assert_eq!(own.len(), BROWSERS);
    let bots: HashSet<&str> = visits.iter().map(Visit::id).filter(|id| !own.contains(id)).collect();
    assert!(bots.len() <= 64, "{} sessions for who keeps no cookie", bots.len());
    assert!(bots.len() > 1, "some are given the chance to keep one");
}

#[test]
fn fifty_new_browsers_behind_one_address_get_fifty_sessions() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let fresh = (0..50).map(|_| Browser::new(server.site, "the same for all")).collect();
    let first = at_once(fresh, |n| format!("/first/{n}"));
    let second = at_once(first.into_iter().map(|(browser, _)| browser).collect(), |n| format!("/second/{n}"));
    assert!(second.iter().all(|(_, answer)| answer.our_cookie().is_none()), "nobody gets another cookie");
    let visits = known(&server);
    assert_eq!(visits.len(), 50);
    for n in 0..50 {
        let visit = visits::visit_with(&visits, &format!("/first/{n}"));
        assert_eq!(visit.pages(), [format!("/first/{n}"), format!("/second/{n}")]);
        assert_eq!((&visit.0["confirmed"], &visit.0["is_new_visitor"]), (&true.into(), &true.into()));
    }
}

#[test]
fn a_slow_request_does_not_undo_a_logout() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/first", &[("X-Login", "alice")]);
    let mut tab = browser.twin();
    let before = upstream.asked();
    let slow = std::thread::spawn(move || {
        let answer = tab.get("/slow", &[("X-Sleep", "800"), ("X-Set", "late=yes"), ("X-Action", "late")]);
        (tab, answer)
    });
    eventually("the slow request to reach the site", || upstream.asked() > before);
    assert_eq!(server.losses("gone"), 0);
    let bye = browser.get("/bye", &[("X-Logout", "")]);
    let (mut tab, answer) = slow.join().unwrap();
    assert_eq!((bye.status, answer.status), (200, 200));
    assert_eq!(answer.seen().visit(), bye.seen().visit(), "it began in the session");
    assert_eq!(answer.our_cookie(), None, "and is no reason for a cookie");
    assert_eq!(server.losses("gone"), 1);
    let visits = known(&server);
    assert_eq!(visits.len(), 1, "nothing was started for it either");
    assert_eq!((visits[0].pages(), visits[0].reason()), (vec!["/first", "/bye"], "logged_out"));
    assert!(visits[0].actions().is_empty() && visits[0].0["values"].as_object().unwrap().is_empty());
    assert_ne!(tab.get("/later", &[]).seen().visit(), Some(visits[0].id()), "the old cookie opens nothing");
}

#[test]
fn two_requests_that_set_different_values_both_win() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/first", &[]);
    let start = Arc::new(Barrier::new(16));
    let tabs: Vec<_> = (0..16)
        .map(|n| {
            let (mut tab, start) = (browser.twin(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                tab.get(&format!("/{n}"), &[("X-Set", &format!("key{n}=value{n}")), ("X-Sleep", "30")]);
            })
        })
        .collect();
    tabs.into_iter().for_each(|tab| tab.join().unwrap());
    let visits = known(&server);
    assert_eq!(visits.len(), 1);
    for n in 0..16 {
        assert_eq!(visits[0].0["values"][format!("key{n}")], format!("value{n}"));
    }
}
