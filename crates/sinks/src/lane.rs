//! One sink being driven: what it is given, when, and what is done while it does not take it.
//!
//! A lane has no thread and no clock: somebody calls [`Lane::step`], again at once while it has worked, else at the time
//! that it names or when the source has news.
//!
//! A sink may ask for its visits in few large batches. It is then given nothing until there are enough, or one of them
//! has waited long enough; then all there is, in several batches of the usual size, and told to flush. What it has only
//! gathered is not acknowledged: the source keeps it, and after any failure the sink gets it again.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{
    Delivery, EndedVisits, Feed, Found, Gathering, Keeper, Mark, Most, SinkError, SourceError, StoreError, StreamId,
    VisitSink,
};
use visitlog_core::{Lsn, Timestamp, VisitId};

use crate::park::{Park, ParkError};
use crate::settings::LaneSettings;
use crate::status::{SinkState, SinkStatus};

/// About how many bytes of a park are read for a batch.
const PARK_READ_BYTES: usize = 32 * 1024 * 1024;

/// Why a batch did not go out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Park(#[from] ParkError),
    #[error("acknowledged up to lsn {acknowledged}, but the journal ends at {newest}: it is not the one that it was")]
    Ahead { acknowledged: Lsn, newest: Lsn },
}

impl Failure {
    const fn is_retryable(&self) -> bool {
        match self {
            Self::Sink(error) => error.is_retryable(),
            Self::Source(error) => error.is_retryable(),
            Self::Park(error) => error.is_retryable(),
            Self::Ahead { .. } => false,
        }
    }
}

struct Failing {
    since: Timestamp,
    /// `None`: not before a person has looked.
    retry_at: Option<Timestamp>,
    delay: Duration,
    what: Arc<str>,
}

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
    sink: Box<dyn VisitSink>,
    /// What the last acknowledgement said.
    place: Vec<u8>,
    acknowledged: Lsn,
    /// Ends up to this one were delivered or parked.
    taken: Lsn,
    /// The last acknowledgement, of whichever keeper, may not be on stable storage yet.
    unsettled: bool,
    is_ready: bool,
    failing: Option<Failing>,
    /// Ends up to this one may have been delivered before.
    redelivered_to: Lsn,
    /// The size of a batch that failed: the sink gets the same again.
    again: Option<usize>,
    round: Round,
    park: Park,
    parking: Parking,
    delivered: u64,
}

/// What a gathering sink has taken since its last flush.
#[derive(Default)]
struct Round {
    /// Since when visits have waited for it to begin.
    since: Option<Timestamp>,
    /// It has begun, or is to begin at once: a round that failed does not wait again.
    is_due: bool,
    /// Visits that the sink has gathered.
    gathered: usize,
    /// Of these, visits that it was not given, because they are erased.
    barred: usize,
    /// The last of them.
    last: Lsn,
    /// The sink can hold no more.
    is_full: bool,
}

#[derive(Default)]
struct Parking {
    /// The park's acknowledgement, until the file has been read.
    recovered: Option<Mark>,
    is_read: bool,
    /// Until all that is there is parked.
    is_on: bool,
    last_at: Timestamp,
    not_before: Timestamp,
    /// Since when the backlog holds back too much of the journal.
    over_since: Option<Timestamp>,
    lost: u64,
}

