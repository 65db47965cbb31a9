use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;
use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Keeper, Kept, SinkError, StoreError};
use visitlog_testkit::memory_source::VISIT_BYTES;

use super::*;
use crate::testing::feed;
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, StepDisk};

const SECOND: Duration = Duration::from_secs(1);

/// The place and the pending visits of a [`VisitSink::resume`].
type Resumed = (Option<Vec<u8>>, Vec<VisitId>);

/// How a [`Recorder`] behaves.
#[derive(Default)]
struct Log {
    /// 0 works, 1 fails for now, 2 has been changed.
    mode: AtomicU8,
    /// Whether it had the batch when it fails.
    keeps: AtomicBool,
    seen: Mutex<Vec<(VisitId, bool)>>,
    batches: Mutex<Vec<usize>>,
    resumed: Mutex<Vec<Resumed>>,
}

/// Writes down what it gets.
struct Recorder(Arc<Log>);

impl VisitSink for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError> {
        self.0.resumed.lock().push((acknowledged.map(<[u8]>::to_vec), pending.to_vec()));
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        let mode = self.0.mode.load(Ordering::Relaxed);
        if mode == 0 || self.0.keeps.load(Ordering::Relaxed) {
            self.0.seen.lock().extend(batch.iter().map(|(_, visit)| (visit.visit, visit.redelivered)));
        }
        self.0.batches.lock().push(batch.len());
        let (sink, what) = ("recorder".to_owned(), "out of order".to_owned());
        match mode {
            0 => Ok(Delivery::Stored(Kept::All(last(batch).0.to_le_bytes().to_vec()))),
            1 => Err(SinkError::Unavailable { sink, what, source: Some(io::ErrorKind::TimedOut.into()) }),
            _ => Err(SinkError::Changed { sink, what }),
        }
    }
}

/// The position of a batch's last visit.
fn last(batch: &[(Lsn, EndedVisit)]) -> Lsn {
    batch.last().expect("no batch is empty").0
}

struct RecorderLane {
    journal: MemorySource,
    disk: StepDisk,
    log: Arc<Log>,
    lanes: Lanes,
    settings: LaneSettings,
    now: Timestamp,
}

fn settings() -> LaneSettings {
    LaneSettings { batch_visits_max: 4, retry_max: 2 * SECOND, park_after: 60 * SECOND, ..LaneSettings::default() }
}

impl RecorderLane {
    fn new(journal: MemorySource, disk: StepDisk, settings: LaneSettings) -> Self {
        let log = Arc::<Log>::default();
        let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(Recorder(Arc::clone(&log)))];
        let lanes = Lanes::open(&feed(&journal, &disk), &settings, sinks).expect("one sink");
        Self { journal, disk, log, lanes, settings, now: MORNING }
    }

    fn empty() -> Self {
        Self::new(MemorySource::default(), StepDisk::default(), settings())
    }

    fn ends(&self, range: std::ops::Range<u64>) {
        for n in range {
            self.journal.end(n);
        }
    }

    fn step(&mut self) -> StepResult {
        self.lanes.step(self.now)
    }

    fn run(&mut self) {
        while self.step().worked {}
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.run();
    }

    fn mode(&self, mode: u8) {
        self.log.mode.store(mode, Ordering::Relaxed);
    }

    fn seen(&self) -> Vec<VisitId> {
        self.log.seen.lock().iter().map(|(visit, _)| *visit).collect()
    }

    fn status(&self) -> SinkStatus {
        self.lanes.status().remove(0)
    }

    fn collect(&self) {
        self.journal.collect();
    }

    fn crash(self, is_power_cut: bool) -> Self {
        let disk = if is_power_cut { self.disk.after_power_cut(3) } else { self.disk.after_kill() };
        Self::new(self.journal.after_crash(is_power_cut), disk, self.settings)
    }
}

fn ids(range: std::ops::Range<u64>) -> Vec<VisitId> {
    range.map(id).collect()
}

