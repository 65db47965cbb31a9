//! Visits of logs that are not settled yet, as rows in files beside the tables: those that go on, and those that rows
//! which may still come could change.
//!
//! Each batch of an importer writes them anew ([`Writer`]), as Arrow has them in memory: they are read as often as
//! somebody asks, and not for long. A statement opens the files at its start ([`Files`]), so that they can be read to
//! its end whatever the importer does meanwhile, and takes of the importer's last two batches the one that its tables
//! go with: a visit that is being settled is in a table, or here.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::ipc::reader::StreamReader;
use deltalake::arrow::ipc::writer::StreamWriter;
use deltalake::datafusion::error::Result;
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use visitlog_core::model::{EndedVisit, OpenVisit};
use visitlog_enrich::Enricher;
use visitlog_logs::import::{Unsettled, create_unsettled};

use crate::error::WarehouseError;
use crate::live::scan::Table;
use crate::rows::RowBuilder;
use crate::schema;
use crate::store::private_file;

/// Memory that rows take before they are written.
const BATCH_BYTES: usize = 1 << 20;

/// The folder that the files of all threads go to.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: AtomicUsize,
}

impl Folder {
    /// It is made when there is something to put into it.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), files: AtomicUsize::new(0) }
    }
}

/// Writes the unsettled visits of one thread.
pub(crate) struct Writer {
    rows: RowBuilder,
    files: Option<[StreamWriter<BufWriter<File>>; 2]>,
}

impl Writer {
    pub(crate) fn new(enricher: Arc<Enricher>) -> Self {
        Self { rows: RowBuilder::new(enricher, None), files: None }
    }

    /// Adds a visit that goes on.
    pub(crate) fn open(&mut self, folder: &Folder, visit: &OpenVisit) -> Result<(), WarehouseError> {
        self.rows.push_open(visit);
        self.write(folder, BATCH_BYTES)
    }

    /// Adds one that has ended, as far as anybody knows.
    pub(crate) fn ended(&mut self, folder: &Folder, visit: &EndedVisit) -> Result<(), WarehouseError> {
        self.rows.push_ended(visit);
        self.write(folder, BATCH_BYTES)
    }

    /// Writes the rest.
    pub(crate) fn finish(mut self, folder: &Folder) -> Result<(), WarehouseError> {
        self.write(folder, 0)?;
        for file in self.files.into_iter().flatten() {
            let file = file.into_inner()?.into_inner().map_err(|error| failed(error.into_error()))?;
            file.sync_all().map_err(failed)?;
        }
        Ok(())
    }

    fn write(&mut self, folder: &Folder, bytes_min: usize) -> Result<(), WarehouseError> {
        if self.rows.visits() == 0 || self.rows.bytes() < bytes_min {
            return Ok(());
        }
        let batches = self.rows.finish()?;
        let [visits, events] = match &mut self.files {
            Some(files) => files,
            none => none.insert(create(folder)?),
        };
        visits.write(&batches.visits)?;
        Ok(events.write(&batches.events)?)
    }
}

fn failed(source: io::Error) -> WarehouseError {
    WarehouseError::Io { doing: "writing visits of logs that go on", source }
}

fn create(folder: &Folder) -> Result<[StreamWriter<BufWriter<File>>; 2], WarehouseError> {
    create_unsettled(&folder.path).map_err(failed)?;
    let number = folder.files.fetch_add(1, Ordering::Relaxed);
    let create = |name: &str, schema: SchemaRef| {
        let file = private_file(&folder.path.join(format!("{name}-{number}"))).map_err(failed)?;
        Ok::<_, WarehouseError>(StreamWriter::try_new_buffered(file, &schema)?)
    };
    Ok([create(schema::VISITS, schema::visits())?, create(schema::EVENTS, schema::events())?])
}

/// The files of the importer's last batches, open.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<OfBatch>);

#[derive(Debug)]
struct OfBatch {
    which: Unsettled,
    visits: Vec<Arc<File>>,
    events: Vec<Arc<File>>,
}

impl Files {
    /// Opens those of a data folder.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        loop {
            let all: io::Result<Vec<OfBatch>> = Unsettled::of(data)?.into_iter().map(OfBatch::open).collect();
            match all {
                Ok(all) => return Ok(Self(all)),
                // The importer has just replaced them.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whose they are.
    pub(crate) fn importer(&self) -> Option<u128> {
        self.0.first().map(|one| one.which.importer)
    }

    /// Those that go with a table that has the importer's batches up to this one.
    pub(crate) fn beside(&self, table: Table, stored: u64) -> Option<Vec<Arc<File>>> {
        let found = self.0.iter().find(|one| one.which.goes_with(stored))?;
        Some(match table {
            Table::Visits => found.visits.clone(),
            Table::Events => found.events.clone(),
        })
    }

    /// Whether an importer has written others since.
    pub(crate) fn are_outdated(&self, data: &Path) -> io::Result<bool> {
        Ok(!Unsettled::of(data)?.iter().eq(self.0.iter().map(|one| &one.which)))
    }
}

impl OfBatch {
    fn open(which: Unsettled) -> io::Result<Self> {
        let (mut visits, mut events) = (Vec::new(), Vec::new());
        for (name, file) in which.files()? {
            let (files, table) = if name.starts_with(schema::VISITS) {
                (&mut visits, Table::Visits)
            } else {
                (&mut events, Table::Events)
            };
            let file = Arc::new(file);
            // Another version's are seen after its importer's next batch.
            if read(&file, None).is_ok_and(|rows| rows.schema() == table.schema()) {
                files.push(file);
            }
        }
        Ok(Self { which, visits, events })
    }
}

fn read(file: &Arc<File>, columns: Option<Vec<usize>>) -> Result<StreamReader<BufReader<Reader>>, ArrowError> {
    StreamReader::try_new(BufReader::new(Reader { file: Arc::clone(file), at: 0 }), columns)
}

/// Reads a file that others read, too.
struct Reader {
    file: Arc<File>,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The plan that yields the rows of files in the projected columns.
pub(crate) fn plan(
    files: &[Arc<File>],
    table: Table,
    columns: &[usize],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(table.schema().project(columns)?);
    let part = |file: &Arc<File>| {
        let part = Part { file: Arc::clone(file), schema: Arc::clone(&schema), columns: columns.to_vec() };
        Arc::new(part) as Arc<dyn PartitionStream>
    };
    let parts = files.iter().map(part).collect();
    Ok(Arc::new(StreamingTableExec::try_new(Arc::clone(&schema), parts, None, [], false, limit)?))
}

/// A file's rows.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = read(&self.file, Some(self.columns.clone()));
        let (first, rows) = match rows {
            Ok(rows) => (None, Some(rows)),
            Err(error) => (Some(Err(error.into())), None),
        };
        let rest = rows.into_iter().flatten().map(|rows: Result<RecordBatch, ArrowError>| Ok(rows?));
        let all = first.into_iter().chain(rest);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures_util::stream::iter(all)))
    }
}
