//! Journals that earlier versions wrote, kept in `fixtures/`: they stay readable for ever.
//!
//! Folders are named for the format's version. `make_fixtures` writes those of the current one; it is run by hand, once
//! a version, and never again over one that was released.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::erasure::Barrier;
use visitlog_core::machine::Tombstone;
use visitlog_core::model::{Brings, CountryCode, EndReason, Entry, Event, EventKind, Hints, Place, UserId};
use visitlog_core::ports::Disk;
use visitlog_core::{Lsn, Timestamp, TokenMark, VisitId};
use visitlog_testkit::SimDisk;

use super::support::{append_chains, config, dir, end, moment, open, page, settle, start, touch, try_open, visit};
use crate::adapters::RealDisk;
use crate::journal::{Ack, BaseItem, DumpFilter, Flags, Journal, JournalReport, Kind, Verdict, dump};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn read(path: &Path) -> Vec<u8> {
    let file = RealDisk.open_to_read(path).expect("opened");
    let mut bytes = vec![0; file.len().expect("its length") as usize];
    assert_eq!(file.read_at(&mut bytes, 0).expect("read"), bytes.len());
    bytes
}

/// A copy on a simulated disk, so that nothing changes the fixture.
fn copy(name: &str) -> SimDisk {
    let disk = SimDisk::new(1);
    for path in RealDisk.list(&folder(name)).expect("listed") {
        if path.extension().is_some_and(|extension| extension == "seg") {
            disk.put(&dir().join(path.file_name().expect("a name")), &read(&path));
        }
    }
    disk
}

fn dumped(disk: &SimDisk) -> (String, JournalReport) {
    let mut text = String::new();
    let port: Arc<dyn Disk> = Arc::new(disk.clone());
    let filter = DumpFilter { is_personal: true, ..DumpFilter::default() };
    let report = dump(&port, dir(), &filter, &mut |line| {
        text.push_str(line);
        text.push('\n');
    });
    (text, report.expect("read"))
}

#[test]
fn a_journal_of_version_1_reads_as_it_was_written() {
    let disk = copy("journal-v1/sound");
    let (text, report) = dumped(&disk);
    assert_eq!(report.verdict, Verdict::Sound);
    assert_eq!(report.unreadable, []);
    let expected = String::from_utf8(read(&folder("journal-v1/sound/dump.txt"))).expect("text");
    assert_eq!(text, expected);
    let (journal, recovered, kept) = open(&disk, &config(2_000));
    assert_eq!((recovered.cut, recovered.epoch), (None, 3));
    let last = kept.iter().rev().find(|record| record.visit == visit(3)).expect("there");
    let chain = journal.read_chain(visit(3), Lsn(last.lsn)).expect("read");
    let entries: Vec<Entry> = chain.into_iter().map(|read| read.entry).collect();
    assert_eq!(entries, [start(3), page(301), page(302), end(3)]);
    assert!(kept.iter().any(|record| record.flags.has(Flags::CARRIED.with(Flags::CARRIED_LAST))));
}

#[test]
fn a_torn_journal_of_version_1_is_cut() {
    let disk = copy("journal-v1/torn");
    assert!(matches!(dumped(&disk).1.verdict, Verdict::Torn(_)));
    let (_, recovered, kept) = open(&disk, &config(2_000));
    let cut = recovered.cut.expect("torn").to_string();
    assert_eq!(cut, "segment 3596 at byte 1052: the rest of a record expected, the end of the file found");
    assert_eq!(recovered.end, Lsn(3_596 + 1_052 - 64));
    assert!(kept.iter().all(|record| record.lsn < recovered.end.0));
    assert_eq!(kept.iter().filter(|record| record.lsn >= 3_596).count(), 8, "a mark and what was not torn");
}

#[test]
fn a_corrupt_journal_of_version_1_is_refused_by_name() {
    let disk = copy("journal-v1/corrupt");
    let error = try_open(&disk, &config(2_000)).expect_err("damaged").to_string();
    assert!(error.starts_with("segment 64 at byte 346: checksum 0x"), "{error}");
    assert!(matches!(dumped(&disk).1.verdict, Verdict::Damaged(_)));
}

