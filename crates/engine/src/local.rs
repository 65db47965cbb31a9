//! The engine as most use it: in this process, on the system's clock and disk, in one data folder.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::ports::{Disk, Feed};

use crate::adapters::{RealDisk, SystemClock, SystemEntropy};
use crate::config::{EngineConfig, TooManyRules};
use crate::driver::Driver;
use crate::engine::Engine;
use crate::journal::JournalError;
use crate::lock::{DataLock, LockError};
use crate::recover::Report;

/// An engine that owns a data folder. Dropping it is [`Local::close`].
///
/// The folder holds `lock` and `journal/`; sinks may keep theirs beside.
pub struct Local {
    /// Dropped first: it takes from the engine.
    sinks: Option<Box<dyn Any + Send>>,
    engine: Arc<Engine>,
    lock: DataLock,
    driver: Option<Driver>,
    report: Report,
}

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it, or the lock file can't be written.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The settings can't be.
    #[error(transparent)]
    Rules(#[from] TooManyRules),
    /// What ended visits go to can't be opened.
    #[error("what ended visits go to can't be opened")]
    Sinks(#[source] AnyError),
    /// The system refused something else.
    #[error("{doing}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why something that is handed in can't be opened.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Threads that read what sinks get: beyond, the one that hands it over is the slower part.
const READERS_MAX: usize = 4;

/// The folder of the journal in a data folder.
pub fn journal_dir(data: &Path) -> PathBuf {
    data.join("journal")
}

impl Local {
    /// Opens a data folder, which is created where it is missing, and starts the engine's threads. `sinks` says who takes
    /// the visits that end; what it returns is kept until the end.
    ///
    /// # Errors
    /// When the settings can't be, another process has the folder, the journal is damaged, the sinks can't be opened, or the system refuses.
    pub fn open<S: Send + 'static>(
        data: &Path,
        config: EngineConfig,
        sinks: impl FnOnce(&Feed) -> Result<S, AnyError>,
    ) -> Result<Self, OpenError> {
        let mut local = Self::open_quietly(data, config)?;
        local.sinks = Some(Box::new(sinks(&local.feed(data)).map_err(OpenError::Sinks)?));
        local.start()?;
        Ok(local)
    }

    /// The same without threads, for a look at a folder that nobody serves or to start them later, and without anybody
    /// who takes what has ended: it waits in the journal.
    ///
    /// # Errors
    /// As for [`Local::open`].
    pub fn open_quietly(data: &Path, mut config: EngineConfig) -> Result<Self, OpenError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        config.readers = config.readers.max(cores.min(READERS_MAX));
        config.ledger.readers = config.ledger.readers.max(cores.min(READERS_MAX));
        config.check()?;
        let lock = DataLock::acquire(data, config.lock_patience)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let journal = journal_dir(data);
        let system = |doing| move |source| OpenError::System { doing, source };
        disk.create_dir_all(&journal).map_err(system("create the journal's folder"))?;
        let entropy = SystemEntropy::new().map_err(system("draw random bits"))?;
        let clock = Arc::new(SystemClock::start());
        let (engine, report) = Engine::open(disk, &journal, config, clock, Arc::new(entropy))?;
        Ok(Self { sinks: None, engine: Arc::new(engine), lock, driver: None, report })
    }

    /// Starts the engine's threads, where it was opened without.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn start(&mut self) -> Result<(), OpenError> {
        let system = |source| OpenError::System { doing: "start the engine's threads", source };
        self.driver = Some(Driver::start(Arc::clone(&self.engine)).map_err(system)?);
        Ok(())
    }

    /// What feeds sinks, for its data folder.
    pub fn feed(&self, data: &Path) -> Feed {
        Feed {
            visits: Arc::clone(self.engine.ended()) as _,
            clock: Arc::clone(&self.engine) as _,
            disk: Arc::new(RealDisk),
            data: data.to_owned(),
            parks: journal_dir(data),
        }
    }

    /// The session store.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What recovery found.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The lock on the folder, which tells other processes the admin address.
    pub const fn lock(&self) -> &DataLock {
        &self.lock
    }

    /// Stops the threads, puts everything on stable storage, closes the journal, and only then gives the folder back:
    /// whoever still holds the engine is refused. Sessions go on after the next start.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        drop(self.sinks.take());
        drop(self.driver.take());
        // There may have been no driver. The lock goes after this.
        self.engine.close();
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("engine", &self.engine).field("lock", &self.lock).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
