//! Payloads, headers and records as bytes.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use visitlog_core::erasure::Barrier;
use visitlog_core::machine::Tombstone;
use visitlog_core::model::{EndReason, Entry};
use visitlog_core::{Lsn, Timestamp};

use super::support::{any_entry, end, moment, page, start, touch, visit};
use crate::journal::codec::{self, CodecError};
use crate::journal::format::{self, FIRST_LSN, Header, Seed};
use crate::journal::meta;
use crate::journal::{Ack, BaseItem, Fault, Flags, Kind};

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(entry, &mut bytes);
    bytes
}

fn activity(entry: &Entry) -> Timestamp {
    match entry {
        Entry::Start(start) => start.at,
        Entry::Event(event) => event.activity(),
        Entry::Set { at, .. } | Entry::Touch { at, .. } | Entry::Rotate { at, .. } | Entry::Withdraw { at, .. } => *at,
        Entry::End(end) => end.closed_at,
    }
}

/// What is skimmed is refused for the same reasons, and tells the same of an event's activity.
fn skims_as_it_decodes(kind: Kind, bytes: &[u8]) {
    match (codec::decode(kind, bytes), codec::skim(kind, bytes)) {
        (Ok(Entry::Event(whole)), Ok(Entry::Event(skimmed))) => {
            assert_eq!((whole.activity(), whole.kind), (skimmed.activity(), skimmed.kind));
        }
        (whole, skimmed) => assert_eq!(whole, skimmed),
    }
}

proptest! {
    #[test]
    fn entries_come_back_as_they_went_in(entry in any_entry(), later in vec(any::<u8>(), 0..20)) {
        let kind = codec::kind_of(&entry);
        let mut bytes = encoded(&entry);
        prop_assert_eq!(codec::decode(kind, &bytes), Ok(entry.clone()));
        prop_assert_eq!(codec::moment(kind, &bytes), Some(activity(&entry)));
        for len in 0..=bytes.len() {
            skims_as_it_decodes(kind, &bytes[..len]);
        }
        bytes.extend(later);
        prop_assert_eq!(codec::decode(kind, &bytes), Ok(entry), "fields of a newer version are ignored");
    }

    #[test]
    fn a_cut_entry_is_an_error(entry in any_entry(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&entry);
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(codec::decode(codec::kind_of(&entry), cut).is_err());
    }

    #[test]
    fn damaged_bytes_never_panic(entry in any_entry(), hits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = encoded(&entry);
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for kind in Kind::ALL {
            let _ = codec::decode(kind, &bytes);
            let _ = codec::moment(kind, &bytes);
            skims_as_it_decodes(kind, &bytes);
        }
        let _ = (meta::take_ack(&bytes), meta::take_base(&bytes), meta::take_synced(&bytes));
    }

    #[test]
    fn any_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        for kind in Kind::ALL {
            let _ = codec::decode(kind, &bytes);
        }
        let _ = (meta::take_ack(&bytes), meta::take_base(&bytes), meta::take_synced(&bytes));
        if let Ok(len) = format::record_len(&bytes, bytes.len() as u64) {
            let _ = format::check(&bytes[..len], FIRST_LSN, Seed::new(1, 1));
        }
    }
}

#[test]
fn a_page_view_costs_little() {
    let len = format::RECORD_LEN_MIN + encoded(&page(7)).len();
    assert!(len <= 150, "{len}");
    assert_eq!(encoded(&touch(7)).len(), 9);
}

#[test]
fn a_count_that_the_bytes_do_not_justify_allocates_nothing() {
    let mut bytes = Vec::new();
    visitlog_core::codec::wire::put_moment(&mut bytes, moment(1));
    visitlog_core::codec::wire::put_varint(&mut bytes, u64::MAX);
    assert_eq!(codec::decode(Kind::Set, &bytes), Err(CodecError::End { what: "fields" }));
}

#[test]
fn unknown_codes_are_errors() {
    let mut bytes = encoded(&page(1));
    bytes[8] = 99;
    assert_eq!(codec::decode(Kind::Event, &bytes), Err(CodecError::Code { what: "kind of event", found: 99 }));
    let mut bytes = encoded(&end(1));
    bytes[16] = 0;
    assert_eq!(codec::decode(Kind::End, &bytes), Err(CodecError::Code { what: "reason", found: 0 }));
    let error = codec::decode(Kind::Ack, &encoded(&start(1))).expect_err("no entry");
    assert_eq!(error.to_string(), "a record of kind a session's chain expected, one of kind ack found");
}

#[test]
fn a_value_nested_too_deeply_comes_back_as_text() {
    let mut value = json!(1);
    for _ in 0..300 {
        value = Value::Array(vec![value]);
    }
    let entry = Entry::Set { at: moment(1), fields: vec![(Arc::from("deep"), Some(value.clone()))] };
    let Ok(Entry::Set { fields, .. }) = codec::decode(Kind::Set, &encoded(&entry)) else {
        panic!("a set");
    };
    assert_eq!(fields[0].1, Some(Value::String(value.to_string())));
}

