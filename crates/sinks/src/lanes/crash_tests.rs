//! The driver and `visits.ndjson` together: a crash at each step of the disk, and between any two of the driver.

use std::sync::atomic::{AtomicBool, Ordering};

use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, SinkError};

use super::*;
use crate::testing::{feed, written};
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, StepDisk};

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> LaneSettings {
    LaneSettings { batch_visits_max: 4, retry_max: 2 * SECOND, park_after: 60 * SECOND, ..LaneSettings::default() }
}

fn ids(range: std::ops::Range<u64>) -> Vec<VisitId> {
    range.map(id).collect()
}

/// Fails while it is told to, so that what is behind it gets parked.
pub(super) struct Gate<S>(pub(super) S, pub(super) Arc<AtomicBool>);

impl<S: VisitSink> VisitSink for Gate<S> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError> {
        self.0.resume(acknowledged, pending)
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.1.load(Ordering::Relaxed) {
            let (sink, what) = (self.name().to_owned(), "shut".to_owned());
            return Err(SinkError::Unavailable { sink, what, source: None });
        }
        self.0.deliver(batch)
    }
}

/// Feeds visits to an ndjson sink, which is down for a while; stops where the disk crashes.
fn live(journal: &MemorySource, disk: &StepDisk, visits: std::ops::Range<u64>, seed: u64) {
    live_for(journal, disk, visits, seed, usize::MAX);
}

/// The same; stops after so many steps of the driver, too.
fn live_for(journal: &MemorySource, disk: &StepDisk, visits: std::ops::Range<u64>, seed: u64, mut steps: usize) {
    let is_shut = Arc::new(AtomicBool::new(false));
    let gate = Gate(NdjsonSink::new(disk.shared(), "data"), Arc::clone(&is_shut));
    let lanes = Lanes::open(&feed(journal, disk), &settings(), vec![Box::new(gate)]).expect("one sink");
    let mut now = MORNING;
    for n in visits {
        journal.end(n);
        is_shut.store(n % 50 >= 20 && n % 50 < 35, Ordering::Relaxed);
        now = now.after(11 * SECOND);
        if !(n + seed).is_multiple_of(3) {
            journal.sync();
        }
        for _ in 0..3 {
            lanes.step(now);
            steps -= 1;
            if disk.has_crashed() || steps == 0 {
                return;
            }
            if (n + seed).is_multiple_of(2) {
                journal.collect();
            }
        }
    }
    for _ in 0..40 {
        journal.sync();
        now = now.after(SECOND);
        lanes.step(now);
        if disk.has_crashed() {
            return;
        }
    }
    let status = lanes.status().remove(0);
    assert_eq!((status.state, status.backlog), (SinkState::Running, 0), "all is delivered");
}

#[test]
fn once_and_in_order_whatever_step_a_crash_interrupts() {
    let steps = {
        let disk = StepDisk::default();
        live(&MemorySource::default(), &disk, 0..60, 0);
        assert_eq!(written(&disk, "data"), ids(0..60));
        assert!(disk.paths().iter().all(|path| path.extension().is_some_and(|e| e == "ndjson")), "no park is left");
        disk.steps()
    };
    assert!(steps > 60, "{steps}");
    for step in 1..=steps {
        for seed in 0..3 {
            let (journal, disk) = (MemorySource::default(), StepDisk::default());
            disk.crash_at(step);
            live(&journal, &disk, 0..60, seed);
            recovers(&journal, &disk, step, seed);
        }
    }
}

#[test]
fn once_and_in_order_between_whichever_steps_a_crash_comes() {
    for steps in (1..180).step_by(2) {
        for seed in 0..3 {
            let (journal, disk) = (MemorySource::default(), StepDisk::default());
            live_for(&journal, &disk, 0..60, seed, steps);
            recovers(&journal, &disk, steps as u64, seed);
        }
    }
}

/// After a crash, and another one during recovery, each visit whose end survived stands once.
fn recovers(journal: &MemorySource, disk: &StepDisk, step: u64, seed: u64) {
    let is_power_cut = seed > 0;
    let ever = journal.everything(is_power_cut);
    let disk = if is_power_cut { disk.after_power_cut(seed) } else { disk.after_kill() };
    let journal = journal.after_crash(is_power_cut);
    // And once more while it recovers.
    disk.crash_at(step % 17 + 1);
    live(&journal, &disk, 100..100, seed);
    let disk = if is_power_cut { disk.after_power_cut(seed) } else { disk.after_kill() };
    let journal = journal.after_crash(is_power_cut);
    live(&journal, &disk, 100..103, seed);
    let expected: Vec<VisitId> = ever.into_iter().chain(ids(100..103)).collect();
    assert_eq!(written(&disk, "data"), expected, "step {step}, seed {seed}");
}

#[test]
fn once_and_in_order_whatever_step_fails() {
    for step in 1..=80 {
        let (journal, disk) = (MemorySource::default(), StepDisk::default());
        disk.fail_at(step, if step % 2 == 0 { 5 } else { 28 });
        live(&journal, &disk, 0..60, step);
        assert_eq!(written(&disk, "data"), ids(0..60), "step {step}");
    }
}
