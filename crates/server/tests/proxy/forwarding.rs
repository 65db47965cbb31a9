use visitlog_server::proxy::{ForwardedStyle, HostHeader, ProxySettings};

use crate::raw::{GET, OK, Seen, Served, header, recorder, upstream};

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
    assert_eq!(header(&seen, "forwarded").as_deref(), Some("for=3.3.3.3, for=127.0.0.1;proto=http;host=\"site.test\""));
}

#[tokio::test]
async fn forwarded_is_sent_where_it_is_asked_for() {
    let seen = seen_with(|settings| settings.forwarded = ForwardedStyle::Both, GET).await;
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
    let request = "GET / HTTP/1.1\r\nHost: a\r\nVisitlog-Session: me\r\nVISITLOG_SESSION: me\r\nvisitlog-x: 1\r\n\
        Visitlogger: kept\r\nConnection: visitlog-session\r\n\r\n";
    let seen = seen_with(|_| {}, request).await;
    assert!(!seen.contains("visitlog-") && !seen.contains("visitlog_"), "{seen}");
    assert_eq!(header(&seen, "visitlogger").as_deref(), Some("kept"));
}

mod told {
    //! A layer between [`Ingress`](visitlog_server::proxy::Ingress) and the proxy may add headers of ours.

    use std::task::{Context, Poll};

    use http::{HeaderValue, Request};
    use tower_layer::Layer;
    use tower_service::Service;
    use visitlog_server::listen::{self, ListenSettings};
    use visitlog_server::proxy::{IngressLayer, Proxy, ProxySettings};

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
        let service = move |_| IngressLayer.layer(Tells(proxy.for_worker()));
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
