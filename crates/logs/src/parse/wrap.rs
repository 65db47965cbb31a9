//! What stands around a line, taken off.

use memchr::memchr;

use super::json::{Scalar, walk};
use super::span::Span;
use super::{syslog, unescape};
use crate::format::Wrap;

/// How far a name that stands in front may reach.
const NAME_BYTES_MAX: usize = 256;

/// Where the line itself stands, and what was said around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outer {
    /// The line itself is from here
    pub(crate) start: usize,
    /// to here.
    pub(crate) end: usize,
    pub(crate) time: Span,
    pub(crate) source: Span,
    pub(crate) stream: Span,
    /// There was something around it.
    pub(crate) is_wrapped: bool,
}

impl Outer {
    /// Nothing around it.
    #[inline]
    pub(crate) const fn of(line: &[u8]) -> Self {
        let end = line.len();
        Self { start: 0, end, time: Span::NONE, source: Span::NONE, stream: Span::NONE, is_wrapped: false }
    }

    /// Takes off what stands in front; says whether there was any.
    pub(crate) fn take(&mut self, wrap: &Wrap, line: &[u8]) -> bool {
        let line = &line[..self.end];
        let Some(head) = head(wrap, line, self.start) else { return false };
        self.start = head.len;
        self.is_wrapped = true;
        for (known, said) in
            [(&mut self.time, head.time), (&mut self.source, head.host), (&mut self.stream, head.program)]
        {
            if *known == Span::NONE {
                *known = said;
            }
        }
        true
    }

    /// What a program said about an error, on the stream for that.
    pub(crate) fn is_of_errors(&self, line: &[u8]) -> bool {
        self.stream.of(line) == Some(b"stderr")
    }
}

/// Takes off all that stands around a line. What is inside of JSON is written to `inner`, with what was said around it
/// behind the line itself.
pub(crate) fn unwrap<'a>(wraps: &[Wrap], line: &'a [u8], inner: &'a mut Vec<u8>) -> (&'a [u8], Outer) {
    let mut rest = wraps;
    let (line, mut outer) = match wraps.split_first() {
        Some((Wrap::Json(path), others)) => {
            rest = others;
            match of_json(path, line, inner) {
                Some(outer) => (&inner[..], outer),
                None => (line, Outer::of(line)),
            }
        }
        _ => (line, Outer::of(line)),
    };
    for wrap in rest {
        outer.take(wrap, line);
    }
    (line, outer)
}

fn of_json(path: &str, line: &[u8], inner: &mut Vec<u8>) -> Option<Outer> {
    let start = memchr(b'{', &line[..line.len().min(NAME_BYTES_MAX)])?;
    let (mut text, mut time, mut stream, mut source) = (None, None, None, None);
    let walked = walk(line, start, &mut String::new(), &mut |key, span, scalar| match key {
        _ if key == path && scalar == Scalar::Text => text = Some(span),
        "time" | "@timestamp" | "timestamp" | "__REALTIME_TIMESTAMP" => time = time.or(Some(span)),
        "stream" => stream = Some(span),
        "container_name" | "kubernetes.pod_name" | "_SYSTEMD_UNIT" | "_HOSTNAME" | "host" => {
            source = source.or(Some(span));
        }
        _ => {}
    });
    walked.ok()?;
    let text = text?;
    inner.clear();
    inner.extend_from_slice(unescape::json(text.of(line)?).trim_end_matches(['\n', '\r']).as_bytes());
    let end = inner.len();
    let mut put = |span: Option<Span>| {
        let Some(bytes) = span.and_then(|span| span.of(line)) else { return Span::NONE };
        let at = inner.len();
        inner.extend_from_slice(bytes);
        Span::new(at, inner.len())
    };
    let (time, source, stream) = (put(time), put(source), put(stream));
    Some(Outer { start: 0, end, time, source, stream, is_wrapped: true })
}

fn head(wrap: &Wrap, line: &[u8], start: usize) -> Option<syslog::Head> {
    let start = without_colours(line, start);
    match wrap {
        // Inside of others it can't be written anywhere.
        Wrap::Json(_) => None,
        Wrap::Syslog => syslog::head(line, start),
        Wrap::Cri => cri(line, start),
        Wrap::Compose => compose(line, start),
        Wrap::Pod => pod(line, start),
        Wrap::Time => time(line, start),
        Wrap::Grep => grep(line, start),
        Wrap::Quote => (line.get(start) == Some(&b'"')).then(|| syslog::Head::at(start + 1)),
        Wrap::Words(words) => self::words(*words, line, start),
    }
}

/// Behind what a terminal takes for a colour.
fn without_colours(line: &[u8], mut at: usize) -> usize {
    while let Some([0x1b, b'[', rest @ ..]) = line.get(at..) {
        let len = rest.iter().take(NAME_BYTES_MAX).position(u8::is_ascii_alphabetic);
        let Some(len) = len else { break };
        at += len + 3;
    }
    at
}

fn behind(line: &[u8], at: usize) -> syslog::Head {
    syslog::Head::at(without_colours(line, at))
}

/// `2026-01-26T03:17:29.346494690+00:00 stdout F `.
fn cri(line: &[u8], start: usize) -> Option<syslog::Head> {
    let rest = line.get(start..)?;
    let time = syslog::iso_len(rest)?;
    let stream = rest.get(time + 1..time + 8).filter(|word| matches!(*word, b"stdout " | b"stderr "))?;
    let tags = rest.get(time + 8..time + 10)?;
    if !matches!(tags[0], b'F' | b'P') || tags[1] != b' ' {
        return None;
    }
    let program = Span::new(start + time + 1, start + time + stream.len());
    Some(syslog::Head { time: Span::new(start, start + time), program, ..behind(line, start + time + 10) })
}

