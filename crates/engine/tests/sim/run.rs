//! One seed, from an empty disk to the last delivered visit.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use visitlog_core::ports::Disk as _;
use visitlog_sinks::SinkState;

use crate::oracle::{Check, ensure};
use crate::plan::Broken;
use crate::probes::Probes;
use crate::simulation::{Simulation, VISITS};

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of everything that happened, and of the bytes on the disk after each crash.
    pub(crate) hash: u64,
    pub(crate) probes: Probes,
}

/// A rule is broken.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) step: usize,
    pub(crate) what: String,
    trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, what, trace } = self;
        writeln!(f, "seed {seed}, step {step}: {what}")?;
        writeln!(f, "the last steps:\n{trace}")?;
        write!(f, "again: VISITLOG_SIM_FROM={seed} VISITLOG_SIM_SEEDS=1 cargo test -p visitlog-engine --test sim seeds")
    }
}

/// Runs a seed.
pub(crate) fn run(seed: u64, broken: Broken) -> Result<Outcome, Failure> {
    let failure = |step, what, trace| Failure { seed, step, what, trace };
    let mut simulation = Simulation::new(seed, broken).map_err(|what| failure(0, what, String::new()))?;
    let done = catch_unwind(AssertUnwindSafe(|| simulation.live_and_end())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    match done {
        Ok(()) => {
            simulation.probes.add_disk(&simulation.disk.probes());
            Ok(Outcome { hash: simulation.trace.hash(), probes: simulation.probes })
        }
        Err(what) => Err(failure(simulation.trace.step, what, simulation.trace.last())),
    }
}

impl Simulation {
    fn live_and_end(&mut self) -> Check {
        for _ in 0..self.plan.steps {
            self.step()?;
        }
        self.drain()?;
        self.check_end()?;
        // Whoever starts it again finds nothing to do.
        self.crash_without_jump()?;
        self.drain()?;
        self.check_end()?;
        self.flip_a_bit()
    }

    /// Nothing fails any more and nobody comes: all sessions end, and all sinks get all.
    fn drain(&mut self) -> Check {
        self.disk.heal();
        self.desk.heal();
        self.in_trouble = false;
        if self.life.journal().poisoned().is_some() {
            self.crash_without_jump()?;
        }
        self.write()?;
        while let Some(request) = self.open.pop() {
            self.finish(&request)?;
        }
        for _ in 0..3_000 {
            self.trace.step += 1;
            self.clock.advance(Duration::from_millis(400));
            self.write()?;
            self.sync()?;
            self.answer()?;
            self.sweep()?;
            self.deliver()?;
            self.upkeep()?;
            if self.is_drained() {
                self.write()?;
                return self.sync();
            }
        }
        let open = self.life.engine.open_list();
        Err(format!("still there: sessions {open:?}, sinks {:?}", self.life.sinks.status()))
    }

    fn is_drained(&self) -> bool {
        let is_done = |state: &SinkState| *state == SinkState::Running;
        self.life.engine.open_sessions() == 0
            && self.pending.is_empty()
            && self.life.sinks.status().iter().all(|sink| sink.backlog == 0 && is_done(&sink.state))
    }

    fn check_end(&mut self) -> Check {
        self.life.engine.check_invariants()?;
        self.oracle.check_all()?;
        let mut lines = Vec::new();
        for path in self.disk.list(Path::new(VISITS)).map_err(|error| error.to_string())? {
            let bytes = self.disk.contents(&path).unwrap_or_default();
            self.trace.bytes(&bytes);
            let text = String::from_utf8(bytes).map_err(|error| format!("{}: {error}", path.display()))?;
            ensure!(text.is_empty() || text.ends_with('\n'), "{} ends in a line that was torn off", path.display());
            lines.extend(text.lines().map(str::to_owned));
        }
        self.oracle.check_files(&lines)?;
        self.audit().map(drop)
    }
}
