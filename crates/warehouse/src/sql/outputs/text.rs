//! Values as plain text.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray, UnionArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{is_nested, json};

/// A moment without a zone is UTC, as all of ours are.
pub(super) static OPTIONS: FormatOptions<'static> =
    FormatOptions::new().with_display_error(false).with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));

/// A column whose values can be written as text.
pub(super) enum Texts<'a> {
    Plain(&'a dyn Array, ArrayFormatter<'a>),
    /// What is made of other values is written as JSON.
    Nested(&'a dyn Array),
}

impl<'a> Texts<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Vec<Self>, ArrowError> {
        batch.columns().iter().map(|column| Self::new(column.as_ref())).collect()
    }

    fn new(array: &'a dyn Array) -> Result<Self, ArrowError> {
        if is_nested(array.data_type()) {
            return Ok(Self::Nested(array));
        }
        Ok(Self::Plain(array, ArrayFormatter::try_new(array, &OPTIONS)?))
    }

    /// Writes the value; `false` and nothing for `NULL`.
    pub(super) fn write(&self, row: usize, out: &mut String) -> Result<bool, ArrowError> {
        match self {
            Self::Plain(array, _) if array.is_null(row) || *array.data_type() == DataType::Null => Ok(false),
            Self::Plain(_, formatter) => {
                write!(out, "{}", formatter.value(row))
                    .map_err(|_| ArrowError::InvalidArgumentError("a value has no text".to_owned()))?;
                Ok(true)
            }
            Self::Nested(array) => nested(*array, row, out),
        }
    }
}

fn nested(array: &dyn Array, row: usize, out: &mut String) -> Result<bool, ArrowError> {
    if let Some(union) = array.as_any().downcast_ref::<UnionArray>() {
        let (child, at) = member(union, row);
        if child.is_null(at) || *child.data_type() == DataType::Null {
            return Ok(false);
        }
        // A text of a JSON value is that text, a list or an object is its JSON: both are text here.
        if let Some(texts) = child.as_string_opt::<i32>() {
            out.push_str(texts.value(at));
            return Ok(true);
        }
    } else if array.is_null(row) {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    json::value(array, row, &mut bytes)?;
    out.push_str(&String::from_utf8_lossy(&bytes));
    Ok(true)
}

/// The member of a union that has the row's value, and where it has it.
pub(super) fn member(union: &UnionArray, row: usize) -> (&dyn Array, usize) {
    (union.child(union.type_id(row)).as_ref(), union.value_offset(row))
}

/// A column as text.
pub(super) fn column(array: &dyn Array) -> Result<StringArray, ArrowError> {
    let texts = Texts::new(array)?;
    let mut column = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        let mut text = String::new();
        column.push(texts.write(row, &mut text)?.then_some(text));
    }
    Ok(StringArray::from(column))
}
