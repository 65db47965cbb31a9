//! Moments as logs write them. Written by hand, since each line has one: the day and the zone of the line before are
//! remembered.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use visitlog_core::Timestamp;

use super::number::{digits, fraction_us};
use crate::format::{Clock, DurationUnit};

const DAY_S: i64 = 86_400;

/// What has to be known to read a time that does not say all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// The zone of times that name none. Default: UTC. (W3C's `date` and `time` are UTC by its definition.)
    pub zone: TimeZone,
    /// Of times that have no year (syslog), the last one is meant that is not after this, but for a day: the clocks of the
    /// machines that write and that say this may differ.
    pub until: Option<Timestamp>,
    /// The unit of durations that don't say theirs, whatever the format takes them for.
    pub unit: Option<DurationUnit>,
}

impl Default for Hints {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, until: None, unit: None }
    }
}

/// Why a time is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTime {
    Malformed,
    WithoutYear,
}

/// Reads times, and remembers the last day and zone.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimeReader {
    hints: Hints,
    /// `03/04/2026` is in April.
    pub(crate) is_day_first: bool,
    /// The hour of which the offset of the hints' zone is known, and it.
    local_hour: Option<i64>,
    local_s: i64,
    day: [u8; 12],
    day_s: i64,
    zone: [u8; 5],
    zone_s: i64,
}

impl TimeReader {
    pub(crate) fn set_hints(&mut self, hints: Hints) {
        (self.hints, self.local_hour) = (hints, None);
    }

    /// Seconds east of UTC of the hints' zone, when its clocks show this. Of an hour that comes twice it is the first one.
    fn local(&mut self, day_s: i64, seconds: i64) -> i64 {
        // A quarter of an hour is what no change of clocks is shorter than.
        let hour = (day_s + seconds).div_euclid(900);
        if self.local_hour != Some(hour) {
            let civil = jiff::Timestamp::from_second(day_s + seconds).map(|at| jiff::tz::Offset::UTC.to_datetime(at));
            let offset = civil.and_then(|civil| self.hints.zone.to_ambiguous_timestamp(civil).compatible());
            let offset = offset.map(|at| day_s + seconds - at.as_second());
            (self.local_hour, self.local_s) = (Some(hour), offset.unwrap_or(0));
        }
        self.local_s
    }

    pub(crate) fn read(&mut self, clock: &Clock, bytes: &[u8]) -> Result<Timestamp, NoTime> {
        let time = match clock {
            Clock::Clf => self.clf(bytes).or_else(|| self.named_month(bytes)),
            Clock::Iso => self.iso(bytes).or_else(|| self.clf(bytes)).or_else(|| self.named_month(bytes)),
            Clock::Epoch => {
                // Tomcat's JSON has brackets around it.
                let bytes = bytes.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(bytes);
                let time = epoch(bytes).or_else(|| self.iso(bytes)).or_else(|| self.clf(bytes));
                time.or_else(|| self.named_month(bytes))
            }
            Clock::Strftime(format) => self.strftime(format, bytes).or_else(|| self.named_month(bytes)),
            Clock::Syslog => return self.syslog(bytes),
        };
        time.ok_or(NoTime::Malformed)
    }

    /// `17/May/2015:10:05:03 +0000`, with a fraction too.
    fn clf(&mut self, bytes: &[u8]) -> Option<Timestamp> {
        let (day, rest) = bytes.split_first_chunk::<12>()?;
        if *day != self.day {
            self.day_s = clf_day(day)?;
            self.day = *day;
        }
        let (clock, rest) = rest.split_first_chunk::<8>()?;
        let seconds = clock_s(clock)?;
        let (micros, rest) = fraction_us(rest);
        let zone = match rest {
            [b' ', zone @ ..] => self.zone(zone)?,
            [] => self.local(self.day_s, seconds),
            _ => return None,
        };
        Some(moment(self.day_s, seconds - zone, micros))
    }

    /// `+0000`, `+00:00`.
    fn zone(&mut self, bytes: &[u8]) -> Option<i64> {
        // Nearly always this one.
        let Some(usual) = bytes.first_chunk::<5>().filter(|_| bytes.len() == 5) else { return offset_s(bytes) };
        if *usual != self.zone {
            self.zone_s = offset_s(bytes)?;
            self.zone = *usual;
        }
        Some(self.zone_s)
    }

