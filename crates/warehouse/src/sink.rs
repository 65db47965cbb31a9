//! The sink that brings ended visits to the tables.
//!
//! It gathers enriched rows in memory; a flush sorts them, writes one file a month and table, and commits. Each table
//! takes only what is newer than its own cursor, so that it does not matter what was committed before a failure: a visit
//! that comes again is there already, or is not.

use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::kernel::Add;
use visitlog_core::model::EndedVisit;
use visitlog_core::page::PageParams;
use visitlog_core::ports::{Delivery, Gathering, Kept, SinkError, StreamId, VisitSink};
use visitlog_core::{Lsn, VisitId};
use visitlog_enrich::Enricher;

use crate::error::WarehouseError;
use crate::files::{discard, write_sorted};
use crate::gathered::{EVENT_ROWS, Gathered, RowsOf, VISIT_ROWS};
use crate::rows::requests::RequestRows;
use crate::rows::{Batches, RowBuilder};
use crate::tables::Table;
use crate::warehouse::Warehouse;

/// The version of the place in acknowledgements: then follows the position (u64, little-endian).
const PLACE_VERSION: u8 = 1;

/// Brings ended visits to the tables.
pub struct WarehouseSink {
    warehouse: Arc<Warehouse>,
    rows: RowBuilder,
    gathered: Gathered,
    /// The parameters that make pages, in counts of requests.
    pages: Arc<PageParams>,
    /// The journal that feeds it.
    journal: Option<u128>,
}

impl Gathered {
    /// Brings them to one table, as far as it does not have them.
    async fn flush(
        &self,
        table: &mut Table,
        journal: u128,
        rows_of: RowsOf,
        batch_of: fn(&Batches) -> &RecordBatch,
    ) -> Result<(), WarehouseError> {
        let cursor = table.cursor(journal).await?;
        if cursor.is_some_and(|cursor| cursor >= self.last) {
            return Ok(());
        }
        let mut adds = Vec::new();
        let written = self.write(&table.place(), cursor, rows_of, batch_of, &mut adds).await;
        self.commit(table, journal, adds, written).await
    }

    /// The same for what they recorded of requests, as counts.
    async fn flush_requests(&self, table: &mut Table, journal: u128, pages: &PageParams) -> Result<(), WarehouseError> {
        let cursor = table.cursor(journal).await?;
        if cursor.is_some_and(|cursor| cursor >= self.last) {
            return Ok(());
        }
        let mut rows = RequestRows::default();
        self.requests(cursor, pages)?.drain(|count| {
            rows.push(count);
            Ok::<_, WarehouseError>(())
        })?;
        let mut adds = Vec::new();
        let written = write_sorted(&table.place(), &rows.finish()?, &mut adds).await;
        self.commit(table, journal, adds, written).await
    }

    async fn commit(
        &self,
        table: &mut Table,
        journal: u128,
        adds: Vec<Add>,
        written: Result<(), WarehouseError>,
    ) -> Result<(), WarehouseError> {
        match written {
            Ok(()) => table.append(adds, journal, self.last).await,
            Err(error) => {
                discard(table, &adds).await;
                Err(error)
            }
        }
    }
}

impl WarehouseSink {
    /// The name under which it acknowledges.
    pub const NAME: &'static str = "warehouse";

    /// A sink into the tables. `node` names the machine, where there are several.
    pub fn new(warehouse: Arc<Warehouse>, enricher: Arc<Enricher>, node: Option<Arc<str>>) -> Self {
        let rows = RowBuilder::new(enricher, node);
        Self { warehouse, rows, gathered: Gathered::default(), pages: Arc::default(), journal: None }
    }

    /// The same, where these parameters make pages.
    #[must_use]
    pub fn with_pages(self, pages: Arc<PageParams>) -> Self {
        Self { pages, ..self }
    }

    fn gather(&mut self, visits: &[(Lsn, EndedVisit)]) -> Result<(), WarehouseError> {
        for (lsn, visit) in visits {
            self.gathered.push(*lsn, visit, &mut self.rows);
            self.rows.watch(visit);
        }
        Ok(self.gathered.close_batch(&mut self.rows)?)
    }

    fn forget(&mut self) {
        self.gathered = Gathered::default();
        // Half a batch may be in it; what it can't finish it loses, and it is to lose it.
        let _ = self.rows.finish();
    }

