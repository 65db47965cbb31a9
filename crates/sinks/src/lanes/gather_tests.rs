//! A sink that gathers: when it gets its visits, and that each is stored once whatever fails.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Gathering, Kept, SinkError};

use super::*;
use crate::testing::feed;
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, StepDisk};

const SECOND: Duration = Duration::from_secs(1);

/// What stays when the process goes: a table with a cursor.
#[derive(Default)]
struct Table {
    rows: Mutex<Vec<(Lsn, VisitId)>>,
    flushes: Mutex<Vec<usize>>,
    calls: AtomicU64,
    /// The call that fails, and whether what it was doing was done all the same.
    fails: Mutex<Option<(u64, bool)>>,
}

/// Gathers in memory, and stores what the table does not have.
struct Gatherer {
    table: Arc<Table>,
    gathered: Vec<(Lsn, VisitId)>,
    full_at: usize,
}

impl Gatherer {
    /// Whether this call fails, after its work or before.
    fn call(&self) -> (bool, bool) {
        let call = self.table.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match *self.table.fails.lock() {
            Some((at, is_late)) if at == call => (!is_late, is_late),
            _ => (false, false),
        }
    }

    fn failed(&mut self) -> SinkError {
        self.gathered.clear();
        SinkError::Unavailable { sink: "gatherer".to_owned(), what: "down".to_owned(), source: None }
    }
}

impl VisitSink for Gatherer {
    fn name(&self) -> &str {
        "gatherer"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        self.gathered.clear();
        Ok(())
    }

    fn gathers(&self) -> Option<Gathering> {
        Some(Gathering { visits_max: 10, wait_max: 60 * SECOND })
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.call() != (false, false) {
            return Err(self.failed());
        }
        self.gathered.extend(batch.iter().map(|(lsn, visit)| (*lsn, visit.visit)));
        Ok(if self.gathered.len() < self.full_at { Delivery::Gathered } else { Delivery::Full })
    }

    fn flush(&mut self) -> Result<Kept, SinkError> {
        let (early, late) = self.call();
        if early {
            return Err(self.failed());
        }
        let gathered = std::mem::take(&mut self.gathered);
        {
            let mut rows = self.table.rows.lock();
            let cursor = rows.last().map_or(Lsn::NONE, |(lsn, _)| *lsn);
            rows.extend(gathered.iter().filter(|(lsn, _)| *lsn > cursor));
        }
        self.table.flushes.lock().push(gathered.len());
        if late { Err(self.failed()) } else { Ok(Kept::All(vec![1])) }
    }
}

struct GathererLane {
    journal: MemorySource,
    disk: StepDisk,
    table: Arc<Table>,
    lanes: Lanes,
    now: Timestamp,
    full_at: usize,
    settings: LaneSettings,
}

fn settings() -> LaneSettings {
    LaneSettings { batch_visits_max: 4, retry_max: 2 * SECOND, park_after: 30 * SECOND, ..LaneSettings::default() }
}

impl GathererLane {
    fn new(settings: LaneSettings, full_at: usize) -> Self {
        Self::with(MemorySource::default(), StepDisk::default(), Arc::default(), MORNING, full_at, settings)
    }

    fn with(
        journal: MemorySource,
        disk: StepDisk,
        table: Arc<Table>,
        now: Timestamp,
        full_at: usize,
        settings: LaneSettings,
    ) -> Self {
        let sink = Gatherer { table: Arc::clone(&table), gathered: Vec::new(), full_at };
        let lanes = Lanes::open(&feed(&journal, &disk), &settings, vec![Box::new(sink)]).expect("one sink");
        Self { journal, disk, table, lanes, now, full_at, settings }
    }

    fn crash(self, is_power_cut: bool) -> Self {
        let disk = if is_power_cut { self.disk.after_power_cut(3) } else { self.disk.after_kill() };
        let journal = self.journal.after_crash(is_power_cut);
        Self::with(journal, disk, self.table, self.now, self.full_at, self.settings)
    }

    fn ends(&self, range: std::ops::Range<u64>) {
        for n in range {
            self.journal.end(n);
        }
        self.journal.sync();
    }

    fn run(&mut self) {
        while self.lanes.step(self.now).worked {}
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.run();
        self.journal.sync();
        self.run();
    }

    fn rows(&self) -> Vec<VisitId> {
        self.table.rows.lock().iter().map(|(_, visit)| *visit).collect()
    }

    fn status(&self) -> SinkStatus {
        self.lanes.status().remove(0)
    }
}

fn ids(range: std::ops::Range<u64>) -> Vec<VisitId> {
    range.map(id).collect()
}

