//! What clients may take of the server, by default.

use std::time::Duration;

/// Connections open at once, WebSockets too, or as many as the limit of open files allows. At more, one that does nothing is closed for who comes; where all are at work, who comes waits.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Connections of one address (of IPv6: one network, /64), and never more than three quarters of all, so that one client can't have them all. At more, one of its own that does nothing is closed, else the new one is refused. Trusted proxies may have all.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 512;
/// Connections that the system keeps until they are accepted; it may have a lower limit of its own (`net.core.somaxconn`).
pub const BACKLOG: u32 = 1024;
/// From a connection's first moment, or the end of an answer, to the next request: browsers keep connections for a minute or two, and ask anew without a word.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// From the first byte of a request's head to its last: it comes in one or two packets, unless it is meant to hold a connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may take nothing of what is sent to it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes a second that a client must send of a body while it is waited for, and take of an answer that waits for it: slower than any modem.
pub const RATE_MIN: u64 = 240;
/// The time over which that is measured, so that a hole in a mobile network is none.
pub const RATE_TIME: Duration = Duration::from_secs(20);
/// From the end of a request's head until its answer is sent; downloads and event streams are long. A session lives no longer either.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long nobody may say anything on a WebSocket: most servers ping once a minute.
pub const WEBSOCKET_IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
