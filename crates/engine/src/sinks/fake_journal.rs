//! For the driver's tests: a journal in memory that can be killed, lose power and be collected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use visitlog_core::model::Entry;
use visitlog_core::ports::StoreError;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::hub::{PendingEnd, SinkHub};
use super::source::EndSource;
use super::testing::{MORNING, chain, id};
use crate::journal::{Ack, JournalError};

/// Bytes between one record and the next.
pub(crate) const STEP: u64 = 100;

#[derive(Clone)]
enum Record {
    End(PendingEnd),
    Ack(Ack),
}

#[derive(Default)]
struct State {
    records: BTreeMap<Lsn, Record>,
    synced: u64,
    appended: u64,
    /// Everything below was collected.
    oldest: u64,
    check: Option<StoreError>,
    /// All Ends that were ever appended.
    ever: Vec<(Lsn, VisitId)>,
}

#[derive(Default, Clone)]
pub(crate) struct FakeJournal(Arc<Mutex<State>>);

impl FakeJournal {
    pub(crate) fn shared(&self) -> Arc<dyn EndSource> {
        Arc::new(self.clone())
    }

    /// Appends the `n`th visit's `End` and tells the hub.
    pub(crate) fn end(&self, hub: &SinkHub, n: u64) {
        let mut state = self.0.lock();
        let at = Lsn(state.appended + STEP);
        state.appended = at.0;
        let end = PendingEnd { end: at, first: Lsn(at.0 - STEP / 2), visit: id(n), events: 2 };
        state.records.insert(at, Record::End(end));
        state.ever.push((at, end.visit));
        hub.push(end);
    }

    /// The visits whose Ends a crash leaves, or left to be collected.
    pub(crate) fn everything(&self, is_power_cut: bool) -> Vec<VisitId> {
        let state = self.0.lock();
        let survives = |at: Lsn| !is_power_cut || at.0 < state.synced;
        state.ever.iter().filter(|(at, _)| survives(*at)).map(|(_, visit)| *visit).collect()
    }

    pub(crate) fn sync(&self) {
        let mut state = self.0.lock();
        state.synced = state.appended + 1;
    }

    pub(crate) fn refuse(&self, error: Option<StoreError>) {
        self.0.lock().check = error;
    }

    /// What recovery finds after a crash: everything, or all that was synced.
    pub(crate) fn after_crash(&self, is_power_cut: bool) -> Self {
        let state = self.0.lock();
        let below = if is_power_cut { state.synced } else { state.appended + 1 };
        let records: BTreeMap<_, _> = state.records.range(..Lsn(below)).map(|(at, r)| (*at, r.clone())).collect();
        let appended = records.last_key_value().map_or(0, |(at, _)| at.0).max(state.synced.saturating_sub(1));
        let state =
            State { records, synced: appended + 1, appended, oldest: state.oldest, check: None, ever: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The latest acknowledgements.
    pub(crate) fn acks(&self) -> HashMap<String, Ack> {
        let state = self.0.lock();
        let acks = state.records.values().filter_map(|record| match record {
            Record::Ack(ack) => Some((ack.sink.clone(), ack.clone())),
            Record::End(_) => None,
        });
        acks.collect()
    }

    /// Tells a hub of all Ends that are still there.
    pub(crate) fn tell(&self, hub: &SinkHub) {
        for (at, record) in &self.0.lock().records {
            if let Record::End(end) = record {
                assert_eq!(*at, end.end);
                hub.push(*end);
            }
        }
    }

    pub(crate) fn ends(&self) -> Vec<VisitId> {
        let state = self.0.lock();
        let ends = state.records.values().filter_map(|record| match record {
            Record::End(end) => Some(end.visit),
            Record::Ack(_) => None,
        });
        ends.collect()
    }

    /// Lets go what nobody needs. Acknowledgements are carried on by the base.
    pub(crate) fn collect(&self, hub: &SinkHub) {
        let mut state = self.0.lock();
        let below = hub.oldest_needed().map_or(state.synced, |oldest| oldest.0.min(state.synced));
        state.oldest = state.oldest.max(below);
        state.records.retain(|at, record| at.0 >= below || matches!(record, Record::Ack(_)));
    }
}

/// When the `n`th visit was closed: three an hour, so that a few dozen make a day.
pub(crate) fn closed_at(visit: VisitId) -> Timestamp {
    MORNING.after(Duration::from_secs(number(visit) * 1_200))
}

fn number(visit: VisitId) -> u64 {
    (0..100_000).find(|n| id(*n) == visit).expect("a visit of the tests")
}

impl EndSource for FakeJournal {
    fn uuid(&self) -> u128 {
        7
    }

    fn synced(&self) -> Lsn {
        Lsn(self.0.lock().synced)
    }

    fn written(&self) -> Lsn {
        Lsn(self.0.lock().appended + 1)
    }

    fn appended(&self) -> Lsn {
        Lsn(self.0.lock().appended + 1)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.0.lock().check.clone().map_or(Ok(()), Err)
    }

    fn chains(&self, ends: &[(VisitId, Lsn)], _bytes: usize) -> Vec<Result<Vec<Entry>, JournalError>> {
        let state = self.0.lock();
        let chain = |(visit, lsn): &(VisitId, Lsn)| match state.records.get(lsn) {
            Some(Record::End(end)) if end.visit == *visit && end.first.0 >= state.oldest => {
                Ok(chain(number(*visit), closed_at(*visit)))
            }
            _ => Err(JournalError::Outside { lsn: *lsn, oldest: Lsn(state.oldest), end: Lsn(state.appended + 1) }),
        };
        ends.iter().map(chain).collect()
    }

    fn acknowledge(&self, ack: &Ack) -> Lsn {
        let mut state = self.0.lock();
        let at = Lsn(state.appended + STEP);
        state.appended = at.0;
        state.records.insert(at, Record::Ack(ack.clone()));
        at
    }
}
