//! The file `accounts`: a line that names it, then JSON.
//!
//! ```text
//! visitlog-accounts 1 4c7a...   the format, its version, BLAKE3 of all that follows the line's end, in hexadecimal
//! {"device_key": "...", "users": [...], "tokens": [...], "sessions": [...]}
//! ```
//!
//! Times are milliseconds since 1970. `password` is argon2id's PHC text; `hash` is BLAKE3 of a token or session, derived
//! under a context of its own. Unknown fields are an error: a newer version has another number.

use serde::{Deserialize, Serialize};

const MAGIC: &str = "visitlog-accounts";
const VERSION: &str = "1";

/// All that is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// What browsers' marks are made under, 32 bytes in hexadecimal.
    pub device_key: String,
    /// Accounts.
    pub users: Vec<StoredUser>,
    /// API tokens.
    pub tokens: Vec<StoredToken>,
    /// Who is signed in.
    pub sessions: Vec<StoredSession>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredUser {
    /// Its name, in lower case.
    pub name: String,
    /// `viewer`, `analyst` or `admin`.
    pub role: String,
    /// PHC text.
    pub password: String,
    /// When it was made.
    pub created_ms: i64,
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredToken {
    /// What it is called by, which opens nothing.
    pub id: String,
    /// What it is for, in its maker's words.
    pub name: String,
    /// Of the token.
    pub hash: String,
    /// What it may do, while its owner may.
    pub scopes: Vec<String>,
    /// Whose it is; none where the command line made it.
    pub owner: Option<String>,
    /// When it was made.
    pub created_ms: i64,
    /// When it opens nothing any more.
    pub expires_ms: Option<i64>,
    /// When it was used last, by the hour.
    pub last_used_ms: Option<i64>,
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSession {
    /// Of the cookie's value.
    pub hash: String,
    /// Whose it is.
    pub user: String,
    /// When it began.
    pub created_ms: i64,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not of this format or version.
    #[error("a first line \"{MAGIC} {VERSION} CHECKSUM\" expected, {found:?} found")]
    Head {
        /// What it begins with.
        found: String,
    },
    /// Its content is not what was written.
    #[error("checksum {expected} expected, {found} found")]
    Checksum {
        /// As its first line has it.
        expected: String,
        /// Of what there is.
        found: String,
    },
    /// Its content can't be read.
    #[error("its JSON can't be read")]
    Json(#[from] serde_json::Error),
}

impl Stored {
    /// The file's text.
    ///
    /// # Errors
    /// Never, for what can be stored is text.
    pub fn to_text(&self) -> Result<String, FormatError> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        Ok(format!("{MAGIC} {VERSION} {}\n{json}", blake3::hash(json.as_bytes()).to_hex()))
    }

    /// What a file's text holds.
    ///
    /// # Errors
    /// When it is of another format or version, or damaged.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (head, json) = text.split_once('\n').unwrap_or((text, ""));
        let expected = head.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' '));
        let expected = expected.and_then(|rest| rest.strip_prefix(VERSION)).and_then(|rest| rest.strip_prefix(' '));
        let Some(expected) = expected else {
            return Err(FormatError::Head { found: head.chars().take(64).collect() });
        };
        let found = blake3::hash(json.as_bytes()).to_hex();
        if expected != found.as_str() {
            return Err(FormatError::Checksum { expected: expected.to_owned(), found: found.to_string() });
        }
        Ok(serde_json::from_str(json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = include_str!("../../../tests/fixtures/accounts-1");

    #[test]
    fn the_first_version_is_read_and_written_as_it_was() {
        let stored = Stored::parse(FIRST).expect("the fixture");
        assert_eq!(stored.users[0].name, "ann");
        assert_eq!(stored.tokens[0].scopes, ["metrics", "read"]);
        assert_eq!(stored.sessions.len(), 1);
        assert_eq!(stored.to_text().expect("text"), FIRST);
    }

    #[test]
    fn what_is_torn_changed_or_newer_is_refused() {
        let torn = &FIRST[..FIRST.len() - 7];
        assert!(matches!(Stored::parse(torn), Err(FormatError::Checksum { .. })));
        let changed = FIRST.replace("viewer", "admin");
        assert!(matches!(Stored::parse(&changed), Err(FormatError::Checksum { .. })));
        for other in ["", "{}", "visitlog-accounts 2 00\n{}"] {
            assert!(matches!(Stored::parse(other), Err(FormatError::Head { .. })), "{other}");
        }
        let json = "{\"device_key\":\"\",\"users\":[],\"tokens\":[],\"sessions\":[],\"more\":1}";
        let more = format!("visitlog-accounts 1 {}\n{json}", blake3::hash(json.as_bytes()).to_hex());
        assert!(matches!(Stored::parse(&more), Err(FormatError::Json(_))));
    }
}
