//! Chunks of files, read one after the other and parsed by whoever asks for the next.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use parking_lot::Mutex;
use visitlog_logs::input::Line;
use visitlog_logs::{Chunk, ChunkReader, Common, Parser, Row, Wanted};

use super::account::Ledger;
use super::build::{Builder, Placed};
use super::columns::{self, From};
use super::error::FilesError;
use super::filter::Condition;
use super::open::LogFile;

/// Rows from which a batch is handed on; a chunk's rows are not split.
const BATCH_ROWS: usize = 8_192;
/// Buffers of chunks that are kept to be used again.
const BUFFERS_MAX: usize = 8;

impl std::convert::From<FilesError> for DataFusionError {
    fn from(error: FilesError) -> Self {
        Self::External(Box::new(error))
    }
}

/// Hands out the chunks of files, each once.
pub(super) struct Queue {
    files: Arc<[LogFile]>,
    ledger: Arc<Ledger>,
    /// The number of this scan in the ledger.
    pub(super) scan: usize,
    state: Mutex<State>,
}

struct State {
    next: usize,
    reader: Option<ChunkReader>,
    spare: Vec<Vec<u8>>,
    /// Rows that may still be given.
    left: Option<usize>,
}

impl Queue {
    pub(super) fn new(files: Arc<[LogFile]>, ledger: &Arc<Ledger>, limit: Option<usize>) -> Self {
        let (ledger, scan) = (Arc::clone(ledger), ledger.begin());
        Self { files, ledger, scan, state: Mutex::new(State { next: 0, reader: None, spare: Vec::new(), left: limit }) }
    }

    /// The next chunk and its file's number. `used` is the buffer of one that is used no more.
    pub(super) fn next(&self, used: Option<Vec<u8>>) -> Result<Option<(usize, Chunk)>, FilesError> {
        let mut state = self.state.lock();
        if let Some(used) = used.filter(|_| state.spare.len() < BUFFERS_MAX) {
            state.spare.push(used);
        }
        if state.left == Some(0) {
            return Ok(None);
        }
        loop {
            if state.reader.is_none() {
                let Some(file) = self.files.get(state.next) else { return Ok(None) };
                state.reader = Some(file.chunks()?);
                state.next += 1;
            }
            let buffer = state.spare.pop().unwrap_or_default();
            let Some(reader) = &mut state.reader else { return Ok(None) };
            match reader.next_chunk(buffer)? {
                Some(chunk) => return Ok(Some((state.next - 1, chunk))),
                None => {
                    if let Some(damage) = reader.damage() {
                        self.ledger.warn(format!("{}: {damage}", self.files[state.next - 1].input.name()));
                    }
                    state.reader = None;
                }
            }
        }
    }

    /// How many of `rows` are still wanted.
    fn take(&self, rows: usize) -> usize {
        let mut state = self.state.lock();
        let Some(left) = &mut state.left else { return rows };
        let taken = rows.min(*left);
        *left -= taken;
        taken
    }
}

/// What all parts of a scan share. A plan may be run more than once: each run has a queue of its own.
pub(super) struct Scan {
    pub(super) files: Arc<[LogFile]>,
    pub(super) schema: SchemaRef,
    pub(super) ledger: Arc<Ledger>,
    pub(super) conditions: Vec<Condition>,
    pub(super) limit: Option<usize>,
    runs: Mutex<VecDeque<Arc<Queue>>>,
}

impl Scan {
    pub(super) const fn new(
        files: Arc<[LogFile]>,
        schema: SchemaRef,
        ledger: Arc<Ledger>,
        conditions: Vec<Condition>,
        limit: Option<usize>,
    ) -> Self {
        Self { files, schema, ledger, conditions, limit, runs: Mutex::new(VecDeque::new()) }
    }

    /// The queue of the run with this number.
    fn run(&self, number: usize) -> Option<Arc<Queue>> {
        let mut runs = self.runs.lock();
        while runs.len() <= number {
            let queue = Queue::new(Arc::clone(&self.files), &self.ledger, self.limit);
            runs.push_back(Arc::new(queue));
        }
        runs.get(number).cloned()
    }
}

