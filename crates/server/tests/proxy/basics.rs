use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use visitlog_server::proxy::ProxySettings;

use crate::raw::{GET, OK, Served, header, recorder, upstream};

#[tokio::test]
async fn a_request_goes_through_and_its_answer_comes_back() {
    let (site, seen) = recorder(OK).await;
    let answer = Served::before(site).ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(seen.last().starts_with("get /page?q=1 http/1.1\r\n"), "{}", seen.last());
    assert_eq!(header(&seen.last(), "host").as_deref(), Some("site.test"));
}

#[tokio::test]
async fn a_base_path_comes_first() {
    let (site, seen) = recorder(OK).await;
    let served = Served::start(ProxySettings::new(format!("http://{site}/app/")));
    served.ask(GET).await;
    assert!(seen.last().starts_with("get /app/page?q=1 http/1.1\r\n"), "{}", seen.last());
}

#[tokio::test]
async fn one_upstream_connection_serves_many_requests() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let site = upstream(move |_, mut client| {
        count.fetch_add(1, SeqCst);
        async move {
            while !client.head().await.is_empty() {
                client.send(OK).await;
            }
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    for _ in 0..20 {
        client.send(GET).await;
        assert!(client.message(false).await.ends_with("hello"));
    }
    assert!(served.ask(GET).await.ends_with("hello"));
    assert_eq!(connections.load(SeqCst), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let site = upstream(|_, mut client| async move {
        loop {
            let head = client.head().await;
            let Some(path) = head.split(' ').nth(1) else { return };
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len())).await;
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client
        .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    for path in ["/1", "/2", "/3"] {
        let answer = client.message(false).await;
        assert!(answer.ends_with(path), "{answer}");
    }
}

#[tokio::test]
async fn head_keeps_its_length_and_has_no_body() {
    let site = upstream(|_, mut client| async move {
        while !client.head().await.is_empty() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(header(&client.head().await, "content-length").as_deref(), Some("1234"));
    }
}

#[tokio::test]
async fn no_content_and_not_modified_have_no_body() {
    for status in ["204 No Content", "304 Not Modified"] {
        let site = upstream(move |_, mut client| async move {
            while !client.head().await.is_empty() {
                client.send(format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\n\r\n")).await;
            }
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        for _ in 0..2 {
            client.send(GET).await;
            let head = client.head().await;
            assert!(head.starts_with(&format!("http/1.1 {}\r\n", status.to_ascii_lowercase())), "{head}");
            assert_eq!(header(&head, "transfer-encoding"), None, "{head}");
            assert_eq!(header(&head, "etag").as_deref(), Some("\"1\""));
        }
    }
}

#[tokio::test]
async fn an_old_client_is_served_and_its_connection_closed() {
    let (site, seen) = recorder(OK).await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(seen.last().starts_with("get / http/1.1\r\n"), "{}", seen.last());
    assert_eq!(header(&seen.last(), "host"), Some(site.to_string()));
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_502_without_its_address() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = Served::before(gone).ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain"), "{answer}");
    assert!(!answer.contains(&gone.port().to_string()) && !answer.contains("refused"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_502() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("220 smtp.test ready\r\n\r\n").await;
    })
    .await;
    let answer = Served::before(site).ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(!answer.contains("smtp"), "{answer}");
}

/// Serves one request per connection, then closes it, as a server does whose keep-alive time is over.
async fn forgetful(seen: Arc<AtomicUsize>) -> std::net::SocketAddr {
    upstream(move |number, mut client| {
        let seen = seen.clone();
        async move {
            client.head().await;
            seen.fetch_add(1, SeqCst);
            client.send(OK).await;
            if number == 0 {
                // Closes only when the second request has come, unanswered.
                client.head().await;
            } else {
                client.head().await;
                std::future::pending::<()>().await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_get_on_a_connection_that_closes_under_it_is_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let served = Served::before(forgetful(seen.clone()).await);
    assert!(served.ask(GET).await.ends_with("hello"));
    assert!(served.ask(GET).await.ends_with("hello"));
    assert_eq!(seen.load(SeqCst), 2);
}

#[tokio::test]
async fn a_post_on_a_connection_that_closes_under_it_is_not_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let served = Served::before(forgetful(seen.clone()).await);
    assert!(served.ask(GET).await.ends_with("hello"));
    let answer = served.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(seen.load(SeqCst), 1);
}

#[tokio::test]
async fn a_post_on_a_connection_that_was_closed_before_goes_over_a_new_one() {
    let site = upstream(|_, mut client| async move {
        client.message(false).await;
        client.send(OK).await;
    })
    .await;
    let served = Served::before(site);
    for _ in 0..5 {
        let answer = served.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
        assert!(answer.ends_with("hello"), "{answer}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_a_502_and_no_loop() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let site = upstream(move |_, mut client| {
        count.fetch_add(1, SeqCst);
        async move {
            client.head().await;
        }
    })
    .await;
    let answer = Served::before(site).ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(connections.load(SeqCst), 1);
}

#[tokio::test]
async fn an_idle_upstream_connection_is_closed_after_its_time() {
    let (closed, mut when) = tokio::sync::mpsc::unbounded_channel();
    let site = upstream(move |_, mut client| {
        let closed = closed.clone();
        async move {
            while !client.head().await.is_empty() {
                client.send(OK).await;
            }
            let _ = closed.send(());
        }
    })
    .await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    settings.idle_connection_timeout = Duration::from_millis(100);
    let served = Served::start(settings);
    assert!(served.ask(GET).await.ends_with("hello"));
    tokio::time::timeout(crate::raw::PATIENCE, when.recv()).await.expect("it stayed open");
}
