//! A line against a shape.

use memchr::memchr;
use visitlog_core::Timestamp;

use super::number;
use super::span::Span;
use super::time::{NoTime, TimeReader};
use crate::format::{Check, Item, Meaning, Shape};
use crate::limits::QUOTE_RETRIES_MAX;
use crate::reject::Reason;

/// Bytes that are looked at one by one.
const NEAR_BYTES: usize = 8;

/// How well a line fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The time that was read on the way.
    pub(crate) time: Option<Timestamp>,
    /// To the end, with nothing missing.
    pub(crate) is_whole: bool,
}

/// Where a quoted value could also end.
#[derive(Clone, Copy)]
struct Retry {
    item: usize,
    start: usize,
    from: usize,
}

/// Finds the fields of `line` from `start` on. What is neither needed for the shape nor among the first `wanted` items is
/// left out.
pub(crate) fn fit(
    shape: &Shape,
    line: &[u8],
    start: usize,
    wanted: usize,
    spans: &mut [Span],
    times: &mut TimeReader,
) -> Result<Fit, Reason> {
    if !stands_at(line, start, &shape.lead) {
        return Err(Reason::Shape { at: place(start), expected: "the format's first characters" });
    }
    let last = shape.needed.max(wanted).min(shape.items.len());
    let mut at = start + shape.lead.len();
    let mut retry: Option<Retry> = None;
    let mut retries = 0;
    let mut time = None;
    let mut index = 0;
    let mut from = at;
    while index < last {
        let item = &shape.items[index];
        if item.is_braced && line.get(at) != Some(&b'{') {
            // Nothing was captured, and nothing is written but what stands behind.
            at += if stands_at(line, at, &item.until) { item.until.len() } else { 0 };
            (from, index) = (at, index + 1);
            continue;
        }
        if item.is_braced {
            from = memchr(b'}', &line[at..]).map_or(line.len(), |len| from.max(at + len));
        }
        let end = find_end(item, line, from);
        let is_needed = index + 1 < shape.needed;
        let failure = match end {
            Some(end) => match check(item, shape, index, &line[at..end], at, times) {
                Ok(read) => {
                    spans[index] = Span::new(at, end);
                    time = read.or(time);
                    if item.is_special {
                        if item.is_quoted || item.may_end_later() {
                            retry = Some(Retry { item: index, start: at, from: end + 1 });
                        }
                        let padding = line[(end + item.until.len()).min(line.len())..].iter();
                        at = end + item.until.len();
                        at += if item.is_padded { padding.take_while(|byte| **byte == b' ').count() } else { 0 };
                    } else {
                        at = end + item.until.len();
                    }
                    from = at;
                    index += 1;
                    continue;
                }
                // What need not be there is not what was expected: it is something else.
                Err(_) if index >= shape.needed => {
                    leave(shape, line, at, spans);
                    return Ok(Fit { time, is_whole: false });
                }
                Err(reason) => reason,
            },
            None if !is_needed => {
                return tail(shape, line, at, index, spans, times).map(|mut fit| {
                    fit.time = fit.time.or(time);
                    fit
                });
            }
            None => Reason::Shape { at: place(at), expected: expected(item) },
        };
        match retry {
            Some(again) if retries < QUOTE_RETRIES_MAX && index < shape.needed => {
                retries += 1;
                (index, at, from) = (again.item, again.start, again.from);
            }
            _ => return Err(failure),
        }
    }
    let is_whole = last == shape.items.len();
    Ok(Fit { time, is_whole })
}

/// A line whose item `index` does not end as it should. From the last needed item on it may.
fn tail(
    shape: &Shape,
    line: &[u8],
    at: usize,
    index: usize,
    spans: &mut [Span],
    times: &mut TimeReader,
) -> Result<Fit, Reason> {
    let item = &shape.items[index];
    let rest = &line[at..];
    let len = if item.is_quoted {
        // Closed at the very end, or cut.
        if rest.last() == Some(&b'"') && !is_escaped(rest, rest.len() - 1) { rest.len() - 1 } else { rest.len() }
    } else {
        item.until.first().and_then(|first| memchr(*first, rest)).unwrap_or(rest.len())
    };
    let end = at + len;
    let time = match check(item, shape, index, &line[at..end], at, times) {
        Ok(time) => time,
        Err(_) if index >= shape.needed => {
            leave(shape, line, at, spans);
            return Ok(Fit { time: None, is_whole: false });
        }
        Err(reason) => return Err(reason),
    };
    spans[index] = Span::new(at, end);
    let mut is_whole = index + 1 == shape.items.len() || is_extra(shape, index + 1);
    // What is behind it belongs to the last item, if that takes anything.
    let has_more = !item.is_quoted && !line[end..].trim_ascii().is_empty();
    if has_more {
        leave(shape, line, end, spans);
        is_whole &= is_extra(shape, index + 1);
    }
    Ok(Fit { time, is_whole })
}

/// Leaves the rest of the line to the last item, if that takes anything.
fn leave(shape: &Shape, line: &[u8], at: usize, spans: &mut [Span]) {
    let last = shape.items.len() - 1;
    if is_extra(shape, last) {
        spans[last] = Span::new(line.len() - line[at..].trim_ascii_start().len(), line.len());
    }
}