/// One of the parts of a scan: takes a chunk whenever it has none.
pub(super) struct Part {
    pub(super) scan: Arc<Scan>,
    runs: Mutex<usize>,
}

impl Part {
    pub(super) const fn new(scan: Arc<Scan>) -> Self {
        Self { scan, runs: Mutex::new(0) }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("files", &self.scan.files.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.scan.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let number = {
            let mut runs = self.runs.lock();
            *runs += 1;
            *runs - 1
        };
        let schema = Arc::clone(&self.scan.schema);
        let worker = self.scan.run(number).map(|queue| Worker::new(Arc::clone(&self.scan), queue));
        let batches = worker.into_iter().flatten();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures_util::stream::iter(batches)))
    }
}

/// A parser of one file, and where the columns come from there.
struct Reader {
    file: usize,
    parser: Parser,
    columns: Vec<From>,
    conditions: Vec<From>,
}

impl Reader {
    fn new(scan: &Scan, number: usize) -> Self {
        let file = &scan.files[number];
        let from = |name: &str| columns::from(&file.format, name);
        let columns: Vec<From> = scan.schema.fields().iter().map(|field| from(field.name())).collect();
        let conditions: Vec<From> = scan.conditions.iter().map(|condition| from(&condition.column)).collect();
        let (mut own, mut common): (Vec<usize>, Vec<Common>) = (Vec::new(), Vec::new());
        for from in columns.iter().chain(&conditions) {
            match from {
                From::Own(column) => own.push(*column),
                From::Common(column) => common.push(*column),
                From::Line | From::File | From::Nothing => {}
            }
        }
        let parser = file.parser(Wanted::columns(&own, &common));
        Self { file: number, parser, columns, conditions }
    }
}

/// Makes batches of chunks, until there are none.
struct Worker {
    scan: Arc<Scan>,
    queue: Arc<Queue>,
    reader: Option<Reader>,
    builder: Builder,
    used: Option<Vec<u8>>,
    buffer: String,
    is_over: bool,
}

impl Worker {
    fn new(scan: Arc<Scan>, queue: Arc<Queue>) -> Self {
        let builder = Builder::new(Arc::clone(&scan.schema));
        Self { scan, queue, reader: None, builder, used: None, buffer: String::new(), is_over: false }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.is_over && self.builder.rows() < BATCH_ROWS {
            match self.queue.next(self.used.take())? {
                Some((file, chunk)) => self.read(file, chunk)?,
                None => self.is_over = true,
            }
        }
        if self.builder.rows() == 0 {
            return Ok(None);
        }
        let batch = self.builder.finish()?;
        let taken = self.queue.take(batch.num_rows());
        Ok(Some(if taken < batch.num_rows() { batch.slice(0, taken) } else { batch }))
    }

    fn read(&mut self, number: usize, chunk: Chunk) -> Result<(), FilesError> {
        if self.reader.as_ref().is_none_or(|reader| reader.file != number) {
            self.reader = Some(Reader::new(&self.scan, number));
        }
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let (builder, buffer, mut rejects) = (&mut self.builder, &mut self.buffer, Vec::new());
        let row = |line: &Line<'_>, row: &Row<'_>| {
            let placed = Placed { row, line: line.number, file: &chunk.file };
            let mut conditions = self.scan.conditions.iter().zip(&reader.conditions);
            if conditions.all(|(condition, from)| condition.holds(&placed.cell(*from), buffer)) {
                builder.push(placed, &reader.columns);
            }
            Ok(Ok(()))
        };
        let Ok(tally) = reader.parser.read(&chunk, 0, row, |reject| {
            rejects.push(reject);
            Ok::<_, Infallible>(())
        });
        self.used = Some(chunk.bytes);
        self.scan.ledger.add(self.queue.scan, tally, &rejects)
    }
}

impl Iterator for Worker {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let batch = self.batch().transpose();
        if matches!(batch, Some(Err(_))) {
            self.is_over = true;
        }
        batch
    }
}
