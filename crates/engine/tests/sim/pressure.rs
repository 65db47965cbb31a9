//! Disks that are too slow or too small for what is asked of them.

use std::time::Duration;

use visitlog_core::ports::{Durability, Op, SessionStore};

use crate::lab::{Lab, arrival, commit_of};
use crate::plan::Plan;
use crate::world::Life;

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

/// Everything that threads do, whatever the disk says.
fn turns_in_trouble(lab: &mut Lab, seconds: u64) {
    for _ in 0..seconds {
        lab.wait(Duration::from_secs(1));
        let Life { engine, sinks, upkeep, sweep, .. } = &mut lab.life;
        let _ = engine.journal().write_step();
        let _ = engine.journal().sync_step();
        sweep.step(engine);
        while sinks.step(engine.now()).worked {}
        let _ = upkeep.step(engine);
        lab.delivered.extend(lab.desk.take_file().into_iter().flat_map(|(_, batch)| batch));
        lab.desk.take_hook();
    }
}

#[test]
fn a_full_disk_whose_journal_could_go_frees_itself() {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    let visits = 100;
    // The reserve is made.
    lab.turn();
    for print in 0..visits {
        lab.page(print, None, vec![Op::Abandon]);
    }
    lab.settle();
    let full = lab.disk.used();
    lab.disk.set_capacity(Some(full));
    let before = lab.life.journal().usage();
    assert!(before.segments > 10, "{before:?}");
    turns_in_trouble(&mut lab, 120);
    let after = lab.life.journal().usage();
    assert!(after.segments <= 4, "before {before:?}, after {after:?}, {:?}", lab.life.engine.sinks());
    assert_eq!(lab.delivered.len() as u64, visits);
    assert!(!lab.life.journal().is_on_reserve(), "the reserve is back");
    let visit = lab.page(visits, None, vec![]).visit.expect("a visitor comes");
    lab.restart();
    lab.turns(60, Duration::from_secs(1));
    assert!(lab.delivered.iter().any(|ended| ended.visit == visit));
}