    /// `2020-01-01T00:55:04.127531Z`, `2012-10-29 00:06:26,838`, `2020-01-01`.
    fn iso(&mut self, bytes: &[u8]) -> Option<Timestamp> {
        let (day, rest) = bytes.split_first_chunk::<10>()?;
        self.iso_day(day)?;
        if rest.is_empty() {
            return Some(moment(self.day_s, -self.local(self.day_s, 0), 0));
        }
        if !matches!(rest[0], b'T' | b't' | b' ' | b'_') {
            return None;
        }
        let seconds = clock_s(rest.get(1..9)?)?;
        let (micros, rest) = fraction_us(&rest[9..]);
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let zone = match rest {
            [] => self.local(self.day_s, seconds),
            b"Z" | b"z" | b"UTC" | b"GMT" => 0,
            [b'+' | b'-', ..] => self.zone(rest)?,
            _ => return None,
        };
        Some(moment(self.day_s, seconds - zone, micros))
    }

    /// A day and a time of day that stand apart. IIS and most others write UTC; `is_local` times are as the hints say.
    #[inline]
    pub(crate) fn day_and_time(&mut self, day: &[u8], time: &[u8], is_local: bool) -> Option<Timestamp> {
        let day_s = self.day(day)?;
        Some(self.moment(day_s, time_of_day(time)?, is_local))
    }

    /// A time of a day that is known.
    #[inline]
    pub(crate) fn moment(&mut self, day_s: i64, (seconds, micros): (i64, i64), is_local: bool) -> Timestamp {
        let zone = if is_local { self.local(day_s, seconds) } else { 0 };
        moment(day_s, seconds - zone, micros)
    }

    /// The start of `2013-07-30`, remembered.
    fn iso_day(&mut self, day: &[u8; 10]) -> Option<i64> {
        let [y1, y2, y3, y4, m0, m1, m2, d0, d1, d2] = *day;
        let key = [y1, y2, y3, y4, m0, m1, m2, d0, d1, d2, 0, 0];
        if key != self.day {
            self.day_s = iso_day(day)?;
            self.day = key;
        }
        Some(self.day_s)
    }

    /// `2013-07-30`, `03/20/01`, `28/Jun/2017`: the seconds since 1970 at its start.
    #[inline]
    pub(crate) fn day(&mut self, bytes: &[u8]) -> Option<i64> {
        if let Some(day_s) = bytes.first_chunk::<10>().filter(|_| bytes.len() == 10).and_then(|day| self.iso_day(day)) {
            return Some(day_s);
        }
        slashed_day(bytes, self.is_day_first).or_else(|| {
            let mut with_colon = [b':'; 12];
            with_colon.get_mut(..bytes.len())?.copy_from_slice(bytes);
            (bytes.len() == 11).then(|| clf_day(&with_colon)).flatten()
        })
    }

