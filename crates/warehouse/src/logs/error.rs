//! What goes wrong with files.

use visitlog_logs::{DetectError, FormatError, InputError};

/// Why files can't be read as tables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// They can't be found or opened.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Their format is not known.
    #[error("{0}; --format names it")]
    Detect(DetectError),
    /// The format that was asked for is none.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Standard input is named twice: it can be read once.
    #[error("standard input can be read once, and the statement names it more than once")]
    StandardInput,
    /// An argument of `sessions(...)` or `rejects(...)`.
    #[error("{call}: {what}")]
    Argument {
        /// The function.
        call: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A file of data is not what its name says.
    #[error("{name}: {kind} expected: {why}")]
    Data {
        /// The files, as named.
        name: String,
        /// What was expected.
        kind: &'static str,
        /// What was found.
        why: String,
    },
    /// More lines were rejected than may be.
    #[error("{rejected} lines rejected, {max} at most are let pass; the last one: {last}")]
    TooMany {
        /// How many.
        rejected: u64,
        /// How many may be.
        max: u64,
        /// Where the last one stands, and why.
        last: String,
    },
}

impl From<DetectError> for FilesError {
    fn from(error: DetectError) -> Self {
        Self::Detect(error)
    }
}

/// An error and what it comes of: SQL's errors are one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
