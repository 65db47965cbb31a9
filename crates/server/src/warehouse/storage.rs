//! What the warehouse keeps and shows: the tables that ended visits go to, what is going on beside them, and the thread
//! that looks after both.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use visitlog_core::limits::COUNTED_BYTES_MAX;
use visitlog_core::page::PageParams;
use visitlog_core::ports::{LiveSource, VisitSink};
use visitlog_core::requests::{RequestCount, RequestCounts};
use visitlog_core::{Host, Lsn, Timestamp};
use visitlog_engine::adapters::{RealDisk, SystemClock, SystemEntropy};
use visitlog_engine::{Engine, Stop};
use visitlog_enrich::Enricher;
use visitlog_sinks::webhook::Webhook;
use visitlog_sinks::{Lanes, remove_files_before};
use visitlog_warehouse::live::{Live, LiveSettings};
use visitlog_warehouse::sql::{Catalog, CatalogError, Sql, Table};
use visitlog_warehouse::views::{DeltaTables, Losses, Views};
use visitlog_warehouse::{Warehouse as Tables, WarehouseSink};

use super::{WarehouseError, WarehouseSettings};

/// The folder of the tables in the data folder, unless the settings name another.
const FOLDER: &str = "warehouse";
/// How often what was recorded is looked at, so that statements find little to do.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);
/// How often the tables are asked how far they are, and looked after, unless the settings say otherwise.
const UPKEEP_EVERY: Duration = Duration::from_secs(30);

/// The tables, opened before the engine that feeds them.
pub(super) struct Storage {
    tables: Arc<Tables>,
    enricher: Arc<Enricher>,
    pages: Arc<PageParams>,
    files_kept: Option<Duration>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}

impl Storage {
    /// Opens the tables of a data folder, or makes them. The caller holds the folder's lock, and no runtime drives its
    /// thread.
    ///
    /// # Errors
    /// When they can't be used.
    pub(super) fn open(
        data: &Path,
        settings: &WarehouseSettings,
        enricher: Arc<Enricher>,
    ) -> Result<Self, WarehouseError> {
        let pages = Arc::clone(&settings.pages);
        Ok(Self { tables: open_tables(data, settings)?, enricher, pages, files_kept: settings.files_kept })
    }

    /// What brings ended visits to the tables.
    pub(super) fn sink(&self) -> Box<dyn VisitSink> {
        let sink = WarehouseSink::new(Arc::clone(&self.tables), Arc::clone(&self.enricher), None);
        Box::new(sink.with_pages(Arc::clone(&self.pages)))
    }

    /// What says what visits' raw facts mean.
    pub(super) fn enricher(&self) -> Arc<Enricher> {
        Arc::clone(&self.enricher)
    }

    /// The tables of SQL, once the engine is there.
    pub(super) fn views(self, data: &Path, engine: Arc<Engine>, lanes: Arc<Lanes>, sql: &Sql) -> Shown {
        let journal = engine.journal().uuid();
        let source: Arc<dyn LiveSource> = Arc::clone(&engine) as _;
        let enricher = Arc::clone(&self.enricher);
        let live = Arc::new(Live::new(source, self.enricher, None, LiveSettings::default()));
        let stored = DeltaTables::of(&self.tables, journal, Arc::new(sql.state().clone()));
        let losses = Arc::new(Losses::default());
        let (tables, data, pages) = (Some(Arc::new(stored) as _), Some(data.to_owned()), self.pages);
        let presence = Some(Arc::clone(&engine) as _);
        let views = Views { live: Some(live), tables, presence, losses, data, pages };
        let files_kept = self.files_kept;
        Shown {
            views,
            tables: self.tables,
            engine,
            lanes,
            enricher,
            files_kept,
            counts: Mutex::default(),
            webhooks: OnceLock::new(),
            erasing: Mutex::default(),
        }
    }
}

/// Opens the tables of a data folder, or makes them.
pub(super) fn open_tables(data: &Path, settings: &WarehouseSettings) -> Result<Arc<Tables>, WarehouseError> {
    let folder = settings.folder.clone().unwrap_or_else(|| data.join(FOLDER));
    let system = |doing| move |source| WarehouseError::System { doing, source };
    let entropy = SystemEntropy::new().map_err(system("draw random bits"))?;
    let clock = Arc::new(SystemClock::start());
    Ok(Tables::open(&folder, settings.tables.clone(), clock, Arc::new(entropy))?)
}

/// The tables that statements see, and what is behind them.
pub(super) struct Shown {
    pub(super) views: Views,
    pub(super) tables: Arc<Tables>,
    pub(super) engine: Arc<Engine>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) enricher: Arc<Enricher>,
    /// How long files of ended visits stay.
    files_kept: Option<Duration>,
    counts: Mutex<Counts>,
    /// Who is told what happens, where somebody serves.
    pub(super) webhooks: OnceLock<Arc<[Arc<Webhook>]>>,
    /// One erasure at a time.
    pub(super) erasing: Mutex<()>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("views", &self.views).finish_non_exhaustive()
    }
}

#[async_trait]
impl Catalog for Shown {
    async fn tables(&self) -> Result<Vec<Table>, CatalogError> {
        let error = |error| CatalogError(Box::new(error));
        let statement = self.views.statement().await.map_err(error)?;
        statement.tables(self.engine.now()).await.map_err(error)
    }
}

