//! Random lives of a journal on a disk that fails, against a list in memory.

use std::collections::{BTreeMap, HashMap};
use std::io;

use visitlog_core::model::Entry;
use visitlog_core::{Lsn, VisitId};
use visitlog_testkit::{Dice, DiskCall, DiskFaults, DiskProbes, SimDisk};

use super::support::{Kept, config, open, page, try_open, visit};
use crate::journal::{BaseItem, Config, Flags, Journal, Kind};

/// What must have survived.
#[derive(Debug, Clone, PartialEq)]
struct Written {
    visit: VisitId,
    prev: Lsn,
    entry: Entry,
}

/// What a run has reached.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) disk: DiskProbes,
    pub(super) cuts: u64,
    pub(super) rolls: u64,
    pub(super) collected: u64,
    pub(super) poisoned: u64,
    pub(super) stalled: u64,
    pub(super) leftovers: u64,
}

struct Model {
    dice: Dice,
    disk: SimDisk,
    config: Config,
    log: BTreeMap<u64, Written>,
    heads: HashMap<VisitId, Lsn>,
    bases: u64,
    /// The number of the last base that must be found.
    base_floor: u64,
    next: u64,
    reached: Reached,
}

/// Lives through one seed.
///
/// # Errors
/// What was violated.
pub(super) fn run(seed: u64, mut config: Config, lives: u64) -> Result<Reached, String> {
    let dice = Dice::new(seed);
    config.segment_bytes = 600 + dice.below(3_000);
    let mut model = Model {
        disk: SimDisk::with_page_bytes(seed, [512, 512, 1024, 4096][dice.below(4) as usize]),
        dice,
        config,
        log: BTreeMap::new(),
        heads: HashMap::new(),
        bases: 0,
        base_floor: 0,
        next: 0,
        reached: Reached::default(),
    };
    for _ in 0..lives {
        model.live().map_err(|what| format!("seed {seed}: {what}"))?;
    }
    model.reached.disk = model.disk.probes();
    Ok(model.reached)
}

impl Model {
    fn live(&mut self) -> Result<(), String> {
        if self.dice.below(4) == 0 {
            // A life that dies while it opens the journal.
            let call =
                [DiskCall::Write, DiskCall::Sync, DiskCall::SyncDir, DiskCall::Open][self.dice.below(4) as usize];
            self.disk.fail(call, self.dice.below(4) as u32, 1, io::ErrorKind::Other);
            if let Ok((journal, recovered, kept)) = try_open(&self.disk, &self.config) {
                self.compare(recovered.end, journal.oldest(), &kept)?;
                self.forget(recovered.end);
            }
            self.die();
        }
        self.disk.heal();
        let (journal, recovered, kept) = try_open(&self.disk, &self.config).map_err(|error| error.to_string())?;
        self.compare(recovered.end, journal.oldest(), &kept)?;
        self.forget(recovered.end);
        self.set_faults();
        let (mut bases, mut known_synced) = (Vec::new(), Lsn::NONE);
        for _ in 0..self.dice.below(120) {
            self.step(&journal, &mut bases)?;
            if journal.synced() < known_synced {
                return Err("what is synced went back".to_owned());
            }
            known_synced = journal.synced();
        }
        self.reached.poisoned += u64::from(journal.poisoned().is_some());
        let synced = journal.synced();
        let durable = bases.iter().filter(|(_, end)| *end <= synced).map(|(number, _)| *number).max();
        self.base_floor = self.base_floor.max(durable.unwrap_or(0));
        let (written, synced) = (journal.written(), journal.synced());
        if self.dice.below(3) == 0 {
            self.disk.kill();
            self.check_floor(written)
        } else {
            self.die();
            self.check_floor(synced)
        }
    }

    fn set_faults(&self) {
        let chance = |n| if self.dice.below(n) == 0 { 0.15 } else { 0.0 };
        self.disk.set_faults(DiskFaults {
            write: chance(4),
            full: chance(4),
            sync: chance(8),
            ..DiskFaults::default()
        });
        self.disk.set_capacity((self.dice.below(6) == 0).then(|| self.disk.used() + self.dice.below(8_000)));
    }

