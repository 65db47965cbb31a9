//! The engine with its sinks and its upkeep, explored: small scenes of few threads, each run in one order of steps after
//! another, which shuttle draws. A step is whatever takes a lock, or touches an atomic that decides anything.
//!
//! `VISITLOG_EXPLORE_ITERATIONS` says in how many orders each scene is run (100), `VISITLOG_EXPLORE_SEED` which they are
//! (1). A failure prints its order, which `shuttle::replay` runs again.
#![cfg(feature = "shuttle")]

mod closing;
mod collection;
mod lanes;
mod sessions;
mod store;
mod waits;

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

const ITERATIONS: usize = 100;
/// How many times at most the order of the threads that go first changes in a run whose orders are drawn that way.
const CHANGES: usize = 3;
/// More than the longest scene has; one that goes on for ever is a fault, too.
const STEPS_MAX: usize = 200_000;
/// What a debug build takes to open an engine, and more.
const STACK_BYTES: usize = 1024 * 1024;

fn number(name: &str, otherwise: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: a number expected, {text:?} found")),
        Err(_) => otherwise,
    }
}

/// Runs a scene in many orders: half of them random, half with threads that are hardly ever interrupted.
fn explore(scene: impl Fn() + Send + Sync + Copy + 'static) {
    let iterations = number("VISITLOG_EXPLORE_ITERATIONS", ITERATIONS).div_ceil(2);
    let seed = number("VISITLOG_EXPLORE_SEED", 1) as u64;
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new_from_seed(seed, iterations), config.clone()).run(scene);
    Runner::new(PctScheduler::new_from_seed(seed, CHANGES, iterations), config).run(scene);
}

/// That a scene fails in some order, where a rule is broken on purpose.
fn is_found(scene: impl Fn() + Send + Sync + Copy + 'static) {
    let result = catch_unwind(AssertUnwindSafe(|| explore(scene)));
    assert!(result.is_err(), "no order shows that a rule is broken");
}
