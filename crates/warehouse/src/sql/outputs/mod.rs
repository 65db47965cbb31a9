//! Results as text or bytes. All formats stream: a batch goes in, its bytes come out.
//!
//! Moments are RFC 3339 in UTC, numbers are exact. `NULL` is `NULL` in a table, nothing in CSV (an empty text is
//! `""`), `\N` in TSV, `null` in JSON. Tables and charts are for a person at a terminal: long texts are cut, and what a
//! terminal would obey is made harmless. JSON escapes it. CSV and TSV are opened in spreadsheets, and strangers write into
//! logs: a text that would be a formula there gets a `'` in front, and control characters are replaced; `csv-raw` and
//! `tsv-raw`, which are for programs, keep every byte, and so does Parquet.

mod chart;
mod delimited;
mod json;
mod parquet;
mod table;
mod text;

use std::fmt;
use std::str::FromStr;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::error::nearest;

/// The width of a chart where nobody says how wide it may be.
pub const CHART_WIDTH: usize = 80;

/// How a result is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    #[default]
    Table,
    /// Comma-separated, RFC 4180, with a header.
    Csv,
    /// Tab-separated with a header; tabs, line ends and backslashes in texts are `\t`, `\n`, `\r`, `\\`.
    Tsv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// A Parquet file.
    Parquet,
    /// Bars, or a line over time, for a person.
    Chart,
    /// As CSV, with each text as it is: for programs, not for spreadsheets and terminals.
    RawCsv,
    /// As TSV, in the same way.
    RawTsv,
}

/// A name that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("format {found}: one of {} expected{}", Format::NAMES.join(", "), nearest(found, &Format::NAMES).map(|near| format!(", perhaps {near}")).unwrap_or_default())]
pub struct UnknownFormat {
    /// The name.
    pub found: String,
}

impl Format {
    /// The names of all formats.
    pub const NAMES: [&str; 9] = ["table", "csv", "tsv", "json", "ndjson", "parquet", "chart", "csv-raw", "tsv-raw"];
    const ALL: [Self; 9] = [
        Self::Table,
        Self::Csv,
        Self::Tsv,
        Self::Json,
        Self::Ndjson,
        Self::Parquet,
        Self::Chart,
        Self::RawCsv,
        Self::RawTsv,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether it is for a person, and may say more than the rows.
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Chart)
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Table | Self::Chart => "text/plain; charset=utf-8",
            Self::Csv | Self::RawCsv => "text/csv; charset=utf-8; header=present",
            Self::Tsv | Self::RawTsv => "text/tab-separated-values; charset=utf-8",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownFormat { found: text.to_owned() })
    }
}

/// Why a result can't be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A value that can't be shown.
    #[error("write the result")]
    Arrow(#[from] ArrowError),
    /// A result that is none for a chart.
    #[error("a chart needs {expected}, {found} found")]
    Chart {
        /// What it needs.
        expected: &'static str,
        /// What there is.
        found: String,
    },
    /// The Parquet file.
    #[error("write the result as Parquet")]
    Parquet(#[from] deltalake::parquet::errors::ParquetError),
}

/// Writes one result: `begin`, a `batch` for each, `end`. Each adds its bytes to `out`.
pub trait Encode: fmt::Debug + Send {
    /// What goes before the rows.
    ///
    /// # Errors
    /// When the columns can't be written so.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError>;

    /// Some rows.
    ///
    /// # Errors
    /// When a value can't be written so.
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), OutputError>;

    /// What comes after the rows.
    ///
    /// # Errors
    /// When what was kept back can't be written.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError>;
}

/// A writer of results with these columns.
pub fn encoder(format: Format, schema: &Schema) -> Box<dyn Encode> {
    encoder_within(format, schema, CHART_WIDTH)
}

/// The same, for a terminal of so many columns: a chart is as wide.
pub fn encoder_within(format: Format, schema: &Schema, width: usize) -> Box<dyn Encode> {
    let names = unique_names(schema);
    match format {
        Format::Table => Box::new(table::Table::new(&names, schema)),
        Format::Csv | Format::RawCsv => Box::new(delimited::Delimited::csv(names, schema, format == Format::RawCsv)),
        Format::Tsv | Format::RawTsv => Box::new(delimited::Delimited::tsv(names, schema, format == Format::RawTsv)),
        Format::Json => Box::new(json::Json::array(&names)),
        Format::Ndjson => Box::new(json::Json::lines(&names)),
        Format::Parquet => Box::new(parquet::Parquet::new(&names, schema)),
        Format::Chart => Box::new(chart::Chart::new(&names, schema, width)),
    }
}

/// The columns' names; the second `site` is `site_2`: a join gives two, an object can have one.
fn unique_names(schema: &Schema) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{}_{number}", field.name());
            number += 1;
        }
        names.push(name);
    }
    names
}

/// Whether it is made of other values.
fn is_nested(kind: &DataType) -> bool {
    kind.is_nested() || matches!(kind, DataType::Union(..))
}

/// Columns that any reader of Parquet takes: what JSON operators give is text.
fn flat_schema(names: &[String], schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().zip(names).map(|(field, name)| match field.data_type() {
        DataType::Union(..) => Field::new(name, DataType::Utf8, true),
        DataType::Null => Field::new(name, DataType::Utf8, true),
        other => Field::new(name, other.clone(), field.is_nullable()),
    });
    SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()))
}
