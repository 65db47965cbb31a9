//! Brings each `End` of the journal to each sink, in the order of the journal, once it is on stable storage.
//!
//! The driver has no thread and no clock: somebody calls [`SinkDriver::step`], again at once while it has worked, else
//! at the time that it names or when more was synced. What a step does (reading chains, delivering, syncing) happens
//! outside of any lock that traffic takes.
//!
//! A sink may ask for its visits in few large batches. It is then given nothing until there are enough, or one of them
//! has waited long enough; then all there is, in several batches of the usual size, and told to flush. What it has only
//! gathered is not acknowledged: the journal keeps it, and after any failure the sink gets it again.
//!
//! A delivery is acknowledged in the journal with the sink's own place. After a crash the sink goes on behind its last
//! acknowledgement that survived; so the journal's records are needed until an acknowledgement is itself on stable
//! storage, which is what [`SinkHub::oldest_needed`] says.

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod gather_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod tests;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use visitlog_core::ports::{Disk, StoreError, VisitSink};
use visitlog_core::{Lsn, Timestamp};

use self::worker::Worker;
use super::hub::{Lane, SinkHub};
use super::park::Park;
use super::source::EndSource;
use crate::journal::Ack;

/// How sinks are driven.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    /// Visits in a batch.
    pub batch_visits_max: usize,
    /// Events in a batch, unless a single visit has more: a batch is held in memory.
    pub batch_events_max: u64,
    /// Bytes that a batch may take in memory, unless a single visit takes more.
    pub batch_bytes_max: usize,
    /// Threads that read a batch's chains. More than one makes the order of reads a matter of chance.
    pub readers: usize,
    /// How long after a first failure a sink is tried again; doubles with each further one.
    pub retry_min: Duration,
    /// The longest that a failing sink is left alone.
    pub retry_max: Duration,
    /// How long a sink may fail before its backlog is parked.
    pub park_after: Duration,
    /// How many bytes of journal a sink's backlog may hold back before it is parked.
    pub held_bytes_max: u64,
    /// The longest that a sink's park may be, in bytes.
    pub park_bytes_max: u64,
    /// Delivers `End`s that are only written: a rule to break, for the test that shows that other tests notice.
    #[cfg(feature = "mutations")]
    pub sees_unsynced: bool,
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            batch_visits_max: 4_096,
            batch_events_max: 65_536,
            batch_bytes_max: 32 * 1024 * 1024,
            readers: 1,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
            park_after: Duration::from_secs(300),
            held_bytes_max: 1 << 30,
            park_bytes_max: 1 << 30,
            #[cfg(feature = "mutations")]
            sees_unsynced: false,
        }
    }
}

/// What a step did, and when the next one is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepResult {
    /// Something was done: there may be more to do at once.
    pub worked: bool,
    /// When to come again even if nothing else happens.
    pub wake_at: Option<Timestamp>,
}

/// What all workers need.
struct Shared {
    source: Arc<dyn EndSource>,
    hub: Arc<SinkHub>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    settings: SinkSettings,
}

impl Shared {
    /// Ends below may be delivered.
    fn deliverable(&self) -> Lsn {
        #[cfg(feature = "mutations")]
        if self.settings.sees_unsynced {
            return self.source.written();
        }
        self.source.synced()
    }
}

/// Drives sinks. One thread at a time calls it.
pub struct SinkDriver {
    shared: Shared,
    workers: Vec<Worker>,
}

impl SinkDriver {
    /// A driver without sinks yet. Parks lie in `dir`, which exists.
    pub fn new(
        source: Arc<dyn EndSource>,
        disk: Arc<dyn Disk>,
        dir: impl Into<PathBuf>,
        settings: SinkSettings,
    ) -> Self {
        let shared = Shared { source, hub: Arc::default(), disk, dir: dir.into(), settings };
        Self { shared, workers: Vec::new() }
    }

    /// Where `End`s are told.
    pub fn hub(&self) -> Arc<SinkHub> {
        Arc::clone(&self.shared.hub)
    }

    /// Adds a sink. `recovered` holds the latest acknowledgement of each name that recovery found in the journal,
    /// parks' too. A sink that has none starts at the journal's end as it is now.
    ///
    /// To be called before the `End`s that recovery found are given to the hub.
    pub fn add(&mut self, sink: Box<dyn VisitSink>, recovered: &HashMap<String, Ack>) {
        let Shared { source, hub, disk, dir, .. } = &self.shared;
        let name = sink.name().to_owned();
        let newest = Lsn(source.appended().0.saturating_sub(1));
        let park = Park::new(Arc::clone(disk), dir, &name, source.uuid());
        let parked = recovered.get(&Park::name(&name)).cloned();
        let mut worker = Worker::new(self.workers.len(), sink, park);
        match recovered.get(&name) {
            Some(ack) => {
                hub.enter(ack.clone());
                worker.recovered(ack, parked.clone(), newest);
            }
            None => {
                let ack = Ack { sink: name.clone(), lsn: newest, place: Vec::new() };
                hub.acknowledge(&**source, ack);
                worker.starts_at(newest);
            }
        }
        let acknowledged = worker.acknowledged();
        let from = parked.map_or(acknowledged, |parked| {
            hub.enter(parked.clone());
            parked.lsn.max(acknowledged)
        });
        hub.lanes.lock().push(Lane::new(name, from, acknowledged));
        self.workers.push(worker);
    }

    /// Does a bounded piece of work for each sink: one batch at most.
    pub fn step(&mut self, now: Timestamp) -> StepResult {
        match self.shared.source.check() {
            Ok(()) => {}
            Err(StoreError::Unavailable { .. } | StoreError::Unknown) => {
                let wake_at = Some(now.after(self.shared.settings.retry_max));
                return StepResult { worked: false, wake_at };
            }
            Err(StoreError::Stopped { .. }) => return StepResult::default(),
        }
        let mut result = StepResult::default();
        for worker in &mut self.workers {
            let StepResult { worked, wake_at } = worker.step(&self.shared, now);
            result.worked |= worked;
            result.wake_at = [result.wake_at, wake_at].into_iter().flatten().min();
        }
        result
    }

    /// Tries a stopped sink again, once a person has looked. `false`: there is no such sink.
    pub fn reopen(&mut self, name: &str) -> bool {
        let worker = self.workers.iter_mut().find(|worker| worker.name() == name);
        worker.map(Worker::reopen).is_some()
    }
}
