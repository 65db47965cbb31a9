//! Data files: written sorted, read in their order, filtered as streams.

use std::sync::Arc;

use deltalake::Path;
use deltalake::arrow::array::{AsArray as _, RecordBatch};
use deltalake::arrow::compute::partition;
use deltalake::arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::physical_plan::SendableRecordBatchStream;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::kernel::Add;
use deltalake::logstore::object_store::buffered::BufWriter;
use deltalake::logstore::object_store::{ObjectStore, ObjectStoreExt as _};
use deltalake::parquet::arrow::async_reader::{AsyncFileReader as _, ParquetRecordBatchStreamBuilder};
use deltalake::parquet::arrow::{AsyncArrowWriter, ProjectionMask};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::metadata::ParquetMetaData;
use deltalake::parquet::file::properties::WriterProperties;
use futures_util::{StreamExt as _, TryStreamExt as _};
use visitlog_core::Timestamp;

use crate::error::WarehouseError;
use crate::reader::StoreReader;
use crate::schema;
use crate::stats::Stats;
use crate::tables::{DataFile, Place, Table};

/// Rows of a row group: what one core reads at a time, and what a reader or a writer holds in memory.
pub(crate) const ROW_GROUP_ROWS: usize = 32_768;
/// Rows that are read or merged at a time.
pub(crate) const BATCH_ROWS: usize = 2_048;
/// Speed and memory of writing against size: level 3 makes files 1 % smaller.
const ZSTD_LEVEL: i32 = 1;
/// So much of a file is held in memory before it goes to the store in parts.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// How all data files are written, by flushes and by upkeep alike.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_compression(ZstdLevel::try_new(ZSTD_LEVEL).map_or(Compression::SNAPPY, Compression::ZSTD))
        .build()
}

/// A data file of one month being written.
pub(crate) struct FileWriter {
    writer: AsyncArrowWriter<BufWriter>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    month: String,
    columns: Vec<usize>,
    stats: Stats,
    now: Timestamp,
}

impl FileWriter {
    pub(crate) fn new(place: &Place, month: &str) -> Result<Self, WarehouseError> {
        let kind = &place.kind;
        let columns = kind.file_columns();
        let schema = Arc::new(kind.schema.project(&columns)?);
        let name = format!("part-{}.zstd.parquet", place.ports.uuid());
        let path = Path::from(format!("{}={month}/{name}", schema::PARTITION));
        let store = Arc::clone(&place.store);
        let output = BufWriter::with_capacity(Arc::clone(&store), path.clone(), PART_BYTES);
        let writer = AsyncArrowWriter::try_new(output, Arc::clone(&schema), Some(properties()))
            .map_err(WarehouseError::file("beginning", &path))?;
        let stats = Stats::new(&schema, kind.stats);
        Ok(Self { writer, store, path, month: month.to_owned(), columns, stats, now: place.ports.clock.now() })
    }

    pub(crate) fn month(&self) -> &str {
        &self.month
    }

    /// About how large it is.
    pub(crate) fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// Appends rows in the table's columns; the partition's is left out.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<(), WarehouseError> {
        let has_partition = batch.schema_ref().column_with_name(schema::PARTITION).is_some();
        let batch = if has_partition { batch.project(&self.columns)? } else { batch.clone() };
        self.stats.add(&batch);
        self.writer.write(&batch).await.map_err(WarehouseError::file("writing", &self.path))
    }

    /// Ends the file; it is on stable storage then. `is_change`: whether it brings rows that the table did not have.
    pub(crate) async fn finish(mut self, is_change: bool) -> Result<Add, WarehouseError> {
        self.writer.finish().await.map_err(WarehouseError::file("ending", &self.path))?;
        let meta = self.store.head(&self.path).await.map_err(WarehouseError::store("looking at a file"))?;
        Ok(Add {
            path: self.path.to_string(),
            partition_values: [(schema::PARTITION.to_owned(), Some(self.month))].into(),
            size: i64::try_from(meta.size).unwrap_or(i64::MAX),
            modification_time: self.now.millis(),
            data_change: is_change,
            stats: Some(self.stats.to_json()),
            ..Add::default()
        })
    }
}

