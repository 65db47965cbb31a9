//! The proxy over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod basics;
mod bodies;
mod forwarding;
mod raw;
mod shutdown;
mod smuggling;
mod timeouts;
mod upgrades;
