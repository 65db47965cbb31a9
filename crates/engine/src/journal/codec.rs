//! Payloads of a session's records: the bytes of its entries as [`visitlog_core::codec`] specifies them, each under the
//! [`Kind`] of the same code.

use visitlog_core::Timestamp;
use visitlog_core::codec::{self, EntryKind};
use visitlog_core::model::Entry;

use super::kind::Kind;

pub use visitlog_core::codec::{Before, CodecError, encode, end_code, end_of};

/// The kind of record that an entry becomes.
pub const fn kind_of(entry: &Entry) -> Kind {
    match EntryKind::of(entry) {
        EntryKind::Start => Kind::Start,
        EntryKind::Event => Kind::Event,
        EntryKind::Set => Kind::Set,
        EntryKind::Touch => Kind::Touch,
        EntryKind::Rotate => Kind::Rotate,
        EntryKind::End => Kind::End,
        EntryKind::Withdraw => Kind::Withdraw,
    }
}

/// Reads an entry back. Bytes behind its known fields are ignored.
///
/// # Errors
/// When the payload can't be understood, or records of this kind are no entries.
pub fn decode(kind: Kind, payload: &[u8]) -> Result<Entry, CodecError> {
    codec::decode(entry_kind(kind)?, payload)
}

/// The same for one of many.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_after(kind: Kind, payload: &[u8], before: &mut Before) -> Result<Entry, CodecError> {
    codec::decode_after(entry_kind(kind)?, payload, before)
}

/// The same with all of the payload read, but what recovery has no use for left out, see [`codec::skim`].
///
/// # Errors
/// Those of [`decode`].
pub fn skim(kind: Kind, payload: &[u8]) -> Result<Entry, CodecError> {
    codec::skim(entry_kind(kind)?, payload)
}

fn entry_kind(kind: Kind) -> Result<EntryKind, CodecError> {
    let no_entry = |_| CodecError::Kind { expected: "a session's chain", found: kind.as_str() };
    EntryKind::from_code(kind as u8).map_err(no_entry)
}

/// The moment that a record stands for, without decoding the rest: an event's activity, an end's closing.
pub(super) fn moment(kind: Kind, payload: &[u8]) -> Option<Timestamp> {
    codec::moment(EntryKind::from_code(kind as u8).ok()?, payload)
}
