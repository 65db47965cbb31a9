//! Clients that hold on to what others need: connections, and the time in which a request may be slow.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use visitlog_server::listen::ListenSettings;
use visitlog_server::proxy::ProxySettings;

use crate::raw::{Client, GET, OK, PATIENCE, Served, recorder, upstream};

const SHORT: Duration = Duration::from_millis(300);

fn settings() -> ListenSettings {
    ListenSettings { workers: 1, ..ListenSettings::default() }
}

fn serve(site: SocketAddr, settings: ListenSettings) -> Served {
    Served::with(ProxySettings::new(format!("http://{site}")), settings)
}

/// A client at an address of its own.
async fn from(address: &str, served: &Served) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    Client::of(socket.connect(served.address).await.unwrap())
}

async fn is_served(client: &mut Client) -> bool {
    client.send(GET).await;
    client.message(false).await.ends_with("hello")
}

/// Connections that have sent one byte, which is the start of a request.
async fn one_byte_each(count: usize, served: &Served) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"G").await.unwrap();
        held.push(stream);
    }
    held
}

/// A site that answers once it is let.
async fn slow_site() -> (SocketAddr, tokio::sync::watch::Sender<bool>) {
    let (go, gone) = tokio::sync::watch::channel(false);
    let site = upstream(move |_, mut client| {
        let mut gone = gone.clone();
        async move {
            while !client.head().await.is_empty() {
                let _ = gone.wait_for(|go| *go).await;
                client.send(OK).await;
            }
        }
    })
    .await;
    (site, go)
}

#[tokio::test]
async fn one_byte_each_from_one_address_holds_up_nobody() {
    let (site, _) = recorder(OK).await;
    let served = serve(site, ListenSettings { connections_max: 40, ..settings() });
    let held = one_byte_each(100, &served).await;
    let start = Instant::now();
    assert!(is_served(&mut from("127.0.0.2", &served).await).await);
    assert!(start.elapsed() < Duration::from_secs(1), "another address waited for {:?}", start.elapsed());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_served(&mut served.connect().await).await, "the same address, once its others are known to be slow");
    drop(held);
}

#[tokio::test]
async fn one_byte_each_from_many_addresses_holds_up_nobody_for_long() {
    let (site, _) = recorder(OK).await;
    let served = serve(site, ListenSettings { connections_max: 20, ..settings() });
    let mut held = Vec::new();
    for number in 2..30 {
        let mut client = from(&format!("127.0.0.{number}"), &served).await;
        client.send("G").await;
        held.push(client);
    }
    let start = Instant::now();
    assert!(is_served(&mut from("127.0.0.99", &served).await).await);
    assert!(start.elapsed() < Duration::from_secs(10), "it waited for {:?}", start.elapsed());
}

#[tokio::test]
async fn who_has_been_idle_for_longest_makes_room() {
    let (site, _) = recorder(OK).await;
    let served = serve(site, ListenSettings { connections_max: 4, ..settings() });
    let mut idle = Vec::new();
    for number in 2..6 {
        let mut client = from(&format!("127.0.0.{number}"), &served).await;
        assert!(is_served(&mut client).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
        idle.push(client);
    }
    let start = Instant::now();
    let mut comes = from("127.0.0.9", &served).await;
    assert!(is_served(&mut comes).await);
    assert!(start.elapsed() < Duration::from_secs(1), "it waited for {:?}", start.elapsed());
    assert_eq!(idle[0].rest().await, "", "the first is closed");
    for client in &mut idle[1..] {
        assert!(is_served(client).await, "the others are not");
    }
}

#[tokio::test]
async fn who_is_at_work_makes_no_room() {
    let (site, go) = slow_site().await;
    let served = serve(site, ListenSettings { connections_max: 2, connections_per_address_max: 8, ..settings() });
    let (mut first, mut second) = (from("127.0.0.2", &served).await, from("127.0.0.3", &served).await);
    first.send(GET).await;
    second.send(GET).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut third = from("127.0.0.4", &served).await;
    third.send(GET).await;
    assert!(tokio::time::timeout(SHORT, third.stream.readable()).await.is_err(), "it waits");
    go.send(true).unwrap();
    for client in [&mut first, &mut second, &mut third] {
        assert!(client.message(false).await.ends_with("hello"));
    }
}

#[tokio::test]
async fn an_address_has_so_many_connections_at_work_and_a_trusted_proxy_any() {
    let (site, go) = slow_site().await;
    for (trusted, refused) in [(vec![], 1), (vec!["127.0.0.0/8".parse().unwrap()], 0)] {
        let settings = ListenSettings { connections_per_address_max: 3, trusted_proxies: trusted, ..settings() };
        let tallies = settings.tallies.clone();
        let served = serve(site, settings);
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = served.connect().await;
            client.send(GET).await;
            clients.push(client);
        }
        tokio::time::sleep(SHORT).await;
        let mut fourth = served.connect().await;
        let _ = fourth.stream.write_all(GET.as_bytes()).await;
        if refused > 0 {
            assert_eq!(fourth.rest().await, "", "one address has it all");
            let mut other = from("127.0.0.2", &served).await;
            other.send(GET).await;
            clients.push(other);
        } else {
            clients.push(fourth);
        }
        let counted = tallies.cut.by_reason().into_iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(counted, refused, "{:?}", tallies.cut.by_reason());
        go.send(true).unwrap();
        for client in &mut clients {
            assert!(client.message(false).await.ends_with("hello"));
        }
    }
}

