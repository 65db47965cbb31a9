//! Counts of requests as rows of `requests`.

use std::fmt::Write as _;

use deltalake::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, UInt32Array};
use deltalake::arrow::compute::{SortColumn, lexsort_to_indices, partition, sum, take, take_record_batch};
use deltalake::arrow::datatypes::{DataType, Float64Type, Int64Type};
use deltalake::arrow::error::ArrowError;
use visitlog_core::requests::{RequestCount, hour_of};

use super::columns::Columns;
use super::{EPOCH, day_of};
use crate::tables::Kind;

/// Makes rows of counts.
pub(crate) struct RequestRows {
    columns: Columns,
    month: String,
}

impl Default for RequestRows {
    fn default() -> Self {
        Self { columns: Columns::new(Kind::requests().schema), month: String::new() }
    }
}

impl RequestRows {
    /// About how much memory the rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.bytes()
    }

    pub(crate) fn push(&mut self, count: &RequestCount<'_>) {
        let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let day = day_of(count.time);
        self.month.clear();
        let _ = write!(self.month, "{:04}-{:02}", day.year(), day.month());
        self.columns
            .row()
            .time("hour", hour_of(count.time).micros())
            .text("site", count.site)
            .text("path", Some(count.path).filter(|path| !path.is_empty()))
            .text("type", count.kind.as_str())
            .int("status", Some(i32::from(count.status)).filter(|status| *status != 0))
            .text("bot", count.bot)
            .text("via", count.via.as_str())
            .long("requests", long(count.requests))
            .long("bytes", count.bytes.map(long))
            .double("duration_ms", (count.timed > 0).then_some(count.duration_us as f64 / 1_000.0))
            .long("timed", long(count.timed))
            .date("date", (day - EPOCH).get_days())
            .text("month", &*self.month)
            .done();
    }

    /// The rows pushed since the last call, in the table's order.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let batch = self.columns.finish()?;
        let by = Kind::requests().sorted_by.iter().map(|name| {
            let values = ArrayRef::clone(batch.column(batch.schema_ref().index_of(name)?));
            Ok(SortColumn { values, options: None })
        });
        let order = lexsort_to_indices(&by.collect::<Result<Vec<_>, ArrowError>>()?, None)?;
        take_record_batch(&batch, &order)
    }
}

/// Rows in their order, of which those that differ in `sums` only have become one.
pub(crate) fn summed(batch: RecordBatch, sums: &[&str]) -> Result<RecordBatch, ArrowError> {
    if sums.is_empty() || batch.num_rows() < 2 {
        return Ok(batch);
    }
    let schema = batch.schema();
    let columns = || schema.fields().iter().zip(batch.columns());
    let is_sum = |name: &str| sums.contains(&name);
    let keys: Vec<ArrayRef> =
        columns().filter(|(field, _)| !is_sum(field.name())).map(|(_, column)| ArrayRef::clone(column)).collect();
    let ranges = partition(&keys)?.ranges();
    if ranges.len() == batch.num_rows() {
        return Ok(batch);
    }
    let firsts = UInt32Array::from_iter_values(ranges.iter().map(|range| range.start as u32));
    let column = |(field, column): (&std::sync::Arc<deltalake::arrow::datatypes::Field>, &ArrayRef)| {
        if !is_sum(field.name()) {
            return take(column, &firsts, None);
        }
        let parts = ranges.iter().map(|range| column.slice(range.start, range.len()));
        Ok(match field.data_type() {
            DataType::Float64 => {
                let sums: Float64Array = parts.map(|part| sum(part.as_primitive::<Float64Type>())).collect();
                std::sync::Arc::new(sums) as ArrayRef
            }
            _ => {
                let sums: Int64Array = parts.map(|part| sum(part.as_primitive::<Int64Type>())).collect();
                std::sync::Arc::new(sums)
            }
        })
    };
    let columns = columns().map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(batch.schema(), columns)
}
