//! What is wrong with a statement, in words for whoever wrote it, with a code that programs can rely on.

use std::time::Duration;

use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use super::catalog::CatalogError;
use super::outputs::OutputError;
use super::rewrite::SourceError;
use super::watch::Stopped;

/// Columns or tables that are listed in an error at most.
const LISTED_MAX: usize = 60;

/// Why a statement gives no result, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It is more than reading.
    #[error("{what}: only reading is allowed: SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, SHOW COLUMNS, DESCRIBE")]
    NotAllowed {
        /// What it is.
        what: String,
    },
    /// It reads a file where none are read.
    #[error(
        "{name}: only reading of tables is allowed here, no file reading through the server: `visitlog query` reads files where they are"
    )]
    NoFiles {
        /// The file, as named.
        name: String,
    },
    /// A file can't be read, or not as it is asked to.
    #[error(transparent)]
    Files(#[from] crate::logs::FilesError),
    /// It is none, or more than one.
    #[error("one statement expected, {} found", if *found == 0 { "none".to_owned() } else { found.to_string() })]
    Statements {
        /// How many there are.
        found: usize,
    },
    /// It is too long.
    #[error("the statement has {bytes} bytes, {max} bytes at most are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest.
        max: usize,
    },
    /// It is a short text for something very large.
    #[error("{what}: a statement in several steps, or a smaller one, expected")]
    TooLarge {
        /// What there is too much of.
        what: String,
    },
    /// It can't be parsed.
    #[error("{message}")]
    Syntax {
        /// Where, and what was expected.
        message: String,
    },
    /// A table that is not there.
    #[error("no table {name}{}; there are {}", nearest.as_ref().map(|near| format!(", perhaps {near}")).unwrap_or_default(), tables.join(", "))]
    UnknownTable {
        /// The name.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
        /// What there is.
        tables: Vec<String>,
    },
    /// A column that is not there.
    #[error("no column {name}{}; there are {}", nearest.as_ref().map(|near| format!(", perhaps {near}")).unwrap_or_default(), list(columns))]
    UnknownColumn {
        /// The name.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
        /// What there is.
        columns: Vec<String>,
    },
    /// It can't be planned for another reason: types that don't fit, a function that is not there.
    #[error("{message}")]
    Plan {
        /// What is wrong.
        message: String,
    },
    /// It went wrong over a value: a division by zero, a text that is no number.
    #[error("{message}")]
    Execution {
        /// What went wrong.
        message: String,
    },
    /// It needs more memory, and disk, than there is for all statements.
    #[error("the statement needs more than the {} MiB of memory, and the disk beside it, that statements may take: read fewer rows, or group by less", limit_bytes >> 20)]
    Memory {
        /// The limit.
        limit_bytes: usize,
    },
    /// It took too long.
    #[error("the statement took longer than {limit:?}")]
    Time {
        /// The limit.
        limit: Duration,
    },
    /// It gives too many rows.
    #[error("the result has more than {limit} rows: add a LIMIT, or group")]
    Rows {
        /// The limit.
        limit: u64,
    },
    /// The tables can't be read now.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// It ended without saying how.
    #[error("the statement broke off")]
    Lost,
    /// A fault of ours, or of what we are built on.
    #[error("an internal fault")]
    Internal(#[source] Box<DataFusionError>),
}

