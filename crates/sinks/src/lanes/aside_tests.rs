//! A visit that a sink can't be given stops nobody: it is set aside, and can be given again.

use std::collections::BTreeSet;

use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Gathering, Kept, SinkError};
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, StepDisk};

use super::*;
use crate::quarantine::Why;
use crate::testing::feed;

const SECOND: Duration = Duration::from_secs(1);

/// What stays when the process goes, and what goes wrong.
#[derive(Default)]
struct Target {
    rows: Mutex<Vec<(Lsn, VisitId)>>,
    /// Visits that it refuses, and says so.
    refuses: Mutex<BTreeSet<VisitId>>,
    /// The same, without saying which.
    dislikes: Mutex<BTreeSet<VisitId>>,
    /// Visits that make it panic.
    panics_at: Mutex<BTreeSet<VisitId>>,
    calls: Mutex<u64>,
    gathers: bool,
}

struct Picky(Arc<Target>, Vec<(Lsn, VisitId)>);

impl Picky {
    fn store(&mut self) {
        let mut rows = self.0.rows.lock();
        let cursor = rows.last().map_or(Lsn::NONE, |(lsn, _)| *lsn);
        rows.extend(self.1.drain(..).filter(|(lsn, _)| *lsn > cursor));
    }
}

impl VisitSink for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    fn gathers(&self) -> Option<Gathering> {
        self.0.gathers.then_some(Gathering { visits_max: 10, wait_max: SECOND })
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        self.1.clear();
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        *self.0.calls.lock() += 1;
        let has = |set: &Mutex<BTreeSet<VisitId>>| {
            let set = set.lock().clone();
            batch.iter().filter(|(_, visit)| set.contains(&visit.visit)).map(|(end, _)| *end).collect::<Vec<_>>()
        };
        assert!(has(&self.0.panics_at).is_empty(), "a visit that it can't bear");
        let (sink, what) = ("picky".to_owned(), "not that one".to_owned());
        let at = has(&self.0.refuses);
        if !at.is_empty() {
            self.1.clear();
            return Err(SinkError::Refused { sink, at, what });
        }
        if !has(&self.0.dislikes).is_empty() {
            self.1.clear();
            return Err(SinkError::Refused { sink, at: Vec::new(), what });
        }
        self.1.extend(batch.iter().map(|(end, visit)| (*end, visit.visit)));
        if self.0.gathers {
            return Ok(Delivery::Gathered);
        }
        self.store();
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }

    fn flush(&mut self) -> Result<Kept, SinkError> {
        self.store();
        Ok(Kept::All(Vec::new()))
    }
}

struct PickyLane {
    source: MemorySource,
    disk: StepDisk,
    target: Arc<Target>,
    lanes: Lanes,
    settings: LaneSettings,
    now: Timestamp,
}

fn settings() -> LaneSettings {
    LaneSettings { batch_visits_max: 32, park_after: 600 * SECOND, ..LaneSettings::default() }
}

impl PickyLane {
    fn new(target: Target) -> Self {
        Self::with(MemorySource::default(), StepDisk::default(), Arc::new(target), settings())
    }

    fn with(source: MemorySource, disk: StepDisk, target: Arc<Target>, settings: LaneSettings) -> Self {
        let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(Picky(Arc::clone(&target), Vec::new()))];
        let lanes = Lanes::open(&feed(&source, &disk), &settings, sinks).expect("one sink");
        Self { source, disk, target, lanes, settings, now: MORNING }
    }

    fn crash(self, is_power_cut: bool) -> Self {
        let disk = if is_power_cut { self.disk.after_power_cut(3) } else { self.disk.after_kill() };
        Self::with(self.source.after_crash(is_power_cut), disk, self.target, self.settings)
    }

    fn ends(&self, range: std::ops::Range<u64>) {
        for n in range {
            self.source.end(n);
        }
        self.source.sync();
    }

    fn run(&mut self) {
        self.run_for(200);
    }

    fn run_for(&mut self, secs: u64) {
        for _ in 0..secs {
            while self.lanes.step(self.now).worked {}
            self.source.sync();
            self.now = self.now.after(SECOND);
        }
    }

    fn rows(&self) -> Vec<VisitId> {
        self.target.rows.lock().iter().map(|(_, visit)| *visit).collect()
    }

    fn aside(&self) -> Vec<(VisitId, Why)> {
        self.lanes.set_aside("picky").expect("a sink").iter().map(|aside| (aside.visit, aside.why)).collect()
    }

    fn status(&self) -> SinkStatus {
        self.lanes.status().remove(0)
    }
}

fn all_but(range: std::ops::Range<u64>, but: &[u64]) -> Vec<VisitId> {
    range.filter(|n| !but.contains(n)).map(id).collect()
}

