//! Sinks over the whole engine: one bad visit, one that is left out, erasures that are over, Ends by many threads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use visitlog_core::erasure::{FoundVisits, Subject, Whose};
use visitlog_core::model::{EndedVisit, UserId};
use visitlog_core::ports::{
    Delivery, Disk as _, Durability, EndedVisits as _, Kept, Most, Op, SessionStore as _, SinkError, VisitSink,
};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::Upkeep;
use visitlog_sinks::{SinkState, SinkStatus};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

use crate::lab::{Lab, MORNING, arrival, commit_of, login};
use crate::plan::Plan;
use crate::simulation::{JOURNAL, open_with};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_bad_record_costs_one_visit_and_the_journal_goes_on() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 2 * 1_024;
    let mut lab = Lab::new(plan);
    let first = lab.page(1, None, vec![Op::Abandon]).visit.expect("started");
    // One bit of that visit's first record flips on the disk.
    let path = lab.disk.list(Path::new(JOURNAL)).expect("listed")[0].clone();
    let mut bytes = lab.disk.contents(&path).expect("a segment");
    let at = bytes.windows(16).position(|bytes| bytes == first.as_u128().to_le_bytes()).expect("its start");
    bytes[at + 30] ^= 1;
    lab.disk.put(&path, &bytes);
    for print in 2..100 {
        lab.page(print, None, vec![Op::Abandon]);
        lab.turns(1, SECOND);
    }
    lab.turns(120, SECOND);
    assert_eq!(lab.delivered.len(), 98, "all but that one");
    for status in lab.life.sinks.status() {
        assert_eq!((&status.state, status.set_aside, status.backlog), (&SinkState::Running, 1, 0), "{status:?}");
        let aside = lab.life.sinks.set_aside(&status.name).expect("a sink").remove(0);
        assert_eq!((aside.visit, aside.why.as_str()), (first, "unreadable"), "{aside:?}");
        assert!(aside.what.contains("checksum"), "{aside:?}");
    }
    assert!(lab.life.journal().usage().segments < 6, "old segments go: {:?}", lab.life.journal().usage());
    lab.restart();
    lab.turns(3, SECOND);
    assert!(lab.life.sinks.status().iter().all(|status| status.set_aside == 1), "it is still there");
}

struct Webhook(Arc<AtomicBool>, Arc<AtomicU64>);

impl VisitSink for Webhook {
    fn name(&self) -> &str {
        "webhook"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(SinkError::Unavailable { sink: "webhook".into(), what: "down".into(), source: None });
        }
        self.1.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(Delivery::Stored(Kept::All(vec![])))
    }
}

/// A folder that is opened with this sink or that one.
struct Folder {
    plan: Plan,
    disk: SimDisk,
    clock: Arc<SimClock>,
    entropy: Arc<SimEntropy>,
}

impl Folder {
    /// One life: so many visits, and a minute without.
    fn live(&self, sinks: Vec<Box<dyn VisitSink>>, prints: std::ops::Range<u64>) -> Vec<SinkStatus> {
        let opened = open_with(&self.plan, &self.disk, &self.clock, &self.entropy, sinks);
        let (engine, lanes, _) = opened.expect("opened");
        let mut upkeep = Upkeep::default();
        let mut turn = || {
            engine.journal().write_step().expect("written");
            engine.journal().sync_step().expect("synced");
            self.clock.advance(SECOND);
            while lanes.step(engine.now()).worked {}
            upkeep.step(&engine).expect("kept short");
        };
        for print in prints {
            let begun = engine.begin(arrival(print, None, "shop.example")).now().expect("at once").expect("begun");
            drop(engine.commit(commit_of(print, None, "shop.example", &begun, vec![Op::Abandon])));
            turn();
        }
        (0..60).for_each(|_| turn());
        let status = lanes.status();
        self.disk.kill();
        status
    }
}

