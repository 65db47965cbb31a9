//! The tables of an outbox's file, and what is written to them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use visitlog_core::model::VisitView;
use visitlog_core::ports::StreamId;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::message::{EventType, Message, Wants, messages};
use super::schedule::{Number, Waiting};

/// A message without its body: of which visit, and the rest as JSON.
pub(super) const MESSAGES: TableDefinition<'_, Number, (u128, &[u8])> = TableDefinition::new("messages");
pub(super) const BODIES: TableDefinition<'_, Number, &[u8]> = TableDefinition::new("bodies");
/// What was told of visits that have not ended.
pub(super) const TOLD: TableDefinition<'_, (u128, &str), ()> = TableDefinition::new("told");
/// How far both have come, and what else is a number.
pub(super) const PLACES: TableDefinition<'_, &str, u128> = TableDefinition::new("places");
const STREAM: &str = "stream";
const ENDED: &str = "ended";
const SEEN: &str = "seen";
/// The receiver has said that it is gone for good.
pub(super) const GONE: &str = "gone";

/// Memory that pages of the file take.
const CACHE_BYTES: usize = 4 << 20;
/// What is kept of a message beside its visit and its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) event: EventType,
    pub(super) what: String,
    pub(super) at_us: i64,
    pub(super) attempts: u32,
    pub(super) due_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) is_dead: bool,
}

/// How far both that tell have come, in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places {
    stream: u128,
    /// The lane has given all visits that ended up to here.
    pub(super) ended: Lsn,
    /// The follower has seen all records up to here.
    pub(super) seen: Lsn,
}

impl Places {
    /// The same of this stream: those of another one are none of its.
    pub(super) fn of(self, StreamId(stream): StreamId) -> Self {
        if self.stream == stream { self } else { Self { stream, ..Self::default() } }
    }

    pub(super) fn read(txn: &WriteTransaction) -> Result<Self, redb::Error> {
        let places = txn.open_table(PLACES)?;
        let of = |name| Ok::<_, redb::Error>(places.get(name)?.map_or(0, |value| value.value()));
        let position = |at: u128| u64::try_from(at).map_or(Lsn::NONE, Lsn);
        Ok(Self { stream: of(STREAM)?, ended: position(of(ENDED)?), seen: position(of(SEEN)?) })
    }

    pub(super) fn write(self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        let mut places = txn.open_table(PLACES)?;
        for (name, at) in [(STREAM, self.stream), (ENDED, self.ended.0.into()), (SEEN, self.seen.0.into())] {
            places.insert(name, at)?;
        }
        Ok(())
    }
}

/// What was written of visits.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) fresh: Vec<(VisitId, Waiting)>,
    /// Whether anything was.
    pub(super) is_any: bool,
}

/// Writes what was not told yet of these visits.
pub(super) fn write_fresh(
    txn: &WriteTransaction,
    first: Number,
    now: Timestamp,
    wants: &Wants,
    visits: &[VisitView<'_>],
) -> Result<Written, redb::Error> {
    let mut written = Written::default();
    for visit in visits {
        let key = visit.visit.as_u128();
        let told: BTreeSet<String> = {
            let table = txn.open_table(TOLD)?;
            let mut told = BTreeSet::new();
            for one in table.range((key, "")..)? {
                let (one, _) = one?;
                let (of, what) = one.value();
                if of != key {
                    break;
                }
                told.insert(what.to_owned());
            }
            told
        };
        let all = messages(visit, wants, &told);
        written.is_any |= !all.is_empty() || (visit.end.is_some() && !told.is_empty());
        for message in &all {
            let waiting = Waiting { number: first + written.fresh.len() as u64, attempts: 0, due: now };
            insert(txn, visit.visit, waiting, message)?;
            written.fresh.push((visit.visit, waiting));
            if visit.end.is_none() {
                txn.open_table(TOLD)?.insert((key, &*message.what), ())?;
            }
        }
        if visit.end.is_some() {
            let mut table = txn.open_table(TOLD)?;
            for what in &told {
                table.remove((key, &**what))?;
            }
        }
    }
    Ok(written)
}

pub(super) fn insert(
    txn: &WriteTransaction,
    visit: VisitId,
    waiting: Waiting,
    message: &Message,
) -> Result<(), redb::Error> {
    let head = Head {
        event: message.event,
        what: message.what.clone(),
        at_us: message.at.micros(),
        attempts: 0,
        due_us: waiting.due.micros(),
        error: None,
        is_dead: false,
    };
    put(txn, waiting.number, visit, &head)?;
    txn.open_table(BODIES)?.insert(waiting.number, &*message.body)?;
    Ok(())
}

pub(super) fn put(txn: &WriteTransaction, number: Number, visit: VisitId, head: &Head) -> Result<(), redb::Error> {
    let head = serde_json::to_vec(head).map_err(io::Error::from)?;
    txn.open_table(MESSAGES)?.insert(number, (visit.as_u128(), &*head))?;
    Ok(())
}

pub(super) fn remove(txn: &WriteTransaction, number: Number) -> Result<(), redb::Error> {
    txn.open_table(MESSAGES)?.remove(number)?;
    txn.open_table(BODIES)?.remove(number)?;
    Ok(())
}

pub(super) fn message_at(txn: &WriteTransaction, number: Number) -> Result<Option<(VisitId, Head)>, redb::Error> {
    let table = txn.open_table(MESSAGES)?;
    let Some(message) = table.get(number)? else { return Ok(None) };
    let (visit, head) = message.value();
    Ok(Some((VisitId::from_u128(visit), head_of(head)?)))
}

pub(super) fn head_at(txn: &WriteTransaction, number: Number) -> Result<Option<Head>, redb::Error> {
    Ok(message_at(txn, number)?.map(|(_, head)| head))
}

pub(super) fn head_of(bytes: &[u8]) -> Result<Head, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(format!("a message's head: {error}")))
}

pub(super) fn open_db(file: File) -> Result<Database, redb::Error> {
    let backend = redb::backends::FileBackend::new(file)?;
    Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?)
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &redb::ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let mut copy = to.open_table(table)?;
    for entry in from.open_table(table)?.iter()? {
        let (key, value) = entry?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// All that a file has, into one that is empty.
pub(super) fn copy(from: &Database, to: &Database) -> Result<(), redb::Error> {
    let (from, to) = (from.begin_read()?, to.begin_write()?);
    copy_table(&from, &to, BODIES)?;
    copy_table(&from, &to, MESSAGES)?;
    copy_table(&from, &to, PLACES)?;
    copy_table(&from, &to, TOLD)?;
    Ok(to.commit()?)
}
