//! What keeps the tables in shape: small files merged, old visits removed, the log kept short, files that nobody needs
//! deleted.
//!
//! One piece of work at a time, on a thread of its own. Each is complete with its commit: what a crash interrupts left
//! files that no log names, which vacuum removes, and is found again by the next step. Files are merged by size: when a
//! month has eight of about the same size, they become one, so that each row is rewritten only a few times.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use deltalake::Path;
use deltalake::checkpoints::create_checkpoint;
use deltalake::kernel::{Action, Add};
use deltalake::logstore::object_store::{ObjectMeta, ObjectStoreExt as _};
use deltalake::protocol::DeltaOperation;
use futures_util::TryStreamExt as _;
use jiff::civil::Date;
use visitlog_core::Timestamp;

use crate::error::WarehouseError;
use crate::files::{discard, write_all};
use crate::merge::Lanes;
use crate::rows::day_of;
use crate::rows::requests::summed;
use crate::tables::{DataFile, Table};
use crate::warehouse::{Tables, Warehouse};

/// A file that is this large is merged no more: 2 million events, or so.
pub(crate) const MERGED_BYTES_MAX: u64 = 96 << 20;
/// Files below are all of one size.
const SMALLEST_TIER_BYTES: u64 = 1 << 20;
/// So many commits make a checkpoint worth while.
const CHECKPOINT_COMMITS: u64 = 20;
/// How often vacuum and retention look.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// What upkeep remembers between its steps; a restart forgets it without harm.
#[derive(Debug, Default)]
pub(crate) struct UpkeepState {
    swept: Option<Timestamp>,
    /// The day on which sites of their own were looked at.
    retained: Option<Date>,
}

/// One of the tables.
pub(crate) type Pick = fn(&mut Tables) -> &mut Table;

/// All of them.
const ALL: [Pick; 3] = [|tables| &mut tables.events, |tables| &mut tables.visits, |tables| &mut tables.requests];

impl Warehouse {
    /// Does a bounded piece of work; whether there was any, and there may be more.
    ///
    /// # Errors
    /// When a file or a table could not be read or written; the next step tries again.
    pub fn upkeep_step(&self) -> Result<bool, WarehouseError> {
        let mut state = self.upkeep.lock();
        for pick in ALL {
            let table = self.with_tables(async |tables| Ok(pick(tables).clone()))?;
            if let Some(group) = files_to_merge(table.files()?, self.settings().merge_files) {
                return self.merge(pick, &table, group);
            }
        }
        let now = self.ports.clock.now();
        if state.swept.is_some_and(|swept| now < swept.after(SWEEP_EVERY)) {
            return self.shorten_logs();
        }
        let today = day_of(now);
        self.retain_all(now, state.retained != Some(today))?;
        state.retained = Some(today);
        self.shorten_logs()?;
        self.vacuum(self.settings().keep_removed)?;
        state.swept = Some(now);
        Ok(true)
    }

    /// Makes one file of several of a month; whether it did.
    fn merge(&self, pick: Pick, table: &Table, files: Vec<DataFile>) -> Result<bool, WarehouseError> {
        let Some(month) = files.first().map(|file| file.month.clone()) else { return Ok(false) };
        // What adds up comes in fewer rows.
        let changes = !table.kind.sums.is_empty();
        let (files, merged) = self.run(async {
            let lanes = Lanes::of(table, files, MERGED_BYTES_MAX).await?;
            let files = lanes.files();
            let sums = table.kind.sums;
            let merged = write_all(table, &month, lanes.rows(table)?, changes, |rows| Ok(summed(rows, sums)?)).await?;
            Ok::<_, WarehouseError>((files, merged))
        })?;
        let adds = Vec::from_iter(merged);
        let target_size = i64::try_from(MERGED_BYTES_MAX).unwrap_or(i64::MAX);
        let operation = DeltaOperation::Optimize { predicate: None, target_size };
        self.with_tables(async |tables| replace(pick(tables), &files, adds, operation, changes).await)
    }

    /// Writes a checkpoint where there were enough commits since the last, and removes what lies before it.
    fn shorten_logs(&self) -> Result<bool, WarehouseError> {
        let keep = self.settings().keep_removed;
        self.with_tables(async |tables| {
            let mut worked = false;
            for table in tables.all() {
                let last = last_checkpoint(&log_files(table).await?);
                if table.version() >= last.map_or(0, |last| last + 1) + CHECKPOINT_COMMITS - 1 {
                    checkpoint(table).await?;
                    clean_log(table, keep).await?;
                    worked = true;
                }
            }
            Ok(worked)
        })
    }

    /// Deletes files that left the tables, or never came to be part of them, at least `keep` ago.
    ///
    /// # Errors
    /// When the tables' folder can't be read, or a file not be deleted.
    pub(crate) fn vacuum(&self, keep: Duration) -> Result<u64, WarehouseError> {
        self.with_tables(async |tables| {
            let mut deleted = 0;
            for table in tables.all() {
                deleted += vacuum(table, keep).await?;
            }
            Ok(deleted)
        })
    }
}

