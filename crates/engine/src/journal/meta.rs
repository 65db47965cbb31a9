//! Payloads of the journal's own records, version 1; in the words of [`super::codec`]:
//!
//! | kind | payload |
//! |---|---|
//! | `Ack` | text sink, LSN 8 bytes, bytes place (varint length first) |
//! | `Synced` | LSN 8 bytes |
//! | `Base` | items to the end, each: u8 what, varint length, body |
//!
//! Items of a base: 1 an `Ack`'s payload; 2 a site's name; 3 (before 1.4) a tombstone: visit id 16 bytes, reason u8, moment closed;
//! 4 a moment; 5 (since 1.2) a part of an erasure: LSN 8 bytes, salt 16 bytes, mark 16 bytes, see [`Barrier`]; 6 (since
//! 1.3) an erasure that is done: salt 16 bytes; 7 (since 1.4) a tombstone: the same as 3, then moment until, u8 confirmed. Other items are left out: a newer minor version added them.

use visitlog_core::codec::wire::{Input, put_bytes, put_moment, put_u64, put_u128, put_varint};
use visitlog_core::erasure::Barrier;
use visitlog_core::machine::Tombstone;
use visitlog_core::model::EndReason;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::codec::{CodecError, end_code, end_of};

/// A sink has all Ends up to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The sink's name.
    pub sink: String,
    /// The last End that it has.
    pub lsn: Lsn,
    /// Where the sink stands behind it: its own words.
    pub place: Vec<u8>,
}

/// A piece of state that belongs to no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseItem {
    /// A sink's latest acknowledgement.
    Ack(Ack),
    /// A site that a confirmed session has used.
    Site(String),
    /// A session that ended and must not be opened or joined again.
    Tombstone(Tombstone),
    /// The same, as journals before 1.4 say it.
    OldTombstone {
        /// The visit.
        visit: VisitId,
        /// Why it ended.
        reason: EndReason,
        /// When its end was decided.
        closed_at: Timestamp,
    },
    /// The engine's time when the base was written: after a restart the clock goes on from here at least.
    Time(Timestamp),
    /// Somebody's visits that ended before a place are erased.
    Erased(Barrier),
    /// The erasure of this salt is done.
    ErasureDone(u128),
}

pub(super) fn put_ack(out: &mut Vec<u8>, ack: &Ack) {
    put_bytes(out, ack.sink.as_bytes());
    put_u64(out, ack.lsn.0);
    put_bytes(out, &ack.place);
}

pub(super) fn take_ack(payload: &[u8]) -> Result<Ack, CodecError> {
    let mut input = Input::new(payload);
    Ok(Ack { sink: input.text("sink")?.to_owned(), lsn: Lsn(input.u64("lsn")?), place: input.bytes("place")?.to_vec() })
}

pub(super) fn take_synced(payload: &[u8]) -> Result<Lsn, CodecError> {
    Ok(Lsn(Input::new(payload).u64("lsn")?))
}

/// Appends one item; `scratch` is any buffer, to be used again.
pub(super) fn put_item(out: &mut Vec<u8>, item: &BaseItem, scratch: &mut Vec<u8>) {
    scratch.clear();
    let what = match item {
        BaseItem::Ack(ack) => {
            put_ack(scratch, ack);
            1
        }
        BaseItem::Site(name) => {
            scratch.extend_from_slice(name.as_bytes());
            2
        }
        BaseItem::OldTombstone { visit, reason, closed_at } => {
            put_end(scratch, *visit, *reason, *closed_at);
            3
        }
        BaseItem::Tombstone(Tombstone { visit, reason, closed_at, until, confirmed }) => {
            put_end(scratch, *visit, *reason, *closed_at);
            put_moment(scratch, *until);
            scratch.push(u8::from(*confirmed));
            7
        }
        BaseItem::Time(at) => {
            put_moment(scratch, *at);
            4
        }
        BaseItem::Erased(Barrier { below, salt, mark }) => {
            put_u64(scratch, below.0);
            put_u128(scratch, *salt);
            put_u128(scratch, *mark);
            5
        }
        BaseItem::ErasureDone(salt) => {
            put_u128(scratch, *salt);
            6
        }
    };
    out.push(what);
    put_varint(out, scratch.len() as u64);
    out.extend_from_slice(scratch);
}

fn put_end(out: &mut Vec<u8>, visit: VisitId, reason: EndReason, closed_at: Timestamp) {
    put_u128(out, visit.as_u128());
    out.push(end_code(reason));
    put_moment(out, closed_at);
}

pub(super) fn take_base(payload: &[u8]) -> Result<Vec<BaseItem>, CodecError> {
    let mut input = Input::new(payload);
    let mut items = Vec::new();
    while !input.is_empty() {
        let what = input.u8("item")?;
        let body = input.bytes("item")?;
        let mut inner = Input::new(body);
        items.push(match what {
            1 => BaseItem::Ack(take_ack(body)?),
            2 => BaseItem::Site(std::str::from_utf8(body).map_err(|_| CodecError::Text { what: "site" })?.to_owned()),
            3 => BaseItem::OldTombstone {
                visit: VisitId::from_u128(inner.u128("visit")?),
                reason: end_of(inner.u8("reason")?)?,
                closed_at: inner.moment()?,
            },
            4 => BaseItem::Time(inner.moment()?),
            5 => BaseItem::Erased(Barrier {
                below: Lsn(inner.u64("lsn")?),
                salt: inner.u128("salt")?,
                mark: inner.u128("mark")?,
            }),
            6 => BaseItem::ErasureDone(inner.u128("salt")?),
            7 => BaseItem::Tombstone(Tombstone {
                visit: VisitId::from_u128(inner.u128("visit")?),
                reason: end_of(inner.u8("reason")?)?,
                closed_at: inner.moment()?,
                until: inner.moment()?,
                confirmed: inner.flag("confirmed")?,
            }),
            _ => continue,
        });
    }
    Ok(items)
}
