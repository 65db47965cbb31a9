//! What opening makes of torn, damaged and leftover segments.

use std::collections::BTreeSet;

use visitlog_core::Lsn;
use visitlog_testkit::{DiskCall, SimDisk};

use super::support::{
    Kept, append, append_chains, config, dir, open, page, segment_path, settle, touch, try_open, visit,
};
use crate::journal::format::{FIRST_LSN, HEADER_LEN, RECORD_LEN_MIN};
use crate::journal::{Config, Fault, Flags, Journal, JournalError, Kind};

/// A journal of one segment: chains that are synced, then touches that are not, and no mark behind them.
fn half_synced() -> (SimDisk, Vec<Kept>, Lsn) {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    append_chains(&journal, 3, 2);
    settle(&journal);
    let mark = journal.synced();
    for n in 0..8 {
        append(&journal, visit(9), Lsn::NONE, &touch(n));
    }
    journal.write_step().expect("written");
    drop(journal);
    disk.kill();
    let copy = SimDisk::new(2);
    copy.put(&segment_path(64), &disk.contents(&segment_path(64)).expect("there"));
    let (_, _, kept) = open(&copy, &config(1 << 20));
    (disk, kept, mark)
}

fn session_records(kept: &[Kept]) -> Vec<Kept> {
    kept.iter().filter(|record| record.kind != Kind::Synced).cloned().collect()
}

#[test]
fn a_new_journal_is_empty_and_found_again() {
    let disk = SimDisk::new(1);
    let (journal, recovered, kept) = open(&disk, &config(1 << 20));
    assert!(recovered.created && kept.is_empty());
    assert_eq!((recovered.end, recovered.epoch, journal.oldest()), (FIRST_LSN, 1, FIRST_LSN));
    drop(journal);
    disk.power_cut();
    let (journal, recovered, kept) = open(&disk, &config(1 << 20));
    assert!(!recovered.created && kept.is_empty(), "made durably before it is used");
    assert_eq!((recovered.uuid, recovered.epoch, recovered.cut), (super::support::UUID, 2, None));
    assert_eq!(journal.usage().segments, 1);
}

#[test]
fn a_journal_whose_making_was_interrupted_is_made_again() {
    let disk = SimDisk::new(1);
    disk.put(&segment_path(64), &[]);
    assert!(open(&disk, &config(1 << 20)).1.created);
    let disk = SimDisk::new(1);
    disk.put(&segment_path(64), &[0; 64]);
    assert!(open(&disk, &config(1 << 20)).1.created);
}

#[test]
fn a_file_cut_at_any_byte_loses_only_what_was_there() {
    let (disk, kept, mark) = half_synced();
    let bytes = disk.contents(&segment_path(64)).expect("there");
    let mut ends: BTreeSet<u64> = kept.iter().map(|record| record.lsn).collect();
    ends.insert(kept.last().map(|last| last.lsn + RECORD_LEN_MIN as u64 + last.payload.len() as u64).expect("some"));
    let last_mark = kept.iter().rposition(|record| record.kind == Kind::Synced).expect("a mark");
    let behind_mark = kept[last_mark + 1].lsn;
    for len in HEADER_LEN as usize..=bytes.len() {
        let disk = SimDisk::new(1);
        disk.put(&segment_path(64), &bytes[..len]);
        let end = FIRST_LSN.0 + len as u64 - HEADER_LEN;
        let expected = *ends.range(..=end).next_back().expect("the first");
        let (journal, recovered, found) = open(&disk, &config(1 << 20));
        assert_eq!(recovered.end, Lsn(expected), "cut to {len} bytes");
        assert_eq!(recovered.cut.is_some(), expected != end, "cut to {len} bytes");
        assert_eq!(found, kept.iter().filter(|record| record.lsn < expected).cloned().collect::<Vec<_>>());
        if end >= behind_mark {
            assert_eq!(recovered.mark, mark);
        }
        append(&journal, visit(50), Lsn::NONE, &page(1));
        settle(&journal);
        let (_, again, found) = open(&disk, &config(1 << 20));
        assert_eq!((again.cut, found.last().map(|last| last.kind)), (None, Some(Kind::Synced)), "cut to {len} bytes");
        assert!(found.iter().any(|record| record.visit == visit(50)));
    }
}

