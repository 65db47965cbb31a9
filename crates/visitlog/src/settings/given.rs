//! What somebody gave as a setting's value, and where.

use std::fmt;
use std::path::PathBuf;

use toml_edit::{Item, Value as Toml};

/// A value before anybody has looked whether it makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A text.
    Text(String),
    /// `true` or `false`.
    Switch(bool),
    /// A whole number.
    Number(i64),
    /// A list.
    List(Vec<Given>),
    /// A table: its keys, and what they are given.
    Table(Vec<(String, Given)>),
    /// Something that no setting is: a date, a number with a fraction.
    Other(String),
}

impl Given {
    /// As a file has it.
    pub(crate) fn of_toml(value: &Toml) -> Self {
        match value {
            Toml::String(text) => Self::Text(text.value().clone()),
            Toml::Integer(number) => Self::Number(*number.value()),
            Toml::Boolean(switch) => Self::Switch(*switch.value()),
            Toml::Array(array) => Self::List(array.iter().map(Self::of_toml).collect()),
            Toml::InlineTable(table) => Self::of_table(table),
            Toml::Float(_) | Toml::Datetime(_) => Self::Other(value.to_string().trim().to_owned()),
        }
    }

    /// A table of the file.
    pub(crate) fn of_table(table: &dyn toml_edit::TableLike) -> Self {
        let of_item = |item: &Item| match (item.as_value(), item.as_table_like()) {
            (Some(value), _) => Self::of_toml(value),
            (None, Some(table)) => Self::of_table(table),
            (None, None) => Self::Other(item.to_string().trim().to_owned()),
        };
        Self::Table(table.iter().map(|(key, item)| (key.to_owned(), of_item(item))).collect())
    }

    /// As the environment or the command line has it, where everything is a text. A list's parts stand between commas; one
    /// that has commas in it is written as in the file: `["a,b", "c"]`.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn of_text(text: &str, is_list: bool) -> Result<Self, String> {
        if !is_list {
            return Ok(Self::Text(text.to_owned()));
        }
        if text.trim_start().starts_with('[') {
            let value: Toml =
                text.trim().parse().map_err(|_| format!("a list such as [\"a\", \"b\"] expected, {text:?} found"))?;
            return Ok(Self::of_toml(&value));
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self::List(parts.map(|part| Self::Text(part.to_owned())).collect()))
    }
}

/// As a message shows it.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Switch(switch) => switch.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Other(text) => f.write_str(text),
            Self::Table(parts) => {
                f.write_str("{")?;
                for (index, (key, given)) in parts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { " " };
                    write!(f, "{comma}{key} = {given}")?;
                }
                f.write_str(" }")
            }
            Self::List(parts) => {
                f.write_str("[")?;
                for (index, part) in parts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{part}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// An option of the command line, or what stands for one.
    Flag(String),
    /// A credential of the service manager.
    Credential(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Credential(path) => write!(f, "{}", path.display()),
        }
    }
}
