//! Disks that are too slow or too small for what is asked of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Durability, Kept, Op, SessionStore, SinkError, VisitSink};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::{Engine, Sweep, Upkeep};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

use crate::lab::{Lab, MORNING, arrival, commit_of};
use crate::plan::Plan;
use crate::simulation::open_with;

const STEP: Duration = Duration::from_millis(10);

#[test]
fn a_storm_of_ends_on_a_slow_disk_refuses_nobody() {
    let mut plan = Plan::plain(Durability::Process);
    plan.unwritten_bytes_max = 1 << 20;
    let mut lab = Lab::new(plan);
    let sessions: u64 = 2_000;
    for print in 0..sessions {
        let begun = lab.begin(print, None);
        let value = "x".repeat(8_000).into();
        drop(lab.finish(print, None, &begun, vec![Op::Set("state".into(), value)]));
        lab.settle();
    }
    // All fall due at once, on a disk that takes 250 kB a second.
    lab.wait(Duration::from_secs(30));
    let (mut taken, mut peak, mut ended) = (0, 0, 0);
    for step in 0..20_000 {
        lab.wait(STEP);
        taken += 2_500;
        let usage = lab.life.journal().usage();
        if taken >= usage.unwritten {
            lab.life.journal().write_step().expect("written");
            taken = 0;
        }
        peak = peak.max(usage.unwritten);
        let engine = &lab.life.engine;
        ended += lab.life.sweep.step(engine).0 as u64;
        let begun = engine.begin(arrival(sessions + step, None, "shop.example")).now().expect("at once");
        let begun = begun.unwrap_or_else(|error| panic!("refused: {error}, {usage:?}"));
        let committed = engine.commit(commit_of(sessions + step, None, "shop.example", &begun, vec![]));
        assert!(committed.decided().is_some_and(Result::is_ok), "step {step}: {committed:?}, {usage:?}");
        if ended >= sessions {
            return;
        }
    }
    panic!("{ended} of {sessions} ended; {peak} bytes waited at most");
}

/// Keeps what it gets in memory.
struct InMemory(Arc<Mutex<Vec<VisitId>>>);

impl VisitSink for InMemory {
    fn name(&self) -> &str {
        "memory"
    }

    fn resume(&mut self, _: Option<&[u8]>, _: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        self.0.lock().expect("not poisoned").extend(batch.iter().map(|(_, visit)| visit.visit));
        Ok(Delivery::Stored(Kept::All(vec![])))
    }
}

#[test]
fn a_full_disk_whose_journal_could_go_frees_itself() {
    let plan = Plan::plain(Durability::Process);
    let (disk, clock) = (SimDisk::new(1), Arc::new(SimClock::new(MORNING)));
    let got = Arc::new(Mutex::new(Vec::new()));
    let memory: Vec<Box<dyn VisitSink>> = vec![Box::new(InMemory(Arc::clone(&got)))];
    let entropy = Arc::new(SimEntropy::new(9));
    let (engine, sinks, _) = open_with(&plan, &disk, &clock, &entropy, memory).expect("opened");
    let (mut sweep, mut upkeep) = (Sweep::new(engine.now()), Upkeep::default());
    let journal = Arc::clone(engine.journal());
    let mut turns = |seconds: u64| {
        for _ in 0..seconds {
            clock.advance(Duration::from_secs(1));
            // Whatever the disk says.
            let _ = (journal.write_step(), journal.sync_step());
            sweep.step(&engine);
            while sinks.step(engine.now()).worked {}
            let _ = upkeep.step(&engine);
        }
    };
    let visits = |engine: &Engine, range: std::ops::Range<u64>| {
        for print in range {
            let begun =
                engine.begin(arrival(print, None, "shop.example")).now().expect("at once").expect("a visitor comes");
            drop(engine.commit(commit_of(print, None, "shop.example", &begun, vec![Op::Abandon])));
        }
    };
    turns(1);
    visits(&engine, 0..300);
    while engine.journal().write_step().expect("written") || engine.journal().sync_step().expect("synced") {}
    disk.set_capacity(Some(disk.used()));
    let before = engine.journal().usage();
    assert!(before.segments > 10, "{before:?}");
    turns(120);
    let after = engine.journal().usage();
    // What is left is the base, which remembers 300 ended sessions.
    assert!(after.segments <= 5, "before {before:?}, after {after:?}, {:?}", sinks.status());
    assert!(!engine.journal().is_on_reserve(), "the reserve is back");
    visits(&engine, 300..310);
    turns(20);
    assert_eq!(got.lock().expect("not poisoned").len(), 310);
}

#[test]
fn a_journal_that_is_as_long_as_it_may_be_takes_no_strangers_and_then_nobody_new() {
    let mut plan = Plan::plain(Durability::Process);
    plan.journal_bytes_max = 60_000;
    let mut lab = Lab::new(plan);
    let known = lab.page(1, None, vec![]);
    let left = lab.page(2, None, vec![Op::Abandon]);
    // Nothing takes ends any more, and nothing is parked: the journal can't go.
    lab.desk.file_is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    let comes = |lab: &Lab, print, committed: Option<&visitlog_core::ports::Committed>| {
        let token = committed.and_then(crate::lab::token_of);
        let begun = lab.life.engine.begin(arrival(print, token, "shop.example")).now().expect("at once");
        begun.map(|begun| drop(lab.finish(print, token, &begun, vec![]))).is_ok()
    };
    let mut print = 10;
    while comes(&lab, print, None) {
        lab.settle();
        print += 1;
        assert!(print < 1_000, "{:?}", lab.life.journal().usage());
    }
    assert!((60_000..61_000).contains(&lab.life.journal().usage().bytes));
    assert!(comes(&lab, 2, Some(&left)), "who was here before starts another session");
    while lab.life.journal().usage().bytes <= 67_500 {
        assert!(comes(&lab, 1, Some(&known)), "open sessions go on");
        lab.settle();
    }
    assert!(!comes(&lab, 2, Some(&lab.page(1, crate::lab::token_of(&known), vec![Op::Abandon]))), "nobody starts one");
    assert!(!comes(&lab, 3, None));
    assert_eq!(lab.life.engine.counters().snapshot().over_quota, 3);
    // The file is back: the journal gets short, and everybody is welcome.
    lab.desk.file_is_down.store(false, std::sync::atomic::Ordering::SeqCst);
    lab.turns(60, Duration::from_secs(1));
    assert!(lab.life.journal().usage().bytes < 30_000, "{:?}", lab.life.journal().usage());
    assert!(comes(&lab, 3, None));
}
