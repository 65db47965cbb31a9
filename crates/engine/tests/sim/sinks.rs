//! Where ended visits go: `visits.ndjson` behind a gate, and a hook that forgets that it was called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{SinkError, VisitSink};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::sinks::NdjsonSink;

/// What the world does to the sinks, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct SinkDesk {
    /// The file sink takes nothing.
    pub(crate) file_is_down: AtomicBool,
    /// The hook takes nothing.
    pub(crate) hook_is_down: AtomicBool,
    /// The hook takes the next batch and says that it failed.
    pub(crate) hook_forgets: AtomicBool,
    /// What the file sink took, each batch with its last position.
    file: Mutex<Vec<(Lsn, Vec<EndedVisit>)>>,
    hook: Mutex<Vec<(Lsn, Vec<EndedVisit>)>>,
}

impl SinkDesk {
    pub(crate) fn take_file(&self) -> Vec<(Lsn, Vec<EndedVisit>)> {
        std::mem::take(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_hook(&self) -> Vec<(Lsn, Vec<EndedVisit>)> {
        std::mem::take(&mut self.hook.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn heal(&self) {
        for flag in [&self.file_is_down, &self.hook_is_down, &self.hook_forgets] {
            flag.store(false, Ordering::SeqCst);
        }
    }
}

fn down(sink: &str) -> SinkError {
    SinkError::Unavailable { sink: sink.to_owned(), what: "down".to_owned(), source: None }
}

/// The file sink behind a gate.
pub(crate) struct Gate {
    pub(crate) inner: NdjsonSink,
    pub(crate) desk: Arc<SinkDesk>,
}

impl VisitSink for Gate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError> {
        self.inner.resume(acknowledged, pending)
    }

    fn deliver(&mut self, batch: &[EndedVisit], last: Lsn) -> Result<Vec<u8>, SinkError> {
        if self.desk.file_is_down.load(Ordering::SeqCst) {
            return Err(down(self.name()));
        }
        let place = self.inner.deliver(batch, last)?;
        self.desk.file.lock().unwrap_or_else(PoisonError::into_inner).push((last, batch.to_vec()));
        Ok(place)
    }
}

/// A callback: at least once, and then it is told so.
pub(crate) struct Hook(pub(crate) Arc<SinkDesk>);

impl VisitSink for Hook {
    fn name(&self) -> &str {
        "hook"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[EndedVisit], last: Lsn) -> Result<Vec<u8>, SinkError> {
        if self.0.hook_is_down.load(Ordering::SeqCst) {
            return Err(down(self.name()));
        }
        self.0.hook.lock().unwrap_or_else(PoisonError::into_inner).push((last, batch.to_vec()));
        if self.0.hook_forgets.swap(false, Ordering::SeqCst) { Err(down(self.name())) } else { Ok(Vec::new()) }
    }
}
