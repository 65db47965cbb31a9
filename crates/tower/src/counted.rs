//! Counts of requests that may not be recorded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use visitlog_core::limits;
use visitlog_core::requests::{RequestCount, RequestCounts};

/// Counts since they were taken last.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<RequestCounts>);

impl Counted {
    /// Adds one. Where there is no room for more paths, only its number is known.
    pub(crate) fn add(&self, count: &RequestCount<'_>) {
        let mut counts = self.counts();
        if counts.bytes() < limits::COUNTED_BYTES_MAX {
            counts.add(count);
        } else {
            counts.add(&RequestCount { site: "", path: "", ..*count });
        }
    }

    pub(crate) fn take(&self) -> RequestCounts {
        std::mem::take(&mut *self.counts())
    }

    fn counts(&self) -> MutexGuard<'_, RequestCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use visitlog_core::Timestamp;
    use visitlog_core::model::Via;
    use visitlog_core::requests::RequestType;

    use super::*;

    #[test]
    fn strangers_paths_do_not_fill_the_memory() {
        let counted = Counted::default();
        let path = "x".repeat(1_000);
        for number in 0..10_000 {
            counted.add(&RequestCount {
                time: Timestamp::EPOCH,
                site: "a.example",
                path: &format!("/{number}/{path}"),
                kind: RequestType::PageView,
                status: 404,
                bot: None,
                via: Via::Proxy,
                requests: 1,
                bytes: None,
                duration_us: 0,
                timed: 0,
            });
        }
        let mut counts = counted.take();
        assert!(counts.bytes() < limits::COUNTED_BYTES_MAX + 10_000, "{} bytes", counts.bytes());
        let mut all = 0;
        let told = counts.drain(|count| {
            all += count.requests;
            Ok::<_, std::convert::Infallible>(())
        });
        assert_eq!((told, all), (Ok(()), 10_000), "none is lost");
        assert!(counted.take().is_empty());
    }
}
