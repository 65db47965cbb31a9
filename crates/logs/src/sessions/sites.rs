//! Which hosts are sites, and what the site of a log is called that names no host.
//!
//! A request's `Host` is its sender's word: whoever scans the network puts anything there. So a host is a site only where
//! somebody was seen to use it: a page's image or script was asked for, or a page with the address of another one of it as
//! its referrer; or several clients read pages of it, and not only a few of all requests are its. As long as no host is
//! known in this way, the one that most requests name is a site. What is of no site counts to [`NO_SITE`].

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};
use visitlog_core::Host;
use visitlog_core::rules::Logged;

use crate::hit::Hit;

/// The name of a site that nothing names.
pub const NO_SITE: &str = "other";
/// A host of which fewer requests than one in so many of the most frequent one's are is none by its clients alone.
const ONE_IN: u64 = 100;
/// Pages, and links to them, that are looked at for the site's own name: a log has many more, and they say the same.
const LINKS_MAX: usize = 4_096;
/// Hosts that are named as doubtful.
const DOUBTED_MAX: usize = 5;

/// What speaks for a host being a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Requests that named it.
    pub(super) requests: u64,
    /// One of its clients, by a hash under the importer's key; none any more where there are others.
    client: Option<u64>,
    has_clients: bool,
    /// Somebody was seen to use it.
    pub(super) is_used: bool,
}

impl Seen {
    /// Looks at a request; `client` says whose it is, by a hash that leads back to nobody: it is written down.
    pub(super) fn see(&mut self, host: &str, hit: &Hit<'_>, logged: Logged, client: impl FnOnce() -> u64) {
        self.requests += 1;
        if self.is_used || !matches!(hit.status, 0 | 200..400) {
            return;
        }
        self.is_used = match (logged, hit.referrer.as_deref().and_then(link)) {
            (Logged::Asset, _) if hit.status < 300 || hit.status == 304 => hit.path != "/favicon.ico",
            // Who forges one often forges the other: the page itself.
            (_, Some((from, path))) => from.eq_ignore_ascii_case(host) && path != hit.path,
            _ => false,
        };
        if logged == Logged::Page && !self.has_clients {
            let client = client();
            self.has_clients = self.client.is_some_and(|other| other != client);
            self.client = Some(client).filter(|_| !self.has_clients);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.is_used |= other.is_used;
        let differ = matches!((self.client, other.client), (Some(one), Some(another)) if one != another);
        self.has_clients |= other.has_clients || differ;
        self.client = self.client.or(other.client).filter(|_| !self.has_clients);
    }
}

/// The hosts that requests name, and for those that name none, what their referrers tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    pub(super) seen: HashMap<Box<str>, Seen>,
    links: Links,
    /// What was guessed before.
    guess: Option<Box<str>>,
}

/// Pages of a log without hosts, and addresses in referrers whose pages they may be.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    pages: HashSet<u64>,
    links: HashMap<(u64, u64), u64>,
    hosts: HashMap<u64, Box<str>>,
}

impl Links {
    /// Looks at a request that names no host.
    pub(super) fn see(&mut self, hit: &Hit<'_>, logged: Logged) {
        if !matches!(hit.status, 0 | 200..400) || self.links.len() >= LINKS_MAX {
            return;
        }
        if logged == Logged::Page && self.pages.len() < LINKS_MAX {
            self.pages.insert(hash(&hit.path));
        }
        let Some((host, path)) = hit.referrer.as_deref().and_then(link) else { return };
        // Everybody has a page of this path; but what asks for a part of a page is that page.
        if path == "/" && logged != Logged::Asset {
            return;
        }
        let host = host.to_ascii_lowercase();
        let key = hash(&host);
        self.hosts.entry(key).or_insert_with(|| host.into());
        *self.links.entry((key, hash(path))).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.pages.extend(other.pages);
        self.hosts.extend(other.hosts);
        other.links.into_iter().for_each(|(link, count)| *self.links.entry(link).or_default() += count);
    }

    /// The host whose pages those of the log are, by most referrers; and how many these are.
    fn own(&self) -> Option<(&str, u64)> {
        let mut votes: HashMap<&str, u64> = HashMap::new();
        for ((host, page), count) in &self.links {
            if self.pages.contains(page)
                && let Some(host) = self.hosts.get(host)
            {
                *votes.entry(host).or_default() += count;
            }
        }
        let mut votes: Vec<_> = votes.into_iter().collect();
        votes.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let (own, most) = *votes.first()?;
        let bare = |host: &str| host.strip_prefix("www.").unwrap_or(host).to_owned();
        let next = votes.iter().find(|(host, _)| bare(host) != bare(own)).map_or(0, |(_, count)| *count);
        (most >= 2 * next).then_some((own, most))
    }
}