/// The last item of shapes that take anything at the end.
fn is_extra(shape: &Shape, index: usize) -> bool {
    index + 1 == shape.items.len() && &*shape.layout.fields[index].name == "extra"
}

/// Where the item ends that starts at or before `from`.
#[inline]
fn find_end(item: &Item, line: &[u8], from: usize) -> Option<usize> {
    let Some((first, others)) = item.until.split_first() else { return Some(line.len()) };
    let (mut at, mut skips) = (from, item.skips);
    loop {
        at += find(*first, line.get(at..)?)?;
        let is_inside = (item.is_quoted && is_escaped(line, at)) || (item.is_list && at > from && line[at - 1] == b',');
        if stands_at(line, at + 1, others) && !is_inside {
            if skips == 0 {
                return Some(at);
            }
            skips -= 1;
        }
        at += 1;
    }
}

/// The place of a byte, which is near in most cases: nearer than a search of many bytes at once pays for.
#[inline]
fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let near = bytes.len().min(NEAR_BYTES);
    match bytes[..near].iter().position(|other| *other == byte) {
        Some(at) => Some(at),
        None => memchr(byte, &bytes[near..]).map(|at| near + at),
    }
}

/// These few bytes are at this place.
#[inline]
fn stands_at(line: &[u8], at: usize, bytes: &[u8]) -> bool {
    let there = line.get(at..).unwrap_or_default();
    there.len() >= bytes.len() && there.iter().zip(bytes).all(|(one, other)| one == other)
}

/// An odd number of backslashes stands before it.
fn is_escaped(line: &[u8], at: usize) -> bool {
    if at == 0 || line[at - 1] != b'\\' {
        return false;
    }
    line[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[inline]
fn check(
    item: &Item,
    shape: &Shape,
    index: usize,
    value: &[u8],
    at: usize,
    times: &mut TimeReader,
) -> Result<Option<Timestamp>, Reason> {
    let is_right = match item.check {
        Check::Nothing => true,
        Check::User => memchr(b'[', value).is_none(),
        Check::Client => is_client(value),
        Check::ClientOfHost => value != b"-" && is_client(value),
        Check::Float => value == b"-" || number::float(value).is_some() || value.is_empty(),
        Check::Duration => value == b"-" || super::duration::us(value, crate::format::Unit::Named).is_some(),
        Check::Thread => is_thread(value),
        Check::Request => value == b"-" || super::Look(value).is_request(),
        Check::Host => !value.is_empty() && value[0] != b'(' && memchr::memchr2(b' ', b',', value).is_none(),
        Check::NoAddress => is_ident(value),
        Check::Number => value == b"-" || number::integer(value).is_some() || value.is_empty(),
        Check::Status => {
            return if value == b"-" || number::is_status(value) {
                Ok(None)
            } else {
                Err(Reason::Status { at: place(at) })
            };
        }
        Check::Time => {
            let Meaning::Time(clock) = &shape.layout.fields[index].meaning else { return Ok(None) };
            return match times.read(clock, value) {
                Ok(time) => Ok(Some(time)),
                Err(NoTime::WithoutYear) => Ok(None),
                Err(NoTime::Malformed) if value == b"-" => Ok(None),
                Err(NoTime::Malformed) => Err(Reason::Time { at: place(at) }),
            };
        }
    };
    if is_right { Ok(None) } else { Err(Reason::Shape { at: place(at), expected: wanted(item.check) }) }
}

/// `http-nio-8080-exec-10`, `ajp-bio-8009-exec-3`, `qtp1-42`.
fn is_thread(value: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(value, word).is_some();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.[]:%#@".contains(byte);
    value.iter().all(is_name)
        && (has(b"exec-") || has(b"http-") || has(b"ajp-") || has(b"https-") || value.starts_with(b"qtp"))
}

/// A word, or a list of them.
fn is_client(value: &[u8]) -> bool {
    let is_word = memchr(b' ', value).is_none() || value.windows(2).all(|pair| pair[1] != b' ' || pair[0] == b',');
    !value.is_empty() && value[0] != b'(' && is_word
}

/// An identity: no address (then the line has a host in front), and no space.
fn is_ident(value: &[u8]) -> bool {
    let is_odd = |byte: &u8| matches!(byte, b'.' | b'(');
    value == b"-" || (!value.is_empty() && number::address(value).is_none() && !value.iter().any(is_odd))
}

fn wanted(check: Check) -> &'static str {
    match check {
        Check::Host => "a host",
        Check::Client | Check::ClientOfHost => "an address or a name",
        Check::User => "a user or -",
        Check::NoAddress => "an identity or -",
        Check::Number | Check::Float => "a number or -",
        Check::Duration => "a duration",
        Check::Thread => "a thread's name",
        Check::Request => "a request",
        _ => "a value",
    }
}

fn expected(item: &Item) -> &'static str {
    match &*item.until {
        [b'"', ..] => "a value that ends with a quote",
        [b']', ..] => "a value that ends with ]",
        [b' ', b'[', ..] => "a value before [",
        [b' ', b'"', ..] => "a value before a quote",
        _ => "a further value",
    }
}

pub(crate) fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
