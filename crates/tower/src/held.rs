//! Pages that were fetched before anybody wanted to see them: kept until the client shows that it shows them.
//!
//! A browser that has prefetched or prerendered a page asks for nothing when it shows it; but what the page asks for
//! then, or the next page that is opened from it, names it as its referrer, without a purpose. They are kept in this
//! process: where several share a site's requests, one visitor's should go to one of them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use visitlog_core::model::Event;
use visitlog_core::{Host, Timestamp, limits};

use crate::client::AddressGroup;
use crate::shares::Shares;

/// Who fetched which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// Pages that may be shown yet.
#[derive(Debug, Default)]
pub(crate) struct HeldPages {
    hasher: RandomState,
    /// How many there are: nearly always none, and then nobody need take the lock.
    count: AtomicUsize,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    events: HashMap<Key, Held>,
    /// When each was fetched, oldest first; some of them are gone.
    order: VecDeque<(Timestamp, Key)>,
    /// How many of them each address has fetched.
    shares: Shares,
}

#[derive(Debug)]
struct Held {
    since: Timestamp,
    from: AddressGroup,
    event: Box<Event>,
}

impl Pages {
    fn remove(&mut self, key: Key) -> Option<Event> {
        let Held { from, event, .. } = self.events.remove(&key)?;
        self.shares.give_back(from);
        Some(*event)
    }

    /// Whether what was put in line is still there: it was not shown, and not fetched anew since.
    fn has(&self, &(since, key): &(Timestamp, Key)) -> bool {
        self.events.get(&key).is_some_and(|held| held.since == since)
    }

    /// Makes room: forgets what is too old, and the oldest where there are too many.
    fn make_room(&mut self, now: Timestamp) {
        while let Some(&oldest) = self.order.front()
            && (self.events.len() >= limits::HELD_PAGES_MAX
                || now.since(oldest.0) > limits::HELD_PAGE_AGE_MAX
                || !self.has(&oldest))
        {
            self.order.pop_front();
            if self.has(&oldest) {
                self.remove(oldest.1);
            }
        }
        if self.order.len() >= 2 * limits::HELD_PAGES_MAX {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|place| self.has(place));
            self.order = order;
        }
    }
}

impl HeldPages {
    /// The key of a page. `who`: the visitor, or the fingerprint of one who is not known yet. `target`: path and query.
    pub(crate) fn key(&self, who: u128, host: &Host, target: &str) -> Key {
        Key(self.hasher.hash_one((who, host.as_str(), target)))
    }

    /// Whether there is none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Keeps a page. One that nobody has seen in time, or the oldest of too many, is forgotten; of one address there is
    /// room for some, so that it does not push out all the others'.
    pub(crate) fn keep(&self, key: Key, from: AddressGroup, event: Event, now: Timestamp) {
        let mut pages = self.pages();
        pages.remove(key);
        pages.make_room(now);
        if pages.shares.take(from, limits::HELD_PAGES_PER_ADDRESS_MAX) {
            pages.order.push_back((now, key));
            pages.events.insert(key, Held { since: now, from, event: Box::new(event) });
        }
        self.count.store(pages.events.len(), Ordering::Relaxed);
    }

    /// Whether a page is kept.
    pub(crate) fn has(&self, key: Key, now: Timestamp) -> bool {
        self.pages().events.get(&key).is_some_and(|held| now.since(held.since) <= limits::HELD_PAGE_AGE_MAX)
    }

    /// The page is shown, or was asked for anew: it counts once.
    pub(crate) fn take(&self, key: Key) -> Option<Event> {
        let mut pages = self.pages();
        let event = pages.remove(key)?;
        self.count.store(pages.events.len(), Ordering::Relaxed);
        Some(event)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Path and query of a referrer that is on this host.
pub(crate) fn target_on<'a>(referrer: &'a str, host: &Host) -> Option<&'a str> {
    let (_, behind) = referrer.split_once("://")?;
    let at = behind.find(['/', '?', '#']).unwrap_or(behind.len());
    let (authority, target) = behind.split_at(at);
    let target = target.split('#').next().filter(|target| !target.is_empty()).unwrap_or("/");
    (Host::new(authority) == *host).then_some(target)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use visitlog_core::model::EventKind;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn event() -> Event {
        Event { time: NOW, kind: EventKind::PageView, name: None, type_: None, request: None, properties: None }
    }