#[test]
fn a_journal_of_version_1_1_reads_as_it_was_written() {
    let disk = copy("journal-v1.1/sound");
    let (text, report) = dumped(&disk);
    assert_eq!((report.verdict, report.unreadable.len()), (Verdict::Sound, 0));
    let expected = String::from_utf8(read(&folder("journal-v1.1/sound/dump.txt"))).expect("text");
    assert_eq!(text, expected);
    let (journal, _, kept) = open(&disk, &config(2_000));
    for (n, added) in added_by_1_1() {
        let last = kept.iter().rev().find(|record| record.visit == visit(n)).expect("there");
        let chain = journal.read_chain(visit(n), Lsn(last.lsn)).expect("read");
        let entries: Vec<Entry> = chain.into_iter().map(|read| read.entry).collect();
        assert_eq!(entries, [added, page(n), end(n)]);
    }
}

/// Starts with what version 1.1 added: all of it, none of it, and each alone.
fn added_by_1_1() -> Vec<(u64, Entry)> {
    let (country, hints) = (CountryCode::new("DE"), Some(Hints::PAGE.with(Hints::FETCH_SOUND)));
    let place = |country, region: Option<&str>, city: Option<&str>| Place::new(country, region, city);
    let added = [
        (place(country, Some("Bayern"), Some("Nürnberg")), hints),
        (None, None),
        (place(country, None, None), None),
        (place(None, Some("Bayern"), None), None),
        (place(None, None, Some("Nürnberg")), None),
        (None, hints),
    ];
    let start = |(n, (place, hints))| {
        let Entry::Start(mut start) = start(n) else { panic!("a start") };
        (start.facts.place, start.facts.hints) = (place, hints);
        (n, Entry::Start(start))
    };
    (60..).zip(added).map(start).collect()
}

/// What version 1.2 added: an erasure, here in a segment that it began.
const ADDED_BY_1_2: BaseItem = BaseItem::Erased(Barrier { below: Lsn(500), salt: 7 << 90, mark: 9 << 70 });

/// What version 1.3 added: an erasure that is done.
const ADDED_BY_1_3: BaseItem = BaseItem::ErasureDone(7 << 90);

#[test]
fn a_journal_of_version_1_2_reads_as_it_was_written() {
    assert_eq!(base_items("journal-v1.2/sound"), [ADDED_BY_1_2]);
}

#[test]
fn a_journal_of_version_1_3_reads_as_it_was_written() {
    assert_eq!(base_items("journal-v1.3/sound"), [ADDED_BY_1_2, ADDED_BY_1_3]);
}

/// What version 1.4 added to a base: until when an ended session is remembered, and whether its cookie came back.
const ADDED_BY_1_4: BaseItem = BaseItem::Tombstone(Tombstone {
    visit: VisitId::from_u128(7 << 100),
    reason: EndReason::LoggedOut,
    closed_at: Timestamp::from_secs(1_763_700_000),
    until: Timestamp::from_secs(1_763_786_400),
    confirmed: true,
});

/// What version 1.4 added to a start: the mark of the token that it renews.
fn start_by_1_4() -> Entry {
    let Entry::Start(mut start) = start(70) else { panic!("a start") };
    start.renews = Some(TokenMark(0x0123_4567_89ab_cdef));
    Entry::Start(start)
}

#[test]
fn a_journal_of_version_1_4_reads_as_it_was_written() {
    assert_eq!(base_items("journal-v1.4/sound"), [ADDED_BY_1_4]);
    let (journal, _, kept) = open(&copy("journal-v1.4/sound"), &config(2_000));
    let last = kept.iter().rev().find(|record| record.visit == visit(70)).expect("there");
    let chain = journal.read_chain(visit(70), Lsn(last.lsn)).expect("read");
    let entries: Vec<Entry> = chain.into_iter().map(|read| read.entry).collect();
    assert_eq!(entries, [start_by_1_4(), page(70)]);
}

