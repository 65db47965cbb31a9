//! Columns: what a log calls them, what kind of value they hold, and what they mean.

use std::fmt;

/// What kind of value a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text. Bytes that are not UTF-8 are replaced.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number with a fraction.
    Float,
    /// A moment.
    Time,
    /// An IP address.
    Ip,
}

impl Kind {
    /// The kind that holds values of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Integer | Self::Float, Self::Integer | Self::Float) => Self::Float,
            _ => Self::Text,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Time => "time",
            Self::Ip => "ip",
        })
    }
}

/// The columns that have the same name whatever the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Common {
    /// When: the moment that the log says.
    Time,
    /// The client's address.
    ClientIp,
    /// The method.
    Method,
    /// The path, without its query.
    Path,
    /// The query string, without `?`.
    Query,
    /// The status of the answer.
    Status,
    /// Bytes of the answer.
    Bytes,
    /// `Referer`.
    Referrer,
    /// `User-Agent`.
    UserAgent,
    /// Whom the server had authenticated.
    User,
    /// The host that was asked for.
    Host,
    /// How long the answer took, in milliseconds.
    Duration,
    /// The `Cookie` header.
    Cookie,
    /// What the request left in its visit: only logs of ours say it, so it is no column of all.
    Trace,
}

impl Common {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// All that every log has as a column, in the order in which they are shown.
    pub const ALL: [Self; Self::COUNT - 1] = [
        Self::Time,
        Self::ClientIp,
        Self::Method,
        Self::Path,
        Self::Query,
        Self::Status,
        Self::Bytes,
        Self::Referrer,
        Self::UserAgent,
        Self::User,
        Self::Host,
        Self::Duration,
        Self::Cookie,
    ];

    /// The same, and what only logs of ours say.
    pub(crate) const EVERY: [Self; Self::COUNT] = {
        let mut every = [Self::Trace; Self::COUNT];
        let mut at = 0;
        while at < Self::ALL.len() {
            every[at] = Self::ALL[at];
            at += 1;
        }
        every
    };

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::ClientIp => "client_ip",
            Self::Method => "method",
            Self::Path => "path",
            Self::Query => "query",
            Self::Status => "status",
            Self::Bytes => "bytes",
            Self::Referrer => "referrer",
            Self::UserAgent => "user_agent",
            Self::User => "user",
            Self::Host => "host",
            Self::Duration => "duration_ms",
            Self::Cookie => "cookie",
            Self::Trace => "trace",
        }
    }

    /// The kind of its values.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Time => Kind::Time,
            Self::ClientIp => Kind::Ip,
            Self::Status | Self::Bytes => Kind::Integer,
            Self::Duration => Kind::Float,
            _ => Kind::Text,
        }
    }

    /// The one of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|common| common.name().eq_ignore_ascii_case(name))
    }

    pub(crate) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// One column of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As the log calls it: `cs-uri-stem`, `cs(Cookie)`, `remote_addr`, `request.headers.User-Agent`.
    pub name: Box<str>,
    /// The kind of its values.
    pub kind: Kind,
    /// Which common columns are made of it.
    pub gives: Vec<Common>,
}

/// How a moment is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clock {
    /// `17/May/2015:10:05:03 +0000`, or any other order with the month's name.
    Clf,
    /// `2020-01-01T00:55:04.127531Z`, with or without fraction and zone, `T` or a space.
    Iso,
    /// A number since 1970: seconds, or milliseconds, microseconds, nanoseconds, told by its size; or ISO 8601.
    Epoch,
    /// Apache's `%{...}t`.
    Strftime(Box<str>),
    /// `Mar 24 14:02:50`: the year has to be known.
    Syslog,
}

/// The unit of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationUnit {
    /// `s`
    Seconds,
    /// `ms`
    Millis,
    /// `us`
    Micros,
    /// `ns`
    Nanos,
}

impl DurationUnit {
    /// The unit of a name: `s`, `ms`, `us` or `ns`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "s" => Self::Seconds,
            "ms" => Self::Millis,
            "us" => Self::Micros,
            "ns" => Self::Nanos,
            _ => return None,
        })
    }

    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::Seconds => Unit::Seconds,
            Self::Millis => Unit::Millis,
            Self::Micros => Unit::Micros,
            Self::Nanos => Unit::Nanos,
        }
    }
}

/// The unit of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    /// W3C's `time-taken`: whole numbers are milliseconds (IIS), others seconds.
    Taken,
    /// Five numbers of HAProxy: the last one, in milliseconds.
    HaproxyTimers,
    /// Seconds in this field and the two behind it, all of them together.
    ThreeSeconds,
    /// `350ms`, `68 micros`, `1.5s`; milliseconds if there is none.
    Named,
    /// Not said yet.
    Unsaid,
}

/// What a field means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    Text,
    Integer,
    Float,
    /// An address that is not the client's.
    Address,
    /// RFC 1413's identity: text that is no address.
    Ident,
    /// The client: an address, with a port or not, in brackets or not; or a list of addresses, the first of which it is.
    Client,
    /// The client and its port, behind the last colon.
    ClientAndPort,
    /// Where the text is only sometimes an address.
    ClientName,
    Method,
    Path,
    Query,
    /// Path and query, perhaps with scheme and host.
    Uri,
    /// `GET /path?query HTTP/1.1`.
    Request,
    Status,
    Bytes,
    Referrer,
    UserAgent,
    User,
    Host,
    Cookie,
    /// What a request left in its visit, in a log of ours.
    Trace,
    Duration(Unit),
    Time(Clock),
    /// A day; with `TimeOfDay` a moment.
    Date,
    /// A time of day; of W3C's `#Date` where no field has the day.
    TimeOfDay,
}

impl Meaning {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Integer | Self::Status | Self::Bytes => Kind::Integer,
            Self::Float | Self::Duration(Unit::Seconds | Unit::ThreeSeconds | Unit::Taken | Unit::Unsaid) => {
                Kind::Float
            }
            Self::Duration(Unit::Millis | Unit::Micros | Unit::Nanos) => Kind::Integer,
            Self::Time(_) => Kind::Time,
            _ => Kind::Text,
        }
    }

    /// The common columns that it gives, by itself.
    pub(crate) fn gives(&self) -> &'static [Common] {
        match self {
            Self::Client | Self::ClientAndPort | Self::ClientName => &[Common::ClientIp],
            Self::Method => &[Common::Method],
            Self::Path => &[Common::Path],
            Self::Query => &[Common::Query],
            Self::Uri => &[Common::Path, Common::Query, Common::Host],
            Self::Request => &[Common::Method, Common::Path, Common::Query, Common::Host],
            Self::Status => &[Common::Status],
            Self::Bytes => &[Common::Bytes],
            Self::Referrer => &[Common::Referrer],
            Self::UserAgent => &[Common::UserAgent],
            Self::User => &[Common::User],
            Self::Host => &[Common::Host],
            Self::Cookie => &[Common::Cookie],
            Self::Trace => &[Common::Trace],
            Self::Duration(_) => &[Common::Duration],
            Self::Time(_) | Self::Date | Self::TimeOfDay => &[Common::Time],
            Self::Text | Self::Integer | Self::Float | Self::Address | Self::Ident => &[],
        }
    }
}
