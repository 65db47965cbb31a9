//! In whose SQL a statement is written.

use std::str::FromStr;

/// In whose SQL a statement is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's, with LogParser's functions where they clash with none.
    #[default]
    Sql,
    /// The same, and LogParser's functions win.
    LogParser,
}

/// A name that is no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dialect {found}: sql or logparser expected")]
pub struct UnknownDialect {
    /// The name.
    pub found: String,
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text {
            "sql" => Ok(Self::Sql),
            "logparser" => Ok(Self::LogParser),
            _ => Err(UnknownDialect { found: text.to_owned() }),
        }
    }
}
