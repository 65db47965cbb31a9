//! One sink being driven: what it is given, when, and what is done while it does not take it.
//!
//! A lane has no thread and no clock: somebody calls [`Lane::step`], again at once while it has worked, else at the time
//! that it names or when the source has news.
//!
//! A sink may ask for its visits in few large batches. It is then given nothing until there are enough, or one of them
//! has waited long enough; then all there is, in several batches of the usual size, and told to flush. What it has only
//! gathered is not acknowledged: the source keeps it, and after any failure the sink gets it again.
//!
//! A visit that can't be assembled, that the sink refuses for good, or that it panics at, is set aside in the lane's
//! quarantine, and the others go on. A sink that is down, hangs or is paused is left alone; its backlog is parked.

mod deliver;
mod erase;
mod failure;
mod parking;
mod replay;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use visitlog_core::ports::{EndedVisits, Feed, Keeper, Mark, StoreError, StreamId, VisitSink};
use visitlog_core::{Lsn, Timestamp};

#[cfg_attr(not(feature = "webhooks"), expect(unused_imports, reason = "webhooks explain, too"))]
pub(crate) use self::failure::explain;
use self::failure::{Failing, Failure};
use self::state::{Ahead, Parking, Replay, Round, Search};
use crate::call::Called;
use crate::park::Park;
use crate::quarantine::{Quarantine, SetAside, Why};
use crate::settings::LaneSettings;
use crate::status::{SinkState, SinkStatus};

/// What a step did, and when the next one is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepResult {
    /// Something was done: there may be more to do at once.
    pub worked: bool,
    /// When to come again even if nothing else happens.
    pub wake_at: Option<Timestamp>,
}

pub(crate) struct Lane {
    source: Arc<dyn EndedVisits>,
    stream: StreamId,
    settings: LaneSettings,
    sink: Called,
    /// What the last acknowledgement said.
    place: Vec<u8>,
    acknowledged: Lsn,
    /// Ends up to this one were delivered or parked.
    taken: Lsn,
    /// The last acknowledgement, of whichever keeper, may not be on stable storage yet.
    unsettled: bool,
    is_ready: bool,
    /// Since when a person wants it to be left alone.
    paused: Option<Timestamp>,
    failing: Option<Failing>,
    /// Ends up to this one may have been delivered before.
    redelivered_to: Lsn,
    /// The size of a batch that failed: the sink gets the same again.
    again: Option<usize>,
    round: Round,
    ahead: Option<Ahead>,
    park: Park,
    parking: Parking,
    quarantine: Quarantine,
    /// Visits that are to be set aside when they are read the next time.
    refused: BTreeMap<Lsn, (Why, String)>,
    search: Option<Search>,
    panics_in_row: u32,
    /// The last that was set aside, or was to be.
    aside_upto: Lsn,
    lost_quarantine: u64,
    replay: Replay,
    delivered: u64,
}

impl Lane {
    /// The lane of a sink that the source has been told of.
    pub(crate) fn new(feed: &Feed, stream: StreamId, settings: LaneSettings, sink: Box<dyn VisitSink>) -> Self {
        let source = Arc::clone(&feed.visits);
        let park = Park::new(Arc::clone(&feed.disk), &feed.parks, sink.name(), stream.0);
        let quarantine = Quarantine::new(Arc::clone(&feed.disk), &feed.parks, sink.name(), stream);
        let Mark { upto, place } = source.acknowledged(stream, sink.name(), Keeper::Sink).unwrap_or_default();
        let parked = source.acknowledged(stream, sink.name(), Keeper::Park);
        let behind = parked.as_ref().map_or(upto, |parked| parked.upto.max(upto));
        Self {
            stream,
            place,
            acknowledged: upto,
            taken: behind.max(source.missed_upto(stream, sink.name())),
            unsettled: true,
            is_ready: false,
            paused: None,
            failing: None,
            redelivered_to: source.recovered(stream),
            again: None,
            round: Round::default(),
            ahead: None,
            park,
            parking: Parking { recovered: parked, ..Parking::default() },
            quarantine,
            refused: BTreeMap::new(),
            search: None,
            panics_in_row: 0,
            aside_upto: Lsn::NONE,
            lost_quarantine: 0,
            replay: Replay::default(),
            delivered: 0,
            source,
            sink: Called::new(sink, settings.hangs_after),
            settings,
        }
    }

    /// Gives the sink a thread of its own.
    ///
    /// # Errors
    /// When the system has none to give.
    pub(crate) fn start(&mut self, stop: Arc<AtomicBool>) -> io::Result<()> {
        self.sink.start(stop)
    }

    pub(crate) fn name(&self) -> &str {
        self.sink.name()
    }

    /// A person has looked: it is tried again at once.
    pub(crate) fn reopen(&mut self) {
        self.failing = None;
        self.is_ready = false;
        self.panics_in_row = 0;
        self.forget_round();
    }

    /// Leaves the sink alone from now on, or no longer.
    pub(crate) fn pause(&mut self, is_paused: bool, now: Timestamp) {
        self.paused = is_paused.then(|| self.paused.unwrap_or(now));
    }

