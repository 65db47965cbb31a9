//! Payloads of journal records: what is decoded encodes again, and decodes the same; nothing panics, whatever the bytes,
//! and nothing takes more memory than they justify.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visitlog_core::model::Entry;
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::journal::{BaseItem, Flags, Kind, RecordRef, codec};
use visitlog_fuzz::bounded;

/// A value in a list of JSON costs 64 bytes for 2 characters, in an object some 700 for 7; while a list grows it is there
/// twice.
const BYTES_PER_BYTE: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some((first, payload)) = data.split_first() else { return };
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let visit = VisitId::from_u128(1);
    let record = RecordRef { lsn: Lsn(64), kind, flags: Flags::NONE, visit, prev: Lsn::NONE, payload };
    let moment = record.moment();
    let bound = |work: &dyn Fn()| bounded(payload.len(), BYTES_PER_BYTE, 4096, work);
    bound(&|| drop(record.entry()));
    bound(&|| drop(record.ack()));
    bound(&|| drop(record.synced()));
    bound(&|| drop(record.base()));

    if let Ok(entry) = record.entry() {
        assert_eq!(codec::kind_of(&entry), kind);
        let mut bytes = Vec::new();
        codec::encode(&entry, &mut bytes);
        let again = codec::decode(kind, &bytes).expect("what was encoded");
        assert_eq!(again, entry);
        let mut twice = Vec::new();
        codec::encode(&again, &mut twice);
        assert_eq!(twice, bytes, "the encoding is one");
        let moment_of_entry = match &entry {
            Entry::Start(start) => start.at,
            Entry::Event(event) => event.activity(),
            Entry::Set { at, .. } | Entry::Touch { at, .. } | Entry::Rotate { at, .. } | Entry::Withdraw { at, .. } => *at,
            Entry::End(end) => end.closed_at,
        };
        assert_eq!(moment, Some(moment_of_entry));
    }
    if let Ok(ack) = record.ack() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, ack.sink.as_bytes());
        bytes.extend_from_slice(&ack.lsn.0.to_le_bytes());
        put_bytes(&mut bytes, &ack.place);
        assert_eq!(RecordRef { payload: &bytes, ..record }.ack(), Ok(ack));
    }
    if let Ok(items) = record.base() {
        let mut bytes = Vec::new();
        items.iter().for_each(|item| put_item(&mut bytes, item));
        assert_eq!(RecordRef { payload: &bytes, ..record }.base(), Ok(items));
    }
});

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// As the page of the format has it.
fn put_item(out: &mut Vec<u8>, item: &BaseItem) {
    let mut body = Vec::new();
    out.push(match item {
        BaseItem::Ack(ack) => {
            put_bytes(&mut body, ack.sink.as_bytes());
            body.extend_from_slice(&ack.lsn.0.to_le_bytes());
            put_bytes(&mut body, &ack.place);
            1
        }
        BaseItem::Site(name) => {
            body.extend_from_slice(name.as_bytes());
            2
        }
        BaseItem::Tombstone { visit, reason, closed_at } => {
            use visitlog_core::model::EndReason as R;
            body.extend_from_slice(&visit.as_u128().to_le_bytes());
            body.push(match reason {
                R::Expired => 1,
                R::Abandoned => 2,
                R::LoggedOut => 3,
                R::MaxAge => 4,
                R::Superseded => 5,
                R::Terminated => 6,
                R::MaxEvents => 7,
                R::Evicted => 8,
            });
            body.extend_from_slice(&closed_at.micros().to_le_bytes());
            3
        }
        BaseItem::Erased(barrier) => {
            body.extend_from_slice(&barrier.below.0.to_le_bytes());
            body.extend_from_slice(&barrier.salt.to_le_bytes());
            body.extend_from_slice(&barrier.mark.to_le_bytes());
            5
        }
        BaseItem::Time(at) => {
            body.extend_from_slice(&at.micros().to_le_bytes());
            4
        }
    });
    put_bytes(out, &body);
}
