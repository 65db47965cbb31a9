//! Erasure of what waits for a sink that is down or left out, and of what was set aside.

use std::sync::atomic::{AtomicBool, Ordering};

use visitlog_core::VisitId;
use visitlog_core::erasure::{Claim, Subject, Survey, Whose};
use visitlog_core::model::{EndedVisit, UserId};
use visitlog_core::ports::{Delivery, Keeper, SinkError};
use visitlog_testkit::samples::{MORNING, id, visit};
use visitlog_testkit::{MemorySource, StepDisk};

use super::crash_tests::Gate;
use super::*;
use crate::testing::{feed, written};

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> LaneSettings {
    LaneSettings { park_after: 60 * SECOND, retry_max: 2 * SECOND, ..LaneSettings::default() }
}

/// The files that hold a visit's id, as text or in binary.
fn naming(disk: &StepDisk, visit: VisitId) -> Vec<String> {
    let needles = [visit.to_string().into_bytes(), visit.as_u128().to_le_bytes().to_vec()];
    let holds = |bytes: &[u8]| needles.iter().any(|needle| bytes.windows(needle.len()).any(|part| part == needle));
    let paths = disk.paths().into_iter();
    paths.filter(|path| holds(&disk.read(path).unwrap_or_default())).map(|path| path.display().to_string()).collect()
}

struct Scene {
    source: MemorySource,
    disk: StepDisk,
    lanes: Lanes,
    is_shut: Arc<AtomicBool>,
    now: Timestamp,
}

impl Scene {
    /// Ten visits, parked.
    fn parked() -> Self {
        let (source, disk) = (MemorySource::default(), StepDisk::default());
        let is_shut = Arc::new(AtomicBool::new(true));
        let gate = Gate(NdjsonSink::new(disk.shared(), "data"), Arc::clone(&is_shut));
        let lanes = Lanes::open(&feed(&source, &disk), &settings(), vec![Box::new(gate)]).expect("one sink");
        let mut scene = Self { source, disk, lanes, is_shut, now: MORNING };
        for n in 0..10 {
            scene.source.end(n);
        }
        scene.go_on(40);
        assert_eq!(scene.lanes.status()[0].parked, 10);
        scene
    }

    fn go_on(&mut self, steps: usize) {
        for _ in 0..steps {
            self.source.sync();
            self.now = self.now.after(3 * SECOND);
            self.lanes.step(self.now);
        }
    }

    fn erase(&self) {
        assert!(!naming(&self.disk, id(4)).is_empty(), "is the search blind?");
        let whose = Whose::of(Subject::Visitor(visit(4, MORNING).start.facts.visitor_id));
        let found = self.lanes.find(&whose).expect("read");
        let is_his = |n: &u64| visit(*n, MORNING).start.facts.visitor_id == visit(4, MORNING).start.facts.visitor_id;
        let his = (0..10).filter(is_his).count() as u64;
        assert_eq!(found.count(Claim::Login) + found.count(Claim::Anonymous), his);
        self.source.erase(id(4));
        assert_eq!(self.lanes.erase_parked().expect("a working disk").unreadable, 0);
    }
}

#[test]
fn what_is_parked_is_erased_while_the_sink_is_down() {
    let mut scene = Scene::parked();
    scene.erase();
    scene.go_on(3);
    assert_eq!(naming(&scene.disk, id(4)), Vec::<String>::new());
    assert_eq!(scene.lanes.status()[0].parked, 9);
    assert!(scene.lanes.holding(Lsn(u64::MAX)).is_empty(), "nothing but the park waits");
    assert!(scene.lanes.erase_parked().expect("nothing to do").is_done);
    // More gets parked behind it; then the sink is back, and gets the rest.
    scene.source.end(10);
    scene.go_on(40);
    scene.is_shut.store(false, Ordering::Relaxed);
    scene.go_on(10);
    let expected: Vec<VisitId> = (0..=10).filter(|n| *n != 4).map(id).collect();
    assert_eq!(written(&*scene.disk.shared(), "data"), expected);
    assert!(scene.disk.paths().iter().all(|path| !path.display().to_string().contains("backlog")));
}

