//! What keeps the journal short, beside traffic that goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use visitlog_core::model::{Entry, OpenVisit};
use visitlog_core::ports::{Class, Durability, LiveSource, Op, SessionStore, Token};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::journal::{Flags, Journal, Kind, Window};
use visitlog_engine::{Driver, Upkeep};

use crate::directed::place_of;
use crate::lab::{Lab, arrival, commit_of, cut_copy, token_of};
use crate::plan::Plan;
use crate::simulation::{JOURNAL, Life};

const SECOND: Duration = Duration::from_secs(1);

/// A session of so many pages, the oldest in a journal that is to be carried at once.
fn long_session(plan: Plan, pages: usize) -> (Lab, VisitId, Option<Token>) {
    let lab = Lab::new(plan);
    let first = lab.page(1, None, vec![Op::Set("plan".into(), "pro".into())]);
    let (visit, token) = (first.visit.expect("started"), token_of(&first));
    for _ in 1..pages {
        lab.wait(SECOND);
        lab.page(1, token, vec![Op::Increment("pages".into(), 1)]);
    }
    (lab, visit, token)
}

fn step(lab: &mut Lab) -> bool {
    let Life { engine, upkeep, .. } = &mut lab.life;
    upkeep.step(engine).expect("a working disk")
}

fn open_visit(lab: &Lab, visit: VisitId) -> OpenVisit {
    lab.life.engine.read_open(visit).expect("read").expect("open")
}

fn chain_first(lab: &Lab, visit: VisitId) -> Lsn {
    let open = lab.life.engine.open_list();
    open.iter().find(|open| open.chain.visit == visit).expect("open").chain.first
}

/// Kinds and flags of a chain's records, oldest first.
fn records(lab: &Lab, visit: VisitId) -> Vec<(Kind, Flags)> {
    let open = lab.life.engine.open_list();
    let last = open.iter().find(|open| open.chain.visit == visit).expect("open").chain.last;
    let mut records = Vec::new();
    let mut see = |record: visitlog_engine::journal::RecordRef<'_>| {
        records.push((record.kind, record.flags));
        Ok(())
    };
    lab.life.journal().walk_back(&mut Window::new(), visit, (last, Lsn::NONE), &mut see).expect("read");
    records.reverse();
    records
}

fn in_small_steps() -> Plan {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 1 << 20;
    plan.carry_from_bytes = 2_000;
    plan.upkeep_bytes_at_once = 400;
    plan.rules.idle_timeout = Duration::from_secs(500);
    plan
}

#[test]
fn a_session_that_goes_on_while_it_is_carried_is_carried_with_all_that_came() {
    let (mut lab, visit, token) = long_session(in_small_steps(), 12);
    let before = chain_first(&lab, visit);
    let mut steps = 0;
    while lab.life.upkeep.carried() == 0 {
        assert!(step(&mut lab) || lab.life.upkeep.carried() == 1, "it goes on");
        lab.wait(SECOND);
        lab.page(1, token, vec![Op::Increment("pages".into(), 1)]);
        steps += 1;
        assert!(steps < 100, "a busy session is carried all the same");
    }
    assert!(steps > 3, "in pieces: {steps}");
    assert!(chain_first(&lab, visit) > before);
    let whole = open_visit(&lab, visit);
    assert_eq!(whole.events.len(), 12 + steps);
    // The last page came behind the last copy.
    let records = records(&lab, visit);
    let last = records.iter().filter(|(_, flags)| flags.has(Flags::CARRIED_LAST)).count();
    assert_eq!(last, 1, "{records:?}");
    lab.restart();
    assert_eq!(open_visit(&lab, visit).events, whole.events);
}

