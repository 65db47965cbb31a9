//! The access log as those who write into it have it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::queue::Queue;
use super::settings::{AccessLogFormat, AccessLogSettings};
use super::writer::Writer;
use crate::tally::Tallies;

/// The access log can't be kept.
#[derive(Debug, thiserror::Error)]
#[error("access log {file}: can't be written")]
pub struct AccessLogError {
    file: String,
    #[source]
    source: io::Error,
}

/// An access log, open. Clones write into the same file.
#[derive(Debug, Clone)]
pub struct AccessLog {
    pub(super) queue: Arc<Queue>,
    pub(super) format: AccessLogFormat,
}

impl AccessLog {
    /// Opens the file, which is made where it is missing, and starts its thread.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(settings: AccessLogSettings, tallies: Arc<Tallies>) -> Result<Self, AccessLogError> {
        let file = settings.file.display().to_string();
        let refused = |source| AccessLogError { file: file.clone(), source };
        let format = settings.format;
        let mut writer = Writer::new(settings);
        writer.open().map_err(refused)?;
        let queue = Arc::new(Queue::new(tallies));
        let work = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("visitlog-access".to_owned());
        thread.spawn(move || work.serve(writer)).map_err(refused)?;
        Ok(Self { queue, format })
    }

    /// Opens the file again, by its name: another program may have put it aside.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Writes what waits; whoever does not take it is waited for no longer than a second.
    pub fn close(&self) {
        self.queue.close(Duration::from_secs(1));
    }
}
