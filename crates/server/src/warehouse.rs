//! The warehouse of a server or of a folder: this is the one place that opens it and says which tables SQL sees.

mod erase;
pub mod import;
mod storage;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
/// Whom an erasure or an export is about.
pub use visitlog_warehouse::Subject;
/// Limits of statements.
pub use visitlog_warehouse::sql::limits::Limits;
use visitlog_warehouse::sql::outputs::{self, Encode, Format};
use visitlog_warehouse::sql::{Catalog, OpenError, Prepared, Sql, SqlError, SqlSettings};
pub use visitlog_warehouse::{WarehouseSettings as TableSettings, report, sql};

use visitlog_engine::Engine;
use visitlog_engine::journal::JournalError;

pub use self::erase::{ErasureError, ErasureReport};
use self::storage::Keeper;
pub use self::storage::{LossCounts, Shown, Storage};

/// A part of a result is sent when it has so many bytes. What goes wrong before the first part is an error instead of a
/// result that breaks off.
const PART_BYTES: usize = 64 << 10;
/// Parts that wait for who reads them.
const PARTS_WAITING: usize = 2;
/// The folder for what does not fit into memory.
const SPILL: &str = "spill";

/// How the warehouse is used.
#[derive(Debug, Clone, Default)]
pub struct WarehouseSettings {
    /// What SQL statements may take.
    pub limits: Limits,
    /// Threads that run them. Default: as many as there are cores.
    pub threads: Option<usize>,
    /// Where the tables are. Default: `warehouse` in the data folder.
    pub folder: Option<PathBuf>,
    /// How they are fed and kept.
    pub tables: TableSettings,
    /// How often they are looked after. Default: every 30 s.
    pub upkeep_every: Option<Duration>,
}

/// Why the warehouse can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// SQL.
    #[error(transparent)]
    Sql(#[from] OpenError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] visitlog_warehouse::WarehouseError),
    /// The system refused.
    #[error("{doing}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The warehouse, open for queries. They run on threads of their own: no query holds up the site.
#[derive(Debug)]
pub struct Warehouse {
    sql: Arc<Sql>,
    shown: Arc<Shown>,
    upkeep_every: Option<Duration>,
    keeper: Option<Keeper>,
    runtime: Option<Runtime>,
}

impl Warehouse {
    /// The warehouse of an engine, whose sinks are the storage's. `data` is the data folder.
    ///
    /// # Errors
    /// When the folder can't be used, or the system refuses.
    pub fn open(
        data: &Path,
        settings: &WarehouseSettings,
        storage: Storage,
        engine: Arc<Engine>,
    ) -> Result<Self, WarehouseError> {
        let system = |doing| move |source| WarehouseError::System { doing, source };
        let spill_dir = data.join(SPILL);
        // What a crash has left there is nobody's, and it may be personal data.
        match std::fs::remove_dir_all(&spill_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(system("empty the spill folder")(error))?,
            _ => std::fs::create_dir_all(&spill_dir).map_err(system("create the spill folder"))?,
        }
        let threads = settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let sql = SqlSettings { limits: settings.limits, spill_dir: Some(spill_dir), partitions: Some(threads) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("visitlog-sql")
            .enable_time()
            .build()
            .map_err(system("start the threads for SQL"))?;
        let sql = Arc::new(Sql::new(&sql)?);
        let shown = Arc::new(storage.views(engine, &sql));
        Ok(Self { sql, shown, upkeep_every: settings.upkeep_every, keeper: None, runtime: Some(runtime) })
    }

    /// Starts the thread that follows what is recorded and keeps the tables in shape, until this is dropped.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn look_after(&mut self, losses: LossCounts) -> Result<(), WarehouseError> {
        self.keeper = Some(Arc::clone(&self.shown).look_after(losses, self.upkeep_every)?);
        Ok(())
    }

    /// Erases a visitor or a user, see [`ErasureReport`]. `turn` is called again and again while something has to be waited
    /// for: it lets the engine go on, or some time pass. Blocks, and must not be called from inside a runtime.
    ///
    /// # Errors
    /// When something can't be read or written, or a sink does not take what it is to get. What was not done then is
    /// done by the next call.
    pub fn erase(
        &self,
        data: &Path,
        who: &Subject,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
    ) -> Result<ErasureReport, ErasureError> {
        self.shown.erase(data, who, turn)
    }

    /// All that there is of a visitor or a user: a JSON object for each visit, as in the table `visits`, with its rows
    /// of `events` in `events`. Blocks, and must not be called from inside a runtime.
    ///
    /// # Errors
    /// When something can't be read.
    pub fn export(&self, who: &Subject) -> Result<Vec<serde_json::Value>, ErasureError> {
        self.shown.export(who)
    }

    /// Runs a statement. Dropping what it gives cancels it.
    pub fn run(&self, prepared: Prepared, format: Format) -> Parts {
        let (sender, receiver) = mpsc::channel(PARTS_WAITING);
        let (sql, shown) = (Arc::clone(&self.sql), Arc::clone(&self.shown));
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                let work = write(&sql, shown.as_ref(), prepared, format, &sender);
                let ended = tokio::select! {
                    () = sender.closed() => return,
                    ended = work => ended,
                };
                let _ = sender.send(ended.map(|()| Part::End)).await;
            });
        }
        Parts { receiver, is_over: false }
    }
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        self.keeper = None;
        // Queries that still run are not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

enum Part {
    Bytes(Vec<u8>),
    End,
}

async fn write(
    sql: &Sql,
    catalog: &dyn Catalog,
    prepared: Prepared,
    format: Format,
    sender: &Sender<Result<Part, SqlError>>,
) -> Result<(), SqlError> {
    let mut rows = sql.query(catalog, prepared).await?;
    let mut encoder: Box<dyn Encode> = outputs::encoder(format, &rows.schema());
    let mut out = Vec::new();
    encoder.begin(&mut out)?;
    while let Some(batch) = rows.try_next().await? {
        encoder.batch(&batch, &mut out)?;
        if out.len() >= PART_BYTES {
            send(&mut out, sender).await;
        }
    }
    encoder.end(&mut out)?;
    send(&mut out, sender).await;
    Ok(())
}

async fn send(out: &mut Vec<u8>, sender: &Sender<Result<Part, SqlError>>) {
    // A reader that is gone ends the work elsewhere.
    let _ = sender.send(Ok(Part::Bytes(std::mem::take(out)))).await;
}

/// The bytes of a result. Dropping it cancels the statement.
#[derive(Debug)]
pub struct Parts {
    receiver: Receiver<Result<Part, SqlError>>,
    is_over: bool,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::End => f.write_str("end"),
        }
    }
}

impl Parts {
    /// The next bytes; `None` once all have been given. After an error nothing comes.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, SqlError>> {
        if self.is_over {
            return None;
        }
        match self.receiver.recv().await {
            Some(Ok(Part::Bytes(bytes))) => return Some(Ok(bytes)),
            Some(Ok(Part::End)) => self.is_over = true,
            Some(Err(error)) => {
                self.is_over = true;
                return Some(Err(error));
            }
            // It ended without saying how: it panicked, or the warehouse is being closed.
            None => {
                self.is_over = true;
                return Some(Err(SqlError::Lost));
            }
        }
        None
    }
}
