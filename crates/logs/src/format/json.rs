//! JSON lines: what keys usually mean. There is no standard, but the same few words everywhere.

use std::sync::Arc;

use hashbrown::HashMap;

use super::column::{Clock, Column, Meaning, Unit};
use super::layout::{Field, Layout};
use super::shape::Piece;
use crate::limits::{COLUMNS_MAX, SAMPLE_LINES_MAX};
use crate::parse::{Scalar, walk};

/// Where keys may stand that say something about the request.
const PLACES: [&str; 9] =
    ["", "request", "request.headers", "headers", "req", "req.headers", "properties", "http", "httprequest"];

/// Words for what a request has, without `_`, `-`, `@` and in lower case; better ones first.
type Words = (&'static [&'static str], fn(&str) -> Meaning);
const WORDS: [Words; 13] = [
    (
        &[
            "startutc",
            "edgestarttimestamp",
            "ts",
            "timestamp",
            "time",
            "timeiso8601",
            "timelocal",
            "msec",
            "datetime",
            "date",
            "startlocal",
            "starttime",
            "edgeendtimestamp",
        ],
        |_| Meaning::Time(Clock::Epoch),
    ),
    (
        &[
            "clientip",
            "clienthost",
            "remoteaddr",
            "remoteip",
            "ip",
            "clientaddr",
            "clientaddress",
            "client",
            "remotehost",
        ],
        |_| Meaning::Client,
    ),
    (&["requestmethod", "method", "clientrequestmethod", "httpmethod", "verb"], |_| Meaning::Method),
    (
        &[
            "requesturi",
            "uri",
            "clientrequesturi",
            "originalrequesturiwithargs",
            "requestpath",
            "path",
            "requesturl",
            "url",
            "clientrequestpath",
            "target",
        ],
        |_| Meaning::Uri,
    ),
    (&["request", "requestline"], |_| Meaning::Request),
    (&["querystring", "args", "query", "requestquery"], |_| Meaning::Query),
    (
        &["status", "statuscode", "downstreamstatus", "edgeresponsestatus", "httpstatus", "responsestatus", "response"],
        |_| Meaning::Status,
    ),
    (
        &[
            "bodybytessent",
            "bytessent",
            "bytes",
            "size",
            "downstreamcontentsize",
            "edgeresponsebytes",
            "sentbytes",
            "length",
            "responsesize",
            "responselength",
        ],
        |_| Meaning::Bytes,
    ),
    (&["httpreferer", "httpreferrer", "referer", "referrer", "requestreferer", "clientrequestreferer"], |_| {
        Meaning::Referrer
    }),
    (&["httpuseragent", "useragent", "requestuseragent", "clientrequestuseragent", "agent"], |_| Meaning::UserAgent),
    (&["remoteuser", "userid", "user", "username", "clientusername"], |_| Meaning::User),
    (
        &["httphost", "host", "requesthost", "clientrequesthost", "originalhost", "servername", "vhost", "domain"],
        |_| Meaning::Host,
    ),
    (
        &[
            "requesttime",
            "duration",
            "timetaken",
            "responsetime",
            "elapsed",
            "latency",
            "durationms",
            "requesttimems",
            "timetakenms",
            "latencyms",
            "elapsedms",
            "generationtimemilli",
            "durationus",
            "durationns",
        ],
        duration,
    ),
];
const COOKIES: [&str; 3] = ["httpcookie", "cookie", "clientrequestcookies"];

/// The unit of a duration, from how its key ends; Traefik's `Duration` is in nanoseconds, and is told by its value.
fn duration(word: &str) -> Meaning {
    let unit = if word.ends_with("ms") || word.ends_with("milli") {
        Unit::Millis
    } else if word.ends_with("us") && !word.ends_with("status") {
        Unit::Micros
    } else if word.ends_with("ns") {
        Unit::Nanos
    } else {
        Unit::Seconds
    };
    Meaning::Duration(unit)
}

/// What the keys of lines mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Keys {
    fields: Vec<Field>,
    positions: Arc<HashMap<Box<str>, u16>>,
    pub(crate) layout: Layout,
    /// From a format string: what keys mean is certain.
    is_given: bool,
}

/// What a sample says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidates {
    Integer,
    Float,
    Text,
}

impl Keys {
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Where a value of this path goes.
    pub(crate) fn position(&self, path: &str) -> Option<usize> {
        self.positions.get(path).map(|at| usize::from(*at))
    }

    pub(crate) fn laid_out(mut self, columns: &[Column]) -> Self {
        self.layout = Layout::new(self.fields.clone(), columns);
        self
    }