impl Hosts {
    pub(super) fn add(&mut self, host: &str, seen: &Seen) {
        match self.seen.get_mut(host) {
            Some(known) => known.merge(seen),
            None => {
                self.seen.insert(host.into(), *seen);
            }
        }
    }

    pub(super) fn add_links(&mut self, links: Links) {
        self.links.merge(links);
    }

    pub(super) fn remember_guess(&mut self, guess: Option<&str>) {
        self.guess = guess.map(Into::into);
    }

    pub(super) fn merge(&mut self, other: Self) {
        other.seen.iter().for_each(|(host, seen)| self.add(host, seen));
        self.links.merge(other.links);
        self.guess = self.guess.take().or(other.guess);
    }

    /// What visits' sites are called; `named` are sites because the settings say so.
    pub(super) fn sites(&self, named: &[Host], default: Option<&Host>) -> Sites {
        let most = self.seen.values().map(|seen| seen.requests).max().unwrap_or(0);
        let is_known = |seen: &Seen| seen.is_used || (seen.has_clients && seen.requests >= most / ONE_IN);
        let is_address = |host: &str| host.parse::<std::net::IpAddr>().is_ok();
        let has_known = self.seen.iter().any(|(_, seen)| is_known(seen));
        let is_site = |host: &str, seen: &Seen| {
            seen.is_used
                || (is_known(seen) && !is_address(host))
                || (!has_known && seen.requests == most)
                || named.iter().any(|named| named.as_str() == host)
        };
        let doubted = self.seen.iter().filter(|(host, seen)| !is_site(host, seen));
        let doubted: HashMap<Box<str>, u64> = doubted.map(|(host, seen)| (host.clone(), seen.requests)).collect();
        let guess = match (default, &self.guess) {
            (Some(_), _) => None,
            (None, Some(before)) => Some((Host::new(before), 0)),
            (None, None) => self.links.own().map(|(host, count)| (Host::new(host), count)),
        };
        Sites { default: default.cloned(), guess, doubted }
    }
}

/// What visits' sites are called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sites {
    default: Option<Host>,
    guess: Option<(Host, u64)>,
    doubted: HashMap<Box<str>, u64>,
}

impl Sites {
    /// The site of requests that named a host; or [`NO_SITE`], if they named none.
    pub(super) fn of(&self, host: &Host) -> Host {
        if host.as_str() == NO_SITE {
            return self.guess.as_ref().map_or_else(|| host.clone(), |(guess, _)| guess.clone());
        }
        match self.doubted.contains_key(host.as_str()) {
            true => self.default.clone().unwrap_or_else(|| Host::new(NO_SITE)),
            false => host.clone(),
        }
    }

    /// The site of requests that name no host, guessed; and how many referrers say so (0: it was guessed before).
    pub fn guess(&self) -> Option<(&str, u64)> {
        self.guess.as_ref().map(|(host, count)| (host.as_str(), *count))
    }

    /// Requests to hosts that nobody was seen to use; how many such hosts there are; and some of them.
    pub fn doubted(&self) -> (u64, usize, Vec<&str>) {
        let mut hosts: Vec<_> = self.doubted.iter().map(|(host, requests)| (&**host, *requests)).collect();
        hosts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let some = hosts.iter().take(DOUBTED_MAX).map(|(host, _)| *host).collect();
        (hosts.iter().map(|(_, requests)| requests).sum(), hosts.len(), some)
    }
}

