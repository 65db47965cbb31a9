//! Where a request comes from, among the extensions of each that was let in.

use std::net::IpAddr;

use super::origin::Reached;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whence {
    /// Directly, or by the proxy that ends TLS.
    pub(super) reached: Reached,
    /// The client's address.
    pub(super) address: IpAddr,
}
