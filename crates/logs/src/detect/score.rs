//! How well a format fits: by what its fields hold.

use std::sync::Arc;

use visitlog_core::Trace;

use crate::format::{Common, Format, Meaning};
use crate::parse::{Look, Parsed, Parser, Row, Scalar, Wanted, further, is_plausible, object_start, walk};
use crate::reject::Reason;

/// A line's number and the line.
pub(super) type Line<'a> = (usize, &'a [u8]);

/// Whole seconds up to here are seconds: Apache's `%T`. Beyond, a number without a point is taken for `%D`.
const SECONDS_MAX: i64 = 60;

/// Keys under which others write whole lines.
const TEXTS: [&str; 9] =
    ["log", "message", "MESSAGE", "msg", "line", "textPayload", "event.original", "_raw", "@message"];

/// How well a format fits.
pub(super) struct Score {
    pub(super) format: Format,
    forwarded: Option<usize>,
    /// Lines that it reads.
    pub(super) parsed: usize,
    /// Lines of its first shape.
    pub(super) first: usize,
    /// Lines that have all of it.
    whole: usize,
    /// Fields that hold what they should, less those that hold something else.
    sense: i64,
    /// Fields that were found in them.
    fields: usize,
    /// Rows with a client, and rows with a path.
    clients: usize,
    /// Of the clients, those that are addresses or hosts.
    known_clients: usize,
    /// Rows in which something stands where it makes no sense.
    odd: usize,
    paths: usize,
    /// Lines that are no requests, and no fault.
    pub(super) asides: usize,
    /// Numbers behind a line that could not be seconds.
    pub(super) has_large_numbers: bool,
    /// The number of the line that fits best of those that don't, and what is wrong with it.
    pub(super) miss: Option<(usize, Reason)>,
    /// Rows with something behind that is not read, and the first of that.
    pub(super) left: usize,
    pub(super) left_over: Option<Vec<u8>>,
}

