//! Access logs of any web server: their formats, told by their content; their lines, each parsed, a directive or rejected;
//! and the visits that they tell of, by the same session rules as live traffic, in event time.
//!
//! This crate knows no SQL and no tables, prints nothing and never reads the clock.

mod hit;
pub mod import;
pub mod sessions;

pub use hit::Hit;
