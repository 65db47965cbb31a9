//! What a running server takes over of settings that have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use visitlog_core::Host;

use super::load::{Loaded, Site};
use super::table::{ROWS, Row, Settings};

/// A setting that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The site whose it is, if it is not all sites'.
    pub site: Option<Host>,
    /// Its key.
    pub key: &'static str,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.site {
            Some(site) => write!(f, "{} of {site}", self.key),
            None => f.write_str(self.key),
        }
    }
}

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What a running server takes over.
    pub live: Vec<Change>,
    /// What it takes over when it starts again.
    pub at_start: Vec<Change>,
}

impl Loaded {
    /// What has changed from these to others.
    pub fn changes(&self, new: &Self) -> Changes {
        let mut changes = Changes::default();
        let mut note = |site: Option<&Host>, row: &'static Row| {
            let list = if row.traits.live { &mut changes.live } else { &mut changes.at_start };
            list.push(Change { site: site.cloned(), key: row.key });
        };
        let differing = |old: &Settings, new: &Settings| -> Vec<&'static Row> {
            ROWS.iter().filter(|row| !row.is_same(old, new)).collect()
        };
        let everywhere = differing(&self.settings, &new.settings);
        everywhere.iter().for_each(|row| note(None, row));
        for host in self.hosts(new) {
            let of_site = differing(self.of(host), new.of(host));
            // What has changed everywhere is said once.
            let own = of_site.into_iter().filter(|row| !everywhere.iter().any(|other| other.key == row.key));
            own.for_each(|row| note(Some(host), row));
        }
        changes
    }

    /// These, with what a running server takes over of others.
    #[must_use]
    pub fn with_live_of(&self, new: &Self) -> Self {
        let taken = |old: &Settings, new: &Settings| {
            let mut settings = old.clone();
            ROWS.iter().filter(|row| row.traits.live).for_each(|row| (row.take)(&mut settings, new));
            settings
        };
        let site = |host: &Host| {
            let origins = new.sites.get(host).or_else(|| self.sites.get(host)).map(|site| site.origins.clone());
            let settings = taken(self.of(host), new.of(host));
            (host.clone(), Site { settings, origins: origins.unwrap_or_default() })
        };
        Self {
            settings: taken(&self.settings, &new.settings),
            sites: self.hosts(new).into_iter().map(site).collect::<BTreeMap<_, _>>(),
            origins: new.origins.clone(),
            ..self.clone()
        }
    }

    fn hosts<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a Host> {
        self.sites.keys().chain(other.sites.keys()).collect()
    }
}
