//! Journals explained to people.

use std::sync::Arc;

use visitlog_core::model::UserId;
use visitlog_core::model::{Entry, Event, EventKind};
use visitlog_core::ports::Disk;
use visitlog_core::{Lsn, VisitId};
use visitlog_testkit::SimDisk;

use super::support::{append, append_chains, config, dir, moment, open, segment_path, settle, touch, visit};
use crate::journal::{Ack, BaseItem, DumpFilter, Fault, JournalReport, Kind, Verdict, dump, verify};

fn port(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn lines(disk: &SimDisk, filter: &DumpFilter) -> (Vec<String>, JournalReport) {
    let mut lines = Vec::new();
    let report = dump(&port(disk), dir(), filter, &mut |line| lines.push(line.to_owned())).expect("read");
    (lines, report)
}

fn journal() -> SimDisk {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    append_chains(&journal, 5, 3);
    journal.appender().append_base(&[BaseItem::Site("shop.example".to_owned()), BaseItem::Time(moment(4))]);
    settle(&journal);
    disk
}

#[test]
fn a_journal_whose_making_was_interrupted_is_none_yet() {
    for bytes in [&[][..], &[0; 64]] {
        let disk = SimDisk::new(1);
        disk.put(&segment_path(64), bytes);
        assert_eq!(verify(&port(&disk), dir()).expect("read").verdict, Verdict::Empty, "opening makes it");
    }
}

#[test]
fn a_record_is_one_line_whatever_a_sink_is_called() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    let ack = Ack { sink: "a\nb".to_owned(), lsn: Lsn(64), place: b"c\nd".to_vec() };
    journal.appender().append_ack(&ack);
    journal.appender().append_base(&[BaseItem::Ack(ack)]);
    settle(&journal);
    let (lines, _) = lines(&disk, &DumpFilter::default());
    assert!(lines[0].ends_with(r" sink=a\nb upto=64 place=c\nd"), "{}", lines[0]);
    assert!(lines[1].ends_with(r" ack=a\nb:64"), "{}", lines[1]);
}

#[test]
fn a_sound_journal_is_counted() {
    let disk = journal();
    let report = verify(&port(&disk), dir()).expect("read");
    assert_eq!(report.verdict, Verdict::Sound);
    assert!(report.is_usable());
    assert_eq!(report.records[&Kind::Start], 5);
    assert_eq!(report.records[&Kind::Event], 15);
    assert_eq!(report.records[&Kind::End], 5);
    assert_eq!(
        report.segments.iter().map(|segment| segment.records).sum::<u64>(),
        report.records.values().sum::<u64>()
    );
    assert!(report.segments.len() > 1 && report.segments.iter().all(|segment| segment.header == Ok(1)));
    let text = report.to_string();
    assert!(text.contains("records: start 5, event 15, end 5, synced"), "{text}");
    assert!(text.contains("from 2025-11-21T04:40:00Z to 2025-11-21T05:10:04Z"), "{text}");
    assert!(text.contains("sound: ends at lsn"), "{text}");
}

#[test]
fn a_segment_that_goes_while_it_is_read_stays_gone() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &config(2_000));
    append_chains(&journal, 5, 30);
    settle(&journal);
    let base = journal.begin_base();
    journal.appender().append_base(&[BaseItem::Time(moment(4))]);
    journal.finish_base(base);
    settle(&journal);
    let before = disk.list(dir()).expect("listed");
    assert!(before.len() > 3, "{before:?}");
    let report = dump(&port(&disk), dir(), &DumpFilter::default(), &mut |_| {
        // The owner's upkeep goes on meanwhile.
        journal.collect(Lsn(u64::MAX)).expect("collected");
    });
    let report = report.expect("read");
    let left = disk.list(dir()).expect("listed");
    assert!(left.len() < before.len(), "some went");
    assert!(left.iter().all(|path| disk.contents(path).is_some_and(|bytes| !bytes.is_empty())), "none came back");
    // The first one was open already.
    let went: Vec<_> = before.iter().skip(1).filter(|path| !left.contains(path)).cloned().collect();
    assert_eq!(report.gone.iter().map(|first| segment_path(first.0)).collect::<Vec<_>>(), went);
    assert!(report.is_usable(), "{report}");
    assert!(report.to_string().contains("went while this was reading"), "{report}");
    drop(journal);
    let (_, recovered, _) = open(&disk, &config(2_000));
    assert_eq!(recovered.cut, None);
}

#[test]
fn no_journal_is_no_error() {
    let report = verify(&port(&SimDisk::new(1)), dir()).expect("read");
    assert_eq!((report.verdict.clone(), report.to_string().as_str()), (Verdict::Empty, "no journal here\n"));
}

