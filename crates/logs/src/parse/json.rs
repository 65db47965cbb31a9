//! One JSON object of a line, walked through without building anything.

use memchr::memchr2;

use super::span::Span;
use super::text::place;
use crate::limits::JSON_DEPTH_MAX;
use crate::reject::Reason;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// Text; the span is what stands between the quotes.
    Text,
    Number,
    /// `true` or `false`.
    Word,
    Null,
    /// A list of more than one value, or of none, as it stands.
    List,
}

type Visit<'v> = dyn FnMut(&str, Span, Scalar) + 'v;

/// Where the object starts: behind what a container's log puts in front.
pub(crate) fn object_start(line: &[u8], from: usize) -> Option<usize> {
    let window = line.get(from..line.len().min(from + 256))?;
    memchr::memchr(b'{', window).map(|at| from + at)
}

/// The line is a JSON object, perhaps with something in front of it.
pub(crate) fn is_object(line: &[u8]) -> bool {
    object_start(line, 0).is_some_and(|start| walk(line, start, &mut String::new(), &mut |_, _, _| {}).is_ok())
}

/// Calls `visit` with each value of the object at `start` that is no object: its path, keys with dots between them, and
/// where it stands. A list of one value is that value. Says where the object ends.
pub(crate) fn walk(line: &[u8], start: usize, path: &mut String, visit: &mut Visit<'_>) -> Result<usize, Reason> {
    path.clear();
    object(line, start, path, visit, 0)
}

fn fail<T>(at: usize, expected: &'static str) -> Result<T, Reason> {
    Err(Reason::Json { at: place(at), expected })
}

fn blank(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

fn object(line: &[u8], at: usize, path: &mut String, visit: &mut Visit<'_>, depth: usize) -> Result<usize, Reason> {
    if depth > JSON_DEPTH_MAX {
        return fail(at, "less nesting");
    }
    let mut at = blank(line, at + 1);
    if line.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        if line.get(at) != Some(&b'"') {
            return fail(at, "a key");
        }
        let key = string(line, at)?;
        let end = key.end + 1;
        at = blank(line, end);
        if line.get(at) != Some(&b':') {
            return fail(at, "a colon");
        }
        at = blank(line, at + 1);
        let len = path.len();
        if len > 0 {
            path.push('.');
        }
        path.push_str(std::str::from_utf8(&line[key.start..key.end]).unwrap_or("?"));
        at = if line.get(at) == Some(&b'{') {
            object(line, at, path, visit, depth + 1)?
        } else {
            let (span, scalar, end) = value(line, at, depth)?;
            visit(path, span, scalar);
            end
        };
        path.truncate(len);
        at = blank(line, at);
        match line.get(at) {
            // A format string of somebody's own may end with a comma.
            Some(b',') => match blank(line, at + 1) {
                end if line.get(end) == Some(&b'}') => return Ok(end + 1),
                next => at = next,
            },
            Some(b'}') => return Ok(at + 1),
            _ => return fail(at, "a comma or the end"),
        }
    }
}

/// A value that is no object (those in lists are passed over), what it is, and where it ends.
fn value(line: &[u8], at: usize, depth: usize) -> Result<(Span, Scalar, usize), Reason> {
    match line.get(at) {
        Some(b'"') => {
            let text = string(line, at)?;
            Ok((Span::new(text.start, text.end), Scalar::Text, text.end + 1))
        }
        Some(b'[') => list(line, at, depth),
        Some(b'-' | b'0'..=b'9') => {
            let is_of_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
            let len = line[at..].iter().position(|byte| !is_of_number(byte)).unwrap_or(line.len() - at);
            let end = numbers_end(line, at + len);
            let scalar = if end == at + len { Scalar::Number } else { Scalar::List };
            Ok((Span::new(at, end), scalar, end))
        }
        // nginx writes nothing where a number is not known.
        Some(b',' | b'}') => Ok((Span::NONE, Scalar::Null, at)),
        _ => {
            for (word, scalar) in [(&b"true"[..], Scalar::Word), (b"false", Scalar::Word), (b"null", Scalar::Null)] {
                if line[at.min(line.len())..].starts_with(word) {
                    let end = at + word.len();
                    let span = if scalar == Scalar::Null { Span::NONE } else { Span::new(at, end) };
                    return Ok((span, scalar, end));
                }
            }
            fail(at, "a value")
        }
    }
}

