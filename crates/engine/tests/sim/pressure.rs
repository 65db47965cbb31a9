//! Disks that are too slow or too small for what is asked of them.

use std::time::Duration;

use visitlog_core::ports::{Durability, Op, SessionStore};

use crate::lab::{Lab, arrival, commit_of};
use crate::plan::Plan;

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
