//! What is damaged on disk of a lane's costs the visits that it was, and stops nobody.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Kept, SinkError};
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, StepDisk};

use super::*;
use crate::quarantine::Why;
use crate::testing::feed;

const SECOND: Duration = Duration::from_secs(1);
/// Bytes of a park's header, and of what stands before each visit.
const HEAD: usize = 32;

/// Takes everything, or nothing.
struct Shelf {
    rows: Arc<Mutex<Vec<VisitId>>>,
    is_shut: Arc<AtomicBool>,
}

impl VisitSink for Shelf {
    fn name(&self) -> &str {
        "shelf"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.is_shut.load(Ordering::Relaxed) {
            return Err(SinkError::Unavailable { sink: "shelf".to_owned(), what: "shut".to_owned(), source: None });
        }
        self.rows.lock().extend(batch.iter().map(|(_, visit)| visit.visit));
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

struct Scene {
    source: MemorySource,
    disk: StepDisk,
    rows: Arc<Mutex<Vec<VisitId>>>,
    is_shut: Arc<AtomicBool>,
    lanes: Lanes,
    now: Timestamp,
}

impl Scene {
    fn open(source: MemorySource, disk: StepDisk, is_shut: bool) -> Self {
        let settings = LaneSettings { batch_visits_max: 4, park_after: SECOND, ..LaneSettings::default() };
        let (rows, is_shut) = (Arc::default(), Arc::new(AtomicBool::new(is_shut)));
        let sink = Shelf { rows: Arc::clone(&rows), is_shut: Arc::clone(&is_shut) };
        let lanes = Lanes::open(&feed(&source, &disk), &settings, vec![Box::new(sink)]).expect("one sink");
        Self { source, disk, rows, is_shut, lanes, now: MORNING }
    }

    /// Ten visits, parked; their journal is gone.
    fn parked() -> Self {
        let mut scene = Self::open(MemorySource::default(), StepDisk::default(), true);
        for n in 0..10 {
            scene.source.end(n);
        }
        scene.go_on();
        assert_eq!(scene.lanes.status()[0].parked, 10);
        scene.source.collect();
        scene
    }

    fn go_on(&mut self) {
        for _ in 0..60 {
            self.source.sync();
            self.now = self.now.after(2 * SECOND);
            self.lanes.step(self.now);
        }
    }

    /// The same after a restart.
    fn restarted(self, is_shut: bool) -> Self {
        let mut scene = Self::open(self.source.after_crash(false), self.disk.after_kill(), is_shut);
        scene.go_on();
        scene
    }

    fn park(&self) -> PathBuf {
        let is_park = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "park");
        self.disk.paths().into_iter().find(is_park).expect("a park")
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.disk.read(self.park()).expect("there");
        change(&mut bytes);
        self.disk.put(self.park(), &bytes);
    }

    fn aside(&self) -> Vec<(VisitId, Why)> {
        self.lanes.set_aside("shelf").expect("a sink").iter().map(|aside| (aside.visit, aside.why)).collect()
    }

    fn rows(&self) -> Vec<VisitId> {
        self.rows.lock().clone()
    }
}

/// Where the frame of the `n`th visit begins.
fn frame_of(bytes: &[u8], n: u64) -> usize {
    let needle = id(n).as_u128().to_le_bytes();
    bytes.windows(16).position(|part| part == needle).expect("parked") - 16
}

fn all_but(but: &[u64]) -> Vec<VisitId> {
    (0..10).filter(|n| !but.contains(n)).map(id).collect()
}

#[test]
fn a_damaged_frame_in_a_park_is_set_aside_and_the_lane_goes_on() {
    type Damage = fn(&mut [u8]);
    // In what is kept of the visit, in the checksum, in the position, in the length.
    let damages: [Damage; 5] = [
        |frame| frame[HEAD + 9] ^= 1,
        |frame| frame[5] ^= 1,
        |frame| frame[15] ^= 0x40,
        |frame| frame[0] ^= 0x10,
        |frame| frame[3] ^= 0x7f,
    ];
    for (kind, damage) in damages.into_iter().enumerate() {
        for n in [0, 4, 9] {
            for is_at_work in [false, true] {
                let mut scene = Scene::parked();
                scene.change(|bytes| {
                    let at = frame_of(bytes, n);
                    damage(&mut bytes[at..]);
                });
                // Found when its visits are wanted, or when the park is read at a start.
                if is_at_work {
                    scene.is_shut.store(false, Ordering::Relaxed);
                    scene.go_on();
                } else {
                    scene = scene.restarted(false);
                }
                let which = format!("damage {kind} of visit {n}, at work {is_at_work}");
                // A lane at work remembers what stands before each visit; and where the next one begins, and so where
                // this one ends, is found.
                let lost = if kind > 2 || is_at_work && kind > 0 { None } else { Some(n) };
                assert_eq!(scene.rows(), all_but(lost.as_slice()), "{which}");
                let aside: Vec<_> = lost.iter().map(|n| (id(*n), Why::Unreadable)).collect();
                assert_eq!(scene.aside(), aside, "{which}");
                let status = scene.lanes.status().remove(0);
                assert_eq!((&status.state, status.parked, status.backlog), (&SinkState::Running, 0, 0), "{which}");
                scene.source.end(10);
                scene.go_on();
                assert_eq!(scene.rows().last(), Some(&id(10)), "{which}");
                let texts = scene.lanes.set_aside("shelf").expect("a sink");
                assert!(texts.iter().all(|aside| aside.what.contains("at byte")), "{which}: {texts:?}");
                // Not once more after a restart, and its bytes are kept.
                let scene = scene.restarted(false);
                assert_eq!((scene.aside(), scene.rows()), (aside, Vec::new()), "{which}");
                let kept = scene.disk.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "aside"));
                let kept: Vec<u8> = kept.flat_map(|path| scene.disk.read(path).expect("there")).collect();
                assert_eq!(kept.windows(9).any(|part| part == b"/produkte"), lost.is_some(), "{which}");
            }
        }
    }
}

