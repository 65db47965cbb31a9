//! The engine's threads: one writes (in `power` it syncs too), one syncs, one ends sessions, one keeps the journal short.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use visitlog_core::ports::Durability;

use crate::budget::LimitLog;
use crate::engine::Engine;
use crate::stop::Stop;
use crate::sweep::Sweep;
use crate::undurable::UndurableLog;
use crate::upkeep::Upkeep;

/// How often what is written is synced, unless every answer waits for that.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often the sweep looks for sessions that are due.
const SWEEP_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether ends wait for a sync, or an erasure for the upkeep.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often the upkeep looks whether old segments can go; it looks at every open session to know.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether there is something to say of the limits.
const LIMITS_EVERY: Duration = Duration::from_secs(1);
/// So many ends that wait for a sync get one at once.
const STORM_ENDS: usize = 256;
/// After a failed write, until the next try.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long a write may take before answers stop waiting for it, except in `power`.
const SLOW_AFTER: Duration = Duration::from_millis(250);

/// Runs an [`Engine`]. Dropping it stops the threads and closes the journal without losing anything: whoever still holds
/// the engine is refused from then on.
#[derive(Debug)]
pub struct Driver {
    engine: Arc<Engine>,
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Driver {
    /// Makes the journal's reserve, so that it is there before anybody fills the disk, and starts the threads.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn start(engine: Arc<Engine>) -> io::Result<Self> {
        engine.journal().keep_reserve(engine.now());
        let mut driver = Self { engine, stop: Arc::default(), threads: Vec::new() };
        driver.spawn("visitlog-write", write_loop)?;
        driver.engine.journal().let_answers_write();
        driver.spawn("visitlog-sync", sync_loop)?;
        driver.spawn("visitlog-sweep", sweep_loop)?;
        driver.spawn("visitlog-upkeep", upkeep_loop)?;
        Ok(driver)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce(&Engine, &Stop) + Send + 'static) -> io::Result<()> {
        let (engine, stop) = (Arc::clone(&self.engine), Arc::clone(&self.stop));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&engine, &stop))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Stops the threads, then writes and syncs what is left, and closes the journal. Sessions go on after the next
    /// start.
    pub fn stop(self) {
        drop(self);
    }

    fn halt(&mut self) {
        self.stop.set();
        self.engine.journal().wake_writer();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
        self.engine.close();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.halt();
    }
}

fn write_loop(engine: &Engine, stop: &Stop) {
    let journal = engine.journal();
    let power = engine.config().journal.durability == Durability::Power;
    let mut failing = false;
    while !stop.is_set() {
        journal.wait_for_work(Durability::RELAXED_EVERY);
        let written = journal.write_step();
        if power && written.is_ok() && !sync(engine) {
            return;
        }
        match written {
            Ok(_) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the journal can be written again; nothing was lost that had been acknowledged");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(error = &error as &dyn std::error::Error, "the journal can't be written");
                }
                stop.wait(RETRY_AFTER);
            }
        }
    }
}

fn sync_loop(engine: &Engine, stop: &Stop) {
    if engine.config().journal.durability == Durability::Power {
        return;
    }
    while !stop.wait(SYNC_EVERY) {
        if !sync(engine) {
            return;
        }
    }
}

fn sync(engine: &Engine) -> bool {
    let synced = engine.journal().sync_step();
    engine.ledger.tell_synced();
    if let Err(error) = &synced {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "the journal can't be synced: it takes nothing more until a restart");
    }
    synced.is_ok()
}

#[expect(clippy::disallowed_methods, reason = "measures how long a sweep took, to keep its pace; decides nothing")]
fn sweep_loop(engine: &Engine, stop: &Stop) {
    let mut sweep = Sweep::new(engine.now());
    let (mut undurable, mut limits) = (UndurableLog::default(), LimitLog::default());
    let mut limits_at = engine.now();
    let mut more = false;
    while !stop.wait(if more { Duration::from_millis(5) } else { SWEEP_EVERY }) {
        let begun = Instant::now();
        engine.journal().stall_if_slow(engine.now(), SLOW_AFTER);
        undurable.look(engine.now(), engine.journal().undurable_answers());
        if engine.now() >= limits_at {
            limits.look(engine.now(), &engine.limited());
            limits_at = engine.now().after(LIMITS_EVERY);
        }
        (_, more) = sweep.step(engine);
        if begun.elapsed() > Duration::from_secs(1) {
            tracing::warn!(took = ?begun.elapsed(), "ending sessions takes long");
        }
    }
}

fn upkeep_loop(engine: &Engine, stop: &Stop) {
    let mut upkeep = Upkeep::default();
    let (mut more, mut upkeep_at) = (false, engine.now());
    let mut in_storm = false;
    while !stop.wait(if more { Duration::ZERO } else { LOOK_EVERY }) {
        let now = engine.now();
        // Sinks see only what is synced. A storm of ends, and its rest, does not wait for the next sync.
        let has_unsynced = |many| engine.ledger.has_unsynced(many);
        let was_in_storm = std::mem::replace(&mut in_storm, has_unsynced(STORM_ENDS));
        if (in_storm || was_in_storm && has_unsynced(1)) && !sync(engine) {
            return;
        }
        if now < upkeep_at && engine.releasing().is_none() {
            continue;
        }
        match upkeep.step(engine) {
            Ok(is_more) => {
                more = is_more;
                upkeep_at = if more || upkeep.is_waiting() { now } else { now.after(UPKEEP_EVERY) };
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "old segments of the journal can't go");
                more = false;
                upkeep_at = now.after(UPKEEP_EVERY);
            }
        }
    }
}
