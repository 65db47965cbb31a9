//! The proxy over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod basics;
mod bodies;
mod early;
mod forwarding;
mod half_closed;
mod hostile;
mod hostile_upstreams;
mod logins;
mod map_back;
mod raw;
mod reuse;
mod shutdown;
mod smuggling;
mod timeouts;
mod upgrades;