    #[test]
    fn each_counts_once_and_not_for_ever() {
        let (held, host) = (HeldPages::default(), Host::new("shop.example"));
        let key = held.key(1, &host, "/a");
        assert!(held.is_empty() && !held.has(key, NOW));
        held.keep(key, AddressGroup::Unknown, event(), NOW);
        assert!(!held.is_empty() && held.has(key, NOW));
        for other in [held.key(2, &host, "/a"), held.key(1, &host, "/b"), held.key(1, &Host::new("x"), "/a")] {
            assert!(!held.has(other, NOW));
        }
        assert!(held.has(key, NOW.after(limits::HELD_PAGE_AGE_MAX)));
        assert!(!held.has(key, NOW.after(limits::HELD_PAGE_AGE_MAX + Duration::from_micros(1))));
        assert!(held.take(key).is_some() && held.take(key).is_none() && held.is_empty());
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let (held, host) = (HeldPages::default(), Host::new("shop.example"));
        let key = |n: usize| held.key(n as u128, &host, "/");
        // Each address has a few.
        let from = |n: usize| AddressGroup::V4(((n / 10) as u32).to_be_bytes());
        held.keep(key(0), from(0), event(), NOW);
        for n in 0..=limits::HELD_PAGES_MAX {
            held.keep(key(n), from(n), event(), NOW.after(Duration::from_secs(1)));
        }
        assert_eq!(held.pages().events.len(), limits::HELD_PAGES_MAX);
        assert!(!held.has(key(0), NOW) && held.has(key(2), NOW) && held.has(key(limits::HELD_PAGES_MAX), NOW));
        held.keep(key(0), from(0), event(), NOW.after(Duration::from_secs(1_000)));
        let pages = held.pages();
        assert_eq!((pages.order.len(), pages.events.len()), (1, 1));
    }

    #[test]
    fn one_address_pushes_out_nobody_elses() {
        let (held, host) = (HeldPages::default(), Host::new("shop.example"));
        let key = |n: usize| held.key(n as u128, &host, "/");
        held.keep(key(0), AddressGroup::V4([192, 0, 2, 1]), event(), NOW);
        let greedy = AddressGroup::V4([192, 0, 2, 2]);
        for n in 1..=limits::HELD_PAGES_MAX * 2 {
            held.keep(key(n), greedy, event(), NOW);
        }
        assert!(held.has(key(0), NOW), "the first one's");
        assert_eq!(held.pages().events.len(), 1 + limits::HELD_PAGES_PER_ADDRESS_MAX);
        assert!(held.take(key(1)).is_some());
        held.keep(key(0), AddressGroup::V4([192, 0, 2, 1]), event(), NOW);
        held.keep(key(9_999), greedy, event(), NOW);
        assert!(held.has(key(9_999), NOW), "there is room again");
    }

    #[test]
    fn one_page_fetched_again_and_again_pushes_out_nobody_elses() {
        let (held, host) = (HeldPages::default(), Host::new("shop.example"));
        let (first, again) = (held.key(0, &host, "/"), held.key(1, &host, "/"));
        held.keep(first, AddressGroup::V4([192, 0, 2, 1]), event(), NOW);
        for n in 1..=3 * limits::HELD_PAGES_MAX as u64 {
            held.keep(again, AddressGroup::V4([192, 0, 2, 2]), event(), NOW.after(Duration::from_micros(n)));
        }
        assert!(held.has(first, NOW) && held.has(again, NOW));
        let pages = held.pages();
        assert!(pages.events.len() == 2 && pages.order.len() <= 2 * limits::HELD_PAGES_MAX);
    }

    #[test]
    fn a_referrer_on_this_host_names_a_page_of_it() {
        let host = Host::new("shop.example");
        for (referrer, target) in [
            ("https://shop.example/a?b=c#d", Some("/a?b=c")),
            ("http://Shop.Example:8080/a", Some("/a")),
            ("https://shop.example", Some("/")),
            ("https://shop.example/", Some("/")),
            ("https://other.example/a", None),
            ("/a", None),
            ("about:blank", None),
        ] {
            assert_eq!(target_on(referrer, &host), target, "{referrer}");
        }
    }
}
