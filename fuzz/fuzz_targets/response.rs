//! What an upstream answers (RFC 9112): whatever pieces it comes in, it is read the same; what was understood can be said
//! again, is understood the same, and has one length at most; what follows an answer is left as it came.
//!
//! The input: a byte for the request's method, one for the size of the pieces, and the answer.
#![no_main]

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::bounded;
use visitlog_server::proxy::decode::{self, Framing, Head, KeepAlive, Piece};

const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];

/// An answer that was read.
#[derive(Debug, Default)]
struct Read {
    head: Option<Head>,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// The body was over.
    ended: bool,
    /// It could not be understood.
    failed: bool,
    /// What was not taken.
    rest: Vec<u8>,
}

fuzz_target!(|bytes: &[u8]| {
    let [method, step, answer @ ..] = bytes else { return };
    let method = &METHODS[usize::from(*method) % METHODS.len()];
    let whole = bounded(answer.len(), 64, 64 * 1024, || read(answer, answer.len().max(1), method));
    let pieces = read(answer, usize::from(*step).max(1), method);

    assert_eq!(whole.failed, pieces.failed, "failed in pieces, or only in pieces");
    assert_eq!(whole.data, pieces.data, "the body");
    assert_eq!(whole.trailers, pieces.trailers, "the trailers");
    assert_eq!(whole.ended, pieces.ended, "the end");
    match (&whole.head, &pieces.head) {
        (Some(one), Some(other)) => same(one, other, true),
        (None, None) => {}
        _ => panic!("a head in pieces, or only in pieces"),
    }
    if whole.ended {
        assert_eq!(whole.rest, pieces.rest, "what follows");
        assert!(answer.ends_with(&whole.rest), "what follows is not what came");
    }
    if let Some(head) = &whole.head {
        check(head, method, answer.starts_with(b"HTTP/1.1"));
    }
});

fn read(answer: &[u8], step: usize, method: &Method) -> Read {
    let mut read = Read::default();
    let mut input = BytesMut::new();
    let mut framing = Framing::EMPTY;
    for piece in answer.chunks(step) {
        input.extend_from_slice(piece);
        if read.head.is_none() {
            match decode::head(&mut input, method) {
                Ok(Some(head)) => {
                    framing = head.framing;
                    read.head = Some(head);
                }
                Ok(None) => continue,
                Err(_) => {
                    read.failed = true;
                    return read;
                }
            }
        }
        while !read.ended {
            match decode::body(&mut input, &mut framing) {
                Ok(Piece::Data(data)) => {
                    assert!(!data.is_empty(), "an empty piece");
                    read.data.extend_from_slice(&data);
                }
                Ok(Piece::Trailers(trailers)) => read.trailers = Some(trailers),
                Ok(Piece::More) => break,
                Ok(Piece::End) => read.ended = true,
                Err(_) => {
                    read.failed = true;
                    return read;
                }
            }
            assert!(!framing.is_done() || decode::body(&mut input.clone(), &mut framing.clone()) == Ok(Piece::End));
        }
    }
    read.rest = input.to_vec();
    read
}

fn same(one: &Head, other: &Head, keep_alive: bool) {
    assert_eq!(one.status, other.status);
    assert_eq!(one.headers, other.headers);
    assert_eq!(one.framing, other.framing);
    assert_eq!(one.reason, other.reason);
    if keep_alive {
        assert_eq!(one.keep_alive, other.keep_alive);
    }
}

/// What the head says is one thing, and stays that when it is said again.
fn check(head: &Head, method: &Method, is_11: bool) {
    let lengths: Vec<&[u8]> = head.headers.get_all(CONTENT_LENGTH).iter().map(|value| value.as_bytes()).collect();
    assert!(lengths.len() <= 1, "two lengths");
    match head.framing {
        Framing::Chunked(_) | Framing::UntilClose => assert!(lengths.is_empty(), "a length beside another framing"),
        Framing::Length(length) => {
            let has_body = *method != Method::HEAD && head.status != StatusCode::NOT_MODIFIED && !lengths.is_empty();
            assert!(!has_body || lengths[0] == length.to_string().as_bytes(), "the length is another");
        }
    }
    assert!(head.framing != Framing::UntilClose || head.keep_alive == KeepAlive::Close);
    let unsafe_bytes = |text: &[u8]| text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    assert!(!head.reason.as_deref().is_some_and(unsafe_bytes), "a line break in the reason");

    let usual = head.status.canonical_reason().unwrap_or_default().as_bytes();
    let reason = head.reason.as_deref().unwrap_or(usual);
    let mut said = [b"HTTP/1.1 ", head.status.as_str().as_bytes(), b" ", reason, b"\r\n"].concat();
    for (name, value) in &head.headers {
        assert!(!unsafe_bytes(value.as_bytes()), "a line break in {name}");
        said.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    said.extend(b"\r\n");
    let again = decode::head(&mut BytesMut::from(said.as_slice()), method);
    let again = again.expect("what was understood").expect("a whole head");
    same(head, &again, is_11);
}
