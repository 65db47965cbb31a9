//! A committed batch gets into the tables: by the server that has them, or by this process where there is none.

use std::time::Duration;

use serde_json::json;
use visitlog_engine::lock::{DataLock, Holder, LockError};
use visitlog_logs::import::Pending;
use visitlog_server::warehouse::import::Unserved;

use super::setup::Setup;
use crate::client::Server;

/// How long it waits for another process, a query perhaps, to let go of the folder.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many batches make upkeep of the tables worth while.
const UPKEEP_EVERY: u64 = 16;

/// Stores what the last batch left, if it left anything.
pub(super) fn pending(setup: &Setup) -> anyhow::Result<()> {
    let Some(pending) = setup.folder.pending() else { return Ok(()) };
    match DataLock::acquire(&setup.data, PATIENCE) {
        Ok(_lock) => {
            let tables = Unserved::open(&setup.data, &setup.tables)?;
            tables.store(&pending)?;
            // A tail without a server makes small files for ever.
            if pending.batch.is_multiple_of(UPKEEP_EVERY) {
                keep_in_shape(&tables);
            }
        }
        Err(LockError::Held { holder: Holder { address: Some(address), .. }, .. }) => {
            by_server(&Server::at(&setup.data, &address)?, &pending)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(setup.folder.stored()?)
}

/// Puts the tables in shape after many files were added to them. A server does that by itself.
pub(super) fn upkeep(setup: &Setup) {
    if let Ok(_lock) = DataLock::acquire(&setup.data, Duration::ZERO)
        && let Ok(tables) = Unserved::open(&setup.data, &setup.tables)
    {
        keep_in_shape(&tables);
    }
}

/// What fails is tried again the next time.
fn keep_in_shape(tables: &Unserved) {
    if let Err(error) = tables.upkeep() {
        tracing::warn!("the tables can't be kept in shape now: {error}");
    }
}

fn by_server(server: &Server, pending: &Pending) -> anyhow::Result<()> {
    let body = json!({ "importer": format!("{:032x}", pending.importer), "batch": pending.batch }).to_string();
    let request = server.post("/api/v1/import").header("content-type", "application/json");
    server.answered(request.send(body))?;
    Ok(())
}
