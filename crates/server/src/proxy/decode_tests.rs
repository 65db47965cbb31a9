#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn decode(head_bytes: &str, to: &Method) -> Result<Option<Head>, DecodeError> {
    head(&mut BytesMut::from(head_bytes), to)
}

fn framed(lines: &str) -> Result<Framing, DecodeError> {
    decode(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), &Method::GET).map(|head| head.unwrap().framing)
}

#[test]
fn a_head_is_taken_when_it_is_whole() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Empty:\r\nX: 1\r\nX: 2\r\n\r\nabc";
    for cut in 0..whole.len() - 3 {
        let mut input = BytesMut::from(&whole[..cut]);
        assert!(head(&mut input, &Method::GET).unwrap().is_none(), "at {cut}");
        assert_eq!(input.len(), cut);
    }
    let mut input = BytesMut::from(whole);
    let head = head(&mut input, &Method::GET).unwrap().unwrap();
    assert_eq!((head.status, head.framing, head.keep_alive), (StatusCode::OK, Framing::Length(3), KeepAlive::Open));
    assert_eq!(head.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.headers["x-empty"], "");
    assert_eq!(input, b"abc"[..]);
}

#[test]
fn the_body_ends_where_the_head_says() {
    assert_eq!(framed("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framed("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framed("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked(Chunk::Size)));
    assert_eq!(framed("X: y\r\n"), Ok(Framing::UntilClose));
    for status in ["204 No", "304 No", "100 Go"] {
        let head = decode(&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n"), &Method::GET).unwrap().unwrap();
        assert_eq!(head.framing, Framing::EMPTY);
    }
    let head = decode("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &Method::HEAD).unwrap().unwrap();
    assert_eq!(head.framing, Framing::EMPTY);
}

#[test]
fn two_ways_to_read_a_length_are_one_too_many() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(framed(lines), Err(DecodeError::Ambiguous), "{lines:?}");
    }
    for lines in [
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
    ] {
        assert_eq!(framed(lines), Err(DecodeError::Coding), "{lines:?}");
    }
    let old = decode("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &Method::GET);
    assert_eq!(old.unwrap_err(), DecodeError::Ambiguous);
}

#[test]
fn heads_that_are_none() {
    for bytes in [
        "220 smtp\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    ] {
        assert_eq!(decode(bytes, &Method::GET).unwrap_err(), DecodeError::Head, "{bytes:?}");
    }
    let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
    assert_eq!(framed(&many), Err(DecodeError::HeadTooLong));
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(HEAD_BYTES_MAX));
    assert_eq!(decode(&long, &Method::GET).unwrap_err(), DecodeError::HeadTooLong);
}

#[test]
fn connections_stay_or_end() {
    let kept = |version: &str, connection: &str| {
        let bytes = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{connection}\r\n");
        decode(&bytes, &Method::GET).unwrap().unwrap().keep_alive != KeepAlive::Close
    };
    assert!(kept("1.1", ""));
    assert!(!kept("1.1", "Connection: Close\r\n"));
    assert!(!kept("1.1", "Connection: x, close\r\nConnection: keep-alive\r\n"));
    assert!(!kept("1.0", ""));
    assert!(kept("1.0", "Connection: keep-alive\r\n"));
}

#[test]
fn an_upstream_may_say_how_long_a_connection_stays() {
    let kept = |lines: &str| {
        let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
        decode(&bytes, &Method::GET).unwrap().unwrap().keep_alive
    };
    for (lines, expected) in [
        ("Keep-Alive: timeout=5\r\n", KeepAlive::For(Duration::from_secs(4))),
        ("Keep-Alive: max=7, TIMEOUT = \"75\"\r\n", KeepAlive::For(Duration::from_secs(74))),
        ("Keep-Alive: timeout=1\r\n", KeepAlive::For(Duration::from_millis(500))),
        ("Keep-Alive: timeout=0\r\n", KeepAlive::Close),
        ("Keep-Alive: timeout=5\r\nConnection: close\r\n", KeepAlive::Close),
        ("Keep-Alive: timeout=18446744073709551615\r\n", KeepAlive::For(Duration::from_secs(u64::MAX - 1))),
        ("Keep-Alive: timeout=99999999999999999999\r\n", KeepAlive::Open),
        ("Keep-Alive: timeout=-1, 5, =, timeout\r\n", KeepAlive::Open),
    ] {
        assert_eq!(kept(lines), expected, "{lines:?}");
    }
}

#[test]
fn the_reason_is_kept_where_it_is_its_own() {
    let reason = |line: &[u8]| {
        let bytes = [line, b"\r\nContent-Length: 0\r\n\r\n"].concat();
        head(&mut BytesMut::from(bytes.as_slice()), &Method::GET).unwrap().unwrap().reason
    };
    for (line, expected) in [
        (&b"HTTP/1.1 200 OK"[..], None),
        (b"HTTP/1.1 200", None),
        (b"HTTP/1.1 200 ", None),
        (b"HTTP/1.1 404 Gone fishing ", Some(&b"Gone fishing "[..])),
        (b"HTTP/1.0 200 ok", Some(b"ok")),
        (b"HTTP/1.1 404 Gel\xf6scht", Some(b"Gel\xf6scht")),
        (b"HTTP/1.1 599 Odd", Some(b"Odd")),
    ] {
        assert_eq!(reason(line).as_deref(), expected, "{:?}", String::from_utf8_lossy(line));
    }
}

/// Feeds `bytes` in pieces of `step`; the data, the trailers, and whether it ended.
fn chunks(bytes: &str, step: usize) -> Result<(Vec<u8>, HeaderMap, bool), DecodeError> {
    let mut framing = Framing::Chunked(Chunk::Size);
    let (mut data, mut fields) = (Vec::new(), HeaderMap::new());
    let mut input = BytesMut::new();
    for more in bytes.as_bytes().chunks(step) {
        input.extend_from_slice(more);
        loop {
            match body(&mut input, &mut framing)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::Trailers(trailers) => fields = trailers,
                Piece::More | Piece::End => break,
            }
        }
    }
    Ok((data, fields, framing.is_done()))
}

#[test]
fn chunks_in_any_pieces() {
    let bytes = "3\r\nabc\r\nA;ext=\"1\"\r\n0123456789\r\n0\r\nX-Sum: 9\r\n\r\n";
    for step in 1..=bytes.len() {
        let (data, fields, ended) = chunks(bytes, step).unwrap();
        assert_eq!((data.as_slice(), ended), (&b"abc0123456789"[..], true), "in pieces of {step}");
        assert_eq!(fields["x-sum"], "9");
    }
    assert_eq!(chunks("0\r\n\r\n", 1).unwrap(), (Vec::new(), HeaderMap::new(), true));
    assert!(!chunks("3\r\nabc\r\n0\r\n", 1).unwrap().2);
}

#[test]
fn bad_chunks() {
    for bytes in [
        "g\r\n",
        "\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\nabc",
        "1 2\r\n",
        "1\n",
        "1\r\nabc",
        "1\r\naX",
        "1;a\rb\r\nx",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nno colon\r\n\r\n",
    ] {
        for step in [1, bytes.len()] {
            assert!(chunks(bytes, step).is_err(), "{bytes:?} in pieces of {step}");
        }
    }
    assert!(chunks(&"1".repeat(CHUNK_LINE_BYTES_MAX + 1), 512).is_err());
    for end in ["", "\r\n\r\n"] {
        let long = format!("0\r\nX: {}{end}", "y".repeat(TRAILERS_BYTES_MAX));
        for step in [512, long.len()] {
            assert!(chunks(&long, step).is_err(), "{end:?} in pieces of {step}");
        }
    }
}

#[test]
fn what_follows_a_body_is_left() {
    let mut input = BytesMut::from("abcrest");
    let mut framing = Framing::Length(3);
    assert_eq!(body(&mut input, &mut framing), Ok(Piece::Data(Bytes::from_static(b"abc"))));
    assert!(framing.is_done());
    assert_eq!(body(&mut input, &mut framing), Ok(Piece::End));
    assert_eq!(input, b"rest"[..]);
}
