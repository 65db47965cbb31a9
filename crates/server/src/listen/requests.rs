//! Follows a client's requests byte by byte, in front of hyper, and is stricter than it: what two servers could read
//! differently is seen here while it still can be refused.
//!
//! hyper takes a `Content-Length` beside a `Transfer-Encoding` (the first is dropped), twice the same length, and a
//! fragment in a target (dropped as well). And it can't take targets that browsers and old programs do send: raw
//! Latin-1, `<`, `>`, a backtick. Those are percent-encoded here, as browsers do it (WHATWG URL, "path percent-encode
//! set").
//!
//! It never decides what a request is: hyper parses the same bytes. Where it could lose the place (a coding that it
//! doesn't know, a request line beyond any limit), the connection ends with that request in any case.

use std::borrow::Cow;

/// What becomes of a piece of the client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Hand `now` on; it may be empty. `later` is to be taken again once it is decided what it is.
    Pass { now: Cow<'a, [u8]>, later: Vec<u8> },
    /// Hand this on, then a byte that no head may have, and nothing more: so hyper answers 400.
    Refuse(Cow<'a, [u8]>, &'static str),
    /// Hand this on; what follows is a body whose framing is broken: nothing more can be read from this client.
    Broken(Cow<'a, [u8]>),
}

/// Where in its requests a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between two requests, or before the first.
    Between,
    /// In the request line or the fields.
    Head,
    /// In a body.
    Body,
    /// Behind a head that asks for a WebSocket: what follows is one or a request; see [`Requests::decide`].
    Undecided,
    /// Nothing is looked at any more: a WebSocket, or a connection that ends.
    Through,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Requests {
    state: State,
    /// The line that has begun, as far as it came.
    line: Vec<u8>,
    /// The last request line's target, cut.
    target: Vec<u8>,
    line_bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Between,
    RequestLine,
    Fields(Framing),
    Sized(u64),
    Chunked(Chunk),
    Undecided,
    Through,
}

/// What a head has said so far about the body.
#[derive(Debug, Clone, Copy, Default)]
struct Framing {
    length: Option<u64>,
    coding: Option<Coding>,
    websocket: bool,
    /// The method or the version makes it the connection's last request.
    last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
}

#[derive(Debug, Clone, Copy)]
enum Chunk {
    Start,
    Size(u64),
    SizeSpace(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    LineStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// So much of a target is kept for the log.
const TARGET_KEPT: usize = 200;

impl Requests {
    /// At the start of a connection. Request lines beyond `line_bytes_max` are left to hyper, which refuses them.
    pub(super) const fn new(line_bytes_max: usize) -> Self {
        Self { state: State::Between, line: Vec::new(), target: Vec::new(), line_bytes_max }
    }

    /// Where the client is.
    pub(super) const fn place(&self) -> Place {
        match self.state {
            State::Between => Place::Between,
            State::RequestLine | State::Fields(_) => Place::Head,
            State::Sized(_) | State::Chunked(_) => Place::Body,
            State::Undecided => Place::Undecided,
            State::Through => Place::Through,
        }
    }

    /// The path of the request under way, or of the last one, without its query, cut.
    pub(super) fn path(&self) -> String {
        let end = self.target.iter().position(|byte| *byte == b'?').unwrap_or(self.target.len());
        String::from_utf8_lossy(&self.target[..end]).into_owned()
    }

    /// Whether a client that asked for a WebSocket got one.
    pub(super) const fn decide(&mut self, switched: bool) {
        self.state = if switched { State::Through } else { State::Between };
    }

    /// Takes what the client sent. Behind a head that asks for a WebSocket nothing can be taken until it is decided what
    /// it is: that is left to be taken later.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Verdict<'a> {
        let mut passing = Passing { bytes, upto: 0, changed: None };
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let step = match self.state {
                State::Between => Ok(self.begin(rest)),
                State::RequestLine => self.request_line(rest).map(|line| {
                    if let Some(instead) = line.instead {
                        passing.replace(at, line.count, &instead);
                    }
                    line.count
                }),
                State::Fields(framing) => self.field(rest, framing),
                State::Sized(left) => Ok(self.sized(rest, left)),
                State::Chunked(chunk) => match self.chunked(rest, chunk) {
                    Some(count) => Ok(count),
                    None => return Verdict::Broken(passing.finish(at)),
                },
                State::Undecided => {
                    let later = rest.to_vec();
                    return Verdict::Pass { now: passing.finish(at), later };
                }
                State::Through => Ok(rest.len()),
            };
            match step {
                Ok(count) => at += count,
                Err(reason) => {
                    self.state = State::Through;
                    return Verdict::Refuse(passing.finish(at), reason);
                }
            }
        }
        Verdict::Pass { now: passing.finish(bytes.len()), later: Vec::new() }
    }

    /// Empty lines before a request are none (RFC 9112, section 2.2).
    fn begin(&mut self, rest: &[u8]) -> usize {
        let count = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        if count < rest.len() {
            self.state = State::RequestLine;
        }
        count
    }

    /// A request line is held back until all of it is there.
    fn request_line(&mut self, rest: &[u8]) -> Result<Line, &'static str> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.line.extend_from_slice(rest);
            let mut instead = Vec::new();
            if self.line.len() > self.line_bytes_max {
                self.state = State::Through;
                instead = std::mem::take(&mut self.line);
            }
            return Ok(Line { count: rest.len(), instead: Some(instead) });
        };
        let count = end + 1;
        let held = std::mem::take(&mut self.line);
        let (line, whole) = if held.is_empty() {
            (Cow::Borrowed(&rest[..count]), true)
        } else {
            (Cow::Owned([&held, &rest[..count]].concat()), false)
        };
        let (target, framing) = self.judge_line(&line)?;
        self.state = State::Fields(framing);
        let instead = encoded(&line, target).or_else(|| (!whole).then(|| line.into_owned()));
        Ok(Line { count, instead })
    }

    /// Where the target stands in a request line; a line that is none is hyper's to refuse.
    fn judge_line(&mut self, line: &[u8]) -> Result<(std::ops::Range<usize>, Framing), &'static str> {
        let mut framing = Framing::default();
        let Some(method) = memchr::memchr(b' ', line) else { return Ok((0..0, Framing { last: true, ..framing })) };
        let start = method + 1;
        let end = memchr::memchr(b' ', &line[start..]).map_or(line.len(), |length| start + length);
        let target = &line[start..end];
        self.target.clear();
        self.target.extend_from_slice(&target[..target.len().min(TARGET_KEPT)]);
        if target.contains(&b'#') {
            return Err("a fragment in the target");
        }
        framing.last = &line[..method] == b"CONNECT" || !line[end..].starts_with(b" HTTP/1.");
        Ok((start..end, framing))
    }

    /// One line of a head, or what came of it. It is judged when it ends, and the head can't have ended before.
    fn field(&mut self, rest: &[u8], mut framing: Framing) -> Result<usize, &'static str> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            // Only what the fields below need is kept; a longer line is none of them, or is refused by hyper.
            let room = LINE_KEPT.saturating_sub(self.line.len());
            self.line.extend_from_slice(&rest[..rest.len().min(room)]);
            return Ok(rest.len());
        };
        let count = end + 1;
        let held = std::mem::take(&mut self.line);
        let joined;
        let line = if held.is_empty() {
            &rest[..end]
        } else {
            joined = [&held, &rest[..end]].concat();
            &joined[..]
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.state = framing.body();
        } else {
            framing.look(line, held.len() >= LINE_KEPT)?;
            self.state = State::Fields(framing);
        }
        Ok(count)
    }

    fn sized(&mut self, rest: &[u8], left: u64) -> usize {
        let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let left = left - count as u64;
        self.state = if left == 0 { State::Between } else { State::Sized(left) };
        count
    }

    /// One step in a chunked body (RFC 9112, section 7.1), as strict as hyper's. `None`: it is none.
    fn chunked(&mut self, rest: &[u8], chunk: Chunk) -> Option<usize> {
        let byte = *rest.first()?;
        let (next, count) = match (chunk, byte) {
            (Chunk::Data(left), _) => {
                let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                let left = left - count as u64;
                (if left == 0 { Chunk::DataCr } else { Chunk::Data(left) }, count)
            }
            (Chunk::Start, byte) => (Chunk::Size(hex(byte)?), 1),
            (Chunk::Size(size), b'\r') | (Chunk::SizeSpace(size), b'\r') | (Chunk::Extension(size), b'\r') => {
                (Chunk::SizeLf(size), 1)
            }
            (Chunk::Size(size), b' ' | b'\t') | (Chunk::SizeSpace(size), b' ' | b'\t') => (Chunk::SizeSpace(size), 1),
            (Chunk::Size(size), b';') | (Chunk::SizeSpace(size), b';') => (Chunk::Extension(size), 1),
            (Chunk::Size(size), byte) => (Chunk::Size(size.checked_mul(16)?.checked_add(hex(byte)?)?), 1),
            (Chunk::Extension(size), byte) if byte != b'\n' => (Chunk::Extension(size), 1),
            (Chunk::SizeLf(0), b'\n') => (Chunk::LineStart, 1),
            (Chunk::SizeLf(size), b'\n') => (Chunk::Data(size), 1),
            (Chunk::DataCr, b'\r') => (Chunk::DataLf, 1),
            (Chunk::DataLf, b'\n') => (Chunk::Start, 1),
            (Chunk::LineStart, b'\r') => (Chunk::EndLf, 1),
            (Chunk::LineStart | Chunk::Trailer, byte) if byte != b'\r' => (Chunk::Trailer, 1),
            (Chunk::Trailer, _) => (Chunk::TrailerLf, 1),
            (Chunk::TrailerLf, b'\n') => (Chunk::LineStart, 1),
            (Chunk::EndLf, b'\n') => {
                self.state = State::Between;
                return Some(1);
            }
            _ => return None,
        };
        self.state = State::Chunked(next);
        Some(count)
    }
}

