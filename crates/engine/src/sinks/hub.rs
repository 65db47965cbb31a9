//! What the sinks' driver shares with the rest of the engine: the `End`s that each sink still has to get.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashSet;
use parking_lot::{Mutex, RwLock};
use visitlog_core::model::EndedVisit;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::source::EndSource;
use crate::journal::{Ack, Barrier, BaseItem, Journal};

/// An `End` in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingEnd {
    /// Its position.
    pub end: Lsn,
    /// The first position of its session's chain.
    pub first: Lsn,
    /// The visit.
    pub visit: VisitId,
    /// How many events its chain has, about: it limits how much is read at once.
    pub events: u32,
}

/// How a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SinkState {
    /// It has not been made ready yet.
    #[default]
    Starting,
    /// It takes what comes.
    Running,
    /// It fails, and is tried again.
    Failing {
        /// Since when.
        since: Timestamp,
        /// How it failed last.
        what: Arc<str>,
    },
    /// It is not tried again before a person has looked.
    Stopped {
        /// Since when.
        since: Timestamp,
        /// Why, and what to do.
        what: Arc<str>,
    },
}

/// A sink, as metrics and a person see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// How it is doing.
    pub state: SinkState,
    /// The last End that it has acknowledged.
    pub acknowledged: Lsn,
    /// Visits that it still has to get, parked ones included.
    pub backlog: u64,
    /// The oldest position of the journal that it still needs.
    pub oldest_needed: Option<Lsn>,
    /// Bytes of journal from there to the newest record.
    pub held_bytes: u64,
    /// Visits in its park.
    pub parked: u64,
    /// Bytes of its park.
    pub parked_bytes: u64,
    /// Visits delivered since the start of the process.
    pub delivered: u64,
    /// Visits that it will never get, because its park was full: loss reason `sink_quota`.
    pub lost_quota: u64,
    /// For a sink that gathers: since when visits have waited for others.
    pub waiting_since: Option<Timestamp>,
}

/// One sink's share.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) name: String,
    /// Only Ends behind this one are its business.
    pub(super) from: Lsn,
    /// In the order of the journal; kept until that they were delivered or parked is on stable storage.
    pub(super) queue: VecDeque<PendingEnd>,
    /// So many at the front were delivered or parked.
    pub(super) taken: usize,
    /// The least first positions of the queue's ends: `(end, first)`, both rising.
    least: VecDeque<(Lsn, Lsn)>,
    pub(super) state: SinkState,
    pub(super) acknowledged: Lsn,
    pub(super) parked: u64,
    pub(super) parked_bytes: u64,
    pub(super) delivered: u64,
    pub(super) lost_quota: u64,
    pub(super) waiting_since: Option<Timestamp>,
}

impl Lane {
    pub(super) fn new(name: String, from: Lsn, acknowledged: Lsn) -> Self {
        Self { name, from, acknowledged, ..Self::default() }
    }

    fn push(&mut self, end: PendingEnd) {
        if end.end <= self.from {
            return;
        }
        debug_assert!(self.queue.back().is_none_or(|last| last.end < end.end), "Ends come in the order of the journal");
        while self.least.back().is_some_and(|(_, first)| *first >= end.first) {
            self.least.pop_back();
        }
        self.least.push_back((end.end, end.first));
        self.queue.push_back(end);
    }

    /// Forgets all Ends up to this one.
    pub(super) fn release(&mut self, end: Lsn) {
        while self.queue.front().is_some_and(|front| front.end <= end) {
            self.queue.pop_front();
            self.taken = self.taken.saturating_sub(1);
        }
        while self.least.front().is_some_and(|(front, _)| *front <= end) {
            self.least.pop_front();
        }
    }

    /// The oldest position that one of its Ends needs.
    fn oldest(&self) -> Option<Lsn> {
        self.least.front().map(|(_, first)| *first)
    }

    /// Bytes of journal that it holds back.
    pub(super) fn held(&self, appended: Lsn) -> u64 {
        self.oldest().map_or(0, |oldest| appended.0.saturating_sub(oldest.0))
    }

