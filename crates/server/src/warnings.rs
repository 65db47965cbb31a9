//! What seems to be set up wrongly, and what to do about it: one list, for the log, the metrics and whoever asks.
//!
//! It is looked at now and then. A warning is said once when it begins, and once when it is over; in between it stands in the
//! list with the time since when.

mod list;
mod rules;

pub use self::list::{Warning, Warnings, Watched};
pub use self::rules::NAMES;
