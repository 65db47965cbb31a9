//! HTTP/1.1 requests as bytes (RFC 9112).

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Uri};

/// How a request's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// By `Content-Length`: so many bytes are still to come.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// Appends a request's head. What it says about the body's length is what `framing` says, whatever the headers say.
///
/// The types guarantee that no part contains a line break.
pub(crate) fn head(out: &mut Vec<u8>, method: &Method, uri: &Uri, headers: &HeaderMap, framing: Option<BodyFraming>) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers {
        if *name == header::TRANSFER_ENCODING || *name == header::CONTENT_LENGTH {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        None if headers.contains_key(header::CONTENT_LENGTH) => out.extend_from_slice(b"content-length: 0\r\n"),
        None => {}
        Some(BodyFraming::Length(length)) => out.extend_from_slice(format!("content-length: {length}\r\n").as_bytes()),
        Some(BodyFraming::Chunked) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends what stands before a piece of the body, and says what stands after it. A piece must not be empty: that
/// would be the end.
pub(crate) fn before_piece(out: &mut Vec<u8>, piece: &Bytes, framing: &mut BodyFraming) -> Result<&'static [u8], ()> {
    match framing {
        BodyFraming::Length(left) => {
            *left = left.checked_sub(piece.len() as u64).ok_or(())?;
            Ok(b"")
        }
        BodyFraming::Chunked => {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            Ok(b"\r\n")
        }
    }
}

/// Appends the end of a body.
pub(crate) fn end(out: &mut Vec<u8>, trailers: Option<&HeaderMap>, framing: BodyFraming) -> Result<(), ()> {
    match framing {
        BodyFraming::Length(0) => Ok(()),
        BodyFraming::Length(_) => Err(()),
        BodyFraming::Chunked => {
            out.extend_from_slice(b"0\r\n");
            for (name, value) in trailers.into_iter().flatten() {
                out.extend_from_slice(name.as_str().as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(value.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"\r\n");
            Ok(())
        }
    }
}
