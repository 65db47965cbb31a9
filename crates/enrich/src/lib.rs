//! Country, browser, bot, referrer and channel, from the raw facts of a visit.
//!
//! An [`Enricher`] is made once and asked once a visit. What it knows comes from data files that others keep: which
//! addresses are in which country, how browsers name themselves, which programs crawl. They are not in the repository:
//! `cargo xtask assets` fetches them and the next build embeds them. Without them everything works that needs none,
//! and [`Enricher::missing`] says what does not.
//!
//! ```
//! use visitlog_enrich::{Enricher, RawVisit};
//!
//! let facts = Enricher::empty().visit(&RawVisit {
//!     site: "shop.example",
//!     user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
//!     language: Some("de-AT,de;q=0.9"),
//!     referrer: Some("https://www.google.com/"),
//!     ..RawVisit::default()
//! });
//! assert_eq!(facts.language.as_deref(), Some("de"));
//! assert_eq!(facts.channel.as_deref(), Some("organic_search"));
//! assert_eq!(facts.bot, None);
//! ```

mod agent;
mod assets;
mod bot;
mod cache;
mod channel;
#[cfg(test)]
mod compile;
mod device;
mod enricher;
mod facts;
mod geo;
mod language;
mod programs;
mod query;
mod reduced;
mod referrer;
mod rule;
mod rules;
mod signs;
mod sources;
#[cfg(test)]
mod tests;
mod watch;

pub use bot::BotClass;
pub use channel::Channel;
pub use device::Device;
pub use enricher::{EnrichError, EnrichSettings, Enricher, Missing};
pub use facts::{Facts, RawVisit};
pub use signs::{ABSENCES, header_signs};
pub use watch::{Common, Ended, Oddities, VisitWatch};
