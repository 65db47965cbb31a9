//! What Delta's log tells of a data file: how many rows, and the least and greatest value of some columns.

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::compute::{max, min};
use deltalake::arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::{Map, Value, json};

/// Of one file, growing.
pub(crate) struct Stats {
    rows: u64,
    columns: Vec<Column>,
}

struct Column {
    name: &'static str,
    kind: Kind,
    range: Option<(i64, i64)>,
    nulls: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Date,
    Time,
}

impl Stats {
    pub(crate) fn new(schema: &Schema, columns: &[&'static str]) -> Self {
        let column = |name: &&'static str| {
            let kind = match schema.field_with_name(name).ok()?.data_type() {
                DataType::Int32 | DataType::Int64 => Kind::Number,
                DataType::Date32 => Kind::Date,
                DataType::Timestamp(..) => Kind::Time,
                _ => return None,
            };
            Some(Column { name, kind, range: None, nulls: 0 })
        };
        Self { rows: 0, columns: columns.iter().filter_map(column).collect() }
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for column in &mut self.columns {
            let Some(array) = batch.column_by_name(column.name) else { continue };
            column.nulls += array.null_count() as u64;
            if let Some((least, greatest)) = range(array) {
                let (low, high) = column.range.unwrap_or((least, greatest));
                column.range = Some((low.min(least), high.max(greatest)));
            }
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
        for Column { name, kind, range, nulls: count } in &self.columns {
            nulls.insert((*name).to_owned(), (*count).into());
            let Some((low, high)) = range else { continue };
            if let (Some(low), Some(high)) = (kind.show(*low, false), kind.show(*high, true)) {
                least.insert((*name).to_owned(), low);
                greatest.insert((*name).to_owned(), high);
            }
        }
        json!({ "numRecords": self.rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
    }
}

fn range(array: &dyn Array) -> Option<(i64, i64)> {
    match array.data_type() {
        DataType::Int32 => {
            let array = array.as_primitive::<Int32Type>();
            Some((min(array)?.into(), max(array)?.into()))
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            Some((min(array)?, max(array)?))
        }
        DataType::Date32 => {
            let array = array.as_primitive::<Date32Type>();
            Some((min(array)?.into(), max(array)?.into()))
        }
        DataType::Timestamp(..) => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            Some((min(array)?, max(array)?))
        }
        _ => None,
    }
}

impl Kind {
    /// As Delta's log has it. Times there are in milliseconds: rounded outwards, so that no row lies outside.
    fn show(self, value: i64, is_greatest: bool) -> Option<Value> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
        match self {
            Self::Number => Some(value.into()),
            Self::Date => {
                let days = jiff::Span::new().try_days(value).ok()?;
                let date = jiff::civil::date(1970, 1, 1).checked_add(days).ok()?;
                Some(date.to_string().into())
            }
            Self::Time => {
                let millis = if is_greatest { value.saturating_add(999) } else { value }.div_euclid(1_000);
                let moment = jiff::Timestamp::from_millisecond(millis).ok()?;
                Some(PRINTER.timestamp_to_string(&moment).into())
            }
        }
    }
}

/// The range of days that a file's statistics tell.
pub(crate) fn days(stats: &Value) -> Option<(jiff::civil::Date, jiff::civil::Date)> {
    let day = |bound: &str| stats.get(bound)?.get("date")?.as_str()?.parse().ok();
    Some((day("minValues")?, day("maxValues")?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use visitlog_enrich::Enricher;

    use super::*;
    use crate::rows::RowBuilder;
    use crate::schema;
    use crate::testing::{MORNING, visit};

    #[test]
    fn bounds_are_those_of_all_batches_and_times_are_rounded_outwards() {
        let schema = schema::visits();
        let mut stats = Stats::new(&schema, &["started_at", "closed_at", "date", "visit_number"]);
        let mut rows = RowBuilder::new(Arc::new(Enricher::empty()), None);
        for n in [5, 3, 9] {
            let mut visit = visit(n, MORNING);
            visit.start.at = visit.start.at.after(std::time::Duration::from_micros(1_001));
            rows.push_ended(&visit);
            stats.add(&rows.finish().expect("fits").visits);
        }
        let json: Value = serde_json::from_str(&stats.to_json()).expect("JSON");
        assert_eq!(json["numRecords"], 3);
        assert_eq!(json["minValues"]["started_at"], "2026-11-21T10:00:03.001Z");
        assert_eq!(json["maxValues"]["started_at"], "2026-11-21T10:00:09.002Z");
        assert_eq!((&json["minValues"]["date"], &json["maxValues"]["visit_number"]), (&"2026-11-21".into(), &2.into()));
        assert_eq!(json["nullCount"]["closed_at"], 0);
        let day = jiff::civil::date(2026, 11, 21);
        assert_eq!(days(&json), Some((day, day)));
    }
}
