//! Lanes with threads: a sink that hangs or panics holds nobody but itself.

use std::sync::atomic::AtomicU64;

use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Kept, SinkError};
use visitlog_testkit::StepDisk;
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, SimClock};

use super::*;
use crate::testing::feed;

/// Counts what it gets.
struct Good(Arc<AtomicU64>);

impl VisitSink for Good {
    fn name(&self) -> &str {
        "good"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        self.0.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

/// Waits in each call until it is let go.
struct Hung(Arc<Gate>, Arc<AtomicU64>);

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl VisitSink for Hung {
    fn name(&self) -> &str {
        "hung"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        let mut is_open = self.0.is_open.lock();
        self.0.opened.wait_while(&mut is_open, |is_open| !*is_open);
        self.1.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

/// Until something is so; the lanes' clock goes on meanwhile.
fn until(clock: &SimClock, what: &str, is_so: impl Fn() -> bool) {
    let waits = Gate::default();
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        clock.advance(Duration::from_millis(100));
        waits.opened.wait_for(&mut waits.is_open.lock(), Duration::from_millis(10));
    }
    panic!("{what}: not within 20 s");
}

#[test]
fn a_sink_that_hangs_holds_only_its_own_lane_whose_backlog_is_parked() {
    let (source, disk) = (MemorySource::default(), StepDisk::default());
    let clock = Arc::new(SimClock::new(MORNING));
    let feed = Feed { clock: clock.clone(), ..feed(&source, &disk) };
    let (gate, got, late) = (Arc::<Gate>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let sinks: Vec<Box<dyn VisitSink>> =
        vec![Box::new(Hung(Arc::clone(&gate), Arc::clone(&late))), Box::new(Good(Arc::clone(&got)))];
    let settings = LaneSettings {
        pace: Duration::from_millis(5),
        hangs_after: Duration::from_millis(200),
        retry_max: Duration::from_secs(1),
        park_after: Duration::from_secs(5),
        ..LaneSettings::default()
    };
    let lanes = Lanes::open(&feed, &settings, sinks).expect("two sinks");
    lanes.start().expect("threads");
    for n in 0..50 {
        source.end(n);
    }
    source.sync();
    until(&clock, "the other one has all", || got.load(Ordering::SeqCst) == 50);
    let hung = || lanes.status().remove(0);
    until(&clock, "the backlog is parked", || hung().parked == 50);
    source.sync();
    until(&clock, "the source can go", || {
        source.sync();
        source.oldest_needed().is_none()
    });
    let state = hung().state;
    assert!(matches!(&state, SinkState::Failing { what, .. } if what.contains("has not answered")), "{state:?}");
    assert!(lanes.without(Lsn(u64::MAX)).contains(&"hung".to_owned()));
    *gate.is_open.lock() = true;
    gate.opened.notify_all();
    until(&clock, "it is back", || hung().state == SinkState::Running && hung().backlog == 0);
    assert!(late.load(Ordering::SeqCst) >= 50, "at least once");
    lanes.stop();
}

/// Remembers what it gets, once it is let go.
struct Slow(Arc<Gate>, Arc<Mutex<Vec<VisitId>>>);

impl VisitSink for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        let mut is_open = self.0.is_open.lock();
        self.0.opened.wait_while(&mut is_open, |is_open| !*is_open);
        self.1.lock().extend(batch.iter().map(|(_, visit)| visit.visit));
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

#[test]
fn a_lane_reads_on_while_its_sink_is_at_work_and_gives_nothing_that_was_erased_since() {
    let (source, disk) = (MemorySource::default(), StepDisk::default());
    let clock = Arc::new(SimClock::new(MORNING));
    let feed = Feed { clock: clock.clone(), ..feed(&source, &disk) };
    let (gate, got) = (Arc::<Gate>::default(), Arc::<Mutex<Vec<VisitId>>>::default());
    let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(Slow(Arc::clone(&gate), Arc::clone(&got)))];
    let settings = LaneSettings { batch_visits_max: 10, pace: Duration::from_millis(5), ..LaneSettings::default() };
    let ends: Vec<Lsn> = (0..30).map(|n| source.end(n)).collect();
    source.sync();
    let lanes = Lanes::open(&feed, &settings, sinks).expect("a sink");
    lanes.start().expect("threads");
    until(&clock, "the second batch is read", || source.read_upto() == ends[19]);
    assert!(got.lock().is_empty(), "while the sink has not even taken the first");
    source.erase(id(15));
    *gate.is_open.lock() = true;
    gate.opened.notify_all();
    until(&clock, "it has the last", || got.lock().last() == Some(&id(29)));
    let expected: Vec<VisitId> = (0..30).filter(|n| *n != 15).map(id).collect();
    assert_eq!(*got.lock(), expected);
    lanes.stop();
    let last = source.end(30);
    source.sync();
    let waits = Gate::default();
    waits.opened.wait_for(&mut waits.is_open.lock(), Duration::from_millis(100));
    assert!(source.read_upto() < last, "nobody reads any more");
}

/// A sink whose every call panics.
struct Mad;

impl VisitSink for Mad {
    fn name(&self) -> &str {
        "mad"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        panic!("a bug in somebody's sink")
    }

    fn deliver(&mut self, _batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        panic!("a bug in somebody's sink")
    }
}

#[test]
fn a_sink_that_panics_stops_no_other_and_can_be_stopped() {
    let (source, disk) = (MemorySource::default(), StepDisk::default());
    let clock = Arc::new(SimClock::new(MORNING));
    let feed = Feed { clock: clock.clone(), ..feed(&source, &disk) };
    let got = Arc::<AtomicU64>::default();
    let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(Mad), Box::new(Good(Arc::clone(&got)))];
    let settings = LaneSettings { pace: Duration::from_millis(5), ..LaneSettings::default() };
    let lanes = Lanes::open(&feed, &settings, sinks).expect("two sinks");
    lanes.start().expect("threads");
    for n in 0..50 {
        source.end(n);
    }
    source.sync();
    until(&clock, "the other one has all", || got.load(Ordering::SeqCst) == 50);
    until(&clock, "its panics are counted", || lanes.status()[0].panics > 2);
    let state = lanes.status().remove(0).state;
    assert!(matches!(&state, SinkState::Failing { what, .. } if what.contains("somebody's sink")), "{state:?}");
    lanes.stop();
}
