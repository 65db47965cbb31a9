//! The visits that a log tells of, as a table: `sessions('access.log', idle_timeout => '30m', identity => 'ip+ua')`.
//!
//! Requests are gathered by some threads, which read chunks and parse them; then visits are made of them by as many, and
//! each hands its rows on as they come. Nothing is kept: what does not fit into memory is in temporary files meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use tokio::sync::mpsc::{self, Sender};
use visitlog_core::Host;
use visitlog_core::mask::Mask;
use visitlog_core::model::EndedVisit;
use visitlog_core::rules::{Addresses, SiteRules};
use visitlog_enrich::{EnrichSettings, Enricher};
use visitlog_logs::input::Line;
use visitlog_logs::sessions::{
    Ending, Gatherer, Horizons, Identify, Locate, Origin, OutputError, SessionSettings, VisitorKey, Visits, Work,
    Worker, finish,
};
use visitlog_logs::{Parser, Row, Wanted};

use super::account::Ledger;
use super::error::FilesError;
use super::open::{LogFile, named, only};
use super::scan::Queue;
use crate::rows::RowBuilder;
use crate::schema;
use crate::sql::Argument;

/// Visits of a batch.
const BATCH_VISITS: usize = 4_096;
/// Batches that wait for who reads them, for each thread.
const BATCHES_WAITING: usize = 2;
/// What visitors' ids are keyed with: the same visitor has the same id in each statement, and none of those in tables.
const KEY: [u8; 32] = *b"visitlog: visits of a statement.";

/// How visits are made.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionOptions {
    rules: SiteRules,
    identify: Identify,
    site: Option<String>,
}

impl SessionOptions {
    pub(super) fn of(arguments: &[Argument]) -> Result<Self, FilesError> {
        const CALL: &str = "sessions";
        only(CALL, arguments, &["idle_timeout", "max_age", "identity", "site", "format"])?;
        let wrong = |what: String| FilesError::Argument { call: CALL, what };
        let mut options = Self { site: named(arguments, "site").map(str::to_owned), ..Self::default() };
        for (name, slot) in [("idle_timeout", &mut options.rules.idle_timeout), ("max_age", &mut options.rules.max_age)]
        {
            if let Some(text) = named(arguments, name) {
                let time = duration(text);
                *slot = time
                    .ok_or_else(|| wrong(format!("{name}: a time such as 30m, 90s or 24h expected, {text} found")))?;
            }
        }
        if let Some(text) = named(arguments, "identity") {
            options.identify = text.parse().map_err(|error| wrong(format!("{error}")))?;
        }
        Ok(options)
    }
}

fn duration(text: &str) -> Option<Duration> {
    let signed: jiff::SignedDuration = match text.strip_suffix('d') {
        Some(days) => jiff::SignedDuration::from_hours(days.trim().parse::<i64>().ok()?.checked_mul(24)?),
        None => text.parse().ok()?,
    };
    Duration::try_from(signed).ok().filter(|time| !time.is_zero())
}

/// The visits of files' requests.
#[derive(Debug)]
pub(super) struct SessionsTable {
    source: Arc<Requests>,
}

struct Requests {
    files: Arc<[LogFile]>,
    ledger: Arc<Ledger>,
    options: SessionOptions,
    enricher: Option<Arc<Enricher>>,
    schema: SchemaRef,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl SessionsTable {
    pub(super) fn new(
        files: Arc<[LogFile]>,
        ledger: Arc<Ledger>,
        options: SessionOptions,
        enricher: Option<Arc<Enricher>>,
    ) -> Self {
        Self { source: Arc::new(Requests { files, ledger, options, enricher, schema: schema::visits() }) }
    }
}

#[async_trait]
impl TableProvider for SessionsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.source.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let threads = session.config().target_partitions();
        let part: Arc<dyn PartitionStream> = Arc::new(Part { requests: Arc::clone(&self.source), threads });
        Ok(Arc::new(StreamingTableExec::try_new(self.schema(), vec![part], projection, [], false, limit)?))
    }
}

#[derive(Debug)]
struct Part {
    requests: Arc<Requests>,
    threads: usize,
}