impl Framing {
    /// Looks at one field, of which not all is known if it is `cut`. Names with a space before the colon and the like are
    /// hyper's to refuse.
    fn look(&mut self, line: &[u8], cut: bool) -> Result<(), &'static str> {
        let colon = match line[0] | 0x20 {
            b'c' | b't' | b'u' => memchr::memchr(b':', line),
            _ => None,
        };
        let Some(colon) = colon else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_framing = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
        };
        if cut && is_framing(name) {
            return Err("a length or coding of many bytes");
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err("more than one Content-Length");
            }
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length = str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            self.length = Some(length.ok_or("a Content-Length that is no number")?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.coding.is_some() {
                return Err("more than one Transfer-Encoding");
            }
            let chunked = value.eq_ignore_ascii_case(b"chunked");
            self.coding = Some(if chunked { Coding::Chunked } else { Coding::Other });
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.websocket |= value.to_ascii_lowercase().windows(9).any(|word| word == b"websocket");
        }
        if self.length.is_some() && self.coding.is_some() {
            return Err("Content-Length beside Transfer-Encoding");
        }
        Ok(())
    }

    /// What follows the head.
    const fn body(self) -> State {
        match (self.length, self.coding) {
            _ if self.last => State::Through,
            (_, Some(Coding::Other)) => State::Through,
            (_, Some(Coding::Chunked)) => State::Chunked(Chunk::Start),
            (Some(length), None) if length > 0 => State::Sized(length),
            _ if self.websocket => State::Undecided,
            _ => State::Between,
        }
    }
}

