//! kill -9 at random moments, under load, again and again; and a process that stands still.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::books::{Tally, Terminated, compare};
use crate::crowd::{self, Book, Gate, Habit, Jar, now};
use crate::dice;
use crate::server::Server;
use crate::upstream::Upstream;
use crate::visits;
use visitlog_testkit::Dice;

pub(crate) const IDLE: Duration = Duration::from_secs(2);
/// Longer than the idle timeout and what recovery pads it by.
pub(crate) const DOWN: Duration = Duration::from_millis(3_300);
const ARGS: [&str; 4] = ["--idle-timeout", "2s", "--durability", "process"];
const PAIRS: usize = 4;

/// A pair's name, and what its two share.
pub(crate) type SharedJar = (String, Arc<Jar>);

#[test]
fn two_hundred_kills() {
    let killed = torment(|kills, _| kills < 200, 45);
    assert!(killed >= 200);
}

/// `cargo xtask torture`; for `VISITLOG_TORTURE_SECONDS`, else ten minutes.
#[test]
#[ignore = "takes as long as it is told to"]
fn torture() {
    let seconds = std::env::var("VISITLOG_TORTURE_SECONDS").map_or(Ok(600), |text| text.parse()).unwrap();
    let killed = torment(|_, since| since < Duration::from_secs(seconds), 100);
    eprintln!("{killed} kills");
}

/// Kills the server as long as `go_on` says, with a long break every `down_every` kills. Returns how many there were.
fn torment(go_on: impl Fn(u32, Duration) -> bool, down_every: u32) -> u32 {
    let began = Instant::now();
    let dice = dice::fresh();
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let gate = Arc::new(Gate::default());
    let (crowd, jars) = crowd_of(&gate, &dice, 1);
    let mut terminated = Vec::new();
    let mut breaks = Vec::new();
    let mut kills = 0;
    while go_on(kills, began.elapsed()) {
        let server = Server::start(folder.path(), &upstream, &ARGS);
        gate.open(server.site);
        std::thread::sleep(Duration::from_millis(20 + dice.below(100)));
        if dice.one_in(3) {
            terminated.extend(terminate(&server, &jars, &dice));
        }
        gate.close();
        server.kill();
        kills += 1;
        if kills % down_every == 0 {
            let from = now();
            std::thread::sleep(DOWN);
            breaks.push((from, now()));
        }
    }
    let server = Server::start(folder.path(), &upstream, &ARGS);
    let last_life = gate.open(server.site);
    std::thread::sleep(Duration::from_secs(1));
    gate.end();
    let books: Vec<Book> = crowd.into_iter().map(|client| client.join().unwrap()).collect();
    let gone = server.losses("gone");
    server.wait_until_all_have_ended();
    let (status, log) = server.end();
    assert!(status.success(), "{status}\n{log}");
    let seen = audit(folder.path(), &books, &terminated, &breaks);
    let missing = seen.gone.iter().filter(|life| **life == last_life).count();
    assert_eq!(missing as u64, gone, "pages that are in no visit, and were counted as gone");
    eprintln!("{kills} kills in {:.1} s", began.elapsed().as_secs_f64());
    kills
}

/// `share` of 2: a smaller crowd, half as many of each.
pub(crate) fn crowd_of(gate: &Arc<Gate>, dice: &Dice, share: usize) -> (Vec<JoinHandle<Book>>, Vec<SharedJar>) {
    let mut crowd = Vec::new();
    let mut jars = Vec::new();
    let mut client = |name: &str, habit, jar: &Arc<Jar>, first| {
        crowd.push(crowd::start(gate, name, habit, IDLE, Dice::new(dice.next()), jar, first));
    };
    for (habit, count) in [(Habit::Steady, 6), (Habit::Pausing, 4), (Habit::Member, 6), (Habit::Cookieless, 2)] {
        (0..count / share).for_each(|n| client(&format!("{habit:?}{n}"), habit, &Arc::default(), 0));
    }
    for n in 0..PAIRS / share {
        let (name, jar) = (format!("pair{n}"), Arc::default());
        client(&name, Habit::Pair, &jar, 0);
        client(&name, Habit::Pair, &jar, 1_000_000_000);
        jars.push((name, jar));
    }
    (crowd, jars)
}

/// Terminates the session of one of the pairs.
pub(crate) fn terminate(server: &Server, jars: &[SharedJar], dice: &Dice) -> Option<Terminated> {
    let (name, jar) = &jars[dice.below(jars.len() as u64) as usize];
    let visit = jar.visit.lock().unwrap().clone()?;
    let sent = now();
    let answered = end(server, &format!("/api/v1/sessions/{visit}"));
    Some(Terminated { name: name.clone(), visit, sent, done: now(), answered: answered == 200 })
}

fn end(server: &Server, path: &str) -> u16 {
    let mut conn = crate::http::Conn::open(server.admin).unwrap();
    let host = server.admin;
    let bearer = server.bearer();
    conn.send(format!("DELETE {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\n\r\n").as_bytes()).unwrap();
    conn.answer().unwrap().status
}

/// Compares what the clients saw with what the folder holds.
fn audit(data: &Path, books: &[Book], terminated: &[Terminated], breaks: &[(i64, i64)]) -> Tally {
    let visits = visits::ended(data);
    let tally = compare(books, &visits, terminated, IDLE);
    let shown: Vec<&String> = tally.faults.iter().take(10).collect();
    assert!(shown.is_empty(), "{} faults: {shown:#?}", tally.faults.len());
    eprintln!(
        "{} pages answered, {} gone; {} visits, {} of them across three lives or more, {} evicted; {} pairs together, {} apart; {} terminated",
        tally.answered,
        tally.gone.len(),
        visits.len(),
        tally.across_3_lives,
        tally.evicted,
        tally.together,
        tally.apart,
        terminated.iter().filter(|end| end.answered).count(),
    );
    // They expired while nobody was there to see it, and ended when they were seen last all the same.
    let idle = i64::try_from(IDLE.as_micros()).unwrap();
    for (from, to) in breaks {
        let expired = visits.iter().filter(|visit| {
            let (ended, closed) = (visit.moment("ended_at"), visit.moment("closed_at"));
            let was_alive = (from - idle..*to).contains(&ended);
            visit.reason() == "expired" && was_alive && closed >= *to
        });
        assert!(expired.count() >= 5, "too few sessions expired in the break from {from} to {to}");
    }
    // If these are not reached, the test tests less than it says.
    assert!(tally.answered > 2_000 && tally.together > 1_000 && tally.apart > 20, "{tally:?}");
    assert!(tally.across_3_lives > 10, "{tally:?}");
    tally
}
