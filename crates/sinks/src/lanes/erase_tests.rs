//! Erasure of what waits for a sink that is down, or left out.

use std::sync::atomic::{AtomicBool, Ordering};

use visitlog_core::VisitId;
use visitlog_core::erasure::{Claim, Subject, Whose};
use visitlog_core::ports::Keeper;
use visitlog_testkit::MemorySource;
use visitlog_testkit::samples::{MORNING, id, visit};

use super::crash_tests::Gate;
use super::*;
use crate::testing::{MemDisk, feed, written};

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> LaneSettings {
    LaneSettings { park_after: 60 * SECOND, retry_max: 2 * SECOND, ..LaneSettings::default() }
}

/// The files that hold a visit's id, as text or in binary.
fn naming(disk: &MemDisk, visit: VisitId) -> Vec<String> {
    let needles = [visit.to_string().into_bytes(), visit.as_u128().to_le_bytes().to_vec()];
    let holds = |bytes: &[u8]| needles.iter().any(|needle| bytes.windows(needle.len()).any(|part| part == needle));
    let paths = disk.paths().into_iter();
    paths.filter(|path| holds(&disk.read(path).unwrap_or_default())).map(|path| path.display().to_string()).collect()
}

struct Scene {
    source: MemorySource,
    disk: MemDisk,
    lanes: Lanes,
    is_shut: Arc<AtomicBool>,
    now: Timestamp,
}

impl Scene {
    /// Ten visits, parked.
    fn parked() -> Self {
        let (source, disk) = (MemorySource::default(), MemDisk::default());
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
        let found = self.lanes.find_parked(&whose).expect("read");
        let is_his = |n: &u64| visit(*n, MORNING).start.facts.visitor_id == visit(4, MORNING).start.facts.visitor_id;
        let his = (0..10).filter(is_his).count() as u64;
        assert_eq!(found.count(Claim::Login) + found.count(Claim::Anonymous), his);
        self.source.erase(id(4));
        assert!(self.lanes.erase_parked().expect("a working disk"));
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
    assert!(scene.lanes.erase_parked().expect("nothing to do"));
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
fn the_park_of_a_sink_that_is_left_out_is_erased_too() {
    let scene = Scene::parked();
    let Scene { source, disk, now, .. } = scene;
    let lanes = Lanes::open(&feed(&source, &disk), &settings(), Vec::new()).expect("no sink");
    let mut scene = Scene { source, disk, lanes, is_shut: Arc::default(), now };
    scene.erase();
    scene.go_on(1);
    assert!(scene.lanes.erase_parked().expect("nothing to do"), "the older file goes once the newer counts");
    assert_eq!(naming(&scene.disk, id(4)), Vec::<String>::new());
    assert_eq!(scene.source.mark(NdjsonSink::NAME, Keeper::Park).map(|mark| mark.place[0]), Some(2));
    // The sink is there again, and gets the rest.
    let gate = NdjsonSink::new(scene.disk.shared(), "data");
    scene.lanes = Lanes::open(&feed(&scene.source, &scene.disk), &settings(), vec![Box::new(gate)]).expect("one sink");
    scene.go_on(10);
    let expected: Vec<VisitId> = (0..10).filter(|n| *n != 4).map(id).collect();
    assert_eq!(written(&*scene.disk.shared(), "data"), expected);
}
