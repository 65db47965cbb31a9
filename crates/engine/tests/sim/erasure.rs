//! Erasure: the barrier holds whatever crashes, and the journal's own copies go.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use visitlog_core::VisitId;
use visitlog_core::erasure::{Claim, FoundVisits, Subject, Survey, Whose};
use visitlog_core::model::{EndReason, UserId};
use visitlog_core::ports::{Disk as _, Durability, Op};
use visitlog_engine::Erasing;
use visitlog_sinks::{ErasedAside, erase_lines, find_lines, survey_lines};

use crate::lab::{Lab, login, token_of};
use crate::plan::Plan;
use crate::simulation::{JOURNAL, VISITS};

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

fn the_user() -> Subject {
    Subject::User(UserId::new("alice-in-chains"))
}

/// Begins the erasure of Alice's visits with her login.
fn erase(lab: &Lab) -> Erasing {
    begin(lab, &Whose::of(the_user()))
}

fn begin(lab: &Lab, whose: &Whose) -> Erasing {
    let begun = lab.life.engine.begin_erasure(whose, &FoundVisits::default()).expect("it begins");
    lab.life.engine.ended().hasten(begun.below);
    begun
}

/// Whose visits are Alice's, by what the journal has.
fn surveyed(lab: &Lab) -> Whose {
    let engine = &lab.life.engine;
    let mut survey = Survey::of(UserId::new("alice-in-chains"), engine.unfinished_erasures(&the_user()));
    engine.survey(&mut survey).expect("read");
    survey.begin_second();
    engine.survey(&mut survey).expect("read");
    survey.finish()
}

/// The files that hold a visit's id.
fn naming(lab: &Lab, visit: VisitId) -> Vec<String> {
    [found(lab, &visit.as_u128().to_le_bytes()), found(lab, visit.to_string().as_bytes())].concat()
}

/// Lets the journal go, until nothing of before is left.
fn release(lab: &mut Lab, begun: &Erasing) {
    let below = lab.life.engine.release_journal(begun, &FoundVisits::default());
    let mut turns = 0;
    while !lab.life.engine.is_released(below) {
        turns += 1;
        assert!(turns < 8, "bounded: begun, carried, synced, gone");
        lab.turns(1, Duration::from_millis(200));
    }
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
    let begun = erase(&lab);
    assert_eq!(begun.ended, 1);
    assert_eq!((begun.visits.count(Claim::Login), begun.visits.count(Claim::Anonymous)), (3, 0));
    let mut known: Vec<VisitId> = begun.visits.ids().collect();
    known.sort_unstable();
    let mut all = alice.clone();
    all.sort_unstable();
    assert_eq!(known, all, "ended ones and the open one");
    open_again(&lab);
    lab.turns(60, SECOND);
    assert_eq!(lab.life.sinks.without(begun.below), Vec::<String>::new());
    release(&mut lab, &begun);
    lab.life.engine.finish_erasure(&the_user());
    assert_eq!(found(&lab, b"alice-in-chains"), Vec::<String>::new());
    for visit in &alice {
        assert_eq!(found(&lab, &visit.as_u128().to_le_bytes()), Vec::<String>::new());
        assert_eq!(found(&lab, visit.to_string().as_bytes()), Vec::<String>::new());
    }
    assert!(lab.delivered.iter().all(|visit| !alice.contains(&visit.visit)));
    assert!(bob[..2].iter().all(|visit| lab.delivered.iter().any(|ended| ended.visit == *visit)));
    let open = lab.life.engine.read_open(bob[2]).expect("read");
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
        let below = erase(&lab).below;
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
    let begun = erase(&lab);
    lab.turns(3, SECOND);
    assert!(lab.life.sinks.without(begun.below).is_empty());
    release(&mut lab, &begun);
    let journal = found(&lab, &old.as_u128().to_le_bytes());
    assert_eq!(journal, Vec::<String>::new());
    let open = lab.life.engine.read_open(next).expect("read").expect("open");
    assert_eq!(open.start.previous, None);
    lab.turns(60, SECOND);
    let ended = lab.visit(next);
    assert_eq!((ended.start.previous, ended.end.reason), (None, EndReason::Expired));
}

/// Alice logs in and out with one browser; then the same browser has an anonymous visit, which names hers. Both wait.
fn logged_out_and_on() -> (Lab, VisitId, VisitId) {
    let lab = Lab::new(Plan::plain(Durability::Process));
    let first = lab.page(1, None, vec![login("alice-in-chains")]);
    lab.page(1, token_of(&first), vec![Op::Logout]);
    let next = lab.page(1, token_of(&first), vec![]);
    lab.page(1, token_of(&next), vec![Op::Abandon]);
    (lab, first.visit.expect("started"), next.visit.expect("started"))
}

