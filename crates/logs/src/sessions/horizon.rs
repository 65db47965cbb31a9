//! Up to when a log tells everything: what lies before that moment, less the lateness, can be judged for good.
//!
//! The newest time in a log won't do: one row with a date in the future would end everybody's session. So a time counts
//! as reached only when enough rows lie behind it: one in a thousand, and at least four.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use visitlog_core::Timestamp;

use super::sites::{Hosts, Seen};

/// Rows, at least, that have to lie behind a time.
const ROWS_MIN: u64 = 4;
/// One row in so many has to lie behind a time.
const ONE_IN: u64 = 1_000;
/// Sites of which times are kept; those of further ones count for all sites together.
const SITES_MAX: usize = 1_000;
const MINUTE_S: i64 = 60;
/// Spans of time that are counted for each site; when there are more, those far from the time that is reached become one.
const SPANS_MAX: usize = 512;
/// How long spans are, in minutes, and for how many times that before and after the time that is reached.
const SPANS: [i64; 4] = [1, 60, 24 * 60, 30 * 24 * 60];
const SPANS_NEAR: i64 = 30;

/// The times of one site's rows, by minute; by hours, days and months, where that can't matter any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    minutes: HashMap<i64, u64>,
    /// The minute that was counted last, and its rows so far: mostly it is the next row's too.
    last: (i64, u64),
    /// The newest few, exactly.
    newest: [Option<Timestamp>; ROWS_MIN as usize],
}

impl Times {
    pub(super) fn add(&mut self, time: Timestamp) {
        let minute = time.secs().div_euclid(MINUTE_S);
        if minute != self.last.0 {
            let (last, rows) = std::mem::replace(&mut self.last, (minute, 0));
            if rows > 0 {
                *self.minutes.entry(last).or_default() += rows;
                self.thin();
            }
        }
        self.last.1 += 1;
        if self.newest[0] < Some(time) {
            self.newest[0] = Some(time);
            self.newest.sort_unstable();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest[ROWS_MIN as usize - 1].is_none()
    }

    fn merge(&mut self, other: Self) {
        for (minute, rows) in other.minutes.into_iter().chain([other.last]) {
            if rows > 0 {
                *self.minutes.entry(minute).or_default() += rows;
            }
        }
        self.see(other.newest);
        self.thin();
    }

    /// Keeps memory bounded, whatever times there are. The time that is reached is never taken for a later one by it.
    fn thin(&mut self) {
        if self.minutes.len() <= SPANS_MAX {
            return;
        }
        let reached = self.reached_minute().unwrap_or(self.last.0);
        for stretch in (0..).map(|n| 10_i64.saturating_pow(n)) {
            let span_of = |minute: i64| {
                let distance = minute.abs_diff(reached);
                let is_near = |span: &&i64| distance <= (**span * SPANS_NEAR).unsigned_abs();
                let span = SPANS.iter().find(is_near).copied().unwrap_or(SPANS[3].saturating_mul(stretch));
                minute.div_euclid(span) * span
            };
            let before = std::mem::take(&mut self.minutes);
            for (minute, rows) in before {
                *self.minutes.entry(span_of(minute)).or_default() += rows;
            }
            if self.minutes.len() <= SPANS_MAX {
                self.minutes.shrink_to(SPANS_MAX);
                return;
            }
        }
    }

    fn see(&mut self, newest: [Option<Timestamp>; ROWS_MIN as usize]) {
        let mut all: Vec<_> = self.newest.into_iter().chain(newest).collect();
        all.sort_unstable();
        self.newest.copy_from_slice(&all[ROWS_MIN as usize..]);
    }

    /// The time that enough rows have reached. `None` where there are too few rows.
    fn reached(&self) -> Option<Timestamp> {
        let rows = self.minutes.values().sum::<u64>() + self.last.1;
        if rows / ONE_IN <= ROWS_MIN {
            return self.newest[0];
        }
        self.reached_minute().map(|minute| Timestamp::from_secs(minute * MINUTE_S))
    }

    fn reached_minute(&self) -> Option<i64> {
        let mut minutes: BTreeMap<i64, u64> = self.minutes.iter().map(|(minute, rows)| (*minute, *rows)).collect();
        *minutes.entry(self.last.0).or_default() += self.last.1;
        let enough = ROWS_MIN.max(minutes.values().sum::<u64>() / ONE_IN);
        let mut behind = 0;
        let reached = minutes.into_iter().rev().find(|(_, rows)| {
            behind += rows;
            behind >= enough
        });
        reached.map(|(minute, _)| minute)
    }
}

/// How far the rows of each site have come.
#[derive(Debug, Clone, Default)]
pub struct Horizons {
    sites: HashMap<Box<str>, Times>,
    known: HashMap<Box<str>, Timestamp>,
    /// What speaks for hosts being sites.
    pub(super) hosts: Hosts,
}

impl Horizons {
    pub(super) fn times(&mut self, site: &str) -> &mut Times {
        let site = if self.sites.len() < SITES_MAX || self.sites.contains_key(site) { site } else { "" };
        if !self.sites.contains_key(site) {
            self.sites.insert(site.into(), Times::default());
        }
        // Looked up for each row: without a key of its own.
        self.sites.get_mut(site).expect("it was there, or was put there")
    }