#[test]
fn delivers_what_is_synced_in_order_and_in_batches() {
    let mut lane = RecorderLane::empty();
    lane.ends(0..6);
    lane.run();
    assert_eq!(lane.seen(), [], "nothing is synced");
    lane.journal.sync();
    lane.ends(6..9);
    lane.run();
    assert_eq!(lane.seen(), ids(0..6), "the last three are not synced");
    lane.journal.sync();
    lane.run();
    assert_eq!(lane.seen(), ids(0..9));
    assert_eq!(*lane.log.batches.lock(), [4, 2, 3]);
    assert!(lane.log.seen.lock().iter().all(|(_, redelivered)| !redelivered));
    assert_eq!(lane.status().state, SinkState::Running);
    assert_eq!((lane.status().delivered, lane.status().backlog), (9, 0));
}

#[test]
fn a_batch_is_bounded_by_events_too_but_never_empty() {
    for (events, batches) in [(5, vec![2, 2, 1]), (1, vec![1; 5])] {
        let settings = LaneSettings { batch_bytes_max: events * VISIT_BYTES / 2, ..settings() };
        let mut lane = RecorderLane::new(MemorySource::default(), StepDisk::default(), settings);
        lane.ends(0..5);
        lane.journal.sync();
        lane.run();
        assert_eq!(*lane.log.batches.lock(), batches, "at most {events} events");
    }
}

#[test]
fn the_journal_is_needed_until_the_acknowledgement_is_synced() {
    let mut lane = RecorderLane::empty();
    lane.ends(0..3);
    lane.journal.sync();
    let first = lane.journal.oldest_needed().expect("nothing delivered");
    lane.run();
    assert_eq!(lane.seen(), ids(0..3));
    assert_eq!(lane.journal.oldest_needed(), Some(first), "a power cut would take the acknowledgement back");
    lane.collect();
    let mut lane = lane.crash(true);
    lane.run();
    assert_eq!(*lane.log.seen.lock(), [(id(0), true), (id(1), true), (id(2), true)]);
    lane.journal.sync();
    lane.run();
    assert_eq!(lane.journal.oldest_needed(), None);
    lane.collect();
    let mut lane = lane.crash(true);
    lane.run();
    assert_eq!(lane.seen(), []);
}

#[test]
fn goes_on_behind_its_acknowledgement_after_a_crash() {
    let mut lane = RecorderLane::empty();
    lane.ends(0..4);
    lane.journal.sync();
    lane.run();
    lane.ends(4..6);
    lane.journal.sync();
    let acknowledged = lane.status().acknowledged;
    let mut lane = lane.crash(false);
    lane.ends(6..7);
    lane.journal.sync();
    lane.run();
    let (place, pending) = lane.log.resumed.lock().remove(0);
    assert_eq!((place, pending), (Some(acknowledged.0.to_le_bytes().to_vec()), ids(4..7)));
    assert_eq!(*lane.log.seen.lock(), [(id(4), true), (id(5), true), (id(6), false)]);
}

#[test]
fn a_sink_added_later_starts_at_now_even_if_it_crashes_at_once() {
    let journal = MemorySource::default();
    for n in 0..3 {
        journal.end(n);
    }
    journal.sync();
    let journal = journal.after_crash(true);
    let mut lane = RecorderLane::new(journal, StepDisk::default(), settings());
    lane.ends(3..5);
    lane.journal.sync();
    let again = lane.journal.after_crash(true);
    lane.run();
    assert_eq!(lane.seen(), ids(3..5));
    let mut lane = RecorderLane::new(again, StepDisk::default(), settings());
    lane.run();
    assert_eq!(lane.seen(), ids(3..5), "what came after it was added, though nothing had been delivered");
    assert_eq!(lane.log.resumed.lock()[0].0, None, "no place yet");
}

