//! Calls a sink: in place, or on a thread of its own. A panic in it is an error like others, and one that hangs is not
//! waited for, so that whoever drives it can go on.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use visitlog_core::ports::{Gathering, SinkError, VisitSink};

/// How often a call that is waited for is asked whether the process ends.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest that a call is waited for once the process ends.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why a call did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("it panicked: {what}")]
    Panicked { what: String },
    #[error("it has not answered for {patience:?}")]
    Hangs { patience: Duration },
}

type Work = Box<dyn FnOnce(&mut dyn VisitSink) + Send>;

enum Where {
    Here(Box<dyn VisitSink>),
    Thread { work: Sender<Work>, is_busy: Arc<AtomicBool>, stop: Arc<AtomicBool> },
}

/// A sink that is called.
pub(crate) struct Called {
    name: String,
    gathers: Option<Gathering>,
    patience: Duration,
    place: Where,
    panics: u64,
}

impl Called {
    /// Calls in place, until [`Called::start`].
    pub(crate) fn new(sink: Box<dyn VisitSink>, patience: Duration) -> Self {
        let (name, gathers) = (sink.name().to_owned(), sink.gathers());
        Self { name, gathers, patience, place: Where::Here(sink), panics: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn gathers(&self) -> Option<Gathering> {
        self.gathers
    }

    /// Panics so far.
    pub(crate) const fn panics(&self) -> u64 {
        self.panics
    }

    /// Gives the sink a thread of its own, until `stop` or the end of this.
    ///
    /// # Errors
    /// When the system has none to give.
    pub(crate) fn start(&mut self, stop: Arc<AtomicBool>) -> io::Result<()> {
        let (work, jobs) = mpsc::channel::<Work>();
        let thread = Where::Thread { work, is_busy: Arc::default(), stop };
        let Where::Here(mut sink) = std::mem::replace(&mut self.place, thread) else { return Ok(()) };
        let run = move || jobs.into_iter().for_each(|job| job(&mut *sink));
        std::thread::Builder::new().name(format!("sink-{}", self.name)).spawn(run).map(drop)
    }

    /// Has the sink do something.
    ///
    /// # Errors
    /// What the sink says; or that it panicked, or does not come back.
    pub(crate) fn call<T: Send + 'static>(
        &mut self,
        what: impl FnOnce(&mut dyn VisitSink) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, CallError> {
        self.call_beside(what, || {})
    }

    /// The same. Where the sink has a thread of its own, something else is done `meanwhile`.
    ///
    /// # Errors
    /// Those of [`Called::call`].
    pub(crate) fn call_beside<T: Send + 'static>(
        &mut self,
        what: impl FnOnce(&mut dyn VisitSink) -> Result<T, SinkError> + Send + 'static,
        meanwhile: impl FnOnce(),
    ) -> Result<T, CallError> {
        let done = match &mut self.place {
            Where::Here(sink) => catch_unwind(AssertUnwindSafe(|| what(&mut **sink))),
            Where::Thread { work, is_busy, stop } => {
                let hangs = CallError::Hangs { patience: self.patience };
                if is_busy.swap(true, Ordering::SeqCst) {
                    return Err(hangs);
                }
                let (tell, told) = mpsc::channel();
                let is_busy = Arc::clone(is_busy);
                let job: Work = Box::new(move |sink| {
                    let done = catch_unwind(AssertUnwindSafe(|| what(sink)));
                    // Before it is told: whoever hears of it may call again at once.
                    is_busy.store(false, Ordering::SeqCst);
                    // Nobody waits any more for one that was late.
                    let _ = tell.send(done);
                });
                if work.send(job).is_err() {
                    return Err(CallError::Panicked { what: "its thread is gone".to_owned() });
                }
                meanwhile();
                match wait(&told, self.patience, stop) {
                    Some(done) => done,
                    None => return Err(hangs),
                }
            }
        };
        match done {
            Ok(done) => Ok(done?),
            Err(panic) => {
                self.panics += 1;
                let what = message(&*panic);
                tracing::error!(sink = self.name, what, "a sink panicked");
                Err(CallError::Panicked { what })
            }
        }
    }
}

/// What is told within the time; less is given once the process ends.
fn wait<T>(told: &mpsc::Receiver<T>, patience: Duration, stop: &AtomicBool) -> Option<T> {
    let (mut waited, mut stopping) = (Duration::ZERO, Duration::ZERO);
    while waited < patience && stopping < STOP_PATIENCE {
        match told.recv_timeout(LOOK_EVERY) {
            Ok(done) => return Some(done),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        waited += LOOK_EVERY;
        if stop.load(Ordering::SeqCst) {
            stopping += LOOK_EVERY;
        }
    }
    None
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use visitlog_core::model::EndedVisit;
    use visitlog_core::ports::{Delivery, Kept};
    use visitlog_core::{Lsn, VisitId};

    use super::*;

    struct Quick;

    impl VisitSink for Quick {
        fn name(&self) -> &str {
            "quick"
        }

        fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
            Ok(())
        }

        fn deliver(&mut self, _batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
            Ok(Delivery::Stored(Kept::All(Vec::new())))
        }
    }

    #[test]
    fn a_sink_that_has_answered_does_not_hang() {
        let mut sink = Called::new(Box::new(Quick), Duration::from_secs(60));
        sink.start(Arc::default()).expect("a thread");
        for n in 0..20_000 {
            let called = sink.call(|sink| sink.deliver(&[]));
            assert!(called.is_ok(), "call {n}: {called:?}");
        }
    }
}
