//! The Delta tables: opened or made, and what is committed to them.
//!
//! Each commit that adds visits carries a transaction: the journal's UUID as application, the position of the last `End`
//! as version. That version is the table's cursor. Delta does not see to it that it only grows, so this does; and what
//! a failed commit has done all the same is found by reading the table again.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, LogicalFileView, StructField, StructType, Transaction};
use deltalake::logstore::object_store::ObjectStore;
use deltalake::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError, Path};
use visitlog_core::Lsn;
use visitlog_core::ports::{Clock, Entropy};

use crate::error::WarehouseError;
use crate::schema;

/// The table property that holds [`schema::SCHEMA_VERSION`].
pub const SCHEMA_VERSION_PROPERTY: &str = "visitlog.schemaVersion";

/// What sets the tables apart.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) schema: SchemaRef,
    /// The columns whose least and greatest values Delta's log tells: none that names or follows a person by what they
    /// did, only dates, times, keys and status.
    pub(crate) stats: &'static [&'static str],
    /// Rows of one visit come in this order; visits by their ids, and so by their start.
    pub(crate) sorted_by: &'static [&'static str],
    /// The columns that add up where rows differ in no other: such rows become one.
    pub(crate) sums: &'static [&'static str],
}

impl Kind {
    pub(crate) fn visits() -> Self {
        Self {
            name: schema::VISITS,
            schema: schema::visits(),
            stats: &["visit_key", "visitor_key", "started_at", "ended_at", "closed_at", "date"],
            sorted_by: &["visit_id"],
            sums: &[],
        }
    }

    pub(crate) fn events() -> Self {
        Self {
            name: schema::EVENTS,
            schema: schema::events(),
            stats: &["visit_key", "visitor_key", "time", "status", "date"],
            sorted_by: &["visit_id", "seq"],
            sums: &[],
        }
    }

    pub(crate) fn requests() -> Self {
        Self {
            name: schema::REQUESTS,
            schema: schema::requests(),
            stats: &["hour", "status", "date"],
            sorted_by: &["hour", "site", "type", "path", "status", "bot", "via"],
            sums: &["requests", "bytes", "duration_ms", "timed"],
        }
    }

    /// The columns of a data file that is written now: the table's without the partition's.
    pub(crate) fn file_columns(&self) -> Vec<usize> {
        let fields = self.schema.fields().iter().enumerate();
        fields.filter(|(_, field)| field.name() != schema::PARTITION).map(|(at, _)| at).collect()
    }
}

/// Where data files of a table are written: the table's own folder, or one from which they get there later.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) ports: Ports,
    pub(crate) store: Arc<dyn ObjectStore>,
}

/// A data file of a table, as its log names it.
#[derive(Clone)]
pub(crate) struct DataFile {
    pub(crate) path: Path,
    pub(crate) month: String,
    pub(crate) size: u64,
    pub(crate) rows: u64,
    view: Arc<LogicalFileView>,
}

impl DataFile {
    /// What takes it out of the table. `is_change`: whether rows go with it.
    pub(crate) fn remove(&self, is_change: bool) -> Action {
        self.view.remove_action(is_change).into()
    }

    /// The statistics as the log has them.
    pub(crate) fn stats(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.view.stats()?).ok()
    }
}

/// The ports that tables use.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Ports {
    /// A name that no other file has.
    pub(crate) fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.entropy.random().to_be_bytes()).into_uuid()
    }
}

/// One table, for the one who writes it.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) kind: Kind,
    pub(crate) ports: Ports,
    pub(crate) delta: DeltaTable,
}