/// What becomes of (a part of) a request line: so many bytes are taken, and these go on instead of them.
struct Line {
    count: usize,
    instead: Option<Vec<u8>>,
}

/// Bytes on their way, copied only where some are replaced.
struct Passing<'a> {
    bytes: &'a [u8],
    /// These are in `changed` already.
    upto: usize,
    changed: Option<Vec<u8>>,
}

impl<'a> Passing<'a> {
    fn replace(&mut self, at: usize, count: usize, instead: &[u8]) {
        let changed = self.changed.get_or_insert_default();
        changed.extend_from_slice(&self.bytes[self.upto..at]);
        changed.extend_from_slice(instead);
        self.upto = at + count;
    }

    fn finish(self, end: usize) -> Cow<'a, [u8]> {
        let rest = &self.bytes[self.upto..end];
        match self.changed {
            None => Cow::Borrowed(rest),
            Some(mut changed) => {
                changed.extend_from_slice(rest);
                Cow::Owned(changed)
            }
        }
    }
}

/// So much of an unfinished field is remembered: more than `Upgrade: websocket` and the lengths ever need.
const LINE_KEPT: usize = 512;

/// The request line with what its target must not have percent-encoded; `None` where it has nothing of it. Bytes beyond
/// ASCII are left as they are where they are UTF-8: then hyper takes them.
fn encoded(line: &[u8], target: std::ops::Range<usize>) -> Option<Vec<u8>> {
    let old = &line[target.clone()];
    let odd = |byte: &u8| matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..);
    if !old.iter().any(odd) {
        return None;
    }
    let text = str::from_utf8(old).is_ok();
    let mut query = false;
    let mut new = line[..target.start].to_vec();
    for byte in old {
        query |= *byte == b'?';
        let encode = match byte {
            0x80.. => !text,
            // hyper takes these two where they stand here, and so they went through as they are.
            b'"' => query,
            b'`' => !query,
            b'<' | b'>' => true,
            _ => false,
        };
        if encode {
            new.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            new.push(*byte);
        }
    }
    new.extend_from_slice(&line[target.end..]);
    Some(new)
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper gets of these bytes, sent in pieces of that size, and why it was refused.
    fn seen(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<&'static str>, Place) {
        let (mut requests, mut out) = (Requests::new(1_000), Vec::new());
        for piece in bytes.chunks(piece) {
            match requests.take(piece) {
                Verdict::Pass { now, .. } => out.extend_from_slice(&now),
                Verdict::Refuse(bytes, reason) => {
                    out.extend_from_slice(&bytes);
                    return (out, Some(reason), requests.place());
                }
                Verdict::Broken(_) => return (out, Some("broken"), requests.place()),
            }
        }
        (out, None, requests.place())
    }

    /// The same outcome in pieces of any size.
    fn check(bytes: &[u8], expected: &[u8], place: Place) {
        for piece in [1, 2, 3, 7, 64, 10_000] {
            let found = seen(bytes, piece);
            assert_eq!(found.0, expected, "{:?} in pieces of {piece}", String::from_utf8_lossy(bytes));
            assert_eq!((found.1, found.2), (None, place), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    fn refused(bytes: &[u8], reason: &str) {
        for piece in [1, 2, 3, 7, 64, 10_000] {
            let (passed, found, _) = seen(bytes, piece);
            assert_eq!(found, Some(reason), "{:?} in pieces of {piece}", String::from_utf8_lossy(bytes));
            assert!(!passed.windows(4).any(|end| end == b"\r\n\r\n"), "a whole head went through");
        }
    }

    #[test]
    fn what_is_well_formed_goes_through_as_it_is() {
        for (bytes, place) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Place::Between),
            ("GET / HTTP/1.1\nHost: a\n\n", Place::Between),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n", Place::Head),
            ("GET /", Place::Head),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n", Place::Between),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Place::Body),
            ("POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n3;x=y\r\nabc\r\n00\r\nT: 1\r\n\r\nGET ", Place::Head),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA \r\n0\r\n\r\n", Place::Body),
            ("GET /caf\u{e9}?q={x}|^ HTTP/1.1\r\nHost: a\r\n\r\n", Place::Between),
            ("GET / HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n", Place::Undecided),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\nwhatever", Place::Through),
            ("CONNECT a:1 HTTP/1.1\r\n\r\nGET /", Place::Through),
        ] {
            let expected = if bytes == "GET /" { &b""[..] } else { bytes.as_bytes() };
            let expected = expected.strip_suffix(b"GET ").unwrap_or(expected);
            check(bytes.as_bytes(), expected, place);
        }
    }

    #[test]
    fn odd_bytes_of_a_target_are_encoded() {
        for (target, expected) in [
            (&b"/caf\xe9"[..], &b"/caf%E9"[..]),
            (b"/a<b>`c\"d", b"/a%3Cb%3E%60c\"d"),
            (b"/s?q=<x>\"`&a=\xfc", b"/s?q=%3Cx%3E%22`&a=%FC"),
            (b"/caf\xc3\xa9\xff", b"/caf%C3%A9%FF"),
        ] {
            let line = |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            check(&line(target), &line(expected), Place::Between);
            assert!(std::str::from_utf8(expected).is_ok_and(|text| text.parse::<http::Uri>().is_ok()));
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_refused() {
        let both = "Content-Length beside Transfer-Encoding";
        refused(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", both);
        refused(b"POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\nX: y\r\ncontent-length: 3\r\n\r\n", both);
        refused(b"POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", "more than one Content-Length");
        refused(b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", "a Content-Length that is no number");
        refused(b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "a Content-Length that is no number");
        let two = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n";
        refused(two, "more than one Transfer-Encoding");
        refused(b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "a fragment in the target");
        refused(b"GET http://a/?q#b HTTP/1.1\r\nHost: a\r\n\r\n", "a fragment in the target");
    }

    #[test]
    fn a_coding_behind_many_blanks_can_not_hide() {
        let blanks = " ".repeat(600);
        let bytes = format!("POST / HTTP/1.1\r\nTransfer-Encoding:{blanks}chunked\r\n\r\n0\r\n\r\n");
        assert_eq!(seen(bytes.as_bytes(), 5).1, Some("a length or coding of many bytes"));
        assert_eq!(seen(bytes.as_bytes(), 10_000).1, None);
    }

    #[test]
    fn broken_chunks_end_it() {
        for chunks in
            ["g\r\n", "\r\n", "3\nabc", "3\r\nabcd\r\n", "ffffffffffffffffff\r\n", "3;a\n", "0\r\n\rX", "-1\r\n"]
        {
            let bytes = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(seen(bytes.as_bytes(), 1).1, Some("broken"), "{chunks:?}");
        }
    }

    #[test]
    fn a_request_line_beyond_any_limit_is_not_kept() {
        let mut requests = Requests::new(1_000);
        let long = [b'x'; 600];
        let mut passed = |bytes| match requests.take(bytes) {
            Verdict::Pass { now, .. } => now.len(),
            _ => 0,
        };
        assert_eq!((passed(b"GET /"), passed(&long), passed(&long)), (0, 0, 1_205));
        assert_eq!((requests.line.capacity(), requests.place()), (0, Place::Through));
    }

    #[test]
    fn a_websocket_is_decided_by_the_answer() {
        let ask = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\nmore";
        for (switched, place) in [(true, Place::Through), (false, Place::Head)] {
            let mut requests = Requests::new(1_000);
            let Verdict::Pass { now, later } = requests.take(ask) else { panic!("nothing is wrong with it") };
            assert_eq!((now.len(), &later[..]), (ask.len() - 4, &b"more"[..]));
            requests.decide(switched);
            requests.take(&later);
            assert_eq!(requests.place(), place);
        }
    }

    #[test]
    fn the_log_gets_a_path_without_its_query() {
        let mut requests = Requests::new(1_000);
        requests.take(b"GET /a/b?token=x HTTP/1.1\r\n");
        assert_eq!(requests.path(), "/a/b");
    }
}
