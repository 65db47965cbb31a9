//! Logins that belong to a connection, not to a request (NTLM, Negotiate): they are the one client connection's on
//! which they were made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tower_service::Service;
use visitlog_server::proxy::{Proxy, ProxySettings};

use crate::raw::{Client, OK, PATIENCE, Served, header, upstream};

fn answer(status: &str, lines: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// An upstream that logs its connections in, in three steps, and says in each answer who is logged in on which.
async fn intranet(scheme: &'static str) -> SocketAddr {
    upstream(move |number, mut client| async move {
        let (mut half, mut user) = (None, None);
        loop {
            let message = client.message(false).await;
            let Some((head, _)) = message.split_once("\r\n\r\n") else { return };
            let authorization = header(&head.to_ascii_lowercase(), "authorization");
            let words: Vec<&str> = authorization.iter().flat_map(|value| value.split(' ')).collect();
            match words[..] {
                [said, "t1", name] if said == scheme.to_ascii_lowercase() => {
                    half = Some(name.to_owned());
                    let lines = format!("WWW-Authenticate: {scheme} T2\r\n");
                    client.send(answer("401 Unauthorized", &lines, &format!("on {number}"))).await;
                    continue;
                }
                [said, "t3", name] if said == scheme.to_ascii_lowercase() && half.as_deref() == Some(name) => {
                    user = half.clone();
                }
                _ => {}
            }
            match &user {
                Some(user) => client.send(answer("200 OK", "", &format!("you are {user} on {number}"))).await,
                None => {
                    let lines = format!("WWW-Authenticate: Basic realm=\"a, b\", {scheme}\r\n");
                    client.send(answer("401 Unauthorized", &lines, &format!("nobody on {number}"))).await;
                }
            }
        }
    })
    .await
}

const ASK: &str = "GET /intranet HTTP/1.1\r\nHost: site.test\r\n\r\n";

async fn ask(client: &mut Client, authorization: &str) -> String {
    let line = if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
    client.send(format!("GET /intranet HTTP/1.1\r\nHost: site.test\r\n{line}\r\n")).await;
    client.message(false).await
}

async fn log_in(client: &mut Client, scheme: &str, name: &str) -> String {
    ask(client, &format!("{scheme} T1 {name}")).await;
    ask(client, &format!("{scheme} T3 {name}")).await
}

#[tokio::test]
async fn a_stranger_is_not_who_logged_in_before() {
    for scheme in ["NTLM", "Negotiate", "Kerberos", "Nego2", "negotiate"] {
        let served = Served::before(intranet(scheme).await);
        let mut alice = served.connect().await;
        ask(&mut alice, "").await;
        let logged_in = log_in(&mut alice, scheme, "alice").await;
        assert!(logged_in.contains("you are alice"), "{scheme}: {logged_in}");
        for _ in 0..3 {
            let stranger = served.ask(ASK).await;
            assert!(stranger.starts_with("HTTP/1.1 401 "), "{scheme}: {stranger}");
        }
        drop(alice);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let stranger = served.ask(ASK).await;
        assert!(stranger.starts_with("HTTP/1.1 401 "), "{scheme}, after alice has left: {stranger}");
    }
}

#[tokio::test]
async fn twenty_handshakes_succeed_beside_other_traffic() {
    let served = Arc::new(Served::before(intranet("NTLM").await));
    let stop = Arc::new(AtomicBool::new(false));
    let mut noise = Vec::new();
    for _ in 0..3 {
        let (served, stop) = (served.clone(), stop.clone());
        noise.push(tokio::spawn(async move {
            while !stop.load(SeqCst) {
                served.ask(ASK).await;
            }
        }));
    }
    let mut failed = Vec::new();
    for number in 0..20 {
        let mut client = served.connect().await;
        let name = format!("u{number}");
        ask(&mut client, "").await;
        ask(&mut client, &format!("NTLM T1 {name}")).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let answer = ask(&mut client, &format!("NTLM T3 {name}")).await;
        if !answer.contains(&format!("you are {name} ")) {
            failed.push(answer);
        }
    }
    stop.store(true, SeqCst);
    for task in noise {
        task.await.unwrap();
    }
    assert!(failed.is_empty(), "{} of 20 failed, the first with {}", failed.len(), failed[0]);
}

#[tokio::test]
async fn the_login_lasts_as_long_as_its_connection_whatever_is_sent_on_it() {
    let served = Served::before(intranet("NTLM").await);
    let (mut alice, mut bob) = (served.connect().await, served.connect().await);
    assert!(log_in(&mut alice, "NTLM", "alice").await.contains("you are alice"));
    assert!(log_in(&mut bob, "NTLM", "bob").await.contains("you are bob"));
    for request in [
        ASK,
        "POST /form HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc",
        "POST /form HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "DELETE /it HTTP/1.1\r\nHost: site.test\r\n\r\n",
        ASK,
    ] {
        alice.send(request).await;
        assert!(alice.message(false).await.contains("you are alice"), "{request:?}");
        bob.send(request).await;
        assert!(bob.message(false).await.contains("you are bob"), "{request:?}");
        let stranger = served.ask(request).await;
        assert!(stranger.starts_with("HTTP/1.1 401 "), "{stranger}");
    }
}

#[tokio::test]
async fn from_the_challenge_on_the_connection_is_the_clients() {
    let served = Served::before(intranet("Negotiate").await);
    let mut client = served.connect().await;
    let challenged = ask(&mut client, "").await;
    let on = challenged.rsplit(' ').next().unwrap().to_owned();
    served.ask(ASK).await;
    let half = ask(&mut client, "Negotiate T1 alice").await;
    served.ask(ASK).await;
    let whole = ask(&mut client, "Negotiate T3 alice").await;
    assert!(half.ends_with(&format!("on {on}")), "challenged on {on}, then {half}");
    assert!(whole.ends_with(&format!("you are alice on {on}")), "challenged on {on}, then {whole}");
}

#[tokio::test]
async fn the_upstream_connection_closes_with_the_clients() {
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
    settings.idle_connection_timeout = PATIENCE * 2;
    let served = Served::start(settings);
    let mut client = served.connect().await;
    ask(&mut client, "Negotiate abc").await;
    assert!(tokio::time::timeout(Duration::from_millis(200), when.recv()).await.is_err(), "it was closed too early");
    drop(client);
    tokio::time::timeout(PATIENCE / 4, when.recv()).await.expect("it stayed open");
}

#[tokio::test]
async fn a_login_outlives_the_pools_idle_time() {
    let mut settings = ProxySettings::new(format!("http://{}", intranet("NTLM").await));
    settings.idle_connection_timeout = Duration::from_millis(100);
    let served = Served::start(settings);
    let mut alice = served.connect().await;
    log_in(&mut alice, "NTLM", "alice").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(ask(&mut alice, "").await.contains("you are alice"));
}

#[tokio::test]
async fn a_login_whose_connection_was_closed_is_made_again_on_another() {
    let site = upstream(|number, mut client| async move {
        while !client.head().await.is_empty() {
            client.send(answer("200 OK", "Persistent-Auth: true\r\n", &format!("on {number}"))).await;
            if number == 0 {
                return;
            }
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    assert!(ask(&mut client, "Negotiate abc").await.ends_with("on 0"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ask(&mut client, "").await.ends_with("on 1"));
    // That one is nobody else's either.
    assert!(served.ask(ASK).await.ends_with("on 2"));
    assert!(ask(&mut client, "").await.ends_with("on 1"));
}

#[tokio::test]
async fn a_client_is_told_when_the_upstream_closes_its_login() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send(answer("401 Unauthorized", "WWW-Authenticate: NTLM\r\nConnection: close\r\n", "no")).await;
    })
    .await;
    let mut client = Served::before(site).connect().await;
    let refused = ask(&mut client, "NTLM T3 alice").await.to_ascii_lowercase();
    assert!(refused.starts_with("http/1.1 401 ") && refused.contains("connection: close\r\n"), "{refused}");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_websocket_is_opened_with_the_login() {
    let site = upstream(|number, mut client| async move {
        loop {
            let head = client.head().await;
            if head.is_empty() {
                return;
            }
            if header(&head, "upgrade").is_some() {
                let lines = format!("Connection: Upgrade\r\nUpgrade: websocket\r\nX-On: {number}\r\n");
                client.send(format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n")).await;
                client.rest().await;
                return;
            }
            client.send(answer("200 OK", "", &format!("on {number}"))).await;
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    assert!(ask(&mut client, "NTLM T3 alice").await.ends_with("on 0"));
    assert!(served.ask(ASK).await.ends_with("on 1"));
    client.send("GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(header(&head, "x-on").as_deref(), Some("0"), "{head}");
}

#[tokio::test]
async fn a_proxy_in_front_that_mixes_its_clients_mixes_no_logins() {
    let mut settings = ProxySettings::new(format!("http://{}", intranet("NTLM").await));
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let served = Served::start(settings);
    for (name, before) in [("X-Forwarded-For", ""), ("Forwarded", "for="), ("X-Says-Nothing", "")] {
        let mut front = served.connect().await;
        for (client, authorization, expected) in [
            ("192.0.2.1", "Authorization: NTLM T1 alice\r\n", "401"),
            ("192.0.2.1", "Authorization: NTLM T3 alice\r\n", "you are alice"),
            ("192.0.2.2", "", "401"),
            ("192.0.2.1", "", "401"),
        ] {
            front.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: {before}{client}\r\n{authorization}\r\n")).await;
            let answer = front.message(false).await;
            // A login of clients that can't be told apart does not last; it must not be another's.
            let is_told = name == "X-Forwarded-For" || expected == "401";
            assert!(!is_told || answer.contains(expected), "{name} {client} {authorization}: {answer}");
        }
    }
}

#[tokio::test]
async fn without_a_client_connection_to_bind_it_to_a_login_ends_with_its_answer() {
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
    let mut proxy = Proxy::new(ProxySettings::new(format!("http://{site}"))).unwrap();
    for authorization in ["Negotiate abc", "Basic eA==", "Basic eA=="] {
        let request = Request::get("/").header("host", "a").header("authorization", authorization);
        let response = proxy.call(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(connections.load(SeqCst), 2, "the login's connection serves nobody after it, the others' does");
}
