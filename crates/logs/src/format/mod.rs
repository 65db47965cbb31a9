//! Formats: what a line holds and what each part of it means.

mod apache;
mod builtin;
mod column;
mod json;
mod layout;
mod nginx;
mod shape;
mod w3c;

use std::fmt;
use std::sync::Arc;

pub(crate) use column::{Clock, Meaning, Unit};
pub use column::{Column, Common, Kind};
pub(crate) use json::Keys;
pub(crate) use layout::Layout;
pub use shape::TemplateError;
pub(crate) use shape::{Check, Item, Shape};
pub use w3c::Directives;

/// A name or a format string that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No format has this name.
    #[error("unknown format {name}: one of {}, or a format string of nginx ($remote_addr ...) or Apache (%h ...) expected", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A format string can't be used.
    #[error("format string {template}")]
    Template {
        /// The string.
        template: String,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
}

/// How values are written, so that they can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// As they are.
    None,
    /// `\"`, `\\`, `\xHH` (Apache, nginx).
    Backslash,
    /// `""` in quotes.
    Doubled,
    /// JSON's.
    Json,
}

/// How lines are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// The first shape that fits.
    Shapes(Vec<Shape>),
    /// As `#Fields` says.
    W3c,
    /// Commas between 15 values.
    Iis(Layout),
    /// One object.
    Json(Keys),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) body: Body,
    pub(crate) columns: Vec<Column>,
    pub(crate) escapes: Escapes,
    /// The time is that of the answer; the request came its duration before.
    pub(crate) is_time_of_end: bool,
    /// Lines stand behind syslog's time, host and program.
    pub(crate) is_in_syslog: bool,
    /// What says of a line that it is something else than a request, which is no error.
    pub(crate) asides: Asides,
}

/// What else stands in logs of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asides {
    /// Nothing: what does not fit is rejected.
    None,
    /// HAProxy's messages about itself and about connections.
    Haproxy,
    /// Caddy's log of itself: an object with level, time and message, and no request.
    Caddy,
}

/// A log format. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Format(Arc<Inner>);

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Format").field("name", &self.0.name).field("columns", &self.0.columns.len()).finish()
    }
}

impl Format {
    /// The format of a name (see [`Format::all`]), or of a format string: nginx's `log_format`, Apache's `LogFormat`,
    /// taken as they stand in the server's configuration, with or without the directive around them.
    ///
    /// What a name alone does not tell (the columns of W3C and JSON logs) comes from [`Format::with_sample`].
    ///
    /// # Errors
    /// No such name, or a string whose fields could not be told apart.
    pub fn named(text: &str) -> Result<Self, FormatError> {
        let trimmed = text.trim();
        if let Some(inner) = trimmed.strip_prefix("syslog+") {
            return Self::named(inner).map(|format| format.in_syslog());
        }
        if let Some(format) = builtin::named(trimmed) {
            return Ok(format);
        }
        if trimmed.contains('$') || trimmed.contains('%') {
            return builtin::of_template(trimmed)
                .map_err(|source| FormatError::Template { template: trimmed.to_owned(), source });
        }
        let known = Self::all().iter().map(|format| format.name().to_owned()).collect();
        Err(FormatError::Unknown { name: trimmed.to_owned(), known })
    }

    /// The formats that have a name.
    pub fn all() -> Vec<Self> {
        builtin::all()
    }

    /// Its name; the format string, if it was made of one.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is, in one line.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// The log's own columns. Those of W3C and JSON logs are known once a sample was seen.
    pub fn columns(&self) -> &[Column] {
        &self.0.columns
    }

    /// Where the column of this name is among [`Format::columns`], in any case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.0.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Some column gives this common one; others are NULL in every row.
    pub fn gives(&self, common: Common) -> bool {
        self.0.columns.iter().any(|column| column.gives.contains(&common))
    }

    /// The same with the columns that a sample of a log's text has: of every `#Fields` in it, of every key of its objects.
    #[must_use]
    pub fn with_sample(&self, sample: &[u8]) -> Self {
        match &self.0.body {
            Body::Shapes(_) | Body::Iis(_) => self.clone(),
            Body::W3c => {
                let mut directives = Directives::default();
                let mut columns = self.0.columns.clone();
                for line in lines(sample) {
                    if directives.read(line) {
                        layout::add_columns(&mut columns, &directives.layout_fields());
                    }
                }
                self.with_columns(columns)
            }
            Body::Json(keys) => {
                let keys = keys.with_sample(sample);
                let mut columns = Vec::new();
                layout::add_columns(&mut columns, keys.fields());
                let keys = keys.laid_out(&columns);
                Self(Arc::new(Inner { body: Body::Json(keys), columns, ..Inner::clone(&self.0) }))
            }
        }
    }

    /// The same with the columns of `other` too, which are the same format's of another file.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (&self.0.body, &other.0.body) {
            (Body::W3c, Body::W3c) => {
                let mut columns = self.0.columns.clone();
                for column in &other.0.columns {
                    match columns.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&column.name)) {
                        Some(known) => known.kind = known.kind.with(column.kind),
                        None => columns.push(column.clone()),
                    }
                }
                self.with_columns(columns)
            }
            (Body::Json(keys), Body::Json(more)) => {
                let keys = keys.union(more);
                let mut columns = Vec::new();
                layout::add_columns(&mut columns, keys.fields());
                let keys = keys.laid_out(&columns);
                Self(Arc::new(Inner { body: Body::Json(keys), columns, ..Inner::clone(&self.0) }))
            }
            _ => self.clone(),
        }
    }

    /// The columns depend on what stands in the file: [`Format::with_sample`] finds them, and several files have the
    /// [`Format::union`] of theirs.
    pub fn is_self_describing(&self) -> bool {
        matches!(self.0.body, Body::W3c | Body::Json(_))
    }

    fn with_columns(&self, columns: Vec<Column>) -> Self {
        Self(Arc::new(Inner { columns, ..Inner::clone(&self.0) }))
    }

    pub(crate) fn in_syslog(&self) -> Self {
        builtin::in_syslog(self)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl From<Inner> for Format {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

/// The lines of a text, without what ends them.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
