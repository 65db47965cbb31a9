//! Time, rows, memory, turns; and that dropping a result ends its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use visitlog_warehouse::sql::limits::Limits;
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{EmptyCatalog, FixedCatalog, Prepared, Sql, SqlSettings};

/// A limit that a test can wait for. (Tokio's virtual time is a feature that would build DataFusion anew.)
const SOON: Duration = Duration::from_millis(300);

/// A table of 8 rows a batch, for ever, or of none that ever come; it counts who still reads it.
#[derive(Debug)]
struct Endless {
    columns: SchemaRef,
    is_stuck: bool,
    readers: Arc<AtomicUsize>,
}

struct Reader(Arc<AtomicUsize>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl PartitionStream for Endless {
    fn schema(&self) -> &SchemaRef {
        &self.columns
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.readers.fetch_add(1, SeqCst);
        let reader = Reader(Arc::clone(&self.readers));
        let batch = RecordBatch::try_new(self.columns.clone(), vec![Arc::new(Int64Array::from_iter(0..8))]).unwrap();
        let is_stuck = self.is_stuck;
        let batches = stream::unfold(reader, move |reader| {
            let batch = batch.clone();
            async move {
                if is_stuck {
                    std::future::pending::<()>().await;
                }
                Some((Ok(batch), reader))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.columns.clone(), batches))
    }
}

fn endless(is_stuck: bool) -> (FixedCatalog, Arc<AtomicUsize>) {
    let columns: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let readers = Arc::new(AtomicUsize::new(0));
    let source = Endless { columns: columns.clone(), is_stuck, readers: Arc::clone(&readers) };
    let table = StreamingTable::try_new(columns, vec![Arc::new(source)]).unwrap().with_infinite_table(true);
    (FixedCatalog(vec![("endless".to_owned(), Arc::new(table))]), readers)
}

fn engine(limits: Limits) -> Sql {
    Sql::new(&SqlSettings { limits, partitions: Some(2), ..SqlSettings::default() }).unwrap()
}

/// Lets tasks that were aborted be dropped.
async fn settle(readers: &AtomicUsize) {
    for _ in 0..1_000 {
        if readers.load(SeqCst) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} still read", readers.load(SeqCst));
}

#[tokio::test]
async fn what_takes_too_long_ends() {
    let sql = engine(Limits { time: SOON, ..Limits::default() });
    let (catalog, readers) = endless(true);
    let mut rows = sql.query(&catalog, Prepared::of("SELECT n FROM endless WHERE n > 3")).await.unwrap();
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("time_limit", "the statement took longer than 300ms"));
    assert!(rows.next().await.is_none());
    settle(&readers).await;
}

#[tokio::test]
async fn a_result_with_too_many_rows_ends() {
    let sql = engine(Limits { rows: 20, ..Limits::default() });
    let (catalog, readers) = endless(false);
    let rows = sql.query(&catalog, Prepared::of("SELECT n FROM endless")).await.unwrap();
    let error = rows.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.code(), "row_limit");
    settle(&readers).await;
    let within = Prepared::of("SELECT n FROM endless LIMIT 20");
    let found = super::text(&sql, &catalog, within, Format::Csv).await.unwrap();
    assert_eq!(found.lines().count(), 21);
}

#[tokio::test]
async fn a_result_that_is_dropped_is_not_computed() {
    let sql = engine(Limits::default());
    let (catalog, readers) = endless(false);
    let mut rows = sql.query(&catalog, Prepared::of("SELECT n FROM endless")).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    assert!(readers.load(SeqCst) > 0);
    drop(rows);
    settle(&readers).await;
}

#[tokio::test]
async fn what_does_not_fit_into_memory_fails_and_the_next_one_runs() {
    let sql = engine(Limits { memory_bytes: 1 << 20, spill_bytes: 1 << 20, ..Limits::default() });
    let big = "SELECT a.value, count(DISTINCT b.value) FROM generate_series(1, 2000) a \
               CROSS JOIN generate_series(1, 2000) b GROUP BY a.value";
    let error = super::text(&sql, &EmptyCatalog, Prepared::of(big), Format::Csv).await.unwrap_err();
    assert_eq!(error.code(), "memory_limit", "{error}");
    let found = super::text(&sql, &EmptyCatalog, Prepared::of("SELECT 1 AS x"), Format::Csv).await.unwrap();
    assert_eq!(found, "x\n1\n");
}

#[tokio::test]
async fn statements_wait_for_their_turn() {
    let sql = engine(Limits { at_once: 1, time: SOON, ..Limits::default() });
    let (catalog, _) = endless(true);
    let first = sql.query(&catalog, Prepared::of("SELECT n FROM endless")).await.unwrap();
    let error = sql.query(&EmptyCatalog, Prepared::of("SELECT 1")).await.unwrap_err();
    assert_eq!(error.code(), "time_limit");
    drop(first);
    assert!(sql.query(&EmptyCatalog, Prepared::of("SELECT 1")).await.is_ok());
}
