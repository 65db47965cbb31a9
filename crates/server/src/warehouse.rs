//! The warehouse of a server or of a folder: this is the one place that opens it and says which tables SQL sees.

mod erase;
pub mod import;
mod runner;
mod storage;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Whom an erasure or an export is about.
use visitlog_warehouse::report::Records;
/// Limits of statements.
pub use visitlog_warehouse::sql::limits::Limits;
use visitlog_warehouse::sql::outputs::{CHART_WIDTH, Format};
use visitlog_warehouse::sql::{Catalog, FixedCatalog, OpenError, Prepared, SqlError, SqlSettings};
pub use visitlog_warehouse::{Retention, WarehouseSettings as TableSettings, logs, report, sql};

use visitlog_core::page::PageParams;
use visitlog_core::ports::VisitSink;
use visitlog_core::requests::RequestCounts;
use visitlog_engine::adapters::create_private_dir;
use visitlog_engine::journal::JournalError;
use visitlog_engine::local::OpenError as FolderError;
use visitlog_engine::{Engine, EngineConfig, Local};
use visitlog_enrich::Enricher;
use visitlog_sinks::webhook::Webhook;
use visitlog_sinks::{LaneSettings, Lanes, LanesError, NdjsonSink};

pub use self::erase::{ErasureError, ErasureReport, Wanted};
pub use self::runner::{Parts, Runner};
pub use self::storage::Sources;
use self::storage::{Keeper, Shown, Storage};

/// The folder for what does not fit into memory.
const SPILL: &str = "spill";

/// How the warehouse is used.
#[derive(Debug, Clone, Default)]
pub struct WarehouseSettings {
    /// What SQL statements may take.
    pub limits: Limits,
    /// Threads that run them. Default: as many as there are cores.
    pub threads: Option<usize>,
    /// Where the tables are. Default: `warehouse` in the data folder.
    pub folder: Option<PathBuf>,
    /// How they are fed and kept.
    pub tables: TableSettings,
    /// How long files of ended visits stay. Default: for ever.
    pub files_kept: Option<Duration>,
    /// How often they are looked after. Default: every 30 s.
    pub upkeep_every: Option<Duration>,
    /// Local time of statements. Default: UTC.
    pub zone: Option<jiff::tz::TimeZone>,
    /// The parameters that make pages, in reports and for `page` in SQL. Default: none do.
    pub pages: Arc<PageParams>,
}

