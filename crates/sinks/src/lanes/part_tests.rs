//! A sink that has stored a first part of what it was given: that is acknowledged and never comes again, the rest does.

use std::collections::BTreeSet;

use visitlog_core::VisitId;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Gathering, Keeper, Kept, SinkError};
use visitlog_testkit::samples::{MORNING, id};
use visitlog_testkit::{MemorySource, StepDisk};

use super::*;
use crate::testing::feed;

const SECOND: Duration = Duration::from_secs(1);

/// What becomes of the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Unavailable,
    Refused,
    Changed,
}

/// What stays when the process goes, and how the sink behaves.
struct Target {
    rows: Mutex<Vec<VisitId>>,
    /// Rows that it takes at once; the rest of a batch fails.
    room: Mutex<usize>,
    rest: Rest,
    /// Visits that it never takes.
    refuses: BTreeSet<VisitId>,
    gathers: bool,
    /// Says this instead of the position up to which it has stored.
    lies: Mutex<Option<Lsn>>,
    resumed: Mutex<Vec<Option<Vec<u8>>>>,
    calls: Mutex<Vec<usize>>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            room: Mutex::new(3),
            rest: Rest::Unavailable,
            refuses: BTreeSet::new(),
            gathers: false,
            lies: Mutex::default(),
            resumed: Mutex::default(),
            calls: Mutex::default(),
        }
    }
}

/// Knows nothing of what it stored before: whatever comes twice stands twice.
struct Forgetful(Arc<Target>, Vec<(Lsn, VisitId)>);

impl Forgetful {
    fn store(&mut self) -> Result<Kept, SinkError> {
        let batch = std::mem::take(&mut self.1);
        self.0.calls.lock().push(batch.len());
        let poison = batch.iter().position(|(_, visit)| self.0.refuses.contains(visit));
        let fit = poison.unwrap_or(batch.len()).min(*self.0.room.lock());
        self.0.rows.lock().extend(batch[..fit].iter().map(|(_, visit)| *visit));
        let place = self.0.rows.lock().len().to_le_bytes().to_vec();
        let lie = self.0.lies.lock().take();
        if fit == batch.len() && lie.is_none() {
            return Ok(Kept::All(place));
        }
        let (sink, what) = ("forgetful".to_owned(), "no more room".to_owned());
        let rest = match self.0.rest {
            Rest::Unavailable => SinkError::Unavailable { sink, what, source: None },
            Rest::Refused => {
                let at = batch.get(fit).filter(|(_, visit)| self.0.refuses.contains(visit));
                SinkError::Refused { sink, at: at.map(|(end, _)| *end).into_iter().collect(), what }
            }
            Rest::Changed => SinkError::Changed { sink, what },
        };
        match lie.or_else(|| fit.checked_sub(1).map(|last| batch[last].0)) {
            Some(upto) => Ok(Kept::Upto { upto, place, rest }),
            None => Err(rest),
        }
    }
}

impl VisitSink for Forgetful {
    fn name(&self) -> &str {
        "forgetful"
    }

    fn gathers(&self) -> Option<Gathering> {
        self.0.gathers.then_some(Gathering { visits_max: 10, wait_max: SECOND })
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        self.1.clear();
        self.0.resumed.lock().push(acknowledged.map(<[u8]>::to_vec));
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        self.1.extend(batch.iter().map(|(end, visit)| (*end, visit.visit)));
        if self.0.gathers { Ok(Delivery::Gathered) } else { self.store().map(Delivery::Stored) }
    }

    fn flush(&mut self) -> Result<Kept, SinkError> {
        self.store()
    }
}

struct Driven {
    source: MemorySource,
    disk: StepDisk,
    target: Arc<Target>,
    lanes: Lanes,
    now: Timestamp,
}

impl Driven {
    fn new(target: Target) -> Self {
        Self::with(MemorySource::default(), StepDisk::default(), Arc::new(target), MORNING)
    }

    fn with(source: MemorySource, disk: StepDisk, target: Arc<Target>, now: Timestamp) -> Self {
        let settings = LaneSettings { batch_visits_max: 8, park_after: 30 * SECOND, ..LaneSettings::default() };
        let sink = Forgetful(Arc::clone(&target), Vec::new());
        let lanes = Lanes::open(&feed(&source, &disk), &settings, vec![Box::new(sink)]).expect("one sink");
        Self { source, disk, target, lanes, now }
    }