    /// The keys of a sample's objects, with those that are known already.
    pub(crate) fn with_sample(&self, sample: &[u8]) -> Self {
        if self.is_given {
            return self.clone();
        }
        let mut seen: Vec<(Box<str>, Candidates)> = Vec::new();
        for line in super::lines(sample).take(SAMPLE_LINES_MAX) {
            let Some(start) = crate::parse::object_start(line) else { continue };
            let mut path = String::new();
            // A line that is cut still says what its first keys are.
            let _ = walk(line, start, &mut path, &mut |path, span, scalar| {
                let value = span.of(line).unwrap_or_default();
                let kind = match scalar {
                    Scalar::Number if crate::parse::integer(value).is_some() => Candidates::Integer,
                    Scalar::Number => Candidates::Float,
                    Scalar::Null => return,
                    _ => Candidates::Text,
                };
                let has_room = seen.len() < COLUMNS_MAX;
                match seen.iter_mut().find(|(known, _)| **known == *path) {
                    Some((_, known)) if *known == kind => {}
                    Some((_, known)) if *known != Candidates::Text && kind != Candidates::Text => {
                        *known = Candidates::Float;
                    }
                    Some((_, known)) => *known = Candidates::Text,
                    None if has_room => seen.push((path.into(), kind)),
                    None => {}
                }
            });
        }
        let mut paths = self.fields.iter().map(|field| (field.name.clone(), kind_of(field))).collect::<Vec<_>>();
        for (path, kind) in seen {
            if !paths.iter().any(|(known, _)| *known == path) {
                paths.push((path, kind));
            }
        }
        Self::of_paths(&paths)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        if self.is_given {
            return self.clone();
        }
        let mut paths: Vec<_> = self.fields.iter().map(|field| (field.name.clone(), kind_of(field))).collect();
        for field in &other.fields {
            if !paths.iter().any(|(known, _)| *known == field.name) {
                paths.push((field.name.clone(), kind_of(field)));
            }
        }
        Self::of_paths(&paths)
    }

    fn of_paths(paths: &[(Box<str>, Candidates)]) -> Self {
        let mut fields: Vec<Field> = paths
            .iter()
            .map(|(path, kind)| {
                let meaning = match kind {
                    Candidates::Integer => Meaning::Integer,
                    Candidates::Float => Meaning::Float,
                    Candidates::Text => Meaning::Text,
                };
                Field::new(path.clone(), meaning)
            })
            .collect();
        let cookies: Words = (&COOKIES, |_| Meaning::Cookie);
        for (words, meaning) in WORDS.iter().chain([&cookies]) {
            let best = fields.iter().enumerate().filter_map(|(at, field)| {
                let (place, word) = field.name.rsplit_once('.').unwrap_or(("", &field.name));
                let place_rank = PLACES.iter().position(|known| known.eq_ignore_ascii_case(place))?;
                let word = plain(word);
                let rank = words.iter().position(|known| *known == word)?;
                Some(((rank, place_rank), at, word))
            });
            if let Some((_, at, word)) = best.min() {
                fields[at].meaning = meaning(&word);
            }
        }
        traefik_nanos(&mut fields);
        Self::of_fields(fields, false)
    }

    /// Of a format string such as `{"time":"$time_iso8601","status":$status}`.
    pub(crate) fn of_pieces(pieces: &[Piece]) -> Option<Self> {
        let mut fields = Vec::new();
        let mut key = None;
        for piece in pieces {
            match piece {
                Piece::Text(text) => key = last_key(text).or(key),
                Piece::Field(field) => {
                    // Of several variables in one value the first one says what it is.
                    if let Some(key) = key.take() {
                        fields.push(Field::new(key, field.meaning.clone()));
                    }
                }
            }
        }
        (!fields.is_empty()).then(|| Self::of_fields(fields, true))
    }

    fn of_fields(fields: Vec<Field>, is_given: bool) -> Self {
        let positions = fields.iter().enumerate();
        let positions =
            positions.filter_map(|(at, field)| u16::try_from(at).ok().map(|at| (field.name.clone(), at))).collect();
        Self { fields, positions: Arc::new(positions), layout: Layout::default(), is_given }
    }
}

fn kind_of(field: &Field) -> Candidates {
    match field.meaning.kind() {
        super::Kind::Integer => Candidates::Integer,
        super::Kind::Float => Candidates::Float,
        _ => Candidates::Text,
    }
}

/// Traefik says `Duration` in nanoseconds, and it alone has `DownstreamStatus`.
fn traefik_nanos(fields: &mut [Field]) {
    if fields.iter().any(|field| &*field.name == "DownstreamStatus")
        && let Some(field) = fields.iter_mut().find(|field| &*field.name == "Duration")
    {
        field.meaning = Meaning::Duration(Unit::Nanos);
    }
}

/// A key without what people put between words.
fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The key that a value follows: `..., "time":"`.
fn last_key(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let before = text.trim_end().trim_end_matches('"').trim_end().strip_suffix(':')?.trim_end();
    let before = before.strip_suffix('"')?;
    before.rfind('"').map(|at| before[at + 1..].to_owned())
}
