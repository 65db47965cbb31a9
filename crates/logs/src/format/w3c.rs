//! Fields of W3C extended logs by their names, and the directives before them.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;
use crate::parse::{TimeReader, time_of_day};

/// The directives that are in force at some place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// What `#Fields:` says.
    pub(crate) fields: Option<Box<str>>,
    /// What `#Date:` or `#Start-Date:` says: rows without a date are of that day.
    pub(crate) date: Option<Box<str>>,
    /// What `#Software:` says.
    pub(crate) software: Option<Box<str>>,
    /// The fields are those of Zeek.
    pub(crate) is_zeek: bool,
    /// Where rows have the time of day, if nothing in them has the day.
    clock_at: Option<u16>,
    /// The day and the time of day that were read last, if rows have no day.
    last: Option<(i64, i64)>,
}

/// Rows whose time is so much earlier than that of the row before are of the next day.
const MIDNIGHT_S: i64 = 3600;
/// What ends so late may be written so soon behind midnight.
const LATE_S: i64 = 300;
const DAY_S: i64 = 86_400;

impl Directives {
    /// Takes a line's word, if it is a directive; says whether anything changed.
    pub fn read(&mut self, line: &[u8]) -> bool {
        let Some(rest) = line.strip_prefix(b"#") else { return false };
        let end = rest.iter().position(|byte| matches!(byte, b':' | b'\t' | b' ')).unwrap_or(rest.len());
        let (name, value) = rest.split_at(end);
        let is_zeek = value.first() == Some(&b'\t') && name == b"fields";
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = String::from_utf8_lossy(value.trim_ascii()).into_owned().into_boxed_str();
        let was_zeek = self.is_zeek;
        let slot = if name.eq_ignore_ascii_case(b"fields") {
            self.is_zeek = is_zeek;
            &mut self.fields
        } else if name.eq_ignore_ascii_case(b"date") || name.eq_ignore_ascii_case(b"start-date") {
            &mut self.date
        } else if name.eq_ignore_ascii_case(b"software") {
            &mut self.software
        } else {
            return false;
        };
        let has_changed = slot.as_deref() != Some(&value) || was_zeek != self.is_zeek;
        *slot = Some(value);
        self.find_clock();
        has_changed
    }

    /// There are names of fields.
    pub(crate) fn has_fields(&self) -> bool {
        self.fields.is_some()
    }

    /// Where the time of day stands, if there is no day beside it; and from when the rows are.
    fn find_clock(&mut self) {
        let is_day = |name: &str| matches!(meaning(name), Meaning::Date | Meaning::Time(_));
        let has_day = self.is_zeek || self.names().any(is_day);
        let clock = self.names().position(|name| meaning(name) == Meaning::TimeOfDay).filter(|_| !has_day);
        self.clock_at = clock.and_then(|at| u16::try_from(at).ok());
        let mut words = self.date.as_deref().unwrap_or_default().split_whitespace();
        let day = words.next().and_then(|day| TimeReader::default().day(day.as_bytes()));
        let seconds = words.next().and_then(|time| time_of_day(time.as_bytes())).map_or(0, |(seconds, _)| seconds);
        self.last = day.filter(|_| clock.is_some()).map(|day_s| (day_s, seconds));
    }

    /// Takes note of a row's time: where rows have no day, one that is much earlier than the row before is of the next.
    #[inline]
    pub(crate) fn pass(&mut self, line: &[u8]) {
        let (Some(at), Some((day_s, last))) = (self.clock_at, self.last) else { return };
        let by = if line.contains(&b'\t') { b'\t' } else { b' ' };
        let value = line.split(|byte| *byte == by).nth(usize::from(at));
        let Some((seconds, _)) = value.and_then(time_of_day) else { return };
        if seconds + MIDNIGHT_S < last {
            self.last = Some((day_s + DAY_S, seconds));
        } else if !is_of_yesterday(last, seconds) {
            self.last = Some((day_s, seconds.max(last)));
        }
    }

    /// These rows have to be passed one by one to know the day of the next.
    pub(crate) fn counts_days(&self) -> bool {
        self.clock_at.is_some() && self.last.is_some()
    }

    /// The start of the day of a row that was passed last.
    pub(crate) fn day_of(&self, seconds: i64) -> Option<i64> {
        let (day_s, last) = self.last?;
        Some(if is_of_yesterday(last, seconds) { day_s - DAY_S } else { day_s })
    }

