//! Sinks that keep nothing: the app's own end hook, and none at all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Kept, SinkError, VisitSink};
use visitlog_core::{Lsn, VisitId};

/// Calls a function for each ended visit, at least once: after a crash again, with `redelivered` set. If it panics,
/// that is counted and logged, and the next visit is its next.
pub struct HookSink<F> {
    name: String,
    hook: F,
    panics: Arc<AtomicU64>,
}

impl<F: Fn(&EndedVisit) + Send> HookSink<F> {
    /// A sink that acknowledges under `name`, which must stay the same over restarts.
    pub fn new(name: impl Into<String>, hook: F) -> Self {
        Self { name: name.into(), hook, panics: Arc::default() }
    }

    /// How often the function panicked; goes on counting when the sink has been given away.
    pub fn panics(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.panics)
    }
}

impl<F: Fn(&EndedVisit) + Send> VisitSink for HookSink<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        for (_, visit) in batch {
            if catch_unwind(AssertUnwindSafe(|| (self.hook)(visit))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(hook = self.name, visit = %visit.visit, "an end hook panicked");
            }
        }
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

/// Takes everything and keeps nothing: for measuring, and for an engine whose visits nobody wants.
#[derive(Debug, Default, Clone, Copy)]
pub struct NullSink;

impl VisitSink for NullSink {
    fn name(&self) -> &str {
        "null"
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, _batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use visitlog_testkit::samples::{MORNING, id, visits};

    #[test]
    fn a_panic_in_a_hook_costs_one_visit_only() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut sink = HookSink::new("app", {
            let seen = Arc::clone(&seen);
            move |visit: &EndedVisit| {
                seen.lock().push((visit.visit, visit.redelivered));
                assert!(visit.visit != id(1), "a bug in the app");
            }
        });
        let panics = sink.panics();
        let mut batch = visits(0..3, MORNING);
        batch[2].redelivered = true;
        sink.resume(None, &[]).expect("nothing to do");
        let batch: Vec<_> = (1..).map(Lsn).zip(batch).collect();
        sink.deliver(&batch).expect("panics are caught");
        assert_eq!(*seen.lock(), [(id(0), false), (id(1), false), (id(2), true)]);
        assert_eq!(panics.load(Ordering::Relaxed), 1);
        assert_eq!(sink.name(), "app");
    }
}