    /// Whether all Ends below a position are with the sink, and that is on stable storage.
    fn has_all(&self, below: Lsn) -> bool {
        self.state == SinkState::Running
            && self.parked == 0
            && self.queue.front().is_none_or(|front| front.end >= below)
    }

    fn status(&self, appended: Lsn) -> SinkStatus {
        SinkStatus {
            name: self.name.clone(),
            state: self.state.clone(),
            acknowledged: self.acknowledged,
            backlog: self.parked + (self.queue.len() - self.taken) as u64,
            oldest_needed: self.oldest(),
            held_bytes: self.held(appended),
            parked: self.parked,
            parked_bytes: self.parked_bytes,
            delivered: self.delivered,
            lost_quota: self.lost_quota,
            waiting_since: self.waiting_since,
        }
    }
}

/// The Ends that sinks still have to get. One for an engine; any thread may call it.
#[derive(Default)]
pub struct SinkHub {
    pub(super) lanes: Mutex<Vec<Lane>>,
    /// The latest acknowledgement of each sink, and of each park.
    book: Mutex<BTreeMap<String, Ack>>,
    /// Ends up to this one wait for no others.
    hastened: AtomicU64,
    /// Whose visits no sink gets any more.
    barriers: RwLock<Vec<Barrier>>,
    /// Visits that were erased, for those that name one as their previous.
    erased: RwLock<HashSet<VisitId>>,
}

impl SinkHub {
    /// An `End` was appended, or found by recovery.
    ///
    /// To be called in the order of the journal, and before the record can be synced: while the append lock that it was
    /// appended under is still held. An `End` that came later than a newer one could be skipped for ever.
    pub fn push(&self, end: PendingEnd) {
        for lane in &mut *self.lanes.lock() {
            lane.push(end);
        }
    }

    /// The oldest position that some sink still needs: segments at or behind it must stay. `None`: none needs any.
    ///
    /// To be asked after the same was asked of the open sessions, so that one that ends in between is seen here.
    pub fn oldest_needed(&self) -> Option<Lsn> {
        self.lanes.lock().iter().filter_map(Lane::oldest).min()
    }

    /// The newest Ends that a sink still has to get, the newest first. Those that it has got are among them until that
    /// is on stable storage.
    pub fn newest(&self, sink: &str, limit: usize) -> Vec<PendingEnd> {
        let lanes = self.lanes.lock();
        let lane = lanes.iter().find(|lane| lane.name == sink);
        lane.map_or_else(Vec::new, |lane| lane.queue.iter().rev().take(limit).copied().collect())
    }

    /// One of them.
    pub fn find(&self, sink: &str, visit: VisitId) -> Option<PendingEnd> {
        let lanes = self.lanes.lock();
        lanes.iter().find(|lane| lane.name == sink)?.queue.iter().rev().find(|end| end.visit == visit).copied()
    }

    /// Sinks that gather get all Ends up to this one without waiting for more.
    pub fn hasten(&self, end: Lsn) {
        self.hastened.fetch_max(end.0, Ordering::Relaxed);
    }

    pub(super) fn hastened(&self) -> Lsn {
        Lsn(self.hastened.load(Ordering::Relaxed))
    }

    /// From now on no sink gets what a barrier bars. To be called under the append lock that the barrier was appended
    /// under.
    pub(crate) fn bar(&self, barrier: Barrier) {
        self.barriers.write().push(barrier);
    }

    pub(crate) fn is_barred(&self, end: Lsn, visit: &EndedVisit) -> bool {
        self.barriers.read().iter().any(|barrier| barrier.bars(end, visit))
    }

    /// These visits were erased: nobody is told any more that one came before another.
    pub(crate) fn erased(&self, visits: impl IntoIterator<Item = VisitId>) {
        self.erased.write().extend(visits);
    }

    pub(crate) fn is_erased(&self, visit: VisitId) -> bool {
        self.erased.read().contains(&visit)
    }

    /// The sinks that don't have all Ends below a position yet, that they have them on stable storage included; those
    /// that have parked any too.
    pub fn without(&self, below: Lsn) -> Vec<String> {
        let lanes = self.lanes.lock();
        lanes.iter().filter(|lane| !lane.has_all(below)).map(|lane| lane.name.clone()).collect()
    }

