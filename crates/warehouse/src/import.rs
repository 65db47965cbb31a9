//! Visits of an importer: written as the tables' data files before it commits its batch, and made part of the tables
//! after.
//!
//! A batch's files are written, sorted and synced, to the batch's own folder ([`Staging`]); the importer's state then
//! names them; then they get a second name in the tables' folder, and one commit to each table adds them
//! ([`Warehouse::store_import`]). That commit carries a transaction: the importer's UUID as application, the batch's
//! number as version. So it is known of each table whether it has the batch, and after a crash the rest is done again.
//! The files keep their name in the batch's folder until the tables have them: what a vacuum takes for left over is
//! still there.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use deltalake::kernel::Add;
use deltalake::logstore::object_store::ObjectStore;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::prefix::PrefixStore;
use serde::{Deserialize, Serialize};
use visitlog_core::Lsn;
use visitlog_core::model::{EndedVisit, OpenVisit};
use visitlog_core::ports::{Clock, Entropy};
use visitlog_core::requests::RequestCount;
use visitlog_enrich::Enricher;
use visitlog_logs::import::Pending;
use visitlog_logs::sessions::{OutputError, Visits};

use crate::error::WarehouseError;
use crate::gathered::{EVENT_ROWS, Gathered, VISIT_ROWS};
use crate::rows::RowBuilder;
use crate::rows::requests::RequestRows;
use crate::runs::{RUN_ROWS, Runs};
use crate::store::{DurableStore, link};
use crate::tables::{Kind, Place, Ports, Table};
use crate::unsettled::{Folder, Writer};
use crate::upkeep::MERGED_BYTES_MAX;
use crate::warehouse::Warehouse;

/// Memory, in bytes, that the visits of one thread may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Rows are put into a batch when they take so much.
    pub(crate) batch: usize,
    /// And batches leave memory, sorted, when they take so much.
    pub(crate) all: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { batch: 2 << 20, all: 8 << 20 }
    }
}

/// The files of a batch, as its state names them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Staged {
    visits: Vec<Add>,
    events: Vec<Add>,
    #[serde(default)]
    requests: Vec<Add>,
}

/// Writes the settled visits of one batch, in several threads.
pub struct Staging {
    runtime: tokio::runtime::Runtime,
    visits: Place,
    events: Place,
    requests: Place,
    dir: PathBuf,
    unsettled: Folder,
    enricher: Arc<Enricher>,
}

/// Writes visits of one thread.
pub struct Stage {
    staging: Arc<Staging>,
    pub(crate) budget: Budget,
    rows: RowBuilder,
    gathered: Gathered,
    counts: RequestRows,
    /// What memory did not take.
    visits: Runs,
    events: Runs,
    unsettled: Writer,
    requests: Runs,
    bots: u64,
}

impl Staging {
    /// Into a folder of the batch's own. What it leaves unsettled goes to the folder `unsettled`, which is made if need be.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(
        dir: &FsPath,
        unsettled: &FsPath,
        enricher: Arc<Enricher>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, WarehouseError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("visitlog-stage")
            .build()
            .map_err(|source| WarehouseError::Io { doing: "starting threads", source })?;
        let dir = dir
            .canonicalize()
            .map_err(|source| WarehouseError::Io { doing: "looking for the batch's folder", source })?;
        let ports = Ports { clock, entropy };
        let place = |kind: Kind| {
            let wrong = |_| WarehouseError::Place { place: dir.display().to_string() };
            let prefix = Path::from_absolute_path(dir.join(kind.name)).map_err(wrong)?;
            let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(DurableStore::new(), prefix));
            Ok::<_, WarehouseError>(Place { kind, ports: ports.clone(), store })
        };
        let (visits, events, requests) = (place(Kind::visits())?, place(Kind::events())?, place(Kind::requests())?);
        let unsettled = Folder::new(unsettled);
        Ok(Arc::new(Self { runtime, visits, events, requests, dir, unsettled, enricher }))
    }

    /// What takes the visits of one thread.
    pub fn stage(self: &Arc<Self>) -> Stage {
        Stage {
            staging: Arc::clone(self),
            budget: Budget::default(),
            rows: RowBuilder::new(Arc::clone(&self.enricher), None),
            gathered: Gathered::default(),
            counts: RequestRows::default(),
            visits: Runs::new(self.visits.clone(), self.dir.clone()),
            events: Runs::new(self.events.clone(), self.dir.clone()),
            unsettled: Writer::new(Arc::clone(&self.enricher)),
            requests: Runs::new(self.requests.clone(), self.dir.clone()),
            bots: 0,
        }
    }
}