#[test]
fn a_file_cut_below_the_mark_of_a_later_segment_is_damage() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    append_chains(&journal, 10, 3);
    settle(&journal);
    let bytes = disk.contents(&segment_path(64)).expect("there");
    disk.put(&segment_path(64), &bytes[..bytes.len() - 1]);
    let error = try_open(&disk, &config(2_000)).expect_err("damage");
    let JournalError::Corrupt(corrupt) = error else { panic!("{error}") };
    assert_eq!(corrupt.segment, FIRST_LSN);
    assert!(matches!(corrupt.fault, Fault::Length { .. } | Fault::Missing { .. }), "{corrupt}");
}

#[test]
fn a_file_named_for_the_last_position_of_all_loses_nothing() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    append_chains(&journal, 2, 1);
    settle(&journal);
    drop(journal);
    disk.put(&segment_path(u64::MAX), &[7; 200]);
    let (_, recovered, kept) = open(&disk, &config(1 << 20));
    assert_eq!((recovered.removed, session_records(&kept).len()), (vec![segment_path(u64::MAX)], 6));
}

#[test]
fn a_mark_beyond_its_own_record_is_none() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    append_chains(&journal, 3, 2);
    settle(&journal);
    let mark = journal.synced();
    journal.append_synced(Lsn(1 << 40));
    append(&journal, visit(9), Lsn::NONE, &touch(1));
    while journal.write_step().expect("written") {}
    drop(journal);
    let bytes = disk.contents(&segment_path(64)).expect("there");
    disk.put(&segment_path(64), &bytes[..bytes.len() - 1]);
    let (_, recovered, _) = open(&disk, &config(1 << 20));
    assert_eq!(recovered.mark, mark);
    assert!(recovered.cut.is_some(), "what it calls synced was never written, so its loss is no damage");
}

#[test]
fn a_flipped_bit_below_the_mark_is_an_error_that_names_it_and_above_it_cuts() {
    let (disk, kept, mark) = half_synced();
    let bytes = disk.contents(&segment_path(64)).expect("there");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let disk = SimDisk::new(1);
        disk.put(&segment_path(64), &damaged);
        let result = try_open(&disk, &config(1 << 20));
        let lsn = (FIRST_LSN.0 + at as u64).saturating_sub(HEADER_LEN);
        let hit = kept.iter().rev().find(|record| record.lsn <= lsn).map_or(0, |record| record.lsn);
        if at < HEADER_LEN as usize || hit < mark.0 {
            let JournalError::Corrupt(corrupt) = result.expect_err("damage") else { panic!("byte {at}") };
            let record_byte = if at < HEADER_LEN as usize { 0 } else { HEADER_LEN + hit - FIRST_LSN.0 };
            assert_eq!((corrupt.segment, corrupt.byte), (FIRST_LSN, record_byte), "byte {at}");
            assert!(corrupt.to_string().starts_with(&format!("segment 64 at byte {record_byte}: ")), "{corrupt}");
        } else {
            let (_, recovered, found) = result.expect("cut");
            assert_eq!(recovered.end, Lsn(hit), "byte {at}");
            assert_eq!(recovered.cut.map(|cut| cut.byte), Some(HEADER_LEN + hit - FIRST_LSN.0), "byte {at}");
            assert!(found.iter().all(|record| record.lsn < hit));
        }
    }
}

#[test]
fn the_message_says_what_was_expected_and_what_was_found() {
    let (disk, ..) = half_synced();
    let mut bytes = disk.contents(&segment_path(64)).expect("there");
    bytes[HEADER_LEN as usize + 50] ^= 0xff;
    disk.put(&segment_path(64), &bytes);
    let message = try_open(&disk, &config(1 << 20)).expect_err("damage").to_string();
    let (place, fault) = message.split_once(": ").expect("a place");
    assert_eq!(place, "segment 64 at byte 64");
    assert!(
        fault.starts_with("checksum 0x") && fault.contains(" expected, 0x") && fault.ends_with(" found"),
        "{fault}"
    );
}

