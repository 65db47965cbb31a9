//! Answers that come before the upload is through: they reach the client, whole, and the client is let finish.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use visitlog_server::proxy::ProxySettings;

use crate::raw::{Client, PATIENCE, Served, upstream};

/// How an upstream refuses.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// It answers, and closes with the upload unread.
    Closes,
    /// It answers, and reads no more.
    Keeps,
    /// It reads a part first.
    ReadsSome,
    /// It answers in chunks, the last one late.
    Chunks,
}

const KINDS: [Refusal; 4] = [Refusal::Closes, Refusal::Keeps, Refusal::ReadsSome, Refusal::Chunks];

async fn refusing(kind: Refusal, page: usize) -> SocketAddr {
    upstream(move |_, mut client| async move {
        client.head().await;
        if matches!(kind, Refusal::ReadsSome) {
            let mut piece = vec![0; 16 * 1024];
            let mut left = 48 * 1024;
            while left > 0 {
                match client.stream.read(&mut piece).await {
                    Ok(count) if count > 0 => left -= count.min(left),
                    _ => break,
                }
            }
        }
        let body = "x".repeat(page);
        let status = "HTTP/1.1 413 Content Too Large\r\n";
        if matches!(kind, Refusal::Chunks) {
            let _ = client
                .stream
                .write_all(format!("{status}Transfer-Encoding: chunked\r\n\r\n{page:x}\r\n").as_bytes())
                .await;
            let _ = client.stream.write_all(body.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = client.stream.write_all(b"\r\n0\r\n\r\n").await;
        } else {
            let _ = client.stream.write_all(format!("{status}Content-Length: {page}\r\n\r\n{body}").as_bytes()).await;
        }
        if !matches!(kind, Refusal::Closes | Refusal::ReadsSome) {
            tokio::time::sleep(PATIENCE).await;
        }
    })
    .await
}

/// A client behind a narrow line, if `small`.
async fn connect(served: &Served, small: bool) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if small {
        socket.set_send_buffer_size(8 * 1024).unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
    }
    socket.connect(served.address).await.unwrap()
}

