//! Lines of `key=value`, and of values whose names stand in the first line.

use memchr::memchr;

use super::json::Scalar;
use super::span::Span;
use super::text::place;
use crate::reject::Reason;

/// So many keys make a line one of pairs: `a=b` may stand in any sentence.
const PAIRS_MIN: usize = 2;

/// Calls `visit` with each key and value; words without `=` are passed over.
pub(crate) fn pairs(
    line: &[u8],
    start: usize,
    path: &mut String,
    visit: &mut dyn FnMut(&str, Span, Scalar),
) -> Result<usize, Reason> {
    let (mut at, mut found) = (start, 0);
    while at < line.len() {
        if line[at].is_ascii_whitespace() || line[at] == b',' {
            at += 1;
            continue;
        }
        let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b'/');
        let len = line[at..].iter().position(|byte| !is_key(byte)).unwrap_or(line.len() - at);
        if len == 0 || line.get(at + len) != Some(&b'=') {
            // Some other word.
            at += line[at..].iter().position(u8::is_ascii_whitespace).unwrap_or(line.len() - at);
            continue;
        }
        path.clear();
        path.push_str(std::str::from_utf8(&line[at..at + len]).unwrap_or("?"));
        at += len + 1;
        let (span, end) = match line.get(at) {
            Some(b'"') => quoted(line, at)?,
            _ => {
                let len = line[at..].iter().position(u8::is_ascii_whitespace).unwrap_or(line.len() - at);
                (Span::new(at, at + len), at + len)
            }
        };
        let value = span.of(line).unwrap_or_default();
        let is_number = line.get(at) != Some(&b'"') && super::number::float(value).is_some();
        visit(path, span, if is_number { Scalar::Number } else { Scalar::Text });
        found += 1;
        at = end;
    }
    if found < PAIRS_MIN {
        return Err(Reason::Shape { at: place(start), expected: "key=value" });
    }
    Ok(line.len())
}

/// The text between the quote at `open` and the one that closes it, and where it ends.
fn quoted(line: &[u8], open: usize) -> Result<(Span, usize), Reason> {
    let mut at = open + 1;
    loop {
        at += memchr(b'"', line.get(at..).unwrap_or_default())
            .ok_or(Reason::Shape { at: place(open), expected: "a value that ends with a quote" })?;
        let escapes = line[open + 1..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        let ends = line.get(at + 1).is_none_or(|next| next.is_ascii_whitespace() || *next == b',');
        if escapes % 2 == 0 && ends {
            return Ok((Span::new(open + 1, at), at + 1));
        }
        at += 1;
    }
}

/// Calls `visit` with each value, which may stand in quotes.
pub(crate) fn separated(
    line: &[u8],
    start: usize,
    by: u8,
    names: &[Box<str>],
    visit: &mut dyn FnMut(&str, Span, Scalar),
) -> Result<usize, Reason> {
    let (mut at, mut count) = (start, 0);
    for name in names {
        let (span, end) = match line.get(at) {
            Some(b'"') => between(line, at, by),
            _ => {
                let end = memchr(by, line.get(at..).unwrap_or_default()).map_or(line.len(), |len| at + len);
                (Span::new(at, end), end)
            }
        };
        let value = span.of(line).unwrap_or_default();
        visit(name, span, if super::number::float(value).is_some() { Scalar::Number } else { Scalar::Text });
        count += 1;
        if end >= line.len() {
            break;
        }
        at = end + 1;
    }
    if count < names.len() {
        return Err(Reason::Shape { at: place(line.len()), expected: "a value for each name in the first line" });
    }
    Ok(line.len())
}

/// A quoted value: the quote that closes it stands before a separator or the end.
fn between(line: &[u8], open: usize, by: u8) -> (Span, usize) {
    let mut at = open + 1;
    while let Some(found) = memchr(b'"', line.get(at..).unwrap_or_default()) {
        at += found;
        match line.get(at + 1) {
            None => return (Span::new(open + 1, at), at + 1),
            Some(next) if *next == by => return (Span::new(open + 1, at), at + 1),
            Some(b'"') => at += 2,
            Some(_) => at += 1,
        }
    }
    (Span::new(open + 1, line.len()), line.len())
}
