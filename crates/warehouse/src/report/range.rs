//! Time: from when to when, and the spans between, as a calendar and a time zone have them. All of it is computed
//! here, so that rows are compared with moments only.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan, Zoned};

use super::{BUCKETS_MAX, ReportError};
use crate::sql::Buckets;

/// Days that are reported unless something else is asked for, today included.
const DAYS: i64 = 30;
const FROM: &str = "from";
const TO: &str = "to";
const MOMENT: &str =
    "a date (2026-11-21), a time (2026-11-21T10:00, or with an offset), today, yesterday, or days ago (30d)";

/// From a moment up to another, which no longer belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub from: Timestamp,
    /// The first that no longer belongs to it.
    pub to: Timestamp,
    /// Where days begin.
    pub zone: TimeZone,
}

/// How long spans are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The clock's hours; where it is set by half an hour, two of them are shorter.
    Hour,
    /// The calendar's days, of 23 to 25 hours.
    Day,
    /// From Monday.
    Week,
    /// The calendar's months.
    Month,
}

impl Unit {
    /// The names of all.
    pub const NAMES: [&str; 4] = ["hour", "day", "week", "month"];

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub(super) fn parse(text: &str) -> Result<Self, ReportError> {
        let found = [Self::Hour, Self::Day, Self::Week, Self::Month].into_iter().find(|unit| unit.name() == text);
        found.ok_or_else(|| ReportError::unknown("by", text, &Self::NAMES))
    }
}

/// A time zone by its name.
pub(super) fn zone(name: &str) -> Result<TimeZone, ReportError> {
    TimeZone::get(name).map_err(|_| ReportError::value("tz", "a time zone such as Europe/Berlin or UTC", name))
}

impl Range {
    /// The time between two moments as people write them. A date as the end is the whole day. Without a start 30 days
    /// up to the end, without an end up to the end of today.
    ///
    /// # Errors
    /// When one can't be read, or nothing lies between them.
    pub fn parse(from: Option<&str>, to: Option<&str>, zone: TimeZone, now: Timestamp) -> Result<Self, ReportError> {
        let today = now.to_zoned(zone.clone()).date();
        let end = match to {
            Some(text) => moment(text, TO, &zone, today)?,
            None => Moment::Day(today),
        };
        let to = match end {
            Moment::Day(day) => start(add(day, 1.day(), TO)?, &zone, TO)?,
            Moment::Time(time) => time,
        };
        let from = match from {
            Some(text) => match moment(text, FROM, &zone, today)? {
                Moment::Day(day) => start(day, &zone, FROM)?,
                Moment::Time(time) => time,
            },
            None => {
                // 30 days, of which the one that the end lies in is the last.
                let last =
                    to.checked_sub(SignedDuration::from_nanos(1)).map_err(|_| far(TO))?.to_zoned(zone.clone()).date();
                start(add(last, (1 - DAYS).days(), FROM)?, &zone, FROM)?
            }
        };
        if from >= to {
            return Err(ReportError::Empty { from: from.to_string(), to: to.to_string() });
        }
        Ok(Self { from, to, zone })
    }

    /// Its spans. The first may have begun before it.
    ///
    /// # Errors
    /// When there are too many of them.
    pub fn buckets(&self, unit: Unit) -> Result<Buckets, ReportError> {
        let (mut starts, mut labels) = (Vec::new(), Vec::new());
        let mut at = self.from;
        while at < self.to {
            if starts.len() >= BUCKETS_MAX {
                return Err(ReportError::Buckets { max: BUCKETS_MAX });
            }
            let here = at.to_zoned(self.zone.clone());
            starts.push(at.as_microsecond());
            labels.push(label(&here, unit));
            at = self.next(&here, unit)?;
        }
        Ok(Buckets { starts: starts.into(), labels })
    }

    /// Where the span after the one that `here` lies in begins.
    fn next(&self, here: &Zoned, unit: Unit) -> Result<Timestamp, ReportError> {
        let day = first_day(here.date(), unit);
        let step: Span = match unit {
            // Not by the calendar: an hour that the clock shows twice is two hours.
            Unit::Hour => {
                let gone = SignedDuration::from_secs(i64::from(here.minute()) * 60 + i64::from(here.second()))
                    + SignedDuration::from_nanos(i64::from(here.subsec_nanosecond()));
                return here.timestamp().checked_add(SignedDuration::from_hours(1) - gone).map_err(|_| far(TO));
            }
            Unit::Day => 1.day(),
            Unit::Week => 1.week(),
            Unit::Month => 1.month(),
        };
        let next = start(add(day, step, TO)?, &self.zone, TO)?;
        // A day that a zone has left out begins where the one before it does.
        if next > here.timestamp() {
            Ok(next)
        } else {
            start(add(day, step.checked_mul(2).map_err(|_| far(TO))?, TO)?, &self.zone, TO)
        }
    }
}

fn first_day(day: Date, unit: Unit) -> Date {
    match unit {
        Unit::Hour | Unit::Day => day,
        Unit::Week => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
        Unit::Month => day.first_of_month(),
    }
}

fn label(here: &Zoned, unit: Unit) -> String {
    let day = first_day(here.date(), unit);
    match unit {
        Unit::Hour => here.strftime("%Y-%m-%dT%H:00%:z").to_string(),
        Unit::Day | Unit::Week => day.to_string(),
        Unit::Month => day.strftime("%Y-%m").to_string(),
    }
}

enum Moment {
    Day(Date),
    Time(Timestamp),
}

fn moment(text: &str, key: &'static str, zone: &TimeZone, today: Date) -> Result<Moment, ReportError> {
    let ago = |days: i64| add(today, (-days).days(), key).map(Moment::Day);
    match text {
        "today" => return ago(0),
        "yesterday" => return ago(1),
        _ => {}
    }
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok()) {
        return ago(i64::from(days));
    }
    if text.len() == 10
        && let Ok(day) = text.parse::<Date>()
    {
        return Ok(Moment::Day(day));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Moment::Time(time));
    }
    let time: DateTime = text.parse().map_err(|_| ReportError::value(key, MOMENT, text))?;
    Ok(Moment::Time(time.to_zoned(zone.clone()).map_err(|_| far(key))?.timestamp()))
}

fn start(day: Date, zone: &TimeZone, key: &'static str) -> Result<Timestamp, ReportError> {
    Ok(day.to_zoned(zone.clone()).map_err(|_| far(key))?.timestamp())
}

fn add(day: Date, span: Span, key: &'static str) -> Result<Date, ReportError> {
    day.checked_add(span).map_err(|_| far(key))
}

fn far(key: &'static str) -> ReportError {
    ReportError::value(key, "a time between the years -9999 and 9999", "one beyond")
}