fn assert_refused(answer: &str, page: usize, what: &str) {
    assert!(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{what}: {:?}", &answer[..answer.len().min(200)]);
    assert_eq!(answer.matches('x').count(), page, "{what}: the page was cut");
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_the_answer() {
    for kind in KINDS {
        for size in [100_000, 1_000_000, 20_000_000] {
            for chunked in [false, true] {
                let what = format!("{kind:?}, {size} bytes, chunked {chunked}");
                let served = Served::before(refusing(kind, 9).await);
                let mut stream = connect(&served, false).await;
                let framing =
                    if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {size}") };
                let head = format!("POST /up HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                let piece = vec![7; 50_000];
                for _ in 0..size / piece.len() {
                    if chunked {
                        stream.write_all(b"c350\r\n").await.unwrap_or_else(|error| panic!("{what}: {error}"));
                    }
                    stream.write_all(&piece).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                    if chunked {
                        stream.write_all(b"\r\n").await.unwrap_or_else(|error| panic!("{what}: {error}"));
                    }
                }
                if chunked {
                    stream.write_all(b"0\r\n\r\n").await.unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                let answer = Client::of(stream).message(false).await;
                assert_refused(&answer, 9, &what);
            }
        }
    }
}

#[tokio::test]
async fn a_slow_client_gets_the_answer_while_it_sends() {
    for kind in KINDS {
        let served = Served::before(refusing(kind, 9).await);
        let stream = connect(&served, true).await;
        let (mut read, mut write) = stream.into_split();
        write.write_all(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n").await.unwrap();
        let sending = tokio::spawn(async move {
            for _ in 0..100 {
                write.write_all(&[7; 4000]).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, std::io::Error>(write)
        });
        let mut answer = Vec::new();
        while answer.iter().filter(|byte| **byte == b'x').count() < 9 {
            let mut piece = [0; 1024];
            let count = tokio::time::timeout(PATIENCE, read.read(&mut piece)).await.expect("no answer").unwrap();
            assert!(count > 0, "{kind:?}: it ended after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..count]);
        }
        assert!(!sending.is_finished(), "{kind:?}: the answer came only when all was sent");
        sending.await.unwrap().unwrap_or_else(|error| panic!("{kind:?}: the upload was cut: {error}"));
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_a_large_refusal() {
    for kind in [Refusal::Keeps, Refusal::Chunks] {
        let page = 3_000_000;
        let served = Served::before(refusing(kind, page).await);
        let stream = connect(&served, true).await;
        let (mut read, mut write) = stream.into_split();
        write.write_all(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n").await.unwrap();
        let sending = tokio::spawn(async move {
            for _ in 0..100 {
                write.write_all(&[7; 30_000]).await?;
            }
            Ok::<_, std::io::Error>(write)
        });
        let (mut answer, mut piece) = (String::new(), vec![0; 100_000]);
        while answer.matches('x').count() < page {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let count = tokio::time::timeout(PATIENCE, read.read(&mut piece)).await.expect("no answer").unwrap();
            assert!(count > 0, "{kind:?}: it ended after {} bytes", answer.len());
            answer.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        sending.await.unwrap().unwrap_or_else(|error| panic!("{kind:?}: the upload was cut: {error}"));
        assert_refused(&answer, page, &format!("{kind:?}"));
    }
}

#[tokio::test]
async fn an_answer_from_behind_a_slow_line_arrives_though_the_upload_stands() {
    // The upstream reads nothing and writes a few bytes at a time.
    let site = upstream(|_, mut client| async move {
        client.head().await;
        for piece in ["HTTP/1.1 413 Content", " Too Large\r\nContent-", "Length: 9\r\n\r\nxxx", "xxx", "xxx"] {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.send(piece).await;
        }
    })
    .await;
    let served = Served::before(site);
    let mut stream = connect(&served, false).await;
    stream.write_all(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n").await.unwrap();
    stream.write_all(&vec![7; 8_000_000]).await.unwrap();
    assert_refused(&Client::of(stream).message(false).await, 9, "a slow upstream");
}

#[tokio::test]
async fn the_proxys_own_refusals_arrive_too() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (request, status) in [
        ("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n", "502"),
        ("POST /up HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 8000000\r\n\r\n", "400"),
    ] {
        let served = Served::before(gone);
        let mut stream = connect(&served, false).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        for _ in 0..80 {
            stream
                .write_all(&[7; 100_000])
                .await
                .unwrap_or_else(|error| panic!("{status}: the upload was cut: {error}"));
        }
        let answer = Client::of(stream).message(false).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_wants_is_not_read_for_ever() {
    let served = Served::start({
        let mut settings = ProxySettings::new(format!("http://{}", refusing(Refusal::Closes, 9).await));
        settings.timeouts.unwanted_upload = Duration::from_millis(600);
        settings
    });
    let (mut read, mut write) = connect(&served, false).await.into_split();
    write.write_all(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n").await.unwrap();
    let start = std::time::Instant::now();
    let sending = tokio::spawn(async move { while write.write_all(&[7; 4096]).await.is_ok() {} });
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await.expect("it was never closed");
    assert_refused(&String::from_utf8_lossy(&answer), 9, "an endless upload");
    tokio::time::timeout(PATIENCE, sending).await.expect("it is read still").unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
}

#[tokio::test]
async fn answers_that_refuse_nothing_may_come_early_too() {
    // Who closes with bytes unread takes back what is not sent yet: only a short page survives that.
    for (status, page) in [("200 OK", 9), ("302 Found", 9), ("302 Found", 6_000_000)] {
        for closes in [page == 9, false] {
            let site = upstream(move |_, mut client| async move {
                client.head().await;
                let body = "x".repeat(page);
                client.send(format!("HTTP/1.1 {status}\r\nContent-Length: {page}\r\n\r\n{body}")).await;
                if !closes {
                    tokio::time::sleep(PATIENCE).await;
                }
            })
            .await;
            let served = Served::before(site);
            let mut client = served.connect().await;
            client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n").await;
            client.send(vec![7; 8_000_000]).await;
            let answer = client.message(false).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{:?}", &answer[..answer.len().min(99)]);
            assert_eq!(answer.matches('x').count(), page, "{status}, closes: {closes}");
        }
    }
}

#[tokio::test]
async fn a_refusal_after_100_continue_arrives() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let mut piece = [0; 5000];
        client.stream.read_exact(&mut piece).await.unwrap();
        client.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\nxxxxxxxxx").await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("http/1.1 100 "));
    client.send(vec![7; 8_000_000]).await;
    assert_refused(&client.message(false).await, 9, "after 100 Continue");
}

#[tokio::test]
async fn what_follows_an_upload_that_was_refused_is_no_request() {
    // The client was not told to continue, so the four bytes may be the next request's.
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno").await;
        client.rest().await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    let answer = client.message(false).await;
    assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
    let _ = client.stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
}
