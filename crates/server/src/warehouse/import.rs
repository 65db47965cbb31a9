//! Batches of an importer, stored in the tables: by the server that has them, or by the importer where there is none.

use std::path::Path;
use std::sync::Arc;

use visitlog_core::ports::Entropy as _;
use visitlog_engine::adapters::{SystemClock, SystemEntropy};
use visitlog_enrich::Enricher;
use visitlog_logs::import::{ImportError, ImportFolder, Pending};
use visitlog_warehouse::Warehouse as Tables;
/// What writes the settled visits of a batch.
pub use visitlog_warehouse::{Stage, Staging};

use super::storage::open_tables;
use super::{Warehouse, WarehouseError, WarehouseSettings};

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not the one that the data folder's importer has left.
    #[error("batch {batch} of importer {importer:032x} expected in the data folder, {found} found")]
    Other {
        /// Whose was asked for.
        importer: u128,
        /// Which.
        batch: u64,
        /// What is there.
        found: String,
    },
    /// The importer's folder.
    #[error(transparent)]
    Folder(#[from] ImportError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] visitlog_warehouse::WarehouseError),
}

/// Takes the importer's folder in a data folder; makes it where it is missing.
///
/// # Errors
/// When another importer has it, what is in it is not what was written, or the system refuses.
pub fn open_folder(data: &Path) -> Result<ImportFolder, ImportError> {
    ImportFolder::open(data, || {
        let entropy = SystemEntropy::new()?;
        let bits = [entropy.random(), entropy.random()].map(u128::to_le_bytes);
        Ok(std::array::from_fn(|at| bits[at / 16][at % 16]))
    })
}

/// Where the settled visits of a batch are written before it is committed, and those that it leaves unsettled.
///
/// # Errors
/// When the system refuses.
pub fn staging(dir: &Path, unsettled: &Path, enricher: &Arc<Enricher>) -> Result<Arc<Staging>, WarehouseError> {
    let entropy =
        SystemEntropy::new().map_err(|source| WarehouseError::System { doing: "draw random bits", source })?;
    let clock = Arc::new(SystemClock::start());
    Ok(Staging::new(dir, unsettled, Arc::clone(enricher), clock, Arc::new(entropy))?)
}

/// The tables of a data folder that no server has, for who imports. The caller holds the folder's lock.
pub struct Unserved {
    tables: Arc<Tables>,
}

impl std::fmt::Debug for Unserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unserved").finish_non_exhaustive()
    }
}

impl Unserved {
    /// Opens the tables, or makes them.
    ///
    /// # Errors
    /// When they can't be used.
    pub fn open(data: &Path, settings: &WarehouseSettings) -> Result<Self, WarehouseError> {
        Ok(Self { tables: open_tables(data, settings)? })
    }

    /// Makes a batch part of the tables, if it is not.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn store(&self, pending: &Pending) -> Result<(), WarehouseError> {
        Ok(self.tables.store_import(pending)?)
    }

    /// Keeps them in shape, until there is nothing more to do.
    ///
    /// # Errors
    /// When they can't be read or written; what was done is done.
    pub fn upkeep(&self) -> Result<(), WarehouseError> {
        while self.tables.upkeep_step()? {}
        Ok(())
    }
}

impl Warehouse {
    /// Makes the batch that the data folder's importer has left part of the tables, if it is not; `importer` and
    /// `batch` are what whoever asks takes it for. Blocks, and must not be called from inside a runtime.
    ///
    /// # Errors
    /// When it is another one, or something can't be read or written.
    pub fn store_import(&self, data: &Path, importer: u128, batch: u64) -> Result<(), StoreError> {
        let found = ImportFolder::pending_of(data)?;
        match &found {
            Some(pending) if (pending.importer, pending.batch) == (importer, batch) => {
                Ok(self.shown.tables.store_import(pending)?)
            }
            _ => {
                let found = found.map_or_else(
                    || "nothing".to_owned(),
                    |pending| format!("batch {} of {:032x}", pending.batch, pending.importer),
                );
                Err(StoreError::Other { importer, batch, found })
            }
        }
    }
}