#[test]
fn the_park_of_a_sink_that_is_left_out_waits_for_it_and_what_it_misses_is_counted() {
    let folder = Folder {
        plan: Plan::plain(Durability::Process),
        disk: SimDisk::new(1),
        clock: Arc::new(SimClock::new(MORNING)),
        entropy: Arc::new(SimEntropy::new(9)),
    };
    let (down, got) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let webhook = || -> Vec<Box<dyn VisitSink>> { vec![Box::new(Webhook(Arc::clone(&down), Arc::clone(&got)))] };
    let status = folder.live(webhook(), 0..20).remove(0);
    assert_eq!(status.parked, 20, "{status:?}");
    // Left out for two lives, in which the journal lets all go that it has.
    for life in 1..3 {
        let status = folder.live(vec![], 100 * life..100 * life + 50).remove(0);
        assert_eq!((status.name.as_str(), &status.state), ("webhook", &SinkState::LeftOut));
        assert_eq!(status.lost_left_out, 50 * life, "{status:?}");
        assert!(status.parked_bytes > 0, "{status:?}");
    }
    down.store(false, Ordering::SeqCst);
    let status = folder.live(webhook(), 300..303).remove(0);
    let got = got.load(Ordering::SeqCst);
    assert!(got >= 23, "what was parked, and what came since it is back: {got}");
    // What no base had let go yet it gets after all.
    assert_eq!(got + status.lost_left_out, 123, "nothing goes without being counted: {status:?}");
    assert!(status.lost_left_out > 80, "{status:?}");
    assert_eq!((status.lost_quota, status.parked, status.backlog), (0, 0, 0), "{status:?}");
    assert_eq!(status.state, SinkState::Running);
}

#[test]
fn a_barrier_is_forgotten_once_the_erasure_is_done() {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    lab.page(1, None, vec![login("alice")]);
    lab.turns(2, SECOND);
    let alice = Subject::User(UserId::new("alice"));
    let nothing = FoundVisits::default();
    let begun = lab.life.engine.begin_erasure(&Whose::of(alice.clone()), &nothing).expect("it begins");
    assert_eq!(lab.life.engine.ended().barriers(), 1);
    lab.turns(60, SECOND);
    assert!(lab.life.sinks.without(begun.below).is_empty());
    // Each release begins a segment, and with it a base.
    lab.life.engine.release_journal(&begun, &nothing);
    lab.turns(10, SECOND);
    lab.life.engine.finish_erasure(&alice);
    assert_eq!(lab.life.engine.ended().barriers(), 0, "it has done its work");
    lab.turns(10, SECOND);
    lab.restart();
    assert_eq!(lab.life.engine.ended().barriers(), 0, "and no base repeats it");
}

#[test]
fn ends_of_many_threads_are_told_in_the_order_of_the_journal_and_before_they_are_synced() {
    const THREADS: u64 = 4;
    const EACH: u64 = 1_500;
    let lab = Lab::new(Plan { unwritten_bytes_max: 1 << 30, ..Plan::plain(Durability::Process) });
    let engine = &lab.life.engine;
    let visits: Vec<_> = (0..THREADS * EACH)
        .map(|print| {
            let begun = engine.begin(arrival(print, None, "shop.example")).now().expect("at once").expect("begun");
            let mut done = engine.commit(commit_of(print, None, "shop.example", &begun, vec![]));
            done.decided().and_then(|done| done.as_ref().ok()?.visit).or_else(|| done.poll_now()?.ok()?.visit)
        })
        .collect();
    let ended = AtomicU64::new(0);
    let stream = engine.ended().streams()[0];
    let mut seen = 0;
    std::thread::scope(|scope| {
        for visits in visits.chunks(EACH as usize) {
            let ended = &ended;
            scope.spawn(move || {
                for visit in visits {
                    let visit = visit.expect("started");
                    drop(engine.end_session(visit).expect("taken"));
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut after = Lsn::NONE;
        while seen < THREADS * EACH {
            let is_last = ended.load(Ordering::SeqCst) == THREADS * EACH;
            engine.journal().write_step().expect("written");
            engine.journal().sync_step().expect("synced");
            let found = engine.ended().read(stream, after, Most { visits: 100_000, bytes: u64::MAX });
            seen += found.len() as u64;
            after = found.last().map_or(after, |found| found.end);
            assert!(!is_last || seen == THREADS * EACH, "an End came behind a newer one, and was skipped");
        }
    });
}
