//! What a sink is given, and what becomes of what it can't be given.

use std::mem;
use std::sync::Arc;

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{
    Delivery, EndedVisits, Found, Gathering, Keeper, Kept, Mark, Most, RawEntry, SinkError, SourceError, StreamId,
    VisitSink,
};
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::Lane;
use super::failure::{Failure, explain};
use super::state::{Ahead, Read, Round, Search};
use crate::call::CallError;
use crate::park::Parked;
use crate::quarantine::{SetAside, Why, entries_of};
use crate::settings::LaneSettings;

/// So many panics at one batch are taken for bad luck; then it is looked for the visit that is to blame.
const PANICS_FORGIVEN: u32 = 3;

/// What was read for a sink.
struct Batch {
    /// Never empty.
    read: Vec<Read>,
    visits: Vec<(Lsn, EndedVisit)>,
    /// What it can't be given.
    aside: Vec<(SetAside, Vec<RawEntry>)>,
}

impl Lane {
    /// Delivers one batch, or flushes what was gathered; whether there was anything to do.
    pub(super) fn deliver(&mut self, now: Timestamp) -> Result<bool, Failure> {
        self.make_ready()?;
        let gathering = self.sink.gathers();
        if let Some(gathering) = gathering
            && !self.is_round_due(gathering, now)
        {
            return Ok(false);
        }
        let is_complete = gathering.is_some_and(|gathering| self.round.gathered() >= self.round_max(gathering));
        let batch = if is_complete || self.round.is_full {
            None
        } else {
            match self.next_batch(now) {
                // What it has gathered must not wait for a person to look.
                Err(_) if self.round.gathered() > 0 => None,
                batch => batch?,
            }
        };
        let Some(Batch { read, visits, aside }) = batch else { return self.flush() };
        for (aside, entries) in aside {
            self.set_aside(aside, &entries)?;
        }
        let count = read.len();
        self.round.read.extend(read);
        let last = self.round.last();
        let skips = visits.last().is_none_or(|(end, _)| *end < last);
        // Nothing may be left to give: then the sink stays where it is, and its position goes on.
        let nothing = gathering.map_or_else(|| Delivery::Stored(Kept::All(self.place.clone())), |_| Delivery::Gathered);
        let work = move |sink: &mut dyn VisitSink| {
            let delivery = if visits.is_empty() { nothing } else { sink.deliver(&visits)? };
            if skips {
                sink.skipped(last);
            }
            Ok(delivery)
        };
        let goes_on = self.park.is_empty()
            && self.search.is_none()
            && gathering.is_none_or(|gathering| self.round.gathered() < self.round_max(gathering));
        let Self { sink, ahead, source, stream, settings, .. } = self;
        let delivery = sink.call_beside(work, || {
            let found = goes_on.then(|| read_on(&**source, *stream, settings, last, settings.batch_visits_max));
            let found = found.and_then(Result::ok).filter(|found| !found.is_empty());
            *ahead = found.map(|found| Ahead { after: last, found });
        });
        self.again = None;
        match delivery {
            Ok(Delivery::Stored(kept)) => return self.kept(kept),
            Ok(Delivery::Gathered) => {}
            Ok(Delivery::Full) => self.round.is_full = true,
            Err(error) => {
                self.again = gathering.is_none().then_some(count);
                return self.not_taken(error);
            }
        }
        Ok(true)
    }

    /// The sink has stored what it was given, or a first part of it.
    fn kept(&mut self, kept: Kept) -> Result<bool, Failure> {
        let (upto, place, rest) = match kept {
            Kept::All(place) => {
                self.stored(place);
                return Ok(true);
            }
            Kept::Upto { upto, place, rest } => (upto, place, rest),
        };
        let given = |read: &&Read| read.is_given;
        let (first, last) = (self.round.read.iter().find(given), self.round.read.iter().rfind(given));
        let [first, last] = [first, last].map(|read| read.map_or(Lsn::NONE, |read| read.end));
        if !(first..last).contains(&upto) {
            // It may be in any state.
            self.is_ready = false;
            self.forget_round();
            return Err(Failure::Lie { upto, first, last });
        }
        let left = self.round.read.split_off(self.round.read.partition_point(|read| read.end <= upto));
        self.stored(place);
        self.round.read = left;
        // One that gets on has not been down since it failed before.
        self.failing = None;
        self.again = self.sink.gathers().is_none().then_some(self.round.gathered());
        self.not_taken(rest.into())
    }

