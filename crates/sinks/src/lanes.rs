//! All lanes of a source: opened, driven by threads or step by step, looked at and told what to do.

#[cfg(test)]
mod aside_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
mod erase;
#[cfg(test)]
mod erase_tests;
#[cfg(test)]
mod gather_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod part_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod threads_tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::thread::JoinHandle;
use std::time::Duration;

use visitlog_core::ports::{Clock, EndedVisits, Feed, Keeper, LeftOut, StreamId, VisitSink};
use visitlog_core::{Lsn, Timestamp};

use crate::lane::{Lane, StepResult};
use crate::ndjson::NdjsonSink;
use crate::park::Park;
use crate::quarantine::SetAside;
use crate::settings::LaneSettings;
use crate::status::{SinkState, SinkStatus};
use crate::sync::{Condvar, Mutex};

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
    /// The source has no stream, or several.
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
    feed: Feed,
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
    /// What it has set aside.
    aside: Mutex<Vec<SetAside>>,
    told: Mutex<Told>,
    bell: Condvar,
    /// Its sink's thread is to end.
    stop: Arc<AtomicBool>,
    pace: Duration,
}

/// What a lane was told, and has not seen yet.
#[derive(Default)]
struct Told {
    /// There may be something new.
    news: bool,
    /// What people want.
    orders: Vec<Order>,
    stop: bool,
    /// Its thread has ended.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Pause,
    Resume,
    /// A person has looked: try again.
    Reopen,
    /// Give it once more what was set aside.
    Replay,
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
            let driven = Driven {
                name,
                lane: Mutex::new(lane),
                shown,
                aside: Mutex::default(),
                told: Mutex::default(),
                bell: Condvar::new(),
                stop: Arc::default(),
                pace: settings.pace,
            };
            Arc::new(driven)
        };
        let lanes: Vec<_> = names.into_iter().zip(sinks).map(lane).collect();
        for lane in &lanes {
            feed.visits.wake_on_news(Arc::clone(lane).into());
        }
        let (source, clock) = (Arc::clone(&feed.visits), Arc::clone(&feed.clock));
        Ok(Self { feed: feed.clone(), source, clock, stream, lanes, threads: Mutex::default() })
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
            lane.lane.lock().start(Arc::clone(&lane.stop)).map_err(LanesError::Threads)?;
            let (driven, clock) = (Arc::clone(lane), Arc::clone(&self.clock));
            let named = std::thread::Builder::new().name(format!("lane-{}", lane.name));
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

    /// Leaves a sink alone until [`Lanes::resume`] or the next start; its backlog is parked like that of one that is
    /// down. `false`: there is no such sink.
    pub fn pause(&self, name: &str) -> bool {
        self.order(name, Order::Pause)
    }

    /// Ends a pause. `false`: there is no such sink.
    pub fn resume(&self, name: &str) -> bool {
        self.order(name, Order::Resume)
    }

    /// Tries a stopped sink again, once a person has looked. `false`: there is no such sink.
    pub fn reopen(&self, name: &str) -> bool {
        self.order(name, Order::Reopen)
    }

    /// Gives a sink once more what was set aside for it, once what was wrong has been mended. What it takes is set aside
    /// no longer. At least once: a crash in between gives it again. `false`: there is no such sink.
    pub fn replay(&self, name: &str) -> bool {
        self.order(name, Order::Replay)
    }

    fn order(&self, name: &str, order: Order) -> bool {
        let lane = self.lanes.iter().find(|lane| lane.name == name);
        lane.map(|lane| lane.tell(|told| told.orders.push(order))).is_some()
    }

    /// What was set aside for a sink. `None`: there is no such sink.
    pub fn set_aside(&self, name: &str) -> Option<Vec<SetAside>> {
        let lane = self.lanes.iter().find(|lane| lane.name == name)?;
        Some(lane.aside.lock().clone())
    }

    /// How the sinks are doing, those included that are left out at present. Never waits for one.
    pub fn status(&self) -> Vec<SinkStatus> {
        let left_out =
            self.source.left_out(self.stream).into_iter().map(|LeftOut { sink, parked, missed }| SinkStatus {
                name: sink,
                state: SinkState::LeftOut,
                parked_bytes: parked.map_or(0, |parked| Park::bytes_at(&parked.place)),
                lost_left_out: missed,
                ..SinkStatus::default()
            });
        self.lanes.iter().map(|lane| self.status_of(lane)).chain(left_out).collect()
    }

    fn status_of(&self, lane: &Driven) -> SinkStatus {
        let shown = lane.shown.lock().clone();
        let waiting = self.source.waiting(self.stream, shown.taken).visits;
        SinkStatus {
            backlog: shown.parked + waiting,
            oldest_needed: self.source.needed_from(self.stream, &lane.name),
            held_bytes: self.source.held_bytes(self.stream, &lane.name),
            lost_left_out: self.source.missed(self.stream, &lane.name),
            ..shown
        }
    }

    /// The sinks that don't have all Ends below a position yet, that they have them on stable storage included; those
    /// that have parked any too.
    pub fn without(&self, below: Lsn) -> Vec<String> {
        let has_all = |lane: &Driven| {
            let shown = lane.shown.lock().clone();
            let settled = self.source.settled(self.stream, &lane.name, Keeper::Sink);
            let next = self.source.next_end(self.stream, settled);
            shown.state == SinkState::Running && shown.parked == 0 && next.is_none_or(|next| next >= below)
        };
        self.lanes.iter().filter(|lane| !has_all(lane)).map(|lane| lane.name.clone()).collect()
    }

    /// Stops the threads.
    pub fn stop(&self) {
        for (lane, _) in &*self.threads.lock() {
            lane.stop.store(true, Ordering::SeqCst);
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

impl Told {
    /// Whether it must not sleep on.
    const fn is_called(&self) -> bool {
        self.stop || !self.orders.is_empty()
    }
}

impl Driven {
    fn step(&self, now: Timestamp) -> StepResult {
        let orders = std::mem::take(&mut self.told.lock().orders);
        let mut lane = self.lane.lock();
        for order in orders {
            tracing::info!(sink = self.name, ?order, "a sink was told");
            match order {
                Order::Pause => lane.pause(true, now),
                Order::Resume => lane.pause(false, now),
                Order::Reopen => lane.reopen(),
                Order::Replay => lane.replay(),
            }
        }
        let result = lane.step(now);
        let status = lane.status();
        let mut shown = self.shown.lock();
        if (shown.set_aside, shown.set_aside_bytes) != (status.set_aside, status.set_aside_bytes) {
            *self.aside.lock() = lane.set_aside_list();
        }
        *shown = status;
        result
    }

    fn run(&self, clock: &dyn Clock) {
        let mut result = StepResult::default();
        while !self.sleep(&result, clock.now()) {
            result = match catch_unwind(AssertUnwindSafe(|| self.step(clock.now()))) {
                Ok(result) => result,
                Err(_) => {
                    // A fault of our own. What was not acknowledged comes again, once the sink was made ready anew.
                    tracing::error!(sink = self.name, "the lane of a sink panicked");
                    self.lane.lock().reopen();
                    StepResult::default()
                }
            };
        }
        self.tell(|told| told.ended = true);
    }

    /// Sleeps until there may be something to do. True if it is time to stop.
    fn sleep(&self, last: &StepResult, now: Timestamp) -> bool {
        let mut told = self.told.lock();
        if !last.worked {
            let wake = last.wake_at.map_or(LOOK_EVERY, |at| at.since(now).min(LOOK_EVERY));
            if !told.news && !told.is_called() {
                self.bell.wait_for(&mut told, wake);
            }
            // What ends meanwhile makes the batch larger.
            if !told.is_called() {
                self.bell.wait_while_for(&mut told, |told| !told.is_called(), self.pace);
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
