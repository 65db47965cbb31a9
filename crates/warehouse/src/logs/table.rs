//! Files as one table.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use visitlog_logs::Common;

use super::account::Ledger;
use super::columns;
use super::filter::Condition;
use super::open::LogFile;
use super::scan::{Part, Scan};

/// Up to so many rows a `LIMIT` is served by one reader, in the order of the lines.
const ORDERED_ROWS_MAX: usize = 100_000;

/// The requests of files.
#[derive(Debug)]
pub(super) struct LogTable {
    files: Arc<[LogFile]>,
    schema: SchemaRef,
    ledger: Arc<Ledger>,
}

impl LogTable {
    pub(super) fn new(files: Arc<[LogFile]>, ledger: Arc<Ledger>) -> Self {
        let schema = columns::schema(files.iter().map(|file| &file.format));
        Self { files, schema, ledger }
    }

    /// The columns of the log itself: W3C's alone, where the files are; of others the common ones, too.
    pub(super) fn own_columns(&self) -> Vec<String> {
        let is_w3c = self.files.iter().all(|file| file.format.name() == "w3c");
        let is_common = |name: &str| Common::ALL.iter().any(|common| common.name() == name);
        let own =
            self.column_names().into_iter().filter(|name| ![columns::FILE, columns::LINE].contains(&name.as_str()));
        own.filter(|name| !(is_w3c && is_common(name))).collect()
    }

    pub(super) fn column_names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }
}

#[async_trait]
impl TableProvider for LogTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let known = |filter: &&Expr| match Condition::of(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(known).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let conditions = filters.iter().filter_map(Condition::of).collect();
        let scan = Scan::new(Arc::clone(&self.files), Arc::clone(&schema), Arc::clone(&self.ledger), conditions, limit);
        let scan = Arc::new(scan);
        let parts = match limit {
            Some(rows) if rows <= ORDERED_ROWS_MAX => 1,
            _ => session.config().target_partitions(),
        };
        let part = |_| Arc::new(Part::new(Arc::clone(&scan))) as Arc<dyn PartitionStream>;
        let parts = (0..parts).map(part).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, [], false, limit)?))
    }
}