#[test]
fn a_carrying_with_pages_in_between_that_a_crash_cuts_short_loses_nothing() {
    let plan = in_small_steps();
    let (mut lab, visit, token) = long_session(plan.clone(), 10);
    let from = lab.life.journal().appended();
    // Each page, and how long the journal was when it was answered.
    let mut answered = Vec::new();
    while lab.life.upkeep.carried() == 0 {
        step(&mut lab);
        lab.page(1, token, vec![]);
        lab.wait(SECOND);
        answered.push(lab.life.journal().appended());
    }
    lab.page(1, token, vec![]);
    let whole = open_visit(&lab, visit);
    let (path, begin) = place_of(&lab.disk, from);
    let end = lab.disk.contents(&path).expect("it is there").len();
    let first_byte = begin as u64 - from.0;
    for len in (begin..=end).step_by(11).chain([end]) {
        let (mut again, report) = Lab::on(cut_copy(&lab.disk, &path, len), plan.clone());
        assert_eq!((report.open, report.unreadable), (1, 0), "cut at {len}");
        let kept = 10 + answered.iter().filter(|upto| upto.0 + first_byte <= len as u64).count();
        let now = open_visit(&again, visit);
        assert!(now.events.len() >= kept, "cut at {len}: {} events of {kept} that were answered", now.events.len());
        assert_eq!(now.events, whole.events[..now.events.len()], "cut at {len}");
        // It is carried again, and all the same.
        for _ in 0..60 {
            again.settle();
            step(&mut again);
        }
        again.restart();
        assert_eq!(open_visit(&again, visit).events, now.events, "cut at {len}, then carried");
        again.wait(Duration::from_secs(600));
        again.turns(2, SECOND);
        assert_eq!(again.visit(visit).events, now.events, "cut at {len}, then ended");
    }
}

#[test]
fn a_session_that_ends_while_it_is_carried_ends_once_and_whole() {
    let (mut lab, visit, token) = long_session(in_small_steps(), 12);
    for _ in 0..3 {
        step(&mut lab);
    }
    lab.page(1, token, vec![Op::Logout]);
    for _ in 0..3 {
        step(&mut lab);
    }
    assert_eq!(lab.life.upkeep.carried(), 0);
    lab.restart();
    assert_eq!(lab.life.engine.open_sessions(), 0);
    lab.turns(3, SECOND);
    assert_eq!(lab.lines(), [visit]);
    assert_eq!(lab.visit(visit).events.len(), 14, "pages, and the logout");
}

#[test]
fn touches_are_not_copied_one_by_one() {
    let mut plan = in_small_steps();
    plan.carry_from_bytes = 8_000;
    let (mut lab, visit, token) = long_session(plan, 2);
    let mut touched = lab.life.engine.now();
    for _ in 0..200 {
        lab.wait(2 * SECOND);
        let begun = lab.begin(1, token);
        touched = begun.at;
        let mut commit = commit_of(1, token, "shop.example", &begun, vec![]);
        commit.class = Class::Other(None);
        drop(lab.life.engine.commit(commit));
        lab.settle();
    }
    assert!(records(&lab, visit).len() > 200);
    while lab.life.upkeep.carried() == 0 {
        step(&mut lab);
    }
    let records = records(&lab, visit);
    assert_eq!(records.iter().filter(|(kind, _)| *kind == Kind::Touch).count(), 1, "{records:?}");
    lab.settle();
    lab.restart();
    let seen = lab.life.engine.open_list()[0].journaled;
    assert_eq!(seen, touched, "the newest touch says it all");
}

#[test]
fn bases_do_not_beget_bases() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 2 * 1_024;
    let mut lab = Lab::new(plan);
    for print in 0..400 {
        lab.page(print, None, vec![Op::Logout]);
    }
    lab.turns(20, SECOND);
    let settled = lab.life.journal().appended();
    lab.turns(20, SECOND);
    assert_eq!(lab.life.journal().appended(), settled, "without traffic nothing is written");
    // And with traffic old segments go still.
    let oldest = lab.life.journal().oldest();
    for print in 1_000..1_400 {
        lab.page(print, None, vec![Op::Logout]);
        lab.turn();
    }
    lab.turns(20, SECOND);
    assert!(lab.life.journal().oldest() > oldest.max(settled), "{:?}", lab.life.journal().usage());
}

