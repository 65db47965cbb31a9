//! One sink being driven.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Gathering, SinkError, VisitSink};
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::{Shared, SinkSettings, StepResult};
use crate::journal::{Ack, JournalError};
use crate::sinks::assemble::{BrokenChain, assemble};
use crate::sinks::hub::{Lane, PendingEnd, SinkState};
use crate::sinks::park::{Park, ParkError};
use crate::sinks::source::EndSource;

/// About how many bytes of a park are read for a batch.
const PARK_READ_BYTES: usize = 32 * 1024 * 1024;

/// Why a batch did not go out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Broken(#[from] BrokenChain),
    #[error(transparent)]
    Park(#[from] ParkError),
    #[error("acknowledged up to lsn {acknowledged}, but the journal ends at {newest}: it is not the one that it was")]
    Ahead { acknowledged: Lsn, newest: Lsn },
}

impl Failure {
    const fn is_retryable(&self) -> bool {
        match self {
            Self::Sink(error) => error.is_retryable(),
            Self::Journal(error) => error.is_retryable(),
            Self::Park(error) => error.is_retryable(),
            Self::Broken(_) | Self::Ahead { .. } => false,
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

pub(super) struct Worker {
    lane: usize,
    sink: Box<dyn VisitSink>,
    /// What the last acknowledgement said.
    place: Vec<u8>,
    acknowledged: Lsn,
    /// Acknowledgements on their way to stable storage: where each stands, and the last End that it lets go.
    released: VecDeque<(Lsn, Lsn)>,
    is_ready: bool,
    failing: Option<Failing>,
    /// Ends up to this one may have been delivered before.
    redelivered_to: Lsn,
    /// The size of a batch that failed: the sink gets the same again.
    again: Option<usize>,
    round: Round,
    park: Park,
    parking: Parking,
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
    recovered: Option<Ack>,
    is_read: bool,
    /// Until all that is there is parked.
    is_on: bool,
    last_at: Timestamp,
    not_before: Timestamp,
    /// Since when the backlog holds back too much of the journal.
    over_since: Option<Timestamp>,
    lost: u64,
}

impl Worker {
    pub(super) fn new(lane: usize, sink: Box<dyn VisitSink>, park: Park) -> Self {
        Self {
            lane,
            sink,
            place: Vec::new(),
            acknowledged: Lsn::NONE,
            released: VecDeque::new(),
            is_ready: false,
            failing: None,
            redelivered_to: Lsn::NONE,
            again: None,
            round: Round::default(),
            park,
            parking: Parking::default(),
        }
    }

    pub(super) fn starts_at(&mut self, newest: Lsn) {
        self.acknowledged = newest;
    }

    /// Goes on where a former life stopped; the journal's last record then was at most at `newest`.
    pub(super) fn recovered(&mut self, ack: &Ack, parked: Option<Ack>, newest: Lsn) {
        self.acknowledged = ack.lsn;
        self.place.clone_from(&ack.place);
        self.parking.recovered = parked;
        self.redelivered_to = newest;
    }

    pub(super) fn name(&self) -> &str {
        self.sink.name()
    }

    pub(super) const fn acknowledged(&self) -> Lsn {
        self.acknowledged
    }

    pub(super) fn reopen(&mut self) {
        self.failing = None;
        self.is_ready = false;
        self.forget_round();
    }

    pub(super) fn step(&mut self, shared: &Shared, now: Timestamp) -> StepResult {
        let mut worked = false;
        self.release(shared, now);
        if self.failing.as_ref().is_none_or(|failing| failing.retry_at.is_some_and(|at| at <= now)) {
            match self.deliver(shared, now) {
                Ok(has_worked) => {
                    worked |= has_worked;
                    // To have gathered visits is no sign of health: a sink is back once it has stored them.
                    if self.round.gathered == 0 && self.failing.take().is_some() {
                        tracing::info!(sink = self.name(), "the sink is back");
                    }
                }
                Err(failure) => self.fail(&failure, &shared.settings, now),
            }
        }
        if self.wants_parking(shared, now) {
            worked |= self.park(shared, now);
        }
        self.report(shared);
        StepResult { worked, wake_at: self.wake_at(shared, now) }
    }

    /// Lets go what acknowledgements that are now on stable storage say.
    fn release(&mut self, shared: &Shared, now: Timestamp) {
        let synced = shared.source.synced();
        let mut last = None;
        while let Some((_, end)) = self.released.pop_front_if(|(at, _)| *at < synced) {
            last = Some(end);
        }
        if let Some(end) = last {
            self.with_lane(shared, |lane| lane.release(end));
        }
        // One that could not be read yet only seems empty.
        let is_done = self.parking.is_read && self.park.bytes() > 0 && self.park.is_empty() && self.released.is_empty();
        if is_done
            && self.parking.not_before <= now
            && let Err(error) = self.park.remove()
        {
            self.park_failed(&error.into(), shared, now);
        }
    }

    /// Delivers one batch, or flushes what was gathered; whether there was anything to do.
    fn deliver(&mut self, shared: &Shared, now: Timestamp) -> Result<bool, Failure> {
        self.make_ready(shared)?;
        let gathering = self.sink.gathers();
        if let Some(gathering) = gathering
            && !self.is_round_due(gathering, shared, now)
        {
            return Ok(false);
        }
        let is_complete = gathering.is_some_and(|gathering| self.round.gathered >= gathering.visits_max);
        let batch = if is_complete || self.round.is_full {
            Vec::new()
        } else {
            match self.next_batch(shared) {
                // What it has gathered must not wait for a person to look.
                Err(_) if self.round.gathered > 0 => Vec::new(),
                batch => batch?,
            }
        };
        let Some((last, _)) = batch.last() else { return self.flush(shared) };
        let (last, count) = (*last, batch.len());
        let visits: Vec<(Lsn, EndedVisit)> = batch
            .into_iter()
            .filter(|(end, visit)| !shared.hub.is_barred(*end, visit))
            .map(|(end, visit)| (end, EndedVisit { redelivered: end <= self.redelivered_to, ..visit }))
            .map(|(end, visit)| (end, without_erased(shared, visit)))
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
            Delivery::Stored(place) => self.stored(shared, place),
            Delivery::Gathered => {}
            Delivery::Full => self.round.is_full = true,
        }
        Ok(true)
    }

    /// The next visits that the sink has not been given.
    fn next_batch(&self, shared: &Shared) -> Result<Vec<(Lsn, EndedVisit)>, Failure> {
        let mut max = self.again.unwrap_or(shared.settings.batch_visits_max);
        if let Some(gathering) = self.sink.gathers() {
            max = max.min(gathering.visits_max - self.round.gathered);
        }
        if self.park.is_empty() {
            let ends = self.next_ends(shared, self.round.gathered, max);
            assemble_all(shared, &ends)
        } else {
            Ok(self.park.read(self.round.gathered, max, PARK_READ_BYTES)?)
        }
    }

    /// Whether the sink is to get what there is, or to wait for more.
    fn is_round_due(&mut self, gathering: Gathering, shared: &Shared, now: Timestamp) -> bool {
        if self.round.gathered > 0 || self.round.is_due {
            return true;
        }
        let below = shared.deliverable();
        let (waiting, first) = self.with_lane(shared, |lane| {
            let waiting = lane.queue.partition_point(|end| end.end < below).saturating_sub(lane.taken);
            (waiting, lane.queue.get(lane.taken).map(|end| end.end))
        });
        if waiting == 0 && self.park.is_empty() {
            self.round.since = None;
            return false;
        }
        let since = *self.round.since.get_or_insert(now);
        let held = self.with_lane(shared, |lane| lane.held(shared.source.appended()));
        self.round.is_due = !self.park.is_empty()
            || waiting >= gathering.visits_max
            || since.after(gathering.wait_max) <= now
            || first.is_some_and(|first| first <= shared.hub.hastened())
            // Half, so that it is on stable storage before the backlog would have to be parked.
            || held > shared.settings.held_bytes_max / 2;
        self.round.is_due
    }

    /// Has the sink flush what it has gathered, if anything.
    fn flush(&mut self, shared: &Shared) -> Result<bool, Failure> {
        if self.round.gathered == 0 {
            self.round = Round::default();
            return Ok(false);
        }
        let last = self.round.last;
        let place = self.sink.flush().inspect_err(|_| {
            self.redelivered_to = self.redelivered_to.max(last);
            self.forget_round();
        })?;
        self.stored(shared, place);
        Ok(true)
    }

    /// The sink has forgotten what it had gathered.
    fn forget_round(&mut self) {
        self.round = Round { since: self.round.since, is_due: true, ..Round::default() };
    }

    /// All that the sink was given is on stable storage.
    fn stored(&mut self, shared: &Shared, place: Vec<u8>) {
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
        self.acknowledge(shared, acknowledged);
        self.with_lane(shared, |lane| {
            lane.taken += if is_parked { 0 } else { count };
            lane.delivered += (count - barred) as u64;
        });
    }

    fn make_ready(&mut self, shared: &Shared) -> Result<(), Failure> {
        if self.is_ready {
            return Ok(());
        }
        let newest = Lsn(shared.source.appended().0.saturating_sub(1));
        if self.acknowledged > newest {
            return Err(Failure::Ahead { acknowledged: self.acknowledged, newest });
        }
        self.read_park()?;
        let mut pending: Vec<VisitId> = self.park.visits().collect();
        self.with_lane(shared, |lane| pending.extend(lane.queue.range(lane.taken..).map(|end| end.visit)));
        self.sink.attach(shared.source.uuid(), newest)?;
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

    /// The next Ends that may be delivered behind the first `skip`, as many as fit into a batch.
    fn next_ends(&self, shared: &Shared, skip: usize, max: usize) -> Vec<PendingEnd> {
        let below = shared.deliverable();
        self.with_lane(shared, |lane| {
            let mut events = 0;
            let fits = |end: &&PendingEnd| {
                let is_first = events == 0;
                events += u64::from(end.events).max(1);
                end.end < below && (is_first || events <= shared.settings.batch_events_max)
            };
            lane.queue.range(lane.taken + skip..).take(max).take_while(fits).copied().collect()
        })
    }

    fn acknowledge(&mut self, shared: &Shared, lsn: Lsn) {
        self.acknowledged = lsn;
        let ack = Ack { sink: self.name().to_owned(), lsn, place: self.place.clone() };
        let at = shared.hub.acknowledge(&*shared.source, ack);
        self.released.push_back((at, lsn));
    }

    fn fail(&mut self, failure: &Failure, settings: &SinkSettings, now: Timestamp) {
        let what: Arc<str> = explain(failure).into();
        let (since, delay) = match &self.failing {
            Some(failing) => (failing.since, failing.delay.saturating_mul(2).min(settings.retry_max)),
            None => (now, settings.retry_min),
        };
        let retry_at = failure.is_retryable().then(|| now.after(delay));
        match retry_at {
            Some(_) => tracing::warn!(sink = self.name(), error = %what, again_in = ?delay, "a sink failed"),
            None => tracing::error!(sink = self.name(), error = %what, "a sink stopped: a person must look"),
        }
        self.failing = Some(Failing { since, retry_at, delay, what });
    }

    fn wants_parking(&mut self, shared: &Shared, now: Timestamp) -> bool {
        if self.round.gathered > 0 {
            // What the sink holds would be parked too, and come twice.
            return false;
        }
        let settings = &shared.settings;
        let held = self.with_lane(shared, |lane| lane.held(shared.source.appended()));
        let is_over = held > settings.held_bytes_max;
        self.parking.over_since = is_over.then(|| self.parking.over_since.unwrap_or(now));
        let is_due = match &self.failing {
            Some(failing) => is_over || failing.since.max(self.parking.last_at).after(settings.park_after) <= now,
            None => self.parking.over_since.is_some_and(|since| since.after(settings.park_after) <= now),
        };
        (self.parking.is_on || is_due) && self.parking.not_before <= now
    }

    /// Parks one batch; whether there was any.
    fn park(&mut self, shared: &Shared, now: Timestamp) -> bool {
        match self.park_batch(shared) {
            Ok(is_any) => {
                self.parking.is_on = is_any;
                if is_any {
                    self.parking.last_at = now;
                }
                is_any
            }
            Err(failure) => {
                self.park_failed(&failure, shared, now);
                false
            }
        }
    }

    fn park_batch(&mut self, shared: &Shared) -> Result<bool, Failure> {
        self.read_park()?;
        let ends = self.next_ends(shared, 0, shared.settings.batch_visits_max);
        if ends.is_empty() {
            return Ok(false);
        }
        let visits = assemble_all(shared, &ends)?;
        let barred = visits.iter().take_while(|(end, visit)| shared.hub.is_barred(*end, visit)).count();
        if barred > 0 {
            self.pass(shared, ends[barred - 1].end, barred);
            return Ok(true);
        }
        let visits: Vec<_> = visits.into_iter().take_while(|(end, visit)| !shared.hub.is_barred(*end, visit)).collect();
        let mut fit = visits.len();
        while fit > 0 && !self.park.append(&visits[..fit], shared.settings.park_bytes_max)? {
            fit /= 2;
        }
        if fit > 0 {
            tracing::warn!(sink = self.name(), visits = fit, "parked the backlog of a sink that is down");
            self.acknowledge_park(shared, ends[fit - 1].end, fit);
            return Ok(true);
        }
        // What was parked a moment ago may let the journal go yet.
        let held = self.with_lane(shared, |lane| lane.held(shared.source.appended()));
        if held <= shared.settings.held_bytes_max || !self.released.is_empty() {
            return Ok(false);
        }
        let lost = visits.len();
        let last = ends[lost - 1].end;
        tracing::error!(sink = self.name(), visits = lost, "the park is full: a sink will never get these visits");
        self.parking.lost += lost as u64;
        self.pass(shared, last, lost);
        Ok(true)
    }

    /// The sink will never get the next `count` visits, up to `last`.
    fn pass(&mut self, shared: &Shared, last: Lsn, count: usize) {
        if self.park.is_empty() {
            self.acknowledge(shared, last);
            self.with_lane(shared, |lane| lane.taken += count);
        } else {
            self.acknowledge_park(shared, last, count);
        }
    }

    /// Journals that all Ends up to `last`, the next `count`, are parked or dropped.
    fn acknowledge_park(&mut self, shared: &Shared, last: Lsn, count: usize) {
        self.park.last = last;
        let ack = Ack { sink: Park::name(self.name()), lsn: last, place: self.park.place() };
        let at = shared.hub.acknowledge(&*shared.source, ack);
        self.released.push_back((at, last));
        self.with_lane(shared, |lane| lane.taken += count);
    }

    fn park_failed(&mut self, failure: &Failure, shared: &Shared, now: Timestamp) {
        tracing::error!(sink = self.name(), error = explain(failure), "the backlog of a sink could not be parked");
        self.parking.is_on = false;
        self.parking.not_before = now.after(shared.settings.retry_max);
    }

    fn report(&self, shared: &Shared) {
        let state = match &self.failing {
            None if self.is_ready => SinkState::Running,
            None => SinkState::Starting,
            Some(Failing { since, retry_at: Some(_), what, .. }) => {
                SinkState::Failing { since: *since, what: Arc::clone(what) }
            }
            Some(Failing { since, what, .. }) => SinkState::Stopped { since: *since, what: Arc::clone(what) },
        };
        self.with_lane(shared, |lane| {
            lane.state = state;
            lane.acknowledged = self.acknowledged;
            lane.parked = self.park.count();
            lane.parked_bytes = self.park.bytes();
            lane.lost_quota = self.parking.lost;
            lane.waiting_since = self.round.since;
        });
    }

    fn wake_at(&self, shared: &Shared, now: Timestamp) -> Option<Timestamp> {
        let Some(failing) = &self.failing else {
            let gathering = self.sink.gathers()?;
            return self.round.since.map(|since| since.after(gathering.wait_max));
        };
        let park_at = failing.since.max(self.parking.last_at).after(shared.settings.park_after);
        let has_more = self.with_lane(shared, |lane| lane.queue.len() > lane.taken);
        let park_at = has_more.then(|| park_at.max(self.parking.not_before).max(now));
        [failing.retry_at, park_at].into_iter().flatten().min()
    }

    fn with_lane<T>(&self, shared: &Shared, call: impl FnOnce(&mut Lane) -> T) -> T {
        call(&mut shared.hub.lanes.lock()[self.lane])
    }
}

/// The visit, which does not name one before it that was erased.
fn without_erased(shared: &Shared, mut visit: EndedVisit) -> EndedVisit {
    visit.start.previous = visit.start.previous.filter(|previous| !shared.hub.is_erased(*previous));
    visit
}

/// Fewer chains than this for a thread are read faster than it is started.
const CHAINS_PER_READER_MIN: usize = 256;

/// The visits of these `End`s: as many of the first ones as fit in memory.
fn assemble_all(shared: &Shared, ends: &[PendingEnd]) -> Result<Vec<(Lsn, EndedVisit)>, Failure> {
    let readers = shared.settings.readers.min(ends.len() / CHAINS_PER_READER_MIN).max(1);
    let (source, bytes) = (&*shared.source, shared.settings.batch_bytes_max / readers);
    let (first, others) = ends.split_at(ends.len().div_ceil(readers));
    if others.is_empty() {
        return assemble_some(source, first, bytes);
    }
    std::thread::scope(|scope| {
        let parts = others.chunks(first.len());
        let others: Vec<_> =
            parts.map(|part| (part.len(), scope.spawn(move || assemble_some(source, part, bytes)))).collect();
        let mut visits = assemble_some(source, first, bytes);
        let mut expected = first.len();
        for (len, other) in others {
            let more = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if let Ok(visits) = &mut visits
                && visits.len() == expected
            {
                visits.extend(more?);
                expected += len;
            }
        }
        visits
    })
}

fn assemble_some(source: &dyn EndSource, ends: &[PendingEnd], bytes: usize) -> Result<Vec<(Lsn, EndedVisit)>, Failure> {
    let questions: Vec<(VisitId, Lsn)> = ends.iter().map(|end| (end.visit, end.end)).collect();
    let chains = if ends.is_empty() { Vec::new() } else { source.chains(&questions, bytes) };
    let visit = |(chain, end): (Result<Vec<_>, JournalError>, &PendingEnd)| Ok((end.end, assemble(end.visit, chain?)?));
    chains.into_iter().zip(ends).map(visit).collect()
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