#[test]
fn a_power_cut_leaves_the_older_park_or_the_newer() {
    for (seed, steps) in (0..40).map(|seed| (seed, seed % 5)) {
        let mut scene = Scene::parked();
        scene.disk.crash_at(scene.disk.steps() + 1 + seed / 3);
        scene.source.erase(id(4));
        let _ = scene.lanes.erase_parked();
        scene.go_on(steps as usize);
        let disk = scene.disk.after_power_cut(seed);
        let source = scene.source.after_crash(true);
        let gate = NdjsonSink::new(disk.shared(), "data");
        let lanes = Lanes::open(&feed(&source, &disk), &settings(), vec![Box::new(gate)]).expect("one sink");
        let mut scene = Scene { source, disk, lanes, is_shut: Arc::default(), now: scene.now };
        scene.go_on(10);
        let expected: Vec<VisitId> = (0..10).filter(|n| *n != 4).map(id).collect();
        assert_eq!(written(&*scene.disk.shared(), "data"), expected, "seed {seed}");
        assert_eq!(naming(&scene.disk, id(4)), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn the_older_park_stays_until_the_journal_says_durably_that_the_newer_counts() {
    let mut scene = Scene::parked();
    scene.source.erase(id(4));
    assert!(scene.lanes.erase_parked().expect("a working disk").is_done);
    for _ in 0..3 {
        scene.now = scene.now.after(3 * SECOND);
        scene.lanes.step(scene.now);
    }
    let (source, disk) = (scene.source.after_crash(true), scene.disk.after_power_cut(1));
    let sink = NdjsonSink::new(disk.shared(), "data");
    let lanes = Lanes::open(&feed(&source, &disk), &settings(), vec![Box::new(sink)]).expect("one sink");
    let mut scene = Scene { source, disk, lanes, is_shut: Arc::default(), now: scene.now };
    scene.go_on(10);
    let expected: Vec<VisitId> = (0..10).filter(|n| *n != 4).map(id).collect();
    assert_eq!(written(&*scene.disk.shared(), "data"), expected);
}

#[test]
fn the_park_of_a_sink_that_is_left_out_is_erased_too() {
    let scene = Scene::parked();
    let Scene { source, disk, now, .. } = scene;
    let lanes = Lanes::open(&feed(&source, &disk), &settings(), Vec::new()).expect("no sink");
    let mut scene = Scene { source, disk, lanes, is_shut: Arc::default(), now };
    scene.erase();
    for is_done in [false, true] {
        assert!(!naming(&scene.disk, id(4)).is_empty(), "the older file is there until the newer counts");
        assert_eq!(scene.lanes.erase_parked().expect("nothing to do").is_done, is_done, "and it is said");
        // What is parked is seen all the while.
        assert!(scene.lanes.find(&of_visitor(5)).expect("read").contains(id(5)));
        scene.source.sync();
    }
    assert_eq!(naming(&scene.disk, id(4)), Vec::<String>::new());
    assert_eq!(scene.source.mark(NdjsonSink::NAME, Keeper::Park).map(|mark| mark.place[0]), Some(2));
    // The sink is there again, and gets the rest.
    let gate = NdjsonSink::new(scene.disk.shared(), "data");
    scene.lanes = Lanes::open(&feed(&scene.source, &scene.disk), &settings(), vec![Box::new(gate)]).expect("one sink");
    scene.go_on(10);
    let expected: Vec<VisitId> = (0..10).filter(|n| *n != 4).map(id).collect();
    assert_eq!(written(&*scene.disk.shared(), "data"), expected);
}

/// Takes nothing, for good.
struct Refusing;

impl VisitSink for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        let at = batch.iter().map(|(end, _)| *end).collect();
        Err(SinkError::Refused { sink: self.name().to_owned(), at, what: "none".to_owned() })
    }
}

fn refusing(source: &MemorySource, disk: &StepDisk) -> Lanes {
    Lanes::open(&feed(source, disk), &settings(), vec![Box::new(Refusing)]).expect("one sink")
}

/// Four visits that were set aside, each by a visitor of its own.
fn set_aside() -> (MemorySource, StepDisk) {
    let (source, disk) = (MemorySource::default(), StepDisk::default());
    let lanes = refusing(&source, &disk);
    for n in 0..4 {
        source.end(n);
    }
    for step in 0..20 {
        source.sync();
        lanes.step(MORNING.after(step * 3 * SECOND));
    }
    assert_eq!(set_aside_in(&lanes), [id(0), id(1), id(2), id(3)]);
    (source, disk)
}

fn set_aside_in(lanes: &Lanes) -> Vec<VisitId> {
    lanes.step(MORNING.after(600 * SECOND));
    lanes.set_aside("refusing").expect("a sink").iter().map(|aside| aside.visit).collect()
}

fn of_visitor(n: u64) -> Whose {
    Whose::of(Subject::Visitor(visit(n, MORNING).start.facts.visitor_id))
}

#[test]
fn what_was_set_aside_is_seen_erased_and_named_no_more_whether_its_sink_is_there_or_not() {
    let previous = |n: u64| visit(n, MORNING).start.previous.expect("not the first");
    for is_left_out in [false, true] {
        let (source, disk) = set_aside();
        let sinks: Vec<Box<dyn VisitSink>> = if is_left_out { Vec::new() } else { vec![Box::new(Refusing)] };
        let lanes = Lanes::open(&feed(&source, &disk), &settings(), sinks).expect("open");
        let mut survey = Survey::of(UserId::new("alice"), Vec::new());
        lanes.survey(&mut survey).expect("read");
        survey.begin_second();
        lanes.survey(&mut survey).expect("read");
        assert_eq!(survey.finish().alone().len(), 4, "left out {is_left_out}");
        assert!(lanes.find(&of_visitor(1)).expect("read").contains(id(1)), "left out {is_left_out}");
        for gone in [id(1), previous(2)] {
            assert!(!naming(&disk, gone).is_empty(), "is the search blind?");
        }
        let erased = lanes.erase_set_aside(&of_visitor(1), &|visit| visit == previous(2)).expect("a working disk");
        assert_eq!(erased.visits.ids().collect::<Vec<_>>(), [id(1)], "left out {is_left_out}");
        for gone in [id(1), previous(2)] {
            assert_eq!(naming(&disk, gone), Vec::<String>::new(), "left out {is_left_out}");
        }
        assert!(!naming(&disk, previous(3)).is_empty(), "others stay as they were");
        drop(lanes);
        assert_eq!(set_aside_in(&refusing(&source, &disk)), [id(0), id(2), id(3)], "left out {is_left_out}");
    }
}

#[test]
fn what_was_set_aside_and_cannot_be_read_any_more_goes_with_any_erasure() {
    let (source, disk) = set_aside();
    let is_quarantine = |path: &std::path::PathBuf| path.to_string_lossy().contains("quarantine");
    let path = disk.paths().into_iter().find(is_quarantine).expect("a quarantine");
    let mut bytes = disk.read(&path).expect("there");
    let binary = id(1).as_u128().to_le_bytes();
    let at = bytes.windows(16).position(|window| window == binary).expect("its frame");
    bytes[at + 40] ^= 1;
    disk.put(&path, &bytes);
    let lanes = refusing(&source, &disk);
    assert_eq!(set_aside_in(&lanes), [id(0), id(2), id(3)]);
    assert_eq!(lanes.status()[0].set_aside_damaged, 1);
    let erased = lanes.erase_set_aside(&of_visitor(77), &|_| false).expect("a working disk");
    assert_eq!((erased.visits.ids().count(), erased.unreadable), (0, 1), "counted by itself");
    assert_eq!(naming(&disk, id(1)), Vec::<String>::new());
    assert_eq!((set_aside_in(&lanes), lanes.status()[0].set_aside_damaged), (vec![id(0), id(2), id(3)], 0));
    for n in [0, 2, 3, 3] {
        lanes.erase_set_aside(&of_visitor(n), &|_| false).expect("nothing to do is no failure");
    }
    assert!(!disk.paths().iter().any(is_quarantine), "the file is gone with its last visit");
}

#[test]
fn what_is_parked_and_cannot_be_read_goes_with_any_erasure() {
    for is_left_out in [false, true] {
        let Scene { source, disk, .. } = Scene::parked();
        let is_park = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(".park");
        let path = disk.paths().into_iter().find(is_park).expect("a park");
        let mut bytes = disk.read(&path).expect("there");
        let at = bytes.windows(16).position(|part| part == id(6).as_u128().to_le_bytes()).expect("its frame");
        bytes[at + 60] ^= 1;
        disk.put(&path, &bytes);
        let sinks: Vec<Box<dyn VisitSink>> = match is_left_out {
            true => Vec::new(),
            false => vec![Box::new(Gate(NdjsonSink::new(disk.shared(), "data"), Arc::new(AtomicBool::new(true))))],
        };
        let lanes = Lanes::open(&feed(&source, &disk), &settings(), sinks).expect("open");
        let mut scene = Scene { source, disk, lanes, is_shut: Arc::default(), now: MORNING };
        let mut unreadable = 0;
        for _ in 0..4 {
            unreadable += scene.lanes.erase_parked().expect("a working disk").unreadable;
            scene.go_on(1);
        }
        assert!(scene.lanes.erase_parked().expect("nothing to do").is_done);
        assert_eq!(unreadable, 1, "left out {is_left_out}");
        assert_eq!(naming(&scene.disk, id(6)), Vec::<String>::new(), "left out {is_left_out}");
        assert!(!naming(&scene.disk, id(5)).is_empty(), "others stay");
        let sink = NdjsonSink::new(scene.disk.shared(), "data");
        scene.lanes = Lanes::open(&feed(&scene.source, &scene.disk), &settings(), vec![Box::new(sink)]).expect("open");
        scene.go_on(10);
        let expected: Vec<VisitId> = (0..10).filter(|n| *n != 6).map(id).collect();
        assert_eq!(written(&*scene.disk.shared(), "data"), expected, "left out {is_left_out}");
    }
}
