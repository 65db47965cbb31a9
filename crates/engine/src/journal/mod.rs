//! The journal: one append-only chain of records per session, in segments on a disk.
//!
//! [`format`](mod@format), [`codec`] and [`meta`] are the specification of the bytes. The journal has no thread and no
//! clock of its own: somebody calls [`Journal::write_step`] and [`Journal::sync_step`], threads in life, a
//! dice-throwing loop in the simulation.
//!
//! The way of a record: an [`Appender`] encodes it into the gather buffer and so gives it its position;
//! [`Journal::write_step`] takes the buffer and writes it, a segment at a time; [`Journal::sync_step`] syncs what is
//! written, and appends a `Synced` record that says so. [`Journal::wait`] waits for whichever of these the durability
//! mode promises. Readers find a record wherever it is on that way.

mod ahead;
mod buffer;
pub mod codec;
mod config;
mod error;
mod explain;
pub mod format;
#[expect(clippy::module_inception, reason = "the journal's type, beside its writer, reader and recovery")]
mod journal;
mod kind;
mod lines;
pub mod meta;
mod reader;
mod record;
mod recovery;
mod reserve;
mod scan;
mod segments;
mod sweep;
mod tail;
mod wait;
mod wakeup;
mod writer;

#[cfg(feature = "mutations")]
pub use config::Mutations;
pub use config::{Config, RESERVE_BYTES, SEGMENT_BYTES, UNWRITTEN_BYTES_MAX};
pub use error::{Corrupt, Fault, JournalError};
pub use explain::{DumpFilter, Finding, JournalReport, SegmentReport, Verdict, dump, verify};
pub use format::{Flags, Kind};
pub use journal::{BaseStart, Fill, Journal, Usage};
pub use meta::{Ack, BaseItem};
pub use reader::Window;
pub use record::{ChainEntry, RecordRef};
pub use recovery::Recovered;
pub use segments::SegmentsHeld;
pub use wait::Wait;
pub use writer::Appender;

#[cfg(test)]
mod tests;