impl Stage {
    /// Writes what is left of all threads' visits; then all of them are on stable storage. Returns what the batch's state
    /// has to say of them (`None` where there are none), and how many of them are bots'.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(stages: Vec<Self>) -> Result<(Option<serde_json::Value>, u64), OutputError> {
        let (mut bots, mut all) = (0, Staged::default());
        // One after the other: what is being written takes more memory than all else.
        for stage in stages {
            let (mut staged, of_bots) = stage.write()?;
            bots += of_bots;
            all.visits.append(&mut staged.visits);
            all.events.append(&mut staged.events);
            all.requests.append(&mut staged.requests);
        }
        if all.visits.is_empty() && all.requests.is_empty() {
            return Ok((None, bots));
        }
        Ok((Some(serde_json::to_value(&all)?), bots))
    }

    fn close_batch(&mut self) -> Result<(), WarehouseError> {
        self.bots += self.rows.take_bots();
        Ok(self.gathered.close_batch(&mut self.rows)?)
    }

    fn spill(&mut self) -> Result<(), WarehouseError> {
        let gathered = std::mem::take(&mut self.gathered);
        gathered.spill(VISIT_ROWS, |batch| &batch.visits, &mut self.visits)?;
        gathered.spill(EVENT_ROWS, |batch| &batch.events, &mut self.events)
    }

    fn spill_counts(&mut self) -> Result<(), WarehouseError> {
        let rows = self.counts.finish()?;
        let starts = (0..rows.num_rows()).step_by(RUN_ROWS);
        self.requests.add(starts.map(|start| Ok(rows.slice(start, RUN_ROWS.min(rows.num_rows() - start)))))
    }

    fn write(mut self) -> Result<(Staged, u64), WarehouseError> {
        self.close_batch()?;
        if self.counts.bytes() > 0 {
            self.spill_counts()?;
        }
        if !self.visits.is_empty() {
            self.spill()?;
        }
        let Self { staging, gathered, visits, events, requests, unsettled, bots, rows, .. } = self;
        drop(rows);
        unsettled.finish(&staging.unsettled)?;
        let (visits_in, events_in, mut staged) = (&staging.visits, &staging.events, Staged::default());
        staging.runtime.block_on(async {
            if !requests.is_empty() {
                requests.write(MERGED_BYTES_MAX, &mut staged.requests).await?;
            }
            if visits.is_empty() {
                gathered.write(visits_in, None, VISIT_ROWS, |batch| &batch.visits, &mut staged.visits).await?;
                return gathered.write(events_in, None, EVENT_ROWS, |batch| &batch.events, &mut staged.events).await;
            }
            visits.write(MERGED_BYTES_MAX, &mut staged.visits).await?;
            events.write(MERGED_BYTES_MAX, &mut staged.events).await
        })?;
        Ok((staged, bots))
    }
}

impl Visits for Stage {
    fn ended(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        self.gathered.push(Lsn(1), &visit, &mut self.rows);
        if self.rows.bytes() >= self.budget.batch {
            self.close_batch()?;
            if self.gathered.bytes >= self.budget.all {
                self.spill()?;
            }
        }
        Ok(())
    }

    fn unsettled(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        Ok(self.unsettled.ended(&self.staging.unsettled, &visit)?)
    }

    fn open(&mut self, visit: OpenVisit) -> Result<(), OutputError> {
        Ok(self.unsettled.open(&self.staging.unsettled, &visit)?)
    }

    fn counted(&mut self, count: &RequestCount<'_>) -> Result<(), OutputError> {
        self.counts.push(count);
        if self.counts.bytes() >= self.budget.batch {
            self.spill_counts()?;
        }
        Ok(())
    }
}

impl Warehouse {
    /// Makes an importer's batch part of the tables, as far as they do not have it.
    ///
    /// # Errors
    /// When the batch's files are gone, or the tables can't be written. The same call may work later.
    pub fn store_import(&self, pending: &Pending) -> Result<(), WarehouseError> {
        let staged: Staged = serde_json::from_value(pending.staged.clone()).map_err(WarehouseError::Staged)?;
        let folder = self.folder().ok_or(WarehouseError::Busy { what: "imports need tables in a local folder" })?;
        self.with_tables(async |tables| {
            store(&mut tables.visits, staged.visits, pending, &folder).await?;
            store(&mut tables.events, staged.events, pending, &folder).await?;
            store(&mut tables.requests, staged.requests, pending, &folder).await
        })
    }
}

async fn store(table: &mut Table, adds: Vec<Add>, pending: &Pending, folder: &FsPath) -> Result<(), WarehouseError> {
    let last = Lsn(pending.batch);
    table.refresh().await?;
    if table.cursor(pending.importer).await?.is_some_and(|cursor| cursor >= last) {
        return Ok(());
    }
    let name = table.kind.name;
    for add in &adds {
        let path = PathBuf::from(name).join(&add.path);
        link(&pending.dir.join(&path), &folder.join(&path))
            .map_err(|source| WarehouseError::Io { doing: "taking over a file of an import", source })?;
    }
    table.append(adds, pending.importer, last).await
}
