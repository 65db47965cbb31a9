//! Requests that two servers may read differently. Each case sends bytes, then an ordinary request for `/canary` on the
//! same connection; whatever the proxy made of it, the upstream must have seen whole, well-framed requests and none
//! that the proxy did not send as such.

use std::net::SocketAddr;

use crate::raw::{Client, Seen, Served, header, upstream};

/// An upstream that reads as strictly as RFC 9112 asks and records the head and body of each request.
async fn strict() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let into = seen.clone();
    let address = upstream(move |_, mut client| {
        let seen = into.clone();
        async move {
            loop {
                let message = read_strictly(&mut client).await;
                if message.is_empty() {
                    return;
                }
                let canary = message.starts_with("GET /canary HTTP/1.1\r\n");
                seen.push(message);
                let body = if canary { "canary" } else { "other" };
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            }
        }
    })
    .await;
    (address, seen)
}

async fn read_strictly(client: &mut Client) -> String {
    let message = client.message(false).await;
    if message.is_empty() {
        return message;
    }
    let (head, _) = message.split_once("\r\n\r\n").expect("a head that ends");
    let lower = head.to_ascii_lowercase();
    let line = head.lines().next().unwrap();
    let parts: Vec<&str> = line.split(' ').collect();
    assert!(parts.len() == 3 && parts[2] == "HTTP/1.1", "request line {line:?}");
    assert!(parts[1].starts_with('/') || parts[1] == "*", "target in {line:?}");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']), "a bare CR, LF or NUL in {head:?}");
    let framings = (header(&lower, "content-length"), header(&lower, "transfer-encoding"));
    match &framings {
        (Some(_), Some(_)) => panic!("two framings: {head:?}"),
        (Some(length), None) => assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{head:?}"),
        (None, Some(coding)) => assert_eq!(coding, "chunked", "{head:?}"),
        (None, None) => {}
    }
    assert!(!header(&lower, "host").expect("a Host").contains(" | "), "two hosts: {head:?}");
    message
}

/// What the client got back, and what the upstream saw.
struct Outcome {
    answers: String,
    seen: Vec<String>,
}

async fn try_out(bytes: &str) -> Outcome {
    let (site, seen) = strict().await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(bytes).await;
    client.send("GET /canary HTTP/1.1\r\nHost: canary.test\r\nConnection: close\r\n\r\n").await;
    let answers = client.rest().await;
    Outcome { answers, seen: seen.all() }
}

/// 4xx or 501, then closed; the upstream saw none of it.
async fn refused(bytes: &str) {
    let Outcome { answers, seen } = try_out(bytes).await;
    let status = answers.get(9..12).unwrap_or_default();
    assert!(status.starts_with('4') || status == "501", "{bytes:?} got {answers:?}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{bytes:?} got {answers:?}");
    assert!(seen.is_empty(), "{bytes:?} reached the upstream as {seen:?}");
}

/// Refused, or understood in the one right way: `expected` is the request line that the upstream may see, before the
/// canary's.
async fn refused_or(bytes: &str, expected: &str) {
    let Outcome { answers, seen } = try_out(bytes).await;
    let lines: Vec<&str> = seen.iter().filter_map(|message| message.lines().next()).collect();
    let allowed = [vec![], vec![expected], vec![expected, "GET /canary HTTP/1.1"]];
    assert!(allowed.contains(&lines), "{bytes:?} reached the upstream as {seen:?}");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), lines.len(), "{bytes:?} got {answers:?}");
}