#[test]
fn a_base_in_pieces_holds_every_tombstone() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 4 * 1_024;
    plan.upkeep_bytes_at_once = 1;
    plan.rules.max_age = Duration::from_secs(86_400);
    let mut lab = Lab::new(plan);
    let gone: Vec<_> = (0..40)
        .map(|print| {
            let first = lab.page(print, None, vec![]);
            lab.page(print, token_of(&first), vec![Op::Logout]);
            token_of(&first)
        })
        .collect();
    let upto = lab.life.journal().appended();
    for print in 1_000..1_200 {
        lab.page(print, None, vec![Op::Abandon]);
        lab.turns(1, SECOND);
    }
    lab.turns(200, SECOND);
    assert!(lab.life.journal().oldest() > upto, "their ends are in segments that are gone");
    lab.restart();
    for (print, token) in (0..).zip(gone) {
        let twins: Vec<_> = (0..2).map(|_| lab.page(print, token, vec![]).visit).collect();
        assert_ne!(twins[0], twins[1], "the tombstone of {print} survived");
    }
}

#[test]
fn carrying_leaves_half_of_the_buffer_to_traffic() {
    let mut plan = Plan::plain(Durability::Process);
    plan.unwritten_bytes_max = 64 * 1_024;
    plan.carry_from_bytes = 100 * 1_024;
    plan.rules.idle_timeout = Duration::from_secs(500);
    let mut lab = Lab::new(plan.clone());
    let first = lab.page(1, None, vec![]);
    for n in 0..300 {
        let value = format!("{n}{}", "x".repeat(600));
        lab.page(1, token_of(&first), vec![Op::Set("state".into(), value.into())]);
    }
    let mut turns = 0;
    while lab.life.upkeep.carried() == 0 {
        while step(&mut lab) {}
        let unwritten = lab.life.journal().usage().unwritten;
        assert!(unwritten <= plan.unwritten_bytes_max / 2 + 1_024, "{unwritten} bytes wait to be written");
        assert!(lab.life.upkeep.is_waiting() || lab.life.upkeep.carried() == 1, "it waits for room");
        lab.begin(9_999, None);
        lab.settle();
        turns += 1;
        assert!(turns < 100, "it comes to an end");
    }
    assert!(turns > 4);
}

/// Whoever hammers a session does not keep it from being carried.
#[test]
fn a_session_under_fire_is_carried() {
    let mut plan = in_small_steps();
    plan.unwritten_bytes_max = 1 << 30;
    plan.upkeep_bytes_at_once = 4_096;
    let (lab, visit, token) = long_session(plan, 50);
    let engine = lab.life.engine;
    let (stop, mut upkeep) = (AtomicBool::new(false), Upkeep::default());
    let pages = std::thread::scope(|scope| {
        let fire = scope.spawn(|| {
            let mut pages = 0;
            while !stop.load(Ordering::SeqCst) && pages < 9_000 {
                let begun = engine.begin(arrival(1, token, "shop.example")).now().expect("at once").expect("begun");
                drop(engine.commit(commit_of(1, token, "shop.example", &begun, vec![])));
                pages += 1;
            }
            pages
        });
        let mut steps = 0;
        while upkeep.carried() == 0 && steps < 100_000 {
            upkeep.step(&engine).expect("a working disk");
            steps += 1;
        }
        stop.store(true, Ordering::SeqCst);
        fire.join().expect("no panic")
    });
    assert_eq!(upkeep.carried(), 1);
    let open = engine.read_open(visit).expect("read").expect("open");
    assert_eq!(open.events.len(), 50 + pages, "nothing is lost on the way");
    // With the driver's threads it can be written and stopped.
    Driver::start(engine).expect("threads").stop();
}

