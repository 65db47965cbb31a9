use tower_layer::Layer as _;
use visitlog_server::listen::{self, ListenSettings};
use visitlog_server::proxy::{ForwardedStyle, HostHeader, Proxy, ProxySettings};

use crate::raw::{Client, GET, OK, Seen, Served, header, recorder, upstream};

async fn seen_with(change: impl FnOnce(&mut ProxySettings), request: &str) -> String {
    let (site, seen): (_, Seen) = recorder(OK).await;
    let mut settings = ProxySettings::new(format!("http://{site}"));
    change(&mut settings);
    let answer = Served::start(settings).ask(request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    seen.last()
}

fn trust_loopback(settings: &mut ProxySettings) {
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

const CLAIMS: &str = "GET / HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: public.test\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 7.7.7.7\r\n\
    Forwarded: for=3.3.3.3\r\n\r\n";

#[tokio::test]
async fn a_strangers_claims_are_replaced() {
    let seen = seen_with(|_| {}, CLAIMS).await;
    assert_eq!(header(&seen, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(header(&seen, "x-forwarded-host").as_deref(), Some("site.test"));
    for name in ["forwarded", "x-real-ip", "x_forwarded_for"] {
        assert_eq!(header(&seen, name), None, "{seen}");
    }
}

#[tokio::test]
async fn a_trusted_proxys_claims_are_kept_and_added_to() {
    let seen = seen_with(trust_loopback, CLAIMS).await;
    assert_eq!(header(&seen, "x-forwarded-for").as_deref(), Some("1.1.1.1, 2.2.2.2, 127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(header(&seen, "x-forwarded-host").as_deref(), Some("public.test"));
    // A proxy that writes X-Forwarded-For passes these on as its client wrote them.
    for name in ["forwarded", "x-real-ip", "x_forwarded_for"] {
        assert_eq!(header(&seen, name), None, "{seen}");
    }
}

#[tokio::test]
async fn a_trusted_proxys_further_headers_are_named() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Port: 443\r\n\
        X-Forwarded-Prefix: /app\r\nX-Real-IP: 203.0.113.9\r\nCF-Connecting-IP: 6.6.6.6\r\nX-Original-URL: /admin\r\n\r\n";
    let seen = seen_with(trust_loopback, request).await;
    assert_eq!(header(&seen, "x-real-ip").as_deref(), Some("203.0.113.9"), "it says the same as X-Forwarded-For");
    assert_eq!(header(&seen, "x-forwarded-port").as_deref(), Some("443"));
    for name in ["x-forwarded-prefix", "cf-connecting-ip", "x-original-url"] {
        assert_eq!(header(&seen, name), None, "{seen}");
    }
    let named = |settings: &mut ProxySettings| {
        trust_loopback(settings);
        settings.trusted_headers = vec!["x-forwarded-prefix".parse().unwrap()];
    };
    assert_eq!(header(&seen_with(named, request).await, "x-forwarded-prefix").as_deref(), Some("/app"));
}

#[tokio::test]
async fn a_strangers_claims_in_any_spelling_are_dropped() {
    for line in [
        "X-Real_IP: 6.6.6.6",
        "X_REAL_IP: 6.6.6.6",
        "X.Real.IP: 6.6.6.6",
        "X-Client-IP: 6.6.6.6",
        "Client-IP: 6.6.6.6",
        "True-Client-IP: 6.6.6.6",
        "CF-Connecting-IP: 6.6.6.6",
        "Fastly-Client-IP: 6.6.6.6",
        "X-Cluster-Client-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "Forwarded_For: 6.6.6.6",
        "X-Forwarded: for=6.6.6.6",
        "X-Forwarded-By: 6.6.6.6",
        "X~Forwarded~For: 6.6.6.6",
        "X-Original-URL: /6.6.6.6",
        "X-Rewrite-URL: /6.6.6.6",
        "X-Original-Host: 6.6.6.6",
        "Proxy: http://6.6.6.6",
        "X-HTTP-Host-Override: 6.6.6.6",
        "X-Script-Name: /6.6.6.6",
        "SSL-Client-S-DN: CN=6.6.6.6",
    ] {
        let seen = seen_with(|_| {}, &format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")).await;
        assert!(!seen.contains("6.6.6.6"), "{line} became {seen}");
    }
}

#[tokio::test]
async fn a_claim_in_a_trailer_is_dropped_too() {
    let seen = seen_with(
        |_| {},
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX_Real_IP: 6.6.6.6\r\n\
         Visitlog.User: \"root\"\r\n\r\n",
    )
    .await;
    assert!(!seen.contains("6.6.6.6") && !seen.contains("root"), "{seen}");
}

#[tokio::test]
async fn a_proxy_that_asks_itself_is_found_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let itself = listener.local_addr().unwrap();
    // Another proxy of ours in between, so that the loop is not the upstream's address.
    let other = Served::before(itself);
    let proxy = Proxy::new(ProxySettings::new(format!("http://{}", other.address))).unwrap();
    let tallies = proxy.tallies();
    let service = move |_| proxy.ingress().layer(proxy.for_worker());
    let settings = ListenSettings { workers: 1, ..ListenSettings::default() };
    tokio::spawn(listen::serve(listener, settings, service, std::future::pending()));
    let mut client = Client::of(tokio::net::TcpStream::connect(itself).await.unwrap());
    client.send(GET).await;
    let answer = client.message(false).await;
    assert!(answer.starts_with("HTTP/1.1 508 "), "{answer}");
    assert_eq!(tallies.refused.by_reason(), [("a loop: the upstream is this server", 1)]);
}

#[tokio::test]
async fn two_proxies_in_a_row_are_no_loop() {
    let (site, seen) = recorder(OK).await;
    let inner = Served::before(site);
    let answer = Served::before(inner.address).ask(GET).await;
    assert!(answer.ends_with("hello"), "{answer}");
    let via = header(&seen.last(), "visitlog-via").expect("who it has passed through");
    assert_eq!(via.split(", ").count(), 2, "{via}");
}

#[tokio::test]
async fn forwarded_is_sent_where_it_is_asked_for() {
    let both = |settings: &mut ProxySettings| settings.forwarded = ForwardedStyle::Both;
    let trusting = |settings: &mut ProxySettings| {
        both(settings);
        trust_loopback(settings);
    };
    let seen = seen_with(trusting, CLAIMS).await;
    let hops = "for=1.1.1.1, for=2.2.2.2, for=127.0.0.1;proto=https;host=\"site.test\"";
    assert_eq!(header(&seen, "forwarded").as_deref(), Some(hops));
    let seen = seen_with(both, GET).await;
    assert_eq!(header(&seen, "forwarded").as_deref(), Some("for=127.0.0.1;proto=http;host=\"site.test\""));
    let seen = seen_with(|_| {}, GET).await;
    assert_eq!(header(&seen, "forwarded"), None);
}

#[tokio::test]
async fn the_host_can_be_the_upstreams() {
    let seen = seen_with(|settings| settings.host = HostHeader::Upstream, GET).await;
    assert!(header(&seen, "host").unwrap().starts_with("127.0.0.1:"), "{seen}");
    assert_eq!(header(&seen, "x-forwarded-host").as_deref(), Some("site.test"));
}

#[tokio::test]
async fn via_is_added_to() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 first\r\n\r\n";
    let seen = seen_with(|settings| settings.via = Some("visitlog".into()), request).await;
    assert_eq!(header(&seen, "via").as_deref(), Some("1.0 first, 1.1 visitlog"));
}

#[tokio::test]
async fn hop_by_hop_headers_end_here() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret\r\nConnection: x-other, host\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AA\r\nX-Secret: 1\r\nX-Other: 2\r\nX-Kept: 3\r\n\r\n";
    let seen = seen_with(|_| {}, request).await;
    for name in
        ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade", "http2-settings"]
    {
        assert_eq!(header(&seen, name), None, "{seen}");
    }
    assert_eq!((header(&seen, "x-secret"), header(&seen, "x-other")), (None, None), "{seen}");
    assert_eq!(header(&seen, "x-kept").as_deref(), Some("3"));
    assert_eq!(header(&seen, "host").as_deref(), Some("a"), "Connection must not take the Host away");
}

#[tokio::test]
async fn a_responses_hop_by_hop_headers_end_here() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client
            .send(
                "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Authenticate: Basic\r\nUpgrade: h2\r\nX-Kept: 3\r\nVisitlog-Action: \"done\"\r\n\
                 Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.send(GET).await;
        let head = client.head().await;
        for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
            assert_eq!(header(&head, name), None, "{head}");
        }
        assert_eq!(header(&head, "x-kept").as_deref(), Some("3"));
        assert_eq!(header(&head, "set-cookie").as_deref(), Some("a=1 | b=2"));
        // For the layer above, which takes it out.
        assert_eq!(header(&head, "visitlog-action").as_deref(), Some("\"done\""));
    }
}

#[tokio::test]
async fn a_client_cannot_speak_for_us() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nVisitlog-Session: me\r\nVISITLOG_SESSION: me\r\nvisitlog-x: 1\r\nVisitlog.Y: 1\r\nVisitlog-Via: <evil>\r\n\
        Visitlogger: kept\r\nConnection: visitlog-session\r\n\r\n";
    let seen = seen_with(|_| {}, request).await;
    assert!(!seen.contains("<evil>"), "{seen}");
    for name in ["visitlog-session", "visitlog_session", "visitlog-x", "visitlog.y"] {
        assert_eq!(header(&seen, name), None, "{seen}");
    }
    assert_eq!(header(&seen, "visitlogger").as_deref(), Some("kept"));
}