    /// A month by its name, a day, a year of four digits and a time of day, in whatever order:
    /// `Sun Mar 13 22:49:12 2016`, `February - 10, 2012:16:42:07`.
    fn named_month(&mut self, bytes: &[u8]) -> Option<Timestamp> {
        let (mut month, mut day, mut year, mut seconds, mut micros) = (None, None, None, None, 0);
        let mut zone = None;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let len = run(rest);
            let word = &rest[..len];
            // `2015/Dec/09:15:45:55`: that is a day in front of the time.
            let is_day = rest.get(8) == Some(&b':');
            if seconds.is_none() && rest.len() >= 8 && rest[2] == b':' && rest[5] == b':' && !is_day {
                seconds = Some(clock_s(&rest[..8])?);
                let (fraction, left) = fraction_us(&rest[8..]);
                micros = fraction;
                at = bytes.len() - left.len();
                continue;
            }
            match word {
                _ if word.is_empty() => {
                    let is_zone = matches!(rest[0], b'+' | b'-') && seconds.is_some();
                    if let Some(offset) = is_zone.then(|| rest.get(..5).and_then(offset_s)).flatten() {
                        zone = Some(offset);
                        at += 5;
                        continue;
                    }
                    at += 1;
                    continue;
                }
                _ if word[0].is_ascii_digit() => match (digits(word)?, len) {
                    (number, 1 | 2) if day.is_none() => day = Some(number),
                    (number, 4) if year.is_none() => year = Some(number),
                    _ => return None,
                },
                b"UTC" | b"GMT" | b"Z" => zone = Some(0),
                _ if word.len() >= 3 && month.is_none() => month = month_named(&word[..3]),
                _ => {}
            }
            at += len;
        }
        let (day_s, seconds) = (day_start(year?, month?, day?)?, seconds?);
        let zone = zone.unwrap_or_else(|| self.local(day_s, seconds));
        Some(moment(day_s, seconds - zone, micros))
    }

    /// `Mar 24 14:02:50`, `Jan  3 09:47:02`, with a fraction, with a year; a full time, or one since 1970; and what
    /// journald writes, the day of the week in front and the zone's name behind.
    fn syslog(&mut self, bytes: &[u8]) -> Result<Timestamp, NoTime> {
        let full = self.iso(bytes).or_else(|| self.clf(bytes));
        if let Some(time) = full.or_else(|| epoch(bytes)).or_else(|| self.weekday(bytes)) {
            return Ok(time);
        }
        let read = || {
            let month = month_named(bytes.get(..3)?)?;
            let day = digits(bytes.get(4..6)?.trim_ascii_start())?;
            let seconds = clock_s(bytes.get(7..15)?)?;
            let (micros, rest) = fraction_us(&bytes[15..]);
            (rest.is_empty() && bytes[3] == b' ' && bytes[6] == b' ').then_some((month, day, seconds, micros))
        };
        let Some((month, day, seconds, micros)) = read() else {
            return self.named_month(bytes).ok_or(NoTime::Malformed);
        };
        let until = self.hints.until.ok_or(NoTime::WithoutYear)?.micros().saturating_add(DAY_S * 1_000_000);
        let year = jiff::Timestamp::from_microsecond(until)
            .map_or(9999, |until| jiff::tz::Offset::UTC.to_datetime(until).year().unsigned_abs().into());
        // The 29th of February is four years back at most, or eight.
        for year in (0..=8).filter_map(|back| u64::checked_sub(year, back)) {
            let Some(day_s) = day_start(year, month, day) else { continue };
            let time = moment(day_s, seconds - self.local(day_s, seconds), micros);
            if time.micros() <= until {
                return Ok(time);
            }
        }
        Err(NoTime::Malformed)
    }

    /// `Tue 2026-03-24 14:02:50 CET`: of zones only the world's are known by their names.
    fn weekday(&mut self, bytes: &[u8]) -> Option<Timestamp> {
        let rest = bytes.get(4..).filter(|_| bytes[3] == b' ' && bytes[..3].iter().all(u8::is_ascii_alphabetic))?;
        let is_named = |rest: &&[u8]| rest.len() > 20 && rest[19] == b' ' && rest[20].is_ascii_uppercase();
        let civil = rest.get(..19).filter(|_| is_named(&rest) && !rest.ends_with(b"UTC"));
        self.iso(civil.unwrap_or(rest))
    }

    fn strftime(&mut self, format: &str, bytes: &[u8]) -> Option<Timestamp> {
        let parts = jiff::fmt::strtime::parse(format, bytes).ok()?;
        let civil: DateTime = parts.to_datetime().ok()?;
        let date = civil.date();
        let day_s = day_start(
            u64::try_from(date.year()).ok()?,
            u64::try_from(date.month()).ok()?,
            u64::try_from(date.day()).ok()?,
        )?;
        let seconds = i64::from(civil.hour()) * 3600 + i64::from(civil.minute()) * 60 + i64::from(civil.second());
        let offset = match parts.offset() {
            Some(offset) => i64::from(offset.seconds()),
            None => self.local(day_s, seconds),
        };
        Some(moment(day_s, seconds - offset, i64::from(civil.subsec_nanosecond() / 1000)))
    }
}

fn moment(day_s: i64, seconds: i64, micros: i64) -> Timestamp {
    Timestamp::from_micros((day_s + seconds) * 1_000_000 + micros)
}

/// Letters or digits from the start.
fn run(bytes: &[u8]) -> usize {
    let is_same: fn(&u8) -> bool = match bytes.first() {
        Some(first) if first.is_ascii_digit() => u8::is_ascii_digit,
        _ => u8::is_ascii_alphabetic,
    };
    bytes.iter().position(|byte| !is_same(byte)).unwrap_or(bytes.len())
}

/// `17/May/2015:`, the month in any case.
fn clf_day(bytes: &[u8]) -> Option<i64> {
    let [_, _, b'/', _, _, _, b'/', _, _, _, _, b':'] = bytes else { return None };
    day_start(digits(&bytes[7..11])?, month_named(&bytes[3..6])?, digits(&bytes[..2])?)
}

