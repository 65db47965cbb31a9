//! The reports: one place that says what is counted, for the command line, the admin address and the dashboard.
//!
//! A report is built as SQL over the tables that everybody can query; whatever somebody typed is a bound parameter,
//! never a part of the text. What is per visit reads `visits` only. What the numbers mean stands in [`metrics`].

mod actions;
mod bots;
mod bound;
mod breakdown;
mod dimension;
mod edge;
mod error;
mod filter;
mod left_out;
pub mod metrics;
mod online;
mod overview;
mod pages;
mod prepare;
mod range;
pub mod records;
mod request;
mod requests;
mod speed;
mod visits;

pub use error::ReportError;
pub use left_out::left_out;
pub use range::{Range, Unit};
pub use records::Records;
pub use request::{Kind, Report};

/// Rows of a report, unless something else is asked for.
pub const ROWS: usize = 100;
/// Rows of a report at most.
pub const ROWS_MAX: usize = 100_000;
/// Spans of time that one report is split into at most: 400 days by the hour.
pub const BUCKETS_MAX: usize = 10_000;
