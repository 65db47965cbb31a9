//! Requests as counts by the hour: what is not worth a record of its own, as assets and what was not found, is counted
//! all the same.
//!
//! Counts add up: one of an hour, site, path and so on may be told in parts, at different times and by different
//! processes, and whoever reads them takes their sum. So what gathers them can let go of them whenever its memory is
//! full.

use hashbrown::HashMap;

use crate::model::Via;
use crate::time::Timestamp;

/// What a request was, to the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestType {
    /// A page was shown.
    PageView,
    /// A page was asked for and answered with an error.
    PageError,
    /// Another request of the site: a form, a redirect, a call of its programs.
    Request,
    /// A file that is neither a page nor a part of one, by its extension: a document, an archive, a feed.
    Download,
    /// A part of a page, by its extension.
    Asset,
    /// What programs ask for: health checks, `/robots.txt`, `/.well-known`, `OPTIONS`.
    Service,
}

impl RequestType {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::PageView, Self::PageError, Self::Request, Self::Download, Self::Asset, Self::Service];

    /// The word in the column `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::PageError => "page_error",
            Self::Request => "request",
            Self::Download => "download",
            Self::Asset => "asset",
            Self::Service => "service",
        }
    }
}

/// So many requests of an hour that differ in nothing that is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount<'a> {
    /// A moment in the hour (UTC); what is kept of it is the hour's start.
    pub time: Timestamp,
    /// The site.
    pub site: &'a str,
    /// The page's name in reports, or the path of what is no page; empty where the request named none.
    pub path: &'a str,
    /// What they were.
    pub kind: RequestType,
    /// The status of the answers; 0 where nobody knows.
    pub status: u16,
    /// The class of bot that their user agents name; `None` for people, and where nobody knows.
    pub bot: Option<&'a str>,
    /// By which way in they came.
    pub via: Via,
    /// How many they are.
    pub requests: u64,
    /// Bytes of their answers, as far as known; `None` where no answer's are.
    pub bytes: Option<u64>,
    /// How long those answers took, together, of which that is known, in microseconds.
    pub duration_us: u64,
    /// How many answers that are.
    pub timed: u64,
}

const HOUR_US: i64 = 3_600_000_000;

/// The start of the hour (UTC) that a moment lies in.
pub const fn hour_of(time: Timestamp) -> Timestamp {
    let into = time.micros().rem_euclid(HOUR_US);
    Timestamp::from_micros(time.micros().saturating_sub(into))
}

/// Counts in memory, by all that they differ in.
#[derive(Debug, Default)]
pub struct RequestCounts {
    groups: HashMap<Group, HashMap<Box<str>, Sums>>,
    /// Sites and classes of bots, by number.
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    bytes: usize,
}

/// What many paths have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Group {
    hour: Timestamp,
    site: u32,
    kind: RequestType,
    status: u16,
    bot: Option<u32>,
    via: Via,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    requests: u64,
    bytes: Option<u64>,
    duration_us: u64,
    timed: u64,
}

/// About what a path takes beside its text, with its place in a map that is not full.
const PATH_BYTES: usize = 2 * (size_of::<Box<str>>() + size_of::<Sums>());
/// The same of a group.
const GROUP_BYTES: usize = 2 * (size_of::<Group>() + size_of::<HashMap<Box<str>, Sums>>());