impl Lane {
    /// The lane of a sink that the source has been told of.
    pub(crate) fn new(feed: &Feed, stream: StreamId, settings: LaneSettings, sink: Box<dyn VisitSink>) -> Self {
        let source = Arc::clone(&feed.visits);
        let park = Park::new(Arc::clone(&feed.disk), &feed.parks, sink.name(), stream.0);
        let Mark { upto, place } = source.acknowledged(stream, sink.name(), Keeper::Sink).unwrap_or_default();
        let parked = source.acknowledged(stream, sink.name(), Keeper::Park);
        Self {
            stream,
            settings,
            place,
            acknowledged: upto,
            taken: parked.as_ref().map_or(upto, |parked| parked.upto.max(upto)),
            unsettled: true,
            is_ready: false,
            failing: None,
            redelivered_to: source.recovered(stream),
            again: None,
            round: Round::default(),
            park,
            parking: Parking { recovered: parked, ..Parking::default() },
            delivered: 0,
            source,
            sink,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.sink.name()
    }

    pub(crate) fn reopen(&mut self) {
        self.failing = None;
        self.is_ready = false;
        self.forget_round();
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
        if self.failing.as_ref().is_none_or(|failing| failing.retry_at.is_some_and(|at| at <= now)) {
            match self.deliver(now) {
                Ok(has_worked) => {
                    worked |= has_worked;
                    // To have gathered visits is no sign of health: a sink is back once it has stored them.
                    if self.round.gathered == 0 && self.failing.take().is_some() {
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

    /// Whether all that was acknowledged survives whatever happens.
    fn is_settled(&mut self) -> bool {
        if self.unsettled {
            let is_there = |keeper| {
                let upto =
                    self.source.acknowledged(self.stream, self.name(), keeper).map_or(Lsn::NONE, |mark| mark.upto);
                self.source.settled(self.stream, self.name(), keeper) >= upto
            };
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
    }

    /// Delivers one batch, or flushes what was gathered; whether there was anything to do.
    fn deliver(&mut self, now: Timestamp) -> Result<bool, Failure> {
        self.make_ready()?;
        let gathering = self.sink.gathers();
        if let Some(gathering) = gathering
            && !self.is_round_due(gathering, now)
        {
            return Ok(false);
        }
        let is_complete = gathering.is_some_and(|gathering| self.round.gathered >= gathering.visits_max);
        let batch = if is_complete || self.round.is_full {
            Vec::new()
        } else {
            match self.next_batch() {
                // What it has gathered must not wait for a person to look.
                Err(_) if self.round.gathered > 0 => Vec::new(),
                batch => batch?,
            }
        };
        let Some((last, _)) = batch.last() else { return self.flush() };
        let (last, count) = (*last, batch.len());
        let visits: Vec<(Lsn, EndedVisit)> = batch
            .into_iter()
            .filter_map(|(end, visit)| Some((end, self.source.admit(self.stream, end, visit)?)))
            .map(|(end, visit)| (end, EndedVisit { redelivered: end <= self.redelivered_to, ..visit }))
            .collect();
        let delivery = if visits.is_empty() {
            // All of them are erased: the sink stays where it is, and its position goes on.
            Ok(gathering.map_or_else(|| Delivery::Stored(self.place.clone()), |_| Delivery::Gathered))
        } else {
            self.sink.deliver(&visits)
        };
        let delivery = delivery.inspect_err(|_| {
            self.again = gathering.is_none().then_some(count);
            self.redelivered_to = self.redelivered_to.max(last);
            self.forget_round();
        })?;
        if visits.last().is_none_or(|(end, _)| *end < last) {
            self.sink.skipped(last);
        }
        self.round.barred += count - visits.len();
        self.again = None;
        self.round.gathered += count;
        self.round.last = last;
        match delivery {
            Delivery::Stored(place) => self.stored(place),
            Delivery::Gathered => {}
            Delivery::Full => self.round.is_full = true,
        }
        Ok(true)
    }

    /// The next visits that the sink has not been given.
    fn next_batch(&self) -> Result<Vec<(Lsn, EndedVisit)>, Failure> {
        let mut max = self.again.unwrap_or(self.settings.batch_visits_max);
        if let Some(gathering) = self.sink.gathers() {
            max = max.min(gathering.visits_max - self.round.gathered);
        }
        if self.park.is_empty() {
            let after = if self.round.gathered > 0 { self.round.last } else { self.taken };
            self.read_source(after, max)
        } else {
            Ok(self.park.read(self.round.gathered, max, PARK_READ_BYTES)?)
        }
    }

    /// Whether the sink is to get what there is, or to wait for more.
    fn is_round_due(&mut self, gathering: Gathering, now: Timestamp) -> bool {
        if self.round.gathered > 0 || self.round.is_due {
            return true;
        }
        let waiting = self.source.waiting(self.stream, self.taken);
        if waiting.readable == 0 && self.park.is_empty() {
            self.round.since = None;
            return false;
        }
        let since = *self.round.since.get_or_insert(now);
        let held = self.held_bytes();
        self.round.is_due = !self.park.is_empty()
            || waiting.readable >= gathering.visits_max as u64
            || since.after(gathering.wait_max) <= now
            || waiting.first.is_some_and(|first| first <= self.source.hastened(self.stream))
            // Half, so that it is on stable storage before the backlog would have to be parked.
            || held > self.settings.held_bytes_max / 2;
        self.round.is_due
    }

    /// Has the sink flush what it has gathered, if anything.
    fn flush(&mut self) -> Result<bool, Failure> {
        if self.round.gathered == 0 {
            self.round = Round::default();
            return Ok(false);
        }
        let last = self.round.last;
        let place = self.sink.flush().inspect_err(|_| {
            self.redelivered_to = self.redelivered_to.max(last);
            self.forget_round();
        })?;
        self.stored(place);
        Ok(true)
    }

    /// The sink has forgotten what it had gathered.
    fn forget_round(&mut self) {
        self.round = Round { since: self.round.since, is_due: true, ..Round::default() };
    }

    /// All that the sink was given is on stable storage.
    fn stored(&mut self, place: Vec<u8>) {
        self.place = place;
        let Round { gathered: count, barred, last, .. } = std::mem::take(&mut self.round);
        let is_parked = !self.park.is_empty();
        let mut acknowledged = last;
        if is_parked {
            self.park.consume(count);
            if self.park.is_empty() {
                acknowledged = last.max(self.park.last);
            }
        }
        self.taken = self.taken.max(acknowledged);
        self.acknowledge(acknowledged);
        self.delivered += (count - barred) as u64;
    }

    fn make_ready(&mut self) -> Result<(), Failure> {
        if self.is_ready {
            return Ok(());
        }
        let newest = self.source.newest(self.stream);
        if self.acknowledged > newest {
            return Err(Failure::Ahead { acknowledged: self.acknowledged, newest });
        }
        self.read_park()?;
        let mut pending: Vec<VisitId> = self.park.visits().collect();
        pending.extend(self.source.pending(self.stream, self.taken));
        self.sink.attach(self.stream, newest)?;
        let place = Some(&*self.place).filter(|place| !place.is_empty());
        self.sink.resume(place, &pending)?;
        self.is_ready = true;
        Ok(())
    }

    fn read_park(&mut self) -> Result<(), ParkError> {
        if self.parking.is_read {
            return Ok(());
        }
        match self.park.recover(self.parking.recovered.as_ref(), self.acknowledged) {
            Err(error @ ParkError::Missing { .. }) => tracing::error!(sink = self.name(), %error, "parked visits lost"),
            other => other?,
        }
        self.parking.is_read = true;
        Ok(())
    }

    /// Reads on in the source, until the first visit that can't be had.
    fn read_source(&self, after: Lsn, visits: usize) -> Result<Vec<(Lsn, EndedVisit)>, Failure> {
        let most = Most { visits, bytes: self.settings.batch_bytes_max };
        let found = self.source.read(self.stream, after, most);
        found.into_iter().map(|Found { end, what, .. }| Ok((end, what?))).collect()
    }

    /// Bytes that it makes the source keep.
    fn held_bytes(&self) -> u64 {
        self.source.held_bytes(self.stream, self.sink.name())
    }

    fn acknowledge(&mut self, upto: Lsn) {
        self.acknowledged = upto;
        let mark = Mark { upto, place: self.place.clone() };
        self.source.acknowledge(self.stream, self.sink.name(), Keeper::Sink, mark);
        self.unsettled = true;
    }

    fn fail(&mut self, failure: &Failure, now: Timestamp) {
        let what: Arc<str> = explain(failure).into();
        let (since, delay) = match &self.failing {
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

    fn wants_parking(&mut self, now: Timestamp) -> bool {
        if self.round.gathered > 0 {
            // What the sink holds would be parked too, and come twice.
            return false;
        }
        let held = self.held_bytes();
        let settings = &self.settings;
        let is_over = held > settings.held_bytes_max;
        self.parking.over_since = is_over.then(|| self.parking.over_since.unwrap_or(now));
        let is_due = match &self.failing {
            Some(failing) => is_over || failing.since.max(self.parking.last_at).after(settings.park_after) <= now,
            None => self.parking.over_since.is_some_and(|since| since.after(settings.park_after) <= now),
        };
        (self.parking.is_on || is_due) && self.parking.not_before <= now
    }

    /// Parks one batch; whether there was any.
    fn park(&mut self, now: Timestamp) -> bool {
        match self.park_batch() {
            Ok(is_any) => {
                self.parking.is_on = is_any;
                if is_any {
                    self.parking.last_at = now;
                }
                is_any
            }
            Err(failure) => {
                self.park_failed(&failure, now);
                false
            }
        }
    }

    fn park_batch(&mut self) -> Result<bool, Failure> {
        self.read_park()?;
        let batch = self.read_source(self.taken, self.settings.batch_visits_max)?;
        let Some((last, _)) = batch.last() else { return Ok(false) };
        let last = *last;
        let visits: Vec<_> = batch
            .into_iter()
            .filter_map(|(end, visit)| Some((end, self.source.admit(self.stream, end, visit)?)))
            .collect();
        if visits.is_empty() {
            // All of them are erased.
            self.pass(last);
            return Ok(true);
        }
        let mut fit = visits.len();
        while fit > 0 && !self.park.append(&visits[..fit], self.settings.park_bytes_max)? {
            fit /= 2;
        }
        if fit > 0 {
            tracing::warn!(sink = self.name(), visits = fit, "parked the backlog of a sink that is down");
            self.acknowledge_park(if fit == visits.len() { last } else { visits[fit - 1].0 });
            return Ok(true);
        }
        // What was parked a moment ago may let the source go yet.
        if self.held_bytes() <= self.settings.held_bytes_max || !self.is_settled() {
            return Ok(false);
        }
        let lost = visits.len();
        tracing::error!(sink = self.name(), visits = lost, "the park is full: a sink will never get these visits");
        self.parking.lost += lost as u64;
        self.pass(last);
        Ok(true)
    }

    /// The sink will never get what ended up to `last`.
    fn pass(&mut self, last: Lsn) {
        if self.park.is_empty() {
            self.acknowledge(last);
            self.taken = last;
        } else {
            self.acknowledge_park(last);
        }
    }

    /// Tells the source that all Ends up to `last` are parked or dropped.
    fn acknowledge_park(&mut self, last: Lsn) {
        self.park.last = last;
        let mark = Mark { upto: last, place: self.park.place() };
        self.source.acknowledge(self.stream, self.sink.name(), Keeper::Park, mark);
        self.unsettled = true;
        self.taken = last;
    }

    fn park_failed(&mut self, failure: &Failure, now: Timestamp) {
        tracing::error!(sink = self.name(), error = explain(failure), "the backlog of a sink could not be parked");
        self.parking.is_on = false;
        self.parking.not_before = now.after(self.settings.retry_max);
    }

    /// How it is doing, apart from what the source says of it.
    pub(crate) fn status(&self) -> SinkStatus {
        let state = match &self.failing {
            None if self.is_ready => SinkState::Running,
            None => SinkState::Starting,
            Some(Failing { since, retry_at: Some(_), what, .. }) => {
                SinkState::Failing { since: *since, what: Arc::clone(what) }
            }
            Some(Failing { since, what, .. }) => SinkState::Stopped { since: *since, what: Arc::clone(what) },
        };
        SinkStatus {
            name: self.name().to_owned(),
            state,
            acknowledged: self.acknowledged,
            taken: self.taken,
            parked: self.park.count(),
            parked_bytes: self.park.bytes(),
            delivered: self.delivered,
            lost_quota: self.parking.lost,
            waiting_since: self.round.since,
            ..SinkStatus::default()
        }
    }

    fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let Some(failing) = &self.failing else {
            let gathering = self.sink.gathers()?;
            return self.round.since.map(|since| since.after(gathering.wait_max));
        };
        let park_at = failing.since.max(self.parking.last_at).after(self.settings.park_after);
        let has_more = self.source.waiting(self.stream, self.taken).visits > 0;
        let park_at = has_more.then(|| park_at.max(self.parking.not_before).max(now));
        [failing.retry_at, park_at].into_iter().flatten().min()
    }
}

/// An error with what caused it.
fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
