//! A record as it is read.

use visitlog_core::model::Entry;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::codec::{self, CodecError};
use super::kind::{Flags, Kind};
use super::meta::{self, Ack, BaseItem};

/// Bytes of a record before its payload.
pub const RECORD_LEN_MIN: usize = 42;

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

impl RecordRef<'_> {
    /// The position behind it.
    pub fn end(&self) -> Lsn {
        Lsn(self.lsn.0 + (RECORD_LEN_MIN + self.payload.len()) as u64)
    }

    /// The moment that it stands for, without decoding the rest: for an event its activity (when the answer was ready),
    /// for an end when it was decided. `None` for the journal's own records.
    pub fn moment(&self) -> Option<Timestamp> {
        codec::moment(self.kind, self.payload)
    }

    /// The entry of a session's chain.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record belongs to no session.
    pub fn entry(&self) -> Result<Entry, CodecError> {
        codec::decode(self.kind, self.payload)
    }

    /// The same for one of many, see [`codec::Before`].
    ///
    /// # Errors
    /// Those of [`RecordRef::entry`].
    pub fn entry_after(&self, before: &mut codec::Before) -> Result<Entry, CodecError> {
        codec::decode_after(self.kind, self.payload, before)
    }

    /// The entry as recovery needs it: of an event, when it was.
    ///
    /// # Errors
    /// Those of [`RecordRef::entry`].
    pub fn skimmed(&self) -> Result<Entry, CodecError> {
        codec::skim(self.kind, self.payload)
    }

    /// The acknowledgement of an `Ack`.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record is no `Ack`.
    pub fn ack(&self) -> Result<Ack, CodecError> {
        self.must_be(Kind::Ack)?;
        meta::take_ack(self.payload)
    }

    /// The position that a `Synced` names.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record is no `Synced`.
    pub fn synced(&self) -> Result<Lsn, CodecError> {
        self.must_be(Kind::Synced)?;
        meta::take_synced(self.payload)
    }

    /// The items of a `Base`. Kinds of items that this program does not know are left out.
    ///
    /// # Errors
    /// When the payload can't be understood, or the record is no `Base`.
    pub fn base(&self) -> Result<Vec<BaseItem>, CodecError> {
        self.must_be(Kind::Base)?;
        meta::take_base(self.payload)
    }

    fn must_be(&self, kind: Kind) -> Result<(), CodecError> {
        if self.kind == kind {
            Ok(())
        } else {
            Err(CodecError::Kind { expected: kind.as_str(), found: self.kind.as_str() })
        }
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
