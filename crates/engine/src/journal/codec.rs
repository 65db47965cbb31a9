//! Payloads of a session's records.

/// Why a payload can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// It ends too early.
    #[error("{what} expected, the end found")]
    End {
        /// What was expected.
        what: &'static str,
    },
    /// A code that this program does not know.
    #[error("a known {what} expected, code {found} found")]
    Code {
        /// Of what.
        what: &'static str,
        /// The code.
        found: u64,
    },
    /// Bytes that are no text.
    #[error("text expected as {what}, other bytes found")]
    Text {
        /// As what.
        what: &'static str,
    },
}
