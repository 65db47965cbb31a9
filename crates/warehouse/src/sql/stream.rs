//! A result that comes batch by batch, within its limits.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures_util::Stream;
use tokio::sync::mpsc::Receiver;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::error::SqlError;
use super::limits::Limits;
use super::threads::Lent;
use super::watch::Watch;
use super::work::Row;

/// A statement that runs. Dropping it ends the statement.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) watch: Arc<Watch>,
    pub(super) task: AbortHandle,
    /// Dropped last: it waits for the others.
    pub(super) _threads: Lent,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watch.stop();
        self.task.abort();
    }
}

/// The rows of a statement. Dropping it cancels the statement. After an error it ends.
pub struct QueryStream {
    schema: SchemaRef,
    rows: Receiver<Row>,
    /// `None` once it is over.
    running: Option<Running>,
    over: Pin<Box<Sleep>>,
    time: Duration,
    memory_bytes: usize,
    rows_max: u64,
    rows_given: u64,
}

impl fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStream").field("schema", &self.schema).field("rows_given", &self.rows_given).finish()
    }
}

impl QueryStream {
    pub(super) fn new(
        schema: SchemaRef,
        rows: Receiver<Row>,
        running: Running,
        over: Pin<Box<Sleep>>,
        limits: &Limits,
    ) -> Self {
        let Limits { time, memory_bytes, rows: rows_max, .. } = *limits;
        Self { schema, rows, running: Some(running), over, time, memory_bytes, rows_max, rows_given: 0 }
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
        self.running = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.running.is_none() {
            return Poll::Ready(None);
        }
        if self.over.as_mut().poll(context).is_ready() {
            let limit = self.time;
            return self.fail(SqlError::Time { limit });
        }
        let batch = match ready!(self.rows.poll_recv(context)) {
            Some(Ok(Some(batch))) => batch,
            Some(Ok(None)) => {
                self.running = None;
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                let error = SqlError::from_engine(error, self.memory_bytes);
                return self.fail(error);
            }
            // It panicked.
            None => return self.fail(SqlError::Lost),
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