#[test]
fn what_waits_names_no_erased_visit_that_waited_too() {
    for restarts in [false, true] {
        let (mut lab, hers, next) = logged_out_and_on();
        let begun = erase(&lab);
        assert_eq!(begun.visits.ids().collect::<Vec<_>>(), [hers], "it is known, and counted");
        if restarts {
            lab.settle();
            lab.restart();
        }
        lab.turns(3, SECOND);
        assert_eq!(lab.visit(next).start.previous, None, "restarted? {restarts}");
        if !restarts {
            release(&mut lab, &begun);
        }
        assert_eq!(naming(&lab, hers), Vec::<String>::new(), "restarted? {restarts}");
        assert_eq!(lab.lines(), [next]);
        assert_eq!(erase(&lab).visits, FoundVisits::default(), "the second finds nothing");
    }
}

#[test]
fn the_anonymous_visits_of_a_visitor_of_nobody_else_go_too() {
    let (mut lab, hers, next) = logged_out_and_on();
    let others = lab.page(2, None, vec![]).visit.expect("started");
    let open = lab.page(1, None, vec![]).visit.expect("started");
    let whose = surveyed(&lab);
    let begun = begin(&lab, &whose);
    assert_eq!((begun.visits.count(Claim::Login), begun.visits.count(Claim::Anonymous), begun.ended), (1, 2, 1));
    lab.turns(3, SECOND);
    release(&mut lab, &begun);
    for visit in [hers, next, open] {
        assert_eq!(naming(&lab, visit), Vec::<String>::new());
    }
    assert!(lab.delivered.is_empty());
    assert!(lab.life.engine.read_open(others).expect("read").is_some());
}

#[test]
fn a_browser_that_somebody_else_used_keeps_its_anonymous_visits() {
    let (mut lab, hers, next) = logged_out_and_on();
    let bobs = lab.page(1, None, vec![login("bob")]).visit.expect("started");
    let begun = begin(&lab, &surveyed(&lab));
    assert!(begun.visits.contains(hers) && !begun.visits.contains(next) && !begun.visits.contains(bobs));
    lab.turns(3, SECOND);
    assert_eq!(lab.visit(next).start.previous, None);
    assert!(lab.life.engine.read_open(bobs).expect("read").is_some());
}

#[test]
fn an_erasure_that_a_crash_cut_short_is_known_until_it_is_done() {
    let (mut lab, hers, next) = logged_out_and_on();
    let whose = surveyed(&lab);
    assert_eq!(begin(&lab, &whose).visits.count(Claim::Anonymous), 1);
    lab.settle();
    lab.restart();
    // The journal's copies go, and with them what told whose the anonymous visits are.
    lab.turns(10, SECOND);
    assert_eq!([naming(&lab, hers), naming(&lab, next)].concat(), Vec::<String>::new());
    let begun = lab.life.engine.unfinished_erasures(&the_user());
    assert_eq!(begun.len(), 1);
    let mut survey = Survey::of(UserId::new("alice-in-chains"), begun);
    whose.alone().iter().for_each(|visitor| survey.see(*visitor, []));
    survey.begin_second();
    assert_eq!(survey.finish(), whose, "the barriers know it still");
    // Asked for again, it is done, and stays done.
    let begun = erase(&lab);
    lab.turns(3, SECOND);
    release(&mut lab, &begun);
    lab.life.engine.finish_erasure(&the_user());
    lab.turns(3, SECOND);
    assert_eq!(lab.life.engine.unfinished_erasures(&the_user()).len(), 0);
    lab.restart();
    assert_eq!(lab.life.engine.unfinished_erasures(&the_user()).len(), 0);
}

/// All that tells of somebody, as text and as the journal's bytes.
fn traces(lab: &Lab, visits: &[VisitId]) -> Vec<(String, Vec<u8>)> {
    let mut ids: Vec<(String, u128)> = visits.iter().map(|visit| (visit.to_string(), visit.as_u128())).collect();
    for visit in visits {
        if let Some(open) = lab.life.engine.read_open(*visit).expect("read") {
            let visitor = open.start.facts.visitor_id;
            ids.push((visitor.to_string(), visitor.as_u128()));
        }
    }
    let binary = |(text, bits): &(String, u128)| (format!("{text} in binary"), bits.to_le_bytes().to_vec());
    let mut traces: Vec<_> = ids.iter().map(binary).collect();
    traces.extend(ids.into_iter().map(|(text, _)| (text.clone(), text.into_bytes())));
    traces.push(("the user".to_owned(), b"alice-in-chains".to_vec()));
    traces
}

