//! Accounts and tokens as they are shown, and who asks.

use std::time::Duration;

use super::scope::{Role, Scopes};
use super::secret::Secret;

/// An account, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// When it was made.
    pub created_ms: i64,
    /// How often it is signed in now.
    pub sessions: usize,
}

/// A token, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// What it is called by.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whose it is; none where the command line made it.
    pub owner: Option<String>,
    /// When it was made.
    pub created_ms: i64,
    /// When it opens nothing any more.
    pub expires_ms: Option<i64>,
    /// When it was used last, by the hour.
    pub last_used_ms: Option<i64>,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// How long it lives; for ever where nobody says.
    pub lifetime: Option<Duration>,
}

/// A token that was made.
#[derive(Debug)]
pub struct AddedToken {
    /// What it is called by.
    pub id: String,
    /// The token itself, which is nowhere else.
    pub secret: Secret,
}

/// Who asks, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The command line, with the token in the data folder: whoever can read that can do everything by hand.
    CommandLine,
    /// A program with an API token.
    Token {
        /// Its id.
        id: String,
        /// Its owner.
        owner: Option<String>,
        /// What it may do, within what its owner may.
        scopes: Scopes,
    },
    /// A person who has signed in.
    User {
        /// The account.
        name: String,
        /// What it is.
        role: Role,
    },
}

impl Caller {
    /// What it may do.
    pub fn scopes(&self) -> Scopes {
        match self {
            Self::CommandLine => Scopes::ALL,
            Self::Token { scopes, .. } => *scopes,
            Self::User { role, .. } => role.scopes(),
        }
    }

    /// Whose account stands behind it.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::CommandLine => None,
            Self::Token { owner, .. } => owner.as_deref(),
            Self::User { name, .. } => Some(name),
        }
    }

    /// As the audit log names it.
    pub fn words(&self) -> String {
        match self {
            Self::CommandLine => "command line".to_owned(),
            Self::Token { id, .. } => format!("token {id}"),
            Self::User { name, .. } => format!("user {name}"),
        }
    }
}
