//! HTTP/1.1 responses from bytes (RFC 9112): pure functions over what was read so far.
//!
//! They are strict where two readers could differ: a response with two lengths, a length beside chunks, another
//! transfer coding, a chunk size that is not plain hexadecimal, a line that does not end in CR LF, all fail.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

/// Most header lines in a response, and fields in its trailers.
const HEADERS_MAX: usize = 512;
/// Longest response head.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Longest line with a chunk's size; extensions are allowed, but nobody uses them.
const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;
/// Longest trailer section.
const TRAILERS_BYTES_MAX: usize = 64 * 1024;

/// What makes a response unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The head is none.
    #[error("not an HTTP/1 response head")]
    Head,
    /// The head is too long.
    #[error("a response head longer than {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} lines")]
    HeadTooLong,
    /// There are two lengths.
    #[error("a response whose length can be read in two ways")]
    Ambiguous,
    /// It is coded in another way.
    #[error("a transfer coding other than chunked")]
    Coding,
    /// A chunk is none.
    #[error("a chunk with a bad size or end")]
    Chunk,
    /// The trailers are none, or too long.
    #[error("bad trailers")]
    Trailers,
}

/// A response's head.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The lines, with one `Content-Length` at most.
    pub headers: HeaderMap,
    /// What follows.
    pub framing: Framing,
    /// What becomes of the connection.
    pub keep_alive: KeepAlive,
    /// The reason phrase, if it is not the usual one.
    pub reason: Option<Bytes>,
}

/// Whether the connection may serve another request afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// It may not.
    Close,
    /// It may.
    Open,
    /// Until it has been idle for so long: somewhat less than the upstream said that it would keep it (`Keep-Alive:
    /// timeout`), for a request that meets its close on the way may be lost.
    For(Duration),
}

/// What is still to come of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// All until the connection ends.
    UntilClose,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// A line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line break behind them.
    DataEnd,
    /// The trailers.
    Trailers,
    /// Nothing more.
    Done,
}

/// What was found in a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the body.
    Data(Bytes),
    /// What follows the last chunk.
    Trailers(HeaderMap),
    /// More bytes are needed.
    More,
    /// The body is over.
    End,
}

impl Framing {
    /// No body.
    pub const EMPTY: Self = Self::Length(0);

    /// Whether nothing more is to come.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }
}

/// Takes a head off the front of `input`, if it is all there. `to` is the request's method.
///
/// # Errors
/// If it is none, too long, or can be read in two ways.
pub fn head(input: &mut BytesMut, to: &Method) -> Result<Option<Head>, DecodeError> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    // RFC 9112, 5.1: a proxy removes it. What a space hid from others is normal for whoever gets our answer.
    parser.allow_spaces_after_header_name_in_responses(true);
    let length = match parser.parse_response_with_uninit_headers(&mut response, input, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(DecodeError::HeadTooLong),
        Err(_) => return Err(DecodeError::Head),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(DecodeError::Head)?;
    let is_11 = response.version == Some(1);
    let has_reason = response.reason != status.canonical_reason();
    let start = input.as_ptr() as usize;
    let mut spans = Vec::with_capacity(response.headers.len());
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| DecodeError::Head)?;
        // An empty value points nowhere in particular.
        let value = if line.value.is_empty() { 0 } else { line.value.as_ptr() as usize - start };
        spans.push((name, value..value + line.value.len()));
    }
    let bytes = input.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(spans.len() + 4);
    for (name, value) in spans {
        let value = HeaderValue::from_maybe_shared(bytes.slice(value)).map_err(|_| DecodeError::Head)?;
        headers.append(name, value);
    }
    let framing = framing(&mut headers, status, is_11, to)?;
    let keep_alive = match framing {
        Framing::UntilClose => KeepAlive::Close,
        _ => keep_alive(&headers, is_11),
    };
    let reason = if has_reason { reason(&bytes) } else { None };
    Ok(Some(Head { status, headers, framing, keep_alive, reason }))
}

/// What stands behind the status, which the parser gives only where it is ASCII.
fn reason(head: &Bytes) -> Option<Bytes> {
    let line = head.iter().position(|byte| *byte == b'\n')?;
    let line = head.slice(..line);
    let start = line.iter().enumerate().filter(|(_, byte)| **byte == b' ').nth(1)?.0 + 1;
    let end = line.len() - usize::from(line.ends_with(b"\r"));
    (start < end).then(|| line.slice(start..end))
}

