//! SIGTERM: what is under way is answered, and nothing is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::books::compare;
use crate::crowd::{self, Book, Gate, Habit};
use crate::dice;
use crate::http::{Browser, Conn};
use crate::server::{Server, eventually};
use crate::upstream::Upstream;
use crate::visits;
use visitlog_testkit::Dice;

const IDLE: Duration = Duration::from_secs(3);
const ARGS: [&str; 2] = ["--idle-timeout", "3s"];

#[test]
fn a_graceful_end_under_load_loses_nothing_and_answers_what_is_under_way() {
    let (folder, upstream, dice) = (tempfile::tempdir().unwrap(), Upstream::start(), dice::fresh());
    let gate = Arc::new(Gate::default());
    let habits = [Habit::Steady, Habit::Steady, Habit::Steady, Habit::Member, Habit::Member, Habit::Member];
    let crowd: Vec<_> = habits
        .into_iter()
        .enumerate()
        .map(|(n, habit)| {
            crowd::start(&gate, &format!("{habit:?}{n}"), habit, IDLE, Dice::new(dice.next()), &Arc::default(), 0)
        })
        .collect();
    for _ in 0..10 {
        let server = Server::start(folder.path(), &upstream, &ARGS);
        gate.open(server.site);
        std::thread::sleep(Duration::from_millis(100 + dice.below(100)));
        gate.close();
        let (status, log) = server.end();
        assert_eq!(status.code(), Some(0), "{log}");
    }
    gate.end();
    let books: Vec<Book> = crowd.into_iter().map(|client| client.join().unwrap()).collect();
    let server = Server::start(folder.path(), &upstream, &ARGS);
    server.wait_until_all_have_ended();
    let visits = visits::ended(folder.path());
    let tally = compare(&books, &visits, &[], IDLE);
    assert!(tally.faults.is_empty() && tally.gone.is_empty(), "{:#?}", tally.faults);
    assert!(tally.answered > 100 && tally.across_3_lives > 0, "{tally:?}");
}

#[test]
fn a_slow_request_is_answered_before_the_end() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &ARGS);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/", &[]);
    let mut idle = Conn::open(server.site).unwrap();
    let before = upstream.asked();
    let slow = std::thread::spawn(move || browser.get("/slow", &[("X-Sleep", "1500")]).status);
    eventually("the slow request to reach the site", || upstream.asked() > before);
    let began = Instant::now();
    let (site, server) = (server.site, std::thread::spawn(move || server.end()));
    assert_eq!(slow.join().unwrap(), 200);
    let (status, log) = server.join().unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(began.elapsed() < Duration::from_secs(20), "an idle connection must not hold it up");
    assert!(idle.answer().is_err());
    assert!(Conn::open(site).is_err(), "nobody listens any more");

    let server = Server::start(folder.path(), &upstream, &ARGS);
    server.wait_until_all_have_ended();
    assert_eq!(visits::visit_with(&visits::ended(folder.path()), "/slow").pages(), ["/", "/slow"]);
}

#[test]
fn who_asks_again_waits_for_no_request_under_way() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let mut server = Server::start(folder.path(), &upstream, &ARGS);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/", &[]);
    let mut conn = Conn::open(server.site).unwrap();
    let before = upstream.asked();
    conn.send(b"GET /slow HTTP/1.1\r\nHost: shop.example\r\nX-Sleep: 15000\r\n\r\n").unwrap();
    eventually("the slow request to reach the site", || upstream.asked() > before);
    let began = Instant::now();
    server.ask_to_end();
    eventually("it to stop listening", || Conn::open(server.site).is_err());
    while server.is_alive() {
        assert!(began.elapsed() < Duration::from_secs(10), "it waits all the same");
        server.ask_to_end();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.wait().code(), Some(130));
    let server = Server::start(folder.path(), &upstream, &ARGS);
    server.wait_until_all_have_ended();
    assert_eq!(visits::visit_with(&visits::ended(folder.path()), "/").pages(), ["/"]);
}