/// What is counted beside the visits, by whoever records.
pub struct Sources {
    /// What was lost so far, by reason.
    pub losses: Box<dyn Fn() -> Vec<(&'static str, u64)> + Send>,
    /// Requests that were counted and not recorded, since it was asked last, by the hosts that they named.
    pub counted: Box<dyn Fn() -> RequestCounts + Send>,
}

impl Shown {
    /// Starts the thread that follows what is recorded and keeps the tables in shape.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn look_after(
        self: Arc<Self>,
        sources: Sources,
        upkeep_every: Option<Duration>,
    ) -> Result<Keeper, WarehouseError> {
        let stop = Arc::<Stop>::default();
        let stopped = Arc::clone(&stop);
        let work = move || self.run(&stopped, &sources, upkeep_every.unwrap_or(UPKEEP_EVERY));
        let thread = std::thread::Builder::new().name("visitlog-keep".to_owned()).spawn(work);
        let thread =
            thread.map_err(|source| WarehouseError::System { doing: "start the warehouse's thread", source })?;
        Ok(Keeper { stop, thread: Some(thread) })
    }

    fn run(&self, stop: &Stop, sources: &Sources, upkeep_every: Duration) {
        let mut counted = Vec::new();
        let every = CATCH_UP_EVERY.min(upkeep_every).max(Duration::from_millis(1));
        let upkeep_turns = upkeep_every.div_duration_f64(every).round().max(1.0) as u64;
        for turn in 0_u64.. {
            if stop.wait(every) {
                return;
            }
            self.bring((sources.counted)(), false);
            let Some(live) = &self.views.live else { return };
            if let Err(error) = live.follow(self.engine.now()) {
                tracing::warn!(error = &error as &dyn std::error::Error, "what is going on can't be followed");
            }
            self.count(&mut counted, (sources.losses)());
            if turn % upkeep_turns == upkeep_turns - 1 {
                self.tidy(live, stop);
            }
        }
    }

    /// Brings counts of requests to their table, as often as visits come there. `now`: at once.
    pub(super) fn bring(&self, mut counted: RequestCounts, now: bool) {
        let (mut counts, at) = (self.counts.lock(), self.engine.now());
        counted
            .drain(|count| {
                let site = self.engine.site_of(&Host::new(count.site));
                counts.waiting.add(&RequestCount { site: &site, ..*count });
                Ok::<_, std::convert::Infallible>(())
            })
            .unwrap_or_else(|never| match never {});
        let since = *counts.since.get_or_insert(at);
        let is_time = at.since(since) >= self.tables.settings().gathering.wait_max;
        if !now && !is_time && counts.waiting.bytes() < COUNTED_BYTES_MAX {
            return;
        }
        counts.since = Some(at);
        if let Err(error) = self.tables.add_counts(&mut counts.waiting) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "counts of requests that are not recorded can't be stored now");
            // They wait for the next time, but not without bound.
            if counts.waiting.bytes() > 4 * COUNTED_BYTES_MAX {
                tracing::error!("counts of requests that are not recorded were dropped: the tables take nothing");
                counts.waiting = RequestCounts::default();
            }
        }
    }

    /// Lets go what both tables have, and keeps them in shape.
    fn tidy(&self, live: &Live, stop: &Stop) {
        match self.tables.cursors(self.engine.journal().uuid()) {
            Ok(cursors) => {
                let cursors = cursors.map(|(_, cursor)| cursor.unwrap_or(Lsn::NONE));
                live.flushed(cursors.into_iter().min().unwrap_or(Lsn::NONE));
            }
            Err(error) => not_kept(&error),
        }
        self.remove_old_files();
        while !stop.is_set() {
            match self.tables.upkeep_step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return not_kept(&error),
            }
        }
    }

    /// Removes the files of ended visits that are as old as they may become.
    fn remove_old_files(&self) {
        let (Some(kept), Some(data)) = (self.files_kept, &self.views.data) else { return };
        // An erasure reads all of them.
        let Some(_turn) = self.erasing.try_lock() else { return };
        if let Err(error) = remove_files_before(&RealDisk, data, self.engine.now().before(kept)) {
            let folder = data.display();
            tracing::warn!(%folder, %error, "files of ended visits that are too old could not be removed; tried again soon");
        }
    }

    /// Adds what was lost since the last look. Which site it was of is not known.
    fn count(&self, before: &mut Vec<(&'static str, u64)>, now: Vec<(&'static str, u64)>) {
        for (reason, count) in &now {
            let old = before.iter().find(|(known, _)| known == reason).map_or(0, |(_, old)| *old);
            self.views.losses.add(self.engine.now(), "", reason, count.saturating_sub(old));
        }
        *before = now;
    }
}

/// Counts of requests that wait for their table.
#[derive(Debug, Default)]
pub(super) struct Counts {
    waiting: RequestCounts,
    /// When some were brought there last.
    since: Option<Timestamp>,
}

fn not_kept(error: &visitlog_warehouse::WarehouseError) {
    tracing::warn!(error = error as &dyn std::error::Error, "the tables can't be kept in shape now");
}

/// The thread that looks after the warehouse. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the warehouse's thread panicked");
        }
    }
}