#[test]
fn the_bound_is_as_high_as_it_can_be_once_all_is_quiet() {
    let mut plan = in_small_steps();
    plan.upkeep_bytes_at_once = 1 << 20;
    plan.carry_from_bytes = 1 << 30;
    let mut lab = Lab::new(plan);
    let begun: Vec<_> = (0..60).map(|print| lab.page(print, None, vec![])).collect();
    for (print, page) in (0..).zip(&begun).filter(|(print, _)| print % 3 != 2) {
        lab.page(print, token_of(page), vec![Op::Logout]);
        while lab.life.sinks.step(lab.life.engine.now()).worked {}
        lab.settle();
        while lab.life.sinks.step(lab.life.engine.now()).worked {}
        let open = lab.life.engine.open_list();
        let least = open.iter().map(|open| open.chain.first).min().expect("some are open");
        assert_eq!(LiveSource::oldest(&*lab.life.engine), least, "after {print}");
    }
    lab.wait(Duration::from_secs(600));
    lab.turns(3, SECOND);
    assert_eq!(lab.life.engine.open_sessions(), 0);
    let newest = lab.life.journal().appended();
    assert_eq!(LiveSource::oldest(&*lab.life.engine), newest);
}

/// The site of a session whose records before the copies are gone, confirmed by one of them that is not the last.
#[test]
fn a_carried_session_keeps_the_site_that_it_made() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 16 * 1_024;
    plan.carry_from_bytes = 26_000;
    plan.rules.idle_timeout = Duration::from_secs(500);
    let mut lab = Lab::new(plan);
    let host = "blog.example";
    let visitor = |lab: &Lab, token| {
        let begun = lab.life.engine.begin(arrival(7, token, host)).now().expect("at once").expect("begun");
        let mut future = lab.life.engine.commit(commit_of(7, token, host, &begun, vec![]));
        lab.settle();
        future.poll_now().expect("durable").expect("taken")
    };
    let deliver = |lab: &mut Lab| {
        while lab.life.sinks.step(lab.life.engine.now()).worked {}
        lab.settle();
        while lab.life.sinks.step(lab.life.engine.now()).worked {}
    };
    let first = visitor(&lab, None);
    let visit = first.visit.expect("started");
    let mut print = 100;
    let mut fill = |lab: &mut Lab, upto: u64| {
        while lab.life.journal().appended().0 < upto {
            lab.page(print, None, vec![Op::Abandon]);
            print += 1;
        }
        deliver(lab);
    };
    // The base in the second segment is older than the confirmation.
    fill(&mut lab, 17_000);
    step(&mut lab);
    lab.settle();
    let base = lab.life.journal().appended();
    visitor(&lab, token_of(&first));
    visitor(&lab, token_of(&first));
    fill(&mut lab, 26_500);
    for _ in 0..3 {
        step(&mut lab);
        lab.settle();
    }
    assert_eq!(lab.life.upkeep.carried(), 1);
    assert!(chain_first(&lab, visit) > base);
    assert!(lab.life.journal().oldest() > Lsn(64), "the start is gone");
    lab.restart();
    lab.wait(Duration::from_secs(600));
    lab.turns(2, SECOND);
    assert_eq!(&*lab.visit(visit).end.site, host);
}

/// A sweep holds no shard for more than its share of ends: those of other shards stand between.
#[test]
fn a_storm_of_ends_goes_through_the_shards_in_turns() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 1 << 22;
    plan.unwritten_bytes_max = 1 << 26;
    let mut lab = Lab::new(plan.clone());
    for print in 0..4_000 {
        let begun = lab.begin(print, None);
        drop(lab.finish(print, None, &begun, vec![]));
    }
    lab.wait(Duration::from_secs(60));
    let Life { engine, sweep, .. } = &mut lab.life;
    assert_eq!(sweep.step(engine), (4_000, false));
    lab.settle();
    let (mut run, mut longest, mut before) = (0, 0, None);
    let copy = cut_copy(&lab.disk, Path::new(""), 0);
    Journal::open(Arc::new(copy), Path::new(JOURNAL), plan.journal(), 1, |record| {
        if let Ok(Entry::End(_)) = record.entry() {
            let shard = record.visit.partition() % 16;
            run = if before == Some(shard) { run + 1 } else { 1 };
            (longest, before) = (longest.max(run), Some(shard));
        }
    })
    .expect("it opens");
    assert!((2..=64).contains(&longest), "{longest} ends of one shard in a row");
}