#[test]
fn garbage_behind_the_end_is_cut_off() {
    let (disk, kept, _) = half_synced();
    let bytes = disk.contents(&segment_path(64)).expect("there");
    for garbage in [&[0; 100][..], &[0xff; 100], &[42, 0, 0, 0, 1], &bytes[64..300]] {
        let disk = SimDisk::new(1);
        disk.put(&segment_path(64), &[&bytes[..], garbage].concat());
        let (journal, recovered, found) = open(&disk, &config(1 << 20));
        assert!(recovered.cut.is_some());
        assert_eq!(found, kept);
        append(&journal, visit(50), Lsn::NONE, &page(1));
        settle(&journal);
        let (_, again, found) = open(&disk, &config(1 << 20));
        assert_eq!(again.cut, None, "the garbage is behind the old segment's extent");
        assert_eq!(session_records(&found).len(), session_records(&kept).len() + 1);
    }
}

/// A segment's file is left over from an earlier life, and its records stand exactly where the new life's end.
fn leftover_of_an_earlier_life(config: &Config) -> Result<(), String> {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, config);
    let same_size = |journal: &Journal, n: u64| {
        journal.appender().append_raw(visit(n), Lsn::NONE, Flags::NONE, Kind::Touch, &[n as u8; 8])
    };
    while journal.usage().segments < 2 {
        same_size(&journal, 1);
        journal.write_step().map_err(|error| error.to_string())?;
    }
    let first = journal.appended().0 - 50;
    for n in 2..30 {
        same_size(&journal, n);
    }
    journal.write_step().map_err(|error| error.to_string())?;
    drop(journal);
    // A power cut: the new segment's first sector did not get to the disk, what stands behind it did.
    disk.kill();
    let mut bytes = disk.contents(&segment_path(first)).ok_or("no second segment")?;
    bytes[..512].fill(0);
    disk.put(&segment_path(first), &bytes);
    let (journal, recovered, _) = try_open(&disk, config).map_err(|error| error.to_string())?;
    assert_eq!((recovered.end, recovered.epoch), (Lsn(first), 2));
    // This life overwrites the lost sector and a bit more, and crashes.
    for n in 100..112 {
        same_size(&journal, n);
    }
    journal.write_step().map_err(|error| error.to_string())?;
    let end = journal.written();
    drop(journal);
    disk.kill();
    let (_, recovered, found) = try_open(&disk, config).map_err(|error| error.to_string())?;
    let newest = found.iter().filter(|record| record.lsn >= first && record.kind == Kind::Touch);
    let visits: Vec<u64> = newest.map(|record| record.visit.as_u128() as u64 & 0xfff).collect();
    if visits == (100..112).collect::<Vec<_>>() && recovered.end == end {
        Ok(())
    } else {
        Err(format!("records of an earlier life came back: {visits:?}"))
    }
}

#[test]
fn no_record_of_an_earlier_life_comes_back() {
    leftover_of_an_earlier_life(&config(1_500)).expect("only the new life's records");
}

#[cfg(feature = "mutations")]
#[test]
fn without_the_epoch_in_the_checksum_records_of_an_earlier_life_come_back() {
    let mutations = crate::journal::Mutations { no_epoch_in_checksum: true, ..Default::default() };
    let error = leftover_of_an_earlier_life(&Config { mutations, ..config(1_500) }).expect_err("they come back");
    assert!(error.starts_with("records of an earlier life came back"), "{error}");
}

#[test]
fn segments_behind_a_cut_go() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1_000));
    append_chains(&journal, 4, 6);
    journal.write_step().expect("written");
    let segments = journal.usage().segments;
    assert!(segments > 3);
    drop(journal);
    disk.kill();
    let mut bytes = disk.contents(&segment_path(64)).expect("there");
    bytes[300] ^= 1;
    disk.put(&segment_path(64), &bytes);
    let (journal, recovered, _) = open(&disk, &config(1_000));
    assert_eq!(recovered.removed.len(), segments - 1, "nothing proves them synced");
    assert_eq!(journal.usage().segments, 2);
    let (_, again, _) = open(&disk, &config(1_000));
    assert_eq!((again.end, again.cut, again.removed.len()), (recovered.end, None, 0));
}

