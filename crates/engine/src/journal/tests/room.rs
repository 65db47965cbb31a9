//! The journal's folder, and the disk that it is on: power cuts, want of descriptors, want of room.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::Lsn;
use visitlog_core::ports::{Disk, StoreError};
use visitlog_testkit::{DiskCall, DiskFaults, SimDisk};

use super::support::{append, append_chains, config, dir, moment, open, page, settle, try_open, visit};
use crate::journal::{Ack, BaseItem, Config, Flags, Journal, Kind};

#[test]
fn a_power_cut_takes_no_folder_that_a_new_journal_stands_in() {
    for (seed, is_interrupted) in (0..40).zip([true, false].into_iter().cycle()) {
        let disk = SimDisk::new(seed);
        if is_interrupted {
            // The folders are there already when the next start comes.
            disk.fail(DiskCall::Write, 0, 1, io::ErrorKind::Other);
            try_open(&disk, &config(4_000)).expect_err("told to fail");
            disk.kill();
        }
        let (journal, ..) = open(&disk, &config(4_000));
        append_chains(&journal, 2, 2);
        settle(&journal);
        disk.power_cut();
        assert_eq!(disk.probes().lost_folders, 0);
        let (_, recovered, kept) = open(&disk, &config(4_000));
        assert!(!recovered.created, "seed {seed}: the journal is gone");
        assert_eq!(kept.iter().filter(|record| record.kind == Kind::End).count(), 2);
    }
}

#[test]
fn want_of_descriptors_is_no_failed_sync() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(4_000));
    append_chains(&journal, 20, 10);
    journal.write_step().expect("written");
    disk.set_faults(DiskFaults { open: 1.0, ..DiskFaults::default() });
    assert!(disk.open_dir(dir()).is_err());
    assert!(journal.sync_step().expect("the folder is open since the start"));
    disk.heal();
    let base = journal.begin_base();
    journal.appender().append_base(&[BaseItem::Time(moment(1))]);
    journal.finish_base(base);
    settle(&journal);
    disk.set_faults(DiskFaults { open: 1.0, ..DiskFaults::default() });
    assert!(journal.collect(Lsn(u64::MAX)).expect("collected") > 1);
    // A new segment waits for a descriptor as it would for room.
    append_chains(&journal, 20, 10);
    journal.write_step().expect_err("no descriptor");
    disk.heal();
    settle(&journal);
    assert_eq!(journal.poisoned(), None);
}

const RESERVE: u64 = 16_000;

fn with_reserve(disk: &SimDisk) -> (Arc<Journal>, Config) {
    let config = Config { reserve_bytes: RESERVE, ..config(4_000) };
    let (journal, ..) = open(disk, &config);
    assert!(journal.keep_reserve(moment(0)));
    (journal, config)
}

#[test]
fn a_full_disk_gets_the_reserve_and_gives_it_back() {
    let disk = SimDisk::new(1);
    let (journal, _) = with_reserve(&disk);
    append_chains(&journal, 30, 10);
    settle(&journal);
    disk.set_capacity(Some(disk.used()));
    let share = RESERVE / 4;
    let mut taken = 0;
    while journal.check().is_ok() {
        let from = append(&journal, visit(1), Lsn::NONE, &page(1)).0;
        taken += journal.appended().0 - from;
        journal.write_step().expect("the reserve's room");
        assert!(journal.is_on_reserve());
    }
    assert!((share..2 * share).contains(&taken), "traffic has a quarter of it, not {taken} of {RESERVE}");
    assert_eq!(journal.check(), Err(StoreError::Unavailable { reason: "the disk is full" }));
    assert!(!journal.keep_reserve(moment(5)), "there is no room for it");
    assert!(journal.room_for_maintenance() > 0);
    while journal.room_for_maintenance() > 0 {
        journal.appender().append_raw(visit(2), Lsn::NONE, Flags::CARRIED, Kind::Event, &[0; 500]);
        journal.write_step().expect("the reserve's room");
    }
    // Bases and acknowledgements have the rest.
    let base = journal.begin_base();
    journal.appender().append_base(&[BaseItem::Time(moment(1))]);
    journal.finish_base(base);
    journal.appender().append_ack(&Ack { sink: "file".to_owned(), lsn: Lsn(64), place: Vec::new() });
    settle(&journal);
    assert!(journal.collect(Lsn(u64::MAX)).expect("collected") > 5);
    assert!(!journal.keep_reserve(moment(6)), "not so soon again");
    assert!(journal.keep_reserve(moment(10)));
    assert!(!journal.is_on_reserve());
    assert_eq!(journal.check(), Ok(()));
    assert!(journal.room_for_maintenance() > share);
    append_chains(&journal, 3, 3);
    settle(&journal);
}

#[test]
fn a_journal_opens_on_a_full_disk_by_its_reserve() {
    let disk = SimDisk::new(1);
    let (journal, config) = with_reserve(&disk);
    append_chains(&journal, 3, 3);
    settle(&journal);
    drop(journal);
    disk.set_capacity(Some(disk.used()));
    let (journal, recovered, _) = open(&disk, &config);
    assert_eq!(recovered.cut, None);
    assert!(journal.is_on_reserve());
    append(&journal, visit(9), Lsn::NONE, &page(1));
    settle(&journal);
    disk.set_capacity(None);
    assert!(journal.keep_reserve(moment(10)));
    drop(journal);
    let (journal, ..) = open(&disk, &config);
    assert!(journal.keep_reserve(moment(0)) && !journal.is_on_reserve(), "it was found");
}

#[test]
fn a_reserve_that_can_not_be_made_fills_no_disk() {
    let disk = SimDisk::new(1);
    let config = Config { reserve_bytes: RESERVE, ..config(4_000) };
    let (journal, ..) = open(&disk, &config);
    settle(&journal);
    let used = disk.used();
    disk.set_capacity(Some(used + RESERVE / 2));
    assert!(!journal.keep_reserve(moment(0)));
    assert_eq!(disk.used(), used, "nothing of it is left");
    disk.set_capacity(Some(used + 2 * RESERVE));
    assert!(!journal.keep_reserve(moment(4)));
    assert!(journal.keep_reserve(moment(5)));
    assert_eq!(disk.used(), used + RESERVE);
    disk.fail(DiskCall::Write, 0, 1, io::ErrorKind::StorageFull);
    append(&journal, visit(9), Lsn::NONE, &page(1));
    journal.write_step().expect("the reserve's room");
    assert_eq!(disk.contents(&dir().join("reserve")).map(|bytes| bytes.len()), Some(RESERVE as usize / 8 * 7));
    assert!(journal.keep_reserve(moment(10)));
    // A power cut may bring back, or take, what was not synced; whichever, it is made whole again.
    disk.fail(DiskCall::Write, 0, 1, io::ErrorKind::StorageFull);
    append(&journal, visit(9), Lsn::NONE, &page(1));
    journal.write_step().expect("the reserve's room");
    disk.power_cut();
    let (journal, ..) = open(&disk, &config);
    assert!(journal.keep_reserve(moment(0).after(Duration::from_secs(60))));
    assert_eq!(disk.contents(&dir().join("reserve")).map(|bytes| bytes.len() as u64), Some(RESERVE));
}