/// Where they are.
fn hits(lab: &Lab, traces: &[(String, Vec<u8>)]) -> Vec<String> {
    let named = |(name, bytes): &(String, Vec<u8>)| {
        found(lab, bytes).into_iter().map(|path| format!("{name} in {path}")).collect::<Vec<_>>()
    };
    traces.iter().flat_map(named).collect()
}

#[test]
fn nothing_is_left_of_what_ended_and_was_not_synced_yet() {
    for restarts in [false, true] {
        let mut lab = Lab::new(Plan::plain(Durability::Process));
        let first = lab.page(1, None, vec![login("alice-in-chains")]);
        let hers = first.visit.expect("started");
        let traces = traces(&lab, &[hers]);
        assert_eq!(traces.len(), 5, "visit, visitor, user");
        let end = lab.life.engine.journal().appended();
        let goodbye = lab.begin(1, token_of(&first));
        let _answer = lab.finish(1, token_of(&first), &goodbye, vec![Op::Logout]);
        lab.life.journal().write_step().expect("written");
        assert!(lab.life.engine.read_open(hers).expect("read").is_none(), "it has ended");
        assert!(lab.life.engine.journal().synced() <= end, "and that is not on stable storage");
        assert!(!hits(&lab, &traces).is_empty(), "is the search blind?");
        let begun = begin(&lab, &surveyed(&lab));
        assert_eq!((begun.visits.count(Claim::Login), begun.ended), (1, 0));
        assert!(lab.life.engine.journal().synced() <= end, "nor is it now");
        if restarts {
            lab.settle();
            lab.restart();
        }
        lab.turns(3, SECOND);
        release(&mut lab, &begun);
        lab.life.engine.finish_erasure(&the_user());
        lab.turns(3, SECOND);
        assert_eq!(hits(&lab, &traces), Vec::<String>::new(), "restarted? {restarts}");
        assert!(lab.delivered.iter().all(|visit| visit.visit != hers));
        lab.restart();
        lab.turns(60, SECOND);
        assert_eq!(hits(&lab, &traces), Vec::<String>::new(), "after a restart; restarted before? {restarts}");
    }
}

#[test]
fn nothing_is_left_where_the_files_are_all_that_sinks_keep() {
    for stored in 0..3 {
        let mut lab = Lab::new(Plan::plain(Durability::Process));
        let (mut token, mut hers) = (None, Vec::new());
        let mut all = Vec::new();
        for n in 0..3 {
            let page = lab.page(1, token, vec![login("alice-in-chains")]);
            token = token_of(&page).or(token);
            hers.push(page.visit.expect("started"));
            all.extend(traces(&lab, &hers[n..]));
            // The last one goes on.
            if n < 2 {
                lab.page(1, token, vec![Op::Logout]);
            }
            if n + 1 == stored {
                lab.turns(5, SECOND);
                assert_eq!(lab.lines().len(), stored, "in the files");
            }
        }
        let bobs = lab.page(2, None, vec![login("bob")]);
        lab.page(2, token_of(&bobs), vec![Op::Logout]);
        assert!(!hits(&lab, &all).is_empty(), "is the search blind?");
        let whose = {
            let engine = &lab.life.engine;
            let mut survey = Survey::of(UserId::new("alice-in-chains"), Vec::new());
            for _ in 0..2 {
                engine.survey(&mut survey).expect("read");
                lab.life.sinks.survey(&mut survey).expect("read");
                survey_lines(&lab.disk, Path::new(VISITS), &mut survey).expect("read");
                if !survey.is_second() {
                    survey.begin_second();
                }
            }
            survey.finish()
        };
        let mut gone = find_lines(&lab.disk, Path::new(VISITS), &whose).expect("read").visits;
        gone.add_all(&lab.life.sinks.find(&whose).expect("read"));
        let begun = lab.life.engine.begin_erasure(&whose, &gone).expect("it begins");
        gone.add_all(&begun.visits);
        assert_eq!(gone.count(Claim::Login), 3, "stored {stored}");
        lab.life.engine.ended().hasten(begun.below);
        lab.turns(5, SECOND);
        assert!(lab.life.sinks.without(begun.below).is_empty());
        let lines = erase_lines(&lab.disk, Path::new(VISITS), &whose, &|visit| gone.contains(visit)).expect("written");
        assert_eq!(lines.lines, stored as u64);
        let aside = lab.life.sinks.erase_set_aside(&whose, &|visit| gone.contains(visit)).expect("nothing there");
        assert_eq!(aside, ErasedAside::default());
        release(&mut lab, &begun);
        lab.life.engine.finish_erasure(&the_user());
        lab.turns(3, SECOND);
        assert_eq!(hits(&lab, &all), Vec::<String>::new(), "stored {stored}");
        assert!(!naming(&lab, bobs.visit.expect("started")).is_empty(), "others stay");
    }
}