#[tokio::test]
async fn a_head_that_trickles_is_cut() {
    let (site, seen) = recorder(OK).await;
    let served = serve(site, ListenSettings { head_timeout: SHORT, ..settings() });
    let mut client = served.connect().await;
    let start = Instant::now();
    for byte in GET.as_bytes().iter().cycle() {
        tokio::time::sleep(Duration::from_millis(30)).await;
        if client.stream.write_all(if *byte == b'\n' { b"x" } else { std::slice::from_ref(byte) }).await.is_err() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "it trickles for ever");
    }
    assert!(start.elapsed() >= SHORT, "cut after {:?}", start.elapsed());
    assert!(seen.all().is_empty());
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_and_one_that_is_fast_enough_is_not() {
    for (bytes, whole) in [(10, false), (1_000, true)] {
        let site = upstream(|_, mut client| async move {
            client.message(false).await;
            let _ = client.stream.write_all(OK.as_bytes()).await;
            client.rest().await;
        })
        .await;
        let served = serve(site, ListenSettings { rate_min: 5_000, rate_time: SHORT, ..settings() });
        let mut client = served.connect().await;
        let length = bytes * 40;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
        let mut sent = 0;
        while sent < length && client.stream.write_all(&vec![b'x'; bytes]).await.is_ok() {
            sent += bytes;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(sent == length, whole, "{sent} of {length} bytes were taken");
        assert_eq!(client.message(false).await.ends_with("hello"), whole);
    }
}

#[tokio::test]
async fn a_site_that_is_slow_to_take_an_upload_is_not_the_clients_fault() {
    // More than all buffers on the way take.
    const LENGTH: usize = 24 << 20;
    let site = upstream(|_, mut client| async move {
        client.head().await;
        tokio::time::sleep(SHORT * 5).await;
        let (mut came, mut some) = (client.rest_length(), vec![0; 64 * 1024]);
        while came < LENGTH {
            came += tokio::io::AsyncReadExt::read(&mut client.stream, &mut some).await.unwrap();
        }
        client.send(OK).await;
        client.rest().await;
    })
    .await;
    let served = serve(site, ListenSettings { rate_min: 100_000, rate_time: SHORT, ..settings() });
    let mut client = served.connect().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    client.send(vec![b'x'; LENGTH]).await;
    assert!(client.message(false).await.ends_with("hello"));
}

#[tokio::test]
async fn a_reader_that_trickles_is_cut() {
    let (cut, mut when) = tokio::sync::mpsc::unbounded_channel();
    let site = upstream(move |_, mut client| {
        let cut = cut.clone();
        async move {
            client.head().await;
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while client.stream.write_all(piece.as_bytes()).await.is_ok() {}
            let _ = cut.send(());
        }
    })
    .await;
    let served = serve(site, ListenSettings { write_timeout: SHORT * 3, rate_min: 1 << 30, ..settings() });
    let mut client = served.connect().await;
    client.send(GET).await;
    let reads = async {
        loop {
            // It takes something all the time, but never fast.
            let mut some = vec![0; 1 << 20];
            tokio::io::AsyncReadExt::read(&mut client.stream, &mut some).await.unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = reads => {}
        cut = tokio::time::timeout(PATIENCE, when.recv()) => assert!(cut.is_ok(), "it was kept"),
    }
}

#[tokio::test]
async fn a_websocket_on_which_nobody_speaks_is_cut() {
    let site = upstream(|_, client| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(client.stream).await else { return };
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    let served = serve(site, ListenSettings { websocket_idle_timeout: SHORT, idle_timeout: SHORT, ..settings() });
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/", served.address)).await.unwrap();
    for _ in 0..10 {
        socket.send(Message::text("still here")).await.unwrap();
        tokio::time::sleep(SHORT / 3).await;
    }
    let start = Instant::now();
    let end = tokio::time::timeout(PATIENCE, socket.next()).await.expect("it was kept");
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    assert!(start.elapsed() >= SHORT / 2, "cut after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_request_takes_so_long_as_a_whole() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
        while client.stream.write_all(b"data: more\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let served = serve(site, ListenSettings { request_timeout: SHORT, ..settings() });
    let mut client = served.connect().await;
    let start = Instant::now();
    client.send(GET).await;
    let stream = tokio::time::timeout(PATIENCE, client.rest()).await.expect("it goes on for ever");
    assert!(stream.contains("data: more") && start.elapsed() >= SHORT, "{:?}: {stream}", start.elapsed());
}

#[tokio::test]
async fn who_never_speaks_is_closed() {
    let (site, _) = recorder(OK).await;
    let served = serve(site, ListenSettings { idle_timeout: SHORT, ..settings() });
    let (mut silent, mut once, mut empty) = (served.connect().await, served.connect().await, served.connect().await);
    assert!(is_served(&mut once).await);
    // Empty lines before a request are none, and no reason to wait for ever.
    empty.send("\r\n").await;
    for client in [&mut silent, &mut once, &mut empty] {
        assert_eq!(tokio::time::timeout(PATIENCE, client.rest()).await.expect("it was kept"), "");
    }
}
