//! Rows of some visits, as they are kept: immutable, so that statements share them.
//!
//! Of an event only its own columns are kept. Those that it has of its visit, and its number, are made when they are
//! asked for: a copy of ten texts in each event would take more memory than the event.

use std::ops::Range;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, UInt32Array};
use deltalake::arrow::compute::{filter_record_batch, interleave, take};
use deltalake::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use deltalake::arrow::error::ArrowError;
use visitlog_core::{Lsn, VisitId};

use crate::rows;
use crate::schema;

/// Some visits' rows.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Whose rows they are, one for each row.
    pub(super) ids: Vec<VisitId>,
    /// Where the `End` of each stands; [`Lsn::NONE`] for an open one.
    pub(super) ends: Vec<Lsn>,
    /// All columns of `visits`.
    pub(super) visits: RecordBatch,
    /// `None`: their events are in the journal only.
    pub(super) events: Option<Events>,
}

/// Events of some visits, by visit and then by time.
#[derive(Debug, Clone)]
pub(super) struct Events {
    /// An event's own columns.
    pub(super) own: RecordBatch,
    /// Where each visit's events begin, and where the last one's end.
    pub(super) offsets: Vec<u32>,
}

impl Events {
    pub(super) fn of(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The events' times.
    pub(super) fn times(&self) -> &[i64] {
        self.own.column(0).as_primitive::<TimestampMicrosecondType>().values()
    }

    /// Rows of `events` for these visits, in the projected columns.
    pub(super) fn rows(
        &self,
        visits: &RecordBatch,
        rows: impl Iterator<Item = usize>,
        columns: &Projection,
    ) -> Result<RecordBatch, ArrowError> {
        let (mut at, mut owner, mut seq) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let events = self.of(row);
            seq.extend(1..=i32::try_from(events.len()).unwrap_or(i32::MAX));
            owner.extend(std::iter::repeat_n(row as u32, events.len()));
            at.extend(events.map(|event| event as u32));
        }
        let len = at.len();
        // Visits next to each other need no copy.
        let together = at.first().map(|first| *first as usize).filter(|first| at[len - 1] as usize == first + len - 1);
        let (at, owner) = (UInt32Array::from(at), UInt32Array::from(owner));
        let seq: ArrayRef = Arc::new(Int32Array::from(seq));
        let column = |source: &Source| match source {
            Source::Seq => Ok(Arc::clone(&seq)),
            Source::Own(column) => match together {
                Some(first) => Ok(self.own.column(*column).slice(first, len)),
                None => take(self.own.column(*column), &at, None),
            },
            Source::Visit(column) => take(visits.column(*column), &owner, None),
        };
        let arrays = columns.sources.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        batch(&columns.schema, arrays, len)
    }
}

/// A batch that may have no columns.
pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    let options = deltalake::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Where a column of `events` comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Seq,
    Own(usize),
    Visit(usize),
}

/// The columns of `events` that a scan wants.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    pub(super) schema: SchemaRef,
    sources: Vec<Source>,
}

impl Projection {
    pub(super) fn of(schema: SchemaRef) -> Self {
        let (visits, own) = (schema::visits(), rows::own_columns());
        let source = |name: &str| match own.index_of(name) {
            _ if name == "seq" => Some(Source::Seq),
            Ok(column) => Some(Source::Own(column)),
            Err(_) => visits.index_of(name).ok().map(Source::Visit),
        };
        let sources = schema.fields().iter().filter_map(|field| source(field.name())).collect();
        Self { schema, sources }
    }
}

/// A visit of a chunk that is being made.
pub(super) struct Item {
    pub(super) visit: VisitId,
    pub(super) end: Lsn,
    /// Which batch, and which row of it, its row of `visits` comes from.
    pub(super) row: (usize, usize),
    /// Its events, ordered: which batch, which row.
    pub(super) events: Vec<(usize, usize)>,
}

/// What a chunk is made of.
pub(super) struct Material<'a> {
    pub(super) visits: Vec<&'a RecordBatch>,
    /// Events' own columns; `None` for a chunk whose events are let go.
    pub(super) events: Option<Vec<&'a RecordBatch>>,
    /// Columns of `visits` that are to be taken from here, a row for each item.
    pub(super) fresh: Option<&'a RecordBatch>,
}

impl Chunk {
    pub(super) fn make(items: &[Item], material: &Material<'_>) -> Result<Self, ArrowError> {
        let places: Vec<_> = items.iter().map(|item| item.row).collect();
        let fresh = |name: &str| material.fresh.and_then(|fresh| fresh.column_by_name(name)).cloned();
        let schema = schema::visits();
        let column = |(at, field): (usize, &Arc<deltalake::arrow::datatypes::Field>)| match fresh(field.name()) {
            Some(column) => Ok(column),
            None => gather(&material.visits, at, &places),
        };
        let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
        let visits = RecordBatch::try_new(schema, columns)?;
        let events = material.events.as_ref().map(|events| own(items, events)).transpose()?;
        let ids = items.iter().map(|item| item.visit).collect();
        Ok(Self { ids, ends: items.iter().map(|item| item.end).collect(), visits, events })
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.visits.get_array_memory_size() + self.event_bytes() + self.ids.len() * 25
    }

    pub(super) fn event_bytes(&self) -> usize {
        let of = |events: &Events| events.own.get_array_memory_size() + events.offsets.len() * 4;
        self.events.as_ref().map_or(0, of)
    }

    /// Rows of `visits`, of a range or of those in it that are `kept`, in the projected columns.
    pub(super) fn visit_rows(
        &self,
        range: Range<usize>,
        kept: Option<&[bool]>,
        projection: &[usize],
    ) -> Result<RecordBatch, ArrowError> {
        let rows = self.visits.project(projection)?.slice(range.start, range.len());
        match kept {
            None => Ok(rows),
            Some(kept) => filter_record_batch(&rows, &BooleanArray::from(kept[range].to_vec())),
        }
    }
}

fn own(items: &[Item], sources: &[&RecordBatch]) -> Result<Events, ArrowError> {
    let mut offsets = vec![0];
    let mut places = Vec::new();
    for item in items {
        places.extend_from_slice(&item.events);
        offsets.push(places.len() as u32);
    }
    let schema = rows::own_columns();
    let columns = (0..schema.fields().len()).map(|at| gather(sources, at, &places)).collect::<Result<Vec<_>, _>>()?;
    Ok(Events { own: RecordBatch::try_new(schema, columns)?, offsets })
}

fn gather(sources: &[&RecordBatch], column: usize, places: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<&dyn Array> = sources.iter().map(|source| source.column(column).as_ref()).collect();
    interleave(&arrays, places)
}