/// Adds files with all rows of a batch, which come in the table's order, months together.
pub(crate) async fn write_sorted(
    place: &Place,
    batch: &RecordBatch,
    adds: &mut Vec<Add>,
) -> Result<(), WarehouseError> {
    let months = batch.column(batch.schema_ref().index_of(schema::PARTITION)?);
    for rows in partition(std::slice::from_ref(months))?.ranges() {
        let mut file = FileWriter::new(place, months.as_string::<i32>().value(rows.start))?;
        file.write(&batch.slice(rows.start, rows.len())).await?;
        adds.push(file.finish(true).await?);
    }
    Ok(())
}

/// Takes back files that were written and will not be committed. What can't be removed, vacuum removes.
pub(crate) async fn discard(table: &Table, adds: &[Add]) {
    let store = table.store();
    for add in adds {
        if let Err(error) = store.delete(&Path::from(add.path.as_str())).await {
            tracing::debug!(%error, "a file that nobody needs was not removed yet");
        }
    }
}

fn reader(table: &Table, file: &DataFile) -> StoreReader {
    StoreReader { store: table.store(), path: file.path.clone(), size: file.size }
}

/// What a file tells of itself.
pub(crate) async fn metadata(table: &Table, file: &DataFile) -> Result<Arc<ParquetMetaData>, WarehouseError> {
    reader(table, file).get_metadata(None).await.map_err(WarehouseError::file("reading", &file.path))
}

/// The rows of a file, in its order; of all columns (those that it lacks are `NULL`), or of some.
pub(crate) async fn read(
    table: &Table,
    file: &DataFile,
    columns: Option<&[&str]>,
) -> Result<SendableRecordBatchStream, WarehouseError> {
    let failed = || WarehouseError::file("reading", &file.path);
    let builder =
        ParquetRecordBatchStreamBuilder::new(reader(table, file)).await.map_err(failed())?.with_batch_size(BATCH_ROWS);
    let all = table.kind.schema.project(&table.file_columns())?;
    let schema = match columns {
        None => Arc::new(all),
        Some(columns) => {
            let fields: Vec<_> = columns.iter().filter_map(|name| all.field_with_name(name).ok().cloned()).collect();
            Arc::new(Schema::new(fields))
        }
    };
    let found = builder.schema();
    let wanted = schema.fields().iter().filter_map(|field| found.index_of(field.name()).ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let stream = builder.with_projection(mask).build().map_err(failed())?;
    let as_table = Arc::clone(&schema);
    let rows = stream.map_err(Into::into).and_then(move |batch| {
        let batch = in_columns(&batch, &as_table);
        async move { batch }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// The batch with the columns of `schema`: cast where the reader chose another form, `NULL` where it lacks one.
fn in_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    use deltalake::arrow::array::new_null_array;
    use deltalake::arrow::compute::cast;
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Writes a stream of rows to one new file of a month, after `change` has had its way with each batch. `None` where no
/// row is left.
pub(crate) async fn write_all(
    table: &Table,
    month: &str,
    mut rows: SendableRecordBatchStream,
    is_change: bool,
    mut change: impl FnMut(RecordBatch) -> Result<RecordBatch, WarehouseError>,
) -> Result<Option<Add>, WarehouseError> {
    let mut writer = None;
    while let Some(batch) = rows.next().await {
        let batch = change(batch?)?;
        if batch.num_rows() == 0 {
            continue;
        }
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(FileWriter::new(&table.place(), month)?),
        };
        writer.write(&batch).await?;
    }
    match writer {
        Some(writer) => Ok(Some(writer.finish(is_change).await?)),
        None => Ok(None),
    }
}