#[tokio::test]
async fn ordinary_requests_are_answered_beside_the_canary() {
    let Outcome { answers, seen } = try_out("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert!(answers.contains("other") && answers.ends_with("canary"), "{answers}");
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn two_lengths() {
    refused("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde").await;
    refused("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 5\r\n\r\nabcde").await;
    refused("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc").await;
    refused("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc").await;
    refused("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: y\r\ncontent-length:3\r\n\r\nabc").await;
    refused("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn lengths_that_are_no_numbers() {
    for length in ["-1", "+3", "0x3", "3a", "3 3", "", " ", "99999999999999999999", "18446744073709551615", "3.0"] {
        refused(&format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc")).await;
    }
}

#[tokio::test]
async fn a_length_beside_chunks() {
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for headers in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked", smuggled.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}", smuggled.len()),
        "Content-Length: 4\r\nTransfer-Encoding: chunked".to_owned(),
        "Content-Length: 4\r\nTransfer-Encoding: xchunked".to_owned(),
        "content-length:0\r\nX: y\r\nTRANSFER-ENCODING:\tchunked\t".to_owned(),
    ] {
        refused(&format!("POST /a HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{smuggled}")).await;
    }
}

#[tokio::test]
async fn transfer_codings_in_disguise() {
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "\u{b}chunked",
        "chunked;q=1",
        "chunk",
        "\"chunked\"",
        "",
    ] {
        refused(&format!("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n")).await;
    }
    refused(
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    )
    .await;
    refused("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n").await;
    refused("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n").await;
    refused("POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    refused_or("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "POST /a HTTP/1.1").await;
}

#[tokio::test]
async fn bad_chunks() {
    for chunks in [
        "g\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabcXX0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
    ] {
        // The head may have gone upstream before the chunk was seen; then the upstream's connection must break off
        // inside the body, so that nothing whole is recorded but, at most, the request itself where it can be read
        // in one way only.
        let (site, seen) = strict_about_chunks().await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).await;
        client.send("GET /canary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let answers = client.rest().await;
        assert!(!answers.contains("canary"), "{chunks:?} got {answers:?}");
        assert!(!answers.starts_with("HTTP/1.1 2"), "{chunks:?} got {answers:?}");
        assert!(seen.all().is_empty(), "{chunks:?} reached the upstream as {:?}", seen.all());
    }
}

/// Records a request only when its chunks are whole.
async fn strict_about_chunks() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let into = seen.clone();
    let address = upstream(move |_, mut client| {
        let seen = into.clone();
        async move {
            let message = client.rest().await;
            if message.ends_with("0\r\n\r\n") || message.contains("canary") {
                seen.push(message);
            }
        }
    })
    .await;
    (address, seen)
}

#[tokio::test]
async fn bare_carriage_returns_and_line_feeds() {
    refused("GET /a HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n").await;
    refused("GET /a HTTP/1.1\rHost: a\r\n\r\n").await;
    refused("GET /a\r HTTP/1.1\r\nHost: a\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\nHost: a\r\nX: a\r\n folded: 1\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\n Host: a\r\n\r\n").await;
    // RFC 9112, 5.1: a server must refuse blanks before a colon, whatever the field.
    refused("GET /a HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\nHost : a\r\n\r\n").await;
    // A lone LF ends a line for many servers (RFC 9112, 2.2 allows it): then it must be one for the upstream as well.
    refused_or("GET /a HTTP/1.1\nHost: a\n\n", "GET /a HTTP/1.1").await;
    refused_or("GET /a HTTP/1.1\r\nHost: a\r\nX: a\nContent-Length: 0\r\n\r\n", "GET /a HTTP/1.1").await;
}

