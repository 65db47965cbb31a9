//! Rows of ended visits, gathered in memory until they are written, sorted.

use std::collections::BTreeMap;

use deltalake::arrow::array::{AsArray as _, RecordBatch};
use deltalake::arrow::compute::interleave_record_batch;
use deltalake::arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use deltalake::arrow::error::ArrowError;
use deltalake::kernel::Add;
use visitlog_core::model::{EndedVisit, Via};
use visitlog_core::page::PageParams;
use visitlog_core::requests::{RequestCount, RequestCounts, RequestType};
use visitlog_core::{Lsn, Timestamp, VisitId};

use crate::error::WarehouseError;
use crate::files::FileWriter;
use crate::rows::{Batches, RowBuilder, month_of};
use crate::runs::{RUN_ROWS, Runs};
use crate::tables::Place;

/// Rows that are put together at a time when they are written.
const WRITE_ROWS: usize = 4_096;

/// Rows that wait for a flush.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) batches: Vec<Batches>,
    visits: Vec<Waiting>,
    pub(crate) bytes: usize,
    pub(crate) last: Lsn,
}

/// Where a visit's rows are.
pub(crate) struct Waiting {
    lsn: Lsn,
    visit: VisitId,
    month: String,
    batch: usize,
    pub(crate) row: usize,
    pub(crate) events: std::ops::Range<usize>,
}

/// Which rows of a visit a table has.
pub(crate) type RowsOf = fn(&Waiting) -> std::ops::Range<usize>;
/// The table of visits.
pub(crate) const VISIT_ROWS: RowsOf = |at| at.row..at.row + 1;
/// The table of events.
pub(crate) const EVENT_ROWS: RowsOf = |at| at.events.clone();

impl Gathered {
    /// The position of the first visit in it.
    pub(crate) fn first_visit(&self) -> Option<Lsn> {
        self.visits.first().map(|visit| visit.lsn)
    }

    /// The position of the last visit in it, whatever was skipped behind.
    pub(crate) fn last_visit(&self) -> Option<Lsn> {
        self.visits.last().map(|visit| visit.lsn)
    }

    /// Adds a visit to the batch that `rows` builds.
    pub(crate) fn push(&mut self, lsn: Lsn, visit: &EndedVisit, rows: &mut RowBuilder) {
        let (batch, row, from) = (self.batches.len(), rows.visits(), rows.events());
        rows.push_ended(visit);
        let events = from..rows.events();
        let month = month_of(visit.start.at);
        self.visits.push(Waiting { lsn, visit: visit.visit, month, batch, row, events });
        self.last = lsn;
    }

    /// Ends the batch that `rows` builds.
    pub(crate) fn close_batch(&mut self, rows: &mut RowBuilder) -> Result<(), ArrowError> {
        let batches = rows.finish()?;
        self.bytes += batches.visits.get_array_memory_size() + batches.events.get_array_memory_size();
        self.batches.push(batches);
        Ok(())
    }

    /// Adds files with the rows of visits behind `cursor` to `adds`.
    pub(crate) async fn write(
        &self,
        place: &Place,
        cursor: Option<Lsn>,
        rows_of: RowsOf,
        batch_of: fn(&Batches) -> &RecordBatch,
        adds: &mut Vec<Add>,
    ) -> Result<(), WarehouseError> {
        let mut months: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
        for visit in self.visits.iter().filter(|visit| Some(visit.lsn) > cursor) {
            months.entry(&visit.month).or_default().push(visit);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().map(batch_of).collect();
        for (month, visits) in months {
            let rows = in_order(visits, rows_of);
            if rows.is_empty() {
                continue;
            }
            let mut file = FileWriter::new(place, month)?;
            for rows in rows.chunks(WRITE_ROWS) {
                file.write(&interleave_record_batch(&batches, rows)?).await?;
            }
            adds.push(file.finish(true).await?);
        }
        Ok(())
    }

    /// The requests that visits behind `cursor` recorded, as counts.
    pub(crate) fn requests(&self, cursor: Option<Lsn>, pages: &PageParams) -> Result<RequestCounts, ArrowError> {
        let mut counts = RequestCounts::default();
        for visit in self.visits.iter().filter(|visit| Some(visit.lsn) > cursor) {
            let Batches { visits, events } = &self.batches[visit.batch];
            let via = visits.column(visits.schema_ref().index_of("via")?).as_string::<i32>().value(visit.row);
            let ways = [Via::Tower, Via::Proxy, Via::Log, Via::Collector];
            let via = ways.into_iter().find(|way| way.as_str() == via).unwrap_or_default();
            count(events, visit.events.clone(), via, pages, &mut counts)?;
        }
        Ok(counts)
    }

    /// Adds a run with all rows to those of a table.
    pub(crate) fn spill(
        &self,
        rows_of: RowsOf,
        batch_of: fn(&Batches) -> &RecordBatch,
        runs: &mut Runs,
    ) -> Result<(), WarehouseError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().map(batch_of).collect();
        let rows = in_order(self.visits.iter().collect(), rows_of);
        runs.add(rows.chunks(RUN_ROWS).map(|rows| interleave_record_batch(&batches, rows)))
    }
}

/// Counts the requests among some rows of events.
fn count(
    events: &RecordBatch,
    rows: std::ops::Range<usize>,
    via: Via,
    pages: &PageParams,
    counts: &mut RequestCounts,
) -> Result<(), ArrowError> {
    let column = |name: &str| Ok::<_, ArrowError>(events.column(events.schema_ref().index_of(name)?));
    let text = |name: &str| Ok::<_, ArrowError>(column(name)?.as_string::<i32>());
    let [kinds, sites, paths, queries, bots] =
        [text("kind")?, text("site")?, text("path")?, text("query")?, text("bot")?];
    let times = column("time")?.as_primitive::<TimestampMicrosecondType>();
    let statuses = column("status")?.as_primitive::<Int32Type>();
    let bytes = column("bytes")?.as_primitive::<Int64Type>();
    let durations = column("duration_ms")?.as_primitive::<Float64Type>();
    for row in rows {
        let Some(kind) = RequestType::ALL.into_iter().find(|kind| kind.as_str() == kinds.value(row)) else { continue };
        let is = |column: &dyn deltalake::arrow::array::Array| column.is_valid(row);
        let (site, query) = (sites.value(row), is(queries).then(|| queries.value(row)));
        counts.add(&RequestCount {
            time: Timestamp::from_micros(times.value(row)),
            site,
            path: &pages.page(site, if is(paths) { paths.value(row) } else { "" }, query),
            kind,
            status: if is(statuses) { u16::try_from(statuses.value(row)).unwrap_or(0) } else { 0 },
            bot: is(bots).then(|| bots.value(row)),
            via,
            requests: 1,
            bytes: is(bytes).then(|| u64::try_from(bytes.value(row)).unwrap_or(0)),
            duration_us: if is(durations) { (durations.value(row) * 1_000.0).round() as u64 } else { 0 },
            timed: u64::from(is(durations)),
        });
    }
    Ok(())
}

/// Where the rows of visits are, in the order of data files: batch and row.
fn in_order(mut visits: Vec<&Waiting>, rows_of: RowsOf) -> Vec<(usize, usize)> {
    visits.sort_unstable_by_key(|visit| visit.visit);
    visits.into_iter().flat_map(|visit| rows_of(visit).map(|row| (visit.batch, row))).collect()
}