#[test]
fn verifying_changes_nothing() {
    let disk = journal();
    let before: Vec<_> = disk.list(dir()).expect("listed").iter().map(|path| disk.contents(path)).collect();
    verify(&port(&disk), dir()).expect("read");
    let after: Vec<_> = disk.list(dir()).expect("listed").iter().map(|path| disk.contents(path)).collect();
    assert_eq!(before, after);
}

#[test]
fn damage_is_explained_with_its_bytes() {
    let disk = journal();
    let mut bytes = disk.contents(&segment_path(64)).expect("there");
    bytes[64 + 20] ^= 0x80;
    disk.put(&segment_path(64), &bytes);
    let report = verify(&port(&disk), dir()).expect("read");
    let Verdict::Damaged(finding) = &report.verdict else { panic!("{report}") };
    assert_eq!((finding.corrupt.segment, finding.corrupt.byte), (Lsn(64), 64));
    assert!(matches!(finding.corrupt.fault, Fault::Checksum { .. }));
    assert_eq!(finding.hex.len(), 3);
    assert!(finding.hex[0].trim_start().starts_with(&format!("64  {:02x} ", bytes[64])), "{:?}", finding.hex);
    assert!(!report.is_usable());
    let text = report.to_string();
    assert!(text.contains("damaged: segment 64 at byte 64: checksum 0x") && text.contains("stable storage"), "{text}");
    bytes[3] = 0;
    disk.put(&segment_path(64), &bytes);
    let text = verify(&port(&disk), dir()).expect("read").to_string();
    assert!(text.contains("damaged: segment 64 at byte 0: magic ["), "{text}");
}

#[test]
fn a_torn_tail_is_explained() {
    let disk = journal();
    let (journal, ..) = open(&disk, &config(2_000));
    settle(&journal);
    append(&journal, visit(1), Lsn::NONE, &touch(1));
    journal.write_step().expect("written");
    let last = disk.list(dir()).expect("listed").pop().expect("some");
    let bytes = disk.contents(&last).expect("there");
    disk.put(&last, &bytes[..bytes.len() - 3]);
    let report = verify(&port(&disk), dir()).expect("read");
    assert!(matches!(report.verdict, Verdict::Torn(_)) && report.is_usable(), "{report}");
    assert!(report.to_string().contains("The next start cuts"), "{report}");
}

#[test]
fn records_are_shown_as_lines_and_personal_data_is_masked() {
    let disk = journal();
    let (journal, ..) = open(&disk, &config(2_000));
    let login = Event {
        time: moment(1),
        kind: EventKind::Login,
        name: Some("alice@shop.example".into()),
        type_: None,
        request: None,
        properties: Some("{\"secret\":1}".into()),
    };
    let set = Entry::Set { at: moment(2), fields: vec![("card".into(), Some("4111".into())), ("gone".into(), None)] };
    let rotate = Entry::Rotate { at: moment(3), rotation: 1, user: Some(UserId::new("alice@shop.example")) };
    for entry in [Entry::Event(login), set, rotate] {
        append(&journal, visit(77), Lsn::NONE, &entry);
    }
    settle(&journal);
    let (masked, report) = lines(&disk, &DumpFilter::default());
    assert_eq!(masked.len() as u64, report.records.values().sum::<u64>());
    let text = masked.join("\n");
    for shown in
        ["path=\"/products/301\"", "status=200", "reason=expired", "site=\"shop.example\"", "\"card\"=[masked]"]
    {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let personal = ["203.0.113.7", "Mozilla", "alice", "4111", "secret", "color=blue", "[1,2.5"];
    for personal in personal {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
    let (open, _) = lines(&disk, &DumpFilter { is_personal: true, ..DumpFilter::default() });
    let text = open.join("\n");
    for personal in personal {
        assert!(text.contains(personal), "{personal} in {text}");
    }
}

#[test]
fn a_dump_can_be_narrowed() {
    let disk = journal();
    let visit: VisitId = visit(2);
    let (of_one, _) = lines(&disk, &DumpFilter { visit: Some(visit), ..DumpFilter::default() });
    assert_eq!(of_one.len(), 5);
    assert!(of_one.iter().all(|line| line.contains(&visit.to_string())));
    let ends = DumpFilter { kinds: vec![Kind::End, Kind::Base], ..DumpFilter::default() };
    assert_eq!(lines(&disk, &ends).0.len(), 6);
    let (all, _) = lines(&disk, &DumpFilter::default());
    let (first, _) = lines(&disk, &DumpFilter { to: Lsn(65), ..DumpFilter::default() });
    let (rest, _) = lines(&disk, &DumpFilter { from: Lsn(65), ..DumpFilter::default() });
    assert_eq!((first.len(), [first, rest].concat()), (1, all));
}
