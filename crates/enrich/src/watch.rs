//! What the visits of an hour have in common that people's visits never have: then something in front of the site takes
//! headers away, stands in for all visitors with its own address, or keeps cookies from coming back.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use visitlog_core::Timestamp;

use crate::signs::header_signs;

/// What is looked at: an hour, in parts of ten minutes.
const PARTS: usize = 6;
const PART_MICROS: i64 = 10 * 60 * 1_000_000;
/// Fewer visits say nothing.
const VISITS_MIN: u64 = 20;
/// Addresses that each part tells apart; what many share is among the first.
const ADDRESSES_MAX: usize = 1_000;
/// One address with so many user agents is not one visitor.
const AGENTS_MIN: u32 = 8;
/// Of people's visits, so few in a hundred in which a cookie came back are none.
const CONFIRMED_MIN_PERCENT: u64 = 5;

/// A visit that ended, as far as it is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended<'a> {
    /// Where it came from, as far as that is kept.
    pub address: Option<IpAddr>,
    /// What the client called itself.
    pub user_agent: Option<&'a str>,
    /// Whether it came by a request, and not out of a log, at a site that uses cookies.
    pub is_live: bool,
    /// Whether the cookie came back.
    pub confirmed: bool,
    /// Why it is taken for a bot, if it is.
    pub bot_reason: Option<&'a str>,
}

/// Counts visits as they end. It goes by the visits' own time.
#[derive(Debug, Default)]
pub struct VisitWatch(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    parts: [Part; PARTS],
    /// The number, since the epoch, of the newest part.
    newest: i64,
}

#[derive(Debug, Default)]
struct Part {
    visits: u64,
    signs: BTreeMap<Box<str>, u64>,
    /// Visits by address, and a bit for each of their user agents, by hash.
    addresses: BTreeMap<IpAddr, (u64, u64)>,
    /// Visits of people, and those in which the cookie came back.
    people: u64,
    confirmed: u64,
}

/// Something that most visits of an hour share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common<T> {
    /// What it is.
    pub what: T,
    /// Visits that have it.
    pub with_it: u64,
    /// All visits that could.
    pub visits: u64,
}

/// What is odd about an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Oddities {
    /// Most are taken for bots for one and the same sign in their headers: `no accept-language`. Many of them are people.
    pub sign: Option<Common<Box<str>>>,
    /// Most have one address, and many user agents.
    pub address: Option<Common<IpAddr>>,
    /// Hardly any cookie came back: people's visits without.
    pub cookies: Option<Common<()>>,
}

impl VisitWatch {
    /// Counts a visit.
    pub fn count(&self, at: Timestamp, visit: Ended<'_>) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(part) = parts.of(at) else { return };
        part.visits += 1;
        for sign in visit.bot_reason.into_iter().flat_map(header_signs) {
            *part.signs.entry(sign.into()).or_default() += 1;
        }
        let has_room = part.addresses.len() < ADDRESSES_MAX;
        if let Some(address) = visit.address.filter(|address| has_room || part.addresses.contains_key(address)) {
            let (visits, agents) = part.addresses.entry(address).or_default();
            *visits += 1;
            let hasher = BuildHasherDefault::<DefaultHasher>::default();
            *agents |= 1 << (hasher.hash_one(visit.user_agent.unwrap_or_default()) % 64);
        }
        if visit.is_live && visit.bot_reason.is_none() {
            part.people += 1;
            part.confirmed += u64::from(visit.confirmed);
        }
    }

    /// What is odd about the hour up to now.
    pub fn oddities(&self, now: Timestamp) -> Oddities {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What lies between has passed without a visit.
        let _ = parts.of(now);
        let sum = |of: fn(&Part) -> u64| parts.parts.iter().map(of).sum::<u64>();
        let (visits, people, confirmed) = (sum(|p| p.visits), sum(|p| p.people), sum(|p| p.confirmed));
        let mut oddities = Oddities::default();
        if visits < VISITS_MIN {
            return oddities;
        }
        let mut signs: BTreeMap<&str, u64> = BTreeMap::new();
        let mut addresses: BTreeMap<IpAddr, (u64, u64)> = BTreeMap::new();
        for part in &parts.parts {
            part.signs.iter().for_each(|(sign, count)| *signs.entry(sign).or_default() += count);
            for (address, (count, agents)) in &part.addresses {
                let (all, bits) = addresses.entry(*address).or_default();
                *all += count;
                *bits |= agents;
            }
        }
        let is_most = |count: u64| 2 * count > visits;
        let most_signs = signs.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| is_most(*count));
        oddities.sign = most_signs.map(|(sign, with_it)| Common { what: sign.into(), with_it, visits });
        let most_addresses = addresses.into_iter().max_by_key(|(_, (count, _))| *count);
        let many = most_addresses.filter(|(_, (count, agents))| is_most(*count) && agents.count_ones() >= AGENTS_MIN);
        oddities.address = many.map(|(what, (with_it, _))| Common { what, with_it, visits });
        if people >= VISITS_MIN && confirmed * 100 < people * CONFIRMED_MIN_PERCENT {
            oddities.cookies = Some(Common { what: (), with_it: people - confirmed, visits: people });
        }
        oddities
    }
}