#[test]
fn a_failing_sink_is_tried_again_ever_more_rarely_with_the_same_batch() {
    let mut lane = RecorderLane::empty();
    lane.mode(1);
    lane.log.keeps.store(true, Ordering::Relaxed);
    lane.ends(0..2);
    lane.journal.sync();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let StepResult { worked, wake_at } = lane.step();
        assert!(!worked);
        let wake_at = wake_at.expect("a time");
        waits.push(wake_at.since(lane.now).as_millis());
        assert_eq!(lane.step().wake_at, Some(wake_at), "not earlier");
        lane.ends(2..3);
        lane.journal.sync();
        lane.now = wake_at;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
    assert_eq!(*lane.log.batches.lock(), [2; 7]);
    assert!(matches!(&lane.status().state, SinkState::Failing { what, .. } if what.contains("timed out")));
    lane.log.seen.lock().clear();
    lane.mode(0);
    lane.step();
    assert_eq!(*lane.log.seen.lock(), [(id(0), true), (id(1), true)], "they may have been there before");
    assert_eq!(lane.status().state, SinkState::Running);
}

#[test]
fn a_changed_sink_stops_until_a_person_has_looked() {
    let mut lane = RecorderLane::empty();
    lane.mode(2);
    lane.ends(0..2);
    lane.journal.sync();
    lane.run();
    lane.mode(0);
    lane.wait(50 * SECOND);
    assert_eq!(lane.seen(), []);
    assert!(matches!(&lane.status().state, SinkState::Stopped { what, .. } if what.contains("out of order")));
    assert!(!lane.lanes.reopen("another") && lane.lanes.reopen("recorder"));
    lane.run();
    assert_eq!(lane.seen(), ids(0..2));
    assert_eq!(lane.log.resumed.lock().len(), 2);
}

#[test]
fn a_sink_ahead_of_the_journal_stops() {
    let mut lane = RecorderLane::empty();
    lane.ends(0..4);
    lane.journal.sync();
    lane.run();
    let older = MemorySource::with_marks_of(&lane.journal);
    let mut lane = RecorderLane::new(older, StepDisk::default(), settings());
    lane.step();
    let state = lane.status().state;
    assert!(matches!(&state, SinkState::Stopped { what, .. } if what.contains("not the one")), "{state:?}");
}

#[test]
fn nothing_moves_while_the_journal_takes_no_acknowledgement() {
    let mut lane = RecorderLane::empty();
    lane.ends(0..2);
    lane.journal.sync();
    lane.journal.refuse(Some(StoreError::Unavailable { reason: "disk full" }));
    assert_eq!(lane.step(), StepResult { worked: false, wake_at: Some(MORNING.after(2 * SECOND)) });
    lane.journal.refuse(Some(StoreError::Stopped { reason: "poisoned".into() }));
    assert_eq!(lane.step(), StepResult::default());
    assert_eq!(lane.seen(), []);
    lane.journal.refuse(None);
    lane.run();
    assert_eq!(lane.seen(), ids(0..2));
}

#[test]
fn a_sink_that_is_down_for_long_is_parked_and_then_served_in_order() {
    for mode in [1, 2] {
        let mut lane = RecorderLane::empty();
        lane.mode(mode);
        lane.ends(0..10);
        lane.journal.sync();
        lane.run();
        lane.wait(59 * SECOND);
        assert_eq!(lane.status().parked, 0, "not yet");
        lane.wait(2 * SECOND);
        assert_eq!((lane.status().parked, lane.status().backlog), (10, 10));
        lane.journal.sync();
        lane.run();
        assert_eq!(lane.journal.oldest_needed(), None, "the journal may go");
        lane.collect();
        lane.ends(10..13);
        lane.journal.sync();
        lane.run();
        assert_eq!((lane.status().parked, lane.status().backlog), (10, 13), "the next ones wait in the journal");
        lane.mode(0);
        lane.lanes.reopen("recorder");
        lane.wait(2 * SECOND);
        assert_eq!(lane.seen(), ids(0..13));
        assert_eq!((lane.status().parked, lane.status().backlog), (0, 0));
        lane.journal.sync();
        lane.run();
        assert!(lane.disk.paths().is_empty(), "the park is gone");
    }
}

#[test]
fn a_backlog_that_holds_back_too_much_is_parked_at_once() {
    let settings = LaneSettings { held_bytes_max: 500, ..settings() };
    let mut lane = RecorderLane::new(MemorySource::default(), StepDisk::default(), settings);
    lane.mode(1);
    lane.ends(0..3);
    lane.journal.sync();
    lane.run();
    assert_eq!(lane.status().parked, 0);
    assert!((1..500).contains(&lane.status().held_bytes), "it is told: {:?}", lane.status());
    lane.ends(3..7);
    lane.journal.sync();
    lane.run();
    assert_eq!(lane.status().parked, 7);
}

