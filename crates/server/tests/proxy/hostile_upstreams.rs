//! Upstreams that are broken or hostile: what they send harms no client but the one that asked, and what can be
//! understood in one way only is understood.

use std::time::{Duration, Instant};

use visitlog_server::proxy::ProxySettings;

use crate::raw::{Client, GET, OK, PATIENCE, Served, header, upstream};

/// What a client gets when the upstream answers with these bytes and closes.
async fn answered(bytes: &str) -> String {
    ask_for(bytes, "GET").await
}

async fn ask_for(bytes: &str, method: &str) -> String {
    let bytes = bytes.as_bytes().to_vec();
    raw_answer(bytes, method).await
}

async fn raw_answer(bytes: Vec<u8>, method: &str) -> String {
    let site = upstream(move |_, mut client| {
        let bytes = bytes.clone();
        async move {
            client.head().await;
            client.send(bytes).await;
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(format!("{method} / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")).await;
    client.rest().await
}

fn lower(answer: &str) -> String {
    answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_space_before_the_colon_is_removed() {
    // RFC 9112, 5.1: "A proxy MUST remove any such whitespace from a response message".
    for space in [" ", "\t", "  \t"] {
        let answer = answered(&format!(
            "HTTP/1.1 200 OK\r\nContent-Type{space}: text/html\r\nContent-Length{space}: 5\r\n\r\nhello"
        ))
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"), "{space:?}: {answer}");
        assert_eq!(header(&lower(&answer), "content-type").as_deref(), Some("text/html"), "{answer}");
        assert!(!lower(&answer).contains(" :") && !lower(&answer).contains("\t:"), "{answer}");
    }
    // What was hidden behind the space counts.
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n";
    assert!(answered(both).await.starts_with("HTTP/1.1 502 "));
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length : 6\r\n\r\nhello!";
    assert!(answered(two).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn names_that_are_none_are_a_502() {
    for line in ["X Y: 1", ": 1", " X: 1", "X\u{1}: 1", "nonsense", "X\r: 1", "(X): 1"] {
        let answer = answered(&format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 5\r\n\r\nhello")).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{line:?}: {answer}");
    }
}

#[tokio::test]
async fn reason_phrases_are_kept() {
    for status in [
        "200 Fine",
        "404 Nicht gefunden",
        "401 Token+timed+out.",
        "400 Åtgärden kan inte utföras",
        "999 Denied",
        "503 Back at 5",
        "200 OK",
    ] {
        let answer = answered(&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}: {answer}");
    }
    let latin = raw_answer(b"HTTP/1.1 404 Gel\xf6scht\r\nContent-Length: 5\r\n\r\nhello".to_vec(), "GET").await;
    assert!(latin.starts_with("HTTP/1.1 404 Gel\u{fffd}scht\r\n"), "{latin}");
    for none in ["HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n"] {
        let answer = answered(&format!("{none}Content-Length: 5\r\n\r\nhello")).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    }
}

#[tokio::test]
async fn one_length_said_twice_is_one_length() {
    for lines in
        ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 05", "Content-Length: 5"]
    {
        let answer = answered(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nhello")).await;
        assert!(answer.ends_with("hello"), "{lines:?}: {answer}");
        assert_eq!(header(&lower(&answer), "content-length").as_deref(), Some("5"), "{lines:?}: {answer}");
    }
    let head = ask_for("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Length: 1234\r\n\r\n", "HEAD").await;
    assert_eq!(header(&lower(&head), "content-length").as_deref(), Some("1234"), "{head}");
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_second_reading() {
    for (method, bytes) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: five\r\n\r\n"),
    ] {
        let answer = ask_for(bytes, method).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{method} {bytes:?}: {answer}");
    }
    let head = ask_for("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD").await;
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    let none = answered("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert!(!none.to_ascii_lowercase().contains("transfer-encoding"), "{none}");
    let none = answered("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n").await;
    assert!(none.starts_with("HTTP/1.1 204 ") && !none.to_ascii_lowercase().contains("content-length"), "{none}");
}

#[tokio::test]
async fn what_says_that_nothing_may_be_transformed_stays() {
    let answer = answered(
        "HTTP/1.1 200 OK\r\nCache-Control: public, no-transform, max-age=60\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    assert_eq!(header(&lower(&answer), "cache-control").as_deref(), Some("public, no-transform, max-age=60"));
}

#[tokio::test]
async fn an_answer_may_have_many_lines() {
    let lines: String = (0..400).map(|number| format!("Link: </{number}.js>; rel=preload\r\n")).collect();
    let answer = answered(&format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 5\r\n\r\nhello")).await;
    assert_eq!(answer.to_ascii_lowercase().matches("\r\nlink: ").count(), 400);
    let answer = answered(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(600))).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn interim_answers_end() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        let many = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100);
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, many.as_bytes()).await.is_ok() {}
    })
    .await;
    let served = Served::before(site);
    let start = Instant::now();
    let answer = served.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());
    let few = format!("{}{OK}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(10));
    assert!(answered(&few).await.ends_with("hello"));
}

#[tokio::test]
async fn heads_end() {
    for (piece, pause_ms) in [("X-Y: z\r\n", 0), ("y", 0), ("y", 20)] {
        let site = upstream(move |_, mut client| async move {
            client.head().await;
            client.send("HTTP/1.1 200 OK\r\nX: ").await;
            let piece = if pause_ms == 0 { piece.repeat(1000) } else { piece.to_owned() };
            while tokio::io::AsyncWriteExt::write_all(&mut client.stream, piece.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        })
        .await;
        let mut settings = ProxySettings::new(format!("http://{site}"));
        settings.timeouts.response_head = Duration::from_millis(500);
        let start = Instant::now();
        let answer = Served::start(settings).ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 50"), "{piece:?}: {answer}");
        assert!(start.elapsed() < Duration::from_secs(5), "{piece:?}: after {:?}", start.elapsed());
    }
}

/// A client asks twice on one connection, then another one asks: what the first answer had too much is nobody's.
#[tokio::test]
async fn what_an_answer_has_too_much_is_nobodys() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let site = upstream(move |number, mut client| async move {
            while !client.head().await.is_empty() {
                let honest = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest".to_owned();
                client.send(if number == 0 { format!("{first}{EVIL}") } else { honest }).await;
            }
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        client.send(GET).await;
        client.message(false).await;
        for _ in 0..2 {
            client.send(GET).await;
            let second = client.message(false).await;
            assert!(second.ends_with("honest"), "after {first:?}: {second:?}");
            let other = served.ask(GET).await;
            assert!(other.ends_with("honest"), "after {first:?}: {other:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_cut_or_garbled_is_cut_for_its_client_only() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let site = upstream(move |number, mut client| async move {
            while !client.head().await.is_empty() {
                client.send(if number == 0 { bytes } else { OK }).await;
                if number == 0 {
                    return;
                }
            }
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        client.send(GET).await;
        let all = client.rest().await;
        assert!(!all.ends_with("0\r\n\r\n"), "{bytes:?} ended as if whole: {all:?}");
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{bytes:?}: what was whole of it was lost: {all:?}");
        assert!(served.ask(GET).await.ends_with("hello"), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_chunk_line_without_end_is_cut() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;").await;
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, &[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let served = Served::before(site);
    let mut client: Client = served.connect().await;
    client.send(GET).await;
    let all = tokio::time::timeout(PATIENCE, client.rest()).await.expect("it was read for ever");
    assert!(!all.ends_with("0\r\n\r\n"), "{all:?}");
}