    /// What was set aside.
    pub(crate) fn set_aside_list(&self) -> Vec<SetAside> {
        self.quarantine.list().cloned().collect()
    }

    /// Does a bounded piece of work: one batch at most.
    pub(crate) fn step(&mut self, now: Timestamp) -> StepResult {
        match self.source.check() {
            Ok(()) => {}
            Err(StoreError::Unavailable { .. } | StoreError::Unknown) => {
                return StepResult { worked: false, wake_at: Some(now.after(self.settings.retry_max)) };
            }
            Err(StoreError::Stopped { .. }) => return StepResult::default(),
        }
        let mut worked = false;
        self.release(now);
        let is_due = self.failing.as_ref().is_none_or(|failing| failing.retry_at.is_some_and(|at| at <= now));
        if is_due {
            match self.work(now) {
                Ok(has_worked) => {
                    worked |= has_worked;
                    // To have gathered visits is no sign of health: a sink is back once it has stored them.
                    if self.round.gathered() == 0 && self.failing.take().is_some() {
                        tracing::info!(sink = self.name(), "the sink is back");
                    }
                }
                Err(failure) => self.fail(&failure, now),
            }
        }
        if self.wants_parking(now) {
            worked |= self.park(now);
        }
        StepResult { worked, wake_at: self.wake_at(now) }
    }

    fn work(&mut self, now: Timestamp) -> Result<bool, Failure> {
        if self.paused.is_some() {
            // What it holds already it may store.
            return self.flush();
        }
        Ok(self.replay_some(now)? || self.deliver(now)?)
    }

    /// Whether all that was acknowledged survives whatever happens.
    fn is_settled(&mut self) -> bool {
        if self.unsettled {
            let is_there = |keeper| self.source.is_settled(self.stream, self.name(), keeper);
            self.unsettled = !(is_there(Keeper::Sink) && is_there(Keeper::Park));
        }
        !self.unsettled
    }

    /// Lets a park go that nobody needs any more.
    fn release(&mut self, now: Timestamp) {
        // One that could not be read yet only seems empty.
        let is_done = self.parking.is_read && self.park.bytes() > 0 && self.park.is_empty() && self.is_settled();
        if is_done
            && self.parking.not_before <= now
            && let Err(error) = self.park.remove()
        {
            self.park_failed(&error.into(), now);
        }
        if self.park.has_older()
            && self.is_settled()
            && self.parking.not_before <= now
            && let Err(error) = self.park.remove_older()
        {
            self.park_failed(&error.into(), now);
        }
    }

    fn fail(&mut self, failure: &Failure, now: Timestamp) {
        let what: Arc<str> = explain(failure).into();
        let (since, delay) = match &self.failing {
            // A search is worth some haste: the others wait for its end.
            Some(failing) if self.is_searching() => (failing.since, self.settings.retry_min),
            Some(failing) => (failing.since, failing.delay.saturating_mul(2).min(self.settings.retry_max)),
            None => (now, self.settings.retry_min),
        };
        let retry_at = failure.is_retryable().then(|| now.after(delay));
        match retry_at {
            Some(_) => tracing::warn!(sink = self.name(), error = %what, again_in = ?delay, "a sink failed"),
            None => tracing::error!(sink = self.name(), error = %what, "a sink stopped: a person must look"),
        }
        self.failing = Some(Failing { since, retry_at, delay, what });
    }

    /// How it is doing, apart from what the source says of it.
    pub(crate) fn status(&self) -> SinkStatus {
        let state = match (&self.paused, &self.failing) {
            (Some(since), _) => SinkState::Paused { since: *since },
            (None, None) if self.is_ready => SinkState::Running,
            (None, None) => SinkState::Starting,
            (None, Some(Failing { since, retry_at: Some(_), what, .. })) => {
                SinkState::Failing { since: *since, what: Arc::clone(what) }
            }
            (None, Some(Failing { since, what, .. })) => SinkState::Stopped { since: *since, what: Arc::clone(what) },
        };
        SinkStatus {
            name: self.name().to_owned(),
            state,
            acknowledged: self.acknowledged,
            taken: self.taken,
            parked: self.park.count(),
            parked_bytes: self.park.bytes(),
            set_aside: self.quarantine.count(),
            set_aside_bytes: self.quarantine.bytes(),
            set_aside_damaged: self.quarantine.damaged(),
            delivered: self.delivered,
            panics: self.sink.panics(),
            lost_quota: self.parking.lost,
            lost_quarantine: self.lost_quarantine,
            waiting_since: self.round.since,
            ..SinkStatus::default()
        }
    }

    fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let Some(since) = self.down_since() else {
            let gathering = self.sink.gathers()?;
            return self.round.since.map(|since| since.after(gathering.wait_max));
        };
        let retry_at = self.failing.as_ref().filter(|_| self.paused.is_none()).and_then(|failing| failing.retry_at);
        let park_at = since.max(self.parking.last_at).after(self.settings.park_after);
        let has_more = self.source.waiting(self.stream, self.taken).visits > 0;
        let park_at = has_more.then(|| park_at.max(self.parking.not_before).max(now));
        [retry_at, park_at].into_iter().flatten().min()
    }
}
