//! One process owns a data folder: the lock file, which also says where its admin address is.

use std::io;
use std::path::{Path, PathBuf};

/// The lock file's name in the data folder.
pub const LOCK_FILE: &str = "lock";

/// A held lock. Dropping it frees the folder.
#[derive(Debug)]
pub struct DataLock {}

/// Who holds a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// Its process.
    pub pid: Option<u32>,
    /// Its admin address, as soon as it has one.
    pub address: Option<String>,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by process {} with admin address {}", dir.display(),
        holder.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
        holder.address.as_deref().unwrap_or("unknown"))]
    Held {
        /// The folder.
        dir: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The disk refused.
    #[error("lock file {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the lock of a data folder, which is created where missing.
    ///
    /// # Errors
    /// When another process has it, or the disk refuses.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        unimplemented!()
    }

    /// Writes the admin address into the lock file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_address(&self, address: &str) -> Result<(), LockError> {
        unimplemented!()
    }
}

/// Who holds the folder; none where nobody does.
///
/// # Errors
/// When the disk refuses.
pub fn holder(dir: &Path) -> Result<Option<Holder>, LockError> {
    unimplemented!()
}