/// Host and path of an address.
fn link(url: &str) -> Option<(&str, &str)> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        url.get(..scheme.len()).filter(|head| head.eq_ignore_ascii_case(scheme)).map(|head| &url[head.len()..])
    })?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let is_host = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_') || !c.is_ascii();
    let path = behind.split(['?', '#']).next().filter(|path| !path.is_empty()).unwrap_or("/");
    (!host.is_empty() && host.bytes().all(is_host)).then_some((host, path))
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit<'a>(client: &str, path: &'a str, referrer: &'a str) -> Hit<'a> {
        let referrer = Some(referrer).filter(|referrer| !referrer.is_empty()).map(Into::into);
        Hit { client_ip: client.parse().ok(), path: path.into(), status: 200, referrer, ..Hit::default() }
    }

    fn hosts(rows: &[(&str, Hit<'_>, Logged)]) -> Hosts {
        let mut hosts = Hosts::default();
        for (host, hit, logged) in rows {
            let mut seen = Seen::default();
            seen.see(host, hit, *logged, || hash(&hit.client_ip.expect("an address").to_string()));
            hosts.add(host, &seen);
        }
        hosts
    }

    fn site(hosts: &Hosts, named: &[Host], host: &str) -> String {
        hosts.sites(named, None).of(&Host::new(host)).as_str().to_owned()
    }

    #[test]
    fn a_host_is_a_site_when_somebody_uses_it() {
        let page = |client, path, referrer| (hit(client, path, referrer), Logged::Page);
        let rows = [
            ("shop.example", page("192.0.2.1", "/a", "")),
            ("shop.example", page("192.0.2.1", "/b", "https://Shop.example:443/a")),
            ("blog.example", page("192.0.2.1", "/", "")),
            ("blog.example", (hit("192.0.2.1", "/style.css", ""), Logged::Asset)),
            ("wiki.example", page("192.0.2.1", "/", "")),
            ("wiki.example", page("192.0.2.2", "/", "")),
            ("forged.example", page("192.0.2.3", "/", "")),
            ("twice.example", page("192.0.2.3", "/x", "http://twice.example/x")),
            ("203.0.113.9", page("192.0.2.3", "/", "")),
            ("203.0.113.9", page("192.0.2.4", "/", "")),
        ];
        let rows: Vec<_> = rows.into_iter().map(|(host, (hit, logged))| (host, hit, logged)).collect();
        let hosts = hosts(&rows);
        for known in ["shop.example", "blog.example", "wiki.example"] {
            assert_eq!(site(&hosts, &[], known), known);
        }
        for forged in ["forged.example", "twice.example", "203.0.113.9"] {
            assert_eq!(site(&hosts, &[], forged), NO_SITE, "{forged}");
            assert_eq!(site(&hosts, &[Host::new(forged)], forged), forged, "the settings name it");
        }
        assert_eq!(hosts.sites(&[], None).doubted(), (4, 3, vec!["203.0.113.9", "forged.example", "twice.example"]));
    }

    #[test]
    fn as_long_as_none_is_known_it_is_the_most_frequent_one() {
        let page = |host| (host, hit("192.0.2.1", "/", ""), Logged::Page);
        let hosts = hosts(&[page("a.example"), page("a.example"), page("b.example")]);
        assert_eq!(
            (site(&hosts, &[], "a.example"), site(&hosts, &[], "b.example")),
            ("a.example".into(), NO_SITE.into())
        );
    }

    #[test]
    fn the_own_site_is_that_of_most_links_between_pages() {
        let mut links = Links::default();
        for (path, referrer, logged) in [
            ("/shop", "https://www.google.com/", Logged::Page),
            ("/shop", "https://www.google.com/search", Logged::Page),
            ("/cart", "https://Shop.example/shop?q=1", Logged::Page),
            ("/", "https://spam.example/", Logged::Page),
            ("/logo.png", "https://shop.example/", Logged::Asset),
            ("/logo.png", "https://forum.example/thread/7", Logged::Asset),
        ] {
            links.see(&hit("192.0.2.1", path, referrer), logged);
        }
        let mut hosts = Hosts::default();
        hosts.add_links(links);
        let sites = hosts.sites(&[], None);
        assert_eq!(sites.guess(), Some(("shop.example", 2)));
        assert_eq!(sites.of(&Host::new(NO_SITE)).as_str(), "shop.example");
        let named = hosts.sites(&[], Some(&Host::new("given.example")));
        assert_eq!(named.guess(), None);
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (url, expected) in [
            ("https://a.example/x/y?z", Some(("a.example", "/x/y"))),
            ("HTTP://u:p@a.example:8080", Some(("a.example", "/"))),
            ("https://a.example?x=/y", Some(("a.example", "/"))),
            ("ftp://a.example/", None),
            ("https:///x", None),
            ("https://<b>/", None),
            ("é", None),
            ("/a", None),
        ] {
            assert_eq!(link(url), expected, "{url}");
        }
    }
}