#[test]
fn a_segment_of_an_older_epoch_behind_a_newer_one_is_void() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1_000));
    append_chains(&journal, 4, 6);
    journal.write_step().expect("written");
    drop(journal);
    disk.kill();
    let mut bytes = disk.contents(&segment_path(64)).expect("there");
    let leftover = disk.list_segments().pop().expect("some");
    let leftover_bytes = disk.contents(&leftover).expect("there");
    bytes[300] ^= 1;
    disk.put(&segment_path(64), &bytes);
    let (journal, ..) = open(&disk, &config(1_000));
    append(&journal, visit(1), Lsn::NONE, &page(1));
    settle(&journal);
    // The removal was lost in a power cut.
    disk.put(&leftover, &leftover_bytes);
    let (_, recovered, found) = open(&disk, &config(1_000));
    assert_eq!((recovered.removed, recovered.cut), (vec![leftover], None));
    assert_eq!(found.last().map(|last| last.kind), Some(Kind::Synced));
}

#[test]
fn a_segment_of_another_journal_or_name_is_refused() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1_000));
    append_chains(&journal, 4, 6);
    settle(&journal);
    let paths = disk.list_segments();
    let second = disk.contents(&paths[1]).expect("there");
    disk.put(&paths[2], &second);
    let error = try_open(&disk, &config(1_000)).expect_err("copied over another").to_string();
    assert!(error.contains("at byte 0: lsn"), "{error}");
    let header = crate::journal::format::Header { uuid: 9, epoch: 1, first: Lsn(99_999) };
    let disk = SimDisk::new(1);
    open(&disk, &config(1_000));
    disk.put(&segment_path(99_999), &header.encode());
    let error = try_open(&disk, &config(1_000)).expect_err("another journal's").to_string();
    assert!(
        error.starts_with("segment 99999 at byte 16: journal 0123456789abcdef0011223344556677 expected"),
        "{error}"
    );
}

#[test]
fn a_missing_segment_below_the_mark_is_damage() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1_000));
    append_chains(&journal, 4, 6);
    settle(&journal);
    drop(journal);
    let paths = disk.list_segments();
    disk.remove_file(&paths[1]);
    let error = try_open(&disk, &config(1_000)).expect_err("one is missing").to_string();
    assert!(error.contains("a record expected, the end of the file found"), "{error}");
}

#[test]
fn what_a_failed_sync_dropped_is_written_again_before_it_counts_as_synced() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let (journal, ..) = open(&disk, &config(1 << 20));
        append_chains(&journal, 5, 5);
        journal.write_step().expect("written");
        disk.fail(DiskCall::Sync, 0, 1, std::io::ErrorKind::Other);
        journal.sync_step().expect_err("told to fail");
        drop(journal);
        disk.kill();
        let (journal, recovered, _) = open(&disk, &config(1 << 20));
        assert_eq!(journal.synced(), recovered.end);
        drop(journal);
        disk.power_cut();
        assert_eq!(open(&disk, &config(1 << 20)).1.end, recovered.end);
    }
}

#[test]
fn an_unreadable_disk_cuts_nothing() {
    let (disk, ..) = half_synced();
    let before = disk.contents(&segment_path(64));
    for skip in 0..2 {
        disk.fail(DiskCall::Read, skip, 1, std::io::ErrorKind::Other);
        let error = try_open(&disk, &config(1 << 20)).expect_err("unreadable");
        assert!(matches!(&error, JournalError::Io { doing: "read", .. }), "{error}");
        disk.heal();
    }
    assert_eq!(disk.contents(&segment_path(64)), before);
    assert_eq!(disk.list_segments(), [segment_path(64)]);
}

trait Segments {
    fn list_segments(&self) -> Vec<std::path::PathBuf>;
    fn remove_file(&self, path: &std::path::Path);
}

impl Segments for SimDisk {
    fn list_segments(&self) -> Vec<std::path::PathBuf> {
        visitlog_core::ports::Disk::list(self, dir()).expect("listed")
    }

    fn remove_file(&self, path: &std::path::Path) {
        visitlog_core::ports::Disk::remove(self, path).expect("removed");
    }
}