/// `2015-05-17`, `2015/05/17`.
fn iso_day(bytes: &[u8]) -> Option<i64> {
    let [_, _, _, _, mark @ (b'-' | b'/'), _, _, again, _, _] = bytes else { return None };
    if mark != again {
        return None;
    }
    day_start(digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..])?)
}

/// `03/20/01`, `3/20/2001`, and, where the first number is no month or that is said, `20/03/2001`: as Windows writes days.
/// With dots or dashes the day stands first, as wherever they are used.
fn slashed_day(bytes: &[u8], is_day_first: bool) -> Option<i64> {
    let (first, second, year, mark) = three(bytes)?;
    let (month, day) = if is_day_first || mark != b'/' || first > 12 { (second, first) } else { (first, second) };
    day_start(year, month, day).or_else(|| day_start(year, day, month).filter(|_| mark != b'.'))
}

/// The three numbers of a day, the year last, and what stands between them.
fn three(bytes: &[u8]) -> Option<(u64, u64, u64, u8)> {
    let mark = *bytes.iter().find(|byte| matches!(byte, b'/' | b'.' | b'-'))?;
    let mut parts = bytes.split(|byte| *byte == mark);
    let (first, second, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || first.len() > 2 || second.len() > 2 || !matches!(year.len(), 2 | 4) {
        return None;
    }
    let year = match (digits(year)?, year.len()) {
        (short @ 70.., 2) => 1900 + short,
        (short, 2) => 2000 + short,
        (long, _) => long,
    };
    Some((digits(first)?, digits(second)?, year, mark))
}

/// The day of a date with slashes has to stand first, since it is no month.
pub(crate) fn is_day_first(bytes: &[u8]) -> bool {
    three(bytes).is_some_and(|(first, second, _, mark)| mark == b'/' && first > 12 && second <= 12)
}

/// `10:05:03` in seconds; a leap second is the next one.
fn clock_s(bytes: &[u8]) -> Option<i64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = bytes else { return None };
    let two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
    };
    let (hours, minutes, seconds) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// `7:55:20`, `16:44:49`, `00:00:00.128`: seconds and microseconds.
pub(crate) fn time_of_day(bytes: &[u8]) -> Option<(i64, i64)> {
    let mut padded = [b'0'; 8];
    let (clock, rest) = if bytes.get(1) == Some(&b':') {
        padded[1..].copy_from_slice(bytes.get(..7)?);
        (&padded[..], &bytes[7..])
    } else {
        bytes.split_at_checked(8)?
    };
    let seconds = clock_s(clock)?;
    let (micros, rest) = fraction_us(rest);
    let rest = rest.strip_suffix(b"Z").unwrap_or(rest);
    rest.is_empty().then_some((seconds, micros))
}

