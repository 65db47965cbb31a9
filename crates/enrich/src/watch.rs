//! Whether something in front of the site takes headers away: then most visits of an hour are taken for bots for one
//! and the same reason, and many of them are people.

use std::collections::BTreeMap;

use visitlog_core::Timestamp;

use crate::signs::header_signs;

/// What is looked at: an hour, in parts of ten minutes.
const PARTS: usize = 6;
const PART_MICROS: i64 = 10 * 60 * 1_000_000;
/// Fewer visits say nothing.
const VISITS_MIN: u64 = 20;

/// Counts visits, and the header signs of those that are taken for bots. It goes by the visits' own time.
#[derive(Debug, Default)]
pub struct HeaderWatch {
    parts: [Part; PARTS],
    /// The number, since the epoch, of the newest part.
    newest: i64,
    said: Option<i64>,
}

#[derive(Debug, Default)]
struct Part {
    visits: u64,
    signs: BTreeMap<Box<str>, u64>,
}

/// A sign that most visits of an hour share. Its text is for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// The sign: `no accept-language`.
    pub sign: Box<str>,
    /// Visits that were taken for bots with it as a reason, or as one of several.
    pub with_it: u64,
    /// All visits.
    pub visits: u64,
}

impl HeaderWatch {
    /// Counts a visit that ended. Answers when most of the hour up to now are bots of one sign, at most once an hour.
    pub fn count(&mut self, at: Timestamp, bot_reason: Option<&str>) -> Option<Common> {
        let part = at.micros().div_euclid(PART_MICROS);
        if part <= self.newest.saturating_sub(PARTS as i64) {
            return None;
        }
        // What lies between has passed without a visit.
        let passed = part.saturating_sub(self.newest).clamp(0, PARTS as i64);
        self.newest = self.newest.max(part);
        for step in 0..passed {
            self.parts[index(part - step)] = Part::default();
        }
        let Part { visits, signs } = &mut self.parts[index(part)];
        *visits += 1;
        for sign in bot_reason.into_iter().flat_map(header_signs) {
            *signs.entry(sign.into()).or_default() += 1;
        }
        let is_said = self.said.is_some_and(|said| self.newest - said < PARTS as i64);
        let common = self.common().filter(|_| !is_said)?;
        self.said = Some(self.newest);
        Some(common)
    }

    fn common(&self) -> Option<Common> {
        let visits = self.parts.iter().map(|part| part.visits).sum();
        if visits < VISITS_MIN {
            return None;
        }
        let mut all: BTreeMap<&str, u64> = BTreeMap::new();
        for (sign, count) in self.parts.iter().flat_map(|part| &part.signs) {
            *all.entry(sign).or_default() += count;
        }
        let (sign, with_it) = all.into_iter().max_by_key(|(_, count)| *count)?;
        (2 * with_it > visits).then(|| Common { sign: sign.into(), with_it, visits })
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

    fn run(watch: &mut HeaderWatch, from: i64, visits: &[Option<&str>]) -> Vec<Common> {
        let count = |(at, reason): (i64, &Option<&str>)| watch.count(minute(from + at), *reason);
        (0..).zip(visits).filter_map(count).collect()
    }

    #[test]
    fn it_says_once_an_hour_what_most_visits_share() {
        let mut watch = HeaderWatch::default();
        let visits: Vec<_> = (0..30).map(|n| (n % 3 != 0).then_some(STRIPPED)).collect();
        let said = run(&mut watch, 0, &visits);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!((said[0].visits, said[0].with_it), (VISITS_MIN, 13));
        assert!(STRIPPED.contains(&*said[0].sign));
        assert_eq!(run(&mut watch, 61, &[Some(STRIPPED); 25]).len(), 1, "an hour later again");
    }

    #[test]
    fn it_is_silent_where_bots_are_few_or_told_otherwise() {
        for reason in [None, Some("user agent: Googlebot"), Some("headers: sec-fetch-* contradict each other")] {
            let visits = [reason; 100];
            let is_header = reason.is_some_and(|reason| reason.starts_with("headers: "));
            assert_eq!(!run(&mut HeaderWatch::default(), 0, &visits).is_empty(), is_header, "{reason:?}");
        }
        let half: Vec<_> = (0..100).map(|n| (n % 2 == 0).then_some(STRIPPED)).collect();
        assert!(run(&mut HeaderWatch::default(), 0, &half[1..]).is_empty(), "half is not most");
        assert!(run(&mut HeaderWatch::default(), 0, &[Some(STRIPPED); 19]).is_empty(), "too few");
    }

    #[test]
    fn what_is_older_than_an_hour_does_not_count() {
        let mut watch = HeaderWatch::default();
        assert!(run(&mut watch, 0, &[Some(STRIPPED); 15]).is_empty());
        assert!(run(&mut watch, 90, &[Some(STRIPPED); 15]).is_empty());
        assert_eq!(watch.count(minute(0), Some(STRIPPED)), None, "late ones are left out");
        assert_eq!(watch.parts.iter().map(|part| part.visits).sum::<u64>(), 15);
    }
}
