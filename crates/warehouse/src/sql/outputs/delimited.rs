//! CSV and TSV.

use datafusion::arrow::array::RecordBatch;

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
}

impl Delimited {
    pub(super) const fn csv(names: Vec<String>) -> Self {
        Self { kind: Kind::Csv, names }
    }

    pub(super) const fn tsv(names: Vec<String>) -> Self {
        Self { kind: Kind::Tsv, names }
    }

    fn field(&self, text: Option<&str>, out: &mut Vec<u8>) {
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
        for (column, name) in self.names.iter().enumerate() {
            self.between(column, out);
            self.field(Some(name), out);
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
                self.field(known.then_some(&text), out);
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), OutputError> {
        Ok(())
    }
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
