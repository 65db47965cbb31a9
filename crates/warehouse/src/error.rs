//! What can go wrong with the tables.

use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
use deltalake::logstore::object_store;
use deltalake::parquet::errors::ParquetError;

/// Why something could not be done with a table.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// Delta refused.
    #[error("{doing} table {table} failed")]
    Delta {
        /// What was being done.
        doing: &'static str,
        /// With which table.
        table: &'static str,
        /// Why not.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// The store refused.
    #[error("{doing} failed")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// The disk refused.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A data file could not be written or read.
    #[error("{doing} {file} failed")]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        file: String,
        /// Why not.
        #[source]
        source: ParquetError,
    },
    /// Rows could not be put together.
    #[error("putting rows together failed")]
    Rows(#[from] ArrowError),
    /// Sorted files could not be merged.
    #[error("merging files failed")]
    Merge(#[from] DataFusionError),
    /// The folder's name is none that a table can have.
    #[error("not a place for tables: {place}")]
    Place {
        /// What was given.
        place: String,
    },
    /// A newer binary has written the tables.
    #[error("table {table}: schema version {expected} or older expected, {found} found; use a newer visitlog")]
    Newer {
        /// Which table.
        table: &'static str,
        /// The newest version that is understood.
        expected: u32,
        /// The table's.
        found: String,
    },
    /// It is a Delta table, but none of ours.
    #[error("table {table}: {what}")]
    Foreign {
        /// Which table.
        table: &'static str,
        /// Expected against found.
        what: String,
    },
    /// The table holds more than the journal ever had: it is another copy's.
    #[error(
        "table {table}: visits up to lsn {journal} expected, up to {table_lsn} found; the journal is an older copy: restore the newer one, or move the tables away"
    )]
    Ahead {
        /// Which table.
        table: &'static str,
        /// The journal's newest record.
        journal: u64,
        /// What the table has.
        table_lsn: i64,
    },
    /// What an import left for the tables can't be read.
    #[error("the batch of an import is not as it was written: import again with the visitlog that wrote it")]
    Staged(#[source] serde_json::Error),
    /// Something else is in the way for now.
    #[error("{what}")]
    Busy {
        /// What is in the way.
        what: &'static str,
    },
}

impl WarehouseError {
    /// Whether the same may work later.
    pub const fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::Newer { .. } | Self::Foreign { .. } | Self::Ahead { .. } | Self::Place { .. } | Self::Staged(_)
        )
    }

    pub(crate) fn delta(doing: &'static str, table: &'static str) -> impl FnOnce(DeltaTableError) -> Self {
        move |source| Self::Delta { doing, table, source: Box::new(source) }
    }

    pub(crate) fn store(doing: &'static str) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Store { doing, source }
    }

    pub(crate) fn file(doing: &'static str, file: &object_store::path::Path) -> impl FnOnce(ParquetError) -> Self {
        let file = file.to_string();
        move |source| Self::File { doing, file, source }
    }
}
