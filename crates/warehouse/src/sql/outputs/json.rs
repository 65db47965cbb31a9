//! JSON: numbers with all their digits, also where JavaScript would round them; what is no number (`NaN`) is `null`.

use std::fmt::Write as _;
use std::io::Write as _;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UnionArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::ArrayFormatter;

use super::text::{OPTIONS, member};
use super::{Encode, OutputError};

/// Objects, in one array or a line each.
#[derive(Debug)]
pub(super) struct Json {
    is_array: bool,
    /// `"name":`, with the comma before all but the first.
    keys: Vec<Vec<u8>>,
    rows: u64,
}

impl Json {
    pub(super) fn array(names: &[String]) -> Self {
        Self::new(true, names)
    }

    pub(super) fn lines(names: &[String]) -> Self {
        Self::new(false, names)
    }

    fn new(is_array: bool, names: &[String]) -> Self {
        let keys = names.iter().enumerate().map(|(column, name)| {
            let mut key = if column > 0 { vec![b','] } else { Vec::new() };
            string(name, &mut key);
            key.push(b':');
            key
        });
        Self { is_array, keys: keys.collect(), rows: 0 }
    }
}

impl Encode for Json {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        if self.is_array {
            out.push(b'[');
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let columns = batch.columns().iter().map(Column::new).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            match (self.is_array, self.rows) {
                (true, 0) => out.push(b'\n'),
                (true, _) => out.extend_from_slice(b",\n"),
                (false, _) => {}
            }
            self.rows += 1;
            out.push(b'{');
            for (key, column) in self.keys.iter().zip(&columns) {
                out.extend_from_slice(key);
                column.write(row, out)?;
            }
            out.push(b'}');
            if !self.is_array {
                out.push(b'\n');
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), OutputError> {
        if self.is_array {
            out.extend_from_slice(if self.rows == 0 { b"]\n" } else { b"\n]\n" });
        }
        Ok(())
    }
}

/// One value.
pub(super) fn value(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let kind = array.data_type();
    if array.is_null(row) || *kind == DataType::Null {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match kind {
        DataType::Utf8 => string(array.as_string::<i32>().value(row), out),
        DataType::LargeUtf8 => string(array.as_string::<i64>().value(row), out),
        DataType::Utf8View => string(array.as_string_view().value(row), out),
        DataType::List(_) => list(&array.as_list::<i32>().value(row), out)?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), out)?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), out)?,
        DataType::ListView(_) => list(&array.as_list_view::<i32>().value(row), out)?,
        DataType::LargeListView(_) => list(&array.as_list_view::<i64>().value(row), out)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let names = fields.iter().map(|field| field.name().as_str());
            object(names.zip(columns.columns()).map(|(name, column)| (name, column, row)), out)?;
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (super::text::column(entries.column(0).as_ref())?, entries.column(1));
            let keys = keys.iter().map(Option::unwrap_or_default).enumerate();
            object(keys.map(|(at, key)| (key, values, at)), out)?;
        }
        DataType::Union(..) => union(array, row, out)?,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            value(dictionary.values().as_ref(), dictionary.normalized_keys()[row], out)?;
        }
        _ => Column::Formatted(array, ArrayFormatter::try_new(array, &OPTIONS)?, Look::of(kind)).write(row, out)?,
    }
    Ok(())
}

/// How a value that is made of no others looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// As it is.
    Bare,
    /// As it is, if it is a number.
    Float,
    /// In quotes.
    Quoted,
}

impl Look {
    const fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Self::Bare,
            _ => Self::Quoted,
        }
    }
}

/// A column, prepared once for all of its rows.
enum Column<'a> {
    Formatted(&'a dyn Array, ArrayFormatter<'a>, Look),
    Other(&'a dyn Array),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let (array, kind) = (array.as_ref(), array.data_type());
        let other = super::is_nested(kind)
            || matches!(
                kind,
                DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..)
            );
        if other {
            return Ok(Self::Other(array));
        }
        Ok(Self::Formatted(array, ArrayFormatter::try_new(array, &OPTIONS)?, Look::of(kind)))
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Other(array) => value(*array, row, out),
            Self::Formatted(array, ..) if array.is_null(row) => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            Self::Formatted(_, formatter, look) => formatted(formatter, row, *look, out),
        }
    }
}

fn formatted(formatter: &ArrayFormatter<'_>, row: usize, look: Look, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let failed = |_| ArrowError::InvalidArgumentError("a value has no text".to_owned());
    match look {
        Look::Bare => write!(out, "{}", formatter.value(row))?,
        Look::Float | Look::Quoted => {
            let mut text = String::new();
            write!(text, "{}", formatter.value(row)).map_err(failed)?;
            match look {
                Look::Float if text.ends_with(|c: char| c.is_ascii_digit()) => out.extend_from_slice(text.as_bytes()),
                Look::Float => out.extend_from_slice(b"null"),
                _ => string(&text, out),
            }
        }
    }
    Ok(())
}

fn list(values: &ArrayRef, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(b',');
        }
        value(values.as_ref(), row, out)?;
    }
    out.push(b']');
    Ok(())
}

fn object<'a>(
    fields: impl Iterator<Item = (&'a str, &'a ArrayRef, usize)>,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    out.push(b'{');
    for (at, (name, column, row)) in fields.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        value(column.as_ref(), row, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// What JSON operators give: a value whose type differs by row; lists and objects are JSON already.
fn union(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let union: &UnionArray = array.as_union();
    let (child, at) = member(union, row);
    let name = match union.data_type() {
        DataType::Union(fields, _) => {
            fields.iter().find(|(id, _)| *id == union.type_id(row)).map(|(_, field)| field.name().as_str())
        }
        _ => None,
    };
    match (name, child.as_string_opt::<i32>()) {
        (Some("array" | "object"), Some(texts)) if texts.is_valid(at) => {
            raw(texts.value(at), out);
            Ok(())
        }
        _ => value(child, at, out),
    }
}

/// JSON that is embedded as it is, on one line.
fn raw(json: &str, out: &mut Vec<u8>) {
    for c in json.chars() {
        match c {
            c if c < ' ' => out.push(b' '),
            c => character(c, out),
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c => character(c, out),
        }
    }
    out.push(b'"');
}

/// What a terminal would obey is escaped, and means the same.
fn character(c: char, out: &mut Vec<u8>) {
    if super::table::is_obeyed(c) {
        out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
    } else {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
