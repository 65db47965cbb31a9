//! What a line looks like.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::{Method, Version};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use visitlog_core::trace::VISIT_COOKIE;
use visitlog_core::{Trace, VisitId};

use super::settings::AccessLogFormat;

/// The columns of W3C, in the order of [`Line::w3c`].
const FIELDS: &str = "date time c-ip cs-method cs-uri-stem cs-uri-query sc-status sc-bytes time-taken cs-version cs-host \
                      cs(User-Agent) cs(Referer) cs(Cookie) x-visitlog";

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) arrived: Timestamp,
    /// Until all of the answer was sent.
    pub(super) took: Duration,
    pub(super) address: Option<IpAddr>,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) version: Version,
    pub(super) host: &'a str,
    pub(super) status: u16,
    /// Of the answer's body.
    pub(super) bytes: u64,
    pub(super) referrer: Option<&'a str>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) visit: Option<VisitId>,
    pub(super) trace: Trace,
}

/// What stands before the lines of W3C, in each file.
pub(super) fn w3c_header(out: &mut Vec<u8>, now: Timestamp) {
    let date = now.strftime("%Y-%m-%d %H:%M:%S");
    out.extend_from_slice(format!("#Software: Visitlog\n#Version: 1.0\n#Date: {date}\n#Fields: {FIELDS}\n").as_bytes());
}

impl Line<'_> {
    /// The line, with its end.
    pub(super) fn text(&self, format: AccessLogFormat) -> String {
        let mut out = String::with_capacity(512);
        match format {
            AccessLogFormat::W3c => self.w3c(&mut out),
            AccessLogFormat::Combined => self.combined(&mut out),
            AccessLogFormat::Json => self.json(&mut out),
        }
        out.push('\n');
        out
    }

    /// As IIS has it: the time is that of the answer's end, `+` stands for a space in user agents.
    fn w3c(&self, out: &mut String) {
        let _ = write!(out, "{} ", self.ended().strftime("%Y-%m-%d %H:%M:%S%.6f"));
        let address = self.address.map(|address| address.to_string());
        word(out, address.as_deref());
        word(out, Some(self.method.as_str()));
        word(out, Some(self.path));
        word(out, self.query);
        let us = self.took_us();
        let _ = write!(out, "{} {} {}.{:06} ", self.status, self.bytes, us / 1_000_000, us % 1_000_000);
        let _ = write!(out, "{:?} ", self.version);
        word(out, Some(self.host));
        word(out, self.user_agent.map(|agent| agent.replace(' ', "+")).as_deref());
        word(out, self.referrer);
        word(out, self.cookie().as_deref());
        out.push_str(self.trace.as_str());
    }

    /// As Apache has it: the time is that of the request. What stands behind the user agent is nothing to who reads only
    /// the usual columns.
    fn combined(&self, out: &mut String) {
        match self.address {
            Some(address) => out.push_str(&address.to_string()),
            None => out.push('-'),
        }
        let _ = write!(out, " - - [{}] \"{} ", self.arrived.strftime("%d/%b/%Y:%H:%M:%S +0000"), self.method);
        escape(out, self.path);
        if let Some(query) = self.query {
            out.push('?');
            escape(out, query);
        }
        let _ = write!(out, " {:?}\" {} {}", self.version, self.status, self.bytes);
        for text in [self.referrer, self.user_agent, self.cookie().as_deref()] {
            out.push_str(" \"");
            escape(out, text.filter(|text| !text.is_empty()).unwrap_or("-"));
            out.push('"');
        }
        let _ = write!(out, " visitlog={} host=", self.trace.as_str());
        let mut host = String::new();
        word(&mut host, Some(self.host));
        out.push_str(host.trim_end());
    }

    /// The time is that of the answer's end, as nginx has it.
    fn json(&self, out: &mut String) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let or_null = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), text);
        let us = self.took_us();
        let _ = write!(
            out,
            "{{\"time\":\"{}\",\"client_ip\":{},\"method\":{},\"host\":{},\"path\":{},\"query\":{},\"protocol\":\"{:?}\",\
             \"status\":{},\"bytes\":{},\"duration_ms\":{}.{:03},\"referrer\":{},\"user_agent\":{},\"cookie\":{},\
             \"visitlog\":\"{}\"}}",
            self.ended().strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
            or_null(self.address.map(|address| address.to_string()).as_deref()),
            text(self.method.as_str()),
            text(self.host),
            text(self.path),
            or_null(self.query),
            self.version,
            self.status,
            self.bytes,
            us / 1_000,
            us % 1_000,
            or_null(self.referrer),
            or_null(self.user_agent),
            or_null(self.cookie().as_deref()),
            self.trace.as_str(),
        );
    }

    fn cookie(&self) -> Option<String> {
        self.visit.map(|visit| format!("{VISIT_COOKIE}={visit}"))
    }

    fn took_us(&self) -> u64 {
        u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)
    }

    /// To the microsecond, so that end less duration is the moment of arrival.
    fn ended(&self) -> jiff::Zoned {
        let ended = self.arrived.checked_add(Duration::from_micros(self.took_us())).unwrap_or(self.arrived);
        ended.to_zoned(TimeZone::UTC)
    }
}

