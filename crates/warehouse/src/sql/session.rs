//! What statements share, and how one is run.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider,
};
use datafusion::common::config::SpillCompression;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use jiff::tz::TimeZone;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use visitlog_core::page::PageParams;
use visitlog_enrich::Enricher;

use super::catalog::{Catalog, Table};
use super::dialect::Dialect;
use super::error::SqlError;
use super::functions::Known;
use super::growth::WatchFunctions;
use super::limits::{Limits, SQL_BYTES_MAX};
use super::plain_filters::PlainFilters;
use super::pool::{SMALL_SHARE, SharedPool};
use super::rewrite::{self, ColumnNames};
use super::stream::{QueryStream, Running};
use super::threads::{self, Threads};
use super::watch::Watch;
use super::windows::WatchWindows;
use super::work::{Row, Work};
use super::{bucket, functions, guard, words};
use crate::logs::Files;

const CATALOG: &str = "visitlog";
const SCHEMA: &str = "public";
/// Rows that are computed at once, least and most: one for so many bytes of memory. Whatever merges or hands on rows holds
/// some batches of each part, and little memory would be taken by these alone.
const BATCH_ROWS: (usize, usize) = (512, 8_192);
const BATCH_SHARE: usize = 64 << 10;
/// Batches of rows that wait for who takes them.
const BATCHES_WAITING: usize = 1;
/// The table of a report's spans of time.
pub(crate) const BUCKETS: &str = "report_buckets";

/// Functions that are not offered: each takes memory by an argument, in one step that no limit sees.
const REMOVED: [&str; 11] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "range",
    "gen_series",
    "generate_series",
    "power_set",
];

/// How statements are run.
#[derive(Debug, Clone, Default)]
pub struct SqlSettings {
    /// What they may take.
    pub limits: Limits,
    /// Where what does not fit into memory goes. Default: the system's folder for such things.
    pub spill_dir: Option<PathBuf>,
    /// Into how many parts a statement's work is split. Default: as many as there are cores.
    pub partitions: Option<usize>,
    /// What `country` and `ua_browser` ask. Default: one with the embedded data, opened when it is first asked.
    pub enricher: Option<Arc<Enricher>>,
    /// Local time, for `to_localtime`. Default: UTC.
    pub zone: Option<TimeZone>,
    /// The parameters that make pages, for `page`. Default: none do.
    pub pages: Arc<PageParams>,
}

/// Why nothing can be run.
#[derive(Debug, thiserror::Error)]
#[error("prepare for SQL")]
pub struct OpenError(#[from] DataFusionError);

/// A statement with the values of its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The text. It holds nothing that somebody typed but what is meant as SQL.
    pub sql: String,
    /// The values of `$1`, `$2`.
    pub params: Vec<ScalarValue>,
    /// Spans of time that it counts by.
    pub buckets: Option<Buckets>,
    /// In whose SQL it is written.
    pub dialect: Dialect,
    /// The statement whose one row says what this one leaves out, for people; see [`left_out`](crate::report::left_out).
    pub left_out: Option<Box<Prepared>>,
}

impl Prepared {
    /// A statement without parameters.
    pub fn of(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Vec::new(), buckets: None, dialect: Dialect::default(), left_out: None }
    }
}

/// Spans of time: the table `report_buckets` (start, label) and the function `report_bucket` of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    /// Where each starts, in microseconds; ascending. It ends where the next one starts.
    pub starts: Arc<[i64]>,
    /// What each is called.
    pub labels: Vec<String>,
}