/// Why the warehouse can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What ended visits go to.
    #[error(transparent)]
    Lanes(#[from] LanesError),
    /// SQL.
    #[error(transparent)]
    Sql(#[from] OpenError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] visitlog_warehouse::WarehouseError),
    /// The system refused.
    #[error("{doing}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The warehouse, open for queries. They run on threads of their own: no query holds up the site.
#[derive(Debug)]
pub struct Warehouse {
    // Dropped first: it looks into what is shown.
    keeper: Option<Keeper>,
    runner: Runner,
    shown: Arc<Shown>,
    pages: Arc<PageParams>,
    upkeep_every: Option<Duration>,
}

impl Warehouse {
    /// Opens a data folder and its warehouse, which feed each other: the tables are opened once the folder is ours, and
    /// shown once the engine is there. Ended visits go to the folder's own files, to the tables and to `sinks`. No
    /// thread of the engine or of a sink runs yet, and no runtime drives this one.
    ///
    /// # Errors
    /// When another process has the folder, something in it can't be used, or the system refuses.
    pub fn open(
        data: &Path,
        engine: EngineConfig,
        settings: &WarehouseSettings,
        enricher: Arc<Enricher>,
        sinks: Vec<Box<dyn VisitSink>>,
    ) -> Result<(Local, Arc<Lanes>, Self), WarehouseError> {
        let local = Local::open_quietly(data, engine)?;
        let storage = Storage::open(data, settings, enricher)?;
        let feed = local.feed(data);
        let mut all: Vec<Box<dyn VisitSink>> = vec![Box::new(NdjsonSink::new(Arc::clone(&feed.disk), data))];
        all.extend(sinks);
        // Also where it is not fed: so that what it still has to get is seen.
        all.push(storage.sink());
        let lanes = Arc::new(Lanes::open(&feed, &LaneSettings::default(), all)?);
        let warehouse = Self::of(data, settings, storage, Arc::clone(local.engine()), Arc::clone(&lanes))?;
        Ok((local, lanes, warehouse))
    }

    /// The warehouse of an engine, whose sinks are the storage's. `data` is the data folder.
    fn of(
        data: &Path,
        settings: &WarehouseSettings,
        storage: Storage,
        engine: Arc<Engine>,
        lanes: Arc<Lanes>,
    ) -> Result<Self, WarehouseError> {
        let system = |doing| move |source| WarehouseError::System { doing, source };
        let spill_dir = data.join(SPILL);
        // What a crash has left there is nobody's, and it may be personal data.
        match std::fs::remove_dir_all(&spill_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(system("empty the spill folder")(error))?,
            _ => create_private_dir(&spill_dir).map_err(system("create the spill folder"))?,
        }
        let threads = settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let sql = SqlSettings {
            limits: settings.limits,
            spill_dir: Some(spill_dir),
            partitions: Some(threads),
            enricher: Some(storage.enricher()),
            zone: settings.zone.clone(),
            pages: Arc::clone(&settings.pages),
        };
        let runner = Runner::open(&sql)?;
        let shown = Arc::new(storage.views(data, engine, lanes, runner.sql()));
        let pages = Arc::clone(&settings.pages);
        Ok(Self { runner, shown, pages, upkeep_every: settings.upkeep_every, keeper: None })
    }

    /// These are told what happens: an erasure takes what waits for them.
    pub fn tells(&self, webhooks: Arc<[Arc<Webhook>]>) {
        let _ = self.shown.webhooks.set(webhooks);
    }

    /// Starts the thread that follows what is recorded and keeps the tables in shape, until this is dropped.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn look_after(&mut self, sources: Sources) -> Result<(), WarehouseError> {
        self.keeper = Some(Arc::clone(&self.shown).look_after(sources, self.upkeep_every)?);
        Ok(())
    }

    /// Stores counts of requests that are not recorded, and those that wait: nobody else will. Blocks, and must not be called
    /// from inside a runtime.
    pub(crate) fn store_counts(&self, counted: RequestCounts) {
        self.shown.bring(counted, true);
    }

    /// Erases somebody's visits, see [`ErasureReport`]. `turn` is called again and again while something has to be waited
    /// for: it lets the engine go on, or some time pass. Blocks, and must not be called from inside a runtime.
    ///
    /// # Errors
    /// When something can't be read or written, or a sink does not take what it is to get. What was not done then is
    /// done by the next call.
    pub fn erase(
        &self,
        data: &Path,
        wanted: &Wanted,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
    ) -> Result<ErasureReport, ErasureError> {
        self.shown.erase(data, wanted, turn)
    }

    /// All that there is of somebody's visits: a JSON object for each visit, as in the table `visits`, with its rows
    /// of `events` in `events`. Blocks, and must not be called from inside a runtime.
    ///
    /// # Errors
    /// When something can't be read.
    pub fn export(&self, data: &Path, wanted: &Wanted) -> Result<Vec<serde_json::Value>, ErasureError> {
        self.shown.export(data, wanted)
    }

    /// Visits as documents, as the files of ended visits have them; see [`Records`].
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn records(&self, wanted: Records) -> Result<Vec<serde_json::Value>, SqlError> {
        let [visits, events] = wanted.prepare();
        // Both see one moment.
        let tables = Arc::new(FixedCatalog(self.runner.tables(Arc::clone(&self.shown) as _).await?));
        let run = |prepared| self.runner.run(Arc::clone(&tables) as _, prepared, Format::Ndjson, CHART_WIDTH);
        let (visits, events) = (run(visits).objects().await?, run(events).objects().await?);
        Ok(Records::documents(visits, events))
    }

    /// The parameters that make pages: a report is built with them.
    pub fn pages(&self) -> &PageParams {
        &self.pages
    }

    /// Runs a statement. Dropping what it gives cancels it.
    pub fn run(&self, prepared: Prepared, format: Format) -> Parts {
        self.runner.run(Arc::clone(&self.shown) as Arc<dyn Catalog>, prepared, format, CHART_WIDTH)
    }

    /// Runs a statement that reads files, too; only for whoever may read whatever this process may. `width` is that of
    /// charts.
    pub fn run_with(&self, files: Option<Arc<logs::Files>>, prepared: Prepared, format: Format, width: usize) -> Parts {
        let shown = Arc::clone(&self.shown) as Arc<dyn Catalog>;
        let catalog = match files {
            Some(files) => Arc::new(logs::WithFiles::new(files, Some(shown))) as Arc<dyn Catalog>,
            None => shown,
        };
        self.runner.run(catalog, prepared, format, width)
    }
}
