//! The engine as most use it: in this process, on the system's clock and disk, in one data folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::ports::{Disk, VisitSink};

use crate::adapters::{RealDisk, SystemClock, SystemEntropy};
use crate::config::EngineConfig;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::journal::JournalError;
use crate::lock::{DataLock, LockError};
use crate::recover::Report;
use crate::sinks::{NdjsonSink, SinkDriver};

/// An engine that owns a data folder. Dropping it is [`Local::close`].
///
/// The folder holds `lock`, `journal/` and `visits-YYYY-MM-DD.ndjson`, a line for each visit that has ended.
#[derive(Debug)]
pub struct Local {
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
    /// What ended visits go to can't be opened.
    #[error("what ended visits go to can't be opened")]
    Sinks(#[source] Box<dyn std::error::Error + Send + Sync>),
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

/// Sinks, or why they can't be opened.
pub type Sinks = Result<Vec<Box<dyn VisitSink>>, Box<dyn std::error::Error + Send + Sync>>;

/// Threads that read what sinks get: beyond, the one that hands it over is the slower part.
const READERS_MAX: usize = 4;

/// The folder of the journal in a data folder.
pub fn journal_dir(data: &Path) -> PathBuf {
    data.join("journal")
}

impl Local {
    /// Opens a data folder, which is created where it is missing, and starts the engine's threads. Ended visits go to
    /// the folder's own files, and to `sinks`.
    ///
    /// # Errors
    /// When another process has the folder, the journal is damaged, or the system refuses.
    pub fn open(data: &Path, config: EngineConfig, sinks: Vec<Box<dyn VisitSink>>) -> Result<Self, OpenError> {
        let (mut local, driver) = Self::open_quietly(data, config, sinks)?;
        local.start(driver)?;
        Ok(local)
    }

    /// Starts the engine's threads, where it was opened without.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn start(&mut self, sinks: SinkDriver) -> Result<(), OpenError> {
        let system = |source| OpenError::System { doing: "start the engine's threads", source };
        self.driver = Some(Driver::start(Arc::clone(&self.engine), sinks).map_err(system)?);
        Ok(())
    }

    /// The same without threads: for a look at a folder that nobody serves, or to start them later. Until then the sinks'
    /// driver is the caller's to step.
    ///
    /// # Errors
    /// As for [`Local::open`].
    pub fn open_quietly(
        data: &Path,
        config: EngineConfig,
        sinks: Vec<Box<dyn VisitSink>>,
    ) -> Result<(Self, SinkDriver), OpenError> {
        Self::open_quietly_with(data, config, || Ok(sinks))
    }

    /// The same with sinks that are opened once the folder is this process's.
    ///
    /// # Errors
    /// As for [`Local::open`], or when a sink can't be opened.
    pub fn open_quietly_with(
        data: &Path,
        mut config: EngineConfig,
        sinks: impl FnOnce() -> Sinks,
    ) -> Result<(Self, SinkDriver), OpenError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        config.readers = config.readers.max(cores.min(READERS_MAX));
        config.sinks.readers = config.sinks.readers.max(cores.min(READERS_MAX));
        let lock = DataLock::acquire(data, config.lock_patience)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let journal = journal_dir(data);
        let system = |doing| move |source| OpenError::System { doing, source };
        disk.create_dir_all(&journal).map_err(system("create the journal's folder"))?;
        let entropy = SystemEntropy::new().map_err(system("draw random bits"))?;
        let mut all: Vec<Box<dyn VisitSink>> = vec![Box::new(NdjsonSink::new(Arc::clone(&disk), data))];
        all.extend(sinks().map_err(OpenError::Sinks)?);
        let clock = Arc::new(SystemClock::start());
        let (engine, driver, report) = Engine::open(disk, &journal, config, all, clock, Arc::new(entropy))?;
        Ok((Self { engine: Arc::new(engine), lock, driver: None, report }, driver))
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
        drop(self.driver.take());
        // There may have been no driver. The lock goes after this.
        self.engine.close();
    }
}

#[cfg(test)]
mod tests;