impl Buckets {
    fn table(&self) -> Result<Table, DataFusionError> {
        let starts = TimestampMicrosecondArray::from(self.starts.to_vec()).with_timezone("UTC");
        let columns = Schema::new(vec![
            Field::new("start", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            Field::new("label", DataType::Utf8, false),
        ]);
        let labels = StringArray::from_iter_values(&self.labels);
        let rows = RecordBatch::try_new(Arc::new(columns), vec![Arc::new(starts), Arc::new(labels)])?;
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        Ok((BUCKETS.to_owned(), Arc::new(table)))
    }
}

/// The statement as the engine takes it. Files are read where the catalog has opened them, and refused elsewhere.
/// (And whether its result is to be summarized.)
fn parse(files: Option<&Files>, prepared: &Prepared) -> Result<(Statement, bool), SqlError> {
    if prepared.sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::TooLong { bytes: prepared.sql.len(), max: SQL_BYTES_MAX });
    }
    if rewrite::has_target(&prepared.sql, prepared.dialect) {
        let what = "SELECT INTO (-o csv --out FILE writes a result to a file)".to_owned();
        return Err(SqlError::NotAllowed { what });
    }
    let (none, no_columns) = (Vec::new(), ColumnNames::default());
    let (sources, columns) = match files {
        Some(files) => (files.sources(), files.column_names()),
        None => (&none, &no_columns),
    };
    let refused =
        if files.is_none() { rewrite::sources(&prepared.sql, prepared.dialect, &|_| false)? } else { Vec::new() };
    if let Some(file) = refused.first() {
        return Err(SqlError::NoFiles { name: file.name.clone() });
    }
    let rewritten = rewrite::rewrite(&prepared.sql, prepared.dialect, sources, columns);
    let mut statement = guard::parse(rewritten.sql()).map_err(|error| match error {
        SqlError::Syntax { message } => SqlError::Syntax { message: rewritten.in_typed_places(&message) },
        other => other,
    })?;
    words::apply(&mut statement, prepared.dialect, !sources.is_empty())?;
    Ok((statement, rewritten.is_summary))
}

/// What all statements share.
#[derive(Debug)]
pub struct Sql {
    base: SessionState,
    limits: Limits,
    turns: Arc<Semaphore>,
    threads: Arc<Threads>,
}

