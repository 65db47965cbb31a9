//! The session rules, as tables and as properties, on the machine alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod assemble;
mod browser;
mod budget;
mod identity;
mod lifecycle;
mod model;
mod once;