    /// All Ends below a position that some sink still has to get.
    pub(crate) fn below(&self, below: Lsn) -> Vec<PendingEnd> {
        let lanes = self.lanes.lock();
        let ends = lanes.iter().flat_map(|lane| lane.queue.iter().take_while(|end| end.end < below));
        let ends: BTreeMap<u64, PendingEnd> = ends.map(|end| (end.end.0, *end)).collect();
        ends.into_values().collect()
    }

    /// How the sinks are doing; `appended` is the journal's end.
    pub fn status(&self, appended: Lsn) -> Vec<SinkStatus> {
        self.lanes.lock().iter().map(|lane| lane.status(appended)).collect()
    }

    /// Whether so many Ends wait for a sync before some sink may have them.
    pub fn has_unsynced(&self, synced: Lsn, many: usize) -> bool {
        let waits = |lane: &Lane| lane.queue.iter().nth_back(many.max(1) - 1).is_some_and(|end| end.end >= synced);
        self.lanes.lock().iter().any(waits)
    }

    /// Appends the sinks' state to a base that has begun.
    pub fn append_base(&self, journal: &Journal) {
        // A barrier that all sinks are past, on stable storage, has done its work.
        let passed = |barrier: &Barrier| self.without(barrier.below).is_empty();
        self.barriers.write().retain(|barrier| !passed(barrier));
        let barriers = self.barriers.read().clone();
        let book = self.book.lock();
        let acks = book.values().cloned().map(BaseItem::Ack);
        let items: Vec<BaseItem> = acks.chain(barriers.into_iter().map(BaseItem::Erased)).collect();
        journal.appender().append_base(&items);
    }

    /// Journals an acknowledgement; returns its position.
    pub(super) fn acknowledge(&self, source: &dyn EndSource, ack: Ack) -> Lsn {
        let mut book = self.book.lock();
        let at = source.acknowledge(&ack);
        book.insert(ack.sink.clone(), ack);
        at
    }

    /// Enters an acknowledgement that the journal holds already.
    pub(super) fn enter(&self, ack: Ack) {
        self.book.lock().insert(ack.sink.clone(), ack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::testing::id;

    fn end(end: u64, first: u64) -> PendingEnd {
        PendingEnd { end: Lsn(end), first: Lsn(first), visit: id(end), events: 1 }
    }

    #[test]
    fn the_oldest_needed_is_the_least_first_position_of_what_is_left() {
        let hub = SinkHub::default();
        hub.lanes.lock().push(Lane::default());
        hub.lanes.lock().push(Lane { from: Lsn(40), ..Lane::default() });
        assert_eq!(hub.oldest_needed(), None);
        let all = [end(10, 5), end(20, 8), end(30, 2), end(40, 35), end(50, 33), end(60, 55)];
        all.into_iter().for_each(|end| hub.push(end));
        assert_eq!(hub.oldest_needed(), Some(Lsn(2)));
        for released in 0..=60 {
            hub.lanes.lock()[0].release(Lsn(released));
            let left = all.iter().filter(|end| end.end.0 > released).map(|end| end.first).min();
            assert_eq!(hub.lanes.lock()[0].oldest(), left, "released up to {released}");
            assert_eq!(hub.oldest_needed(), left.into_iter().chain([Lsn(33)]).min());
        }
        assert_eq!(hub.status(Lsn(100))[1].held_bytes, 67);
        assert_eq!(hub.status(Lsn(100))[1].backlog, 2, "only what came behind its start");
        hub.lanes.lock()[1].name = "slow".to_owned();
        assert_eq!(hub.newest("slow", 10), [end(60, 55), end(50, 33)]);
        assert_eq!(hub.newest("slow", 1), [end(60, 55)]);
        assert_eq!((hub.find("slow", id(50)), hub.find("slow", id(40))), (Some(end(50, 33)), None));
        assert_eq!(hub.newest("unknown", 10), []);
        assert!(hub.has_unsynced(Lsn(50), 2), "50 and 60, in the second lane");
        assert!(!hub.has_unsynced(Lsn(51), 2), "60 alone");
        assert!(!hub.has_unsynced(Lsn(0), 3), "never so many");
    }
}