    /// The sink has not taken what was read for the round.
    fn not_taken(&mut self, error: CallError) -> Result<bool, Failure> {
        let (count, last) = (self.round.gathered(), self.round.last());
        self.redelivered_to = self.redelivered_to.max(last);
        self.forget_round();
        match &error {
            CallError::Sink(SinkError::Refused { at, .. }) => {
                let (what, known) = (explain(&error), self.refused.len());
                let acknowledged = self.acknowledged;
                for end in at.iter().filter(|end| **end > acknowledged && **end <= last) {
                    self.refused.insert(*end, (Why::Refused, what.clone()));
                }
                if self.refused.len() > known {
                    self.again = None;
                    return Ok(true);
                }
                self.search(count, last, Why::Refused, &what);
            }
            CallError::Panicked { .. } => {
                // It may be in any state: it is made ready anew.
                self.is_ready = false;
                self.panics_in_row += 1;
                if self.panics_in_row >= PANICS_FORGIVEN {
                    self.search(count, last, Why::Panicked, &explain(&error));
                }
            }
            CallError::Hangs { .. } => self.is_ready = false,
            CallError::Sink(_) => {}
        }
        Err(error.into())
    }

    /// Looks for the one of these visits that is to blame, by giving fewer at once.
    fn search(&mut self, count: usize, last: Lsn, why: Why, what: &str) {
        self.again = None;
        if count == 1 && self.search.is_some() {
            self.refused.insert(last, (why, what.to_owned()));
        }
        let upto = self.search.as_ref().map_or(last, |search| search.upto.max(last));
        self.search = Some(Search { size: (count / 2).max(1), upto });
    }

    pub(super) const fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// The most visits of a round.
    fn round_max(&self, gathering: Gathering) -> usize {
        self.search.as_ref().map_or(gathering.visits_max, |search| search.size.min(gathering.visits_max))
    }

    /// The next visits that the sink has not been given; `None` if there are none.
    fn next_batch(&mut self, now: Timestamp) -> Result<Option<Batch>, Failure> {
        let mut max = self.again.unwrap_or(self.settings.batch_visits_max);
        max = self.search.as_ref().map_or(max, |search| search.size.min(max));
        if let Some(gathering) = self.sink.gathers() {
            max = max.min(self.round_max(gathering).saturating_sub(self.round.gathered()));
        }
        let found = if self.park.is_empty() {
            let after = if self.round.gathered() > 0 { self.round.last() } else { self.taken };
            match self.ahead.take() {
                Some(ahead) if ahead.after == after && ahead.found.len() <= max => ahead.found,
                _ => self.read_source(after, max)?,
            }
        } else {
            self.park.read(self.round.gathered(), max, self.settings.batch_bytes_max)?
        };
        if found.is_empty() {
            return Ok(None);
        }
        let (mut read, mut visits, mut aside) = (Vec::with_capacity(found.len()), Vec::new(), Vec::new());
        for Parked { end, visit, what } in found {
            let given = visits.len();
            match what.map(|what| self.source.admit(self.stream, end, what)) {
                Err((why, what)) => aside.push((SetAside { end, visit, at: now, why, what }, self.raw(visit, end))),
                Ok(None) => {}
                Ok(Some(what)) if let Some((why, error)) = self.refused.get(&end) => {
                    let aside_as = SetAside { end, visit, at: now, why: *why, what: error.clone() };
                    aside.push((aside_as, entries_of(&what)));
                }
                Ok(Some(what)) => {
                    visits.push((end, EndedVisit { redelivered: end <= self.redelivered_to, ..what }));
                }
            }
            read.push(Read { end, is_given: visits.len() > given });
        }
        Ok(Some(Batch { read, visits, aside }))
    }

    /// What can still be read of a visit's records.
    fn raw(&self, visit: VisitId, end: Lsn) -> Vec<RawEntry> {
        if self.park.holds(end) {
            return self.park.raw(end, self.settings.unreadable_bytes_max());
        }
        self.source.raw(self.stream, visit, end, self.settings.unreadable_bytes_max())
    }

    /// Reads on in the source, until the first visit that can't be had at present.
    pub(super) fn read_source(&self, after: Lsn, visits: usize) -> Result<Vec<Parked>, Failure> {
        read_on(&*self.source, self.stream, &self.settings, after, visits)
    }

    /// Sets a visit aside that the sink can't be given, so that the others go on.
    pub(super) fn set_aside(&mut self, aside: SetAside, entries: &[RawEntry]) -> Result<(), Failure> {
        let SetAside { end, visit, why, .. } = aside;
        let what = aside.what.clone();
        let is_there = self.quarantine.add(aside, entries, self.settings.quarantine_bytes_max)?;
        // One that comes again, because its batch failed, is not counted again.
        if end > self.aside_upto {
            self.aside_upto = end;
            self.lost_quarantine += u64::from(!is_there);
            let (sink, why) = (self.name(), why.as_str());
            if is_there {
                tracing::error!(sink, %visit, %end, why, error = what, "a visit was set aside");
            } else {
                tracing::error!(sink, %visit, %end, why, error = what, "the quarantine is full: a visit is lost to a sink");
            }
        }
        Ok(())
    }

