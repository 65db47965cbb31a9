//! CSV and TSV.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};

use super::table::is_obeyed;
use super::text::Texts;
use super::{Encode, OutputError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Csv,
    Tsv,
}

/// Lines of fields.
#[derive(Debug)]
pub(super) struct Delimited {
    kind: Kind,
    names: Vec<String>,
    /// Whether a column holds what somebody may have written. (A number that is below zero is no formula.)
    is_free: Vec<bool>,
    /// Texts are written as they are.
    is_raw: bool,
    safe: String,
}

impl Delimited {
    pub(super) fn csv(names: Vec<String>, schema: &Schema, is_raw: bool) -> Self {
        Self::new(Kind::Csv, names, schema, is_raw)
    }

    pub(super) fn tsv(names: Vec<String>, schema: &Schema, is_raw: bool) -> Self {
        Self::new(Kind::Tsv, names, schema, is_raw)
    }

    fn new(kind: Kind, names: Vec<String>, schema: &Schema, is_raw: bool) -> Self {
        let is_free = schema.fields().iter().map(|field| {
            let kind = field.data_type();
            !(kind.is_numeric() || kind.is_temporal() || kind.is_null() || *kind == DataType::Boolean)
        });
        Self { kind, names, is_free: is_free.collect(), is_raw, safe: String::new() }
    }

    fn field(&mut self, column: usize, text: Option<&str>, out: &mut Vec<u8>) {
        let is_free = !self.is_raw && self.is_free.get(column).copied().unwrap_or(true);
        let text = match text {
            Some(text) if is_free && is_unsafe(text) => {
                self.safe.clear();
                make_safe(text, &mut self.safe);
                Some(self.safe.as_str())
            }
            other => other,
        };
        match (self.kind, text) {
            (Kind::Csv, None) => {}
            (Kind::Csv, Some(text)) => quoted(text, out),
            (Kind::Tsv, None) => out.extend_from_slice(b"\\N"),
            (Kind::Tsv, Some(text)) => escaped(text, out),
        }
    }

    fn between(&self, column: usize, out: &mut Vec<u8>) {
        if column > 0 {
            out.push(if self.kind == Kind::Csv { b',' } else { b'\t' });
        }
    }
}

impl Encode for Delimited {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        for (column, name) in std::mem::take(&mut self.names).iter().enumerate() {
            self.between(column, out);
            self.field(usize::MAX, Some(name), out);
        }
        out.push(b'\n');
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let columns = Texts::of(batch)?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (column, texts) in columns.iter().enumerate() {
                self.between(column, out);
                text.clear();
                let known = texts.write(row, &mut text)?;
                self.field(column, known.then_some(&text), out);
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), OutputError> {
        Ok(())
    }
}

/// Whether a spreadsheet would take it for a formula, or a terminal would obey a part of it. (Line ends and tabs are
/// quoted or escaped anyway.)
fn is_unsafe(text: &str) -> bool {
    is_formula(text) || text.chars().any(is_replaced)
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.len() > 1 && text.parse::<f64>().is_err()
}

fn is_replaced(c: char) -> bool {
    is_obeyed(c) && !matches!(c, '\n' | '\r' | '\t')
}

fn make_safe(text: &str, out: &mut String) {
    if is_formula(text) {
        out.push('\'');
    }
    out.extend(text.chars().map(|c| if is_replaced(c) { '\u{fffd}' } else { c }));
}

/// In quotes where it must be; an empty text too, which is not `NULL`.
fn quoted(text: &str, out: &mut Vec<u8>) {
    let special = |byte: u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    let plain = !text.is_empty() && !text.bytes().any(special) && text.trim().len() == text.len();
    if plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn escaped(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            other => out.push(other),
        }
    }
}
