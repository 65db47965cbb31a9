//! Visitlog as a library: the settings, and everything put together by one call.
//!
//! [`Visitlog::open`] gives an application all that `visitlog serve` has but the proxy: the layer that records, the journal,
//! the tables and SQL over them (feature `sql`), the admin address, a graceful end.

mod recording;
mod reload;
pub mod settings;

pub use recording::{OpenError, Visitlog};
pub use reload::{Reload, ReloadError};
/// The rows of a statement's result, and why there are none.
#[cfg(feature = "sql")]
pub use visitlog_server::warehouse::sql::SqlError;
/// What a handler says of its visit.
pub use visitlog_tower::Visit;
