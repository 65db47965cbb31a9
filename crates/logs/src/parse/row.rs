//! A line that was read.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;
use std::time::Duration;

use visitlog_core::{Timestamp, Trace};

use super::client::{self, Client};
use super::span::Span;
use super::target::{self, Target};
use super::unescape;
use super::{duration, number};
use crate::format::{Common, Escapes, Inner, Kind, Layout, Meaning, Unit};
use crate::hit::Hit;
use crate::reject::Reason;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// The log does not say, says `-`, or says what is no value of the column's kind.
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A moment.
    Time(Timestamp),
    /// An address.
    Ip(IpAddr),
}

/// What a line says. It borrows the line and the parser.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    pub(super) line: &'a [u8],
    pub(super) spans: &'a [Span],
    pub(super) layout: &'a Layout,
    /// Where each common column is told in this row.
    pub(super) common: &'a [Option<u16>; Common::COUNT],
    pub(super) format: &'a Inner,
    pub(super) time: Option<Timestamp>,
    /// `+` stands for a space.
    pub(super) has_plus: bool,
    /// User agents are written as parts of addresses are.
    pub(super) has_percent: bool,
    /// The time has no year, and nobody said which it is.
    pub(super) is_year_missing: bool,
    /// The request line, once it was taken apart.
    pub(super) request: Cell<Option<Target<'a>>>,
}

