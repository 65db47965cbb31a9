//! A result that comes batch by batch, within its limits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::error::SqlError;
use super::limits::Limits;

/// The rows of a statement. Dropping it cancels the statement. After an error it ends.
pub struct QueryStream {
    schema: SchemaRef,
    rows: Option<SendableRecordBatchStream>,
    over: Pin<Box<Sleep>>,
    time: Duration,
    memory_bytes: usize,
    rows_max: u64,
    rows_given: u64,
    _turn: OwnedSemaphorePermit,
}

impl fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStream").field("schema", &self.schema).field("rows_given", &self.rows_given).finish()
    }
}

impl QueryStream {
    pub(super) fn new(
        rows: SendableRecordBatchStream,
        over: Pin<Box<Sleep>>,
        limits: &Limits,
        turn: OwnedSemaphorePermit,
    ) -> Self {
        let Limits { time, memory_bytes, rows: rows_max, .. } = *limits;
        let schema = rows.schema();
        Self { schema, rows: Some(rows), over, time, memory_bytes, rows_max, rows_given: 0, _turn: turn }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Rows given so far.
    pub const fn rows_given(&self) -> u64 {
        self.rows_given
    }

    fn fail(&mut self, error: SqlError) -> Poll<Option<Result<RecordBatch, SqlError>>> {
        self.rows = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.rows.is_some() && self.over.as_mut().poll(context).is_ready() {
            let limit = self.time;
            return self.fail(SqlError::Time { limit });
        }
        let Some(rows) = &mut self.rows else { return Poll::Ready(None) };
        let batch = match std::task::ready!(rows.as_mut().poll_next(context)) {
            None => {
                self.rows = None;
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                let error = SqlError::from_engine(error, self.memory_bytes);
                return self.fail(error);
            }
            Some(Ok(batch)) => batch,
        };
        let left = self.rows_max - self.rows_given;
        if batch.num_rows() as u64 > left {
            let limit = self.rows_max;
            return self.fail(SqlError::Rows { limit });
        }
        self.rows_given += batch.num_rows() as u64;
        Poll::Ready(Some(Ok(batch)))
    }
}
