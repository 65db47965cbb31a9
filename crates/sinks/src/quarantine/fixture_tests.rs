//! Quarantines that earlier versions wrote, kept in `fixtures/`: they stay readable for ever.
//!
//! The folder is named for the format's version. `make_fixtures` writes those of the current one; it is run by hand, once
//! and before that version is released.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::codec::EntryKind;
use visitlog_core::ports::{Disk, RawEntry, StreamId};
use visitlog_core::{Lsn, VisitId};
use visitlog_testkit::SimDisk;
use visitlog_testkit::samples::{MORNING, id, visit};

use super::{NO_ENTRY, Quarantine, SetAside, Why, entries_of, visit_of};

const STREAM: StreamId = StreamId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
const FOLDER: &str = "/parks";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join("quarantine-v1").join(name)
}

/// What is in the fixture: a visit for each reason, what is left of it as the journal has it, as a park has it, or not at
/// all.
fn set_aside() -> Vec<(SetAside, Vec<RawEntry>)> {
    let aside = |n: u64, why, what: &str| SetAside {
        end: Lsn((n + 1) * 1_000),
        visit: id(n),
        at: MORNING.after(std::time::Duration::from_micros(n * 1_000_001)),
        why,
        what: what.to_owned(),
    };
    let whole = |n: u64| entries_of(&visit(n, MORNING));
    let placed = |n: u64| {
        let at = |(k, entry)| RawEntry { at: Lsn(n * 1_000 + k), ..entry };
        (1..).zip(whole(n)).map(at).collect::<Vec<_>>()
    };
    let bytes = vec![RawEntry { at: Lsn::NONE, kind: NO_ENTRY, payload: b"\x00\xff anything".to_vec() }];
    vec![
        (aside(0, Why::Unreadable, "segment 7 at byte 80: checksum 0x1 expected, 0x2 found"), placed(0)[2..].to_vec()),
        (aside(1, Why::Broken, "an end expected, a start found – ünlesbar"), placed(1)),
        (aside(2, Why::Refused, "not that one"), whole(2)),
        (aside(3, Why::Panicked, ""), whole(3)),
        (aside(4, Why::Unreadable, "backlog-shelf.park at byte 64: checksum 0x1 expected, 0x2 found"), bytes),
    ]
}

/// A quarantine on a disk of its own, with the bytes of its file.
fn on_disk(bytes: Option<&[u8]>) -> (Quarantine, SimDisk, PathBuf) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(FOLDER)).expect("a working disk");
    let path = Path::new(FOLDER).join("quarantine-shelf.1.aside");
    if let Some(bytes) = bytes {
        disk.put(&path, bytes);
    }
    (Quarantine::new(Arc::new(disk.clone()), Path::new(FOLDER), "shelf", STREAM), disk, path)
}

fn written() -> Vec<u8> {
    let (mut quarantine, disk, path) = on_disk(None);
    for (aside, entries) in set_aside() {
        assert!(quarantine.add(aside, &entries, u64::MAX).expect("a working disk"));
    }
    disk.contents(&path).expect("a file")
}

#[expect(clippy::disallowed_methods, reason = "fixtures lie on the real disk")]
fn kept(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect("committed")
}

fn read(bytes: &[u8]) -> (Quarantine, Vec<SetAside>) {
    let (mut quarantine, _, _) = on_disk(Some(bytes));
    quarantine.recover().expect("readable");
    let list = quarantine.list().cloned().collect();
    (quarantine, list)
}

#[test]
fn what_version_1_wrote_is_read() {
    let (quarantine, list) = read(&kept("whole.aside"));
    let expected = set_aside();
    assert_eq!(list, expected.iter().map(|(aside, _)| aside.clone()).collect::<Vec<_>>());
    for (aside, entries) in &expected {
        assert_eq!(&quarantine.entries(aside.end).expect("readable"), entries, "{}", aside.visit);
    }
    for n in 1..4 {
        let entries = quarantine.entries(Lsn((n + 1) * 1_000)).expect("readable");
        assert_eq!(visit_of(id(n), &entries), Ok(visit(n, MORNING)), "it can be given again");
    }
    assert!(EntryKind::from_code(NO_ENTRY).is_err(), "bytes that are no entry are taken for none");
    assert_eq!((quarantine.damaged(), quarantine.bytes()), (0, kept("whole.aside").len() as u64));
}

#[test]
fn what_is_written_now_is_version_1_to_the_byte() {
    assert_eq!(written(), kept("whole.aside"), "another format needs another version, and the old fixtures stay");
}

#[test]
fn what_version_1_left_torn_or_damaged_is_read_as_far_as_it_can_be() {
    let visits = |list: Vec<SetAside>| list.into_iter().map(|aside| aside.visit).collect::<Vec<VisitId>>();
    let (quarantine, list) = read(&kept("torn.aside"));
    assert_eq!((visits(list), quarantine.damaged()), ((0..4).map(id).collect(), 0), "the last was not acknowledged");
    let (quarantine, list) = read(&kept("corrupt.aside"));
    assert_eq!((visits(list), quarantine.damaged()), ([0, 2, 3, 4].map(id).to_vec(), 1));
}

#[test]
#[ignore = "writes the fixtures of the current version; run by hand before it is released, never after"]
#[expect(clippy::disallowed_methods, reason = "fixtures lie on the real disk")]
fn make_fixtures() {
    let whole = written();
    let torn = &whole[..whole.len() - 5];
    let mut corrupt = whole.clone();
    let needle = id(1).as_u128().to_le_bytes();
    let at = whole.windows(16).position(|part| part == needle).expect("the second visit");
    corrupt[at + 40] ^= 1;
    for (name, bytes) in [("whole.aside", &whole[..]), ("torn.aside", torn), ("corrupt.aside", &corrupt)] {
        std::fs::write(fixture(name), bytes).expect("a folder");
    }
}
