//! A record as it is read.

use visitlog_core::model::Entry;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::codec::CodecError;
use super::format::{Flags, Kind};
use super::meta::{Ack, BaseItem};

/// A valid record, its payload not yet decoded.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Its position.
    pub lsn: Lsn,
    /// What it is.
    pub kind: Kind,
    /// What else is to be known of it.
    pub flags: Flags,
    /// Whose it is; zero where it is nobody's.
    pub visit: VisitId,
    /// The same visit's previous record.
    pub prev: Lsn,
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// The position behind it.
    pub fn end(&self) -> Lsn {
        unimplemented!()
    }

    /// The activity or moment that it stands for (an event's: when its answer was ready), without decoding the rest.
    /// `None` for records that have none.
    pub fn moment(&self) -> Option<Timestamp> {
        unimplemented!()
    }

    /// The entry of a session's chain.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record belongs to no session.
    pub fn entry(&self) -> Result<Entry, CodecError> {
        unimplemented!()
    }

    /// The acknowledgement of an `Ack`.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record is no `Ack`.
    pub fn ack(&self) -> Result<Ack, CodecError> {
        unimplemented!()
    }

    /// The position that a `Synced` names.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record is no `Synced`.
    pub fn synced(&self) -> Result<Lsn, CodecError> {
        unimplemented!()
    }

    /// The items of a `Base`. Kinds of items that this program does not know are left out.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record is no `Base`.
    pub fn base(&self) -> Result<Vec<BaseItem>, CodecError> {
        unimplemented!()
    }
}

/// A record of a chain, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainEntry {
    /// Its position.
    pub lsn: Lsn,
    /// What else is to be known of it.
    pub flags: Flags,
    /// The entry.
    pub entry: Entry,
}

/// A record of a chain as its bytes, for carrying it forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Its position.
    pub lsn: Lsn,
    /// What it is.
    pub kind: Kind,
    /// What else is to be known of it.
    pub flags: Flags,
    /// Its payload.
    pub payload: Vec<u8>,
}
