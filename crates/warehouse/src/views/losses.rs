//! What was lost, counted by minute, site and reason, as far back as there is room.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::error::Result;
use parking_lot::Mutex;
use visitlog_core::Timestamp;

/// Counts that are kept: with ten reasons on ten sites, a bit more than an hour and a half.
pub const LOSSES_MAX: usize = 10_000;

const MINUTE_MICROS: i64 = 60_000_000;

type Key = (i64, Arc<str>, Arc<str>);

/// Counts of what was lost. The oldest go when there are more than [`LOSSES_MAX`].
#[derive(Debug, Default)]
pub struct Losses {
    counts: Mutex<BTreeMap<Key, u64>>,
}

impl Losses {
    /// Adds `count` losses that happened at `at`.
    pub fn add(&self, at: Timestamp, site: &str, reason: &str, count: u64) {
        if count == 0 {
            return;
        }
        let minute = at.micros().div_euclid(MINUTE_MICROS) * MINUTE_MICROS;
        let mut counts = self.counts.lock();
        let sum = counts.entry((minute, site.into(), reason.into())).or_default();
        *sum = sum.saturating_add(count);
        while counts.len() > LOSSES_MAX {
            counts.pop_first();
        }
    }

    /// As a table: `minute`, `site`, `reason`, `count`.
    pub(super) fn table(&self) -> Result<MemTable> {
        let counts = self.counts.lock().clone();
        let minute = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("minute", minute, false),
            Field::new("site", DataType::Utf8, false),
            Field::new("reason", DataType::Utf8, false),
            Field::new("count", DataType::Int64, false),
        ]));
        let minutes = TimestampMicrosecondArray::from_iter_values(counts.keys().map(|(minute, ..)| *minute));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(minutes.with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(counts.keys().map(|(_, site, _)| site))),
            Arc::new(StringArray::from_iter_values(counts.keys().map(|(.., reason)| reason))),
            Arc::new(Int64Array::from_iter_values(
                counts.values().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)),
            )),
        ];
        MemTable::try_new(Arc::clone(&schema), vec![vec![RecordBatch::try_new(schema, columns)?]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_summed_by_minute_and_the_oldest_go() {
        let losses = Losses::default();
        let at = |micros| Timestamp::from_micros(micros);
        losses.add(at(61_000_000), "shop.example", "journal", 2);
        losses.add(at(119_999_999), "shop.example", "journal", 3);
        losses.add(at(-1), "shop.example", "sink_quota", 0);
        let sums = |losses: &Losses| losses.counts.lock().clone().into_iter().collect::<Vec<_>>();
        assert_eq!(sums(&losses), [((60_000_000, "shop.example".into(), "journal".into()), 5)]);
        for n in 0..=LOSSES_MAX as i64 {
            losses.add(at(MINUTE_MICROS * (10 + n)), "other", "journal", 1);
        }
        assert_eq!(losses.counts.lock().len(), LOSSES_MAX);
        assert_eq!(sums(&losses)[0].0.0, MINUTE_MICROS * 11);
    }
}