/// A word of W3C, and the space behind it: nothing in it ends the word, or looks as if it were quoted.
fn word(out: &mut String, text: Option<&str>) {
    let text = text.filter(|text| !text.is_empty()).unwrap_or("-");
    for (at, letter) in text.char_indices() {
        if letter.is_control() || letter.is_whitespace() || (letter == '"' && at == 0) {
            hex(out, "%", letter);
        } else {
            out.push(letter);
        }
    }
    out.push(' ');
}

/// Text between quotes, as Apache and nginx write it.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            _ if letter.is_control() => hex(out, "\\x", letter),
            _ => out.push(letter),
        }
    }
}

/// A letter's bytes, each as two digits.
fn hex(out: &mut String, mark: &str, letter: char) {
    let mut bytes = [0; 4];
    for byte in letter.encode_utf8(&mut bytes).bytes() {
        let _ = write!(out, "{mark}{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: AccessLogFormat) -> String {
        let line = Line {
            arrived: "2026-11-27T23:59:59.5Z".parse().expect("a time"),
            took: Duration::from_micros(1_500_250),
            address: Some("192.0.2.0".parse().expect("an address")),
            method: &Method::GET,
            path: "/a\"b",
            query: Some("q=1"),
            version: Version::HTTP_11,
            host: "shop.example",
            status: 200,
            bytes: 512,
            referrer: None,
            user_agent: Some("Mozilla/5.0 (\"X\\\u{1})"),
            visit: Some(VisitId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
            trace: Trace::PageView,
        };
        line.text(format)
    }

    #[test]
    fn a_line_is_one_line_whatever_a_client_sends() {
        let id = "01900000-0000-7000-8000-000000000001";
        assert_eq!(
            text(AccessLogFormat::W3c),
            format!(
                "2026-11-28 00:00:01.000250 192.0.2.0 GET /a\"b q=1 200 512 1.500250 HTTP/1.1 shop.example \
                 Mozilla/5.0+(\"X\\%01) - visitlog={id} page_view\n"
            )
        );
        assert_eq!(
            text(AccessLogFormat::Combined),
            format!(
                "192.0.2.0 - - [27/Nov/2026:23:59:59 +0000] \"GET /a\\\"b?q=1 HTTP/1.1\" 200 512 \"-\" \
                 \"Mozilla/5.0 (\\\"X\\\\\\x01)\" \"visitlog={id}\" visitlog=page_view host=shop.example\n"
            )
        );
        assert_eq!(
            text(AccessLogFormat::Json),
            format!(
                "{{\"time\":\"2026-11-28T00:00:01.000250Z\",\"client_ip\":\"192.0.2.0\",\"method\":\"GET\",\
                 \"host\":\"shop.example\",\"path\":\"/a\\\"b\",\"query\":\"q=1\",\"protocol\":\"HTTP/1.1\",\
                 \"status\":200,\"bytes\":512,\"duration_ms\":1500.250,\"referrer\":null,\
                 \"user_agent\":\"Mozilla/5.0 (\\\"X\\\\\\u0001)\",\"cookie\":\"visitlog={id}\",\
                 \"visitlog\":\"page_view\"}}\n"
            )
        );
    }

    #[test]
    fn each_word_has_its_column() {
        let mut header = Vec::new();
        w3c_header(&mut header, "2026-11-28T00:00:00Z".parse().expect("a time"));
        let header = String::from_utf8(header).expect("text");
        let fields = header.lines().last().and_then(|line| line.strip_prefix("#Fields: ")).expect("the columns");
        assert_eq!(fields.split(' ').count(), text(AccessLogFormat::W3c).split_whitespace().count());
    }
}