#[test]
fn a_visit_that_cannot_be_assembled_is_set_aside_and_the_rest_goes_on() {
    for gathers in [false, true] {
        let mut lane = PickyLane::new(Target { gathers, ..Target::default() });
        lane.source.set_broken(3, true);
        lane.source.set_broken(4, true);
        lane.ends(0..20);
        lane.run();
        assert_eq!(lane.rows(), all_but(0..20, &[3, 4]), "gathers {gathers}");
        assert_eq!(lane.aside(), [(id(3), Why::Broken), (id(4), Why::Broken)]);
        let status = lane.status();
        assert_eq!((&status.state, status.set_aside, status.backlog), (&SinkState::Running, 2, 0));
        assert_eq!(lane.source.oldest_needed(), None, "the journal can go");
        let file = lane.disk.paths().into_iter().find(|path| path.to_string_lossy().contains("quarantine"));
        let bytes = lane.disk.read(file.expect("a file")).expect("its bytes");
        let wanted: &[u8] = b"what is left";
        assert_eq!(bytes.windows(wanted.len()).filter(|bytes| *bytes == wanted).count(), 2, "with their bytes");
        let mut lane = lane.crash(true);
        lane.run();
        assert_eq!(lane.aside(), [(id(3), Why::Broken), (id(4), Why::Broken)], "still there");
        assert_eq!(lane.rows(), all_but(0..20, &[3, 4]));
    }
}

#[test]
fn what_a_sink_refuses_is_set_aside_whether_it_knows_which_or_not() {
    for (gathers, knows) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut lane = PickyLane::new(Target { gathers, ..Target::default() });
        let set = if knows { &lane.target.refuses } else { &lane.target.dislikes };
        set.lock().extend([id(5), id(17)]);
        lane.ends(0..40);
        lane.run();
        assert_eq!(lane.rows(), all_but(0..40, &[5, 17]), "gathers {gathers}, knows {knows}");
        assert!(*lane.target.calls.lock() < 60, "it is looked for by halves");
        assert_eq!(lane.aside(), [(id(5), Why::Refused), (id(17), Why::Refused)]);
        assert_eq!(lane.status().state, SinkState::Running);
    }
}

#[test]
fn a_visit_that_a_sink_panics_at_is_found_and_set_aside() {
    for gathers in [false, true] {
        let mut lane = PickyLane::new(Target { gathers, ..Target::default() });
        lane.target.panics_at.lock().insert(id(21));
        lane.ends(0..40);
        lane.run();
        assert_eq!(lane.rows(), all_but(0..40, &[21]), "gathers {gathers}");
        assert_eq!(lane.aside(), [(id(21), Why::Panicked)]);
        let status = lane.status();
        assert!(status.panics >= 3 && status.state == SinkState::Running, "{status:?}");
        assert!(*lane.target.calls.lock() < 60, "it is looked for by halves");
    }
}

#[test]
fn a_search_is_worth_some_haste() {
    let mut lane = PickyLane::new(Target::default());
    lane.target.dislikes.lock().extend([id(5), id(17)]);
    lane.ends(0..40);
    lane.run_for(30);
    assert_eq!(lane.rows(), all_but(0..40, &[5, 17]), "the others did not wait for minutes");
}

#[test]
fn a_few_panics_cost_no_visit() {
    let mut lane = PickyLane::new(Target::default());
    lane.target.panics_at.lock().insert(id(2));
    lane.ends(0..4);
    for _ in 0..2 {
        lane.lanes.step(lane.now);
        lane.now = lane.now.after(SECOND);
    }
    assert!(matches!(&lane.status().state, SinkState::Failing { what, .. } if what.contains("can't bear")));
    lane.target.panics_at.lock().clear();
    lane.run();
    assert_eq!((lane.rows(), lane.aside()), (all_but(0..4, &[]), Vec::new()));
}

#[test]
fn what_was_set_aside_is_given_again_once_it_is_mended() {
    for gathers in [false, true] {
        let mut lane = PickyLane::new(Target { gathers, ..Target::default() });
        lane.target.refuses.lock().extend([id(1), id(2)]);
        lane.ends(0..6);
        lane.run();
        assert_eq!(lane.rows(), all_but(0..6, &[1, 2]));
        assert!(lane.lanes.replay("picky") && !lane.lanes.replay("another"));
        lane.run();
        assert_eq!(lane.aside().len(), 2, "it still does not take them, and they stay");
        lane.target.refuses.lock().clear();
        let mut lane = lane.crash(false);
        lane.run();
        lane.lanes.replay("picky");
        lane.ends(6..9);
        lane.run();
        assert_eq!(lane.aside(), [], "gathers {gathers}");
        let rows: BTreeSet<VisitId> = lane.rows().into_iter().collect();
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), all_but(0..9, &[]));
        assert_eq!(lane.rows().len(), 9, "each once");
        assert_eq!(lane.status().set_aside, 0);
        assert!(
            lane.disk.paths().iter().all(|path| !path.to_string_lossy().contains("quarantine")),
            "the file is gone"
        );
    }
}