/// `+0330`, `+03:30`, `-05`.
fn offset_s(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = match &bytes[1..] {
        [h1, h2] => (digits(&[*h1, *h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
        _ => return None,
    };
    (hours <= 24 && minutes < 60).then(|| sign * i64::try_from(hours * 3600 + minutes * 60).unwrap_or(0))
}

/// The month of the three letters, in any case.
fn month_named(letters: &[u8]) -> Option<u64> {
    let &[a, b, c] = letters else { return None };
    let lower = [a | 0x20, b | 0x20, c | 0x20];
    let month = match &lower {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    };
    Some(month)
}

/// The seconds since 1970 at the start of a day of the Gregorian calendar, which has to exist.
fn day_start(year: u64, month: u64, day: u64) -> Option<i64> {
    const CUMULATED: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of_month = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > days_of_month {
        return None;
    }
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400;
    let index = usize::try_from(month - 1).ok()?;
    let days = before * 365 + leaps + CUMULATED[index] + u64::from(is_leap && month > 2) + day - 1;
    // 719,162 days lie before 1970.
    i64::try_from(days).ok().map(|days| (days - 719_162) * DAY_S)
}

/// Seconds since 1970 with a fraction or without; or milliseconds, microseconds or nanoseconds, told by the size.
fn epoch(bytes: &[u8]) -> Option<Timestamp> {
    let whole_len = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let whole = i64::try_from(digits(&bytes[..whole_len])?).ok()?;
    let rest = &bytes[whole_len..];
    if rest.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        let seconds = super::number::float(bytes).filter(|seconds| (0.0..1e11).contains(seconds))?;
        return Some(Timestamp::from_micros((seconds * 1e6) as i64));
    }
    let micros = match whole_len {
        0 => return None,
        1..=11 => {
            let (micros, rest) = fraction_us(rest);
            return rest.is_empty().then(|| Timestamp::from_micros(whole * 1_000_000 + micros));
        }
        12..=14 => whole.checked_mul(1_000)?,
        15..=17 => whole,
        _ => whole / 1_000,
    };
    (rest.is_empty() || fraction_us(rest).1.is_empty()).then(|| Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let mut day = date(1, 1, 1);
        let last = date(9999, 12, 31);
        // Every 13th: all days of months and all weekdays come up, leap days too.
        while day < last {
            let start = day.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).expect("in range").timestamp().as_second();
            let (year, month) = (day.year().unsigned_abs().into(), day.month().unsigned_abs().into());
            assert_eq!(day_start(year, month, day.day().unsigned_abs().into()), Some(start), "{day}");
            let next = day.checked_add(jiff::Span::new().days(13));
            day = next.unwrap_or(last);
        }
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 4, 31), (2024, 0, 1), (2024, 13, 1), (2024, 1, 0), (0, 1, 1)]
        {
            assert_eq!(day_start(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(day_start(2000, 2, 29).is_some());
    }

    #[track_caller]
    fn check(clock: &Clock, text: &str, expected: Option<&str>) {
        // 2024-07-01T00:00:00Z
        let until = Some(Timestamp::from_secs(1_719_792_000));
        let mut reader = TimeReader::default();
        reader.set_hints(Hints { zone: TimeZone::fixed(jiff::tz::offset(1)), until, unit: None });
        // Twice: what is remembered must say the same.
        for _ in 0..2 {
            let read = reader.read(clock, text.as_bytes()).ok();
            let read = read.map(|time| jiff::Timestamp::from_microsecond(time.micros()).expect("in range").to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn times_of_all_writers_are_read() {
        check(&Clock::Clf, "17/May/2015:10:05:03 +0000", Some("2015-05-17T10:05:03Z"));
        check(&Clock::Clf, "17/May/2015:10:05:03 -0330", Some("2015-05-17T13:35:03Z"));
        check(&Clock::Clf, "17/May/2015:10:05:03", Some("2015-05-17T09:05:03Z"));
        check(&Clock::Clf, "17/May/2015:10:05:03 0000", None);
        check(&Clock::Clf, "Sun Mar 13 22:49:12 2016", Some("2016-03-13T21:49:12Z"));
        check(&Clock::Clf, "2015/Dec/09:15:45:55 -0500", Some("2015-12-09T20:45:55Z"));
        check(&Clock::Clf, "17 May 2015", None);
        check(&Clock::Iso, "2020-01-01T00:55:04.127531Z", Some("2020-01-01T00:55:04.127531Z"));
        check(&Clock::Iso, "2012-10-29 00:06:26,838", Some("2012-10-28T23:06:26.838Z"));
        check(&Clock::Iso, "2020-01-01T00:55:04.1234567+02:00", Some("2019-12-31T22:55:04.123456Z"));
        check(&Clock::Iso, "2020-01-01", Some("2019-12-31T23:00:00Z"));
        check(&Clock::Iso, "2020-01-01T00:55", None);
        check(&Clock::Epoch, "1703373474.8155608", Some("2023-12-23T23:17:54.81556Z"));
        check(&Clock::Epoch, "1703373474", Some("2023-12-23T23:17:54Z"));
        check(&Clock::Epoch, "1703373474815", Some("2023-12-23T23:17:54.815Z"));
        check(&Clock::Epoch, "1703373474815560", Some("2023-12-23T23:17:54.81556Z"));
        check(&Clock::Epoch, "1703373474815560123", Some("2023-12-23T23:17:54.81556Z"));
        check(&Clock::Epoch, "1.703373474e9", Some("2023-12-23T23:17:54Z"));
        check(&Clock::Epoch, "soon", None);
        check(&Clock::Syslog, "Mar 24 14:02:50", Some("2024-03-24T13:02:50Z"));
        check(&Clock::Syslog, "Mar  4 14:02:50", Some("2024-03-04T13:02:50Z"));
        check(&Clock::Syslog, "Jul  1 23:59:59", Some("2024-07-01T22:59:59Z"));
        check(&Clock::Syslog, "Jul  3 00:00:00", Some("2023-07-02T23:00:00Z"));
        check(&Clock::Syslog, "Dec 31 23:59:59", Some("2023-12-31T22:59:59Z"));
        check(&Clock::Syslog, "Feb 29 12:00:00", Some("2024-02-29T11:00:00Z"));
        check(&Clock::Syslog, "Feb 30 12:00:00", None);
        check(&Clock::Syslog, "Mar 24 14:02:50.123456", Some("2024-03-24T13:02:50.123456Z"));
        check(&Clock::Syslog, "Mar 24 2020 14:02:50", Some("2020-03-24T13:02:50Z"));
        check(&Clock::Syslog, "Tue 2026-03-24 14:02:50 CET", Some("2026-03-24T13:02:50Z"));
        check(&Clock::Syslog, "Tue 2026-03-24 14:02:50 UTC", Some("2026-03-24T14:02:50Z"));
        check(&Clock::Syslog, "2026-03-24T14:02:50+0200", Some("2026-03-24T12:02:50Z"));
        check(&Clock::Syslog, "1703373474.815560", Some("2023-12-23T23:17:54.81556Z"));
        check(&Clock::Epoch, "[17/May/2015:10:05:03 +0200]", Some("2015-05-17T08:05:03Z"));
        check(&Clock::Strftime("%d.%m.%Y %H:%M".into()), "17.05.2015 10:05", Some("2015-05-17T09:05:00Z"));
    }

    #[test]
    fn times_without_a_zone_are_of_the_one_that_is_said_summer_and_winter() {
        let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
        let zone = TimeZone::posix(rule).expect("a zone");
        let mut reader = TimeReader::default();
        reader.set_hints(Hints { zone, until: Some(Timestamp::from_secs(1_780_000_000)), unit: None });
        let mut read = |clock: &Clock, text: &str| {
            let time = reader.read(clock, text.as_bytes()).expect("a time").micros();
            jiff::Timestamp::from_microsecond(time).expect("in range").to_string()
        };
        assert_eq!(read(&Clock::Iso, "2026-01-15 10:00:00"), "2026-01-15T09:00:00Z");
        assert_eq!(read(&Clock::Iso, "2026-07-15 10:00:00"), "2026-07-15T08:00:00Z");
        assert_eq!(read(&Clock::Clf, "29/Mar/2026:01:59:59"), "2026-03-29T00:59:59Z");
        assert_eq!(read(&Clock::Clf, "29/Mar/2026:03:00:00"), "2026-03-29T01:00:00Z");
        assert_eq!(read(&Clock::Clf, "25/Oct/2026:02:30:00"), "2026-10-25T00:30:00Z", "the first of two");
        assert_eq!(
            read(&Clock::Clf, "25/Oct/2026:02:30:00 +0100"),
            "2026-10-25T01:30:00Z",
            "a zone that is named counts"
        );
        assert_eq!(read(&Clock::Syslog, "Mar 28 10:00:00"), "2026-03-28T09:00:00Z");
        assert_eq!(read(&Clock::Syslog, "Mar 30 10:00:00"), "2026-03-30T08:00:00Z");
    }

    #[test]
    fn days_that_stand_alone_are_read() {
        let mut reader = TimeReader::default();
        for text in ["2015-03-02", "03/02/15", "3/2/2015", "02/Mar/2015"] {
            assert_eq!(reader.day(text.as_bytes()), day_start(2015, 3, 2), "{text}");
        }
        assert_eq!(reader.day(b"20/03/2015"), day_start(2015, 3, 20), "no month is the 20th");
        assert_eq!(reader.day(b"2015-3-2"), None);
        for text in ["02.03.2015", "2.3.15", "02-03-2015"] {
            assert_eq!(reader.day(text.as_bytes()), day_start(2015, 3, 2), "{text}: the day stands first");
        }
        assert_eq!(reader.day(b"03-20-2015"), day_start(2015, 3, 20));
        assert_eq!(reader.day(b"03.20.2015"), None);
        reader.is_day_first = true;
        assert_eq!(reader.day(b"02/03/2015"), day_start(2015, 3, 2));
        assert!(is_day_first(b"20/03/2015") && !is_day_first(b"03/20/2015") && !is_day_first(b"2015-20-03"));
        assert_eq!(time_of_day(b"7:55:20"), Some((28_520, 0)));
        assert_eq!(time_of_day(b"07:55:20.25"), Some((28_520, 250_000)));
        assert_eq!(time_of_day(b"07:55"), None);
    }
}