impl Sql {
    /// Prepares for statements.
    ///
    /// # Errors
    /// When the spill folder can't be used.
    pub fn new(settings: &SqlSettings) -> Result<Self, OpenError> {
        let limits = settings.limits;
        let spill = match &settings.spill_dir {
            Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = DiskManagerBuilder::default().with_mode(spill).with_max_temp_directory_size(limits.spill_bytes);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(SharedPool::new(limits.memory_bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let state = SessionStateBuilder::new()
            .with_config(config(settings))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rule(Arc::new(PlainFilters::new()))
            .build();
        let mut context = SessionContext::new_with_state(state);
        datafusion_functions_json::register_all(&mut context)?;
        REMOVED.iter().for_each(|name| context.deregister_udf(name));
        let known = Known::new(
            settings.enricher.clone(),
            settings.zone.clone().unwrap_or(TimeZone::UTC),
            Arc::clone(&settings.pages),
        );
        functions::all(&known).into_iter().for_each(|function| context.register_udf(function));
        let (turns, threads) = (limits.at_once.max(1), partitions(settings));
        Ok(Self {
            base: context.state(),
            limits,
            turns: Arc::new(Semaphore::new(turns)),
            threads: Arc::new(Threads::new(threads, turns)),
        })
    }

    /// What statements begin with: how files are read, too.
    pub const fn state(&self) -> &SessionState {
        &self.base
    }

    /// The limits that hold.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs a statement; rows come as they are asked for. Dropping the future, or the stream, cancels it.
    ///
    /// # Errors
    /// When it is not allowed, wrong, or takes too long to begin. What goes wrong later is in the stream.
    pub async fn query(&self, catalog: &dyn Catalog, prepared: Prepared) -> Result<QueryStream, SqlError> {
        let watch = Arc::new(Watch::start(&self.limits));
        let statement = threads::deep(|| parse(catalog.files(), &prepared)).map_err(system)??;
        let mut over = Box::pin(tokio::time::sleep(self.limits.time));
        let begin = async {
            // The semaphore is never closed: an error here is a fault.
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let turn = turn.map_err(|_| SqlError::Internal(Box::new(DataFusionError::Internal("turns".to_owned()))))?;
            let tables = catalog.tables().await?;
            self.begin(tables, statement, prepared, &watch, turn).await
        };
        let (schema, rows, running) = tokio::select! {
            // Whichever is ready first; a statement that is over is not begun.
            biased;
            () = &mut over => return Err(SqlError::Time { limit: self.limits.time }),
            begun = begin => begun?,
        };
        Ok(QueryStream::new(schema, rows, running, over, &self.limits))
    }

    /// Starts it on threads of its own.
    async fn begin(
        &self,
        tables: Vec<Table>,
        (statement, is_summary): (Statement, bool),
        prepared: Prepared,
        watch: &Arc<Watch>,
        turn: OwnedSemaphorePermit,
    ) -> Result<(SchemaRef, mpsc::Receiver<Row>, Running), SqlError> {
        let memory_bytes = self.limits.memory_bytes;
        let names = tables.iter().map(|(name, _)| name.clone()).collect();
        let state = self.state_of(tables, prepared.buckets.as_ref(), watch);
        let work = Work {
            state: state.map_err(|error| SqlError::from_engine(error, memory_bytes))?,
            tables: names,
            statement,
            is_summary,
            params: prepared.params,
            watch: Arc::clone(watch),
            memory_bytes,
        };
        let (begun, begins) = oneshot::channel();
        let (sender, rows) = mpsc::channel(BATCHES_WAITING);
        let threads = self.threads.lend(turn).map_err(system)?;
        let Some(handle) = threads.handle() else { return Err(SqlError::Lost) };
        let task = handle.spawn(work.run(begun, sender)).abort_handle();
        let running = Running { watch: Arc::clone(watch), task, _threads: threads };
        let schema = begins.await.map_err(|_| SqlError::Lost)??;
        Ok((schema, rows, running))
    }

    /// A session of its own, with these tables.
    fn state_of(
        &self,
        tables: Vec<Table>,
        buckets: Option<&Buckets>,
        watch: &Arc<Watch>,
    ) -> Result<SessionState, DataFusionError> {
        let schema = Arc::new(MemorySchemaProvider::new());
        let spans = buckets.map(Buckets::table).transpose()?;
        for (name, provider) in tables.into_iter().chain(spans) {
            schema.register_table(name, provider)?;
        }
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema(SCHEMA, schema)?;
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        catalogs.register_catalog(CATALOG.to_owned(), catalog);
        let mut state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_catalog_list(catalogs)
            .with_analyzer_rule(Arc::new(WatchFunctions(Arc::clone(watch))))
            .with_analyzer_rule(Arc::new(WatchWindows(Arc::clone(watch))))
            .build();
        if let Some(buckets) = buckets {
            state.register_udf(Arc::new(bucket::function(Arc::clone(&buckets.starts))))?;
        }
        Ok(state)
    }
}

fn system(error: std::io::Error) -> SqlError {
    SqlError::Internal(Box::new(DataFusionError::IoError(error)))
}

fn partitions(settings: &SqlSettings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    settings.partitions.unwrap_or_else(cores).max(1)
}

fn config(settings: &SqlSettings) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions(settings))
        .with_batch_size((settings.limits.memory_bytes / BATCH_SHARE).clamp(BATCH_ROWS.0, BATCH_ROWS.1))
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(true)
        .with_information_schema(true);
    let options = config.options_mut();
    // What is spilled is sorted, and so much smaller: disk is a limit, too.
    options.execution.spill_compression = SpillCompression::Lz4Frame;
    // What a sort keeps for its merge, however little it sorts: no more than the pool has for each.
    let merge = &mut options.execution.sort_spill_reservation_bytes;
    *merge = (*merge).min(settings.limits.memory_bytes / SMALL_SHARE);
    options.execution.time_zone = Some("+00:00".to_owned());
    // Row filters make scans of few large files slower, unless they select very few rows.
    options.execution.parquet.pushdown_filters = false;
    // Our tables' text is `Utf8`; a literal of another type would be a cast of every row.
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}