#[test]
fn beyond_its_quota_what_was_to_be_set_aside_is_lost_and_counted() {
    let settings = LaneSettings { quarantine_bytes_max: 400, ..settings() };
    let mut lane = PickyLane::with(MemorySource::default(), StepDisk::default(), Arc::default(), settings);
    (0..20).for_each(|n| lane.source.set_broken(n, true));
    lane.ends(0..30);
    lane.run();
    let status = lane.status();
    assert_eq!(lane.rows(), all_but(20..30, &[]));
    assert!(status.set_aside > 0 && status.set_aside_bytes <= 400, "{status:?}");
    assert_eq!(status.set_aside + status.lost_quarantine, 20, "{status:?}");
}

#[test]
fn once_whatever_step_of_setting_aside_a_crash_interrupts() {
    let live = |disk: &StepDisk, source: &MemorySource, target: &Arc<Target>| {
        let mut lane = PickyLane::with(source.clone(), disk.clone(), Arc::clone(target), settings());
        for _ in 0..12 {
            lane.lanes.step(lane.now);
            lane.source.sync();
            lane.now = lane.now.after(SECOND);
        }
        (lane.aside(), lane.status())
    };
    let start = || {
        let source = MemorySource::default();
        source.subscribe(&["picky".to_owned()]);
        for n in 0..12 {
            source.end(n);
        }
        [2, 7].into_iter().for_each(|n| source.set_broken(n, true));
        source.sync();
        (StepDisk::default(), source, Arc::new(Target::default()))
    };
    let (disk, source, target) = start();
    live(&disk, &source, &target);
    let steps = disk.steps();
    assert!(steps > 4, "{steps}");
    for step in 1..=steps {
        for seed in 0..4 {
            let (disk, source, target) = start();
            disk.crash_at(step);
            live(&disk, &source, &target);
            let is_power_cut = seed > 0;
            let disk = if is_power_cut { disk.after_power_cut(seed) } else { disk.after_kill() };
            let source = source.after_crash(is_power_cut);
            let (aside, status) = live(&disk, &source, &target);
            assert_eq!(aside, [(id(2), Why::Broken), (id(7), Why::Broken)], "step {step}, seed {seed}: {status:?}");
            let rows: Vec<_> = target.rows.lock().iter().map(|(_, visit)| *visit).collect();
            assert_eq!(rows, all_but(0..12, &[2, 7]), "step {step}, seed {seed}");
        }
    }
}

#[test]
fn a_paused_sink_gets_nothing_and_its_backlog_is_parked() {
    let settings = LaneSettings { park_after: 10 * SECOND, ..settings() };
    let mut lane = PickyLane::with(MemorySource::default(), StepDisk::default(), Arc::default(), settings);
    lane.ends(0..2);
    lane.run();
    assert!(lane.lanes.pause("picky"));
    lane.ends(2..7);
    lane.run();
    let status = lane.status();
    assert!(matches!(status.state, SinkState::Paused { .. }), "{status:?}");
    assert_eq!((lane.rows(), status.parked), (all_but(0..2, &[]), 5));
    assert!(lane.lanes.resume("picky"));
    lane.run();
    assert_eq!(lane.rows(), all_but(0..7, &[]));
}

#[test]
fn names_that_would_be_shared_or_are_no_names_are_refused() {
    let open = |names: &[&'static str]| {
        let sink = |name: &&'static str| -> Box<dyn VisitSink> { Box::new(crate::HookSink::new(*name, |_| {})) };
        let sinks = names.iter().map(sink).collect();
        Lanes::open(&feed(&MemorySource::default(), &StepDisk::default()), &settings(), sinks).map(drop)
    };
    let twice = open(&["app", "mail", "app"]).expect_err("two of one name").to_string();
    assert!(twice.contains("two are called app"), "{twice}");
    let (longest, longer) = ("0123456789abcdef".repeat(4).leak(), "0123456789abcdef-".repeat(4).leak());
    open(&[longest]).expect("64 bytes");
    for name in ["", "a/b", "a.park", "ö", longer] {
        assert!(matches!(open(&[name]), Err(LanesError::Name { .. })), "{name:?}");
    }
    open(&["app", "mail"]).expect("names of their own");
}
