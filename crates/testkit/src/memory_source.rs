//! A source of ended visits in memory, that can be killed, lose power and be collected.
//!
//! One stream. Visits are those of [`crate::samples`]; each record is [`STEP`] positions long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use visitlog_core::model::{BrokenChain, EndedVisit, assemble};
use visitlog_core::ports::{
    EndedVisits, Found, Keeper, LeftOut, Mark, Most, RawEntry, SourceError, StoreError, StreamId, Waiting,
};
use visitlog_core::{Lsn, Timestamp, VisitId};

use crate::samples::{MORNING, chain, id};

/// Positions between one record and the next.
pub const STEP: u64 = 100;
/// What a visit is said to take.
pub const VISIT_BYTES: u64 = 1_000;

type Name = (String, Keeper);

#[derive(Clone)]
enum Record {
    /// The `n`th visit ended.
    End(u64),
    Ack(Name, Mark),
}

#[derive(Default)]
struct State {
    records: BTreeMap<Lsn, Record>,
    synced: u64,
    appended: u64,
    /// Everything below was collected.
    oldest: u64,
    opened_at: Lsn,
    hastened: Lsn,
    sinks: Option<Vec<String>>,
    check: Option<StoreError>,
    /// What the latest acknowledgements say, wherever their records are.
    marks: BTreeMap<Name, Mark>,
    /// All Ends that were ever appended.
    ever: Vec<(Lsn, u64)>,
    wakers: Vec<Waker>,
    /// Visits that can't be assembled.
    broken: Vec<u64>,
    /// Visits that were erased.
    erased: Vec<VisitId>,
    /// The last End that anybody has read.
    read_upto: Lsn,
}

/// The source. Clones are the same one.
#[derive(Default, Clone)]
pub struct MemorySource(Arc<Mutex<State>>);

impl std::fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemorySource")
    }
}

impl MemorySource {
    /// Its stream.
    pub const STREAM: StreamId = StreamId(7);

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `n`th visit ends; returns where.
    pub fn end(&self, n: u64) -> Lsn {
        let mut state = self.lock();
        let at = state.append(Record::End(n));
        state.ever.push((at, n));
        at
    }

    /// The visits whose Ends a crash leaves, or left to be collected.
    pub fn everything(&self, is_power_cut: bool) -> Vec<VisitId> {
        let state = self.lock();
        let survives = |at: Lsn| !is_power_cut || at.0 < state.synced;
        state.ever.iter().filter(|(at, _)| survives(*at)).map(|(_, n)| id(*n)).collect()
    }

