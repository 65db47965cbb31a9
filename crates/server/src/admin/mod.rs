//! The admin address: what people and programs may know and do, and who they are.
//!
//! Every request comes through one gate: it must be sent to our own name, by no page of another site, be one of the
//! listed routes, and come from somebody who may. See `routes` for the list and `accounts` for who there is.

pub mod accounts;
mod audit_log;
mod cookie;
mod dashboard;
mod description;
#[cfg(feature = "warehouse")]
mod erase;
mod gate;
#[cfg(feature = "warehouse")]
mod import;
mod live;
mod logout;
pub mod metrics;
mod origin;
mod params;
mod problem;
#[cfg(feature = "warehouse")]
mod queries;
#[cfg(feature = "warehouse")]
mod query;
mod refusals;
mod reload;
mod router;
mod routes;
mod sessions;
mod set_up;
mod set_up_page;
mod settings;
mod sign_in;
pub mod sinks;
mod state;
mod times;
mod tokens;
mod users;
mod visits;
mod warnings;
mod webhooks;
mod whence;

pub use self::description::OPENAPI;
#[cfg(feature = "warehouse")]
pub use self::queries::{QUERY_HEADER, Queries};
pub use self::router::router;
pub use self::set_up::SetUp;
pub use self::settings::AdminSettings;
pub use self::state::{Admin, DoorKeeper, Draining, ReloadFn, SettingsFn};