#[test]
fn the_backlog_of_a_sink_that_is_down_is_parked_once_the_source_needs_the_room() {
    let mut lane = RecorderLane::new(MemorySource::default(), StepDisk::default(), settings());
    lane.mode(1);
    lane.ends(0..3);
    let upto = lane.journal.newest(MemorySource::STREAM);
    lane.ends(3..7);
    lane.journal.sync();
    lane.run();
    assert_eq!(lane.status().parked, 0, "it may come back soon");
    lane.journal.hasten(upto);
    lane.run();
    assert_eq!(lane.status().parked, 7);
}

#[test]
fn a_parked_backlog_survives_crashes() {
    for is_power_cut in [false, true] {
        let mut lane = RecorderLane::empty();
        lane.mode(1);
        lane.ends(0..10);
        lane.journal.sync();
        lane.wait(SECOND);
        lane.wait(61 * SECOND);
        lane.journal.sync();
        lane.run();
        lane.collect();
        let mut lane = lane.crash(is_power_cut);
        assert_eq!(lane.journal.ends(), []);
        lane.ends(10..12);
        lane.journal.sync();
        lane.step();
        assert_eq!(lane.log.resumed.lock()[0].1, ids(0..12), "parked ones are pending, too");
        assert_eq!(lane.seen(), ids(0..4));
        lane.journal.sync();
        let mut lane = lane.crash(is_power_cut);
        lane.run();
        assert_eq!(lane.seen(), ids(4..12), "behind the acknowledgement, in the middle of the park");
        lane.journal.sync();
        lane.run();
        let mut lane = lane.crash(is_power_cut);
        lane.run();
        assert_eq!((lane.seen(), lane.disk.paths().len()), (Vec::new(), 0));
    }
}

#[test]
fn beyond_the_quota_visits_are_dropped_and_counted() {
    let settings = LaneSettings { held_bytes_max: 1_000, park_bytes_max: 4_000, ..settings() };
    let mut lane = RecorderLane::new(MemorySource::default(), StepDisk::default(), settings);
    lane.mode(1);
    for n in 0..60 {
        lane.ends(n..n + 1);
        lane.journal.sync();
        lane.wait(SECOND);
    }
    let status = lane.status();
    assert!(status.parked_bytes <= 4_000 && status.parked > 0, "{status:?}");
    assert!(status.held_bytes <= 1_000 + 500, "the journal is let go: {status:?}");
    assert_eq!(status.lost_quota + status.backlog, 60, "{status:?}");
    assert!(status.lost_quota > 20, "{status:?}");
    lane.journal.sync();
    lane.run();
    let mut lane = lane.crash(true);
    lane.run();
    let seen = lane.seen();
    assert!(seen.is_sorted() && seen.starts_with(&ids(0..4)) && seen.ends_with(&ids(59..60)), "{seen:?}");
    assert_eq!(seen.len() as u64, 60 - status.lost_quota);
}

#[test]
fn a_sink_that_has_all_of_its_park_has_what_was_dropped_behind_it() {
    let settings = LaneSettings { held_bytes_max: 0, park_bytes_max: 4_000, ..settings() };
    let mut lane = RecorderLane::new(MemorySource::default(), StepDisk::default(), settings);
    lane.mode(1);
    for n in 0..20 {
        lane.ends(n..n + 1);
        lane.journal.sync();
        lane.wait(SECOND);
    }
    lane.mode(0);
    lane.wait(2 * SECOND);
    let status = lane.status();
    assert!(status.lost_quota > 0 && status.backlog == 0, "{status:?}");
    let upto = |keeper| lane.journal.mark("recorder", keeper).expect("it has acknowledged").upto;
    assert!(upto(Keeper::Sink) >= upto(Keeper::Park), "else the next start would miss the park");
    lane.journal.sync();
    lane.run();
    let mut lane = lane.crash(true);
    lane.run();
    assert_eq!(lane.seen(), []);
}
