//! The tables, put together: who writes them, and what keeps them in shape.
//!
//! One process writes (the holder of the data folder's lock), one thread at a time: whoever commits holds the tables.
//! Upkeep reads and writes files without holding them, since no data file ever changes, and takes them for its commit
//! only. All calls block; none may come from inside an async runtime.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deltalake::logstore::object_store::ObjectStore;
use parking_lot::Mutex;
use visitlog_core::Lsn;
use visitlog_core::ports::{Clock, Entropy, Gathering};

use crate::error::WarehouseError;
use crate::schema;
use crate::store::{DurableStore, make_dir};
use crate::tables::{Kind, Ports, Table};
use crate::upkeep::UpkeepState;

/// Threads that read and write files.
const THREADS: usize = 2;

/// How the tables are fed and kept.
#[derive(Debug, Clone)]
pub struct WarehouseSettings {
    /// When there is enough for a flush.
    pub gathering: Gathering,
    /// Bytes of gathered rows from which on it flushes early.
    pub buffer_bytes_max: usize,
    /// So many files of about the same size in a month are merged into one.
    pub merge_files: usize,
    /// How long rows stay.
    pub retention: Retention,
    /// How long a file that is no longer part of a table stays for those who still read it.
    pub keep_removed: Duration,
}

impl Default for WarehouseSettings {
    fn default() -> Self {
        Self {
            gathering: Gathering { visits_max: 50_000, wait_max: Duration::from_secs(600) },
            buffer_bytes_max: 128 << 20,
            merge_files: 8,
            retention: Retention::default(),
            keep_removed: Duration::from_secs(3_600),
        }
    }
}

/// How long rows stay, counted from the start of their visit, or from the hour of their requests. `None`: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// Rows of `visits`.
    pub visits: Option<Duration>,
    /// Rows of `events`.
    pub events: Option<Duration>,
    /// Rows of `requests`.
    pub requests: Option<Duration>,
    /// Sites whose rows stay no longer than this in any of them, whatever is said above.
    pub sites: Vec<(Box<str>, Duration)>,
}

impl Retention {
    /// The same for all kinds.
    pub const fn all(kept: Option<Duration>) -> Self {
        Self { visits: kept, events: kept, requests: kept, sites: Vec::new() }
    }
}

/// All tables.
pub(crate) struct Tables {
    pub(crate) visits: Table,
    pub(crate) events: Table,
    pub(crate) requests: Table,
}

impl Tables {
    pub(crate) fn all(&mut self) -> [&mut Table; 3] {
        [&mut self.visits, &mut self.events, &mut self.requests]
    }

    fn published(&self) -> [Table; 3] {
        [self.visits.clone(), self.events.clone(), self.requests.clone()]
    }
}

/// The tables, for the process that writes them.
pub struct Warehouse {
    runtime: Option<tokio::runtime::Runtime>,
    tables: Mutex<Tables>,
    /// As the last commit left them: whoever reads need not wait for who writes.
    published: Mutex<[Table; 3]>,
    /// Held by who does upkeep: one job at a time.
    pub(crate) upkeep: Mutex<UpkeepState>,
    settings: WarehouseSettings,
    /// Where the tables are, if that is a local folder.
    folder: Option<PathBuf>,
    pub(crate) ports: Ports,
}

/// A table in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStatus {
    /// Its name.
    pub table: &'static str,
    /// The version of its last commit.
    pub version: u64,
    /// Files that it consists of.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows.
    pub rows: u64,
}

impl Warehouse {
    /// Opens the tables in a local folder, or makes them. What interrupted writes left is removed.
    ///
    /// # Errors
    /// When the folder can't be used, or holds tables that are not this version's.
    pub fn open(
        folder: &FsPath,
        settings: WarehouseSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, WarehouseError> {
        let failed = |doing| move |source| WarehouseError::Io { doing, source };
        make_dir(folder).map_err(failed("making the tables' folder"))?;
        let folder = folder.canonicalize().map_err(failed("looking for the tables' folder"))?;
        DurableStore::sweep(&folder).map_err(failed("removing what interrupted writes left"))?;
        let place = folder.to_str().ok_or_else(|| WarehouseError::Place { place: folder.display().to_string() })?;
        let store: Arc<dyn ObjectStore> = Arc::new(DurableStore::new());
        Self::open_on(&store, place, settings, clock, entropy)
    }

    /// The same on any store; `place` is a folder's absolute path, or a URL.
    pub(crate) fn open_on(
        store: &Arc<dyn ObjectStore>,
        place: &str,
        settings: WarehouseSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, WarehouseError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("visitlog-tables")
            .enable_time()
            .build()
            .map_err(|source| WarehouseError::Io { doing: "starting threads", source })?;
        let ports = Ports { clock, entropy };
        let tables = runtime.block_on(async {
            let visits = Table::open(Arc::clone(store), place, Kind::visits(), ports.clone()).await?;
            let events = Table::open(Arc::clone(store), place, Kind::events(), ports.clone()).await?;
            let requests = Table::open(Arc::clone(store), place, Kind::requests(), ports.clone()).await?;
            Ok::<_, WarehouseError>(Tables { visits, events, requests })
        })?;
        let folder = (!place.contains("://")).then(|| PathBuf::from(place));
        Ok(Arc::new(Self {
            runtime: Some(runtime),
            published: Mutex::new(tables.published()),
            tables: Mutex::new(tables),
            upkeep: Mutex::default(),
            settings,
            folder,
            ports,
        }))
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.runtime.as_ref().expect("taken only when this is dropped")
    }

    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.folder.clone()
    }

    /// How it is set up.
    pub const fn settings(&self) -> &WarehouseSettings {
        &self.settings
    }

    /// How far each table has the visits of a journal.
    ///
    /// # Errors
    /// When a table can't be read.
    pub fn cursors(&self, journal: u128) -> Result<[(&'static str, Option<Lsn>); 3], WarehouseError> {
        self.with_tables(async |tables| {
            let (visits, events) = (tables.visits.cursor(journal).await?, tables.events.cursor(journal).await?);
            let requests = tables.requests.cursor(journal).await?;
            Ok([(schema::VISITS, visits), (schema::EVENTS, events), (schema::REQUESTS, requests)])
        })
    }

    /// The tables in figures.
    ///
    /// # Errors
    /// When a table can't be read.
    pub fn status(&self) -> Result<[TableStatus; 3], WarehouseError> {
        let [visits, events, requests] = self.snapshot();
        Ok([status(&visits)?, status(&events)?, status(&requests)?])
    }

    /// Runs work that may commit: nobody else does meanwhile.
    pub(crate) fn with_tables<T>(
        &self,
        work: impl AsyncFnOnce(&mut Tables) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let mut tables = self.tables.lock();
        let result = self.runtime().block_on(work(&mut tables));
        // Also after a failure: part of the work may have been committed.
        *self.published.lock() = tables.published();
        result
    }

    /// Runs work that only reads and writes files.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    /// The tables as the last commit left them.
    pub(crate) fn snapshot(&self) -> [Table; 3] {
        self.published.lock().clone()
    }
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        // The last who has it may be a thread that must not wait for others.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn status(table: &Table) -> Result<TableStatus, WarehouseError> {
    let files = table.files()?;
    Ok(TableStatus {
        table: table.kind.name,
        version: table.version(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
        rows: files.iter().map(|file| file.rows).sum(),
    })
}