    /// Lines that say the same when they are [read](Self::read) again: for whoever has to go on another day.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let fields = if self.is_zeek { "#fields\t" } else { "#Fields: " };
        // The day that rows have got to.
        let last = self.last.and_then(|(day_s, seconds)| jiff::Timestamp::from_second(day_s + seconds).ok());
        let last = last.map(|last| last.strftime("%Y-%m-%d %H:%M:%S").to_string().into_boxed_str());
        let date = last.or_else(|| self.date.clone());
        for (name, value) in [("#Software: ", &self.software), ("#Date: ", &date), (fields, &self.fields)] {
            if let Some(value) = value {
                text.push_str(name);
                text.push_str(value);
                text.push('\n');
            }
        }
        text
    }

    /// What `#Software:` says.
    pub fn software(&self) -> Option<&str> {
        self.software.as_deref()
    }

    /// The names in `#Fields:`, if there was one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.as_deref().unwrap_or_default().split_whitespace().map(clean)
    }

    /// The fields of rows.
    pub(crate) fn layout_fields(&self) -> Vec<Field> {
        if self.is_zeek {
            return self.names().map(|name| Field::new(name, zeek(name))).collect();
        }
        let software = self.software.as_deref().unwrap_or_default();
        let has_seconds = software.contains("Netscaler") || self.names().any(|name| name == "x-edge-location");
        // Oracle's documentation has seconds, and names of its own.
        let is_weblogic = software.contains("WebLogic");
        let has_host_header = self.names().any(|name| name == "x-host-header");
        let has_utc = self.names().any(|name| matches!(name, "time" | "time-utc"));
        let fields = self.names().map(|name| {
            let meaning = match meaning(name) {
                Meaning::Duration(Unit::Taken) if has_seconds || is_weblogic => Meaning::Duration(Unit::Seconds),
                // IIS writes whole milliseconds.
                Meaning::Duration(Unit::Taken) if software.contains("Internet Information") => {
                    Meaning::Duration(Unit::Millis)
                }
                // CloudFront's own name; the viewer asked for another one.
                Meaning::Host if has_host_header && name != "x-host-header" => Meaning::Text,
                // Days and times of two zones must not be mixed.
                Meaning::Date | Meaning::TimeOfDay if has_utc && name.ends_with("-local") => Meaning::Text,
                meaning => meaning,
            };
            Field::new(name, meaning)
        });
        fields.collect()
    }

    /// Its writer puts `+` where a space was, as IIS does.
    pub(crate) fn has_plus_for_space(&self) -> bool {
        !self.is_zeek && !self.names().any(|name| name == "x-edge-location")
    }
}

/// A moment ago it was midnight, and this is what began before.
fn is_of_yesterday(last: i64, seconds: i64) -> bool {
    last < LATE_S && seconds >= DAY_S - LATE_S
}

/// A name without what word processors put into it.
fn clean(name: &str) -> &str {
    name.trim_matches(|c: char| c == '\u{200b}' || c == '\u{feff}' || c.is_control())
}

fn meaning(name: &str) -> Meaning {
    match name.to_ascii_lowercase().as_str() {
        "date" | "date-utc" | "date-local" => Meaning::Date,
        "time" | "time-utc" | "time-local" => Meaning::TimeOfDay,
        "c-ip" => Meaning::Client,
        "cs-method" => Meaning::Method,
        "cs-uri-stem" => Meaning::Path,
        "cs-uri-query" => Meaning::Query,
        "cs-uri" => Meaning::Uri,
        "sc-status" | "c-status" => Meaning::Status,
        "sc-bytes" | "bytes" => Meaning::Bytes,
        "cs-username" | "c-auth-id" | "auth_user" | "cs-user-name" => Meaning::User,
        "cs(user-agent)" | "c-user-agent" => Meaning::UserAgent,
        "cs(referer)" | "cs(referrer)" | "c-referrer" => Meaning::Referrer,
        "cs(cookie)" => Meaning::Cookie,
        "x-visitlog" => Meaning::Trace,
        "cs(host)" | "cs-host" | "x-host-header" => Meaning::Host,
        "time-taken" => Meaning::Duration(Unit::Taken),
        "timetakenms" | "time-taken-ms" => Meaning::Duration(Unit::Millis),
        "x-duration" => Meaning::Duration(Unit::Seconds),
        "s-ip" => Meaning::Address,
        "s-port" | "c-port" | "cs-bytes" | "sc-win32-status" | "sc-substatus" => Meaning::Integer,
        _ => Meaning::Text,
    }
}

/// Zeek's `http.log`.
fn zeek(name: &str) -> Meaning {
    match name {
        "ts" => Meaning::Time(Clock::Epoch),
        "id.orig_h" => Meaning::Client,
        "id.resp_h" => Meaning::Address,
        "id.orig_p" | "id.resp_p" | "trans_depth" | "request_body_len" => Meaning::Integer,
        "method" => Meaning::Method,
        "host" => Meaning::Host,
        "uri" => Meaning::Uri,
        "referrer" => Meaning::Referrer,
        "user_agent" => Meaning::UserAgent,
        "response_body_len" => Meaning::Bytes,
        "status_code" => Meaning::Status,
        "username" => Meaning::User,
        _ => Meaning::Text,
    }
}