    /// The process is killed, or the power goes.
    fn crash(self, is_power_cut: bool) -> Self {
        let disk = if is_power_cut { self.disk.after_power_cut(3) } else { self.disk.after_kill() };
        Self::with(self.source.after_crash(is_power_cut), disk, self.target, self.now)
    }

    fn ends(&self, range: std::ops::Range<u64>) -> Vec<Lsn> {
        let ends = range.map(|n| self.source.end(n)).collect();
        self.source.sync();
        ends
    }

    fn step(&mut self) -> StepResult {
        self.lanes.step(self.now)
    }

    /// Lets time pass, and all happen that is due meanwhile.
    fn wait(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now = self.now.after(SECOND);
            self.step();
            self.source.sync();
        }
    }

    fn rows(&self) -> Vec<VisitId> {
        self.target.rows.lock().clone()
    }

    fn status(&self) -> SinkStatus {
        self.lanes.status().remove(0)
    }
}

fn ids(range: std::ops::Range<u64>) -> Vec<VisitId> {
    range.map(id).collect()
}

#[test]
fn what_was_stored_is_acknowledged_and_only_the_rest_comes_again() {
    for gathers in [false, true] {
        let mut driven = Driven::new(Target { gathers, ..Target::default() });
        let ends = driven.ends(0..8);
        while driven.status().delivered == 0 {
            driven.wait(1);
        }
        assert_eq!(driven.rows(), ids(0..3));
        let status = driven.status();
        assert_eq!((status.acknowledged, status.delivered, status.backlog), (ends[2], 3, 5), "gathers {gathers}");
        assert!(matches!(status.state, SinkState::Failing { .. }), "the rest failed: {status:?}");
        let mark = driven.source.mark("forgetful", Keeper::Sink).expect("acknowledged");
        assert_eq!((mark.upto, mark.place), (ends[2], 3_usize.to_le_bytes().to_vec()));
        let calls = driven.target.calls.lock().len();
        driven.step();
        assert_eq!(driven.target.calls.lock().len(), calls, "not before its back-off");
        driven.wait(20);
        assert_eq!(driven.rows(), ids(0..8), "gathers {gathers}");
        assert_eq!(*driven.target.calls.lock(), [8, 5, 2], "gathers {gathers}");
        assert_eq!((driven.status().state, driven.status().delivered), (SinkState::Running, 8));
    }
}

#[test]
fn one_that_gets_on_is_tried_again_soon() {
    let mut driven = Driven::new(Target { room: Mutex::new(1), ..Target::default() });
    driven.ends(0..40);
    driven.wait(45);
    assert_eq!(driven.rows(), ids(0..40), "a visit a second: the back-off does not grow");
    assert_eq!(driven.status().parked_bytes, 0, "nor is it down for long enough to be parked for");
}

#[test]
fn after_a_crash_in_between_it_goes_on_behind_what_was_acknowledged() {
    for gathers in [false, true] {
        for is_power_cut in [false, true] {
            let mut driven = Driven::new(Target { gathers, ..Target::default() });
            driven.ends(0..8);
            while driven.rows().is_empty() {
                driven.wait(1);
            }
            let mut driven = driven.crash(is_power_cut);
            driven.wait(20);
            assert_eq!(driven.rows(), ids(0..8), "gathers {gathers}, power cut {is_power_cut}");
            let resumed = driven.target.resumed.lock().last().cloned().expect("made ready");
            assert_eq!(resumed, Some(3_usize.to_le_bytes().to_vec()), "behind the part");
        }
    }
}

#[test]
fn the_rest_may_be_refused_for_good() {
    for gathers in [false, true] {
        let refuses = BTreeSet::from([id(2), id(5)]);
        let target = Target { rest: Rest::Refused, refuses, room: Mutex::new(9), gathers, ..Target::default() };
        let mut driven = Driven::new(target);
        driven.ends(0..8);
        driven.wait(30);
        let expected: Vec<VisitId> = ids(0..8).into_iter().filter(|visit| ![id(2), id(5)].contains(visit)).collect();
        assert_eq!(driven.rows(), expected, "gathers {gathers}");
        let aside = driven.lanes.set_aside("forgetful").expect("a sink");
        assert_eq!(aside.iter().map(|aside| aside.visit).collect::<Vec<_>>(), [id(2), id(5)], "gathers {gathers}");
        assert_eq!((driven.status().delivered, driven.status().backlog), (6, 0));
    }
}

