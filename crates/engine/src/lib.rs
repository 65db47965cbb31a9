//! The session store of one machine: durable, embedded, and the only one that needs nothing beside it.
//!
//! [`Engine`] is the store; it has no thread and no clock of its own. [`Driver`] gives it both. The simulation gives it
//! others.

pub mod adapters;
mod allowance;
mod base;
mod bound;
mod budget;
mod carry;
mod clock;
pub mod config;
mod counters;
mod driver;
mod ended;
mod engine;
mod erase;
mod floor;
pub mod journal;
mod ledger;
mod live;
pub mod local;
pub mod lock;
pub mod presence;
mod quota;
mod recover;
mod stop;
mod sweep;
mod sync;
mod tail;
mod undurable;
mod upkeep;

pub use budget::Limited;
pub use config::{EngineConfig, TooManyRules};
pub use counters::{Counters, Counts};
pub use driver::Driver;
pub use engine::{CommitFuture, Engine};
pub use erase::{EraseError, Erasing};
pub use ledger::{Ledger, LedgerSettings, PendingEnd};
pub use local::Local;
pub use recover::Report;
pub use stop::Stop;
pub use sweep::Sweep;
pub use upkeep::Upkeep;