/// What version 1.5 added: a session that brings events from another one, in which they count no more.
fn chains_by_1_5() -> [(u64, Vec<Entry>); 2] {
    let Entry::Start(mut brings) = start(71) else { panic!("a start") };
    brings.brings = Some(Brings { from: visit(70), first: 1, count: 1 });
    let withdraw = Entry::Withdraw { at: moment(72), first: 1, count: 1 };
    [(70, vec![start(70), page(70), page(71), withdraw]), (71, vec![Entry::Start(brings), page(71)])]
}

#[test]
fn a_journal_of_version_1_5_reads_as_it_was_written() {
    let (journal, _, kept) = open(&copy("journal-v1.5/sound"), &config(2_000));
    for (n, entries) in chains_by_1_5() {
        let last = kept.iter().rev().find(|record| record.visit == visit(n)).expect("there");
        let chain = journal.read_chain(visit(n), Lsn(last.lsn)).expect("read");
        assert_eq!(chain.into_iter().map(|read| read.entry).collect::<Vec<_>>(), entries);
    }
    assert_eq!(base_items("journal-v1.5/sound"), []);
}

/// The items of all bases in a fixture, which dumps as it did.
fn base_items(name: &str) -> Vec<BaseItem> {
    let disk = copy(name);
    let (text, report) = dumped(&disk);
    assert_eq!((report.verdict, report.unreadable.len()), (Verdict::Sound, 0));
    let expected = String::from_utf8(read(&folder(&format!("{name}/dump.txt")))).expect("text");
    assert_eq!(text, expected);
    let mut items = Vec::new();
    let port: Arc<dyn Disk> = Arc::new(disk);
    Journal::open(port, dir(), config(2_000), 1, |record| {
        if record.kind == Kind::Base {
            items.extend(record.base().expect("a base"));
        }
    })
    .expect("it opens");
    items
}

#[test]
#[ignore = "writes the fixtures of the current minor version; run by hand before it is released, never after"]
fn make_fixtures_of_1_5() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    for (n, entries) in chains_by_1_5() {
        let mut prev = Lsn::NONE;
        for entry in entries {
            prev = journal.appender().append(visit(n), prev, Flags::NONE, &entry);
        }
    }
    settle(&journal);
    drop(journal);
    disk.kill();
    save(&disk, "journal-v1.5/sound", &|_, bytes| bytes);
    put("journal-v1.5/sound/dump.txt", dumped(&disk).0.as_bytes());
}

#[test]
#[ignore = "writes the fixtures of the current minor version; run by hand before it is released, never after"]
fn make_fixtures_of_1_4() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    let mut prev = Lsn::NONE;
    for entry in [start_by_1_4(), page(70)] {
        prev = journal.appender().append(visit(70), prev, Flags::NONE, &entry);
    }
    journal.appender().append_base(&[ADDED_BY_1_4]);
    settle(&journal);
    drop(journal);
    disk.kill();
    save(&disk, "journal-v1.4/sound", &|_, bytes| bytes);
    put("journal-v1.4/sound/dump.txt", dumped(&disk).0.as_bytes());
}

#[test]
#[ignore = "writes the fixtures of the current minor version; run by hand before it is released, never after"]
fn make_fixtures_of_1_3() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    append_chains(&journal, 2, 1);
    let mut appender = journal.appender();
    appender.append_base(&[ADDED_BY_1_2]);
    appender.append_base(&[ADDED_BY_1_3]);
    drop(appender);
    settle(&journal);
    drop(journal);
    disk.kill();
    save(&disk, "journal-v1.3/sound", &|_, bytes| bytes);
    put("journal-v1.3/sound/dump.txt", dumped(&disk).0.as_bytes());
}

#[test]
#[ignore = "writes the fixtures of the current minor version; run by hand before it is released, never after"]
fn make_fixtures_of_1_2() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    append_chains(&journal, 2, 1);
    let mut appender = journal.appender();
    appender.begin_segment();
    appender.append_base(&[ADDED_BY_1_2]);
    drop(appender);
    settle(&journal);
    drop(journal);
    disk.kill();
    save(&disk, "journal-v1.2/sound", &|_, bytes| bytes);
    put("journal-v1.2/sound/dump.txt", dumped(&disk).0.as_bytes());
}

