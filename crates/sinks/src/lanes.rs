//! All lanes of a source: opened, driven by threads or step by step, looked at and told what to do.

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod gather_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::task::Wake;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use visitlog_core::ports::{Clock, EndedVisits, Feed, StreamId, VisitSink};
use visitlog_core::{Lsn, Timestamp};

use crate::lane::{Lane, StepResult};
use crate::ndjson::NdjsonSink;
use crate::settings::LaneSettings;
use crate::status::{SinkState, SinkStatus};

/// The longest that a lane sleeps: acknowledgements settle, and parks go, without anybody telling.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the end of a lane's thread is waited for: its sink may hang.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a sink's name may be: it stands in each of its acknowledgements.
const NAME_BYTES_MAX: usize = 64;

/// Why lanes could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    /// Two sinks have one name: they would share what they have acknowledged.
    #[error("sinks: names of their own expected, two are called {name}")]
    SameName {
        /// The name.
        name: String,
    },
    /// A sink can't be called that.
    #[error("sink {name:?}: a name of up to {NAME_BYTES_MAX} letters, digits, `-` and `_` expected")]
    Name {
        /// The name.
        name: String,
    },
    /// The source has no stream.
    #[error("one stream of ended visits expected, {found} found")]
    Streams {
        /// How many there are.
        found: usize,
    },
    /// The system has no threads to give.
    #[error("start the threads of sinks")]
    Threads(#[source] io::Error),
}

/// Brings the visits of a source to sinks. Dropping it stops its threads; what was not acknowledged comes again.
pub struct Lanes {
    source: Arc<dyn EndedVisits>,
    clock: Arc<dyn Clock>,
    stream: StreamId,
    lanes: Vec<Arc<Driven>>,
    threads: Mutex<Vec<(Arc<Driven>, JoinHandle<()>)>>,
}

/// A lane, and what can be had of it while it works.
struct Driven {
    name: String,
    lane: Mutex<Lane>,
    shown: Mutex<SinkStatus>,
    told: Mutex<Told>,
    bell: Condvar,
    pace: Duration,
}

/// What a lane was told, and has not seen yet.
#[derive(Default)]
struct Told {
    /// There may be something new.
    news: bool,
    /// A person has looked: try again.
    reopen: bool,
    stop: bool,
    /// Its thread has ended.
    ended: bool,
}

impl Lanes {
    /// Lanes for these sinks, which are all that there are, over the feed's stream. Nothing moves until
    /// [`Lanes::start`] or [`Lanes::step`].
    ///
    /// # Errors
    /// When two sinks have one name, or one can't be used.
    pub fn open(feed: &Feed, settings: &LaneSettings, sinks: Vec<Box<dyn VisitSink>>) -> Result<Self, LanesError> {
        let names: Vec<String> = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        check_names(&names)?;
        let streams = feed.visits.streams();
        let [stream] = streams[..] else { return Err(LanesError::Streams { found: streams.len() }) };
        feed.visits.subscribe(&names);
        let lane = |(name, sink)| {
            let lane = Lane::new(feed, stream, settings.clone(), sink);
            let shown = Mutex::new(lane.status());
            let (lane, pace) = (Mutex::new(lane), settings.pace);
            Arc::new(Driven { name, lane, shown, told: Mutex::default(), bell: Condvar::new(), pace })
        };
        let lanes: Vec<_> = names.into_iter().zip(sinks).map(lane).collect();
        for lane in &lanes {
            feed.visits.wake_on_news(Arc::clone(lane).into());
        }
        let (source, clock) = (Arc::clone(&feed.visits), Arc::clone(&feed.clock));
        Ok(Self { source, clock, stream, lanes, threads: Mutex::default() })
    }

