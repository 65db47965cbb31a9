//! Which hosts are sites.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::ids::Host;
use crate::limits;
use crate::time::Timestamp;

/// A host in the table of [`Sites`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostIndex(u16);

impl HostIndex {
    /// A host that nothing speaks for: its visits count to `other`.
    pub const OTHER: Self = Self(u16::MAX);
}

/// The sites: the hosts that the settings name; where they name none, those that a confirmed session has used. A forged
/// `Host` makes none.
///
/// A host keeps its place as long as an open session may have it: for the longest max age after it was last asked for.
/// Then another may get the place, if there is no other room.
#[derive(Debug)]
pub struct Sites {
    hosts: Vec<KnownHost>,
    index: HashMap<Host, HostIndex>,
    /// Whether the settings name all of them.
    closed: bool,
    known: usize,
    known_max: usize,
    /// Sites that there have been.
    made: usize,
    /// For how long a place is kept after it was last asked for.
    kept_for: Duration,
    /// Before this moment no place can be free of its host.
    full_until: Timestamp,
}

#[derive(Debug)]
struct KnownHost {
    host: Host,
    known: bool,
    /// When it was last asked for, in microseconds since 1970.
    used: AtomicI64,
}

impl KnownHost {
    fn used(&self) -> Timestamp {
        Timestamp::from_micros(self.used.load(Ordering::Relaxed))
    }
}

impl Sites {
    /// The name that all other hosts' visits count to.
    pub const OTHER: &'static str = "other";

    /// The sites that the settings name: if they name any, there are no others. Else there are at most `max`; a place is
    /// kept for `kept_for`, the longest max age, after its host was last asked for.
    pub fn new(named: impl IntoIterator<Item = Host>, max: usize, kept_for: Duration) -> Self {
        let mut sites = Self {
            hosts: Vec::new(),
            index: HashMap::new(),
            closed: false,
            known: 0,
            known_max: max.min(usize::from(u16::MAX) - limits::PENDING_HOSTS_MAX - 1),
            made: 0,
            kept_for,
            full_until: Timestamp::EPOCH,
        };
        for host in named {
            if sites.index.contains_key(&host) || sites.hosts.len() >= usize::from(u16::MAX) {
                continue;
            }
            sites.push(&host, Timestamp::EPOCH);
            sites.hosts.last_mut().into_iter().for_each(|entry| entry.known = true);
            (sites.known, sites.made, sites.closed) = (sites.known + 1, sites.made + 1, true);
        }
        sites
    }

    /// Finds a host that is remembered, or that can't be; `None`: [`Sites::note`] may remember it.
    pub fn find(&self, host: &Host, now: Timestamp) -> Option<HostIndex> {
        match self.index.get(host) {
            Some(&index) => {
                if !self.closed {
                    self.hosts[usize::from(index.0)].used.fetch_max(now.micros(), Ordering::Relaxed);
                }
                Some(index)
            }
            None if self.closed => Some(HostIndex::OTHER),
            None => None,
        }
    }

    /// Remembers a host that may become a site, if there is room.
    pub fn note(&mut self, host: &Host, now: Timestamp) -> HostIndex {
        if let Some(index) = self.find(host, now) {
            return index;
        }
        if self.hosts.len() - self.known < limits::PENDING_HOSTS_MAX && self.hosts.len() < usize::from(u16::MAX) {
            return self.push(host, now);
        }
        let Some(index) = self.unused(now, |entry| !entry.known) else { return HostIndex::OTHER };
        self.replace(index, host, now)
    }

    /// Makes a host a site, if there is room for one more.
    pub fn confirm(&mut self, host: &Host, now: Timestamp) -> HostIndex {
        self.confirm_session(HostIndex::OTHER, host, now).0
    }

    /// Makes a remembered host a site, if there is room for one more. `false`: there is none.
    pub fn confirm_at(&mut self, index: HostIndex, now: Timestamp) -> bool {
        match self.hosts.get(usize::from(index.0)) {
            Some(entry) if entry.known => return true,
            Some(_) => {}
            None => return false,
        }
        if self.known >= self.known_max {
            // Its place is free again: as a host that is not even noted.
            let Some(aged) = self.unused(now, |entry| entry.known) else { return false };
            self.hosts[usize::from(aged.0)].known = false;
            self.known -= 1;
        }
        self.hosts[usize::from(index.0)].known = true;
        (self.known, self.made) = (self.known + 1, self.made + 1);
        true
    }

    /// The same for the host of a session, or for the one that its client asked for where the session's own is not
    /// remembered. Returns its place, and whether it is a site.
    pub fn confirm_session(&mut self, at: HostIndex, asked: &Host, now: Timestamp) -> (HostIndex, bool) {
        let index = match self.find(asked, now) {
            _ if at != HostIndex::OTHER => at,
            Some(index) => index,
            // It does not wait for room among those that anybody can fill.
            None if self.known < self.known_max && self.hosts.len() < usize::from(u16::MAX) => self.push(asked, now),
            None => self.note(asked, now),
        };
        let is_site = self.confirm_at(index, now);
        (index, is_site)
    }

    /// The place that was not asked for the longest time, if that is longer than it is kept.
    fn unused(&mut self, now: Timestamp, which: impl Fn(&KnownHost) -> bool) -> Option<HostIndex> {
        if now < self.full_until {
            return None;
        }
        let places = self.hosts.iter().enumerate().filter(|(_, entry)| which(entry));
        let (place, used) = places.map(|(place, entry)| (place, entry.used())).min_by_key(|(_, used)| *used)?;
        if now.since(used) > self.kept_for {
            return Some(HostIndex(u16::try_from(place).unwrap_or(u16::MAX)));
        }
        // Nobody looks through all of them for each forged host: once a minute is enough.
        self.full_until = now.after(Duration::from_secs(60));
        None
    }

