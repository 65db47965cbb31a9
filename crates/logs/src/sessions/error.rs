//! What can go wrong while visits are made.

use std::io;

/// Why visits could not be made of requests.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// The disk refused.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A file of requests is not what was written.
    #[error("a file of waiting requests is damaged: {what}")]
    Damaged {
        /// Expected against found.
        what: String,
    },
    /// Whoever takes the visits failed.
    #[error("visits were not taken")]
    Output(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SessionsError {
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