/// `0.001, 0.002`, `0.001 : 0.002`: nginx's numbers of several upstreams, without quotes.
fn numbers_end(line: &[u8], mut end: usize) -> usize {
    loop {
        let mark = blank(line, end);
        let next = match line.get(mark) {
            Some(b',' | b':') => blank(line, mark + 1),
            _ => return end,
        };
        let len = line[next.min(line.len())..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
            .count();
        if len == 0 {
            return end;
        }
        end = next + len;
    }
}

fn list(line: &[u8], start: usize, depth: usize) -> Result<(Span, Scalar, usize), Reason> {
    if depth > JSON_DEPTH_MAX {
        return fail(start, "less nesting");
    }
    let mut at = blank(line, start + 1);
    let mut only;
    let mut count = 0;
    if line.get(at) == Some(&b']') {
        return Ok((Span::NONE, Scalar::Null, at + 1));
    }
    loop {
        count += 1;
        at = if line.get(at) == Some(&b'{') {
            only = None;
            object(line, at, &mut String::new(), &mut |_, _, _| {}, depth + 1)?
        } else {
            let (span, scalar, end) = value(line, at, depth + 1)?;
            only = Some((span, scalar));
            end
        };
        at = blank(line, at);
        match line.get(at) {
            Some(b',') => at = blank(line, at + 1),
            Some(b']') => break,
            _ => return fail(at, "a comma or the end of a list"),
        }
    }
    let end = at + 1;
    match only {
        Some((span, scalar)) if count == 1 => Ok((span, scalar, end)),
        _ => Ok((Span::new(start, end), Scalar::List, end)),
    }
}

/// What stands between the quotes of the text at `open`.
#[inline]
fn string(line: &[u8], open: usize) -> Result<std::ops::Range<usize>, Reason> {
    let start = open + 1;
    let rest = line.get(start..).unwrap_or_default();
    match memchr2(b'"', b'\\', rest) {
        Some(found) if rest[found] == b'"' && matches!(rest.get(found + 1), Some(b',' | b':' | b'}' | b']')) => {
            Ok(start..start + found)
        }
        _ => odd_string(line, start),
    }
}

/// A text with escapes, or with a quote that nobody escaped: something else stands behind it than behind one that closes.
#[cold]
fn odd_string(line: &[u8], start: usize) -> Result<std::ops::Range<usize>, Reason> {
    let mut at = start;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        match memchr2(b'"', b'\\', rest) {
            Some(found) if rest[found] == b'"' => {
                let behind = line.get(blank(line, at + found + 1));
                if matches!(behind, None | Some(b',' | b':' | b'}' | b']')) {
                    return Ok(start..at + found);
                }
                at += found + 1;
            }
            Some(found) => at += found + 2,
            None => return fail(line.len(), "the end of a text"),
        }
    }
}

/// The objects of a line that has an array of them: `[{...},{...}]`, `{"records":[{...}]}`.
pub(crate) fn records(line: &[u8]) -> Option<std::ops::Range<usize>> {
    const NAMES: [&[u8]; 3] = [b"\"records\"", b"\"Records\"", b"\"logEvents\""];
    let text = line.trim_ascii();
    let from = line.len() - line.trim_ascii_start().len();
    let is_object_at = |at: usize| line.get(blank(line, at)) == Some(&b'{');
    match text {
        [b'[', .., b']'] if is_object_at(from + 1) => Some(from + 1..from + text.len()),
        [b'{', .., b'}'] if text[..text.len() - 1].trim_ascii_end().ends_with(b"]") => {
            let name = NAMES.into_iter().find_map(|name| Some((memchr::memmem::find(text, name)?, name.len())))?;
            let colon = blank(line, from + name.0 + name.1);
            let open = blank(line, colon + 1);
            let is_array = line.get(colon) == Some(&b':') && line.get(open) == Some(&b'[') && is_object_at(open + 1);
            is_array.then_some(open + 1..from + text.len() - 1)
        }
        _ => None,
    }
}

/// The next object of an array from a place on: where it starts and ends.
pub(crate) fn next_record(line: &[u8], range: std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
    let start = range.start + memchr::memchr(b'{', line.get(range.clone())?)?;
    let end = walk(line, start, &mut String::new(), &mut |_, _, _| {});
    // What can't be taken apart is one piece.
    Some(start..end.unwrap_or(range.end).min(range.end))
}
