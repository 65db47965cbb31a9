//! Who is online by presence, as a table that is made when a statement reads it.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::error::Result;
use deltalake::datafusion::logical_expr::{Expr, TableType};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use visitlog_core::Timestamp;
use visitlog_core::ports::{PresenceSource, Present};

use crate::rows::visit_key;

/// Of each session that is online `visit_key`, `state`, `page`, `title`, `tabs`, `since` and `last_seen`.
pub(super) struct PresentTable {
    source: Option<Arc<dyn PresenceSource>>,
    schema: SchemaRef,
}

impl std::fmt::Debug for PresentTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PresentTable")
    }
}

impl PresentTable {
    /// Nobody is in it where nobody keeps who is online.
    pub(super) fn new(source: Option<Arc<dyn PresenceSource>>) -> Self {
        let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("visit_key", DataType::Int64, false),
            Field::new("state", DataType::Utf8, false),
            Field::new("page", DataType::Utf8, true),
            Field::new("title", DataType::Utf8, true),
            Field::new("tabs", DataType::Int32, true),
            Field::new("since", time(), false),
            Field::new("last_seen", time(), false),
        ]));
        Self { source, schema }
    }

    fn batch(&self, all: &[Present]) -> Result<RecordBatch> {
        let times = |of: fn(&Present) -> Timestamp| {
            let micros = all.iter().map(|one| of(one).micros());
            Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")) as ArrayRef
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(all.iter().map(|one| visit_key(one.visit)))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|one| one.state.as_str()))),
            Arc::new(StringArray::from_iter(all.iter().map(|one| one.page.as_deref()))),
            Arc::new(StringArray::from_iter(all.iter().map(|one| one.title.as_deref()))),
            Arc::new(Int32Array::from_iter(all.iter().map(|one| one.tabs.map(i32::from)))),
            times(|one| one.since),
            times(|one| one.last_seen),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

#[async_trait]
impl TableProvider for PresentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.source.as_ref().map(|source| source.present()).unwrap_or_default();
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![vec![self.batch(&all)?]])?;
        table.scan(session, projection, filters, limit).await
    }
}
