//! Fields of W3C extended logs by their names, and the directives before them.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;

/// The directives that are in force at some place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// What `#Fields:` says.
    pub(crate) fields: Option<Box<str>>,
    /// What `#Date:` or `#Start-Date:` says: rows without a date are of that day.
    pub(crate) date: Option<Box<str>>,
    /// What `#Software:` says.
    pub(crate) software: Option<Box<str>>,
    /// Zeek's `#types`, in the order of the fields.
    pub(crate) is_zeek: bool,
}

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
        has_changed
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
        let has_host_header = self.names().any(|name| name == "x-host-header");
        let has_utc = self.names().any(|name| matches!(name, "time" | "time-utc"));
        let fields = self.names().map(|name| {
            let meaning = match meaning(name) {
                Meaning::Duration(Unit::Taken) if has_seconds => Meaning::Duration(Unit::Seconds),
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
        "cs-username" | "c-auth-id" => Meaning::User,
        "cs(user-agent)" | "c-user-agent" => Meaning::UserAgent,
        "cs(referer)" | "cs(referrer)" | "c-referrer" => Meaning::Referrer,
        "cs(cookie)" => Meaning::Cookie,
        "cs(host)" | "cs-host" | "x-host-header" => Meaning::Host,
        "time-taken" => Meaning::Duration(Unit::Taken),
        "timetakenms" => Meaning::Duration(Unit::Millis),
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
