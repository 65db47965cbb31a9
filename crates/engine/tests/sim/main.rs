//! The engine, simulated: one thread, a virtual clock, a disk that loses, tears and fails, and an oracle that keeps books.
//!
//! Everything in a run comes from its seed: how the engine is set up, which client does what, when the journal is
//! written, synced, swept, carried and collected, when sinks fail, when the process is killed or the power cut, and what
//! the clock says afterwards. The oracle ([`oracle`]) holds what the engine says, writes and delivers against what the
//! clients did and were told ([`books`]).
//!
//! `VISITLOG_SIM_SEEDS` says how many seeds (2,000), `VISITLOG_SIM_FROM` which is the first (0).
#![expect(clippy::print_stdout, reason = "says what was reached")]

mod around;
mod aside;
mod audit;
mod books;
mod clients;
mod clocks;
mod directed;
mod erasure;
mod faults;
mod flood;
mod follower;
mod lab;
mod mutations;
mod oracle;
mod plan;
mod pressure;
mod probes;
mod readers;
mod requests;
mod run;
mod simulation;
mod sinks;
mod trace;
mod upkeep;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::plan::Broken;
use crate::probes::Probes;
use crate::run::run;

const SEEDS: u64 = 2_000;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: a number expected, {text:?} found")),
        Err(_) => otherwise,
    }
}

/// Tells the other threads when its own panics.
struct Tell<'a>(&'a AtomicBool);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(std::thread::panicking(), Ordering::Relaxed);
    }
}

/// Runs seeds on all cores, each twice; what was reached.
fn run_all(from: u64, seeds: u64) -> Probes {
    let next = AtomicU64::new(from);
    let probes = Mutex::new(Probes::default());
    let failed = AtomicBool::new(false);
    let work = || {
        let _tell = Tell(&failed);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || failed.load(Ordering::Relaxed) {
                return;
            }
            let once = run(seed, Broken::Nothing).unwrap_or_else(|failure| panic!("{failure}"));
            let again = run(seed, Broken::Nothing).unwrap_or_else(|failure| panic!("only the second time: {failure}"));
            assert_eq!(once, again, "seed {seed} went another way the second time");
            probes.lock().expect("nobody panicked").add(&once.probes);
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    probes.into_inner().expect("nobody panicked")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures how long the simulation took")]
fn two_thousand_seeds() {
    let (from, seeds) = (number("VISITLOG_SIM_FROM", 0), number("VISITLOG_SIM_SEEDS", SEEDS));
    let begun = Instant::now();
    let probes = run_all(from, seeds);
    println!("{seeds} seeds from {from} on, each twice, in {:.1} s; reached:", begun.elapsed().as_secs_f64());
    for (name, times) in probes.all() {
        println!("{times:>12} {}", name.replace('_', " "));
        assert!(times > 0 || seeds < SEEDS, "never reached: {name}");
    }
}
