//! The tables of SQL: `visits` and `events` with what is going on included, and what is made of them.
//!
//! One [`Statement`] is one consistent view for all tables of a SQL statement: first the live snapshot is taken, then
//! the tables' own; of the live side counts what the table does not have. So a visit is in one of them at any moment,
//! and in one only, whenever the flush happens.

mod delta;
mod losses;
mod made;
mod present;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::error::{DataFusionError, Result};
use deltalake::datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::empty::EmptyExec;
use deltalake::datafusion::physical_plan::projection::ProjectionExec;
use deltalake::datafusion::physical_plan::union::UnionExec;
use deltalake::datafusion::prelude::SessionContext;
use visitlog_core::page::PageParams;
use visitlog_core::ports::PresenceSource;
use visitlog_core::{Lsn, Timestamp};

pub use self::delta::DeltaTables;
pub use self::losses::{LOSSES_MAX, Losses};
pub use crate::live::scan::Table;
use crate::live::{Live, Scope, Snapshot, scan};
use crate::schema;
use crate::unsettled::{self, Files};

/// The tables of SQL.
pub(crate) const NAMES: [&str; 7] =
    [schema::VISITS, schema::EVENTS, schema::REQUESTS, "online", "users", "sites", "losses"];

/// How often a statement looks at the tables anew because visits went to them between its looks at one and the other.
/// That takes milliseconds, and visits go to the tables every ten seconds or so.
const TRIES: usize = 8;

/// The tables that ended visits go to.
#[async_trait]
pub trait Tables: Send + Sync + std::fmt::Debug {
    /// The tables as of now; `None` for one that is not there. `importer` is whose batches are asked for.
    ///
    /// # Errors
    /// When they can't be read.
    async fn snapshot(&self, importer: Option<u128>) -> Result<Stored>;
}

/// The tables at a moment.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// `visits`.
    pub visits: Option<StoredTable>,
    /// `events`.
    pub events: Option<StoredTable>,
    /// `requests`.
    pub requests: Option<StoredTable>,
}

/// A table at a moment.
#[derive(Debug, Clone)]
pub struct StoredTable {
    /// Its rows.
    pub provider: Arc<dyn TableProvider>,
    /// It has all visits that ended up to here.
    pub cursor: Lsn,
    /// And all of the importer's batches up to here.
    pub imported: u64,
}

/// Where the tables of SQL come from.
#[derive(Clone, Default)]
pub struct Views {
    /// What is going on. `None` where nobody serves.
    pub live: Option<Arc<Live>>,
    /// What was. `None` without a warehouse.
    pub tables: Option<Arc<dyn Tables>>,
    /// Who is online. `None` where nobody keeps that: then it is who was seen a moment ago.
    pub presence: Option<Arc<dyn PresenceSource>>,
    /// What was lost.
    pub losses: Arc<Losses>,
    /// The data folder, for visits of its importer that are not settled yet.
    pub data: Option<PathBuf>,
    /// The parameters that make pages, in counts of requests.
    pub pages: Arc<PageParams>,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("live", &self.live).field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// One consistent view of everything, for one statement.
pub struct Statement {
    visits: Arc<View>,
    events: Arc<View>,
    /// The live part of `visits` alone.
    open: Arc<View>,
    requests: made::Requests,
    losses: Arc<Losses>,
    presence: Option<Arc<dyn PresenceSource>>,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement").field("visits", &self.visits).field("events", &self.events).finish_non_exhaustive()
    }
}

impl Views {
    /// A view of everything as of now.
    ///
    /// # Errors
    /// When what is going on, or a table, can't be read.
    pub async fn statement(&self) -> Result<Statement> {
        let (snapshot, stored, logs) = self.of_one_moment().await?;
        if let (Some(live), Some(visits), Some(events)) = (&self.live, &stored.visits, &stored.events) {
            let counted = stored.requests.as_ref().map_or(events.cursor, |requests| requests.cursor);
            live.flushed(visits.cursor.min(events.cursor).min(counted));
        }
        let all = snapshot.clone().map(|snapshot| (snapshot, Scope::default()));
        let of_logs = |table, stored: &Option<StoredTable>| logs.beside(table, imported(stored)).unwrap_or_default();
        let open = View::new(Table::Visits, None, all, of_logs(Table::Visits, &stored.visits));
        let visits = beside(&snapshot, &stored.visits).await?;
        let visits = View::new(Table::Visits, stored.visits.clone(), visits, of_logs(Table::Visits, &stored.visits));
        let events = beside(&snapshot, &stored.events).await?;
        let events = View::new(Table::Events, stored.events.clone(), events, of_logs(Table::Events, &stored.events));
        let uncounted = beside(&snapshot, &stored.requests).await?;
        let requests = made::Requests {
            stored: Arc::new(View::of(schema::requests(), stored.requests.clone())),
            visits: Arc::new(View::new(Table::Visits, None, uncounted.clone(), Vec::new())),
            events: Arc::new(View::new(Table::Events, None, uncounted, Vec::new())),
            pages: Arc::clone(&self.pages),
        };
        Ok(Statement {
            visits: Arc::new(visits),
            events: Arc::new(events),
            open: Arc::new(open),
            requests,
            losses: Arc::clone(&self.losses),
            presence: self.presence.clone(),
        })
    }