/// The files of a month and a size that are to become one, if there are enough of them.
fn files_to_merge(files: Vec<DataFile>, enough: usize) -> Option<Vec<DataFile>> {
    let mut groups: BTreeMap<(String, u32), Vec<DataFile>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.size < MERGED_BYTES_MAX) {
        // Each tier is eight times the one before.
        let tier = (file.size / SMALLEST_TIER_BYTES).checked_ilog2().map_or(0, |log| log / 3 + 1);
        groups.entry((file.month.clone(), tier)).or_default().push(file);
    }
    groups.into_values().find(|group| group.len() >= enough.max(2))
}

/// Takes files out of a table and puts others in, in one commit; whether it did. Where one of the files is no longer
/// there, nothing happens: the work is done again with what is.
pub(crate) async fn replace(
    table: &mut Table,
    old: &[DataFile],
    new: Vec<Add>,
    operation: DeltaOperation,
    is_change: bool,
) -> Result<bool, WarehouseError> {
    let present: HashSet<Path> = table.files()?.into_iter().map(|file| file.path).collect();
    if !old.iter().all(|file| present.contains(&file.path)) {
        discard(table, &new).await;
        return Ok(false);
    }
    let removes = old.iter().map(|file| file.remove(is_change));
    let actions = removes.chain(new.iter().cloned().map(Action::Add)).collect();
    let Err(error) = table.commit(actions, operation, None).await else { return Ok(true) };
    // It may have been committed all the same. Only a table that could be read tells.
    table.refresh().await?;
    let gone = |path: &Path, files: &[DataFile]| !files.iter().any(|file| file.path == *path);
    let files = table.files()?;
    if old.iter().all(|file| gone(&file.path, &files)) {
        return Ok(true);
    }
    discard(table, &new).await;
    Err(error)
}

/// A file of the log, and the version that it belongs to.
struct LogFile {
    meta: ObjectMeta,
    version: u64,
}

impl LogFile {
    fn is_checkpoint(&self) -> bool {
        self.meta.location.filename().is_some_and(|name| name.contains(".checkpoint."))
    }
}

async fn log_files(table: &Table) -> Result<Vec<LogFile>, WarehouseError> {
    let root = Path::from("_delta_log");
    let list: Vec<ObjectMeta> =
        table.store().list(Some(&root)).try_collect().await.map_err(WarehouseError::store("listing a table's log"))?;
    let file = |meta: ObjectMeta| {
        let version = meta.location.filename()?.get(..20)?.parse().ok()?;
        Some(LogFile { meta, version })
    };
    Ok(list.into_iter().filter_map(file).collect())
}

fn last_checkpoint(files: &[LogFile]) -> Option<u64> {
    files.iter().filter(|file| file.is_checkpoint()).map(|file| file.version).max()
}

/// Writes a checkpoint of the table as it is, unless there is one.
pub(crate) async fn checkpoint(table: &mut Table) -> Result<(), WarehouseError> {
    table.refresh().await?;
    if last_checkpoint(&log_files(table).await?) == Some(table.version()) {
        return Ok(());
    }
    create_checkpoint(&table.delta, None)
        .await
        .map_err(WarehouseError::delta("writing a checkpoint of", table.kind.name))
}

/// Deletes what lies before the last checkpoint and is older than `keep`.
pub(crate) async fn clean_log(table: &mut Table, keep: Duration) -> Result<(), WarehouseError> {
    let files = log_files(table).await?;
    let Some(last) = last_checkpoint(&files) else { return Ok(()) };
    let before = table.ports.clock.now().before(keep).millis();
    let is_old = |file: &LogFile| keep.is_zero() || file.meta.last_modified.timestamp_millis() < before;
    let old: Vec<LogFile> = files.into_iter().filter(|file| file.version < last && is_old(file)).collect();
    if old.is_empty() {
        return Ok(());
    }
    // What was read before the checkpoint names what is about to go.
    table.reload().await?;
    for file in old {
        delete(table, &file.meta.location).await?;
    }
    Ok(())
}

/// Deletes data files that are not part of the table, and have not been for `keep`.
pub(crate) async fn vacuum(table: &mut Table, keep: Duration) -> Result<u64, WarehouseError> {
    let name = table.kind.name;
    table.refresh().await?;
    let present: HashSet<Path> = table.files()?.into_iter().map(|file| file.path).collect();
    let log = table.delta.log_store();
    let state = table.delta.snapshot().map_err(WarehouseError::delta("reading", name))?;
    let removed: HashMap<String, i64> = state
        .all_tombstones(log.as_ref())
        .map_ok(|stone| (stone.path().into_owned(), stone.deletion_timestamp().unwrap_or(0)))
        .try_collect()
        .await
        .map_err(WarehouseError::delta("reading", name))?;
    let before = table.ports.clock.now().before(keep).millis();
    let list: Vec<ObjectMeta> =
        table.store().list(None).try_collect().await.map_err(WarehouseError::store("listing a table's files"))?;
    let mut deleted = 0;
    for meta in list {
        let path = meta.location;
        if path.as_ref().starts_with("_delta_log") || present.contains(&path) {
            continue;
        }
        let since = removed.get(path.as_ref()).copied().unwrap_or_else(|| meta.last_modified.timestamp_millis());
        if keep.is_zero() || since < before {
            delete(table, &path).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

async fn delete(table: &Table, path: &Path) -> Result<(), WarehouseError> {
    use deltalake::logstore::object_store::Error;
    match table.store().delete(path).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(WarehouseError::store("deleting a file")(error)),
    }
}
