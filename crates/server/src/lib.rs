//! Visitlog's server: the reverse proxy under the recording layer, and the admin address beside it.

pub mod admin;
mod backward;
pub mod client_connection;
pub mod listen;
#[cfg(feature = "warehouse")]
pub mod lookup;
mod open_files;
pub mod proxy;
/// What says more about a visit than its requests do.
pub use visitlog_enrich::{EnrichSettings, Enricher};
/// The settings of the recording layer.
pub use visitlog_tower::{
    Settings as LayerSettings,
    client::{ForwardedBy, TrustedProxies},
    cookie::{CookieSettings, SameSite, Secure},
    settings as layer_settings,
};
mod serve;
pub mod served;
pub mod tally;
#[cfg(feature = "warehouse")]
pub mod warehouse;

pub use serve::{Ended, ServeError, ServeSettings, Server};