#[test]
fn waits_until_there_are_enough_or_one_has_waited_long_enough() {
    let mut lane = GathererLane::new(settings(), 100);
    lane.ends(0..9);
    lane.run();
    assert_eq!(lane.rows(), [], "nine are not ten");
    assert_eq!((lane.status().backlog, lane.status().waiting_since), (9, Some(MORNING)));
    let first = lane.journal.oldest_needed().expect("the journal keeps them");
    lane.ends(9..13);
    lane.run();
    assert_eq!(*lane.table.flushes.lock(), [10], "in batches of four, until there are ten");
    assert_eq!(lane.status().backlog, 3);
    assert_eq!(lane.journal.oldest_needed(), Some(first), "until the acknowledgement is synced");
    lane.wait(59 * SECOND);
    assert_eq!(lane.rows(), ids(0..10));
    let step = lane.lanes.step(lane.now);
    assert_eq!(step.wake_at, Some(MORNING.after(60 * SECOND)));
    lane.wait(SECOND);
    assert_eq!(lane.rows(), ids(0..13), "one has waited a minute");
    assert_eq!((lane.status().backlog, lane.status().waiting_since), (0, None));
    assert_eq!(lane.journal.oldest_needed(), None);
}

#[test]
fn can_be_hastened_and_flushes_early_when_it_is_full() {
    let mut lane = GathererLane::new(settings(), 4);
    lane.ends(0..3);
    lane.run();
    let upto = lane.journal.newest(MemorySource::STREAM);
    lane.ends(3..4);
    lane.journal.hasten(upto);
    lane.run();
    assert_eq!(*lane.table.flushes.lock(), [4], "all there was");
    lane.ends(4..5);
    lane.run();
    assert_eq!(lane.rows(), ids(0..4), "only what it was hastened for");
    lane.ends(5..15);
    lane.run();
    assert_eq!(*lane.table.flushes.lock(), [4, 4], "it holds four, and what is left is no ten");
    assert_eq!(lane.status().backlog, 7);
}

#[test]
fn flushes_before_the_journal_grows_too_large() {
    let mut lane = GathererLane::new(LaneSettings { held_bytes_max: 1_000, ..settings() }, 100);
    lane.ends(0..5);
    lane.run();
    assert_eq!(lane.rows(), []);
    lane.ends(5..6);
    lane.run();
    assert_eq!(lane.rows(), ids(0..6));
}

#[test]
fn once_and_in_order_whichever_call_fails_and_whenever_a_crash_comes() {
    for fails in 1..=16 {
        for (is_late, crash) in [(false, None), (true, None), (false, Some(false)), (true, Some(true))] {
            let mut lane = GathererLane::new(settings(), 8);
            *lane.table.fails.lock() = Some((fails, is_late));
            for n in 0..30 {
                lane.ends(n..n + 1);
                lane.now = lane.now.after(SECOND);
                for _ in 0..3 {
                    lane.lanes.step(lane.now);
                }
                if crash.is_some() && n == fails + 6 {
                    lane = lane.crash(crash == Some(true));
                }
            }
            for _ in 0..3 {
                lane.wait(60 * SECOND);
            }
            assert_eq!(lane.rows(), ids(0..30), "call {fails} fails, late {is_late}, crash {crash:?}");
            assert_eq!((lane.status().state, lane.status().backlog), (SinkState::Running, 0));
        }
    }
}

#[test]
fn a_gathering_sink_that_stays_down_is_parked_and_gets_all_later() {
    let mut lane = GathererLane::new(LaneSettings { held_bytes_max: 2_000, ..settings() }, 100);
    let down = |lane: &GathererLane, call| *lane.table.fails.lock() = Some((call, false));
    lane.ends(0..25);
    for call in 1..60 {
        down(&lane, call);
        lane.wait(2 * SECOND);
    }
    assert_eq!(lane.rows(), []);
    assert!(lane.status().parked > 0, "{:?}", lane.status());
    let mut lane = lane.crash(true);
    *lane.table.fails.lock() = None;
    lane.ends(25..27);
    for _ in 0..3 {
        lane.wait(60 * SECOND);
    }
    assert_eq!(lane.rows(), ids(0..27));
    assert_eq!((lane.status().parked, lane.status().backlog), (0, 0));
}

#[test]
fn a_sink_that_gathers_but_can_not_flush_is_left_alone_for_longer_each_time() {
    let mut lane = GathererLane::new(settings(), 100);
    lane.ends(0..10);
    let mut delays = Vec::new();
    for round in 1..=6 {
        // Three batches, then the flush.
        *lane.table.fails.lock() = Some((4 * round, false));
        lane.run();
        let state = lane.status().state;
        assert!(matches!(state, SinkState::Failing { since: MORNING, .. }), "failing from the first on: {state:?}");
        let again = lane.lanes.step(lane.now).wake_at.expect("it is tried again");
        delays.push(again.millis() - lane.now.millis());
        lane.now = again;
    }
    assert_eq!(delays, [100, 200, 400, 800, 1_600, 2_000]);
    lane.run();
    assert_eq!((lane.rows(), lane.status().state), (ids(0..10), SinkState::Running));
}