    pub(super) fn put(&mut self, site: &str, times: Times) {
        self.times(site).merge(times);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.hosts.merge(other.hosts);
        for (site, times) in other.sites {
            self.sites.entry(site).or_default().merge(times);
        }
    }

    /// What is told of a site by something else than these rows: the newest times before, or a clock.
    pub fn know(&mut self, site: &str, reached: Timestamp) {
        let known = self.known.entry(site.into()).or_insert(reached);
        *known = reached.max(*known);
    }

    /// What spoke for a host being a site before.
    pub(crate) fn remember_host(&mut self, host: &str, seen: &Seen) {
        self.hosts.add(host, seen);
    }

    /// What was guessed before to be the site of requests that name no host.
    pub(crate) fn remember_guess(&mut self, guess: Option<&str>) {
        self.hosts.remember_guess(guess);
    }

    /// What speaks for a host being a site.
    pub(crate) fn seen(&self, host: &str) -> Option<&Seen> {
        self.hosts.seen.get(host)
    }

    /// The newest few times of each site, for [`Horizons::remember`] when more rows come.
    pub fn newest(&self) -> impl Iterator<Item = (&str, Vec<Timestamp>)> {
        self.sites.iter().map(|(site, times)| (&**site, times.newest.iter().flatten().copied().collect()))
    }

    /// The newest times of a site in earlier rows.
    pub fn remember(&mut self, site: &str, newest: &[Timestamp]) {
        let mut times = [None; ROWS_MIN as usize];
        times.iter_mut().zip(newest).for_each(|(to, time)| *to = Some(*time));
        self.times(site).see(times);
    }

    /// Up to when a site's rows tell everything, if rows come late by at most `lateness`. Never after `now`, where that
    /// is known. Where nothing tells, the start of time.
    pub fn of(&self, site: &str, lateness: Duration, now: Option<Timestamp>) -> Timestamp {
        let start = Timestamp::from_micros(i64::MIN);
        let times = self.sites.get(site).or_else(|| self.sites.get(""));
        let reached = times.and_then(Times::reached).max(self.known.get(site).copied()).unwrap_or(start);
        now.map_or(reached, |now| reached.min(now)).before(lateness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn secs(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn horizons(times: impl IntoIterator<Item = i64>) -> Horizons {
        let mut horizons = Horizons::default();
        times.into_iter().for_each(|s| horizons.times("a").add(secs(s)));
        horizons
    }

    #[test]
    fn three_rows_of_the_future_move_nothing() {
        let future = 4_000_000_000;
        let few = horizons([10, 20, 30, 40, 50, future, future + 1, future + 2]);
        assert_eq!(few.of("a", NONE, None), secs(50));
        let many = horizons((0..100_000).chain([future; 50]));
        assert_eq!(many.of("a", NONE, None), secs(99_900), "its minute");
        let merged = {
            let mut merged = horizons(0..50_000);
            merged.merge(horizons((50_000..100_000).chain([future; 50])));
            merged
        };
        assert_eq!(merged.of("a", NONE, None), secs(99_900));
        assert_eq!(few.of("b", NONE, None).before(Duration::MAX), secs(i64::MIN), "of others it tells nothing");
    }

    #[test]
    fn memory_does_not_grow_with_the_minutes_of_a_log() {
        // A row each ten minutes for six years, every seventh of which is a day late; some are of any year.
        let rows = || (0..300_000_i64).map(|n| n * 600 - if n % 7 == 0 { 86_400 } else { 0 });
        let odd = (0..50).map(|n| n * 90_000_000_000 - 2_000_000_000_000);
        let mut whole = horizons(rows().chain(odd.clone()));
        assert!(whole.times("a").minutes.len() <= SPANS_MAX, "{}", whole.times("a").minutes.len());
        let mut back: Vec<i64> = rows().chain(odd).collect();
        back.reverse();
        let back = horizons(back);
        let (there, back) = (whole.of("a", NONE, None).secs(), back.of("a", NONE, None).secs());
        let true_s = 300_000 * 600 - 300 * 600;
        assert!((true_s - 86_400..=true_s).contains(&there), "{there}");
        assert!(back <= true_s && back >= true_s - 32 * 86_400, "{back}: earlier at most");
    }

    #[test]
    fn a_clock_bounds_it_and_what_was_known_before_counts() {
        let mut few = horizons([10, 20]);
        assert_eq!(few.of("a", NONE, None), Timestamp::from_micros(i64::MIN), "too few to tell");
        few.remember("a", &[secs(5), secs(8), secs(9)]);
        assert_eq!(few.of("a", NONE, None), secs(8));
        few.know("a", secs(100));
        assert_eq!(few.of("a", Duration::from_secs(30), None), secs(70));
        assert_eq!(few.of("a", NONE, Some(secs(60))), secs(60));
    }

    #[test]
    fn the_order_of_rows_is_of_no_account() {
        let mut times: Vec<i64> = (0..10_000).map(|n| n * 7 % 10_000).collect();
        let one = horizons(times.iter().copied()).of("a", NONE, None);
        times.sort_unstable();
        assert_eq!(horizons(times).of("a", NONE, None), one);
    }
}
