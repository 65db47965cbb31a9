//! A row goes into Arrow column by column, in the schema's order: each call names the column that it thinks is next,
//! which is checked where debug assertions are on.

use deltalake::arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::arrow::error::ArrowError;

/// Rows of one table, growing.
pub(crate) struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    /// Bytes of text so far.
    text: usize,
}

enum Column {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(kind: &DataType) -> Self {
        match kind {
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Int64 => Self::Long(Int64Builder::new()),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Timestamp(..) => Self::Time(TimestampMicrosecondBuilder::new().with_data_type(kind.clone())),
            // The schema has no other kind; a test builds every column.
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        use std::sync::Arc;
        match self {
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Long(column) => Arc::new(column.finish()),
            Self::Double(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
        }
    }
}

/// A row being written: the cells that are still to come.
pub(crate) struct Row<'a> {
    schema: &'a SchemaRef,
    columns: &'a mut [Column],
    text: &'a mut usize,
    next: usize,
}

impl Columns {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| Column::new(field.data_type())).collect();
        Self { schema, columns, rows: 0, text: 0 }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory the rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.text + self.rows * self.columns.len() * 6
    }

    pub(crate) fn row(&mut self) -> Row<'_> {
        self.rows += 1;
        Row { schema: &self.schema, columns: &mut self.columns, text: &mut self.text, next: 0 }
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.rows, self.text) = (0, 0);
        RecordBatch::try_new(self.schema.clone(), self.columns.iter_mut().map(Column::finish).collect())
    }
}

macro_rules! cell {
    ($name:ident, $variant:ident, $value:ty) => {
        pub(crate) fn $name(&mut self, name: &str, value: impl Into<Option<$value>>) -> &mut Self {
            let Column::$variant(column) = self.next(name) else { unreachable!("{name} has another type") };
            column.append_option(value.into());
            self
        }
    };
}

impl Row<'_> {
    cell!(bool, Bool, bool);
    cell!(int, Int, i32);
    cell!(long, Long, i64);
    cell!(double, Double, f64);
    cell!(date, Date, i32);
    cell!(time, Time, i64);

    pub(crate) fn text<'v>(&mut self, name: &str, value: impl Into<Option<&'v str>>) -> &mut Self {
        let value = value.into();
        *self.text += value.map_or(0, str::len);
        let Column::Text(column) = self.next(name) else { unreachable!("{name} has another type") };
        column.append_option(value);
        self
    }

    fn next(&mut self, name: &str) -> &mut Column {
        let at = self.next;
        debug_assert_eq!(self.schema.field(at).name(), name, "the cells come in the schema's order");
        self.next += 1;
        &mut self.columns[at]
    }

    /// Ends the row.
    pub(crate) fn done(&self) {
        debug_assert_eq!(self.next, self.columns.len(), "each column gets a cell");
    }
}