    /// All that was appended is on stable storage.
    pub fn sync(&self) {
        let wakers = {
            let mut state = self.lock();
            state.synced = state.appended + 1;
            state.wakers.clone()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// It takes no acknowledgement from now on, for this reason; or it does again.
    pub fn refuse(&self, error: Option<StoreError>) {
        self.lock().check = error;
    }

    /// The `n`th visit can't be assembled from now on, or can again.
    pub fn set_broken(&self, n: u64, is_broken: bool) {
        let mut state = self.lock();
        state.broken.retain(|broken| *broken != n);
        if is_broken {
            state.broken.push(n);
        }
    }

    /// This visit was erased.
    pub fn erase(&self, visit: VisitId) {
        self.lock().erased.push(visit);
    }

    /// The last End that anybody has read.
    pub fn read_upto(&self) -> Lsn {
        self.lock().read_upto
    }

    /// What ended up to here waits for nothing.
    pub fn hasten(&self, end: Lsn) {
        self.lock().hastened = end;
    }

    /// What recovery finds after a crash: everything, or all that was synced.
    #[must_use]
    pub fn after_crash(&self, is_power_cut: bool) -> Self {
        let state = self.lock();
        let below = if is_power_cut { state.synced } else { state.appended + 1 };
        let records: BTreeMap<_, _> = state.records.range(..Lsn(below)).map(|(at, r)| (*at, r.clone())).collect();
        let appended = records.last_key_value().map_or(0, |(at, _)| at.0).max(state.synced.saturating_sub(1));
        let mut marks = BTreeMap::new();
        for record in records.values() {
            if let Record::Ack(name, mark) = record {
                marks.insert(name.clone(), mark.clone());
            }
        }
        let state = State {
            records,
            synced: appended + 1,
            appended,
            oldest: state.oldest,
            opened_at: Lsn(appended),
            marks,
            broken: state.broken.clone(),
            erased: state.erased.clone(),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The latest acknowledgement, whatever a crash would take.
    pub fn mark(&self, sink: &str, keeper: Keeper) -> Option<Mark> {
        self.lock().marks.get(&(sink.to_owned(), keeper)).cloned()
    }

    /// Makes it one that knows no visit, but all acknowledgements of another.
    #[must_use]
    pub fn with_marks_of(other: &Self) -> Self {
        let source = Self::default();
        source.lock().marks.clone_from(&other.lock().marks);
        source
    }

    /// The Ends that are still there.
    pub fn ends(&self) -> Vec<VisitId> {
        self.lock().behind(Lsn::NONE).map(|(_, n)| id(n)).collect()
    }

    /// The oldest position that some sink needs.
    pub fn oldest_needed(&self) -> Option<Lsn> {
        let state = self.lock();
        let first = |sink: &String| state.first_needed(sink);
        state.sinks.as_ref()?.iter().filter_map(first).min()
    }

    /// Lets go what nobody needs. Acknowledgements are carried on.
    pub fn collect(&self) {
        let needed = self.oldest_needed();
        let mut state = self.lock();
        let below = needed.map_or(state.synced, |oldest| oldest.0.min(state.synced));
        state.oldest = state.oldest.max(below);
        state.records.retain(|at, record| at.0 >= below || matches!(record, Record::Ack(..)));
    }
}

/// When the `n`th visit was closed: three an hour, so that a few dozen make a day.
pub fn closed_at(n: u64) -> Timestamp {
    MORNING.after(Duration::from_secs(n * 1_200))
}

impl State {
    fn append(&mut self, record: Record) -> Lsn {
        let at = Lsn(self.appended + STEP);
        self.appended = at.0;
        if let Record::Ack(name, mark) = &record {
            self.marks.insert(name.clone(), mark.clone());
        }
        self.records.insert(at, record);
        at
    }

    fn behind(&self, after: Lsn) -> impl Iterator<Item = (Lsn, u64)> + '_ {
        let ends = self.records.range(Lsn(after.0 + 1)..);
        ends.filter_map(|(at, record)| if let Record::End(n) = record { Some((*at, *n)) } else { None })
    }

    fn settled(&self, sink: &str, keeper: Keeper) -> Lsn {
        let is_theirs =
            |record: &&Record| matches!(record, Record::Ack((name, of), _) if name == sink && *of == keeper);
        let synced = self.records.range(..Lsn(self.synced)).rev().map(|(_, record)| record).find(is_theirs);
        match synced {
            Some(Record::Ack(_, mark)) => mark.upto,
            _ => Lsn::NONE,
        }
    }

    fn first_needed(&self, sink: &str) -> Option<Lsn> {
        let settled = self.settled(sink, Keeper::Sink).max(self.settled(sink, Keeper::Park));
        self.behind(settled).next().map(|(at, _)| Lsn(at.0 - STEP / 2))
    }

    fn visit(&self, at: Lsn, n: u64) -> Result<EndedVisit, SourceError> {
        if at.0 - STEP / 2 < self.oldest {
            let source = format!("records from {} on are kept", self.oldest).into();
            return Err(SourceError::Unreadable { visit: id(n), source });
        }
        if self.broken.contains(&n) {
            let broken = BrokenChain { visit: id(n), at: 1, of: 1, expected: "start", found: "end" };
            return Err(broken.into());
        }
        Ok(assemble(id(n), chain(n, closed_at(n)))?)
    }
}

impl EndedVisits for MemorySource {
    fn streams(&self) -> Vec<StreamId> {
        vec![Self::STREAM]
    }

    fn subscribe(&self, sinks: &[String]) {
        let mut state = self.lock();
        for sink in sinks {
            let name = (sink.clone(), Keeper::Sink);
            if !state.marks.contains_key(&name) {
                let mark = Mark { upto: state.opened_at, place: Vec::new() };
                state.append(Record::Ack(name, mark));
            }
        }
        state.sinks = Some(sinks.to_vec());
    }

    fn check(&self) -> Result<(), StoreError> {
        self.lock().check.clone().map_or(Ok(()), Err)
    }

    fn newest(&self, _stream: StreamId) -> Lsn {
        Lsn(self.lock().appended)
    }

    fn recovered(&self, _stream: StreamId) -> Lsn {
        self.lock().opened_at
    }

    fn waiting(&self, _stream: StreamId, after: Lsn) -> Waiting {
        let state = self.lock();
        Waiting {
            readable: state.behind(after).filter(|(at, _)| at.0 < state.synced).count() as u64,
            first: state.behind(after).next().map(|(at, _)| at).filter(|at| at.0 < state.synced),
            visits: state.behind(after).count() as u64,
        }
    }

    fn next_end(&self, _stream: StreamId, after: Lsn) -> Option<Lsn> {
        self.lock().behind(after).next().map(|(at, _)| at)
    }

    fn pending(&self, _stream: StreamId, after: Lsn) -> Vec<VisitId> {
        self.lock().behind(after).map(|(_, n)| id(n)).collect()
    }

    fn read(&self, _stream: StreamId, after: Lsn, most: Most) -> Vec<Found> {
        let mut state = self.lock();
        let fit = usize::try_from(most.bytes / VISIT_BYTES).unwrap_or(usize::MAX).max(1);
        let ends = state.behind(after).take_while(|(at, _)| at.0 < state.synced).take(most.visits.min(fit));
        let found: Vec<Found> = ends.map(|(end, n)| Found { end, visit: id(n), what: state.visit(end, n) }).collect();
        state.read_upto = found.last().map_or(Lsn::NONE, |found| found.end).max(state.read_upto);
        found
    }

    fn raw(&self, _stream: StreamId, _visit: VisitId, end: Lsn, _bytes_max: u64) -> Vec<RawEntry> {
        vec![RawEntry { at: end, kind: 6, payload: b"what is left".to_vec() }]
    }

    fn admit(&self, _stream: StreamId, _end: Lsn, mut visit: EndedVisit) -> Option<EndedVisit> {
        let state = self.lock();
        if visit.has_withdrawn() || state.erased.contains(&visit.visit) {
            return None;
        }
        visit.start.previous = visit.start.previous.filter(|previous| !state.erased.contains(previous));
        Some(visit)
    }

    fn acknowledge(&self, _stream: StreamId, sink: &str, keeper: Keeper, mark: Mark) {
        self.lock().append(Record::Ack((sink.to_owned(), keeper), mark));
    }

    fn acknowledged(&self, _stream: StreamId, sink: &str, keeper: Keeper) -> Option<Mark> {
        self.mark(sink, keeper)
    }

    fn settled(&self, _stream: StreamId, sink: &str, keeper: Keeper) -> Lsn {
        self.lock().settled(sink, keeper)
    }

    fn is_settled(&self, _stream: StreamId, sink: &str, keeper: Keeper) -> bool {
        let state = self.lock();
        let mut unsynced = state.records.range(Lsn(state.synced)..).map(|(_, record)| record);
        !unsynced.any(|record| matches!(record, Record::Ack((name, of), _) if name == sink && *of == keeper))
    }

    fn held_bytes(&self, _stream: StreamId, sink: &str) -> u64 {
        let state = self.lock();
        state.first_needed(sink).map_or(0, |first| (state.appended + 1).saturating_sub(first.0))
    }

    fn needed_from(&self, _stream: StreamId, sink: &str) -> Option<Lsn> {
        self.lock().first_needed(sink)
    }

    fn left_out(&self, _stream: StreamId) -> Vec<LeftOut> {
        let state = self.lock();
        let known = state.sinks.clone().unwrap_or_default();
        let sinks = state.marks.keys().filter(|(sink, keeper)| *keeper == Keeper::Sink && !known.contains(sink));
        let left_out = |(sink, _): &Name| LeftOut {
            sink: sink.clone(),
            parked: state.marks.get(&(sink.clone(), Keeper::Park)).cloned(),
            missed: 0,
        };
        sinks.map(left_out).collect()
    }

    fn missed(&self, _stream: StreamId, _sink: &str) -> u64 {
        0
    }

    fn missed_upto(&self, _stream: StreamId, _sink: &str) -> Lsn {
        Lsn::NONE
    }

    fn hastened(&self, _stream: StreamId) -> Lsn {
        self.lock().hastened
    }

    fn wake_on_news(&self, waker: Waker) {
        self.lock().wakers.push(waker);
    }
}