impl SqlError {
    /// What it is, in a word that does not change.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } | Self::NoFiles { .. } => "not_allowed",
            Self::Files(_) => "bad_file",
            Self::Statements { .. } | Self::TooLong { .. } | Self::TooLarge { .. } | Self::Syntax { .. } => "bad_sql",
            Self::UnknownTable { .. } => "unknown_table",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::Plan { .. } => "bad_query",
            Self::Execution { .. } => "failed",
            Self::Memory { .. } => "memory_limit",
            Self::Time { .. } => "time_limit",
            Self::Rows { .. } => "row_limit",
            Self::Catalog(_) => "unavailable",
            Self::Lost | Self::Internal(_) => "internal",
        }
    }

    pub(super) fn from_parser(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::SQL(error, _) => Self::Syntax {
                message: match error.as_ref() {
                    ParserError::RecursionLimitExceeded => "nested too deep".to_owned(),
                    ParserError::ParserError(message) | ParserError::TokenizerError(message) => message.clone(),
                },
            },
            other => Self::Syntax { message: plain(other) },
        }
    }

    pub(super) fn unknown_table(name: String, tables: Vec<String>) -> Self {
        let nearest = nearest(&name, &tables);
        Self::UnknownTable { name, nearest, tables }
    }

    /// What the engine said, for a reader. `memory_bytes` is the limit that holds.
    pub(super) fn from_engine(error: DataFusionError, memory_bytes: usize) -> Self {
        if is_disk_limit(&error) {
            return Self::Memory { limit_bytes: memory_bytes };
        }
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => unknown_column(field, valid_fields),
                _ => Self::Plan { message: plain(&error) },
            },
            DataFusionError::NotImplemented(what) if what.contains("WindowFunction(") => Self::Plan {
                message: "what counts over the whole result (windows, OUT_ROW_NUMBER, SEQUENCE, HASHSEQ) has no place in WHERE \
                          or GROUP BY: a query around this one expected"
                    .to_owned(),
            },
            DataFusionError::Plan(_) | DataFusionError::NotImplemented(_) | DataFusionError::Diagnostic(..) => {
                Self::Plan { message: plain(&error) }
            }
            DataFusionError::SQL(..) => Self::from_parser(&error),
            DataFusionError::External(of_file) if of_file.is::<crate::logs::FilesError>() => {
                Self::Execution { message: crate::logs::with_sources(of_file.as_ref()) }
            }
            DataFusionError::External(stopped) if stopped.is::<Stopped>() => match stopped.downcast_ref() {
                Some(Stopped::Time { limit }) => Self::Time { limit: *limit },
                _ => Self::Lost,
            },
            DataFusionError::ResourcesExhausted(_) => Self::Memory { limit_bytes: memory_bytes },
            DataFusionError::Execution(_) | DataFusionError::ArrowError(..) | DataFusionError::Collection(_) => {
                Self::Execution { message: plain(&error) }
            }
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<SourceError> for SqlError {
    fn from(error: SourceError) -> Self {
        Self::Syntax { message: error.to_string() }
    }
}

impl From<OutputError> for SqlError {
    fn from(error: OutputError) -> Self {
        let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
        Self::Execution { message: format!("{error}{why}") }
    }
}

/// The disk for what does not fit into memory is full. The engine has no kind of its own for that.
fn is_disk_limit(error: &DataFusionError) -> bool {
    error.find_root().message().contains("max_temp_directory_size")
}

fn unknown_column(field: &Column, valid: &[Column]) -> SqlError {
    let name = field.name().to_owned();
    let mut columns: Vec<String> = valid.iter().map(|column| column.name().to_owned()).collect();
    let mut seen = std::collections::HashSet::new();
    columns.retain(|column| seen.insert(column.clone()));
    SqlError::UnknownColumn { nearest: nearest(&name, &columns), name, columns }
}

/// The name most like `name`, if one is like it at all.
pub(crate) fn nearest(name: &str, names: &[impl AsRef<str>]) -> Option<String> {
    let name = name.to_lowercase();
    let far = |other: &str| levenshtein(&name, &other.to_lowercase());
    let names = names.iter().map(AsRef::as_ref);
    let (distance, nearest) = names.map(|other| (far(other), other)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.chars().count() / 3).then(|| nearest.to_owned())
}

fn list(names: &[String]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        all if all > LISTED_MAX => format!("{}, and {} more", names[..LISTED_MAX].join(", "), all - LISTED_MAX),
        _ => names.join(", "),
    }
}

/// The root's words, without what the engine puts around them.
fn plain(error: &DataFusionError) -> String {
    let message = error.find_root().strip_backtrace();
    let mut words = message.as_str();
    for prefix in ["Error during planning: ", "Execution error: ", "Arrow error: ", "This feature is not implemented: "]
    {
        words = words.strip_prefix(prefix).unwrap_or(words);
    }
    words.lines().next().unwrap_or(words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["visits", "events", "online"];
        assert_eq!(nearest("visit", &names).as_deref(), Some("visits"));
        assert_eq!(nearest("EVENT", &names).as_deref(), Some("events"));
        assert_eq!(nearest("customers", &names), None);
        assert_eq!(nearest("x", &[""; 0]), None);
    }
}