/// `web-1  | `.
fn compose(line: &[u8], start: usize) -> Option<syslog::Head> {
    let rest = &line[start..line.len().min(start + NAME_BYTES_MAX)];
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b'|' | b'/');
    let name = rest.iter().position(|byte| !is_name(byte)).filter(|len| *len > 0)?;
    let spaces = rest[name..].iter().take_while(|byte| **byte == b' ').count();
    let bar = without_colours(line, start + name + spaces);
    // Others have the client there.
    if spaces == 0 || line.get(bar) != Some(&b'|') || super::Look(&rest[..name]).is_address() {
        return None;
    }
    let at = without_colours(line, bar + 1);
    let at = at + usize::from(line.get(at) == Some(&b' '));
    Some(syslog::Head { host: Span::new(start, start + name), ..behind(line, at) })
}

/// `[pod/ingress-nginx-abc/controller] `.
fn pod(line: &[u8], start: usize) -> Option<syslog::Head> {
    let inner = line.get(start..)?.strip_prefix(b"[")?;
    let len = memchr(b']', &inner[..inner.len().min(NAME_BYTES_MAX)])?;
    let name = &inner[..len];
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if inner.get(len + 1) != Some(&b' ') || !name.contains(&b'/') || !name.iter().all(is_name) {
        return None;
    }
    Some(syslog::Head { host: Span::new(start + 1, start + 1 + len), ..behind(line, start + len + 3) })
}

/// `2026-01-26T03:17:29.346Z `, `[2026-01-26T03:17:29.346Z] `, `2026/03/26 15:32:43.127\t`; with `ecs/web/0123 ` behind it.
fn time(line: &[u8], start: usize) -> Option<syslog::Head> {
    let open = usize::from(line.get(start) == Some(&b'['));
    let rest = line.get(start + open..)?;
    let time = full_time(rest).or_else(|| clf_time(rest).filter(|_| open == 1))?;
    let mut at = start + open + time + open;
    if (open == 1 && rest.get(time) != Some(&b']')) || !matches!(line.get(at), Some(b' ' | b'\t')) {
        return None;
    }
    at += 1;
    let mut head = syslog::Head { time: Span::new(start + open, start + open + time), ..behind(line, at) };
    let word = line.get(at..).and_then(|rest| memchr(b' ', &rest[..rest.len().min(NAME_BYTES_MAX)]));
    if let Some(len) = word.filter(|len| line[at..at + len].contains(&b'/') && line[at] != b'/') {
        head.host = Span::new(at, at + len);
        head.len = without_colours(line, at + len + 1);
    }
    Some(head)
}

/// The length of `17/May/2015:10:05:03 +0000`.
fn clf_time(rest: &[u8]) -> Option<usize> {
    let is_clf = rest.len() > 20 && rest[2] == b'/' && rest[6] == b'/' && rest[11] == b':' && rest[14] == b':';
    is_clf.then(|| memchr(b']', &rest[..rest.len().min(40)])).flatten()
}

/// The length of a day and a time of day, with what belongs to them.
fn full_time(rest: &[u8]) -> Option<usize> {
    let is_day = rest.len() > 19
        && rest[..4].iter().all(u8::is_ascii_digit)
        && matches!(rest[4], b'-' | b'/')
        && rest[7] == rest[4]
        && matches!(rest[10], b'T' | b' ')
        && rest[13] == b':'
        && rest[16] == b':';
    let is_of_time = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b':' | b'+' | b'-' | b'Z');
    is_day.then(|| 11 + rest[11..].iter().take_while(|byte| is_of_time(byte)).count())
}

/// `access.log.1:`, `/var/log/access.log:17:`, `C:\logs\access.log:`.
fn grep(line: &[u8], start: usize) -> Option<syslog::Head> {
    let rest = &line[start..line.len().min(start + NAME_BYTES_MAX)];
    let drive = if rest.get(1) == Some(&b':') && matches!(rest.get(2), Some(b'\\' | b'/')) { 2 } else { 0 };
    let name = drive + memchr(b':', &rest[drive..])?;
    let is_name = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'[' | b'{' | b'<');
    if !rest[..name].iter().all(is_name) || !rest[..name].iter().any(u8::is_ascii_alphanumeric) {
        return None;
    }
    let digits = rest[name + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    // `2001:db8::1` begins like a number of a line.
    let word = rest[name + 1..].split(|byte| *byte == b' ').next().unwrap_or_default();
    let has_number = digits > 0 && rest.get(name + 1 + digits) == Some(&b':') && !super::Look(word).is_address();
    let len = if has_number { name + digits + 2 } else { name + 1 };
    Some(syslog::Head { host: Span::new(start, start + name), ..behind(line, start + len) })
}

/// `web-7d4b controller `: names, which have no quotes or brackets.
fn words(words: u8, line: &[u8], start: usize) -> Option<syslog::Head> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'@');
    let mut at = start;
    for _ in 0..words {
        at = without_colours(line, at);
        let len = line.get(at..)?.iter().take(NAME_BYTES_MAX).position(|byte| !is_name(byte)).filter(|len| *len > 0)?;
        at = without_colours(line, at + len);
        if line.get(at) != Some(&b' ') {
            return None;
        }
        at += 1;
    }
    Some(syslog::Head { host: Span::new(start, at - 1), ..behind(line, at) })
}
