use std::time::{Duration, Instant};

use visitlog_server::listen::ListenSettings;
use visitlog_server::proxy::ProxySettings;

use crate::raw::{GET, OK, Served, upstream};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_slow_head_is_a_504() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.timeouts.response_head = SHORT;
    let served = Served::start(settings);
    let mut client = served.connect().await;
    // The connection stays good: it was not the client's fault.
    for _ in 0..2 {
        let start = Instant::now();
        client.send(GET).await;
        let answer = client.message(false).await;
        assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
        assert!(start.elapsed() >= SHORT, "after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_upload_that_moves_is_no_timeout() {
    let site = upstream(|_, mut client| async move {
        client.message(false).await;
        client.send(OK).await;
        client.rest().await;
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.timeouts.response_head = Duration::from_millis(500);
    let served = Served::start(settings);
    let mut client = served.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("x").await;
    }
    assert!(client.message(false).await.ends_with("hello"));
}

#[tokio::test]
async fn an_upload_that_stands_still_is_the_clients_timeout() {
    let site = upstream(|_, mut client| async move {
        client.rest().await;
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.timeouts.response_head = SHORT;
    let served = Served::start(settings);
    let mut client = served.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    let answer = client.message(false).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut_off() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        client.rest().await;
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.timeouts.idle_body = SHORT;
    let served = Served::start(settings);
    let mut client = served.connect().await;
    let start = Instant::now();
    client.send(GET).await;
    assert!(client.rest().await.ends_with("half"));
    assert!(start.elapsed() >= SHORT, "after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_body_that_moves_slowly_is_not_cut_off() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            client.send("x").await;
        }
        client.rest().await;
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.timeouts.idle_body = Duration::from_millis(400);
    let served = Served::start(settings);
    assert!(served.ask(GET).await.ends_with("xxxxxxxxxx"));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_with_it_the_upstream() {
    let (cut, mut when) = tokio::sync::mpsc::unbounded_channel();
    let site = upstream(move |_, mut client| {
        let cut = cut.clone();
        async move {
            client.head().await;
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while tokio::io::AsyncWriteExt::write_all(&mut client.stream, piece.as_bytes()).await.is_ok() {}
            let _ = cut.send(());
        }
    })
    .await;
    let listen = ListenSettings { workers: 1, write_timeout: SHORT, ..ListenSettings::default() };
    let served = Served::with(ProxySettings::new(format!("http://{site}")), listen);
    let mut client = served.connect().await;
    client.send(GET).await;
    tokio::time::timeout(crate::raw::PATIENCE, when.recv()).await.expect("it was kept");
}

#[tokio::test]
async fn an_event_stream_may_be_silent() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n").await;
        tokio::time::sleep(SHORT * 3).await;
        client.send("data: two\n\n").await;
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.timeouts.idle_body = SHORT;
    let mut client = Served::start(settings).connect().await;
    client.send(GET).await;
    assert!(client.until("data: two\n\n").await.ends_with("data: two\n\n"));
}