impl Score {
    pub(super) fn of(format: Format, said: &[Line<'_>]) -> Self {
        let time_us = format.column("request_time_us");
        let extra = format.column("extra");
        let forwarded = format.column("http_x_forwarded_for");
        let mut parser = Parser::new(&format, Wanted::all());
        let mut score = Self {
            format,
            forwarded,
            parsed: 0,
            first: 0,
            whole: 0,
            sense: 0,
            fields: 0,
            clients: 0,
            known_clients: 0,
            odd: 0,
            asides: 0,
            paths: 0,
            has_large_numbers: false,
            miss: None,
            left: 0,
            left_over: None,
        };
        for (number, line) in said {
            match parser.parse(line) {
                Parsed::Row(row) => {
                    score.parsed += 1;
                    score.fields += row.found();
                    score.add(&row);
                    let number = time_us.and_then(|column| row.raw(column)).and_then(crate::parse::integer);
                    score.has_large_numbers |= number.is_some_and(|number| number > SECONDS_MAX);
                    // The last of the columns takes what no other does.
                    if let Some(left) = extra.and_then(|column| row.raw(column)).filter(|left| is_said(left)) {
                        score.left += 1;
                        score.left_over.get_or_insert_with(|| left.to_vec());
                    }
                }
                Parsed::Directive => {
                    score.asides += 1;
                    continue;
                }
                Parsed::Rejected(reason) => {
                    let is_better = score.miss.is_none_or(|(_, best)| further(reason) > further(best));
                    score.miss = if is_better { Some((*number, reason)) } else { score.miss };
                    continue;
                }
            }
            let (is_first, is_whole) = parser.first_shape(line);
            score.first += usize::from(is_first);
            score.whole += usize::from(is_whole);
        }
        // A number with something unknown behind it may be anything.
        if score.format.name().contains("_time_") && score.left * 2 >= score.parsed.max(1) {
            score.sense -= 2 * i64::try_from(score.parsed).unwrap_or(i64::MAX / 2);
        }
        score
    }

    /// Clients are known in most rows, and nothing stands where it makes no sense.
    pub(super) fn is_good(&self) -> bool {
        self.known_clients * 2 >= self.parsed && self.odd * 2 < self.parsed.max(1)
    }

    /// Clients are known in most rows.
    pub(super) fn knows_clients(&self) -> bool {
        self.known_clients * 2 >= self.parsed
    }

    /// How much sense a line makes, of so many.
    pub(super) fn per_line(&self, lines: usize) -> i64 {
        self.sense * 100 / i64::try_from(lines.max(1)).unwrap_or(1)
    }

    pub(super) fn rank(&self) -> (i64, usize, usize, usize, usize) {
        (self.sense, self.parsed, self.fields, self.first, self.whole)
    }

    /// Client or path are known in most rows.
    pub(super) fn says_anything(&self) -> bool {
        self.clients * 2 >= self.parsed || self.paths * 2 >= self.parsed
    }

    /// Looks at what a row's fields hold.
    fn add(&mut self, row: &Row<'_>) {
        let mut sense = 0;
        let mut least = 0;
        let mut add = |worth: i64| {
            sense += worth;
            least = least.min(worth);
        };
        if let Some(client) = row.said_as(Common::ClientIp) {
            let look = Look(client);
            let worth = match client {
                _ if look.is_address() => 3,
                _ if look.is_full_host() => 2,
                b"unix:" | b"localhost" => 1,
                // Names without a dot are of machines nearby; words in front of lines look like that, too.
                _ if look.is_host() => 0,
                _ => -3,
            };
            add(worth);
            self.clients += usize::from(worth >= 0);
            self.known_clients += usize::from(worth > 0);
        }
        let path = row.path();
        self.paths += usize::from(path.is_some());
        add(match &path {
            Some(path) if path.starts_with('/') || *path == "*" => 2,
            Some(_) => 0,
            // TLS to a port without it, and what says nothing: each log of a public server has them.
            None => 0,
        });
        add(match row.status() {
            Some(100..600) => 2,
            Some(_) => -2,
            None => 0,
        });
        add(i64::from(row.time().is_some_and(is_plausible)));
        add(row.said_as(Common::Host).map_or(0, |host| host_worth(row, host)));
        // A user's name has no address or time in it.
        let is_user = |user: &[u8]| {
            !user.contains(&b'[') && !user.contains(&b'"') && !user.ends_with(b" -") && !has_address(user)
        };
        add(row.said_as(Common::User).map_or(0, |user| if is_user(user) { 0 } else { -3 }));
        let is_referrer = |referrer: &[u8]| !Look(referrer).is_address() && Look(referrer).number().is_none();
        add(row.said_as(Common::Referrer).map_or(0, |referrer| if is_referrer(referrer) { 1 } else { -2 }));
        add(row.said_as(Common::UserAgent).map_or(0, |agent| if Look(agent).is_address() { -2 } else { 1 }));
        let forwarded = self.forwarded.and_then(|column| row.raw(column));
        let is_forwarded = |value: &[u8]| Look(value).is_address() || value.contains(&b',') || value == b"unknown";
        add(forwarded.map_or(0, |value| if is_forwarded(value) { 1 } else { -3 }));
        if row.meaning_of(Common::Trace).is_some() {
            // Our own logs say it in each line, by a word of few.
            add(if row.said_as(Common::Trace).and_then(Trace::of).is_some() { 3 } else { -3 });
        }
        self.odd += usize::from(least < -1);
        self.sense += sense;
    }
}

/// Something that somebody may miss.
fn is_said(left: &[u8]) -> bool {
    left.iter().any(|byte| byte.is_ascii_alphanumeric())
}

/// A host that is one word only may be anybody's word.
fn host_worth(row: &Row<'_>, host: &[u8]) -> i64 {
    let is_part = matches!(row.meaning_of(Common::Host), Some(Meaning::Request | Meaning::Uri));
    match Look(host) {
        _ if is_part || host == b"localhost" => 1,
        look if look.is_full_host() || look.is_address() => 1,
        look if look.is_host() => -1,
        _ => -3,
    }
}

/// One of the words is an address.
fn has_address(text: &[u8]) -> bool {
    text.split(|byte| *byte == b' ').any(|word| word.contains(&b'.') && Look(word).is_address())
}

/// The path of a text in JSON objects that has a line in it: most lines are such objects, and none of them a request itself.
pub(super) fn inner_text(said: &[Line<'_>]) -> Option<Arc<str>> {
    let mut counts = [0_usize; TEXTS.len()];
    let mut requests = 0;
    for (_, line) in said {
        let Some(start) = object_start(line, 0) else { continue };
        let mut has = [false; TEXTS.len()];
        let mut is_request = false;
        _ = walk(line, start, &mut String::new(), &mut |key, span, scalar| {
            let value = span.of(line).unwrap_or_default();
            if let Some(at) = TEXTS.iter().position(|text| *text == key).filter(|_| scalar == Scalar::Text) {
                // A line has several words; a message of a server about itself is no request.
                has[at] = value.len() > 20 && value.iter().filter(|byte| byte.is_ascii_digit()).count() > 5;
            }
            is_request |= key.ends_with("status") || key.ends_with("status_code") || key.ends_with("statusCode");
        });
        requests += usize::from(is_request);
        for (count, has) in counts.iter_mut().zip(has) {
            *count += usize::from(has);
        }
    }
    let (at, count) = counts.iter().enumerate().max_by_key(|(at, count)| (**count, TEXTS.len() - at))?;
    (count * 2 >= said.len() && requests * 2 < said.len() && *count > 0).then(|| TEXTS[at].into())
}