    /// What is going on, and both tables, so that each visit is the same in all of them.
    async fn of_one_moment(&self) -> Result<(Option<Arc<Snapshot>>, Stored, Files)> {
        for _ in 0..TRIES {
            let snapshot = match &self.live {
                Some(live) => {
                    let live = Arc::clone(live);
                    Some(Arc::new(blocking(move || live.snapshot()).await??))
                }
                None => None,
            };
            let logs = match &self.data {
                Some(data) => {
                    let data = data.clone();
                    blocking(move || Files::open(&data)).await??
                }
                None => Files::default(),
            };
            // Not before these: what goes to the tables in between would be missed by both.
            let stored = match &self.tables {
                Some(tables) => tables.snapshot(logs.importer()).await?,
                None => Stored::default(),
            };
            let goes = snapshot.as_ref().is_none_or(|snapshot| stored.goes_with(snapshot));
            if goes && self.go_with(&logs, &stored)? {
                return Ok((snapshot, stored, logs));
            }
        }
        Err(DataFusionError::Execution(format!(
            "visits went to the tables {TRIES} times while a statement looked at them; ask again"
        )))
    }
}

impl Views {
    /// Whether what logs tell goes with both tables, or never will: the importer was killed before it wrote it anew.
    fn go_with(&self, logs: &Files, stored: &Stored) -> Result<bool> {
        let Some(data) = self.data.as_ref().filter(|_| logs.importer().is_some()) else { return Ok(true) };
        let visits = logs.beside(Table::Visits, imported(&stored.visits));
        let events = logs.beside(Table::Events, imported(&stored.events));
        Ok((visits.is_some() && events.is_some()) || !logs.are_outdated(data)?)
    }
}

/// The importer's last batch that a table has.
fn imported(table: &Option<StoredTable>) -> u64 {
    table.as_ref().map_or(0, |table| table.imported)
}

impl Stored {
    /// Whether a visit is the same in both tables beside this snapshot. It is not if one table has got an end that the
    /// snapshot does not know, and the other has not.
    fn goes_with(&self, snapshot: &Snapshot) -> bool {
        let cursor = |table: &Option<StoredTable>| table.as_ref().map_or(Lsn::NONE, |table| table.cursor);
        let (visits, events) = (cursor(&self.visits), cursor(&self.events));
        visits == events || visits.max(events) < snapshot.lsn()
    }
}

type Beside = Option<(Arc<Snapshot>, Scope)>;

async fn beside(snapshot: &Option<Arc<Snapshot>>, table: &Option<StoredTable>) -> Result<Beside> {
    let Some(snapshot) = snapshot else { return Ok(None) };
    let cursor = table.as_ref().map_or(Lsn::NONE, |table| table.cursor);
    let of = Arc::clone(snapshot);
    let scope = blocking(move || of.beside(cursor)).await??;
    Ok(Some((Arc::clone(snapshot), scope)))
}

/// Does what takes long where it holds up nobody.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(work).await.map_err(|error| DataFusionError::External(Box::new(error)))
}

impl Statement {
    /// Registers `visits`, `events`, `requests`, `online`, `users`, `sites` and `losses`. `now` is what the injected clock says.
    ///
    /// # Errors
    /// When the session refuses.
    pub async fn register(&self, session: &SessionContext, now: Timestamp) -> Result<()> {
        session.register_table(schema::VISITS, self.visits.clone())?;
        session.register_table(schema::EVENTS, self.events.clone())?;
        session.register_table("losses", Arc::new(self.losses.table()?))?;
        made::register(session, self.open.clone(), self.presence.clone(), &self.requests, now).await
    }

