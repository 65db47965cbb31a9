//! The Delta tables, as statements see them.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::datafusion::error::{DataFusionError, Result};
use deltalake::datafusion::execution::session_state::SessionState;
use deltalake::{DeltaTable, DeltaTableError};
use tokio::sync::Mutex;
use visitlog_core::Lsn;

use super::{Stored, StoredTable, Tables};
use crate::tables::reloaded;
use crate::{Warehouse, application};

/// Delta tables in which a journal's visits end up. Each statement asks both for their newest version.
pub struct DeltaTables {
    visits: Mutex<DeltaTable>,
    events: Mutex<DeltaTable>,
    requests: Mutex<DeltaTable>,
    app_id: String,
    session: Arc<SessionState>,
}

impl std::fmt::Debug for DeltaTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaTables").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl DeltaTables {
    /// `visits`, `events` and `requests`, which may not be there yet. `app_id` is the transaction id that the journal's visits are written
    /// under; `session` says how files are read.
    pub fn new(tables: [DeltaTable; 3], app_id: String, session: Arc<SessionState>) -> Self {
        let [visits, events, requests] = tables.map(Mutex::new);
        Self { visits, events, requests, app_id, session }
    }

    /// The tables of a warehouse in this process, as far as they have the visits of a journal.
    pub fn of(warehouse: &Warehouse, journal: u128, session: Arc<SessionState>) -> Self {
        // Handles of their own: a statement doesn't wait for a flush.
        Self::new(warehouse.snapshot().map(|table| table.delta), application(journal), session)
    }

    async fn table(&self, table: &Mutex<DeltaTable>, importer: Option<u128>) -> Result<Option<StoredTable>> {
        let mut table = table.lock().await;
        let external = |error: DeltaTableError| DataFusionError::External(Box::new(error));
        let cursor = match self.newest(&mut table).await {
            // Its log may have been cut since it was read last.
            Err(_) if table.version().is_some() => {
                *table = reloaded(&table).await.map_err(external)?;
                self.newest(&mut table).await
            }
            result => result,
        };
        let cursor = match cursor {
            Ok(cursor) => cursor,
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            Err(error) => return Err(external(error)),
        };
        let imported = match importer {
            Some(importer) => cursor_of(&table, &application(importer)).await.map_err(external)?.0,
            None => 0,
        };
        let provider = table.table_provider().with_session(Arc::clone(&self.session)).await?;
        Ok(Some(StoredTable { provider, cursor, imported }))
    }

    /// Reads what was committed since; gives the cursor.
    async fn newest(&self, table: &mut DeltaTable) -> Result<Lsn, DeltaTableError> {
        table.update_state().await?;
        cursor_of(table, &self.app_id).await
    }
}

/// How far a table has what is written to it under a transaction id.
async fn cursor_of(table: &DeltaTable, app_id: &str) -> Result<Lsn, DeltaTableError> {
    let version = table.snapshot()?.transaction_version(table.log_store().as_ref(), app_id).await?;
    Ok(version.and_then(|version| u64::try_from(version).ok()).map_or(Lsn::NONE, Lsn))
}

#[async_trait]
impl Tables for DeltaTables {
    async fn snapshot(&self, importer: Option<u128>) -> Result<Stored> {
        // Flushed last, so looked at first: what it has, the others have.
        let requests = self.table(&self.requests, importer).await?;
        let visits = self.table(&self.visits, importer).await?;
        Ok(Stored { visits, events: self.table(&self.events, importer).await?, requests })
    }
}
