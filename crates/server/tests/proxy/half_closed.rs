//! Clients that close their side after the request, and clients that leave: the first get their answer, and the
//! upstream of the second is told.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw::{Client, GET, OK, PATIENCE, Seen, Served, recorder, upstream};

async fn half_close(client: &mut Client, bytes: &str) {
    client.send(bytes).await;
    client.stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_half_closed_client_gets_its_answer() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    for request in [GET, post, chunks] {
        for wait_ms in [0, 50, 2000] {
            let site = upstream(move |_, mut client| async move {
                client.message(false).await;
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                client.send(OK).await;
                client.rest().await;
            })
            .await;
            let served = Served::before(site);
            let mut client = served.connect().await;
            half_close(&mut client, request).await;
            let answer = client.rest().await;
            assert!(answer.ends_with("\r\n\r\nhello"), "{request:?} after {wait_ms} ms: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_half_closed_client_gets_all_of_a_long_answer() {
    for chunked in [false, true] {
        let site = upstream(move |_, mut client| async move {
            client.head().await;
            let piece = "x".repeat(0x10000);
            if chunked {
                client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                for _ in 0..64 {
                    client.send(format!("10000\r\n{piece}\r\n")).await;
                }
                client.send("0\r\n\r\n").await;
            } else {
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 * 0x10000)).await;
                for _ in 0..64 {
                    client.send(&piece).await;
                }
            }
            client.rest().await;
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        half_close(&mut client, GET).await;
        // It reads slowly: the end of the answer waits to be sent when the upstream has long been done with it.
        let (mut answer, mut piece) = (Vec::new(), vec![0; 0x10000]);
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let read = tokio::time::timeout(PATIENCE, client.stream.read(&mut piece)).await.expect("it stands still");
            match read.unwrap() {
                0 => break,
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
        assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), 64 * 0x10000);
    }
}

#[tokio::test]
async fn requests_in_a_row_are_all_answered_to_a_half_closed_client() {
    let (site, _) = recorder(OK).await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    half_close(&mut client, &GET.repeat(3)).await;
    assert_eq!(client.rest().await.matches("hello").count(), 3);
}

#[tokio::test]
async fn an_idle_client_that_closes_is_gone_at_once() {
    let (site, _) = recorder(OK).await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(GET).await;
    client.message(false).await;
    let start = Instant::now();
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    assert!(start.elapsed() < Duration::from_secs(2), "after {:?}", start.elapsed());
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_no_whole_request() {
    let seen = Seen::default();
    let into = seen.clone();
    let site = upstream(move |_, mut client| {
        let seen = into.clone();
        async move { seen.push(client.rest().await) }
    })
    .await;
    let served = Served::before(site);
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut client = served.connect().await;
        let start = Instant::now();
        half_close(&mut client, request).await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(start.elapsed() < Duration::from_secs(2), "after {:?}", start.elapsed());
    }
    assert!(seen.all().iter().all(|got| !got.ends_with("0\r\n\r\n")), "{:?}", seen.all());
}

/// How long after its client has left an upstream that sent `begun` is told.
async fn told_after(begun: &'static str) -> Duration {
    let (told, mut when) = tokio::sync::mpsc::unbounded_channel();
    let site = upstream(move |_, mut client| {
        let told = told.clone();
        async move {
            client.head().await;
            client.send(begun).await;
            client.rest().await;
            let _ = told.send(());
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(GET).await;
    if !begun.is_empty() {
        client.until("first").await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(client);
    let left = Instant::now();
    tokio::time::timeout(PATIENCE, when.recv()).await.expect("the upstream was never told");
    left.elapsed()
}

#[tokio::test]
async fn an_event_stream_ends_at_once_when_its_client_leaves() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n";
    let after = told_after(events).await;
    assert!(after < Duration::from_secs(2), "after {after:?}");
}

#[tokio::test]
async fn an_upstream_is_told_in_time_that_its_client_has_left() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst";
    let (before, within) = tokio::join!(told_after(""), told_after(begun));
    assert!(before.max(within) < Duration::from_secs(12), "after {before:?} and {within:?}");
}