impl<'a> Row<'a> {
    /// The line.
    pub fn line(&self) -> &'a [u8] {
        self.line
    }

    /// The bytes of one of the log's own columns, as they stand (without quotes around them). `None` where the row has
    /// none, or says `-`, or the column is not wanted.
    pub fn raw(&self, column: usize) -> Option<&'a [u8]> {
        self.layout.own.get(column).copied().flatten().and_then(|at| self.said(usize::from(at)))
    }

    /// The value of one of the log's own columns, of its kind. Text is as the log has it: JSON's escapes are undone and
    /// quotes taken off, `+` and `\"` stay. (The common columns have everything undone.)
    pub fn value(&self, column: usize) -> Value<'a> {
        let Some(at) = self.layout.own.get(column).copied().flatten().map(usize::from) else { return Value::Null };
        let Some(bytes) = self.said(at) else { return Value::Null };
        let kind = self.format.columns.get(column).map_or(Kind::Text, |column| column.kind);
        let value = match kind {
            Kind::Text => Some(Value::Text(self.own_text(at, bytes))),
            Kind::Integer => number::integer(bytes).map(Value::Integer),
            Kind::Float => number::float(bytes).map(Value::Float),
            Kind::Ip => client::first(bytes).map(Value::Ip),
            Kind::Time => {
                let is_the_time = self.position_of(Common::Time) == Some(at);
                self.time.filter(|_| is_the_time).map(Value::Time)
            }
        };
        value.unwrap_or(Value::Null)
    }

    /// The value of a common column, with all escapes undone.
    pub fn common(&self, common: Common) -> Value<'a> {
        let text = |text: Option<Cow<'a, str>>| text.map_or(Value::Null, Value::Text);
        match common {
            Common::Time => self.time.map_or(Value::Null, Value::Time),
            Common::ClientIp => self.client_ip().map_or(Value::Null, Value::Ip),
            Common::Method => text(self.method()),
            Common::Path => text(self.path()),
            Common::Query => text(self.query()),
            Common::Status => self.status().map_or(Value::Null, |status| Value::Integer(status.into())),
            Common::Bytes => {
                self.bytes().and_then(|bytes| i64::try_from(bytes).ok()).map_or(Value::Null, Value::Integer)
            }
            Common::Duration => self.duration_us().map_or(Value::Null, |us| Value::Float(us as f64 / 1e3)),
            Common::Host => text(self.host()),
            Common::Referrer | Common::UserAgent | Common::User | Common::Cookie | Common::Trace => {
                text(self.text_of(common))
            }
        }
    }

    /// When, as the log says.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// The client's address, where it is one.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client().address
    }

    /// Who sent the request: whom the log names, or whom a proxy names that is believed.
    pub fn client(&self) -> Client<'a> {
        let told = &self.layout.told;
        let has_asked = !told.asked.is_empty();
        let fields = if has_asked { &told.asked } else { &told.forwarded };
        let fields = fields.iter().filter_map(|at| self.said(usize::from(*at)));
        let own = self.position_of(Common::ClientIp).and_then(|at| {
            let bytes = self.said(at)?;
            Some(match self.layout.fields[at].meaning {
                Meaning::ClientAndPort => number::without_port(bytes),
                _ => bytes,
            })
        });
        client::Said { own, fields, has_asked, trusted: &told.trusted }.client()
    }

    /// The status; `None` where there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.said_of(Common::Status).and_then(number::digits).and_then(|status| u16::try_from(status).ok())
    }

    /// Bytes of the answer.
    pub fn bytes(&self) -> Option<u64> {
        self.said_of(Common::Bytes).and_then(number::digits)
    }

    /// The method.
    pub fn method(&self) -> Option<Cow<'a, str>> {
        let at = self.position_of(Common::Method)?;
        let bytes = self.said(at)?;
        match self.layout.fields[at].meaning {
            Meaning::Request => {
                Some(target::request(bytes).method).filter(|method| !method.is_empty()).map(unescape::text)
            }
            _ => Some(self.text(at, bytes)),
        }
    }

    /// The path, without its query.
    pub fn path(&self) -> Option<Cow<'a, str>> {
        let (at, target) = self.target(Common::Path)?;
        Some(target.path).filter(|path| !path.is_empty()).map(|path| self.text(at, path))
    }

    /// The query string, without `?`.
    pub fn query(&self) -> Option<Cow<'a, str>> {
        let at = self.position_of(Common::Query)?;
        if self.layout.fields[at].meaning == Meaning::Query {
            let query = self.said(at)?;
            let query = query.strip_prefix(b"?").unwrap_or(query);
            return Some(query).filter(|query| !query.is_empty()).map(|query| self.text(at, query));
        }
        let (at, target) = self.target(Common::Query)?;
        target.query.map(|query| self.text(at, query))
    }

    /// The host that was asked for, without its port.
    pub fn host(&self) -> Option<Cow<'a, str>> {
        let at = self.position_of(Common::Host)?;
        let host = match self.layout.fields[at].meaning {
            Meaning::Host => self.said(at)?,
            _ => self.target(Common::Host)?.1.host,
        };
        Some(target::without_port(host)).filter(|host| !host.is_empty()).map(|host| self.text(at, host))
    }

    /// How long the answer took, in microseconds.
    pub fn duration_us(&self) -> Option<u64> {
        let at = self.position_of(Common::Duration)?;
        let bytes = self.said(at)?;
        let Meaning::Duration(unit) = &self.layout.fields[at].meaning else { return None };
        match self.format.unit.filter(|_| !matches!(unit, Unit::ThreeSeconds | Unit::HaproxyTimers)).unwrap_or(*unit) {
            Unit::ThreeSeconds => (at..at + 3).map(|at| self.said(at).and_then(number::seconds_us)).sum(),
            Unit::HaproxyTimers => {
                let last = bytes.rsplit(|byte| *byte == b'/').next()?;
                number::digits(last.strip_prefix(b"+").unwrap_or(last)).and_then(|ms| ms.checked_mul(1_000))
            }
            unit => duration::us(bytes, unit),
        }
    }

    /// The request, for sessions. Its time is less the duration where the log has the time of the answer.
    ///
    /// # Errors
    /// The row has no time, or one without a year.
    pub fn hit(&self) -> Result<Hit<'a>, Reason> {
        let Some(mut time) = self.time else {
            return Err(if self.is_year_missing { Reason::NoYear } else { Reason::NoTime });
        };
        let duration_us = self.duration_us();
        if let Some(us) = duration_us.filter(|_| self.format.is_time_of_end) {
            time = time.before(Duration::from_micros(us));
        }
        let client = self.client();
        Ok(Hit {
            time,
            client_ip: client.address,
            client_name: client.name,
            is_forwarded: client.is_forwarded,
            method: self.method().unwrap_or_default(),
            path: self.path().unwrap_or_default(),
            query: self.query(),
            status: self.status().unwrap_or(0),
            bytes: self.bytes(),
            referrer: self.text_of(Common::Referrer),
            user_agent: self.user_agent(),
            user: self.text_of(Common::User),
            host: self.host(),
            duration_us,
            cookie: self.text_of(Common::Cookie),
            trace: self.said_of(Common::Trace).and_then(Trace::of),
        })
    }

    /// The user agent; an empty one where the log has them and the client sent none.
    fn user_agent(&self) -> Option<Cow<'a, str>> {
        let has_them = self.layout.position_of(Common::UserAgent).is_some();
        self.text_of(Common::UserAgent).or_else(|| has_them.then_some(Cow::Borrowed("")))
    }

    /// How many fields were found, but for what is only the rest of the line.
    pub(crate) fn found(&self) -> usize {
        let fields = self.spans.iter().zip(&self.layout.fields);
        fields.filter(|(span, field)| **span != Span::NONE && &*field.name != "extra").count()
    }

    /// The bytes that say a common column.
    pub(crate) fn said_as(&self, common: Common) -> Option<&'a [u8]> {
        match common {
            Common::Host if self.meaning_of(common) != Some(&Meaning::Host) => {
                self.target(common).map(|(_, target)| target.host).filter(|host| !host.is_empty())
            }
            _ => self.said_of(common),
        }
    }

    /// What it is that says a common column.
    pub(crate) fn meaning_of(&self, common: Common) -> Option<&'a Meaning> {
        self.position_of(common).map(|at| &self.layout.fields[at].meaning)
    }

    fn position_of(&self, common: Common) -> Option<usize> {
        self.common[common as usize].map(usize::from)
    }

    fn said(&self, at: usize) -> Option<&'a [u8]> {
        self.spans.get(at).and_then(|span| span.said(self.line))
    }

    fn said_of(&self, common: Common) -> Option<&'a [u8]> {
        self.position_of(common).and_then(|at| self.said(at))
    }

    fn target(&self, common: Common) -> Option<(usize, Target<'a>)> {
        let at = self.position_of(common)?;
        let bytes = self.said(at)?;
        let target = match self.layout.fields[at].meaning {
            Meaning::Request => self.request(bytes),
            Meaning::Uri => target::uri(bytes),
            Meaning::Path => {
                // CloudFront's and SHOUTcast's stems are addresses, or have a query, at times.
                let has_query =
                    self.position_of(Common::Query).map(|at| &self.layout.fields[at].meaning) == Some(&Meaning::Query);
                match bytes.first() {
                    Some(b'/') if has_query => Target { path: bytes, ..Target::default() },
                    _ => target::uri(bytes),
                }
            }
            _ => return None,
        };
        Some((at, target))
    }

    /// The parts of the request line; a layout has one at most that is asked for.
    fn request(&self, bytes: &'a [u8]) -> Target<'a> {
        self.request.get().unwrap_or_else(|| {
            let target = target::request(bytes);
            self.request.set(Some(target));
            target
        })
    }

    fn text_of(&self, common: Common) -> Option<Cow<'a, str>> {
        let at = self.position_of(common)?;
        let bytes = self.said(at)?;
        let is_quoted = self.is_quoted(at);
        Some(match common {
            Common::UserAgent if is_quoted => self.text(at, bytes),
            Common::UserAgent if self.has_plus && bytes.contains(&b'+') => unescape::plus(bytes),
            Common::UserAgent if self.has_plus || self.has_percent => unescape::percent(bytes),
            Common::Cookie if self.has_plus && !is_quoted => match memchr::memmem::find(bytes, b";+") {
                Some(_) => unescape::text(bytes).replace(";+", "; ").into(),
                None => unescape::text(bytes),
            },
            _ => self.text(at, bytes),
        })
    }

    fn text(&self, at: usize, bytes: &'a [u8]) -> Cow<'a, str> {
        match self.format.escapes {
            Escapes::None => unescape::text(bytes),
            Escapes::Backslash => unescape::backslash(bytes),
            Escapes::Json => unescape::json(bytes),
            Escapes::Doubled if self.is_quoted(at) => unescape::doubled(bytes),
            Escapes::Doubled => unescape::text(bytes),
        }
    }

    fn own_text(&self, at: usize, bytes: &'a [u8]) -> Cow<'a, str> {
        match self.format.escapes {
            Escapes::Backslash => unescape::text(bytes),
            _ => self.text(at, bytes),
        }
    }

    /// A quote stands before the value.
    fn is_quoted(&self, at: usize) -> bool {
        self.spans.get(at).is_some_and(|span| span.is_after(b'"', self.line))
    }
}
