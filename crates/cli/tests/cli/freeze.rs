//! A process that stands still for longer than the idle timeout, and goes on.

use std::sync::Arc;
use std::time::Duration;

use crate::books::compare;
use crate::crowd::{self, Book, Gate, Habit};
use crate::dice;
use crate::http::Browser;
use crate::server::Server;
use crate::upstream::Upstream;
use crate::visits;
use visitlog_testkit::Dice;

const IDLE: Duration = Duration::from_secs(2);
const STILL: Duration = Duration::from_millis(3_500);

#[test]
fn standing_still_for_longer_than_the_idle_timeout_loses_and_doubles_nothing() {
    let (folder, upstream, dice) = (tempfile::tempdir().unwrap(), Upstream::start(), dice::fresh());
    let server = Server::start(folder.path(), &upstream, &["--idle-timeout", "2s"]);
    let gate = Arc::new(Gate::default());
    let crowd: Vec<_> = [Habit::Steady, Habit::Steady, Habit::Pausing, Habit::Member, Habit::Member, Habit::Cookieless]
        .into_iter()
        .enumerate()
        .map(|(n, habit)| {
            crowd::start(&gate, &format!("{habit:?}{n}"), habit, IDLE, Dice::new(dice.next()), &Arc::default(), 0)
        })
        .collect();
    gate.open(server.site);
    // Some have gone away before it stands still, and ask no more.
    let mut left: Vec<Browser> = (0..10).map(|n| Browser::new(server.site, &format!("left{n}"))).collect();
    for (n, browser) in left.iter_mut().enumerate() {
        browser.get(&format!("/left{n}/1"), &[]);
        browser.get(&format!("/left{n}/2"), &[]);
    }
    std::thread::sleep(Duration::from_millis(700));
    let frozen_at = crowd::now();
    server.freeze();
    // Requests that come meanwhile wait in the system's queues: one of each who has left, and the crowd's.
    std::thread::sleep(STILL - Duration::from_secs(1));
    let waiting: Vec<_> = left
        .drain(..5)
        .enumerate()
        .map(|(n, mut browser)| std::thread::spawn(move || browser.get(&format!("/left{n}/3"), &[]).status))
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let thawed_at = crowd::now();
    server.thaw();
    for asked in waiting {
        assert_eq!(asked.join().unwrap(), 200);
    }
    std::thread::sleep(Duration::from_millis(500));
    gate.end();
    let books: Vec<Book> = crowd.into_iter().map(|client| client.join().unwrap()).collect();
    server.wait_until_all_have_ended();
    assert_eq!(server.losses("gone"), 0);
    let (status, log) = server.end();
    assert!(status.success(), "{status}\n{log}");

    let visits = visits::ended(folder.path());
    let tally = compare(&books, &visits, &[], IDLE);
    assert!(tally.faults.is_empty() && tally.gone.is_empty(), "{:#?}", tally.faults);
    assert!(books.iter().all(|book| book.attempts.iter().any(|attempt| attempt.done > thawed_at)), "nobody went on");
    for n in 0..10 {
        let visit = visits::visit_with(&visits, &format!("/left{n}/2"));
        assert_eq!(visit.pages(), [format!("/left{n}/1"), format!("/left{n}/2")]);
        assert_eq!(visit.reason(), "expired");
        assert!(
            visit.moment("ended_at") <= frozen_at + 100_000,
            "ended when it was seen last, not when the process went on"
        );
        assert!(visit.moment("closed_at") >= thawed_at - 100_000, "a process that stands still ends nothing");
        if n < 5 {
            let next = visits::visit_with(&visits, &format!("/left{n}/3"));
            assert_eq!(next.0["previous_visit_id"], visit.id());
        }
    }
}