#[tokio::test]
async fn targets() {
    let Outcome { seen, .. } = try_out("GET http://other.test:81/b?c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let first = seen[0].to_ascii_lowercase();
    assert!(first.starts_with("get /b?c http/1.1\r\n"), "{first}");
    assert_eq!(header(&first, "host").as_deref(), Some("other.test:81"), "the URL's host is the host");
    let Outcome { seen, .. } = try_out("GET http://other.test HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(seen[0].starts_with("GET / HTTP/1.1\r\n"), "{seen:?}");
    let Outcome { seen, .. } = try_out("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(seen[0].starts_with("OPTIONS * HTTP/1.1\r\n"), "{seen:?}");
    for target in
        ["*", "a.test:80", "http://", "http://u:p@a/", "ftp://a/", "//\u{1}", "http:///a", "gopher://a/", "@a", "/a b"]
    {
        refused(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }
    refused("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n").await;
}

/// Some servers cut a fragment off, some take it as part of the path: nobody sends one (RFC 9112, section 3.2).
#[tokio::test]
async fn fragments() {
    for target in ["/a#b", "/#", "/a?q#b", "http://a/b#c", "*#", "/a%23b#c"] {
        refused(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }
    refused_or("GET /a%23b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a%23b HTTP/1.1").await;
}

/// What follows on a connection is looked at as strictly as what came first, whatever the first request was.
#[tokio::test]
async fn later_requests_of_a_connection() {
    let bad = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";
    for first in [
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nT: v\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let (site, seen) = strict().await;
        let mut client = Served::before(site).connect().await;
        client.send(format!("{first}{bad}GET /canary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let answers = client.rest().await;
        let lines: Vec<String> = seen.all().iter().filter_map(|seen| seen.lines().next().map(str::to_owned)).collect();
        assert!(lines.len() <= 1, "{first:?} then {bad:?} reached the upstream as {lines:?}");
        assert!(!answers.contains("canary"), "{first:?} got {answers:?}");
    }
}

/// Requests come in pieces of any size: what is refused whole is refused in pieces.
#[tokio::test]
async fn in_pieces() {
    for bytes in [
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        for size in [1, 5, 40] {
            let (site, seen) = strict().await;
            let mut client = Served::before(site).connect().await;
            for piece in bytes.as_bytes().chunks(size) {
                if tokio::io::AsyncWriteExt::write_all(&mut client.stream, piece).await.is_err() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            let answers = client.rest().await;
            assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 400 "), "{bytes:?} got {answers:?}");
            assert!(seen.all().is_empty(), "{bytes:?} reached the upstream as {:?}", seen.all());
        }
    }
}

/// An answer that shows the request is nobody else's business (RFC 9110, section 9.3.8); IIS calls it TRACK.
#[tokio::test]
async fn tracing() {
    for method in ["TRACE", "TRACK", "trace"] {
        let Outcome { answers, seen } = try_out(&format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(answers.starts_with("HTTP/1.1 405 "), "{method} got {answers:?}");
        assert!(answers.to_ascii_lowercase().contains("\r\nallow: get, head"), "{method} got {answers:?}");
        assert!(seen.iter().all(|seen| !seen.starts_with(method)), "{seen:?}");
    }
}

/// Browsers and old programs send these as they are; what http can't take is percent-encoded, as browsers do it.
#[tokio::test]
async fn odd_characters_of_targets() {
    for (target, expected) in [
        (&b"/a<b>`c"[..], "/a%3Cb%3E%60c"),
        (b"/caf\xe9?q=\xfc", "/caf%E9?q=%FC"),
        (b"/s?q=\"<x>\"", "/s?q=%22%3Cx%3E%22"),
        ("/caf\u{e9}|^{}\\".as_bytes(), "/caf\u{e9}|^{}\\"),
        (b"http://a/<b>", "/%3Cb%3E"),
    ] {
        let (site, seen) = strict().await;
        let mut client = Served::before(site).connect().await;
        client.send([b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
        assert!(client.message(false).await.starts_with("HTTP/1.1 200 "), "{expected}");
        assert!(seen.last().starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{:?}", seen.last());
    }
}

#[tokio::test]
async fn hosts() {
    refused("GET /a HTTP/1.1\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    refused("GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").await;
    for host in ["a b", "a,b", "a/b", "u@a", "a?b", "a#b", "a\\b", "\u{e9}", "<a>"] {
        refused(&format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn garbage() {
    for bytes in [
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
        "GET\r\n\r\n",
        "GET /a\r\n\r\n",
        "GET /a HTTP/3.0\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1 x\r\nHost: a\r\n\r\n",
        "G(T /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nna me: x\r\n\r\n",
    ] {
        refused(bytes).await;
    }
    // hyper hangs up on an HTTP/2 preface without a word.
    let Outcome { answers, seen } = try_out("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!((answers.as_str(), seen.len()), ("", 0));
    let many = "X: y\r\n".repeat(200);
    refused(&format!("GET /a HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await;
}

#[tokio::test]
async fn a_body_that_nobody_read_is_no_request() {
    // The upstream answers before the body is there and keeps its connection: the proxy must not use that again with
    // half a body on it.
    let seen = Seen::default();
    let into = seen.clone();
    let site = upstream(move |_, mut client| {
        let seen = into.clone();
        async move {
            loop {
                let head = client.head().await;
                if head.is_empty() {
                    return;
                }
                seen.push(head);
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n").await;
    client.head().await;
    let _ =
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n  ").await;
    served.ask("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let lines: Vec<String> = seen.all().iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect();
    assert_eq!(lines, ["post /a http/1.1", "get /next http/1.1"]);
}

#[tokio::test]
async fn answers_that_can_be_read_in_two_ways_are_a_502() {
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "Content-Length: 5, 5\r\n\r\nhello",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "X: a\0b\r\nContent-Length: 5\r\n\r\nhello",
        "X: a\rb\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let site = upstream(move |_, mut client| async move {
            client.head().await;
            client.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
            client.rest().await;
        })
        .await;
        let answer = Served::before(site).ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{framing:?} became {answer:?}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_nobodys() {
    for (first, pause) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 50),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n", 0),
    ] {
        let site = upstream(move |number, mut client| async move {
            loop {
                if client.head().await.is_empty() {
                    return;
                }
                if number > 0 {
                    client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest").await;
                    continue;
                }
                let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
                if pause == 0 {
                    client.send(format!("{first}{evil}")).await;
                } else {
                    client.send(first).await;
                    tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                    client.send(evil).await;
                }
            }
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.message(false).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.message(false).await;
        assert!(answer.ends_with("honest"), "after {first:?} came {answer:?}");
    }
}

#[tokio::test]
async fn the_authority_of_an_absolute_form_is_a_host_too() {
    let (site, seen) = crate::raw::recorder(crate::raw::OK).await;
    let served = Served::before(site);
    for authority in ["a,b", "good.test:80", "good.test"] {
        let answer = served.ask(&format!("GET http://{authority}/ HTTP/1.1\r\nHost: good.test\r\n\r\n")).await;
        assert_eq!(answer.starts_with("HTTP/1.1 400 "), authority.contains(','), "{authority}: {answer}");
    }
    assert!(seen.all().iter().all(|seen| !seen.contains(',')), "{:?}", seen.all());
}