type Sent = Result<RecordBatch>;

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.requests.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (sender, receiver) = mpsc::channel::<Sent>(BATCHES_WAITING * self.threads.max(1));
        let (requests, threads) = (Arc::clone(&self.requests), self.threads.max(1));
        let name = "visitlog-sessions".to_owned();
        let own = sender.clone();
        let started = std::thread::Builder::new().name(name).spawn(move || {
            if let Err(error) = requests.make(threads, &own) {
                // Who reads no more need not know.
                _ = own.blocking_send(Err(error));
            }
        });
        if let Err(error) = started {
            _ = sender.try_send(Err(DataFusionError::IoError(error)));
        }
        let rows = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|batch| (batch, receiver))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.requests.schema), rows))
    }
}

impl Requests {
    fn make(&self, threads: usize, sender: &Sender<Sent>) -> Result<()> {
        let enricher = match &self.enricher {
            Some(enricher) => Arc::clone(enricher),
            None => Enricher::open(EnrichSettings::default()).map(Arc::new).map_err(external)?,
        };
        let mut settings = SessionSettings::new(VisitorKey::new(KEY));
        settings.rules = self.options.rules.clone();
        settings.identify = self.options.identify.clone();
        // Whoever reads the log reads all of it.
        settings.addresses = Addresses::Whole;
        settings.mask = Mask::OFF;
        settings.site = self.options.site.as_deref().map(Host::new);
        let places = Arc::clone(&enricher);
        settings.locate = Locate::new(move |address| places.place(address));
        let settings = Arc::new(settings);
        let queue = Queue::new(Arc::clone(&self.files), &self.ledger, None);
        let gather = || self.gather(&queue, Gatherer::new(Arc::clone(&settings)), sender);
        let gathered = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(gather)).collect();
            let joined = threads.into_iter().map(|thread| match thread.join() {
                Ok(gatherer) => gatherer,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        let files: HashMap<u32, u128> = (0..self.files.len()).map(|file| (number(file), file as u128 + 1)).collect();
        let work = Work {
            settings: &settings,
            gatherers: gathered,
            carried: Vec::new(),
            horizons: Horizons::default(),
            files: &files,
            ending: Ending::Final,
        };
        let worker = |_| Worker { visits: Rows::new(Arc::clone(&enricher), sender.clone()), carry: None };
        let finished = match finish(work, (0..threads).map(worker).collect()) {
            Ok(finished) => finished,
            Err(_) if sender.is_closed() => return Ok(()),
            Err(error) => return Err(external(error)),
        };
        for mut done in finished.done {
            _ = done.visits.send();
        }
        Ok(())
    }

    fn gather(&self, queue: &Queue, mut gatherer: Gatherer, sender: &Sender<Sent>) -> Result<Gatherer> {
        let mut parser: Option<(usize, Parser)> = None;
        let mut used = None;
        while let Some((at, chunk)) = queue.next(used.take())? {
            if sender.is_closed() {
                break;
            }
            let parser = match &mut parser {
                Some((file, parser)) if *file == at => parser,
                other => &mut other.insert((at, self.files[at].parser(Wanted::hit()))).1,
            };
            let mut rejects = Vec::new();
            let row = |line: &Line<'_>, row: &Row<'_>| match row.hit() {
                Ok(hit) => gatherer.add(&hit, Origin { file: number(at), offset: line.offset }).map(Ok),
                Err(reason) => Ok(Err(reason)),
            };
            let tally = parser
                .read(&chunk, 0, row, |reject| {
                    rejects.push(reject);
                    Ok(())
                })
                .map_err(external)?;
            self.ledger.add(queue.scan, tally, &rejects)?;
            used = Some(chunk.bytes);
        }
        Ok(gatherer)
    }
}

fn number(file: usize) -> u32 {
    u32::try_from(file).unwrap_or(u32::MAX)
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Nobody reads the rows any more.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the visits")]
struct Unread;

/// Makes rows of visits and hands them on.
struct Rows {
    builder: RowBuilder,
    sender: Sender<Sent>,
}

impl Rows {
    fn new(enricher: Arc<Enricher>, sender: Sender<Sent>) -> Self {
        Self { builder: RowBuilder::new(enricher, None), sender }
    }

    fn send(&mut self) -> Result<(), Unread> {
        if self.builder.visits() == 0 {
            return Ok(());
        }
        let rows = self.builder.finish().map(|batches| batches.visits).map_err(DataFusionError::from);
        self.sender.blocking_send(rows).map_err(|_| Unread)
    }
}

impl Visits for Rows {
    fn ended(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        self.builder.push_ended(&visit);
        if self.builder.visits() >= BATCH_VISITS {
            self.send()?;
        }
        Ok(())
    }
}