    /// Whether the sink is to get what there is, or to wait for more.
    fn is_round_due(&mut self, gathering: Gathering, now: Timestamp) -> bool {
        if self.round.gathered() > 0 || self.round.is_due {
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
            || self.is_hastened()
            // Half, so that it is on stable storage before the backlog would have to be parked.
            || held > self.settings.held_bytes_max / 2;
        self.round.is_due
    }

    /// Whether the source is in need of the room that what waits holds back.
    pub(super) fn is_hastened(&self) -> bool {
        let waiting = self.source.waiting(self.stream, self.taken);
        waiting.first.is_some_and(|first| first <= self.source.hastened(self.stream))
    }

    /// Has the sink flush what it has gathered, if anything.
    pub(super) fn flush(&mut self) -> Result<bool, Failure> {
        if self.round.gathered() == 0 {
            self.round = Round::default();
            return Ok(false);
        }
        match self.sink.call(|sink| sink.flush()) {
            Ok(kept) => self.kept(kept),
            Err(error) => self.not_taken(error),
        }
    }

    /// The sink has forgotten what it had gathered.
    pub(super) fn forget_round(&mut self) {
        self.round = Round { since: self.round.since, is_due: true, ..Round::default() };
        self.ahead = None;
    }

    /// All that the sink was given in this round is on stable storage.
    fn stored(&mut self, place: Vec<u8>) {
        self.place = place;
        let round = mem::take(&mut self.round);
        let mut acknowledged = round.last();
        if !self.park.is_empty() {
            self.park.consume(round.gathered());
            if self.park.is_empty() {
                acknowledged = acknowledged.max(self.park.last);
            }
        }
        self.taken = self.taken.max(acknowledged);
        self.acknowledge(acknowledged);
        self.delivered += round.read.iter().filter(|read| read.is_given).count() as u64;
        self.panics_in_row = 0;
        self.refused = self.refused.split_off(&Lsn(acknowledged.0 + 1));
        self.search = self.search.take().filter(|search| search.upto > acknowledged);
        if let Some(search) = &mut self.search {
            search.size = search.size.saturating_mul(2);
        }
    }

    fn make_ready(&mut self) -> Result<(), Failure> {
        if self.is_ready {
            return Ok(());
        }
        let newest = self.source.newest(self.stream);
        if self.acknowledged > newest {
            return Err(Failure::Ahead { acknowledged: self.acknowledged, newest });
        }
        self.quarantine.recover()?;
        self.read_park()?;
        let mut pending: Vec<VisitId> = self.park.visits().collect();
        pending.extend(self.source.pending(self.stream, self.taken));
        let (stream, place) = (self.stream, self.place.clone());
        self.sink.call(move |sink| {
            sink.attach(stream, newest)?;
            sink.resume(Some(&*place).filter(|place| !place.is_empty()), &pending)
        })?;
        self.is_ready = true;
        Ok(())
    }

    /// Bytes that it makes the source keep.
    pub(super) fn held_bytes(&self) -> u64 {
        self.source.held_bytes(self.stream, self.sink.name())
    }

    pub(super) fn acknowledge(&mut self, upto: Lsn) {
        self.acknowledged = upto;
        let mark = Mark { upto, place: self.place.clone() };
        Arc::clone(&self.source).acknowledge(self.stream, self.sink.name(), Keeper::Sink, mark);
        self.unsettled = true;
    }
}

/// Reads on in a source, until the first visit that can't be had at present.
fn read_on(
    source: &dyn EndedVisits,
    stream: StreamId,
    settings: &LaneSettings,
    after: Lsn,
    visits: usize,
) -> Result<Vec<Parked>, Failure> {
    let most = Most { visits, bytes: settings.batch_bytes_max };
    let mut batch = Vec::new();
    for Found { end, visit, what } in source.read(stream, after, most) {
        let what = match what {
            Ok(what) => Ok(what),
            Err(error) if error.is_retryable() && batch.is_empty() => return Err(error.into()),
            Err(error) if error.is_retryable() => break,
            Err(error @ SourceError::Broken(_)) => Err((Why::Broken, explain(&error))),
            Err(error) => Err((Why::Unreadable, explain(&error))),
        };
        batch.push(Parked { end, visit, what });
    }
    Ok(batch)
}
