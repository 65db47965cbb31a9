//! What stands in front of the server, or only seems to: proxies that nobody named, clients that hold on to connections,
//! the server itself. Whoever runs it is told.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::http::{Browser, Conn, PATIENCE};
use crate::server::{Server, eventually, visitlog};
use crate::upstream::Upstream;

const UNTRUSTED: &str = "visitlog_front_signs_total{reason=\"a header of a proxy that is not trusted\"}";

fn said(server: &Server, words: &str) -> usize {
    server.log().lines().filter(|line| line.contains(words)).count()
}

/// Requests of many visitors, as they come through a proxy in front.
fn visitors(server: &Server, headers: &[(&str, &str)]) {
    for number in 0..40 {
        let agent = format!("Mozilla/5.0 (X11; Linux x86_64) Chrome/{}.0.0.0", 100 + number);
        let mut browser = Browser::new(server.site, &agent);
        assert_eq!(browser.get("/page?token=secret", headers).status, 200);
    }
}

#[test]
fn a_proxy_that_nobody_named_is_told_of_by_its_headers() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &Upstream::start(), &[]);
    visitors(&server, &[("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]);
    eventually("a word about it", || said(&server, "name the proxy with --trusted-proxy") == 1);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("name the proxy with")).unwrap();
    assert!(line.contains("header=\"x-forwarded-for\"") && line.contains("path=\"/page\""), "{line}");
    assert!(!log.contains("secret"), "{log}");
    assert_eq!(server.metric(UNTRUSTED), 40.0);
}

#[test]
fn a_proxy_that_nobody_named_is_told_of_by_its_visitors() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &Upstream::start(), &[]);
    visitors(&server, &[]);
    eventually("a word about it", || said(&server, "most requests come from one address") == 1);
}

#[test]
fn a_proxy_that_is_named_is_not_told_of() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &Upstream::start(), &["--trusted-proxy", "127.0.0.1"]);
    for number in 0..40 {
        let agent = format!("Mozilla/5.0 (X11; Linux x86_64) Chrome/{}.0.0.0", 100 + number);
        let client = format!("203.0.113.{number}");
        let headers = [("X-Forwarded-For", client.as_str()), ("X-Real-IP", &client), ("X-Forwarded-Proto", "https")];
        let seen = Browser::new(server.site, &agent).get("/", &headers).seen();
        assert_eq!(seen.all("x-real-ip"), [client.as_str()]);
        assert_eq!(seen.all("x-forwarded-for"), [format!("{client}, 127.0.0.1")]);
    }
    let (_, log) = server.end();
    assert!(!log.contains("trusted-proxy") && !log.contains("one address"), "{log}");
}

#[test]
fn a_header_of_a_named_proxy_that_its_client_may_have_written_is_told_of() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--trusted-proxy", "127.0.0.1", "--trusted-header", "X-Forwarded-Prefix"];
    let server = Server::start(data.path(), &Upstream::start(), &args);
    let headers = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Prefix", "/app"),
        ("X-Original-URL", "/admin"),
        ("X_Forwarded_Host", "evil.test"),
    ];
    let seen = Browser::new(server.site, "a browser").get("/", &headers).seen();
    assert_eq!(seen.all("x-forwarded-prefix"), ["/app"]);
    assert!(seen.all("x-original-url").is_empty() && seen.all("x_forwarded_host").is_empty());
    eventually("a word about it", || said(&server, "name it with --trusted-header") == 1);
}

#[test]
fn a_redirect_to_https_that_never_ends_is_told_of() {
    for (header, times) in
        [(("X-Forwarded-Proto", "https"), 1), (("X-Forwarded-Ssl", "on"), 1), (("X-Nothing", ""), 20)]
    {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path(), &Upstream::start(), &[]);
        let mut browser = Browser::new(server.site, "a browser");
        let answer = "Location: https://shop.test/cart?id=1";
        let headers = [("Host", "shop.test"), ("X-Status", "301"), ("X-Answer", answer), header];
        for _ in 0..times {
            assert_eq!(browser.get("/cart?id=1", &headers).status, 301);
        }
        eventually("a word about it", || said(&server, "else this is a loop") == 1);
    }
}

#[test]
fn refused_requests_are_counted_and_told_of_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &Upstream::start(), &[]);
    let ask = |request: &str| {
        let mut conn = Conn::open(server.site).unwrap();
        conn.send(request.as_bytes()).unwrap();
        conn.answer().unwrap().status
    };
    for _ in 0..30 {
        assert_eq!(ask("TRACE /traced?token=secret HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
        assert_eq!(ask("GET /page?token=secret#part HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(ask("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
    }
    for (reason, words) in [
        ("TRACE", "reason=\"TRACE\" path=\"/traced\""),
        ("a fragment in the target", "reason=\"a fragment in the target\" path=\"/page\""),
        ("no HTTP/1.1 request", "reason=\"no HTTP/1.1 request\""),
    ] {
        assert_eq!(server.metric(&format!("visitlog_requests_refused_total{{reason=\"{reason}\"}}")), 30.0);
        eventually("a word about it", || said(&server, words) == 1);
    }
    assert!(!server.log().contains("secret"), "{}", server.log());
}

#[test]
fn the_servers_own_address_is_no_upstream() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (listen, upstream) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("0.0.0.0", "127.0.0.7")] {
        let data = tempfile::tempdir().unwrap();
        let output = visitlog()
            .args(["serve", "--upstream", &format!("http://{upstream}:{port}"), "--admin", "127.0.0.1:0"])
            .args(["--listen", &format!("{listen}:{port}"), "--data"])
            .arg(data.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("this server's own address"), "{listen}, {upstream}: {said}");
    }
}

/// A connection from another address of this machine.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).unwrap();
    connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

#[test]
fn one_byte_each_on_hundreds_of_connections_holds_up_nobody() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &Upstream::start(), &["--max-connections", "448", "--workers", "1"]);
    let held: Vec<TcpStream> = (0..470)
        .map(|_| {
            let mut stream = TcpStream::connect(server.site).unwrap();
            stream.write_all(b"G").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    let mut newcomer = connect_from(2, server.site);
    newcomer.set_read_timeout(Some(PATIENCE)).unwrap();
    newcomer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    newcomer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(5), "another address waited for {:?}", start.elapsed());
    drop(held);
    eventually("a word about it", || said(&server, "too many connections of one address") == 1);
}
