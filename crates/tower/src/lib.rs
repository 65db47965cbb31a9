//! A tower layer that records visits.

pub(crate) mod caching;
pub mod class;
pub mod client;
pub mod cookie;
mod counters;
mod exchange;
#[cfg(feature = "axum")]
mod extract;
mod fingerprint;
mod future;
mod hooks;
pub mod keys;
mod layer;
mod origin;
pub mod protocol;
mod service;
pub mod settings;
mod shared;
pub mod token;
mod visit;

pub use counters::Counts;
pub use future::ResponseFuture;
pub use hooks::SessionStart;
pub use keys::Keys;
pub use layer::VisitLayer;
pub use origin::Route;
pub use service::VisitService;
pub use settings::{Settings, SettingsError};
pub use visit::{Action, FlushError, Visit};
pub use visitlog_core::model::EndedVisit;
