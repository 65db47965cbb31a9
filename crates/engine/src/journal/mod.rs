//! The journal: one append-only chain of records per session, in segments on a disk.
//!
//! [`format`](mod@format) and [`codec`] are the specification of the bytes. The journal has no thread and no clock of
//! its own: somebody calls [`Journal::write_step`] and [`Journal::sync_step`], a thread each in life, a dice-throwing
//! loop in the simulation.

pub mod codec;
mod config;
mod error;
pub mod format;
pub mod meta;
mod record;
mod writer;

#[cfg(feature = "mutations")]
pub use config::Mutations;
pub use config::{Config, SEGMENT_BYTES, UNWRITTEN_BYTES_MAX};
pub use error::{Corrupt, Fault, JournalError};
pub use format::{Flags, Kind};
pub use meta::{Ack, BaseItem};
pub use record::{ChainEntry, RawRecord, RecordRef};
pub use writer::{Appender, BaseStart, Journal, Recovered, Usage, Wait};