impl Table {
    /// Opens the table in `folder`/its name, or makes it.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        folder: &str,
        kind: Kind,
        ports: Ports,
    ) -> Result<Self, WarehouseError> {
        let name = kind.name;
        let place = format!("{}/{name}", folder.trim_end_matches('/'));
        let url = place_url(&place)?;
        let log =
            logstore_with(store, &url, StorageConfig::default()).map_err(WarehouseError::delta("opening", name))?;
        let mut delta = DeltaTable::new(Arc::clone(&log));
        let exists = delta.verify_deltatable_existence().await.map_err(WarehouseError::delta("looking for", name))?;
        if exists {
            delta.load().await.map_err(WarehouseError::delta("loading", name))?;
        } else {
            delta = create(log, &kind).await.map_err(WarehouseError::delta("creating", name))?;
        }
        let mut table = Self { kind, ports, delta };
        table.check_version()?;
        table.add_missing_columns().await?;
        Ok(table)
    }

    fn check_version(&self) -> Result<(), WarehouseError> {
        let table = self.kind.name;
        let state = self.delta.snapshot().map_err(WarehouseError::delta("reading", table))?;
        let Some(found) = state.metadata().configuration().get(SCHEMA_VERSION_PROPERTY) else {
            let what = format!("the property {SCHEMA_VERSION_PROPERTY} expected, none found; move this table away");
            return Err(WarehouseError::Foreign { table, what });
        };
        match found.parse::<u32>() {
            Ok(version) if version <= schema::SCHEMA_VERSION => Ok(()),
            _ => Err(WarehouseError::Newer { table, expected: schema::SCHEMA_VERSION, found: found.clone() }),
        }
    }

    /// Adds the columns that the table lacks; its files stay as they are and have `NULL` there.
    async fn add_missing_columns(&mut self) -> Result<(), WarehouseError> {
        let table = self.kind.name;
        let state = self.delta.snapshot().map_err(WarehouseError::delta("reading", table))?;
        let found = state.schema();
        let expected = columns(&self.kind.schema).map_err(WarehouseError::Rows)?;
        let mut missing = Vec::new();
        for column in expected {
            match found.field(column.name()) {
                Some(field) if field.data_type() == column.data_type() => {}
                Some(field) => {
                    let (name, is, was) = (column.name(), column.data_type(), field.data_type());
                    let what = format!("column {name} of type {is} expected, {was} found");
                    return Err(WarehouseError::Foreign { table, what });
                }
                None => missing.push(StructField::nullable(column.name().clone(), column.data_type().clone())),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let added = self.delta.clone().add_columns().with_fields(missing).await;
        self.delta = added.map_err(WarehouseError::delta("adding columns to", table))?;
        Ok(())
    }

    /// The columns of a data file that is written now.
    pub(crate) fn file_columns(&self) -> Vec<usize> {
        self.kind.file_columns()
    }

    /// Where its data files are written.
    pub(crate) fn place(&self) -> Place {
        Place { kind: self.kind.clone(), ports: self.ports.clone(), store: self.store() }
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.delta.log_store().object_store(None)
    }

    pub(crate) fn version(&self) -> u64 {
        self.delta.version().unwrap_or(0)
    }

    /// Reads what was committed since.
    pub(crate) async fn refresh(&mut self) -> Result<(), WarehouseError> {
        self.delta.update_state().await.map_err(WarehouseError::delta("reading", self.kind.name))
    }

    /// Reads the table as if for the first time, from its last checkpoint on: then its log before that is not needed.
    pub(crate) async fn reload(&mut self) -> Result<(), WarehouseError> {
        self.delta = reloaded(&self.delta).await.map_err(WarehouseError::delta("reading", self.kind.name))?;
        Ok(())
    }

    /// The last position of a journal whose visits the table has.
    pub(crate) async fn cursor(&self, journal: u128) -> Result<Option<Lsn>, WarehouseError> {
        let failed = || WarehouseError::delta("reading", self.kind.name);
        let state = self.delta.snapshot().map_err(failed())?;
        let log = self.delta.log_store();
        let version = state.transaction_version(log.as_ref(), application(journal)).await.map_err(failed())?;
        Ok(version.map(|version| Lsn(u64::try_from(version).unwrap_or(0))))
    }

    /// The files that the table consists of.
    pub(crate) fn files(&self) -> Result<Vec<DataFile>, WarehouseError> {
        let state = self.delta.snapshot().map_err(WarehouseError::delta("reading", self.kind.name))?;
        let file = |view: LogicalFileView| DataFile {
            path: view.object_store_path(),
            month: view.partition_values_map().remove(schema::PARTITION).flatten().unwrap_or_default(),
            size: u64::try_from(view.size()).unwrap_or(0),
            rows: view.num_records().unwrap_or(0) as u64,
            view: Arc::new(view),
        };
        Ok(state.log_data().iter().map(file).collect())
    }

    /// Adds files with visits up to `last` of a journal. Where the table turns out to have them, nothing is added.
    pub(crate) async fn append(&mut self, adds: Vec<Add>, journal: u128, last: Lsn) -> Result<(), WarehouseError> {
        if self.cursor(journal).await?.is_some_and(|cursor| cursor >= last) {
            return Ok(());
        }
        let version = i64::try_from(last.0).unwrap_or(i64::MAX);
        let transaction = Transaction::new(application(journal), version);
        match self.add(adds, Some(transaction)).await {
            Ok(()) => Ok(()),
            // It may be there all the same.
            Err(error) => match self.cursor(journal).await {
                Ok(Some(cursor)) if cursor >= last => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Commits files that are added to those that are there.
    pub(crate) async fn add(&mut self, adds: Vec<Add>, transaction: Option<Transaction>) -> Result<(), WarehouseError> {
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![schema::PARTITION.to_owned()]),
            predicate: None,
        };
        self.commit(adds.into_iter().map(Action::Add).collect(), operation, transaction).await
    }

    /// Commits and reads the table again, whether it succeeded or not.
    pub(crate) async fn commit(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        transaction: Option<Transaction>,
    ) -> Result<(), WarehouseError> {
        let table = self.kind.name;
        // Checkpoints and cleaning are the upkeep's.
        let properties = CommitProperties::default()
            .with_application_transactions(transaction.into_iter().collect())
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let committed = {
            let state = self.delta.snapshot().map_err(WarehouseError::delta("reading", table))?;
            CommitBuilder::from(properties)
                .with_actions(actions)
                .build(Some(state), self.delta.log_store(), operation)
                .await
        };
        let refreshed = self.refresh().await;
        committed.map_err(WarehouseError::delta("committing to", table))?;
        refreshed
    }
}

/// How a journal is called in the tables' transactions.
pub fn application(journal: u128) -> String {
    format!("{journal:032x}")
}

/// The table as it is now, read from the last checkpoint on.
pub(crate) async fn reloaded(table: &DeltaTable) -> Result<DeltaTable, DeltaTableError> {
    let mut fresh = DeltaTable::new(table.log_store());
    fresh.load().await?;
    Ok(fresh)
}

fn place_url(place: &str) -> Result<url::Url, WarehouseError> {
    let wrong = || WarehouseError::Place { place: place.to_owned() };
    if place.contains("://") {
        return place.parse().map_err(|_| wrong());
    }
    url::Url::from_directory_path(place).map_err(|()| wrong())
}

fn columns(schema: &SchemaRef) -> Result<Vec<StructField>, deltalake::arrow::error::ArrowError> {
    let schema: StructType = schema.as_ref().try_into_kernel()?;
    Ok(schema.fields().cloned().collect())
}

async fn create(log: LogStoreRef, kind: &Kind) -> Result<DeltaTable, DeltaTableError> {
    let properties: HashMap<&str, String> = HashMap::from([
        (SCHEMA_VERSION_PROPERTY, schema::SCHEMA_VERSION.to_string()),
        ("delta.dataSkippingStatsColumns", kind.stats.join(",")),
        ("delta.logRetentionDuration", "interval 1 days".to_owned()),
        ("delta.deletedFileRetentionDuration", "interval 1 days".to_owned()),
    ]);
    let columns = columns(&kind.schema).map_err(|source| DeltaTableError::Arrow { source })?;
    DeltaTable::new(log)
        .create()
        .with_columns(columns)
        .with_partition_columns([schema::PARTITION])
        .with_configuration(properties.into_iter().map(|(key, value)| (key, Some(value))))
        .with_raise_if_key_not_exists(false)
        .with_save_mode(SaveMode::Ignore)
        .await
}
