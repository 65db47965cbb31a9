//! Statements, run on threads of their own.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use visitlog_warehouse::report;
use visitlog_warehouse::sql::outputs::{self, Encode, Format};
use visitlog_warehouse::sql::{Catalog, Prepared, Sql, SqlError, SqlSettings, Table};

use super::WarehouseError;

/// A part of a result is sent when it has so many bytes. What goes wrong before the first part is an error instead of a
/// result that breaks off.
const PART_BYTES: usize = 64 << 10;
/// Parts that wait for who reads them.
const PARTS_WAITING: usize = 2;

/// Runs statements over whatever tables.
#[derive(Debug)]
pub struct Runner {
    sql: Arc<Sql>,
    runtime: Option<Runtime>,
}

impl Runner {
    /// Starts the threads: `settings.partitions` of them, or as many as there are cores.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(settings: &SqlSettings) -> Result<Self, WarehouseError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.partitions.unwrap_or_else(cores).max(1))
            .thread_name("visitlog-sql")
            .enable_time()
            .build()
            .map_err(|source| WarehouseError::System { doing: "start the threads for SQL", source })?;
        Ok(Self { sql: Arc::new(Sql::new(settings)?), runtime: Some(runtime) })
    }

    /// What statements share.
    pub fn sql(&self) -> &Sql {
        &self.sql
    }

    /// Runs a statement over the tables of `catalog`. Dropping what it gives cancels it. `width` is that of charts.
    pub fn run(&self, catalog: Arc<dyn Catalog>, prepared: Prepared, format: Format, width: usize) -> Parts {
        let (sender, receiver) = mpsc::channel(PARTS_WAITING);
        let sql = Arc::clone(&self.sql);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                let work = write(&sql, catalog.as_ref(), prepared, (format, width), &sender);
                let ended = tokio::select! {
                    () = sender.closed() => return,
                    ended = work => ended,
                };
                let _ = sender.send(ended.map(|()| Part::End)).await;
            });
        }
        Parts { receiver, is_over: false }
    }

    /// The tables as they are now, for several statements that are to see one moment.
    pub(super) async fn tables(&self, catalog: Arc<dyn Catalog>) -> Result<Vec<Table>, SqlError> {
        let Some(runtime) = &self.runtime else { return Err(SqlError::Lost) };
        let tables = runtime.spawn(async move { catalog.tables().await });
        Ok(tables.await.map_err(|_| SqlError::Lost)??)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
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
    (format, width): (Format, usize),
    sender: &Sender<Result<Part, SqlError>>,
) -> Result<(), SqlError> {
    let mut prepared = prepared;
    let left_out = prepared.left_out.take().filter(|_| format.is_for_people());
    let mut rows = sql.query(catalog, prepared).await?;
    let mut encoder: Box<dyn Encode> = outputs::encoder_within(format, &rows.schema(), width);
    let mut out = Vec::new();
    encoder.begin(&mut out)?;
    while let Some(batch) = rows.try_next().await? {
        encoder.batch(&batch, &mut out)?;
        if out.len() >= PART_BYTES {
            send(&mut out, sender).await;
        }
    }
    encoder.end(&mut out)?;
    if let Some(left_out) = left_out {
        drop(rows);
        let mut rows = sql.query(catalog, *left_out).await?;
        if let Some(row) = rows.try_next().await? {
            out.extend(report::left_out(&row).into_bytes());
        }
    }
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
    /// The rows of a result in lines of JSON.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn objects(mut self) -> Result<Vec<Map<String, Value>>, SqlError> {
        let mut text = Vec::new();
        while let Some(part) = self.next().await {
            text.extend(part?);
        }
        let rows = serde_json::Deserializer::from_slice(&text).into_iter();
        rows.collect::<Result<_, _>>().map_err(|_| SqlError::Lost)
    }
}