impl RequestCounts {
    /// Adds to what there is.
    pub fn add(&mut self, count: &RequestCount<'_>) {
        let group = Group {
            hour: hour_of(count.time),
            site: self.number(count.site),
            kind: count.kind,
            status: count.status,
            bot: count.bot.map(|bot| self.number(bot)),
            via: count.via,
        };
        let paths = self.groups.entry(group).or_insert_with(|| {
            self.bytes += GROUP_BYTES;
            HashMap::new()
        });
        if !paths.contains_key(count.path) {
            self.bytes += PATH_BYTES + count.path.len();
            paths.insert(count.path.into(), Sums::default());
        }
        let Some(sums) = paths.get_mut(count.path) else { return };
        sums.requests = sums.requests.saturating_add(count.requests);
        sums.duration_us = sums.duration_us.saturating_add(count.duration_us);
        sums.timed = sums.timed.saturating_add(count.timed);
        if let Some(bytes) = count.bytes {
            sums.bytes = Some(sums.bytes.unwrap_or(0).saturating_add(bytes));
        }
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // There are fewer than fit into memory.
        let number = self.names.len() as u32;
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        self.bytes += 2 * (name.len() + size_of::<(Box<str>, Box<str>, u32)>());
        number
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// About how much memory they take.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Shows all of them, in no order.
    pub fn each(&self, mut show: impl FnMut(&RequestCount<'_>)) {
        let shown: Result<(), std::convert::Infallible> = self.told(|count| {
            show(count);
            Ok(())
        });
        match shown {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Hands out all of them, in no order, until one is not taken; none is left then.
    ///
    /// # Errors
    /// When one is not taken.
    pub fn drain<E>(&mut self, take: impl FnMut(&RequestCount<'_>) -> Result<(), E>) -> Result<(), E> {
        std::mem::take(self).told(take)
    }

    fn told<E>(&self, mut take: impl FnMut(&RequestCount<'_>) -> Result<(), E>) -> Result<(), E> {
        let Self { groups, names, .. } = self;
        for (group, paths) in groups {
            for (path, sums) in paths {
                take(&RequestCount {
                    time: group.hour,
                    site: &names[group.site as usize],
                    path,
                    kind: group.kind,
                    status: group.status,
                    bot: group.bot.map(|bot| &*names[bot as usize]),
                    via: group.via,
                    requests: sums.requests,
                    bytes: sums.bytes,
                    duration_us: sums.duration_us,
                    timed: sums.timed,
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: RequestCount<'_> = RequestCount {
        time: Timestamp::from_secs(3_599),
        site: "shop.example",
        path: "/a",
        kind: RequestType::PageView,
        status: 200,
        bot: None,
        via: Via::Log,
        requests: 1,
        bytes: Some(10),
        duration_us: 5,
        timed: 1,
    };

    fn drained(counts: &mut RequestCounts) -> Vec<(i64, String, u64, Option<u64>, u64, u64)> {
        let mut all = Vec::new();
        let told = counts.drain(|count| {
            let RequestCount { time, site, path, kind, status, bot, .. } = *count;
            let key = format!("{site} {path} {} {status} {}", kind.as_str(), bot.unwrap_or("-"));
            all.push((time.secs(), key, count.requests, count.bytes, count.duration_us, count.timed));
            Ok::<_, std::convert::Infallible>(())
        });
        assert_eq!(told, Ok(()));
        all.sort();
        all
    }

    #[test]
    fn what_differs_in_nothing_adds_up() {
        let mut counts = RequestCounts::default();
        for count in [
            ONE,
            RequestCount { time: Timestamp::EPOCH, bytes: None, duration_us: 0, timed: 0, ..ONE },
            RequestCount { time: Timestamp::from_secs(-1), ..ONE },
            RequestCount { time: Timestamp::from_secs(3_600), requests: 7, ..ONE },
            RequestCount { site: "other", bytes: None, ..ONE },
            RequestCount { status: 404, kind: RequestType::PageError, bot: Some("ai"), ..ONE },
            // A class of bots may be called as a site is.
            RequestCount { bot: Some("other"), ..ONE },
        ] {
            counts.add(&count);
        }
        assert!(counts.bytes() > 0);
        let row = |hour_s, key: &str, requests, bytes, timed: u64| {
            (hour_s, key.to_owned(), requests, bytes, 5 * timed.min(1), timed)
        };
        assert_eq!(
            drained(&mut counts),
            [
                row(-3_600, "shop.example /a page_view 200 -", 1, Some(10), 1),
                row(0, "other /a page_view 200 -", 1, None, 1),
                row(0, "shop.example /a page_error 404 ai", 1, Some(10), 1),
                row(0, "shop.example /a page_view 200 -", 2, Some(10), 1),
                row(0, "shop.example /a page_view 200 other", 1, Some(10), 1),
                row(3_600, "shop.example /a page_view 200 -", 7, Some(10), 1),
            ]
        );
        assert!(counts.is_empty() && counts.bytes() == 0 && drained(&mut counts).is_empty());
    }
}
