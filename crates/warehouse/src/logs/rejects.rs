//! The lines that could not be read, as a table: `rejects('access.log')`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use visitlog_logs::{Parser, Reject, Wanted};

use super::account::Ledger;
use super::open::LogFile;
use super::scan::Queue;

/// The rejected lines of files.
#[derive(Debug)]
pub(super) struct RejectsTable {
    files: Arc<[LogFile]>,
    schema: SchemaRef,
    ledger: Arc<Ledger>,
}

impl RejectsTable {
    pub(super) fn new(files: Arc<[LogFile]>, ledger: Arc<Ledger>) -> Self {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let columns = vec![text("file"), number("line"), number("offset"), text("code"), text("reason"), text("bytes")];
        Self { files, schema: Arc::new(Schema::new(columns)), ledger }
    }
}

#[async_trait]
impl TableProvider for RejectsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let part =
            Part { files: Arc::clone(&self.files), schema: Arc::clone(&self.schema), ledger: Arc::clone(&self.ledger) };
        let part: Arc<dyn PartitionStream> = Arc::new(part);
        let plan = StreamingTableExec::try_new(Arc::clone(&self.schema), vec![part], projection, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

/// All of them, in the order of the lines.
struct Part {
    files: Arc<[LogFile]>,
    schema: SchemaRef,
    ledger: Arc<Ledger>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejects").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let queue = Queue::new(Arc::clone(&self.files), &self.ledger, None);
        let (files, schema, ledger) = (Arc::clone(&self.files), Arc::clone(&self.schema), Arc::clone(&self.ledger));
        let mut parser: Option<(usize, Parser)> = None;
        let mut used = None;
        let batches = std::iter::from_fn(move || {
            let mut next = || -> Result<Option<RecordBatch>> {
                let Some((number, chunk)) = queue.next(used.take())? else { return Ok(None) };
                let parser = match &mut parser {
                    Some((file, parser)) if *file == number => parser,
                    other => &mut other.insert((number, files[number].parser(Wanted::columns(&[], &[])))).1,
                };
                let mut rejects = Vec::new();
                let reject = |reject| {
                    rejects.push(reject);
                    Ok::<_, Infallible>(())
                };
                let Ok(tally) = parser.read(&chunk, 0, |_, _| Ok(Ok(())), reject);
                ledger.add(queue.scan, tally, &rejects)?;
                used = Some(chunk.bytes);
                rows(&schema, &rejects).map(Some)
            };
            next().transpose()
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures_util::stream::iter(batches)))
    }
}

fn rows(schema: &SchemaRef, rejects: &[Reject]) -> Result<RecordBatch> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let texts =
        |text: fn(&Reject) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rejects.iter().map(text))) };
    let columns = vec![
        texts(|reject| reject.file.to_string()),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| number(reject.line)))),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| number(reject.offset)))),
        texts(|reject| reject.reason.code().to_owned()),
        texts(|reject| reject.reason.to_string()),
        texts(|reject| String::from_utf8_lossy(&reject.bytes).into_owned()),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
