use std::time::Duration;

use visitlog_server::listen::{Drained, ListenSettings};
use visitlog_server::proxy::ProxySettings;

use crate::raw::{GET, OK, Served, upstream};

fn listen(drain: Duration) -> ListenSettings {
    ListenSettings { workers: 2, drain_timeout: drain, ..ListenSettings::default() }
}

#[tokio::test]
async fn a_shutdown_lets_the_request_under_way_end() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let site = upstream(move |_, mut client| {
        let mut gone = gone.clone();
        async move {
            client.head().await;
            gone.wait_for(|go| *go).await.unwrap();
            client.send(OK).await;
            client.rest().await;
        }
    })
    .await;
    let settings = ProxySettings::new(format!("http://{site}"));
    let mut served = Served::with(settings, listen(Duration::from_secs(15)));
    let mut idle = served.connect().await;
    let mut client = served.connect().await;
    client.send(GET).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    served.stop();
    assert_eq!(idle.rest().await, "", "an idle connection is closed at once");
    assert!(tokio::net::TcpStream::connect(served.address).await.is_err(), "it still accepts");
    go.send(true).unwrap();
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    assert_eq!(served.stopped().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let site = upstream(|_, mut client| async move {
        client.rest().await;
    })
    .await;
    let settings = ProxySettings::new(format!("http://{site}"));
    let mut served = Served::with(settings, listen(Duration::from_millis(200)));
    let mut client = served.connect().await;
    client.send(GET).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop();
    assert_eq!(served.stopped().await, Drained { cut: 1 });
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_and_a_huge_one_refused() {
    let (site, seen) = crate::raw::recorder(OK).await;
    let settings = ListenSettings {
        workers: 1,
        head_timeout: Duration::from_millis(200),
        head_bytes_max: 16 * 1024,
        ..ListenSettings::default()
    };
    let served = Served::with(ProxySettings::new(format!("http://{site}")), settings);
    let mut slow = served.connect().await;
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    let answer = slow.rest().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut huge = served.connect().await;
    huge.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Huge: {}\r\n\r\n", "x".repeat(17 * 1024))).await;
    assert!(huge.head().await.starts_with("http/1.1 431 "));
    assert_eq!(seen.all().len(), 0);
}

#[tokio::test]
async fn a_request_that_came_just_before_the_shutdown_is_answered() {
    let (site, _) = crate::raw::recorder(OK).await;
    for _ in 0..20 {
        let mut served = Served::with(ProxySettings::new(format!("http://{site}")), listen(Duration::from_secs(15)));
        let mut client = served.connect().await;
        client.send(GET).await;
        served.stop();
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer:?}");
        assert_eq!(served.stopped().await, Drained { cut: 0 });
    }
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection() {
    let site = upstream(|_, client| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(client.stream).await else { return };
        while let Some(Ok(_)) = futures_util::StreamExt::next(&mut socket).await {}
    })
    .await;
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let settings = ListenSettings { workers: 1, connections_max: 1, trusted_proxies, ..ListenSettings::default() };
    let served = Served::with(ProxySettings::new(format!("http://{site}")), settings);
    let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/", served.address)).await.unwrap();
    let mut second = served.connect().await;
    second.send("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(tokio::time::timeout(Duration::from_millis(200), second.stream.readable()).await.is_err());
    drop(socket);
    assert!(second.head().await.starts_with("http/1.1 "));
}
