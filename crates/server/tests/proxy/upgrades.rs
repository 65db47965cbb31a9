use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::raw::{OK, PATIENCE, Served, header, recorder, upstream};

/// An upstream that echoes what comes over a WebSocket.
async fn echo() -> std::net::SocketAddr {
    upstream(|_, client| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(client.stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() || socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_websocket_talks_through() {
    let served = Served::before(echo().await);
    let url = format!("ws://{}/socket", served.address);
    let (mut socket, response) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(response.status().as_u16(), 101);
    for text in ["one", "two", &"long ".repeat(100_000)] {
        socket.send(Message::text(text)).await.unwrap();
        let got = tokio::time::timeout(PATIENCE, socket.next()).await.expect("no echo").unwrap().unwrap();
        assert_eq!(got.into_text().unwrap().as_str(), text);
    }
    socket.close(None).await.unwrap();
    while let Ok(Some(Ok(_))) = tokio::time::timeout(PATIENCE, socket.next()).await {}
}

#[tokio::test]
async fn many_websockets_at_once() {
    let served = Served::before(echo().await);
    let mut sockets = Vec::new();
    for number in 0..20 {
        let url = format!("ws://{}/", served.address);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.send(Message::text(number.to_string())).await.unwrap();
        sockets.push(socket);
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        let got = socket.next().await.unwrap().unwrap();
        assert_eq!(got.into_text().unwrap().as_str(), number.to_string());
    }
}

#[tokio::test]
async fn a_refused_websocket_is_an_ordinary_answer() {
    let (site, seen) = recorder("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let served = Served::before(site);
    let mut request = format!("ws://{}/", served.address).into_client_request().unwrap();
    request.headers_mut().insert("visitlog-session", HeaderValue::from_static("x"));
    let refused = tokio_tungstenite::connect_async(request).await.expect_err("it was refused");
    assert!(refused.to_string().contains("403"), "{refused}");
    let seen = seen.last();
    assert_eq!(header(&seen, "upgrade").as_deref(), Some("websocket"));
    assert_eq!(header(&seen, "connection").as_deref(), Some("upgrade"));
    assert_eq!(header(&seen, "visitlog-session"), None);
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_an_ordinary_request() {
    let (site, seen) = recorder(OK).await;
    let answer = Served::before(site)
        .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(header(&seen.last(), name), None, "{}", seen.last());
    }
}

#[tokio::test]
async fn an_upstream_that_switches_unasked_is_a_502() {
    let (site, _) = recorder("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n").await;
    let answer = Served::before(site).ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let (site, _) = recorder("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n").await;
    let answer = Served::before(site)
        .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn a_websocket_whose_upstream_is_down_is_a_502() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = Served::before(gone)
        .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_refusal_is_read_as_strictly_as_any_answer() {
    for framing in ["Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2\r\nTransfer-Encoding: chunked"] {
        let site = upstream(move |_, mut client| async move {
            client.head().await;
            client.send(format!("HTTP/1.1 403 Forbidden\r\n{framing}\r\n\r\nnot that")).await;
        })
        .await;
        let answer = Served::before(site).ask(HANDSHAKE).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn a_refusal_that_stands_still_is_cut_off() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nhalf").await;
        client.rest().await;
    })
    .await;
    let mut settings = visitlog_server::proxy::ProxySettings::new(format!("http://{site}"));
    settings.timeouts.idle_body = std::time::Duration::from_millis(200);
    let mut client = Served::start(settings).connect().await;
    client.send(HANDSHAKE).await;
    assert!(client.rest().await.ends_with("half"));
}

#[tokio::test]
async fn what_the_upstream_says_with_its_101_is_not_lost() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst words")
            .await;
        assert_eq!(client.until("!").await, "hello!");
        client.send(", and last").await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(HANDSHAKE).await;
    let head = client.head().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    client.send("hello!").await;
    assert_eq!(client.until("last").await, "first words, and last");
}
