//! Why a store could not do what it was asked.

use std::sync::Arc;

/// Why a store could not do it. The site is served all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or can't write; it may come back.
    #[error("session store unavailable: {reason}")]
    Unavailable {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody knows whether a commit was carried out: the store was lost while it was asked. The same commit may be sent
    /// again, for twice is once; [`super::SessionStore::outcome`] tells without doing anything.
    #[error("session store lost while it was asked: the outcome is unknown")]
    Unknown,
    /// It has stopped for good: a person is needed.
    #[error("session store stopped: {reason}")]
    Stopped {
        /// Why.
        reason: Arc<str>,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
