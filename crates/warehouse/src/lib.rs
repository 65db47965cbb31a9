//! Ended visits in two Delta tables, and SQL over them and over what is still going on.

pub mod report;
pub mod schema;
pub mod sql;
