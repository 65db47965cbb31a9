//! Counts of requests that no visit has: they come from whoever counts them, and go to the table `requests` alone.
//!
//! No journal has them, so what a crash takes with the memory is lost.

use deltalake::Path;
use visitlog_core::requests::RequestCounts;

use crate::error::WarehouseError;
use crate::files::{discard, write_sorted};
use crate::rows::requests::RequestRows;
use crate::warehouse::Warehouse;

impl Warehouse {
    /// Adds counts to those of the table. They are taken once they are stored; else they are still there.
    ///
    /// # Errors
    /// When a file or the table can't be written.
    pub fn add_counts(&self, counts: &mut RequestCounts) -> Result<(), WarehouseError> {
        if counts.is_empty() {
            return Ok(());
        }
        let mut rows = RequestRows::default();
        counts.each(|count| rows.push(count));
        let rows = rows.finish()?;
        self.with_tables(async |tables| {
            let table = &mut tables.requests;
            let mut adds = Vec::new();
            if let Err(error) = write_sorted(&table.place(), &rows, &mut adds).await {
                discard(table, &adds).await;
                return Err(error);
            }
            let names: Vec<Path> = adds.iter().map(|add| Path::from(add.path.as_str())).collect();
            let Err(error) = table.add(adds.clone(), None).await else { return Ok(()) };
            // It may have been committed all the same. Only a table that could be read tells.
            table.refresh().await?;
            let files = table.files()?;
            if names.iter().all(|name| files.iter().any(|file| file.path == *name)) {
                return Ok(());
            }
            discard(table, &adds).await;
            Err(error)
        })?;
        *counts = RequestCounts::default();
        Ok(())
    }
}