    fn push(&mut self, host: &Host, now: Timestamp) -> HostIndex {
        let index = HostIndex(u16::try_from(self.hosts.len()).unwrap_or(u16::MAX));
        self.hosts.push(KnownHost { host: host.clone(), known: false, used: AtomicI64::new(now.micros()) });
        self.index.insert(host.clone(), index);
        index
    }

    fn replace(&mut self, index: HostIndex, host: &Host, now: Timestamp) -> HostIndex {
        let entry = &mut self.hosts[usize::from(index.0)];
        self.index.remove(&entry.host);
        *entry = KnownHost { host: host.clone(), known: false, used: AtomicI64::new(now.micros()) };
        self.index.insert(host.clone(), index);
        index
    }

    /// The site that a host counts to.
    pub fn name(&self, index: HostIndex) -> &str {
        match self.hosts.get(usize::from(index.0)) {
            Some(entry) if entry.known => entry.host.as_str(),
            _ => Self::OTHER,
        }
    }

    /// The site that a host counts to, without a note that it was asked for.
    pub fn name_of(&self, host: &Host) -> &str {
        self.index.get(host).map_or(Self::OTHER, |index| self.name(*index))
    }

    /// Whether a host is a site.
    pub fn is_known(&self, index: HostIndex) -> bool {
        self.hosts.get(usize::from(index.0)).is_some_and(|entry| entry.known)
    }

    /// Hosts that are remembered, sites or not.
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Sites.
    pub(super) const fn known_len(&self) -> usize {
        self.known
    }

    /// How many sites there can be.
    pub const fn max(&self) -> usize {
        if self.closed { self.known } else { self.known_max }
    }

    /// How often a host became a site; never fewer than before.
    pub const fn made(&self) -> usize {
        self.made
    }

    /// All sites.
    pub fn known(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|entry| entry.known).map(|entry| &entry.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const NOW: Timestamp = Timestamp::from_secs(1_763_719_200);

    fn open() -> Sites {
        Sites::new([], limits::SITES_MAX, DAY)
    }

    #[test]
    fn a_forged_host_makes_no_site() {
        let mut sites = open();
        sites.confirm(&Host::new("shop.example"), NOW);
        let forged = sites.note(&Host::new("evil.example"), NOW);
        assert_eq!(sites.name(forged), "other");
        let shop = sites.note(&Host::new("Shop.Example:443"), NOW);
        assert_eq!(sites.name(shop), "shop.example");
        assert_eq!(sites.known().count(), 1);
    }

    #[test]
    fn a_named_list_is_closed() {
        let mut sites = Sites::new([Host::new("shop.example"), Host::new("shop.example")], limits::SITES_MAX, DAY);
        assert_eq!(sites.confirm(&Host::new("forged.example"), NOW), HostIndex::OTHER);
        assert_eq!(
            sites.confirm_session(HostIndex::OTHER, &Host::new("forged.example"), NOW),
            (HostIndex::OTHER, false)
        );
        let shop = sites.note(&Host::new("shop.example"), NOW.after(10 * DAY));
        assert_eq!((sites.name(shop), sites.known().count()), ("shop.example", 1));
    }

    #[test]
    fn a_confirmed_session_makes_one_even_if_its_host_was_only_noted() {
        let mut sites = open();
        let index = sites.note(&Host::new("new.example"), NOW);
        assert_eq!(sites.confirm(&Host::new("new.example"), NOW), index);
        assert_eq!(sites.name(index), "new.example");
    }

    #[test]
    fn forged_hosts_keep_no_visitor_from_making_a_site() {
        let mut sites = open();
        for n in 0..2 * limits::PENDING_HOSTS_MAX {
            sites.note(&Host::new(&format!("n{n}.example")), NOW);
        }
        let shop = Host::new("shop.example");
        assert_eq!(sites.note(&shop, NOW), HostIndex::OTHER, "no room to remember it");
        let (index, is_site) = sites.confirm_session(HostIndex::OTHER, &shop, NOW);
        assert_eq!((is_site, sites.name(index)), (true, "shop.example"));
        for n in 0..2 * limits::SITES_MAX {
            sites.confirm(&Host::new(&format!("c{n}.example")), NOW);
        }
        assert_eq!(sites.known().count(), limits::SITES_MAX);
        assert_eq!(sites.hosts.len(), limits::SITES_MAX + limits::PENDING_HOSTS_MAX);
    }

    #[test]
    fn both_tables_are_bounded_and_age() {
        let mut sites = open();
        for n in 0..2 * limits::SITES_MAX {
            sites.confirm(&Host::new(&format!("c{n}.example")), NOW);
        }
        for n in 0..2 * limits::PENDING_HOSTS_MAX {
            sites.note(&Host::new(&format!("n{n}.example")), NOW);
        }
        assert_eq!(sites.known().count(), limits::SITES_MAX);
        assert_eq!(sites.note(&Host::new("late.example"), NOW.after(DAY)), HostIndex::OTHER, "a session may have it");
        assert_eq!(sites.find(&Host::new("c1.example"), NOW.after(DAY)), Some(HostIndex(1)), "it is in use");
        let later = NOW.after(DAY + Duration::from_secs(61));
        let late = sites.confirm(&Host::new("late.example"), later);
        assert_eq!(sites.name(late), "late.example", "what nobody used for a day has gone");
        assert_eq!(sites.known().count(), limits::SITES_MAX);
        assert!(sites.known().any(|host| host.as_str() == "c1.example"));
    }
}
