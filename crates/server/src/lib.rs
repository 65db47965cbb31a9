//! Visitlog's server: the reverse proxy under the recording layer, and the admin address beside it.

pub mod access_log;
pub mod admin;
mod backward;
pub mod client_connection;
pub mod inject;
pub mod listen;
pub mod live;
#[cfg(feature = "warehouse")]
pub mod lookup;
mod open_files;
pub mod proxy;
mod record;
/// What says more about a visit than its requests do.
pub use visitlog_enrich::{EnrichSettings, Enricher};
/// Who is told what happens.
pub use visitlog_sinks::webhook;
/// The settings of the recording layer.
pub use visitlog_tower::{
    Keys, Settings as LayerSettings, SettingsError as LayerSettingsError, class as layer_class,
    client::{ForwardedBy, TrustedProxies},
    cookie::{CookieError, Style},
    cookie::{CookieSettings, SameSite, Secure},
    keyfile::KeyFileError,
    keys::KeysError,
    settings as layer_settings,
};
mod serve;
pub mod served;
pub mod tally;
#[cfg(feature = "warehouse")]
pub mod warehouse;
pub mod warnings;

pub use record::{RecordError, RecordSettings, Recorder, Reloader};
pub use serve::{Ended, ServeError, ServeSettings, Server};
