//! A sink into memory, which knows by their positions what it has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Kept, SinkError, VisitSink};
use visitlog_core::{Lsn, VisitId};

/// What a [`MemorySink`] writes to; it outlives the sink. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct MemoryTarget(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The visits, with the positions of their ends.
    visits: Vec<(Lsn, EndedVisit)>,
    /// The most of them; `None`: any number.
    room: Option<usize>,
}

impl MemoryTarget {
    /// The visits in it, in the order in which they came.
    pub fn visits(&self) -> Vec<EndedVisit> {
        self.lock().visits.iter().map(|(_, visit)| visit.clone()).collect()
    }

    /// Keeps a visit, as what this makes of it, or not.
    pub fn retain(&self, mut keep: impl FnMut(&mut EndedVisit) -> bool) {
        self.lock().visits.retain_mut(|(_, visit)| keep(visit));
    }

    /// Takes so many more visits at most from now on; any number: `None`.
    pub fn set_room(&self, more: Option<usize>) {
        let mut state = self.lock();
        state.room = more.map(|more| state.visits.len() + more);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps visits in memory, each once.
#[derive(Debug)]
pub struct MemorySink {
    target: MemoryTarget,
    /// Up to where it has them, those included that have gone since.
    upto: Lsn,
}

impl MemorySink {
    /// The name under which it acknowledges.
    pub const NAME: &'static str = "memory";

    /// A sink into a target.
    pub const fn new(target: MemoryTarget) -> Self {
        Self { target, upto: Lsn::NONE }
    }
}

impl VisitSink for MemorySink {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        let upto = acknowledged.map_or(Ok(0), |place| place.try_into().map(u64::from_le_bytes));
        self.upto = Lsn(upto.map_err(|_| SinkError::Changed {
            sink: Self::NAME.to_owned(),
            what: "a place of 8 bytes expected".to_owned(),
        })?);
        let last = self.target.lock().visits.last().map_or(Lsn::NONE, |(end, _)| *end);
        self.upto = self.upto.max(last);
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        let mut state = self.target.lock();
        let room = state.room.map_or(usize::MAX, |room| room.saturating_sub(state.visits.len()));
        let known = batch.partition_point(|(end, _)| *end <= self.upto);
        let fit = batch.len().min(known.saturating_add(room));
        state.visits.extend_from_slice(&batch[known..fit]);
        let stored = batch[..fit].last().map(|(end, _)| *end);
        self.upto = self.upto.max(stored.unwrap_or(Lsn::NONE));
        let place = |upto: Lsn| if upto == Lsn::NONE { Vec::new() } else { upto.0.to_le_bytes().to_vec() };
        if fit == batch.len() {
            return Ok(Delivery::Stored(Kept::All(place(self.upto))));
        }
        let rest = SinkError::Unavailable { sink: Self::NAME.to_owned(), what: "full".to_owned(), source: None };
        match stored {
            Some(upto) => Ok(Delivery::Stored(Kept::Upto { upto, place: place(upto), rest })),
            None => Err(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use visitlog_core::VisitorId;

    use super::*;
    use crate::sink_suite::{Promise, SinkUnderTest};

    impl SinkUnderTest for MemoryTarget {
        const PROMISE: Promise = Promise::Once;

        fn open(&mut self) -> Box<dyn VisitSink> {
            Box::new(MemorySink::new(self.clone()))
        }

        fn stored(&mut self) -> Vec<VisitId> {
            self.visits().iter().map(|visit| visit.visit).collect()
        }

        fn tighten(&mut self, visits: &[(Lsn, EndedVisit)]) -> bool {
            self.set_room(Some(visits.len() / 3));
            true
        }

        fn loosen(&mut self) {
            self.set_room(None);
        }

        fn erase(&mut self, visitor: VisitorId) -> bool {
            let is_his = |visit: &EndedVisit| visit.start.facts.visitor_id == visitor;
            let gone: Vec<VisitId> = self.visits().iter().filter(|visit| is_his(visit)).map(|v| v.visit).collect();
            self.retain(|visit| {
                visit.start.previous = visit.start.previous.filter(|previous| !gone.contains(previous));
                !is_his(visit)
            });
            true
        }

        fn bytes(&mut self) -> Vec<u8> {
            let text = |visit: &EndedVisit| {
                let (visitor, previous) = (visit.start.facts.visitor_id, visit.start.previous);
                format!("{} {visitor} {previous:?} {:?}\n", visit.visit, visit.end.user.as_ref().map(|u| u.as_str()))
            };
            self.visits().iter().flat_map(|visit| text(visit).into_bytes()).collect()
        }
    }

    crate::sink_suite!(MemoryTarget::default());
}
