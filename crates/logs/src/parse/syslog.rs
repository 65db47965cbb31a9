//! What syslog puts in front of a line: `Mar 24 14:02:50 host program[pid]: `, or RFC 5424's.

use memchr::{memchr, memmem};

use super::span::Span;

/// The head of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where the line itself starts.
    pub(crate) len: usize,
    pub(crate) time: Span,
    pub(crate) host: Span,
    pub(crate) program: Span,
}

impl Head {
    /// One that says nothing.
    pub(crate) const fn at(len: usize) -> Self {
        Self { len, time: Span::NONE, host: Span::NONE, program: Span::NONE }
    }
}

/// The head of a line whose rest starts there, if it has one.
pub(crate) fn head(line: &[u8], start: usize) -> Option<Head> {
    let start = priority(line, start);
    bsd(line, start).or_else(|| rfc5424(line, start))
}

/// `<134>`, and the length that stands before it in a stream: where what is behind starts.
fn priority(line: &[u8], start: usize) -> usize {
    let digits = line[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let counted = match line[start + digits..] {
        [b' ', b'<', ..] if digits > 0 => start + digits + 1,
        _ => start,
    };
    if line.get(counted) != Some(&b'<') {
        return start;
    }
    match memchr(b'>', &line[counted..line.len().min(counted + 5)]) {
        Some(len) if line[counted + 1..counted + len].iter().all(u8::is_ascii_digit) => counted + len + 1,
        _ => start,
    }
}

/// RFC 3164, with the time of RFC 3339 too, as rsyslog writes it, and journald's. Some leave the host away.
fn bsd(line: &[u8], start: usize) -> Option<Head> {
    let rest = line.get(start..)?;
    let time_len = bsd_len(rest).or_else(|| iso_len(rest)).or_else(|| other_len(rest))?;
    let host = start + time_len + 1;
    let first = host + memchr(b' ', line.get(host..)?)?;
    let time = Span::new(start, start + time_len);
    // A program's name is one word with a colon behind it.
    if line[host..first].ends_with(b":") {
        let program = Span::new(host, first - 1);
        return (first - 1 > host).then_some(Head { len: first + 1, time, host: Span::NONE, program });
    }
    let program = first + 1;
    let colon = program + memmem::find(line.get(program..)?, b": ")?;
    if colon == program || line[program..colon].contains(&b' ') {
        return None;
    }
    Some(Head { len: colon + 2, time, host: Span::new(host, first), program: Span::new(program, colon) })
}

/// `Mar 24 14:02:50`, with a fraction, or with a year in the middle.
fn bsd_len(rest: &[u8]) -> Option<usize> {
    let is_day = rest.len() > 16 && rest[..3].iter().all(u8::is_ascii_alphabetic) && rest[3] == b' ' && rest[6] == b' ';
    if !is_day {
        return None;
    }
    let has_year = rest[7..11].iter().all(u8::is_ascii_digit) && rest[11] == b' ';
    let clock = if has_year { 12 } else { 7 };
    let time = rest.get(clock..clock + 8).filter(|time| time[2] == b':' && time[5] == b':')?;
    let fraction = rest[clock + time.len()..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let len = clock + time.len() + fraction;
    (rest.get(len) == Some(&b' ')).then_some(len)
}

/// journald's `Tue 2026-03-24 14:02:50 CET` and `1774360970.123456`.
fn other_len(rest: &[u8]) -> Option<usize> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 10 && rest[10..].first() == Some(&b'.') {
        return memchr(b' ', rest).filter(|len| rest[11..*len].iter().all(u8::is_ascii_digit));
    }
    let is_day = rest.len() > 24 && rest[3] == b' ' && rest[8] == b'-' && rest[11] == b'-' && rest[14] == b' ';
    if !is_day || rest[17] != b':' || rest[20] != b':' {
        return None;
    }
    let clock = 23 + memchr(b' ', &rest[23..])?;
    let zone = rest[clock + 1..].iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let has_zone = zone > 1 && rest.get(clock + 1 + zone) == Some(&b' ');
    Some(if has_zone { clock + 1 + zone } else { clock })
}

/// `1 2003-10-11T22:14:15.003Z host program pid id - `: structured data is passed over.
fn rfc5424(line: &[u8], start: usize) -> Option<Head> {
    let rest = line.get(start..)?.strip_prefix(b"1 ")?;
    let mut at = line.len() - rest.len();
    let mut words = [Span::NONE; 5];
    for word in &mut words {
        let end = at + memchr(b' ', line.get(at..)?)?;
        *word = Span::new(at, end);
        at = end + 1;
    }
    iso_len(rest)?;
    let len = match line.get(at)? {
        b'-' => at + 2,
        b'[' => at + memmem::find(&line[at..], b"] ")? + 2,
        _ => return None,
    };
    let mark = usize::from(line.get(len..)?.starts_with(b"\xef\xbb\xbf")) * 3;
    Some(Head { len: len + mark, time: words[0], host: words[1], program: words[2] })
}

pub(crate) fn iso_len(rest: &[u8]) -> Option<usize> {
    let len = memchr(b' ', rest)?;
    let is_iso =
        len >= 19 && rest[4] == b'-' && rest[7] == b'-' && rest[10] == b'T' && rest[..4].iter().all(u8::is_ascii_digit);
    is_iso.then_some(len)
}

/// A line of HAProxy about itself (`Proxy x started.`), or about a connection that had no request (`SSL handshake failure`,
/// the TCP log).
pub(crate) fn is_haproxy_aside(line: &[u8], program: Span, start: usize) -> bool {
    program.of(line).is_some_and(|program| program.starts_with(b"haproxy")) && !line[start..].contains(&b'"')
}
