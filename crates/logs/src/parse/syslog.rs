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

/// The head of a line, if it has one.
pub(crate) fn head(line: &[u8]) -> Option<Head> {
    let start = priority(line);
    bsd(line, start).or_else(|| rfc5424(line, start))
}

/// `<134>`, `<134>1 `: its length.
fn priority(line: &[u8]) -> usize {
    if line.first() != Some(&b'<') {
        return 0;
    }
    match memchr(b'>', &line[..line.len().min(5)]) {
        Some(at) if line[1..at].iter().all(u8::is_ascii_digit) => at + 1,
        _ => 0,
    }
}

/// RFC 3164, with the time of RFC 3339 too, as rsyslog writes it.
fn bsd(line: &[u8], start: usize) -> Option<Head> {
    let rest = line.get(start..)?;
    let is_bsd = rest.len() > 16
        && rest[..3].iter().all(u8::is_ascii_alphabetic)
        && rest[3] == b' '
        && rest[6] == b' '
        && rest[9] == b':'
        && rest[12] == b':'
        && rest[15] == b' ';
    let time_len = if is_bsd { 15 } else { iso_len(rest)? };
    let host = start + time_len + 1;
    let host_end = host + memchr(b' ', line.get(host..)?)?;
    let program = host_end + 1;
    let colon = program + memmem::find(line.get(program..)?, b": ")?;
    // A program's name is one word.
    if colon == program || line[program..colon].contains(&b' ') {
        return None;
    }
    Some(Head {
        len: colon + 2,
        time: Span::new(start, start + time_len),
        host: Span::new(host, host_end),
        program: Span::new(program, colon),
    })
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
    (len <= line.len()).then_some(Head { len, time: words[0], host: words[1], program: words[2] })
}

fn iso_len(rest: &[u8]) -> Option<usize> {
    let len = memchr(b' ', rest)?;
    let is_iso =
        len >= 19 && rest[4] == b'-' && rest[7] == b'-' && rest[10] == b'T' && rest[..4].iter().all(u8::is_ascii_digit);
    is_iso.then_some(len)
}

/// A line of HAProxy about itself (`Proxy x started.`), or about a connection that had no request (`SSL handshake failure`,
/// the TCP log).
pub(crate) fn is_haproxy_aside(line: &[u8], head: Option<&Head>) -> bool {
    let Some(head) = head else { return false };
    head.program.of(line).is_some_and(|program| program.starts_with(b"haproxy")) && !line[head.len..].contains(&b'"')
}