#[test]
fn codes_never_change() {
    let codes: Vec<u8> = EndReason::ALL.into_iter().map(codec::end_code).collect();
    assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8]);
    for kind in Kind::ALL {
        assert_eq!(Kind::from_code(kind as u8), Some(kind));
    }
    assert_eq!(Kind::ALL.map(|kind| kind as u8), [1, 2, 3, 4, 5, 6, 7, 16, 17, 18]);
    assert_eq!(Kind::from_code(0), None);
    assert_eq!((Flags::CARRIED.0, Flags::CONFIRMS.0, Flags::CARRIED_LAST.0), (1, 2, 4));
}

#[test]
fn a_header_comes_back_and_a_damaged_one_does_not() {
    let header = Header { uuid: 7 << 100, epoch: 3, first: Lsn(64) };
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(header));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes;
            bytes[at] ^= 1 << bit;
            let fault = Header::decode(&bytes).expect_err("damaged");
            assert!(!matches!(fault, Fault::Zeros { .. }), "{at}");
        }
    }
    let mut newer = bytes;
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..60]);
    newer[60..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&newer), Err(Fault::Version { expected: 1, found: 2 }));
    assert_eq!(Header::decode(&[0; 64]), Err(Fault::Zeros { expected: "a segment's header" }));
}

#[test]
fn a_record_counts_only_in_its_place_epoch_and_journal() {
    let mut bytes = Vec::new();
    let at = format::begin(&mut bytes, Lsn(99), Kind::Touch, Flags::CONFIRMS, visit(5), Lsn(77));
    codec::encode(&touch(1), &mut bytes);
    format::seal(&mut bytes, at, Seed::new(1, 1));
    assert_eq!(format::record_len(&bytes, 1_000), Ok(bytes.len()));
    let record = format::check(&bytes, Lsn(99), Seed::new(1, 1)).expect("right");
    assert_eq!(
        (record.kind, record.flags, record.visit, record.prev),
        (Kind::Touch, Flags::CONFIRMS, visit(5), Lsn(77))
    );
    assert_eq!(record.entry(), Ok(touch(1)));
    assert_eq!(record.end(), Lsn(99 + bytes.len() as u64));
    assert!(matches!(format::check(&bytes, Lsn(99), Seed::new(1, 2)), Err(Fault::Checksum { .. })), "epoch");
    assert!(matches!(format::check(&bytes, Lsn(99), Seed::new(2, 1)), Err(Fault::Checksum { .. })), "journal");
    assert!(matches!(format::check(&bytes, Lsn(98), Seed::new(1, 1)), Err(Fault::Place { .. })), "place");
    for at in 4..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert!(matches!(format::check(&bytes, Lsn(99), Seed::new(1, 1)), Err(Fault::Checksum { .. })), "{at}");
    }
}

#[test]
fn the_journals_own_records_come_back_and_unknown_items_are_left_out() {
    let ack = Ack { sink: "visits.ndjson".to_owned(), lsn: Lsn(5_000), place: vec![1, 2, 255] };
    let mut bytes = Vec::new();
    meta::put_ack(&mut bytes, &ack);
    assert_eq!(meta::take_ack(&bytes), Ok(ack.clone()));
    let items = [
        BaseItem::Ack(ack),
        BaseItem::Site("shop.example".to_owned()),
        BaseItem::OldTombstone { visit: visit(3), reason: EndReason::LoggedOut, closed_at: moment(9) },
        BaseItem::Tombstone(Tombstone {
            visit: visit(4),
            reason: EndReason::Terminated,
            closed_at: moment(9),
            until: moment(90),
            confirmed: false,
        }),
        BaseItem::Time(moment(10)),
        BaseItem::Erased(Barrier { below: Lsn(77), salt: 5 << 100, mark: 9 }),
        BaseItem::ErasureDone(5 << 100),
    ];
    let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
    for item in &items {
        meta::put_item(&mut bytes, item, &mut scratch);
        bytes.extend([200, 3, 9, 9, 9]);
    }
    assert_eq!(meta::take_base(&bytes), Ok(items.to_vec()));
}

#[test]
fn file_names_are_for_segments_only() {
    assert_eq!(format::file_name(Lsn(64)), "journal-00000000000000000064.seg");
    assert_eq!(format::first_of_name("journal-00000000000000000064.seg"), Some(Lsn(64)));
    for name in ["journal-64.seg", "journal-0000000000000000006x.seg", "lock", "journal-00000000000000000064.seg~"] {
        assert_eq!(format::first_of_name(name), None, "{name}");
    }
}
