//! The driver over the real journal, on a disk that crashes: seeded lives of appending, syncing, delivering, parking,
//! collecting, and dying.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use visitlog_core::VisitId;
use visitlog_core::model::Entry;
use visitlog_core::ports::Disk;
use visitlog_testkit::{Dice, SimDisk};

use super::crash_tests::Gate;
use super::*;
use crate::testing::{feed_of, written};
use visitlog_engine::journal::{Ack, BaseItem, Config, Flags, Journal, Kind};
use visitlog_engine::{Ledger, LedgerSettings, PendingEnd};
use visitlog_testkit::memory_source::closed_at;
use visitlog_testkit::samples::{MORNING, chain, id};

/// What happened, to show that it did.
#[derive(Debug, Default)]
struct Probes {
    collected: usize,
    parked: u64,
    redone: usize,
    lost: u64,
}

struct Life {
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    lanes: Lanes,
    is_shut: Arc<AtomicBool>,
    now: Timestamp,
}

fn settings() -> LaneSettings {
    LaneSettings {
        batch_visits_max: 5,
        retry_max: Duration::from_secs(1),
        park_after: Duration::from_secs(20),
        held_bytes_max: 20_000,
        ..LaneSettings::default()
    }
}

impl Life {
    /// Starts on what a former life left; tells which visits' ends are there.
    fn start(disk: &SimDisk, now: Timestamp, sees_unsynced: bool) -> (Self, Vec<VisitId>) {
        let config = Config { segment_bytes: 8 * 1024, ..Config::default() };
        let (mut acks, mut firsts, mut ends) = (HashMap::new(), HashMap::new(), Vec::new());
        let enter = |acks: &mut HashMap<String, Ack>, ack: Ack| drop(acks.insert(ack.sink.clone(), ack));
        let opened = Journal::open(Arc::new(disk.clone()), Path::new("data"), config, 7, |record| match record.kind {
            Kind::Ack => enter(&mut acks, record.ack().expect("an ack")),
            Kind::Base => record.base().expect("a base").into_iter().for_each(|item| match item {
                BaseItem::Ack(ack) => enter(&mut acks, ack),
                other => panic!("an ack expected, {other:?} found"),
            }),
            Kind::Start => drop(firsts.insert(record.visit, record.lsn)),
            Kind::End => {
                if let Some(first) = firsts.get(&record.visit) {
                    ends.push(PendingEnd { end: record.lsn, first: *first, visit: record.visit, events: 2 });
                }
            }
            _ => {}
        });
        let journal = Arc::new(opened.expect("a journal that a crash left").0);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let found = ends.iter().map(|end| end.visit).collect();
        let reading = LedgerSettings { sees_unsynced, ..LedgerSettings::default() };
        let ledger = Arc::new(Ledger::new(Arc::clone(&journal), reading, acks.into_values(), ends));
        let is_shut = Arc::new(AtomicBool::new(false));
        let gate = Gate(NdjsonSink::new(Arc::clone(&shared), "data"), Arc::clone(&is_shut));
        let feed = feed_of(Arc::clone(&ledger) as _, shared);
        let lanes = Lanes::open(&feed, &settings(), vec![Box::new(gate)]).expect("one sink");
        (Self { journal, ledger, lanes, is_shut, now }, found)
    }

    fn append(&self, n: u64) {
        let visit = id(n);
        let mut appender = self.journal.appender();
        let (mut first, mut prev) = (Lsn::NONE, Lsn::NONE);
        for entry in chain(n, closed_at(n)) {
            prev = appender.append(visit, prev, Flags::NONE, &entry);
            first = if first.is_some() { first } else { prev };
            if let Entry::End(_) = entry {
                self.ledger.push(PendingEnd { end: prev, first, visit, events: 2 });
            }
        }
    }

    fn collect(&self) -> usize {
        if self.journal.base_due() {
            let base = self.journal.begin_base();
            self.ledger.append_base();
            self.journal.finish_base(base);
        }
        let bound = self.journal.appended();
        self.journal.collect(self.ledger.oldest_needed().unwrap_or(bound).min(bound)).expect("a working disk")
    }

    fn step(&mut self, dice: &Dice, n: &mut u64, probes: &mut Probes) {
        self.now = self.now.after(Duration::from_millis(dice.below(800)));
        match dice.below(12) {
            0..=3 => {
                self.append(*n);
                *n += 1;
            }
            4 | 5 => drop(self.journal.write_step().expect("a working disk")),
            6 => drop(self.journal.sync_step().expect("a working disk")),
            7 => probes.collected += self.collect(),
            8 if dice.below(20) == 0 => drop(self.is_shut.fetch_xor(true, Ordering::Relaxed)),
            _ => drop(self.lanes.step(self.now)),
        }
        let status = self.lanes.status().remove(0);
        assert!(!matches!(status.state, SinkState::Stopped { .. }), "{status:?}");
        probes.parked += status.parked;
        assert_eq!(status.lost_quota, 0);
    }

    fn finish(&mut self) {
        self.is_shut.store(false, Ordering::Relaxed);
        for _ in 0..200 {
            self.now = self.now.after(Duration::from_secs(1));
            self.journal.write_step().expect("a working disk");
            self.journal.sync_step().expect("a working disk");
            self.lanes.step(self.now);
        }
        let status = self.lanes.status().remove(0);
        assert_eq!((&status.state, status.backlog), (&SinkState::Running, 0), "{status:?}");
    }
}

fn run(seed: u64, sees_unsynced: bool, probes: &mut Probes) {
    let dice = Dice::new(seed);
    let disk = SimDisk::with_page_bytes(seed, 64);
    Disk::create_dir_all(&disk, Path::new("data")).expect("a folder");
    Disk::sync_dir(&disk, Path::new("")).expect("a folder");
    let (mut n, mut now) = (0, MORNING);
    let mut survived = BTreeSet::new();
    for _ in 0..6 {
        let (mut life, found) = Life::start(&disk, now, sees_unsynced);
        probes.redone += found.len();
        survived.extend(found);
        let steps = dice.below(400);
        (0..steps).for_each(|_| life.step(&dice, &mut n, probes));
        now = life.now;
        drop(life);
        if dice.below(2) == 0 { disk.power_cut() } else { disk.kill() }
    }
    let (mut life, found) = Life::start(&disk, now, sees_unsynced);
    survived.extend(found);
    life.finish();
    let written = written(&disk, "data");
    assert!(written.is_sorted_by(|a, b| a < b), "seed {seed}: each once, in the order of the journal: {written:?}");
    let written: BTreeSet<_> = written.into_iter().collect();
    let missing: Vec<_> = survived.difference(&written).collect();
    assert!(missing.is_empty(), "seed {seed}: in the journal, but not delivered: {missing:?}");
    probes.lost += n - written.len() as u64;
}

#[test]
fn once_over_the_real_journal_whatever_crashes() {
    let mut probes = Probes::default();
    (0..24).for_each(|seed| run(seed, false, &mut probes));
    let Probes { collected, parked, redone, lost } = probes;
    assert!(collected > 0 && parked > 0 && redone > 0 && lost > 0, "{probes:?}");
}

#[test]
fn a_driver_that_delivers_what_is_not_synced_is_found_out() {
    let fails = |seed| catch_unwind(|| run(seed, true, &mut Probes::default())).is_err();
    assert!((0..24).any(fails), "no test would notice");
}