    fn die(&mut self) {
        if self.dice.below(5) == 0 {
            self.disk.kill();
        }
        self.disk.power_cut();
    }

    /// Opens once more, changes nothing, and looks whether what must be there is.
    fn check_floor(&mut self, floor: Lsn) -> Result<(), String> {
        self.disk.heal();
        let (journal, recovered, kept) = try_open(&self.disk, &self.config).map_err(|error| error.to_string())?;
        self.reached.cuts += u64::from(recovered.cut.is_some());
        self.reached.leftovers += recovered.removed.len() as u64;
        if recovered.end < floor {
            return Err(format!("ends at {} though {floor} was promised: {:?}", recovered.end, recovered.cut));
        }
        self.compare(recovered.end, journal.oldest(), &kept)?;
        let newest = kept.iter().filter_map(base_number).max().unwrap_or(0);
        if newest < self.base_floor {
            return Err(format!("base {} was synced, {newest} is the newest found", self.base_floor));
        }
        self.base_floor = newest;
        self.forget(recovered.end);
        // What was recovered counts as synced from now on.
        if self.dice.below(2) == 0 {
            self.disk.power_cut();
            let (_, again, _) = open(&self.disk, &self.config);
            if again.end < recovered.end {
                return Err(format!("recovered up to {}, then only {}", recovered.end, again.end));
            }
        }
        Ok(())
    }

    /// All records that were appended and not collected stand below `end`, and no others do.
    fn compare(&self, end: Lsn, oldest: Lsn, kept: &[Kept]) -> Result<(), String> {
        let found: BTreeMap<u64, Written> = kept
            .iter()
            .filter(|record| !matches!(record.kind, Kind::Base | Kind::Synced | Kind::Ack))
            .map(|record| {
                let entry = crate::journal::codec::decode(record.kind, &record.payload).expect("it was written");
                (record.lsn, Written { visit: record.visit, prev: record.prev, entry })
            })
            .collect();
        for (lsn, written) in self.log.range(oldest.0..end.0) {
            if found.get(lsn) != Some(written) {
                return Err(format!("the record at {lsn} is lost or changed"));
            }
        }
        match found.iter().find(|(lsn, written)| self.log.get(lsn) != Some(written)) {
            Some((lsn, _)) => Err(format!("a record at {lsn} came from nowhere")),
            None => Ok(()),
        }
    }

    /// The journal was cut.
    fn forget(&mut self, end: Lsn) {
        self.log.retain(|lsn, _| *lsn < end.0);
        self.heads.clear();
        for (lsn, written) in &self.log {
            self.heads.insert(written.visit, Lsn(*lsn));
        }
    }

    fn step(&mut self, journal: &Journal, bases: &mut Vec<(u64, Lsn)>) -> Result<(), String> {
        match self.dice.below(20) {
            0..=8 => self.append(journal),
            9..=12 => {
                let segments = journal.usage().segments;
                let wrote = journal.write_step();
                self.reached.stalled += u64::from(wrote.is_err() && journal.poisoned().is_none());
                self.reached.rolls += (journal.usage().segments - segments) as u64;
            }
            13..=14 => {
                let _ = journal.sync_step();
            }
            15 if journal.base_due() && journal.poisoned().is_none() => {
                self.bases += 1;
                let start = journal.begin_base();
                let items: Vec<BaseItem> = (0..3).map(|_| BaseItem::Site(self.bases.to_string())).collect();
                journal.appender().append_base(&items);
                journal.finish_base(start);
                bases.push((self.bases, journal.appended()));
            }
            16 => {
                let at = self.dice.below(journal.appended().0 + 1);
                let bound = self.log.range(at..).next().map_or(journal.appended(), |(lsn, _)| Lsn(*lsn));
                let before = journal.oldest();
                let removed = journal.collect(bound).map_err(|error| error.to_string())?;
                if journal.oldest() > bound.max(before) {
                    return Err(format!("collected up to {} though {bound} is needed", journal.oldest()));
                }
                self.reached.collected += removed as u64;
            }
            _ => self.read(journal)?,
        }
        Ok(())
    }

