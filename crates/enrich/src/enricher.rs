//! The enricher: everything put together.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use visitlog_core::model::Place;

use crate::facts::{Facts, RawVisit};

/// What the site's owner decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnrichSettings {
    /// A file that says where addresses are, in MaxMind's format, instead of the embedded one.
    pub geoip: Option<PathBuf>,
}

/// Why an enricher could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {}

/// A data file that this build lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Which address is in which country.
    Countries,
    /// How browsers, systems and devices name themselves.
    Agents,
    /// Which programs crawl.
    Crawlers,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Countries => "no country: this build has no database of addresses",
            Self::Agents => "no browser, system or device: this build has no rules for user agents",
            Self::Crawlers => "fewer bots are recognised: this build has no list of crawlers",
        })?;
        f.write_str(" (cargo xtask assets, then build again)")
    }
}

/// Says what is known of visits. Cheap to ask, and safe to share between threads.
#[derive(Debug, Default)]
pub struct Enricher {}

impl Enricher {
    /// One without data files: only what needs none.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One with the embedded data files, and those that the settings name.
    ///
    /// # Errors
    /// When a file that the settings name can't be used.
    pub fn open(_settings: EnrichSettings) -> Result<Self, EnrichError> {
        Ok(Self::default())
    }

    /// What there is no data for.
    pub fn missing(&self) -> Vec<Missing> {
        vec![Missing::Countries, Missing::Agents, Missing::Crawlers]
    }

    /// Where an address is. Asked when a session starts, with the whole address.
    pub fn place(&self, _address: IpAddr) -> Option<Place> {
        None
    }

    /// What is known of a visit.
    pub fn visit(&self, raw: &RawVisit<'_>) -> Facts {
        let place = raw.place;
        Facts {
            country: place.and_then(|place| Some(Arc::from(place.country?.as_str()))),
            region: place.and_then(|place| Some(Arc::from(place.region.as_deref()?))),
            city: place.and_then(|place| Some(Arc::from(place.city.as_deref()?))),
            ..Facts::default()
        }
    }
}
