//! What is wrong with a report's settings.

use crate::sql::outputs;

/// Why a report can't be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A name that is none.
    #[error("{what} {found}: one of {expected} expected{}", nearest.as_ref().map(|near| format!(", perhaps {near}")).unwrap_or_default())]
    Unknown {
        /// What it should name.
        what: &'static str,
        /// The name.
        found: String,
        /// The names that there are.
        expected: String,
        /// The name most like it.
        nearest: Option<String>,
    },
    /// A value that makes no sense.
    #[error("{key}: {expected} expected, {found:?} found")]
    Value {
        /// Of what.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// An end before its start.
    #[error("from {from} to {to}: nothing lies between them")]
    Empty {
        /// The start.
        from: String,
        /// The end.
        to: String,
    },
    /// Too many spans of time.
    #[error("more than {max} spans of time: a shorter time, or longer spans, expected")]
    Buckets {
        /// The most there may be.
        max: usize,
    },
    /// The format.
    #[error(transparent)]
    Format(#[from] outputs::UnknownFormat),
}

impl ReportError {
    pub(super) fn unknown(what: &'static str, found: &str, names: &[&str]) -> Self {
        let nearest = crate::sql::nearest(found, names);
        Self::Unknown { what, found: found.to_owned(), expected: names.join(", "), nearest }
    }

    pub(super) fn value(key: &'static str, expected: &'static str, found: &str) -> Self {
        Self::Value { key, expected, found: found.to_owned() }
    }
}
