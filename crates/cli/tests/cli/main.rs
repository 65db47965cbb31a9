//! `visitlog` as its users have it: real processes, real sockets, real disks, and what befalls them.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it saw")]

mod books;
mod crowd;
mod dice;
mod freeze;
mod http;
mod kill;
mod server;
mod upstream;
mod visits;
