//! A Parquet file, row group by row group.

use std::io;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::properties::WriterProperties;
use parking_lot::Mutex;

use super::{Encode, OutputError, flat_schema, text};

/// Rows of a row group, which is in memory until it is whole.
const GROUP_ROWS: usize = 65_536;

/// Where the file's writer writes, and we take from.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file under way.
pub(super) struct Parquet {
    schema: SchemaRef,
    bytes: Shared,
    writer: Option<ArrowWriter<Shared>>,
}

impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Parquet {
    pub(super) fn new(names: &[String], schema: &Schema) -> Self {
        Self { schema: flat_schema(names, schema), bytes: Shared::default(), writer: None }
    }

    fn take(&self, out: &mut Vec<u8>) {
        out.append(&mut self.bytes.0.lock());
    }
}

impl Encode for Parquet {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        self.writer = Some(ArrowWriter::try_new(self.bytes.clone(), SchemaRef::clone(&self.schema), Some(properties))?);
        self.take(out);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let columns = batch.columns().iter().map(flat).collect::<Result<Vec<_>, OutputError>>()?;
        let batch = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?;
        match &mut self.writer {
            Some(writer) => writer.write(&batch)?,
            None => return Err(ParquetError::General("not begun".to_owned()).into()),
        }
        self.take(out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        if let Some(writer) = self.writer.take() {
            writer.close()?;
        }
        self.take(out);
        Ok(())
    }
}

fn flat(column: &ArrayRef) -> Result<ArrayRef, OutputError> {
    match column.data_type() {
        DataType::Union(..) | DataType::Null => Ok(Arc::new(text::column(column.as_ref())?)),
        _ => Ok(ArrayRef::clone(column)),
    }
}
