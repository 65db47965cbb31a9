//! The journal, followed.

use visitlog_core::{Lsn, VisitId};
use visitlog_testkit::{Dice, SimDisk};

use super::support::{Kept, append, append_chains, config, moment, open, page, settle, start, visit};
use crate::journal::{BaseItem, Journal, JournalError, Kind};

/// All records from a position on, read `bytes` at a time, and where that came to.
fn follow(journal: &Journal, from: Lsn, bytes: usize) -> (Vec<Kept>, Lsn) {
    let (mut seen, mut next) = (Vec::new(), from);
    loop {
        let went = journal.read_tail(next, bytes, &mut |record| seen.push(Kept::from(record))).expect("read");
        if went == next {
            return (seen, next);
        }
        next = went;
    }
}

#[test]
fn a_tail_is_all_records_in_order_wherever_they_are_on_their_way() {
    for seed in 0..40 {
        let dice = Dice::new(seed);
        let disk = SimDisk::new(seed);
        let settings = config(2_000);
        let (mut journal, ..) = open(&disk, &settings);
        let (mut seen, mut next) = (Vec::new(), journal.oldest());
        let mut made = Vec::new();
        for n in 0..300 {
            match dice.below(12) {
                0 => drop(journal.write_step().expect("written")),
                1 => drop(journal.sync_step().expect("synced")),
                2 => {
                    // What is in flight stays there.
                    disk.set_capacity(Some(64));
                    let _ = journal.write_step();
                    disk.set_capacity(None);
                }
                3 if n % 7 == 0 => {
                    settle(&journal);
                    journal = open(&disk, &settings).0;
                }
                4 | 5 => {
                    let bytes = 1 + dice.below(3_000) as usize;
                    next = journal.read_tail(next, bytes, &mut |record| seen.push(Kept::from(record))).expect("read");
                }
                _ => made.push(append(&journal, visit(n), Lsn::NONE, &page(n)).0),
            }
        }
        let (rest, end) = follow(&journal, next, 1 + dice.below(500) as usize);
        seen.extend(rest);
        assert_eq!(end, journal.appended(), "seed {seed}");
        let pages: Vec<u64> = seen.iter().filter(|kept| kept.kind == Kind::Event).map(|kept| kept.lsn).collect();
        assert_eq!(pages, made, "seed {seed}");
        settle(&journal);
        let end = journal.appended();
        drop(journal);
        let (_, _, whole) = open(&disk, &settings);
        seen.retain(|kept| kept.lsn < end.0);
        let (again, last) = (whole.len(), whole.last().map(|kept| kept.lsn));
        assert!(again >= seen.len(), "seed {seed}: {last:?}");
        assert_eq!(whole[..seen.len()], seen[..], "seed {seed}");
    }
}

#[test]
fn a_record_that_is_longer_than_the_budget_comes_whole() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1_000));
    append(&journal, visit(1), Lsn::NONE, &start(1));
    for written in [false, true] {
        if written {
            settle(&journal);
        }
        let (seen, _) = follow(&journal, journal.oldest(), 1);
        assert_eq!(seen.iter().filter(|kept| kept.kind == Kind::Start).count(), 1, "written: {written}");
    }
}

#[test]
fn what_is_held_stays_and_what_is_gone_says_so() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    let from = journal.oldest();
    append_chains(&journal, 20, 4);
    settle(&journal);
    let base = journal.begin_base();
    journal.appender().append_base(&[BaseItem::Time(moment(1))]);
    journal.finish_base(base);
    settle(&journal);
    let held = journal.hold();
    assert_eq!(journal.collect(journal.appended()).expect("collected"), 0, "held");
    let (seen, _) = follow(&journal, from, 700);
    assert_eq!(seen.iter().filter(|kept| kept.visit != VisitId::from_u128(0)).count(), 20 * 6);
    drop(held);
    assert!(journal.collect(journal.appended()).expect("collected") > 2);
    let error = journal.read_tail(from, 700, &mut |_| {}).expect_err("gone");
    assert!(matches!(error, JournalError::Outside { oldest, .. } if oldest == journal.oldest()), "{error}");
}
