//! Access logs of any web server: their formats, told by their content; their lines, each parsed, a directive or rejected;
//! and the visits that they tell of, by the same session rules as live traffic, in event time.
//!
//! This crate knows no SQL and no tables, prints nothing and never reads the clock.

mod detect;
pub mod format;
mod hit;
pub mod import;
pub mod input;
pub mod limits;
pub mod parse;
mod reject;
pub mod sessions;

pub use detect::{DetectError, Detection, detect, fitted};
pub use format::{Clients, Column, Common, DurationUnit, Format, FormatError, Kind};
pub use hit::Hit;
pub use input::{Chunk, ChunkReader, Input, InputError};
pub use parse::{Client, Hints, Parsed, Parser, Row, Value, Wanted};
pub use reject::{Reason, Reject, Tally};