#[test]
fn a_park_that_is_cut_off_or_has_a_hole_costs_what_is_gone() {
    type Damage = fn(&mut Vec<u8>, [usize; 2]);
    let damages: [(Damage, &[u64]); 4] = [
        // The file ends in the middle of a visit.
        (|bytes, [from, _]| bytes.truncate(from + 50), &[3, 4, 5, 6, 7, 8, 9]),
        // Three visits are zeros.
        (|bytes, [from, to]| bytes[from..to].fill(0), &[3, 4, 5]),
        // Or anything.
        (|bytes, [from, to]| (from..to).for_each(|at| bytes[at] = (at * 31) as u8), &[3, 4, 5]),
        // The header.
        (|bytes, _| bytes[13] ^= 1, &[]),
    ];
    for (kind, (damage, gone)) in damages.into_iter().enumerate() {
        let scene = Scene::parked();
        scene.change(|bytes| {
            let places = [frame_of(bytes, 3), frame_of(bytes, 6)];
            damage(bytes, places);
        });
        let mut scene = scene.restarted(false);
        assert_eq!(scene.rows(), all_but(gone), "damage {kind}");
        assert_eq!(scene.aside().len(), usize::from(!gone.is_empty()), "damage {kind}: one piece");
        assert_eq!(scene.lanes.status()[0].state, SinkState::Running, "damage {kind}");
        scene.source.end(10);
        scene.go_on();
        assert_eq!(scene.rows().last(), Some(&id(10)), "damage {kind}");
    }
}

#[test]
fn another_journals_park_is_refused() {
    let scene = Scene::parked();
    scene.change(|bytes| {
        bytes[13] ^= 1;
        let crc = crc32c::crc32c(&bytes[..28]).to_le_bytes();
        bytes[28..32].copy_from_slice(&crc);
    });
    let scene = scene.restarted(false);
    assert!(matches!(&scene.lanes.status()[0].state, SinkState::Stopped { what, .. } if what.contains("another file")));
}

#[test]
fn damage_in_a_quarantine_costs_the_visit_and_not_those_behind_it() {
    type Damage = fn(&mut Vec<u8>, [usize; 2]);
    let damages: [(Damage, &[u64]); 6] = [
        (|bytes, [from, _]| bytes[from + 60] ^= 1, &[3]),
        // Its length says less, more, and more than there is.
        (|bytes, [from, _]| bytes[from] ^= 1, &[3]),
        (|bytes, [from, _]| bytes[from + 1] ^= 1, &[3]),
        (|bytes, [from, _]| bytes[from + 3] ^= 0x7f, &[3]),
        (|bytes, [from, to]| bytes[from..to].fill(0), &[3, 4, 5]),
        // The header's length, and its checksum.
        (|bytes, _| bytes[37] ^= 1, &[]),
    ];
    for (kind, (damage, gone)) in damages.into_iter().enumerate() {
        let source = MemorySource::default();
        (0..10).for_each(|n| source.set_broken(n, true));
        let mut scene = Scene::open(source, StepDisk::default(), false);
        for n in 0..10 {
            scene.source.end(n);
        }
        scene.go_on();
        assert_eq!(scene.aside().len(), 10);
        let is_quarantine = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "aside");
        let path = scene.disk.paths().into_iter().find(is_quarantine).expect("a quarantine");
        let mut bytes = scene.disk.read(&path).expect("there");
        let places = [frame_of(&bytes, 3), frame_of(&bytes, 6)];
        damage(&mut bytes, places);
        scene.disk.put(&path, &bytes);
        let mut scene = scene.restarted(false);
        let left = |scene: &Scene| scene.aside().into_iter().map(|(visit, _)| visit).collect::<Vec<_>>();
        assert_eq!(left(&scene), all_but(gone), "damage {kind}");
        let status = scene.lanes.status().remove(0);
        assert_eq!((status.state, status.set_aside_damaged), (SinkState::Running, u64::from(!gone.is_empty())));
        // More is set aside behind it, and is there after a restart.
        scene.source.set_broken(10, true);
        scene.source.end(10);
        scene.go_on();
        let scene = scene.restarted(false);
        assert_eq!(left(&scene), [all_but(gone), vec![id(10)]].concat(), "damage {kind}");
        assert_eq!(scene.lanes.status()[0].set_aside_damaged, u64::from(!gone.is_empty()), "damage {kind}");
    }
}
