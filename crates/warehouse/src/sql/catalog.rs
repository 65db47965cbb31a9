//! Where the tables come from.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;

use crate::logs::Files;
use crate::schema;

/// A table and its name.
pub type Table = (String, Arc<dyn TableProvider>);

/// Why the tables can't be had.
#[derive(Debug, thiserror::Error)]
#[error("the tables can't be read")]
pub struct CatalogError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Gives the tables that a statement sees.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// The tables as they are at one moment. Called once per statement, so that whatever the statement reads, and
    /// however often, it sees one state of the world.
    async fn tables(&self) -> Result<Vec<Table>, CatalogError>;

    /// The files that the statement may read, opened. `None` where no files are read, as on a server.
    fn files(&self) -> Option<&Files> {
        None
    }
}

/// Tables that are always the same.
#[derive(Debug, Clone, Default)]
pub struct FixedCatalog(pub Vec<Table>);

#[async_trait]
impl Catalog for FixedCatalog {
    async fn tables(&self) -> Result<Vec<Table>, CatalogError> {
        Ok(self.0.clone())
    }
}

/// A warehouse in which nothing is yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyCatalog;

#[async_trait]
impl Catalog for EmptyCatalog {
    async fn tables(&self) -> Result<Vec<Table>, CatalogError> {
        let empty = |name: &str, columns| -> Table { (name.to_owned(), Arc::new(EmptyTable::new(columns))) };
        Ok(vec![
            empty(schema::VISITS, schema::visits()),
            empty(schema::EVENTS, schema::events()),
            empty(schema::REQUESTS, schema::requests()),
        ])
    }
}
