//! The reverse proxy: a tower service that forwards each request to one HTTP/1.1 upstream and streams the answer
//! back. It knows nothing of sessions: a layer above it does the recording.
//!
//! ```text
//! listen::serve -> Ingress -> (the layer that records) -> Proxy -> upstream
//! ```
//!
//! [`Ingress`] makes a client's request safe to look at: framing, `Connection` and what it names, and every header
//! that only we may send. [`Proxy`] does the forwarding; without an [`Ingress`] above it, it cleans the request itself.
//!
//! An upstream connection is driven by the request that uses it, not by a task of its own, so a request costs no
//! wake-up between tasks and a client that goes away takes its upstream connection with it. Reading and writing
//! HTTP/1.1 towards the upstream are `encode` and `decode`, pure functions.
//!
//! What is not passed on: 1xx responses of the upstream other than the `100 Continue` that a client asked for, and
//! response trailers that no `Trailer` header announced or that the client did not ask for by `TE: trailers` (hyper's
//! server can send neither).

mod body;
mod claims;
mod connection;
#[doc(hidden)] // for the fuzz target
pub mod decode;
mod encode;
mod error;
mod exchange_error;
mod fronts;
mod headers;
mod ingress;
mod login;
mod map_back;
mod names;
mod outgoing;
mod pool;
mod redirects;
mod request_body;
mod route;
mod service;
mod settings;
mod upgrade;

pub use body::Body;
pub use error::{Failure, SettingsError};
pub use ingress::{Ingress, IngressLayer};
pub use service::{Proxy, ResponseFuture};
pub use settings::{ForwardedStyle, HostHeader, ProxySettings, Timeouts};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
