//! Ended visits in Delta tables, and SQL over them and over what is still going on.

mod counted;
mod data_files;
mod erase;
mod error;
mod files;
mod gathered;
mod import;
pub mod live;
pub mod logs;
mod merge;
mod reader;
pub mod report;
mod retention;
pub mod rows;
mod runs;
pub mod schema;
mod sink;
pub mod sql;
mod stats;
pub mod store;
mod tables;
mod theirs;
mod unsettled;
mod upkeep;
pub mod views;
mod warehouse;

pub use erase::{Erased, KnownPages};
pub use error::WarehouseError;
pub use import::{Stage, Staging};
pub use sink::WarehouseSink;
pub use tables::{SCHEMA_VERSION_PROPERTY, application};
pub use warehouse::{Retention, TableStatus, Warehouse, WarehouseSettings};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
