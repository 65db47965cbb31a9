//! SQL over the warehouse: it only reads, it is bounded, and dropping what it gives cancels it.
//!
//! [`Sql`] holds what all statements share: functions, settings, the memory that they may take together. Each
//! statement gets a session of its own with the tables that the [`Catalog`] gives at that moment, so nothing that one
//! statement does is seen by another.
//!
//! What a statement costs is paid on threads of its own ([`Sql`] has some for each that runs at once): one that can't be
//! stopped in the middle of a step takes nobody else's. It is watched in all that it does (`watch.rs`), so that its limits
//! end it within a second.

mod beside;
mod bucket;
mod catalog;
mod dialect;
mod error;
mod extent;
mod functions;
mod grammar;
mod growth;
mod guard;
pub mod limits;
pub mod outputs;
mod params;
mod plain_filters;
mod pool;
pub(crate) mod rewrite;
mod session;
mod sizes;
mod stream;
mod summarize;
mod threads;
mod watch;
mod watched;
mod windows;
mod words;
mod work;

pub use catalog::{Catalog, CatalogError, EmptyCatalog, FixedCatalog, Table};
pub use dialect::{Dialect, UnknownDialect};
pub use error::SqlError;
pub(crate) use error::nearest;
pub(crate) use functions::page;
pub use functions::table::{FunctionInfo, functions};
pub use limits::Limits;
pub use params::{ParamError, params};
pub use rewrite::{Argument, Source, SourceError, SourceKind, sources, take_target};
pub use session::{Buckets, OpenError, Prepared, Sql, SqlSettings};
pub use stream::QueryStream;