impl Parts {
    /// The part of a moment, the newest or one of those before it; `None` where it is older.
    fn of(&mut self, at: Timestamp) -> Option<&mut Part> {
        let part = at.micros().div_euclid(PART_MICROS);
        if part <= self.newest.saturating_sub(PARTS as i64) {
            return None;
        }
        let passed = part.saturating_sub(self.newest).clamp(0, PARTS as i64);
        self.newest = self.newest.max(part);
        for step in 0..passed {
            self.parts[index(part - step)] = Part::default();
        }
        Some(&mut self.parts[index(part)])
    }
}

fn index(part: i64) -> usize {
    part.rem_euclid(PARTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIPPED: &str = "headers: no accept-language, no sec-fetch-*, no accept-encoding";

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + minute * 60_000_000)
    }

    /// What is odd when the last of these has ended, one a minute from then on.
    fn odd<'a>(watch: &VisitWatch, from: i64, visits: impl IntoIterator<Item = Ended<'a>>) -> Oddities {
        let mut at = from;
        for visit in visits {
            watch.count(minute(at), visit);
            at += 1;
        }
        watch.oddities(minute(at))
    }

    fn with_reason(bot_reason: Option<&str>) -> Ended<'_> {
        Ended { bot_reason, is_live: true, confirmed: true, ..Ended::default() }
    }

    #[test]
    fn what_most_visits_are_taken_for_bots_for() {
        let watch = VisitWatch::default();
        let sign = odd(&watch, 0, (0..30).map(|n| with_reason((n % 3 != 0).then_some(STRIPPED)))).sign.expect("a sign");
        assert_eq!((sign.visits, sign.with_it), (30, 20));
        assert!(STRIPPED.contains(&*sign.what));
        assert_eq!(watch.oddities(minute(100)), Oddities::default(), "an hour later");
        for reason in [None, Some("user agent: Googlebot")] {
            assert_eq!(odd(&VisitWatch::default(), 0, [with_reason(reason); 50]), Oddities::default(), "{reason:?}");
        }
        let half = (0..50).map(|n| with_reason((n % 2 == 0).then_some(STRIPPED)));
        assert_eq!(odd(&VisitWatch::default(), 0, half), Oddities::default(), "half is not most");
        assert_eq!(odd(&VisitWatch::default(), 0, [with_reason(Some(STRIPPED)); 19]), Oddities::default(), "too few");
    }

    #[test]
    fn one_address_of_many_browsers_is_no_visitor() {
        let agents: Vec<String> = (0..40).map(|n| format!("Chrome/{n}")).collect();
        let ended = |n: usize, address: [u8; 4]| Ended {
            address: Some(IpAddr::from(address)),
            user_agent: Some(&agents[n]),
            ..with_reason(None)
        };
        let address = odd(&VisitWatch::default(), 0, (0..40).map(|n| ended(n, [10, 0, 0, 1]))).address.expect("one");
        assert_eq!((address.what.to_string(), address.with_it, address.visits), ("10.0.0.1".to_owned(), 40, 40));
        let one_browser = (0..40).map(|_| ended(0, [10, 0, 0, 1]));
        assert_eq!(odd(&VisitWatch::default(), 0, one_browser).address, None);
        let many = (0..40).map(|n| ended(n, [10, 0, 0, n as u8]));
        assert_eq!(odd(&VisitWatch::default(), 0, many).address, None);
    }

    #[test]
    fn cookies_that_never_come_back_are_told_of_people_alone() {
        let visit = |confirmed, bot_reason, is_live| Ended { confirmed, bot_reason, is_live, ..Ended::default() };
        let odd = |visits: Vec<Ended<'_>>| odd(&VisitWatch::default(), 0, visits).cookies.map(|common| common.with_it);
        assert_eq!(odd(vec![visit(false, None, true); 30]), Some(30));
        assert_eq!(odd(vec![visit(false, Some("user agent: x"), true); 30]), None, "bots keep none");
        assert_eq!(odd(vec![visit(false, None, false); 30]), None, "a log knows nothing of it");
        let some = (0..40).map(|n| visit(n % 10 == 0, None, true)).collect();
        assert_eq!(odd(some), None);
    }

    #[test]
    fn what_is_older_than_an_hour_does_not_count() {
        let watch = VisitWatch::default();
        odd(&watch, 0, [with_reason(Some(STRIPPED)); 15]);
        assert_eq!(odd(&watch, 90, [with_reason(Some(STRIPPED)); 15]), Oddities::default());
        watch.count(minute(0), with_reason(Some(STRIPPED)));
        let parts = watch.0.lock().expect("nobody panicked");
        assert_eq!(parts.parts.iter().map(|part| part.visits).sum::<u64>(), 15, "late ones are left out");
    }
}
