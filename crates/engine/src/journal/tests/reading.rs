//! Records and chains, from the disk and from memory.

use visitlog_core::Lsn;
use visitlog_core::model::Entry;
use visitlog_testkit::SimDisk;

use super::support::{append, append_chains, config, end, open, page, segment_path, settle, start, visit};
use crate::journal::{ChainEntry, Flags, JournalError, Window};

fn entries(chain: Vec<ChainEntry>) -> Vec<Entry> {
    chain.into_iter().map(|read| read.entry).collect()
}

fn expected(n: u64, events: u64) -> Vec<Entry> {
    let pages = (1..=events).map(|step| page(100 * n + step));
    [start(n)].into_iter().chain(pages).chain([end(n)]).collect()
}

#[test]
fn a_record_is_read_wherever_it_is_on_its_way() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1_000));
    let lsn = append(&journal, visit(1), Lsn(9), &page(1));
    let read = |what: &str| {
        let (record, prev) = journal.read(visit(1), lsn).expect(what);
        assert_eq!((record.lsn, record.flags, record.entry, prev), (lsn, Flags::NONE, page(1), Lsn(9)), "{what}");
    };
    read("gathering");
    disk.set_capacity(Some(64));
    journal.write_step().expect_err("full");
    read("in flight");
    append(&journal, visit(2), Lsn::NONE, &page(2));
    read("in flight, others gathering");
    disk.set_capacity(None);
    settle(&journal);
    read("written");
    for n in 0..100 {
        append(&journal, visit(3), Lsn::NONE, &page(n));
    }
    settle(&journal);
    read("in an old segment");
}

#[test]
fn chains_are_read_oldest_first_alone_and_together() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(3_000));
    let ends = append_chains(&journal, 40, 7);
    for step in 0..2 {
        for (n, (visit, last)) in (0..).zip(&ends) {
            assert_eq!(entries(journal.read_chain(*visit, *last).expect("read")), expected(n, 7), "{step} {n}");
        }
        let shuffled: Vec<_> = (0..40).map(|n| ends[n * 7 % 40]).collect();
        for (n, chain) in journal.read_chains(&shuffled, usize::MAX).into_iter().enumerate() {
            assert_eq!(entries(chain.expect("read")), expected(n as u64 * 7 % 40, 7), "{step} {n}");
        }
        settle(&journal);
    }
    assert!(journal.read_chains(&[], usize::MAX).is_empty());
    let none = journal.read_chains(&[(visit(1), Lsn::NONE), ends[3]], usize::MAX);
    assert_eq!(none.into_iter().map(|chain| chain.expect("read").len()).collect::<Vec<_>>(), [0, 9]);
}

#[test]
fn a_carried_chain_reads_like_the_one_it_replaces() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(3_000));
    let ends = append_chains(&journal, 3, 5);
    settle(&journal);
    let (visit, last) = ends[1];
    let before = entries(journal.read_chain(visit, last).expect("read"));
    let mut raw = Vec::new();
    let mut keep = |record: crate::journal::RecordRef<'_>| {
        raw.push((record.flags, record.kind, record.payload.to_vec()));
        Ok(())
    };
    journal.walk_back(&mut Window::new(), visit, (last, Lsn::NONE), &mut keep).expect("read");
    let mut prev = Lsn::NONE;
    {
        let mut appender = journal.appender();
        for (flags, kind, payload) in raw.iter().rev() {
            prev = appender.append_raw(visit, prev, flags.with(Flags::CARRIED), *kind, payload);
        }
    }
    let carried = journal.read_chain(visit, prev).expect("read");
    assert!(carried.iter().all(|read| read.flags.has(Flags::CARRIED) && read.lsn > last));
    assert_eq!(entries(carried), before);
}

#[test]
fn another_visits_record_is_refused() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    let lsn = append(&journal, visit(1), Lsn::NONE, &page(1));
    settle(&journal);
    let message = journal.read(visit(2), lsn).expect_err("a stranger's").to_string();
    assert_eq!(
        message,
        format!("segment 64 at byte 64: a record of visit {} expected, one of {} found", visit(2), visit(1))
    );
    let both = journal.read_chains(&[(visit(2), lsn), (visit(1), lsn)], usize::MAX);
    assert!(matches!(both[0], Err(JournalError::Stranger { .. })) && both[1].is_ok(), "one bad chain spoils no other");
}

