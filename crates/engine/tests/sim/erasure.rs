//! Erasure: the barrier holds whatever crashes, and the journal's own copies go.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use visitlog_core::model::{EndReason, UserId};
use visitlog_core::ports::{Disk as _, Durability, Op};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::journal::Whose;

use crate::lab::{Lab, login, token_of};
use crate::plan::Plan;
use crate::world::{JOURNAL, VISITS};

const SECOND: Duration = Duration::from_secs(1);

/// The files that hold these bytes.
fn found(lab: &Lab, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [JOURNAL, VISITS] {
        for path in lab.disk.list(Path::new(folder)).expect("listed") {
            let bytes = lab.disk.contents(&path).unwrap_or_default();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// Alice has ended visits that no sink has, and an open one; Bob too.
fn scene() -> (Lab, Vec<VisitId>, Vec<VisitId>) {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    lab.desk.file_is_down.store(true, Ordering::SeqCst);
    lab.desk.hook_is_down.store(true, Ordering::SeqCst);
    let (mut alice, mut bob) = (Vec::new(), Vec::new());
    for (user, print, visits) in [("alice-in-chains", 1, &mut alice), ("bob", 2, &mut bob)] {
        let mut token = None;
        for visit in 0..3 {
            let page = lab.page(print, token, vec![login(user)]);
            token = token_of(&page).or(token);
            visits.push(page.visit.expect("started"));
            if visit < 2 {
                lab.page(print, token, vec![Op::Logout]);
            }
        }
    }
    lab.turn();
    (lab, alice, bob)
}

fn erase(lab: &Lab) -> Lsn {
    let alice = UserId::new("alice-in-chains");
    let begun = lab.life.engine.begin_erasure(Whose::User(&alice)).expect("it begins");
    lab.life.engine.ended().hasten(begun.below);
    begun.below
}

fn open_again(lab: &Lab) {
    lab.desk.heal();
    lab.desk.take_file();
    lab.desk.take_hook();
}

#[test]
fn no_sink_gets_the_erased_and_the_journal_lets_them_go() {
    let (mut lab, alice, bob) = scene();
    assert!(!found(&lab, b"alice-in-chains").is_empty(), "is the search blind?");
    let whom = UserId::new("alice-in-chains");
    let begun = lab.life.engine.begin_erasure(Whose::User(&whom)).expect("it begins");
    assert_eq!(begun.ended, 1);
    let mut known = begun.visits.clone();
    known.sort_unstable();
    let mut all = alice.clone();
    all.sort_unstable();
    assert_eq!(known, all, "ended ones and the open one");
    open_again(&lab);
    lab.turns(60, SECOND);
    assert_eq!(lab.life.sinks.without(begun.below), Vec::<String>::new());
    let below = lab.life.engine.release_journal(begun.visits);
    let mut turns = 0;
    while !lab.life.engine.is_released(below) {
        turns += 1;
        assert!(turns < 8, "bounded: begun, carried, synced, gone");
        lab.turns(1, Duration::from_millis(200));
    }
    assert_eq!(found(&lab, b"alice-in-chains"), Vec::<String>::new());
    for visit in &alice {
        assert_eq!(found(&lab, &visit.as_u128().to_le_bytes()), Vec::<String>::new());
        assert_eq!(found(&lab, visit.to_string().as_bytes()), Vec::<String>::new());
    }
    assert!(lab.delivered.iter().all(|visit| !alice.contains(&visit.visit)));
    assert!(bob[..2].iter().all(|visit| lab.delivered.iter().any(|ended| ended.visit == *visit)));
    let open = lab.life.engine.open_visit(bob[2]).expect("read");
    assert!(open.is_none_or(|open| open.user == Some(UserId::new("bob")) && !open.events.is_empty()));
    lab.restart();
    lab.turns(60, SECOND);
    assert!(lab.delivered.iter().all(|visit| !alice.contains(&visit.visit)));
    assert_eq!(lab.lines().iter().filter(|visit| bob.contains(visit)).count(), 3, "the open one expired");
}

#[test]
fn a_barrier_holds_after_a_power_cut_and_the_journal_goes_on_letting_go() {
    for turns in 0..12 {
        let (mut lab, alice, bob) = scene();
        let below = erase(&lab);
        lab.settle();
        open_again(&lab);
        // Deliveries and acknowledgements, of which the power cut takes what is not synced.
        for turn in 0..turns {
            if turn % 3 == 2 {
                lab.settle();
            }
            let now = lab.life.engine.now();
            lab.life.sinks.step(now);
            lab.wait(SECOND);
        }
        lab.disk.power_cut();
        lab.restart();
        lab.turns(120, SECOND);
        let lines = lab.lines();
        assert!(lines.iter().all(|visit| !alice.contains(visit)), "after {turns} turns: {lines:?}");
        assert_eq!(lines.iter().filter(|visit| bob.contains(visit)).count(), 3, "after {turns} turns");
        assert!(lab.delivered.iter().all(|visit| !alice.contains(&visit.visit)), "after {turns} turns");
        assert!(lab.life.engine.is_released(below), "after {turns} turns: nobody had to ask again");
        assert_eq!(found(&lab, b"alice-in-chains"), Vec::<String>::new(), "after {turns} turns");
        for visit in &alice {
            assert_eq!(found(&lab, &visit.as_u128().to_le_bytes()), Vec::<String>::new(), "after {turns} turns");
        }
    }
}

#[test]
fn a_visit_that_came_before_is_not_named_any_more() {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    let first = lab.page(1, None, vec![login("alice-in-chains")]);
    let old = first.visit.expect("started");
    lab.page(1, token_of(&first), vec![Op::Logout]);
    // The same browser, nobody logged in: that visit stays, and names no erased one.
    let next = lab.page(1, token_of(&first), vec![]).visit.expect("started");
    lab.turns(2, SECOND);
    let below = erase(&lab);
    lab.turns(3, SECOND);
    assert!(lab.life.sinks.without(below).is_empty());
    let below = lab.life.engine.release_journal([old]);
    lab.turns(4, SECOND);
    assert!(lab.life.engine.is_released(below));
    let journal = found(&lab, &old.as_u128().to_le_bytes());
    assert_eq!(journal, Vec::<String>::new());
    let open = lab.life.engine.open_visit(next).expect("read").expect("open");
    assert_eq!(open.start.previous, None);
    lab.turns(60, SECOND);
    let ended = lab.visit(next);
    assert_eq!((ended.start.previous, ended.end.reason), (None, EndReason::Expired));
}
