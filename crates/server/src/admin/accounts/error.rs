//! Why accounts can't be had.

use std::io;
use std::path::PathBuf;

use super::audit::AuditError;
use super::format::FormatError;
use super::password::PasswordError;

/// A name is typed and shown in one line.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// Accounts, and tokens: each request looks at all tokens.
pub(super) const ACCOUNTS_MAX: usize = 1000;

/// Why accounts can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The disk, or the source of random bits, refused.
    #[error("accounts in {}: {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is damaged.
    #[error("accounts in {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: FormatError,
    },
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What was asked for can't be.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why a change is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// Not a name.
    #[error("name {name:?}: 1 to {NAME_CHARS_MAX} letters, digits and any of . _ @ + - expected")]
    Name {
        /// What it is instead.
        name: String,
    },
    /// Taken.
    #[error("there is an account {name} already")]
    Taken {
        /// Whose.
        name: String,
    },
    /// Nobody has it.
    #[error("there is no account {name}")]
    NoUser {
        /// The name.
        name: String,
    },
    /// No token has it.
    #[error("there is no token {id}")]
    NoToken {
        /// The id.
        id: String,
    },
    /// Nobody would be left who may add accounts.
    #[error("{name} is the last admin; make another one first")]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// A token's name.
    #[error("a token's name: 1 to {NAME_CHARS_MAX} characters expected")]
    TokenName,
    /// A token that may nothing.
    #[error("a token needs a scope of: {allowed}")]
    NoScope {
        /// What its maker may give.
        allowed: String,
    },
    /// Enough.
    #[error("{ACCOUNTS_MAX} at most, and there are as many; remove some first")]
    Full,
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordError),
}
