//! How long rows stay, by kind and by site; and that they go then.

use std::cell::Cell;

use deltalake::arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use deltalake::arrow::compute::filter_record_batch;
use deltalake::arrow::datatypes::Date32Type;
use deltalake::protocol::DeltaOperation;
use jiff::civil::{Date, date};
use visitlog_core::Timestamp;

use crate::error::WarehouseError;
use crate::files::{discard, read, write_all};
use crate::rows::day_of;
use crate::stats::days;
use crate::upkeep::{Pick, replace};
use crate::warehouse::{Retention, Warehouse};

/// The first days that stay.
#[derive(Debug, Clone)]
struct First {
    all: Option<Date>,
    sites: Vec<(Box<str>, Date)>,
}

impl First {
    fn newest(&self) -> Option<Date> {
        self.sites.iter().map(|(_, first)| *first).chain(self.all).max()
    }

    /// Which rows stay.
    fn kept(&self, batch: &RecordBatch) -> Option<BooleanArray> {
        let number = |day: Date| (day - date(1970, 1, 1)).get_days();
        let all = self.all.map_or(i32::MIN, number);
        let sites: Vec<(&str, i32)> = self.sites.iter().map(|(site, first)| (&**site, number(*first))).collect();
        let days = batch.column_by_name("date")?.as_primitive::<Date32Type>();
        let names = batch.column_by_name("site")?.as_string::<i32>();
        let first_of = |row: usize| {
            let own = sites.iter().find(|(site, _)| names.is_valid(row) && names.value(row) == *site);
            own.map_or(all, |(_, first)| all.max(*first))
        };
        Some((0..batch.num_rows()).map(|row| Some(days.value(row) >= first_of(row))).collect())
    }
}

impl Warehouse {
    /// Removes what has been kept for as long as it may be. `with_sites`: also that of sites of their own, for which files
    /// have to be read.
    pub(crate) fn retain_all(&self, now: Timestamp, with_sites: bool) -> Result<(), WarehouseError> {
        let Retention { visits, events, requests, sites } = &self.settings().retention;
        let first = |kept: &std::time::Duration| day_of(now.before(*kept));
        let sites: Vec<_> =
            sites.iter().filter(|_| with_sites).map(|(site, kept)| (site.clone(), first(kept))).collect();
        let kinds: [(Pick, _); 3] = [
            (|tables| &mut tables.events, events),
            (|tables| &mut tables.visits, visits),
            (|tables| &mut tables.requests, requests),
        ];
        for (pick, kept) in kinds {
            self.retain(pick, &First { all: kept.as_ref().map(first), sites: sites.clone() })?;
        }
        Ok(())
    }

    fn retain(&self, pick: Pick, first: &First) -> Result<(), WarehouseError> {
        let Some(newest) = first.newest() else { return Ok(()) };
        let table = self.with_tables(async |tables| Ok(pick(tables).clone()))?;
        let (mut old, mut adds) = (Vec::new(), Vec::new());
        for file in table.files()? {
            let Some((least, greatest)) = file.stats().as_ref().and_then(days) else { continue };
            if least >= newest {
                continue;
            }
            if first.all.is_none_or(|all| greatest >= all) {
                let gone = Cell::new(false);
                let kept = self.run(async {
                    let rows = read(&table, &file, None).await?;
                    write_all(&table, &file.month, rows, true, |batch| {
                        let Some(kept) = first.kept(&batch) else { return Ok(batch) };
                        gone.set(gone.get() || kept.true_count() < batch.num_rows());
                        Ok(filter_record_batch(&batch, &kept)?)
                    })
                    .await
                })?;
                if !gone.get() {
                    self.run(discard(&table, &Vec::from_iter(kept)));
                    continue;
                }
                adds.extend(kept);
            }
            old.push(file);
        }
        if old.is_empty() {
            return Ok(());
        }
        let operation = DeltaOperation::Delete { predicate: None };
        self.with_tables(async |tables| replace(pick(tables), &old, adds, operation, true).await).map(drop)
    }
}
