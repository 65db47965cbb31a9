//! How visits are made of requests.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use visitlog_core::Host;
use visitlog_core::mask::Mask;
use visitlog_core::model::Place;
use visitlog_core::rules::{Addresses, PathRules, SiteRules};

use super::counted::CountSettings;
use super::identity::{Identify, VisitorKey};
use super::leave_out::LeaveOut;
use super::sites::NO_SITE;

/// How visits are made of a log's requests.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// By what visitors are known.
    pub identify: Identify,
    /// The key of their ids.
    pub key: VisitorKey,
    /// The site of requests whose host the log does not tell.
    pub site: Option<Host>,
    /// Hosts that are sites, whatever the log tells of them.
    pub sites: Vec<Host>,
    /// When sessions end.
    pub rules: SiteRules,
    /// Which requests are page views, and which leave no trace.
    pub paths: PathRules,
    /// What is left out on request.
    pub leave_out: LeaveOut,
    /// Whether assets are recorded, as `request`: then they count as any other request of the site. Default: no.
    pub record_assets: bool,
    /// What is masked in queries and referrers. Visitors are told apart by all of them. Default: what is usual.
    pub mask: Mask,
    /// How much of an address is kept. Visitors are told apart by all of it.
    pub addresses: Addresses,
    /// Where addresses are. Default: nobody knows.
    pub locate: Locate,
    /// How requests are counted by the hour. Default: they are not.
    pub counts: Option<CountSettings>,
    /// Memory that a [`Gatherer`](super::Gatherer) may take before it writes to a temporary file.
    pub memory_bytes_max: usize,
    /// Where temporary files are made. Default: where the system has them.
    pub spill_dir: Option<PathBuf>,
}

impl SessionSettings {
    /// The defaults, with a key.
    pub fn new(key: VisitorKey) -> Self {
        Self {
            identify: Identify::default(),
            key,
            site: None,
            sites: Vec::new(),
            rules: SiteRules::default(),
            paths: PathRules::default(),
            leave_out: LeaveOut::default(),
            record_assets: false,
            mask: Mask::default(),
            addresses: Addresses::default(),
            locate: Locate::default(),
            counts: None,
            memory_bytes_max: 12 << 20,
            spill_dir: None,
        }
    }

    pub(super) fn default_site(&self) -> Host {
        self.site.clone().unwrap_or_else(|| Host::new(NO_SITE))
    }
}

/// What [`Locate`] asks.
type Find = dyn Fn(IpAddr) -> Option<Place> + Send + Sync;

/// Finds the place of an address. It is asked when a session starts, with the whole address.
#[derive(Clone, Default)]
pub struct Locate(Option<Arc<Find>>);

impl Locate {
    /// One that asks `find`.
    pub fn new(find: impl Fn(IpAddr) -> Option<Place> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    pub(super) fn place(&self, address: IpAddr) -> Option<Place> {
        self.0.as_ref()?(address)
    }
}

impl fmt::Debug for Locate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Locate(..)" } else { "Locate(none)" })
    }
}
