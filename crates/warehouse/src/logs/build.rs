//! Values of rows, and columns made of them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use visitlog_logs::{Row, Value};

use super::columns::From;

/// The longest text of an address.
const IP_BYTES_MAX: usize = 45;

/// A value of a row, of its column's type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Ip(IpAddr),
    Int(i64),
    Float(f64),
    /// In microseconds.
    Time(i64),
}

/// A row and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'r, 'a> {
    pub(super) row: &'r Row<'a>,
    pub(super) line: u64,
    pub(super) file: &'r str,
}

impl<'r> Placed<'r, '_> {
    pub(super) fn cell(&self, from: From) -> Cell<'r> {
        let value = match from {
            From::Own(column) => self.row.value(column),
            From::Common(common) => self.row.common(common),
            From::Line => return i64::try_from(self.line).map_or(Cell::Null, Cell::Int),
            From::File => return Cell::Text(Cow::Borrowed(self.file)),
            From::Nothing => return Cell::Null,
        };
        match value {
            Value::Null => Cell::Null,
            Value::Text(text) => Cell::Text(text),
            Value::Integer(number) => Cell::Int(number),
            Value::Float(number) => Cell::Float(number),
            Value::Time(time) => Cell::Time(time.micros()),
            Value::Ip(address) => Cell::Ip(address),
        }
    }
}

impl Cell<'_> {
    /// As text; `None` for `NULL`. `buffer` may be used for it.
    pub(super) fn text<'b>(&'b self, buffer: &'b mut String) -> Option<&'b str> {
        buffer.clear();
        let written = match self {
            Self::Null => return None,
            Self::Text(text) => return Some(text),
            Self::Ip(address) => {
                push_ip(buffer, *address);
                Ok(())
            }
            Self::Int(number) => write!(buffer, "{number}"),
            Self::Float(number) => write!(buffer, "{number}"),
            Self::Time(us) => match jiff::Timestamp::from_microsecond(*us) {
                Ok(time) => write!(buffer, "{time}"),
                Err(_) => return None,
            },
        };
        written.is_ok().then_some(&*buffer)
    }
}

/// Digits by hand: an address is in every row.
fn push_ip(out: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        out.reserve(IP_BYTES_MAX);
        _ = write!(out, "{address}");
        return;
    };
    for (at, byte) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        if byte >= 100 {
            out.push(char::from(b'0' + byte / 100));
        }
        if byte >= 10 {
            out.push(char::from(b'0' + byte / 10 % 10));
        }
        out.push(char::from(b'0' + byte % 10));
    }
}

/// A column under way.
#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(kind: &DataType) -> Self {
        match kind {
            DataType::Int64 => Self::Int(Int64Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Timestamp(..) => Self::Time(TimestampMicrosecondBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn push(&mut self, cell: &Cell<'_>, buffer: &mut String) {
        match (self, cell) {
            (Self::Text(out), Cell::Text(text)) => out.append_value(text),
            (Self::Text(out), cell) => out.append_option(cell.text(buffer)),
            (Self::Int(out), Cell::Int(number)) => out.append_value(*number),
            (Self::Float(out), Cell::Float(number)) => out.append_value(*number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a column that is fractions in one file and whole in another"
            )]
            (Self::Float(out), Cell::Int(number)) => out.append_value(*number as f64),
            (Self::Time(out), Cell::Time(us)) => out.append_value(*us),
            (Self::Int(out), _) => out.append_null(),
            (Self::Float(out), _) => out.append_null(),
            (Self::Time(out), _) => out.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(out) => Arc::new(out.finish()),
            Self::Int(out) => Arc::new(out.finish()),
            Self::Float(out) => Arc::new(out.finish()),
            Self::Time(out) => Arc::new(out.finish().with_timezone("UTC")),
        }
    }
}

/// Rows under way to a batch.
#[derive(Debug)]
pub(super) struct Builder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    buffer: String,
}

impl Builder {
    pub(super) fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| Column::new(field.data_type())).collect();
        Self { schema, columns, rows: 0, buffer: String::new() }
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row; `from` says where the columns come from, in their order.
    pub(super) fn push(&mut self, row: Placed<'_, '_>, from: &[From]) {
        for (column, from) in self.columns.iter_mut().zip(from) {
            column.push(&row.cell(*from), &mut self.buffer);
        }
        self.rows += 1;
    }

    /// The rows so far.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["0.0.0.0", "1.20.255.100", "109.9.10.99", "::1", "2001:db8::ff00:42:8329"] {
            let mut out = String::new();
            push_ip(&mut out, text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
            assert_eq!(out, text);
        }
    }
}