    /// What all tables have of what could not be flushed: they had it before the last crash, or only the answer to a
    /// commit was lost.
    fn kept_all_the_same(&self, gathered: &Gathered, journal: u128, rest: SinkError) -> Result<Kept, SinkError> {
        let cursors = self.warehouse.cursors(journal).map(|cursors| cursors.map(|(_, cursor)| cursor));
        let upto = cursors.ok().and_then(|cursors| cursors.into_iter().min().flatten());
        match (upto, gathered.first_visit(), gathered.last_visit()) {
            (Some(upto), _, Some(last)) if upto >= last => Ok(Kept::All(place(upto.min(gathered.last)))),
            (Some(upto), Some(first), _) if upto >= first => Ok(Kept::Upto { upto, place: place(upto), rest }),
            _ => Err(rest),
        }
    }

    fn failed(what: &str, error: WarehouseError) -> SinkError {
        let sink = Self::NAME.to_owned();
        if error.is_retryable() {
            SinkError::Unavailable { sink, what: what.to_owned(), source: Some(std::io::Error::other(error)) }
        } else {
            SinkError::Changed { sink, what: error.to_string() }
        }
    }
}

impl VisitSink for WarehouseSink {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn attach(&mut self, stream: StreamId, newest: Lsn) -> Result<(), SinkError> {
        self.warehouse
            .with_tables(async |tables| {
                for table in tables.all() {
                    table.refresh().await?;
                    let cursor = table.cursor(stream.0).await?.unwrap_or(Lsn::NONE);
                    if cursor > newest {
                        let table_lsn = i64::try_from(cursor.0).unwrap_or(i64::MAX);
                        return Err(WarehouseError::Ahead { table: table.kind.name, journal: newest.0, table_lsn });
                    }
                }
                Ok(())
            })
            .map_err(|error| Self::failed("asking the tables where they stand", error))?;
        self.journal = Some(stream.0);
        Ok(())
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        self.forget();
        let (Some(journal), Some(place)) = (self.journal, acknowledged) else { return Ok(()) };
        let expected = match place.split_first() {
            Some((&PLACE_VERSION, lsn)) if let Ok(lsn) = lsn.try_into() => Lsn(u64::from_le_bytes(lsn)),
            _ => {
                let what = format!("a place of version {PLACE_VERSION} expected in the journal, {place:02x?} found");
                return Err(SinkError::Changed { sink: Self::NAME.to_owned(), what });
            }
        };
        let cursors = self
            .warehouse
            .cursors(journal)
            .map_err(|error| Self::failed("asking the tables where they stand", error))?;
        for (table, found) in cursors {
            match found {
                Some(found) if found < expected => {
                    let what = format!(
                        "table {table}: visits up to lsn {expected} expected, up to {found} found; \
                         restore the newer tables, or move these away and begin with empty ones"
                    );
                    return Err(SinkError::Changed { sink: Self::NAME.to_owned(), what });
                }
                Some(_) => {}
                None => tracing::warn!(table, "the table is new: it lacks the visits that an older one got"),
            }
        }
        Ok(())
    }

    fn gathers(&self) -> Option<Gathering> {
        Some(self.warehouse.settings().gathering)
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if let Err(error) = self.gather(batch) {
            self.forget();
            return Err(Self::failed("putting rows together", error));
        }
        let is_full = self.gathered.bytes >= self.warehouse.settings().buffer_bytes_max;
        Ok(if is_full { Delivery::Full } else { Delivery::Gathered })
    }

    fn skipped(&mut self, upto: Lsn) {
        self.gathered.last = self.gathered.last.max(upto);
    }

    fn flush(&mut self) -> Result<Kept, SinkError> {
        let gathered = std::mem::take(&mut self.gathered);
        let journal = self.journal.unwrap_or_default();
        let flushed = self.warehouse.with_tables(async |tables| {
            gathered.flush(&mut tables.visits, journal, VISIT_ROWS, |batch| &batch.visits).await?;
            gathered.flush(&mut tables.events, journal, EVENT_ROWS, |batch| &batch.events).await?;
            gathered.flush_requests(&mut tables.requests, journal, &self.pages).await
        });
        match flushed {
            Ok(()) => Ok(Kept::All(place(gathered.last))),
            Err(error) => self.kept_all_the_same(&gathered, journal, Self::failed("flushing", error)),
        }
    }
}

/// The place behind a position.
fn place(upto: Lsn) -> Vec<u8> {
    let mut place = vec![PLACE_VERSION];
    place.extend_from_slice(&upto.0.to_le_bytes());
    place
}