#[test]
fn the_rest_may_need_a_person() {
    let mut driven = Driven::new(Target { rest: Rest::Changed, ..Target::default() });
    let ends = driven.ends(0..8);
    driven.wait(5);
    assert!(matches!(driven.status().state, SinkState::Stopped { .. }));
    assert_eq!((driven.rows(), driven.status().acknowledged), (ids(0..3), ends[2]), "what is stored is, all the same");
    *driven.target.room.lock() = 9;
    assert!(driven.lanes.reopen("forgetful"));
    driven.wait(5);
    assert_eq!(driven.rows(), ids(0..8));
}

#[test]
fn a_part_of_a_park_too() {
    for gathers in [false, true] {
        let mut driven = Driven::new(Target { gathers, room: Mutex::new(0), ..Target::default() });
        driven.ends(0..8);
        driven.wait(100);
        assert_eq!((driven.rows(), driven.status().parked), (vec![], 8));
        *driven.target.room.lock() = 3;
        while driven.rows().is_empty() {
            driven.wait(1);
        }
        assert_eq!((driven.rows(), driven.status().parked), (ids(0..3), 5), "gathers {gathers}");
        let mut driven = driven.crash(true);
        driven.wait(40);
        assert_eq!(driven.rows(), ids(0..8), "gathers {gathers}");
        assert_eq!((driven.status().parked, driven.status().parked_bytes), (0, 0));
    }
}

#[test]
fn a_sink_that_lies_is_not_believed_and_it_is_said() {
    for gathers in [false, true] {
        let lies: [fn(&[Lsn]) -> Lsn; 4] =
            [|ends| Lsn(ends[0].0 - 1), |ends| ends[7], |ends| Lsn(ends[7].0 + 1), |_| Lsn::NONE];
        for lie in lies {
            let mut driven = Driven::new(Target { gathers, ..Target::default() });
            let ends = driven.ends(0..8);
            let lie = lie(&ends);
            *driven.target.lies.lock() = Some(lie);
            let before = driven.source.mark("forgetful", Keeper::Sink);
            driven.wait(10);
            let SinkState::Stopped { what, .. } = driven.status().state else { panic!("{:?}", driven.status()) };
            let said = format!("stored visits up to lsn {lie}, and was given those from {} to {}", ends[0], ends[7]);
            assert!(what.contains(&said), "{what}");
            assert_eq!(driven.source.mark("forgetful", Keeper::Sink), before, "nothing is acknowledged");
            assert_eq!(driven.status().delivered, 0);
            // Once a person has looked, all of it comes again.
            driven.target.rows.lock().clear();
            driven.lanes.reopen("forgetful");
            driven.wait(20);
            assert_eq!(driven.rows(), ids(0..8), "gathers {gathers}");
        }
    }
}

#[test]
fn a_part_of_what_is_given_again_is_set_aside_no_longer() {
    for gathers in [false, true] {
        let aside = |driven: &Driven| driven.lanes.set_aside("forgetful").expect("a sink").len();
        let refuses = BTreeSet::from_iter(ids(0..5));
        let target = Target { rest: Rest::Refused, refuses, gathers, ..Target::default() };
        let mut driven = Driven::new(target);
        driven.ends(0..5);
        driven.wait(30);
        assert_eq!((driven.rows(), aside(&driven)), (vec![], 5), "gathers {gathers}");
        let target = Arc::new(Target { gathers, ..Target::default() });
        let mut driven = Driven::with(driven.source.after_crash(false), driven.disk.after_kill(), target, driven.now);
        driven.wait(2);
        driven.lanes.replay("forgetful");
        driven.wait(2);
        assert_eq!((driven.rows(), aside(&driven)), (ids(0..3), 2), "gathers {gathers}");
        driven.lanes.replay("forgetful");
        driven.wait(5);
        assert_eq!((driven.rows(), aside(&driven)), (ids(0..5), 0), "gathers {gathers}");
    }
}