    /// All of them with their names.
    ///
    /// # Errors
    /// When they can't be put together.
    pub async fn tables(&self, now: Timestamp) -> Result<Vec<(String, Arc<dyn TableProvider>)>> {
        let session = SessionContext::new();
        self.register(&session, now).await?;
        let mut tables = Vec::new();
        for name in NAMES {
            tables.push((name.to_owned(), session.table_provider(name).await?));
        }
        Ok(tables)
    }

    /// `visits` or `events`.
    pub fn table(&self, table: Table) -> Arc<dyn TableProvider> {
        match table {
            Table::Visits => self.visits.clone(),
            Table::Events => self.events.clone(),
        }
    }
}

/// Rows of a table, and those of the live side that it does not have.
#[derive(Debug)]
struct View {
    schema: SchemaRef,
    stored: Option<Arc<dyn TableProvider>>,
    live: Option<(Table, Arc<Snapshot>, Scope)>,
    /// Visits of logs that are not settled.
    logs: Option<(Table, Vec<Arc<File>>)>,
}

impl View {
    fn new(table: Table, stored: Option<StoredTable>, live: Beside, logs: Vec<Arc<File>>) -> Self {
        let live = live.map(|(snapshot, scope)| (table, snapshot, scope));
        let logs = (!logs.is_empty()).then_some((table, logs));
        Self { live, logs, ..Self::of(table.schema(), stored) }
    }

    /// The stored rows alone.
    fn of(schema: SchemaRef, stored: Option<StoredTable>) -> Self {
        let stored = stored.map(|stored| stored.provider);
        let schema = match &stored {
            // Delta says of no column that it has no NULL.
            Some(_) => Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>())),
            None => schema,
        };
        Self { schema, stored, live: None, logs: None }
    }

    /// The table's rows in the projected columns, with names, types and order as they are promised.
    async fn stored(
        &self,
        provider: &Arc<dyn TableProvider>,
        session: &dyn Session,
        columns: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let has = provider.schema();
        let at: Vec<Option<usize>> =
            columns.iter().map(|column| has.index_of(self.schema.field(*column).name()).ok()).collect();
        let known = |expr: &&Expr| expr.column_refs().iter().all(|column| has.index_of(&column.name).is_ok());
        let filters: Vec<&Expr> = filters.iter().filter(known).collect();
        let taken = provider.supports_filters_pushdown(&filters)?;
        let filters: Vec<Expr> = filters
            .into_iter()
            .zip(taken)
            .filter(|(_, taken)| *taken != TableProviderFilterPushDown::Unsupported)
            .map(|(filter, _)| filter.clone())
            .collect();
        let wanted: Vec<usize> = at.iter().copied().flatten().collect();
        let plan = provider.scan(session, Some(&wanted), &filters, limit).await?;
        if plan.schema().fields().iter().zip(columns).all(|(field, column)| **field == *self.schema.field(*column))
            && wanted.len() == columns.len()
        {
            return Ok(plan);
        }
        let mut next = 0;
        let cell = |(column, at): (&usize, &Option<usize>)| {
            let field = self.schema.field(*column);
            let expr: Arc<dyn PhysicalExpr> = match at {
                None => Arc::new(Literal::new(ScalarValue::try_from(field.data_type())?)),
                Some(_) => {
                    let has = plan.schema();
                    let found = has.field(next);
                    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(found.name(), next));
                    next += 1;
                    if found.data_type() == field.data_type() {
                        column
                    } else {
                        Arc::new(CastExpr::new(column, field.data_type().clone(), None))
                    }
                }
            };
            Ok((expr, field.name().clone()))
        };
        let cells = columns.iter().zip(&at).map(cell).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(cells, plan)?))
    }
}

fn nullable(field: &Arc<Field>) -> Arc<Field> {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

#[async_trait]
impl TableProvider for View {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// The tables skip what they can; what is left is filtered above.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let mut parts = Vec::new();
        if let Some(provider) = &self.stored {
            parts.push(self.stored(provider, session, &columns, filters, limit).await?);
        }
        if let Some((table, snapshot, scope)) = &self.live {
            let partitions = session.config().target_partitions();
            let plan = scan::plan(snapshot, *table, scope, Some(&columns), filters, partitions, limit)?;
            parts.push(plan);
        }
        if let Some((table, logs)) = &self.logs {
            parts.push(unsettled::plan(logs, *table, &columns, limit)?);
        }
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(&columns)?))));
        }
        UnionExec::try_new(parts)
    }
}
