//! Formats by their names and format strings; with the columns of a sample, and with something around their lines.

use super::column::Column;
use super::inner::{Body, Format, Inner};
use super::json::Keys;
use super::layout::add_columns;
use super::shape::TemplateError;
use super::w3c::Directives;
use super::wrap::{self, Wrap};
use super::{builtin, template};

/// A name or a format string that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No format has this name.
    #[error("unknown format {name}: one of {}, or a format string of nginx ($remote_addr ...), Apache (%h ...), HAProxy, Envoy, Squid or Tomcat, or #Fields: of W3C, expected", known.join(", "))]
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
        if let (wraps @ [_, ..], inner) = (&wrap::of_name(trimmed).0[..], wrap::of_name(trimmed).1) {
            return Self::named(inner).map(|format| format.wrapped(wraps));
        }
        if let Some(format) = builtin::named(trimmed) {
            return Ok(format);
        }
        if trimmed.contains(['$', '%', '#']) {
            return template::of_template(trimmed)
                .map_err(|source| FormatError::Template { template: trimmed.to_owned(), source });
        }
        let known = Self::all().iter().map(|format| format.name().to_owned()).collect();
        Err(FormatError::Unknown { name: trimmed.to_owned(), known })
    }

    /// The formats that have a name.
    pub fn all() -> Vec<Self> {
        builtin::all()
    }

    /// The same with the columns that a sample of a log's text has: of every `#Fields` in it, of every key of its objects.
    #[must_use]
    pub fn with_sample(&self, sample: &[u8]) -> Self {
        match &self.inner().body {
            Body::Shapes(_) => self.clone(),
            Body::Iis(_) => {
                let mut days = lines(sample).filter_map(|line| line.split(|byte| *byte == b',').nth(2));
                let is_day_first = days.any(|day| crate::parse::is_day_first(day.trim_ascii()));
                Self::from(Inner { is_day_first, ..self.inner().clone() })
            }
            Body::W3c => {
                let mut directives = Directives::default();
                let mut columns = self.inner().columns.clone();
                for line in lines(sample) {
                    if directives.read(line) {
                        add_columns(&mut columns, &directives.layout_fields());
                    }
                }
                self.with_columns(columns)
            }
            Body::Json(keys) => {
                let mut unwrapped = Vec::new();
                let sample = match self.inner().wraps.is_empty() {
                    true => sample,
                    false => {
                        unwrap_all(&self.inner().wraps, sample, &mut unwrapped);
                        &unwrapped[..]
                    }
                };
                let said = lines(sample).filter(|line| !line.is_empty() && line[0] != b'#');
                self.with_keys(keys.with_sample(said))
            }
        }
    }

    fn with_keys(&self, keys: Keys) -> Self {
        let mut columns = Vec::new();
        add_columns(&mut columns, keys.fields());
        let more = if self.inner().wraps.is_empty() { Vec::new() } else { wrap::fields(&self.inner().wraps).to_vec() };
        add_columns(&mut columns, &more);
        let keys = keys.laid_out(&columns, &more);
        Self::from(Inner { body: Body::Json(keys), columns, ..self.inner().clone() })
    }

    fn with_columns(&self, columns: Vec<Column>) -> Self {
        Self::from(Inner { columns, ..self.inner().clone() })
    }

    /// The same with these around its lines.
    pub(crate) fn wrapped(&self, wraps: &[Wrap]) -> Self {
        if wraps.is_empty() { self.clone() } else { wrapped(self, wraps) }
    }
}

/// The same format with something around its lines.
fn wrapped(format: &Format, wraps: &[Wrap]) -> Format {
    let inner = format.inner();
    let more = wrap::fields(wraps);
    let mut columns = inner.columns.clone();
    let body = match &inner.body {
        Body::Shapes(shapes) => {
            add_columns(&mut columns, &more);
            Body::Shapes(shapes.iter().map(|shape| shape.clone().laid_out(&columns, &more)).collect())
        }
        Body::Json(keys) => {
            add_columns(&mut columns, &more);
            Body::Json(keys.clone().laid_out(&columns, &more))
        }
        body => body.clone(),
    };
    let names = wraps.iter().map(|wrap| format!("{wrap}+")).collect::<String>();
    let around = wraps.iter().map(Wrap::description).collect::<Vec<_>>().join(", ");
    Format::from(Inner {
        name: format!("{names}{}", inner.name),
        description: format!("{}, {around}", inner.description),
        body,
        columns,
        wraps: wraps.to_vec(),
        ..inner.clone()
    })
}

/// The lines of a text, without what ends them; each object of an array that is one line is one of its own.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.flat_map(|line| {
        let mut range = crate::parse::records(line);
        let is_whole = range.is_none();
        let records = std::iter::from_fn(move || {
            let found = crate::parse::next_record(line, range.clone()?)?;
            range = range.as_ref().map(|range| found.end..range.end);
            Some(&line[found])
        });
        is_whole.then_some(line).into_iter().chain(records)
    })
}

/// Writes the lines of a text without what stands around them.
pub(crate) fn unwrap_all(wraps: &[Wrap], text: &[u8], out: &mut Vec<u8>) {
    let mut inner = Vec::new();
    for line in lines(text) {
        let (line, outer) = crate::parse::unwrap(wraps, line, &mut inner);
        out.extend_from_slice(&line[outer.start..outer.end]);
        out.push(b'\n');
    }
}
