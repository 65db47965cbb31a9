//! How to serve.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::life::Limits;
use super::limits;
use super::stream::StreamLimits;
use crate::tally::Tallies;

/// The address at the other end of the connection, among the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How to serve.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Threads. Default: as many as there are cores.
    pub workers: usize,
    /// From a connection's first moment, or the end of the last answer, to the next request's first byte; then the
    /// connection is closed. Default 60 s.
    pub idle_timeout: Duration,
    /// From the first byte of a request's head to its last; then the connection is cut. Default 20 s.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, WebSockets too; then it is cut. Default 60 s.
    pub write_timeout: Duration,
    /// Bytes a second that a client must send of a request's body while it is waited for, and take of an answer that has
    /// to wait for it; one that is slower is cut. Default 240.
    pub rate_min: u64,
    /// The time over which a body's rate is measured: within it a body may be as slow as it likes. Default 20 s.
    pub rate_time: Duration,
    /// From the end of a request's head until its answer is sent; then it is cut. Default 24 h: downloads and event
    /// streams are long.
    pub request_timeout: Duration,
    /// How long nobody may say anything on a WebSocket; then it is cut. Default 1 h.
    pub websocket_idle_timeout: Duration,
    /// Longest request head. Longer ones get 431. Default 64 KiB.
    pub head_bytes_max: usize,
    /// Connections open at once, WebSockets too. At more, one that does nothing is closed for who comes; where all are
    /// at work, who comes waits. Default 16,384.
    pub connections_max: usize,
    /// Those of one address (of IPv6: one network, /64), and never more than three quarters of all. At more, one of its
    /// own that does nothing is closed; where all are at work, who comes is refused. Default 512.
    pub connections_per_address_max: usize,
    /// Connections that the system keeps until they are accepted, for whoever makes the listener. Default 1,024.
    pub backlog: u32,
    /// Addresses that are proxies for others: they may have all connections. Empty by default.
    pub trusted_proxies: Vec<IpNet>,
    /// What is counted of connections and requests that are refused or cut.
    pub tallies: Arc<Tallies>,
    /// How long a shutdown waits for the requests under way. Default 30 s.
    pub drain_timeout: Duration,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            idle_timeout: limits::IDLE_TIMEOUT,
            head_timeout: limits::HEAD_TIMEOUT,
            write_timeout: limits::WRITE_TIMEOUT,
            rate_min: limits::RATE_MIN,
            rate_time: limits::RATE_TIME,
            request_timeout: limits::REQUEST_TIMEOUT,
            websocket_idle_timeout: limits::WEBSOCKET_IDLE_TIMEOUT,
            head_bytes_max: limits::HEAD_BYTES_MAX,
            connections_max: limits::CONNECTIONS_MAX,
            connections_per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            backlog: limits::BACKLOG,
            trusted_proxies: Vec::new(),
            tallies: Arc::default(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl ListenSettings {
    pub(super) const fn limits(&self) -> Limits {
        Limits {
            idle: self.idle_timeout,
            head: self.head_timeout,
            request: self.request_timeout,
            rate: self.rate_min,
            rate_time: self.rate_time,
        }
    }

    pub(super) const fn stream_limits(&self) -> StreamLimits {
        StreamLimits {
            head_bytes_max: self.head_bytes_max,
            write: self.write_timeout,
            rate: self.rate_min,
            websocket_idle: self.websocket_idle_timeout,
        }
    }

    /// How often a connection's limits are looked at: twice within the shortest of them, but not all the time.
    pub(super) fn tick(&self) -> Duration {
        let shortest = [self.idle_timeout, self.head_timeout, self.request_timeout, self.rate_time].into_iter().min();
        (shortest.unwrap_or_default() / 2).clamp(Duration::from_millis(10), Duration::from_secs(10))
    }

    /// Connections that one address may have.
    pub(super) fn per_address(&self) -> usize {
        self.connections_per_address_max.min(self.connections_max - self.connections_max / 4).max(1)
    }
}
