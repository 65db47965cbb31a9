//! Rows sorted outside memory: a table's rows, more of them than memory may take, as few large files in their order.
//!
//! What memory takes is written, sorted, to a temporary file as Arrow has it in memory (a *run*): that costs little more
//! than a copy. In the end the runs are read side by side, a few rows of each, and become data files. So each row is made
//! into Parquet once, and nothing is left to merge.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _};
use std::path::PathBuf;

use deltalake::arrow::array::{AsArray as _, RecordBatch};
use deltalake::arrow::compute::partition;
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::ipc::reader::StreamReader;
use deltalake::arrow::ipc::writer::StreamWriter;
use deltalake::datafusion::physical_plan::SendableRecordBatchStream;
use deltalake::datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use deltalake::kernel::Add;
use futures_util::{StreamExt as _, stream};

use crate::error::WarehouseError;
use crate::files::FileWriter;
use crate::merge::merged;
use crate::schema;
use crate::tables::Place;

/// Rows of a run that are in memory when it is read.
pub(crate) const RUN_ROWS: usize = 64;
/// Runs that are read side by side, at most: more are made fewer first.
const RUNS_MAX: usize = 64;
/// Rows that become part of a data file at a time.
const WRITE_ROWS: usize = 4_096;

/// The sorted runs of one table.
pub(crate) struct Runs {
    place: Place,
    dir: PathBuf,
    runs: VecDeque<File>,
}

impl Runs {
    /// None yet, of the table whose data files go to `place`; temporary files, without a name, will be in `dir`.
    pub(crate) const fn new(place: Place, dir: PathBuf) -> Self {
        Self { place, dir, runs: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Adds a run of rows that come in the table's order, [`RUN_ROWS`] at a time.
    pub(crate) fn add(
        &mut self,
        rows: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<(), WarehouseError> {
        let mut writer = self.writer()?;
        for rows in rows {
            writer.write(&rows?)?;
        }
        self.end(writer)
    }

    /// Makes data files of all of them: of each month some that are not much larger than `bytes_max`.
    pub(crate) async fn write(mut self, bytes_max: u64, adds: &mut Vec<Add>) -> Result<(), WarehouseError> {
        while self.runs.len() > RUNS_MAX {
            let few = (self.runs.len() - RUNS_MAX + 1).min(RUNS_MAX);
            let few = self.runs.drain(..few).collect();
            let mut rows = self.side_by_side(few, RUN_ROWS)?;
            let mut writer = self.writer()?;
            while let Some(rows) = rows.next().await {
                writer.write(&rows?)?;
            }
            self.end(writer)?;
        }
        let all = std::mem::take(&mut self.runs).into();
        let mut rows = aside(self.side_by_side(all, WRITE_ROWS)?);
        let mut file: Option<FileWriter> = None;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let months = batch.column(batch.schema_ref().index_of(schema::PARTITION)?);
            for rows in partition(std::slice::from_ref(months))?.ranges() {
                let month = months.as_string::<i32>().value(rows.start);
                if file.as_ref().is_some_and(|file| file.month() != month || file.bytes() >= bytes_max)
                    && let Some(full) = file.take()
                {
                    adds.push(full.finish(true).await?);
                }
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(FileWriter::new(&self.place, month)?),
                };
                file.write(&batch.slice(rows.start, rows.len())).await?;
            }
        }
        if let Some(file) = file {
            adds.push(file.finish(true).await?);
        }
        Ok(())
    }

    fn writer(&self) -> Result<StreamWriter<BufWriter<File>>, WarehouseError> {
        let file = tempfile::tempfile_in(&self.dir)
            .map_err(|source| WarehouseError::Io { doing: "creating a temporary file for rows", source })?;
        Ok(StreamWriter::try_new_buffered(file, &self.place.kind.schema)?)
    }

    fn end(&mut self, mut writer: StreamWriter<BufWriter<File>>) -> Result<(), WarehouseError> {
        let failed = |source| WarehouseError::Io { doing: "writing rows to a temporary file", source };
        writer.finish()?;
        let mut file = writer.into_inner()?.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        self.runs.push_back(file);
        Ok(())
    }

    fn side_by_side(&self, runs: Vec<File>, rows: usize) -> Result<SendableRecordBatchStream, WarehouseError> {
        let open = |run: File| {
            let rows = StreamReader::try_new(BufReader::new(run), None)?;
            let schema = rows.schema();
            let rows = stream::iter(rows.map(|rows| Ok(rows?)));
            Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)) as SendableRecordBatchStream)
        };
        let runs = runs.into_iter().map(open).collect::<Result<Vec<_>, WarehouseError>>()?;
        merged(&self.place.kind, runs, rows)
    }
}

/// The same rows, put together by another thread, a batch or two ahead of who takes them.
fn aside(mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut ahead = RecordBatchReceiverStream::builder(rows.schema(), 1);
    let taker = ahead.tx();
    ahead.spawn(async move {
        while let Some(rows) = rows.next().await {
            if taker.send(rows).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    ahead.build()
}