#[test]
#[ignore = "writes the fixtures of the current minor version; run by hand before it is released, never after"]
fn make_fixtures_of_1_1() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    for (n, start) in added_by_1_1() {
        let mut prev = Lsn::NONE;
        for entry in [start, page(n), end(n)] {
            prev = journal.appender().append(visit(n), prev, Flags::NONE, &entry);
        }
    }
    settle(&journal);
    drop(journal);
    disk.kill();
    save(&disk, "journal-v1.1/sound", &|_, bytes| bytes);
    put("journal-v1.1/sound/dump.txt", dumped(&disk).0.as_bytes());
}

#[test]
#[ignore = "writes the fixtures of the current version; run by hand before it is released, never after"]
fn make_fixtures() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    append_chains(&journal, 5, 2);
    settle(&journal);
    every_kind(&journal);
    settle(&journal);
    drop(journal);
    let (journal, ..) = open(&disk, &config(2_000));
    settle(&journal);
    drop(journal);
    disk.kill();
    save(&disk, "journal-v1/sound", &|_, bytes| bytes);
    put("journal-v1/sound/dump.txt", dumped(&disk).0.as_bytes());
    save(&disk, "journal-v1/corrupt", &|first, mut bytes| {
        if first {
            bytes[400] ^= 0x10;
        }
        bytes
    });
    let (journal, ..) = open(&disk, &config(20_000));
    settle(&journal);
    append_chains(&journal, 2, 2);
    journal.write_step().expect("written");
    disk.kill();
    let last = disk.list(dir()).expect("listed").pop();
    let torn = last.expect("some");
    let bytes = disk.contents(&torn).expect("there");
    disk.put(&torn, &bytes[..bytes.len() - 100]);
    save(&disk, "journal-v1/torn", &|_, bytes| bytes);
}

fn every_kind(journal: &Journal) {
    let login = Event {
        time: moment(1),
        kind: EventKind::Login,
        name: Some("alice".into()),
        type_: Some("password".into()),
        request: None,
        properties: Some("{\"size\":512}".into()),
    };
    let set = Entry::Set { at: moment(2), fields: vec![("plan".into(), Some("pro".into())), ("seats".into(), None)] };
    let rotate = Entry::Rotate { at: moment(3), rotation: 1, user: Some(UserId::new("alice")) };
    let mut appender = journal.appender();
    let mut prev = Lsn::NONE;
    for entry in [start(50), Entry::Event(login), set, rotate, touch(4)] {
        prev = appender.append(visit(50), prev, Flags::CONFIRMS, &entry);
    }
    prev = appender.append(visit(50), Lsn::NONE, Flags::CARRIED, &start(50));
    appender.append(visit(50), prev, Flags::CARRIED.with(Flags::CARRIED_LAST), &touch(4));
    appender.append_ack(&Ack { sink: "ndjson".to_owned(), lsn: Lsn(900), place: b"visits.ndjson:4711".to_vec() });
    appender.append_base(&[
        BaseItem::Ack(Ack { sink: "ndjson".to_owned(), lsn: Lsn(900), place: Vec::new() }),
        BaseItem::Site("shop.example".to_owned()),
        BaseItem::OldTombstone { visit: visit(1), reason: EndReason::LoggedOut, closed_at: moment(5) },
        BaseItem::Time(Timestamp::from_micros(1_763_700_000_123_456)),
    ]);
}

fn save(disk: &SimDisk, name: &str, change: &dyn Fn(bool, Vec<u8>) -> Vec<u8>) {
    for (at, path) in disk.list(dir()).expect("listed").iter().enumerate() {
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        put(&format!("{name}/{file}"), &change(at == 0, disk.contents(path).expect("there")));
    }
}

fn put(name: &str, bytes: &[u8]) {
    let path = folder(name);
    RealDisk.create_dir_all(path.parent().expect("a folder")).expect("made");
    let file = RealDisk.create(&path).expect("opened");
    file.set_len(0).expect("emptied");
    file.write_at(bytes, 0).expect("written");
}
