//! What a statement sees of what is going on.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::datafusion::error::DataFusionError;
use visitlog_core::model::{Entry, Gathered};
use visitlog_core::ports::{Hold, LiveError, LiveSource};
use visitlog_core::{Lsn, VisitId};

use super::LiveFault;
use super::buffer::Buffer;
use super::build::OwnRows;
use super::chunk::{Chunk, Events};

/// Read at a time when a table may have got ends that a snapshot does not know.
const READ_BYTES: usize = 1024 * 1024;

/// Rows of all visits as of one moment. What they need of the journal is kept as long as it lives.
pub struct Snapshot {
    pub(super) pieces: Vec<Piece>,
    lsn: Lsn,
    source: Arc<dyn LiveSource>,
    _hold: Hold,
}

/// A chunk in a snapshot.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) chunk: Arc<Chunk>,
    /// Which of its rows count.
    pub(super) live: Arc<Vec<bool>>,
    all: bool,
    /// The newest record of each visit, where events have to be read from the journal.
    last: Vec<Lsn>,
}

/// Which visits of a snapshot go with a table: those that it does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The table has all visits that ended up to here.
    cursor: Lsn,
    /// Visits that are open in the snapshot, and ended in the table.
    ended: HashSet<VisitId>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("lsn", &self.lsn).field("chunks", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(super) fn of(buffer: &Buffer, hold: Hold) -> Self {
        let last = |chunk: &Chunk| {
            let of = |visit| buffer.sessions.get(visit).map_or(Lsn::NONE, |session| session.last);
            if chunk.events.is_some() { Vec::new() } else { chunk.ids.iter().map(of).collect() }
        };
        let pieces = buffer.chunks.values().map(|kept| Piece {
            chunk: Arc::clone(&kept.chunk),
            live: Arc::clone(&kept.live),
            all: kept.count == kept.chunk.ids.len(),
            last: last(&kept.chunk),
        });
        let (pieces, source) = (pieces.collect(), Arc::clone(&buffer.source));
        Self { pieces, lsn: buffer.next(), source, _hold: hold }
    }

    /// The position behind the last record that it knows.
    pub const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// How many visits it has.
    pub fn visits(&self) -> usize {
        self.pieces.iter().map(|piece| piece.live.iter().filter(|live| **live).count()).sum()
    }

    /// Which visits go with a table that holds all those that ended up to `cursor`. The table is to be asked after the
    /// snapshot was taken; ends that it got since then are looked up.
    ///
    /// # Errors
    /// When the store's records can't be read.
    pub fn beside(&self, cursor: Lsn) -> Result<Scope, LiveFault> {
        let mut ended = HashSet::new();
        let mut from = self.lsn;
        while from <= cursor {
            let tail = self.source.read(from, READ_BYTES)?;
            if tail.next == from {
                break;
            }
            let ends = tail.records.iter().filter(|record| matches!(record.entry, Entry::End(_)));
            ended.extend(ends.filter(|record| record.lsn <= cursor).map(|record| record.visit));
            from = tail.next;
        }
        Ok(Scope { cursor, ended })
    }

    /// The events of these rows of a piece whose events were let go, and the visits that go with them.
    pub(super) fn read(&self, piece: &Piece, rows: &[usize]) -> Result<(RecordBatch, Events), LiveFault> {
        let ends: Vec<_> = rows.iter().map(|row| (piece.chunk.ids[*row], piece.last[*row])).collect();
        let mut own = OwnRows::new();
        let mut offsets = vec![0];
        for chain in self.source.chains(&ends) {
            let mut events = Gathered::default();
            for record in chain? {
                events.see(record.entry);
            }
            events.into_events().iter().for_each(|event| own.push(event));
            offsets.push(own.rows() as u32);
        }
        let at = deltalake::arrow::array::UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
        let visits = deltalake::arrow::compute::take_record_batch(&piece.chunk.visits, &at)?;
        Ok((visits, Events { own: own.finish()?, offsets }))
    }
}

impl Piece {
    /// Which rows a scan wants; `None` for all.
    pub(super) fn kept(&self, scope: &Scope, wanted: impl Fn(VisitId) -> bool) -> Option<Vec<bool>> {
        let Chunk { ids, ends, .. } = &*self.chunk;
        let goes = |row: usize| match ends[row] {
            Lsn::NONE => !scope.ended.contains(&ids[row]),
            end => end > scope.cursor,
        };
        let kept: Vec<bool> = (0..ids.len()).map(|row| self.live[row] && goes(row) && wanted(ids[row])).collect();
        (!self.all || kept.contains(&false)).then_some(kept)
    }
}

impl From<LiveFault> for DataFusionError {
    fn from(fault: LiveFault) -> Self {
        Self::External(Box::new(fault))
    }
}

impl LiveFault {
    /// Whether the records were not kept, which a hold rules out but for visits that a sink has parked.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Source(LiveError::Collected { .. }))
    }
}
