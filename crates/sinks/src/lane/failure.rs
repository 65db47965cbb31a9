//! Why a lane did not get on, and when it tries again.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::ports::{SinkError, SourceError};
use visitlog_core::{Lsn, Timestamp};

use crate::call::CallError;
use crate::park::ParkError;
use crate::quarantine::QuarantineError;

/// Why a batch did not go out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Park(#[from] ParkError),
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    #[error(
        "the sink says that it has stored visits up to lsn {upto}, and was given those from {first} to {last}: \
         nothing that it says is believed; a sink without this fault expected"
    )]
    Lie { upto: Lsn, first: Lsn, last: Lsn },
    #[error("acknowledged up to lsn {acknowledged}, but the journal ends at {newest}: it is not the one that it was")]
    Ahead { acknowledged: Lsn, newest: Lsn },
}

impl Failure {
    pub(super) const fn is_retryable(&self) -> bool {
        match self {
            Self::Call(CallError::Sink(error)) => !matches!(error, SinkError::Changed { .. }),
            Self::Call(CallError::Panicked { .. } | CallError::Hangs { .. }) => true,
            Self::Source(error) => error.is_retryable(),
            Self::Park(error) => error.is_retryable(),
            Self::Quarantine(error) => matches!(error, QuarantineError::Io { .. }),
            Self::Ahead { .. } | Self::Lie { .. } => false,
        }
    }
}

/// A lane that does not get on.
pub(super) struct Failing {
    pub(super) since: Timestamp,
    /// `None`: not before a person has looked.
    pub(super) retry_at: Option<Timestamp>,
    pub(super) delay: Duration,
    pub(super) what: Arc<str>,
}

/// An error with what caused it.
pub(crate) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