#[test]
fn damage_is_named_and_spoils_only_its_own_chain() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    let ends = append_chains(&journal, 4, 4);
    settle(&journal);
    let (at, _) = journal.read(ends[2].0, ends[2].1).map(|(record, prev)| (prev, record)).expect("read");
    let mut bytes = disk.contents(&segment_path(64)).expect("there");
    bytes[at.0 as usize + 60] ^= 4;
    disk.put(&segment_path(64), &bytes);
    let chains = journal.read_chains(&ends, usize::MAX);
    let spoilt: Vec<bool> = chains.iter().map(Result::is_err).collect();
    assert_eq!(spoilt, [false, false, true, false]);
    let message = chains[2].as_ref().expect_err("spoilt").to_string();
    assert!(message.starts_with(&format!("segment 64 at byte {}: checksum 0x", at.0)), "{message}");
    journal.read_chain(ends[2].0, ends[2].1).expect_err("spoilt alone too");
}

#[test]
fn positions_outside_of_the_journal_are_refused() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    let lsn = append(&journal, visit(1), Lsn::NONE, &page(1));
    for outside in [Lsn(1), journal.appended(), Lsn(u64::MAX)] {
        let error = journal.read(visit(1), outside).expect_err("outside");
        assert!(matches!(error, JournalError::Outside { .. }), "{outside}: {error}");
    }
    settle(&journal);
    journal.read(visit(1), Lsn(lsn.0 + 1)).expect_err("not where a record begins");
    for outside in [Lsn(1), journal.appended(), Lsn(u64::MAX)] {
        let error = journal.read(visit(1), outside).expect_err("outside");
        assert!(matches!(error, JournalError::Outside { .. }), "{outside}: {error}");
    }
}

#[test]
fn a_long_chain_and_long_records_are_read() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(200_000));
    let mut last = Lsn::NONE;
    let mut sent = Vec::new();
    for n in 0..2_000_u64 {
        let mut entry = page(n);
        if let Entry::Event(event) = &mut entry {
            event.properties = Some("x".repeat((n as usize * 37) % 9_000).into());
        }
        last = append(&journal, visit(1), last, &entry);
        sent.push(entry);
        if n % 300 == 0 {
            settle(&journal);
        }
    }
    assert!(journal.usage().segments > 20);
    assert_eq!(entries(journal.read_chain(visit(1), last).expect("read")), sent);
    assert_eq!(entries(journal.read_chains(&[(visit(1), last)], 0).remove(0).expect("read")), sent);
}

#[test]
fn touches_and_values_take_no_room_in_what_is_read() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(1 << 20));
    let mut last = append(&journal, visit(2), Lsn::NONE, &start(2));
    for n in 0..500 {
        last = append(&journal, visit(2), last, &Entry::Touch { at: super::support::moment(n), slides: true });
        let fields = vec![("k".into(), Some("x".repeat(1_000).into()))];
        last = append(&journal, visit(2), last, &Entry::Set { at: super::support::moment(n), fields });
    }
    last = append(&journal, visit(2), last, &end(2));
    settle(&journal);
    for chain in [journal.read_chain(visit(2), last), journal.read_chains(&[(visit(2), last)], 0).remove(0)] {
        assert_eq!(entries(chain.expect("read")), [start(2), end(2)]);
    }
}

#[test]
fn as_many_chains_are_read_as_fit_and_the_others_when_they_are_asked_for() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(3_000));
    let ends = append_chains(&journal, 40, 7);
    settle(&journal);
    let one: usize = {
        let chain = journal.read_chain(ends[0].0, ends[0].1).expect("read");
        chain.len() * 300
    };
    let (mut from, mut turns) = (0, 0);
    while from < ends.len() {
        let chains = journal.read_chains(&ends[from..], 10 * one);
        assert!((1..=20).contains(&chains.len()), "{} at once", chains.len());
        for chain in chains {
            assert_eq!(entries(chain.expect("read")), expected(from as u64, 7));
            from += 1;
        }
        turns += 1;
    }
    assert!(turns >= 2);
    assert_eq!(journal.read_chains(&ends, 0).len(), 1, "one at least");
    let mut seen = Vec::new();
    let Ok(()) = journal.each_chain(&ends, |end, chain| {
        seen.push((end, chain.expect("read").len()));
        Ok::<_, std::convert::Infallible>(())
    });
    assert_eq!(seen, ends.iter().map(|end| (*end, 9)).collect::<Vec<_>>());
}
