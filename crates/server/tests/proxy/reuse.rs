//! Which upstream connections are used again, by whom and for how long; and what is sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use visitlog_server::proxy::ProxySettings;

use crate::raw::{GET, OK, Seen, Served, header, upstream};

/// An upstream that takes every body for the next request. It records each head.
async fn deaf_to_bodies() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let into = seen.clone();
    let address = upstream(move |_, mut client| {
        let seen = into.clone();
        async move {
            loop {
                let head = client.head().await;
                let Some(path) = head.split(' ').nth(1).filter(|_| head.ends_with("\r\n\r\n")) else { return };
                seen.push(head.clone());
                let body = if head.starts_with("head") { "" } else { path };
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", path.len())).await;
            }
        }
    })
    .await;
    (address, seen)
}

/// What a second client gets after a first one has sent `request` with a body that is the start of a request.
async fn after(request: &str) -> (String, Vec<String>) {
    let (site, seen) = deaf_to_bodies().await;
    let served = Served::before(site);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX: ";
    let bytes = if request.contains("chunked") {
        format!("{request}\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len())
    } else {
        format!("{request}\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len())
    };
    let mut first = served.connect().await;
    first.send(bytes).await;
    first.message(request.starts_with("HEAD")).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = served.ask("GET /second HTTP/1.1\r\nHost: a\r\n\r\n").await;
    (second, seen.all())
}

#[tokio::test]
async fn a_body_that_was_not_read_is_not_the_start_of_anothers_request() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND", "FOO", "POST", "PUT", "PATCH"] {
        for framing in ["", "\r\nTransfer-Encoding: chunked"] {
            let (second, seen) = after(&format!("{method} /first HTTP/1.1\r\nHost: a{framing}")).await;
            assert!(second.ends_with("/second"), "{method}{framing:?}: the second client got {second:?}");
            assert!(seen.last().unwrap().starts_with("get /second "), "{method}{framing:?}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_is_told_that_nothing_follows_a_body_that_it_may_not_read() {
    for (method, said) in [("GET", Some("close")), ("DELETE", Some("close")), ("SEARCH", Some("close")), ("POST", None)]
    {
        let (site, seen) = crate::raw::recorder(OK).await;
        Served::before(site).ask(&format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")).await;
        assert_eq!(header(&seen.last(), "connection").as_deref(), said, "{method}: {}", seen.last());
    }
}

#[tokio::test]
async fn a_get_with_a_body_desynchronises_nobody_not_even_its_own_client() {
    for method in ["GET", "OPTIONS", "DELETE", "PROPFIND"] {
        let (site, seen) = deaf_to_bodies().await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        client.send(format!("{method} /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nGET /x HTT")).await;
        client.message(false).await;
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.message(false).await;
        assert!(answer.ends_with("/2"), "{method}: {answer:?}, seen {:?}", seen.all());
    }
}

#[tokio::test]
async fn who_posts_uses_one_upstream_connection_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let site = upstream(move |_, mut client| {
        count.fetch_add(1, SeqCst);
        async move {
            while !client.message(false).await.is_empty() {
                client.send(OK).await;
            }
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    for _ in 0..10 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
        assert!(client.message(false).await.ends_with("hello"));
        client.send(GET).await;
        assert!(client.message(false).await.ends_with("hello"));
    }
    assert_eq!(connections.load(SeqCst), 1);
}

#[tokio::test]
async fn who_posts_holds_no_more_idle_connections_than_the_pool_does() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = open.clone();
    let site = upstream(move |_, mut client| {
        let count = count.clone();
        async move {
            count.fetch_add(1, SeqCst);
            while !client.message(false).await.is_empty() {
                client.send(OK).await;
            }
            count.fetch_sub(1, SeqCst);
        }
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.idle_connections_max = 3;
    settings.idle_connection_timeout = Duration::from_millis(400);
    let served = Served::start(settings);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = served.connect().await;
        for _ in 0..2 {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
            assert!(client.message(false).await.ends_with("hello"));
        }
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(open.load(SeqCst), 3);
    // Nobody comes back for them, though their clients stay.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(open.load(SeqCst), 0);
}

#[tokio::test]
async fn a_requests_framing_is_ours() {
    for (request, length) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", None),
        ("DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", None),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", Some("0")),
        ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n", Some("0")),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 002\r\n\r\nhi", Some("2")),
    ] {
        let (site, seen) = crate::raw::recorder(OK).await;
        Served::before(site).ask(request).await;
        assert_eq!(header(&seen.last(), "content-length").as_deref(), length, "{request:?}: {}", seen.last());
    }
}

#[tokio::test]
async fn nobody_waits_to_send_a_body_that_is_none() {
    let (site, seen) = crate::raw::recorder(OK).await;
    let answer = Served::before(site).ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(header(&seen.last(), "expect"), None, "{}", seen.last());
}

/// An upstream that counts its connections and gives each request `answer`.
async fn counting(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let site = upstream(move |_, mut client| {
        count.fetch_add(1, SeqCst);
        async move {
            while !client.message(false).await.is_empty() {
                client.send(answer).await;
            }
        }
    })
    .await;
    (site, connections)
}

#[tokio::test]
async fn the_idle_time_is_a_promise() {
    for request in [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"] {
        let (site, connections) = counting(OK).await;
        let mut settings = ProxySettings::new(format!("http://{site}"));
        settings.idle_connection_timeout = Duration::from_millis(800);
        let served = Served::start(settings);
        let mut client = served.connect().await;
        for (wait_ms, expected) in [(0, 1), (100, 1), (850, 2)] {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            client.send(request).await;
            client.message(false).await;
            assert_eq!(connections.load(SeqCst), expected, "after {wait_ms} ms, {request:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_says_how_long_it_keeps_connections_is_believed() {
    let long = "HTTP/1.1 200 OK\r\nKeep-Alive: max=100, Timeout=\"60\"\r\nContent-Length: 5\r\n\r\nhello";
    let short = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=99\r\nContent-Length: 5\r\n\r\nhello";
    let none = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=0\r\nContent-Length: 5\r\n\r\nhello";
    let odd = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=soon, 5, =, timeout\r\nContent-Length: 5\r\n\r\nhello";
    for (answer, wait_ms, expected) in [(long, 900, 1), (short, 200, 1), (short, 900, 2), (none, 0, 2), (odd, 900, 1)] {
        let (site, connections) = counting(answer).await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        for wait_ms in [0, wait_ms] {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            client.send(GET).await;
            let answer = client.message(false).await;
            assert!(!answer.to_ascii_lowercase().contains("keep-alive"), "{answer}");
        }
        assert_eq!(connections.load(SeqCst), expected, "{wait_ms} ms after {answer:?}");
    }
}

/// An upstream that answers the first request of its first connection, and does with the second one what `then` says
/// before it closes; on later connections it answers. It counts requests.
async fn dies(then: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let site = upstream(move |number, mut client| {
        let count = count.clone();
        async move {
            for turn in 0.. {
                if client.head().await.is_empty() {
                    return;
                }
                count.fetch_add(1, SeqCst);
                if number == 0 && turn == 1 {
                    client.send(then).await;
                    return;
                }
                client.send(OK).await;
            }
        }
    })
    .await;
    (site, requests)
}

#[tokio::test]
async fn what_does_no_harm_twice_is_sent_again_once() {
    for request in [
        GET,
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "DELETE /it HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let (site, requests) = dies("").await;
        let served = Served::before(site);
        served.ask(GET).await;
        let answer = served.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{request:?}: {answer}");
        assert_eq!(requests.load(SeqCst), 3, "{request:?}");
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again() {
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        "BUY / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let (site, requests) = dies("").await;
        let served = Served::before(site);
        served.ask(GET).await;
        let answer = served.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{request:?}: {answer}");
        assert_eq!(requests.load(SeqCst), 2, "{request:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_again_after_a_byte_of_the_answer() {
    for then in [
        "H",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let (site, requests) = dies(then).await;
        let served = Served::before(site);
        served.ask(GET).await;
        let answer = served.ask(GET).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{then:?}: {answer}");
        assert_eq!(requests.load(SeqCst), 2, "{then:?}");
    }
}

#[tokio::test]
async fn a_post_goes_over_no_connection_that_is_closed_already() {
    // The upstream closes right after its answer; the POST comes at once after that.
    for _ in 0..30 {
        let site = upstream(|number, mut client| async move {
            client.message(false).await;
            client.send(OK).await;
            if number > 0 {
                client.rest().await;
            }
        })
        .await;
        let served = Served::before(site);
        served.ask(GET).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        let answer = served.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }
}
