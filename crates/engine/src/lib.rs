//! The session store of one machine: durable, embedded, and the only one that needs nothing beside it.
//!
//! [`Engine`] is the store; it has no thread and no clock of its own. [`Driver`] gives it both. The simulation gives it
//! others.

pub mod adapters;
mod base;
mod bound;
mod carry;
mod clock;
pub mod config;
mod counters;
pub mod document;
mod driver;
mod ended;
mod engine;
mod erase;
pub mod journal;
mod live;
pub mod local;
pub mod lock;
mod quota;
mod recover;
pub mod sinks;
mod stop;
mod sweep;
mod tail;
mod undurable;
mod upkeep;

pub use config::EngineConfig;
pub use counters::{Counters, Counts};
pub use driver::Driver;
pub use engine::{CommitFuture, Engine};
pub use erase::{Begun, EraseError};
pub use local::Local;
pub use recover::Report;
pub use stop::Stop;
pub use sweep::Sweep;
pub use upkeep::Upkeep;