    fn append(&mut self, journal: &Journal) {
        if journal.check().is_err() {
            return;
        }
        let mut appender = journal.appender();
        for _ in 0..=self.dice.below(4) {
            let visit = visit(self.dice.below(8));
            self.next += 1;
            let entry = match self.dice.below(3) {
                0 => super::support::touch(self.next),
                1 => super::support::start(self.next),
                _ => page(self.next),
            };
            let prev = self.heads.get(&visit).copied().unwrap_or_default();
            let lsn = appender.append(visit, prev, Flags::NONE, &entry);
            self.heads.insert(visit, lsn);
            self.log.insert(lsn.0, Written { visit, prev, entry });
        }
    }

    /// Reads all chains, as far as they are not collected.
    fn read(&self, journal: &Journal) -> Result<(), String> {
        let oldest = journal.oldest();
        let mut asked = Vec::new();
        let mut expected = Vec::new();
        for (visit, head) in &self.heads {
            let mut chain = Vec::new();
            let (mut next, mut first) = (*head, Lsn::NONE);
            while next.is_some() {
                first = next;
                let written = self.log.get(&next.0).ok_or_else(|| format!("{next} is not in the model"))?;
                if !matches!(written.entry, Entry::Set { .. } | Entry::Touch { .. }) {
                    chain.push((next, written.entry.clone()));
                }
                next = written.prev;
            }
            chain.reverse();
            if first >= oldest {
                asked.push((*visit, *head));
                expected.push(chain);
            }
        }
        for ((visit, head), (chain, expected)) in
            asked.iter().zip(journal.read_chains(&asked, usize::MAX).into_iter().zip(expected))
        {
            let swept = chain.map_err(|error| error.to_string())?;
            let alone = journal.read_chain(*visit, *head).map_err(|error| error.to_string())?;
            let swept: Vec<(Lsn, Entry)> = swept.into_iter().map(|read| (read.lsn, read.entry)).collect();
            let alone: Vec<(Lsn, Entry)> = alone.into_iter().map(|read| (read.lsn, read.entry)).collect();
            if swept != expected || alone != expected {
                return Err(format!("the chain of {visit} reads otherwise than it was written"));
            }
        }
        Ok(())
    }
}

fn base_number(record: &Kept) -> Option<u64> {
    if record.kind != Kind::Base {
        return None;
    }
    let items = crate::journal::meta::take_base(&record.payload).expect("it was written");
    items.iter().find_map(|item| match item {
        BaseItem::Site(number) => number.parse().ok(),
        _ => None,
    })
}

#[test]
fn random_lives_keep_every_promise() {
    let mut all = Reached::default();
    let mut disk = [0; 8];
    for seed in 0..60 {
        let reached = run(seed, config(0), 6).unwrap_or_else(|what| panic!("{what}"));
        let probes = reached.disk;
        let counts = [
            probes.torn_pages,
            probes.reordered,
            probes.lost_creations,
            probes.failed_syncs,
            probes.failed_dir_syncs,
            probes.lost_dropped_pages,
            probes.full,
            probes.partial_writes,
        ];
        for (sum, count) in disk.iter_mut().zip(counts) {
            *sum += count;
        }
        all.cuts += reached.cuts;
        all.rolls += reached.rolls;
        all.collected += reached.collected;
        all.poisoned += reached.poisoned;
        all.stalled += reached.stalled;
        all.leftovers += reached.leftovers;
    }
    let engine = [all.cuts, all.rolls, all.collected, all.poisoned, all.stalled, all.leftovers];
    assert!(disk.iter().chain(&engine).all(|count| *count > 0), "every scary state is reached: {disk:?} {all:?}");
}

/// Each rule that can be switched off is missed by some seed. (The epoch in the checksum: see `recovery`.)
#[cfg(feature = "mutations")]
#[test]
fn every_broken_rule_is_noticed() {
    use crate::journal::Mutations;
    let none = Mutations::default();
    for (mutations, seeds) in [
        (Mutations { no_dir_sync: true, ..none }, 100),
        (Mutations { no_collection_bound: true, ..none }, 100),
        (Mutations { no_sync_at_open: true, ..none }, 1_000),
    ] {
        let noticed = (0..seeds).find(|seed| run(*seed, Config { mutations, ..config(0) }, 6).is_err());
        assert!(noticed.is_some(), "no seed below {seeds} notices {mutations:?}");
    }
}