/// RFC 9112, section 6.3, without its leniencies. Leaves one way at most to read the length for whoever comes next.
fn framing(headers: &mut HeaderMap, status: StatusCode, is_11: bool, to: &Method) -> Result<Framing, DecodeError> {
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let length = length(headers)?;
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        // RFC 9110, 8.6: there is none.
        headers.remove(header::CONTENT_LENGTH);
        return Ok(Framing::EMPTY);
    }
    if to == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        return Ok(Framing::EMPTY);
    }
    if coded {
        if length.is_some() || !is_11 {
            return Err(DecodeError::Ambiguous);
        }
        let mut codings = super::headers::members(headers, &header::TRANSFER_ENCODING);
        return match (codings.next(), codings.next()) {
            (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked(Chunk::Size)),
            _ => Err(DecodeError::Coding),
        };
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

/// The length, which all lines must agree on. It is left in one line, and in one way to write it.
fn length(headers: &mut HeaderMap) -> Result<Option<u64>, DecodeError> {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    let Some(first) = lines.next() else { return Ok(None) };
    let length = decimal(first).ok_or(DecodeError::Ambiguous)?;
    let mut is_plain = first.len() == 1 || !first.starts_with(b"0");
    for other in lines {
        if decimal(other) != Some(length) {
            return Err(DecodeError::Ambiguous);
        }
        is_plain = false;
    }
    if !is_plain {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(Some(length))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn keep_alive(headers: &HeaderMap, is_11: bool) -> KeepAlive {
    let mut persistent = is_11;
    for member in super::headers::members(headers, &header::CONNECTION) {
        if member.eq_ignore_ascii_case(b"close") {
            return KeepAlive::Close;
        }
        persistent |= member.eq_ignore_ascii_case(b"keep-alive");
    }
    match idle_seconds(headers) {
        _ if !persistent => KeepAlive::Close,
        None => KeepAlive::Open,
        Some(0) => KeepAlive::Close,
        Some(seconds) => {
            let said = Duration::from_secs(seconds);
            KeepAlive::For(said - (said / 2).min(Duration::from_secs(1)))
        }
    }
}

/// `timeout` of `Keep-Alive` (RFC 2068, 19.7.1.1): how long the upstream keeps an idle connection.
fn idle_seconds(headers: &HeaderMap) -> Option<u64> {
    super::headers::members(headers, &HeaderName::from_static("keep-alive")).find_map(|member| {
        let equals = member.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (member[..equals].trim_ascii(), member[equals + 1..].trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        if name.eq_ignore_ascii_case(b"timeout") { decimal(value) } else { None }
    })
}

/// Takes the next piece of a body off the front of `input`.
///
/// # Errors
/// If a chunk or the trailers are none.
pub fn body(input: &mut BytesMut, framing: &mut Framing) -> Result<Piece, DecodeError> {
    match framing {
        Framing::Length(left) => Ok(data(input, left)),
        Framing::UntilClose if input.is_empty() => Ok(Piece::More),
        Framing::UntilClose => Ok(Piece::Data(input.split().freeze())),
        Framing::Chunked(chunk) => chunked(input, chunk),
    }
}

fn data(input: &mut BytesMut, left: &mut u64) -> Piece {
    if *left == 0 {
        return Piece::End;
    }
    if input.is_empty() {
        return Piece::More;
    }
    let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= taken as u64;
    Piece::Data(input.split_to(taken).freeze())
}

fn chunked(input: &mut BytesMut, chunk: &mut Chunk) -> Result<Piece, DecodeError> {
    loop {
        match chunk {
            Chunk::Size => match chunk_size(input)? {
                None => return Ok(Piece::More),
                Some(0) => *chunk = Chunk::Trailers,
                Some(size) => *chunk = Chunk::Data(size),
            },
            Chunk::Data(left) => {
                let piece = data(input, left);
                if *left == 0 {
                    *chunk = Chunk::DataEnd;
                }
                return Ok(piece);
            }
            Chunk::DataEnd => {
                if input.len() < 2 {
                    return if b"\r\n".starts_with(input) { Ok(Piece::More) } else { Err(DecodeError::Chunk) };
                }
                if input.split_to(2) != b"\r\n"[..] {
                    return Err(DecodeError::Chunk);
                }
                *chunk = Chunk::Size;
            }
            Chunk::Trailers => {
                let Some(trailers) = trailers(input)? else { return Ok(Piece::More) };
                *chunk = Chunk::Done;
                return Ok(if trailers.is_empty() { Piece::End } else { Piece::Trailers(trailers) });
            }
            Chunk::Done => return Ok(Piece::End),
        }
    }
}

/// Takes a line with a chunk's size.
fn chunk_size(input: &mut BytesMut) -> Result<Option<u64>, DecodeError> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        let longest = input.len().min(CHUNK_LINE_BYTES_MAX + 1);
        return if longest > CHUNK_LINE_BYTES_MAX { Err(DecodeError::Chunk) } else { Ok(None) };
    };
    let line = input.split_to(end + 1);
    let line =
        line.strip_suffix(b"\r\n").filter(|line| line.len() <= CHUNK_LINE_BYTES_MAX).ok_or(DecodeError::Chunk)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    let extension = rest.trim_ascii_start();
    let plain = extension.is_empty() || extension.starts_with(b";");
    if !plain || !(1..=16).contains(&digits) || rest.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(DecodeError::Chunk);
    }
    let size = std::str::from_utf8(size).map_err(|_| DecodeError::Chunk)?;
    u64::from_str_radix(size, 16).map(Some).map_err(|_| DecodeError::Chunk)
}

/// Takes the trailer section, with the empty line that ends it.
fn trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, DecodeError> {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(input, &mut lines) {
        Ok(httparse::Status::Complete((length, lines))) if length <= TRAILERS_BYTES_MAX => {
            let mut trailers = HeaderMap::new();
            for line in lines {
                let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| DecodeError::Trailers)?;
                let value = HeaderValue::from_bytes(line.value).map_err(|_| DecodeError::Trailers)?;
                trailers.append(name, value);
            }
            let _ = input.split_to(length);
            Ok(Some(trailers))
        }
        Ok(httparse::Status::Partial) if input.len() < TRAILERS_BYTES_MAX => Ok(None),
        _ => Err(DecodeError::Trailers),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
