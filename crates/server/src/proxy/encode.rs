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
        // RFC 9110, 8.6: where a body is expected, its absence is said.
        None if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use http::HeaderValue;

    use super::*;

    fn written(method: &Method, lengths: &[&'static str], framing: Option<BodyFraming>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("a"));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
        for length in lengths {
            headers.append(header::CONTENT_LENGTH, HeaderValue::from_static(length));
        }
        let mut out = Vec::new();
        head(&mut out, method, &Uri::from_static("/a?b"), &headers, framing);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_has_one_framing_at_most() {
        let start = " /a?b HTTP/1.1\r\nhost: a\r\n";
        for (method, lengths, framing, said) in [
            (Method::GET, &["0"][..], None, ""),
            (Method::DELETE, &["7", "8"], None, ""),
            (Method::PUT, &[], None, "content-length: 0\r\n"),
            (Method::POST, &["7", "8"], None, "content-length: 0\r\n"),
            (Method::POST, &["7"], Some(BodyFraming::Length(3)), "content-length: 3\r\n"),
            (Method::GET, &["7"], Some(BodyFraming::Chunked), "transfer-encoding: chunked\r\n"),
        ] {
            assert_eq!(written(&method, lengths, framing), format!("{method}{start}{said}\r\n"));
        }
    }

    #[test]
    fn a_body_is_as_long_as_was_said() {
        let mut framing = BodyFraming::Length(3);
        let mut out = Vec::new();
        assert_eq!(before_piece(&mut out, &Bytes::from_static(b"ab"), &mut framing), Ok(&b""[..]));
        assert_eq!(end(&mut out, None, framing), Err(()));
        assert_eq!(before_piece(&mut out, &Bytes::from_static(b"cd"), &mut framing), Err(()));
        assert_eq!(before_piece(&mut out, &Bytes::from_static(b"c"), &mut framing), Ok(&b""[..]));
        assert_eq!(end(&mut out, None, framing), Ok(()));
        assert!(out.is_empty());
    }

    #[test]
    fn chunks_have_a_size_and_an_end() {
        let mut framing = BodyFraming::Chunked;
        let mut out = Vec::new();
        assert_eq!(before_piece(&mut out, &Bytes::from(vec![0; 26]), &mut framing), Ok(&b"\r\n"[..]));
        assert_eq!(out, b"1a\r\n");
        out.clear();
        let trailers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("x"))]);
        assert_eq!(end(&mut out, Some(&trailers), framing), Ok(()));
        assert_eq!(out, b"0\r\netag: x\r\n\r\n");
    }
}
