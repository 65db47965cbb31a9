//! Several sorted files as one, in memory that does not grow with their number.
//!
//! Whoever reads two files side by side holds pages of both. Most files need not be read so: what one flush, or one worker
//! of an import, wrote lies behind what it wrote before. Such files make a *lane*, in which one is opened when the one
//! before has ended; only lanes are read side by side.

use std::sync::Arc;

use deltalake::arrow::compute::SortOptions;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};
use deltalake::datafusion::physical_expr::expressions::col;
use deltalake::datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use deltalake::datafusion::physical_plan::SendableRecordBatchStream;
use deltalake::datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use deltalake::datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::parquet::file::metadata::ParquetMetaData;
use deltalake::parquet::file::statistics::Statistics;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::WarehouseError;
use crate::files::{BATCH_ROWS, metadata, read};
use crate::tables::{DataFile, Kind, Table};

/// Files that are read side by side, at most.
const LANES_MAX: usize = 4;

/// Files that become one.
pub(crate) struct Lanes(Vec<Lane<DataFile>>);

struct Lane<F> {
    files: Vec<F>,
    /// The last visit of its last file; none where that does not tell, and nothing can follow it.
    last: Option<Vec<u8>>,
}

/// The least and the greatest visit's id of a file.
type Span = Option<(Vec<u8>, Vec<u8>)>;

impl Lanes {
    /// Of as many of the files as can be read with a few open, and make a file of `bytes_max` or less; two at least.
    pub(crate) async fn of(table: &Table, files: Vec<DataFile>, bytes_max: u64) -> Result<Self, WarehouseError> {
        let mut spans = Vec::with_capacity(files.len());
        for file in files {
            let told = metadata(table, &file).await?;
            let span = span(table, &told);
            spans.push((span, file));
        }
        spans.sort_by(|(one, _), (other, _)| match (one, other) {
            (Some((one, _)), Some((other, _))) => one.cmp(other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        });
        Ok(Self(lanes(spans, bytes_max, |file| file.size)))
    }

    /// What becomes one.
    pub(crate) fn files(&self) -> Vec<DataFile> {
        self.0.iter().flat_map(|lane| lane.files.iter().cloned()).collect()
    }

    /// All their rows, in their order.
    pub(crate) fn rows(self, table: &Table) -> Result<SendableRecordBatchStream, WarehouseError> {
        let schema = Arc::new(table.kind.schema.project(&table.file_columns())?);
        let lane = |lane: Lane<DataFile>| {
            let table = table.clone();
            let open = move |file: DataFile| {
                let table = table.clone();
                async move {
                    let rows = read(&table, &file, None).await;
                    rows.map_err(|error| DataFusionError::External(Box::new(error)))
                }
            };
            let rows = stream::iter(lane.files).then(open).try_flatten();
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows)) as SendableRecordBatchStream
        };
        merged(&table.kind, self.0.into_iter().map(lane).collect(), BATCH_ROWS)
    }
}

/// Rows that come in a table's order in each of some streams, as one stream, `rows` at a time.
pub(crate) fn merged(
    kind: &Kind,
    mut streams: Vec<SendableRecordBatchStream>,
    rows: usize,
) -> Result<SendableRecordBatchStream, WarehouseError> {
    let Some(schema) = streams.first().map(|stream| stream.schema()) else {
        return Err(WarehouseError::Busy { what: "nothing to merge" });
    };
    if streams.len() == 1 {
        return Ok(streams.remove(0));
    }
    let options = SortOptions { descending: false, nulls_first: true };
    let by = |name: &&str| Ok(PhysicalSortExpr::new(col(name, &schema)?, options));
    let by = kind.sorted_by.iter().map(by).collect::<Result<Vec<_>, WarehouseError>>()?;
    let order = LexOrdering::new(by).ok_or(WarehouseError::Busy { what: "a table without an order" })?;
    // Bounded by the number of streams: a batch or two of each.
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let merged = StreamingMergeBuilder::new()
        .with_streams(streams)
        .with_schema(schema)
        .with_expressions(&order)
        .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
        .with_batch_size(rows)
        .with_reservation(MemoryConsumer::new("merge").register(&pool))
        .build()?;
    Ok(merged)
}

/// Puts files, sorted by where they begin, into lanes.
fn lanes<F>(files: Vec<(Span, F)>, bytes_max: u64, size: impl Fn(&F) -> u64) -> Vec<Lane<F>> {
    let mut lanes: Vec<Lane<F>> = Vec::new();
    let (mut taken, mut bytes) = (0, 0);
    for (span, file) in files {
        let size = size(&file);
        if taken >= 2 && bytes + size > bytes_max {
            break;
        }
        let (first, last) = span.unzip();
        let follows = |lane: &Lane<F>| lane.last.is_some() && first.is_some() && lane.last < first;
        match lanes.iter().position(follows) {
            Some(lane) => {
                lanes[lane].files.push(file);
                lanes[lane].last = last;
            }
            None if lanes.len() < LANES_MAX => lanes.push(Lane { files: vec![file], last }),
            None => continue,
        }
        (taken, bytes) = (taken + 1, bytes + size);
    }
    lanes
}

/// What a file says of the column that it is sorted by.
fn span(table: &Table, metadata: &ParquetMetaData) -> Span {
    let by = *table.kind.sorted_by.first()?;
    let columns = metadata.file_metadata().schema_descr().columns();
    let column = columns.iter().position(|column| column.path().parts() == [by])?;
    let mut span: Span = None;
    for group in metadata.row_groups() {
        let Some(Statistics::ByteArray(range)) = group.column(column).statistics() else { return None };
        if !(range.min_is_exact() && range.max_is_exact()) {
            return None;
        }
        let (least, greatest) = (range.min_opt()?.data(), range.max_opt()?.data());
        let (first, last) = span.get_or_insert_with(|| (least.to_vec(), greatest.to_vec()));
        if least < first.as_slice() {
            *first = least.to_vec();
        }
        if greatest > last.as_slice() {
            *last = greatest.to_vec();
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(files: &[(Option<(u8, u8)>, u64)], bytes_max: u64) -> Vec<Vec<usize>> {
        let spans = files.iter().map(|(span, _)| span.map(|(first, last)| (vec![first], vec![last])));
        let files_at = spans.zip(0..).collect();
        lanes(files_at, bytes_max, |at| files[*at].1).into_iter().map(|lane| lane.files).collect()
    }

    #[test]
    fn what_lies_behind_another_is_read_after_it() {
        let files = [(Some((0, 3)), 1), (Some((2, 5)), 1), (Some((4, 6)), 1), (Some((6, 7)), 1), (Some((9, 9)), 1)];
        assert_eq!(planned(&files, 100), [vec![0, 2, 4], vec![1, 3]]);
    }

    #[test]
    fn few_are_read_side_by_side_and_a_file_that_does_not_tell_is_followed_by_none() {
        assert_eq!(planned(&[(Some((0, 9)), 1); 20], 100).len(), LANES_MAX);
        assert_eq!(planned(&[(Some((0, 1)), 1), (None, 1), (None, 1)], 100), [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn what_becomes_one_is_bounded_but_two_become_one_always() {
        let files = [(Some((0, 0)), 40), (Some((1, 1)), 40), (Some((2, 2)), 40)];
        assert_eq!(planned(&files, 100), [vec![0, 1]]);
        assert_eq!(planned(&files, 10), [vec![0, 1]]);
    }
}