    /// Lanes for the files of ended visits in the data folder alone, started.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn to_files(feed: &Feed) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let files = NdjsonSink::new(Arc::clone(&feed.disk), &feed.data);
        let lanes = Self::open(feed, &LaneSettings::default(), vec![Box::new(files)])?;
        lanes.start()?;
        Ok(lanes)
    }

    /// Gives each lane a thread of its own.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn start(&self) -> Result<(), LanesError> {
        for lane in &self.lanes {
            let (driven, clock) = (Arc::clone(lane), Arc::clone(&self.clock));
            let named = std::thread::Builder::new().name(format!("sink-{}", lane.name));
            let thread = named.spawn(move || driven.run(&*clock)).map_err(LanesError::Threads)?;
            self.threads.lock().push((Arc::clone(lane), thread));
        }
        Ok(())
    }

    /// Does a bounded piece of work in each lane: for whoever gives them no threads.
    pub fn step(&self, now: Timestamp) -> StepResult {
        let mut result = StepResult::default();
        for lane in &self.lanes {
            let StepResult { worked, wake_at } = lane.step(now);
            result.worked |= worked;
            result.wake_at = [result.wake_at, wake_at].into_iter().flatten().min();
        }
        result
    }

    /// Tries a stopped sink again, once a person has looked. `false`: there is no such sink.
    pub fn reopen(&self, name: &str) -> bool {
        self.tell(name, |told| told.reopen = true)
    }

    fn tell(&self, name: &str, what: impl FnOnce(&mut Told)) -> bool {
        let lane = self.lanes.iter().find(|lane| lane.name == name);
        lane.map(|lane| lane.tell(what)).is_some()
    }

    /// How the sinks are doing. Never waits for one.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.lanes.iter().map(|lane| self.status_of(lane)).collect()
    }

    fn status_of(&self, lane: &Driven) -> SinkStatus {
        let shown = lane.shown.lock().clone();
        let waiting = self.source.waiting(self.stream, shown.taken).visits;
        SinkStatus {
            backlog: shown.parked + waiting,
            oldest_needed: self.source.needed_from(self.stream, &lane.name),
            held_bytes: self.source.held_bytes(self.stream, &lane.name),
            ..shown
        }
    }

    /// The sinks that don't have all Ends below a position yet, that they have them on stable storage included; those
    /// that have parked any too.
    pub fn without(&self, below: Lsn) -> Vec<String> {
        let has_all = |lane: &Driven| {
            let shown = lane.shown.lock().clone();
            let settled = self.source.settled(self.stream, &lane.name, visitlog_core::ports::Keeper::Sink);
            let next = self.source.next_end(self.stream, settled);
            shown.state == SinkState::Running && shown.parked == 0 && next.is_none_or(|next| next >= below)
        };
        self.lanes.iter().filter(|lane| !has_all(lane)).map(|lane| lane.name.clone()).collect()
    }

    /// Stops the threads.
    pub fn stop(&self) {
        for (lane, _) in &*self.threads.lock() {
            lane.tell(|told| told.stop = true);
        }
        for (lane, thread) in self.threads.lock().drain(..) {
            if !lane.has_ended(STOP_PATIENCE) {
                tracing::error!(sink = lane.name, "a sink hangs: its thread is left to itself");
            } else if thread.join().is_err() {
                tracing::error!(sink = lane.name, "the thread of a sink panicked");
            }
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lanes.iter().map(|lane| &lane.name)).finish()
    }
}

fn check_names(names: &[String]) -> Result<(), LanesError> {
    for (at, name) in names.iter().enumerate() {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_fit) {
            return Err(LanesError::Name { name: name.clone() });
        }
        if names[..at].contains(name) {
            return Err(LanesError::SameName { name: name.clone() });
        }
    }
    Ok(())
}

impl Driven {
    fn step(&self, now: Timestamp) -> StepResult {
        let reopen = std::mem::take(&mut self.told.lock().reopen);
        let mut lane = self.lane.lock();
        if reopen {
            lane.reopen();
        }
        let result = lane.step(now);
        *self.shown.lock() = lane.status();
        result
    }

    fn run(&self, clock: &dyn Clock) {
        let mut result = StepResult::default();
        while !self.sleep(&result, clock.now()) {
            result = self.step(clock.now());
        }
        self.tell(|told| told.ended = true);
    }

    /// Sleeps until there may be something to do. True if it is time to stop.
    fn sleep(&self, last: &StepResult, now: Timestamp) -> bool {
        let mut told = self.told.lock();
        if !last.worked {
            let wake = last.wake_at.map_or(LOOK_EVERY, |at| at.since(now).min(LOOK_EVERY));
            if !told.news && !told.stop && !told.reopen {
                self.bell.wait_for(&mut told, wake);
            }
            // What ends meanwhile makes the batch larger.
            if !told.stop && !told.reopen {
                self.bell.wait_while_for(&mut told, |told| !told.stop && !told.reopen, self.pace);
            }
        }
        told.news = false;
        told.stop
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        what(&mut self.told.lock());
        self.bell.notify_all();
    }

    fn has_ended(&self, patience: Duration) -> bool {
        let mut told = self.told.lock();
        self.bell.wait_while_for(&mut told, |told| !told.ended, patience);
        told.ended
    }
}

impl Wake for Driven {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell(|told| told.news = true);
    }
}
