//! Country, browser, bot, referrer and channel, from the raw facts of a visit.
//!
//! An [`Enricher`] is made once and asked once a visit. What it knows comes from data files that others keep: which
//! addresses are in which country, how browsers name themselves, which programs crawl. They are not in the repository:
//! `cargo xtask assets` fetches them and the next build embeds them. Without them everything works that needs none,
//! and [`Enricher::missing`] says what does not.

mod bot;
mod channel;
mod device;
mod enricher;
mod facts;

pub use bot::BotClass;
pub use channel::Channel;
pub use device::Device;
pub use enricher::{EnrichError, EnrichSettings, Enricher, Missing};
pub use facts::{Facts, RawVisit};