mod told {
    //! A layer between [`Ingress`](visitlog_server::proxy::Ingress) and the proxy may add headers of ours.

    use std::task::{Context, Poll};

    use http::{HeaderValue, Request};
    use tower_layer::Layer;
    use tower_service::Service;
    use visitlog_server::listen::{self, ListenSettings};
    use visitlog_server::proxy::{Proxy, ProxySettings};

    use crate::raw::{Client, OK, header, recorder};

    #[derive(Clone)]
    struct Tells<S>(S);

    impl<S: Service<Request<B>>, B> Service<Request<B>> for Tells<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, mut request: Request<B>) -> S::Future {
            request.headers_mut().append("visitlog-session", HeaderValue::from_static("ours"));
            self.0.call(request)
        }
    }

    #[tokio::test]
    async fn the_layer_between_can_tell_the_upstream_what_the_client_cannot() {
        let (site, seen) = recorder(OK).await;
        let proxy = Proxy::new(ProxySettings::new(format!("http://{site}"))).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let service = move |_| proxy.ingress().layer(Tells(proxy.for_worker()));
        let settings = ListenSettings { workers: 1, ..ListenSettings::default() };
        tokio::spawn(listen::serve(listener, settings, service, std::future::pending()));
        let mut client = Client::of(tokio::net::TcpStream::connect(address).await.unwrap());
        client
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: visitlog-session\r\nVisitlog-Session: theirs\r\n\r\n")
            .await;
        client.message(false).await;
        assert_eq!(header(&seen.last(), "visitlog-session").as_deref(), Some("ours"));
    }
}
