//! Where ended visits go: `visits.ndjson` behind a gate, and a hook that forgets that it was called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Gathering, Kept, SinkError, VisitSink};
use visitlog_core::{Lsn, VisitId};
use visitlog_sinks::NdjsonSink;

/// What happens to the sinks, and what they saw.
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

/// A batch as the desk keeps it: with its last position.
fn noted(batch: &[(Lsn, EndedVisit)]) -> (Lsn, Vec<EndedVisit>) {
    let last = batch.last().map_or(Lsn::NONE, |(end, _)| *end);
    (last, batch.iter().map(|(_, visit)| visit.clone()).collect())
}

/// The file sink behind a gate. Where it gathers, the file gets few large batches.
pub(crate) struct Gate {
    pub(crate) inner: NdjsonSink,
    pub(crate) desk: Arc<SinkDesk>,
    pub(crate) gathers: Option<Gathering>,
    pub(crate) gathered: Vec<(Lsn, EndedVisit)>,
}

impl Gate {
    /// So many visits it can hold at most.
    const GATHERED_MAX: usize = 14;

    fn check(&self) -> Result<(), SinkError> {
        if self.desk.file_is_down.load(Ordering::SeqCst) { Err(down(self.inner.name())) } else { Ok(()) }
    }

    fn store(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Kept, SinkError> {
        self.check()?;
        let Delivery::Stored(kept) = self.inner.deliver(batch)? else { unreachable!("the file gathers nothing") };
        let upto = if let Kept::Upto { upto, .. } = kept { upto } else { Lsn(u64::MAX) };
        let stored = batch.partition_point(|(end, _)| *end <= upto);
        self.desk.file.lock().unwrap_or_else(PoisonError::into_inner).push(noted(&batch[..stored]));
        Ok(kept)
    }
}

impl VisitSink for Gate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError> {
        self.gathered.clear();
        self.inner.resume(acknowledged, pending)
    }

    fn gathers(&self) -> Option<Gathering> {
        self.gathers
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.gathers.is_none() {
            return self.store(batch).map(Delivery::Stored);
        }
        if let Err(error) = self.check() {
            self.gathered.clear();
            return Err(error);
        }
        self.gathered.extend_from_slice(batch);
        Ok(if self.gathered.len() < Self::GATHERED_MAX { Delivery::Gathered } else { Delivery::Full })
    }

    fn flush(&mut self) -> Result<Kept, SinkError> {
        let batch = std::mem::take(&mut self.gathered);
        self.store(&batch)
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

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.0.hook_is_down.load(Ordering::SeqCst) {
            return Err(down(self.name()));
        }
        self.0.hook.lock().unwrap_or_else(PoisonError::into_inner).push(noted(batch));
        if self.0.hook_forgets.swap(false, Ordering::SeqCst) {
            return Err(down(self.name()));
        }
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}
