//! Which hosts are sites.

use std::collections::HashMap;

use crate::ids::Host;
use crate::limits;

/// A host in the table of [`Sites`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostIndex(u16);

impl HostIndex {
    /// A host that nothing speaks for: its visits count to `other`.
    pub const OTHER: Self = Self(u16::MAX);
}

/// The sites: hosts that the settings name, or that a confirmed session has used. A forged `Host` makes none.
#[derive(Debug, Default)]
pub struct Sites {
    hosts: Vec<(Host, bool)>,
    index: HashMap<Host, HostIndex>,
    known: usize,
}

impl Sites {
    /// The name that all other hosts' visits count to.
    pub const OTHER: &'static str = "other";

    /// The sites that the settings name.
    pub fn new(named: impl IntoIterator<Item = Host>) -> Self {
        let mut sites = Self::default();
        for host in named {
            sites.confirm(&host);
        }
        sites
    }

    /// Remembers a host that may become a site.
    pub fn note(&mut self, host: &Host) -> HostIndex {
        match self.index.get(host) {
            Some(&index) => index,
            None if self.hosts.len() - self.known >= limits::PENDING_HOSTS_MAX => HostIndex::OTHER,
            None => self.push(host, false),
        }
    }

    /// Finds a host that is remembered.
    pub fn find(&self, host: &Host) -> Option<HostIndex> {
        self.index.get(host).copied()
    }

    /// Makes a host a site, if there is room for one more.
    pub fn confirm(&mut self, host: &Host) -> HostIndex {
        let room = self.known < limits::SITES_MAX;
        match self.index.get(host) {
            Some(&index) => {
                self.confirm_at(index);
                index
            }
            None if room => {
                self.known += 1;
                self.push(host, true)
            }
            None => HostIndex::OTHER,
        }
    }

    /// Makes a remembered host a site, if there is room for one more.
    pub fn confirm_at(&mut self, index: HostIndex) {
        if let Some((_, known)) = self.hosts.get_mut(usize::from(index.0))
            && !*known
            && self.known < limits::SITES_MAX
        {
            *known = true;
            self.known += 1;
        }
    }

    /// The same for the host of a session, or for the one that its client asked for where the session's own is not
    /// remembered.
    pub fn confirm_session(&mut self, at: HostIndex, asked: &Host) -> HostIndex {
        if at == HostIndex::OTHER {
            return self.confirm(asked);
        }
        self.confirm_at(at);
        at
    }

    fn push(&mut self, host: &Host, known: bool) -> HostIndex {
        let index = HostIndex(u16::try_from(self.hosts.len()).unwrap_or(u16::MAX));
        self.hosts.push((host.clone(), known));
        self.index.insert(host.clone(), index);
        index
    }

    /// The site that a host counts to.
    pub fn name(&self, index: HostIndex) -> &str {
        match self.hosts.get(usize::from(index.0)) {
            Some((host, true)) => host.as_str(),
            _ => Self::OTHER,
        }
    }

    /// Whether a host is a site.
    pub fn is_known(&self, index: HostIndex) -> bool {
        self.hosts.get(usize::from(index.0)).is_some_and(|(_, known)| *known)
    }

    /// How many hosts are sites; never fewer than before.
    pub const fn known_count(&self) -> usize {
        self.known
    }

    /// All sites.
    pub fn known(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|(_, known)| *known).map(|(host, _)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_host_makes_no_site() {
        let mut sites = Sites::new([Host::new("shop.example")]);
        let forged = sites.note(&Host::new("evil.example"));
        assert_eq!(sites.name(forged), "other");
        let shop = sites.note(&Host::new("Shop.Example:443"));
        assert_eq!(sites.name(shop), "shop.example");
        assert_eq!(sites.known().count(), 1);
    }

    #[test]
    fn a_confirmed_session_makes_one_even_if_its_host_was_only_noted() {
        let mut sites = Sites::default();
        let index = sites.note(&Host::new("new.example"));
        assert_eq!(sites.confirm(&Host::new("new.example")), index);
        assert_eq!(sites.name(index), "new.example");
    }

    #[test]
    fn both_tables_are_bounded() {
        let mut sites = Sites::default();
        for n in 0..2 * limits::PENDING_HOSTS_MAX {
            sites.note(&Host::new(&format!("n{n}.example")));
        }
        assert_eq!(sites.note(&Host::new("late.example")), HostIndex::OTHER);
        for n in 0..2 * limits::SITES_MAX {
            sites.confirm(&Host::new(&format!("c{n}.example")));
        }
        assert_eq!(sites.known().count(), limits::SITES_MAX);
        assert_eq!(sites.confirm(&Host::new("late.example")), HostIndex::OTHER);
    }
}
