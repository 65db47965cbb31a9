//! Lines: each is a row, a directive, or rejected.

mod client;
mod directed;
mod duration;
mod fields;
mod json;
mod keys;
mod late;
mod look;
mod number;
pub(crate) mod pairs;
mod parser;
mod read;
mod reader;
mod row;
mod shapes;
mod span;
mod syslog;
mod target;
mod text;
mod time;
mod unescape;
mod w3c;
mod wrap;

pub use client::Client;
pub(crate) use json::{Scalar, is_object, next_record, object_start, records, walk};
pub(crate) use look::{Look, is_plausible};
pub(crate) use number::integer;
pub use parser::Parser;
pub use reader::{Parsed, Wanted};
pub use row::{Row, Value};
pub(crate) use shapes::further;
pub(crate) use span::Span;
pub use time::Hints;
pub(crate) use time::{TimeReader, is_day_first, time_of_day};
pub(crate) use wrap::unwrap;
