//! Answers in which the upstream names itself, or the path under which it stands: the client is told where that is
//! for it.

use std::net::SocketAddr;

use visitlog_server::proxy::{HostHeader, ProxySettings};

use crate::raw::{Served, header, upstream};

/// An upstream that answers with this line; `{port}` is its own.
async fn says(line: &str) -> SocketAddr {
    let line = line.to_owned();
    upstream(move |_, mut client| {
        let port = client.stream.local_addr().unwrap().port();
        let line = line.replace("{port}", &port.to_string());
        async move {
            while !client.head().await.is_empty() {
                client.send(format!("HTTP/1.1 302 Found\r\n{line}\r\nContent-Length: 0\r\n\r\n")).await;
            }
        }
    })
    .await
}

/// What becomes of a line under `base`; the client asks `host` for `/login`.
async fn mapped(line: &str, base: &str, change: impl FnOnce(&mut ProxySettings)) -> String {
    let site = says(line).await;
    let mut settings = ProxySettings::new(format!("http://{site}{base}"));
    change(&mut settings);
    let served = Served::start(settings);
    let mut client = served.connect().await;
    client.send("GET /login HTTP/1.1\r\nHost: www.site.test\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    let name = line.split(':').next().unwrap();
    let found = head.lines().find_map(|found| {
        let (found, value) = found.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    });
    found.unwrap_or_else(|| panic!("{line:?} became {head:?}")).replace(&site.port().to_string(), "{port}")
}

async fn check(base: &str, cases: &[(&str, &str)]) {
    for (said, expected) in cases {
        for name in ["Location", "Content-Location"] {
            let got = mapped(&format!("{name}: {said}"), base, |_| {}).await;
            assert_eq!(got, *expected, "{name}: {said:?} under {base:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_names_itself_is_where_the_client_asked() {
    check(
        "",
        &[
            ("http://127.0.0.1:{port}/login?a=b#c", "/login?a=b#c"),
            ("HTTP://127.0.0.1:{port}", "/"),
            ("http://127.0.0.1:{port}?a", "/?a"),
            ("http://localhost:{port}/x", "/x"),
            ("http://LOCALHOST:{port}/x", "/x"),
            ("http://[::1]:{port}/x", "/x"),
            ("https://127.0.0.1:{port}/x", "/x"),
            ("//127.0.0.1:{port}/x", "/x"),
            ("http://127.0.0.1:{port}/a:b@c", "/a:b@c"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_names_somebody_else_stays() {
    let cases = [
        "http://127.0.0.1:1/x",
        "http://127.0.0.1/x",
        "http://127.0.0.1:{port}0/x",
        "http://127.0.0.1:{port}.evil.test/x",
        "http://127.0.0.1:{port}@evil.test/x",
        "http://user@127.0.0.1:{port}/x",
        "https://sso.test/?back=http://127.0.0.1:{port}/x",
        "http://www.site.test/x",
        "/x",
        "x/y",
        "?q",
        "#f",
        "mailto:a@b.test",
        "",
    ];
    let same: Vec<(&str, &str)> = cases.iter().filter(|said| !said.is_empty()).map(|said| (*said, *said)).collect();
    check("", &same).await;
}

#[tokio::test]
async fn a_path_that_looks_like_a_host_is_no_host() {
    check(
        "",
        &[
            ("http://127.0.0.1:{port}//evil.test/", "/.//evil.test/"),
            ("http://127.0.0.1:{port}/\\evil.test/", "/./\\evil.test/"),
            ("http://127.0.0.1:{port}/\t/evil.test/", "/./\t/evil.test/"),
        ],
    )
    .await;
    check("/app", &[("/app//evil.test/", "/.//evil.test/"), ("/app/\\evil.test", "/./\\evil.test")]).await;
}

#[tokio::test]
async fn a_base_path_is_taken_off_again() {
    check(
        "/app",
        &[
            ("/app/login", "/login"),
            ("/app", "/"),
            ("/app/", "/"),
            ("/app?a=/app/b", "/?a=/app/b"),
            ("/app#f", "/#f"),
            ("/apple/login", "/apple/login"),
            ("/other", "/other"),
            ("/", "/"),
            ("login", "login"),
            ("http://127.0.0.1:{port}/app/login", "/login"),
            ("http://127.0.0.1:{port}/other", "/other"),
            ("http://www.site.test/app/login", "http://www.site.test/login"),
            ("https://www.site.test/app", "https://www.site.test/"),
            ("http://WWW.site.test/app?x", "http://WWW.site.test/?x"),
            ("//www.site.test/app/x", "//www.site.test/x"),
            ("http://other.test/app/login", "http://other.test/app/login"),
        ],
    )
    .await;
    check("/a/b/", &[("/a/b/c", "/c"), ("/a/c", "/a/c")]).await;
}

#[tokio::test]
async fn a_refresh_is_mapped_like_a_location() {
    for (base, said, expected) in [
        ("", "0; url=http://127.0.0.1:{port}/y", "0; url=/y"),
        ("", "5;URL='http://127.0.0.1:{port}/y'", "5;URL='/y'"),
        ("", "5, Url = \"http://127.0.0.1:{port}/y\"", "5, Url = \"/y\""),
        ("", "0; http://127.0.0.1:{port}/y", "0; /y"),
        ("", "30", "30"),
        ("", "0; url=https://other.test/", "0; url=https://other.test/"),
        ("/app", "0; url=/app/y", "0; url=/y"),
        ("/app", "0; url='/app/y' ", "0; url='/y'"),
        ("/app", "1.5;url=/app", "1.5;url=/"),
        ("/app", "/app/y", "/app/y"),
    ] {
        assert_eq!(mapped(&format!("Refresh: {said}"), base, |_| {}).await, expected, "{said:?} under {base:?}");
    }
}

#[tokio::test]
async fn cookies_are_where_the_client_sees_the_site() {
    for (base, said, expected) in [
        ("/app", "sid=1; Path=/app", "sid=1; Path=/"),
        ("/app", "sid=1; path=/app/; HttpOnly", "sid=1; path=/; HttpOnly"),
        ("/app", "sid=1;PATH = /app/x ;Secure", "sid=1;PATH = /x ;Secure"),
        ("/app", "sid=1; Path=\"/app\"", "sid=1; Path=\"/app\""),
        ("/app", "sid=1; Path=/apple", "sid=1; Path=/apple"),
        ("/app", "sid=1; Path=/", "sid=1; Path=/"),
        ("/app", "path=/app; Path=/app", "path=/app; Path=/"),
        ("/app", "sid=1; Path=/app; Path=/app/b", "sid=1; Path=/; Path=/b"),
        ("", "sid=1; Path=/app", "sid=1; Path=/app"),
        ("", "sid=1; Domain=127.0.0.1; Path=/", "sid=1; Path=/"),
        ("", "sid=1;domain=localhost", "sid=1"),
        ("", "sid=1; Domain=.LocalHost; Secure", "sid=1; Secure"),
        ("", "sid=1; Domain=site.test", "sid=1; Domain=site.test"),
        ("", "domain=localhost; Path=/", "domain=localhost; Path=/"),
        ("", "sid=a b,c\"; Domain=127.0.0.1", "sid=a b,c\""),
    ] {
        assert_eq!(mapped(&format!("Set-Cookie: {said}"), base, |_| {}).await, expected, "{said:?} under {base:?}");
    }
}

#[tokio::test]
async fn several_cookies_keep_their_order() {
    let site = says("Set-Cookie: a=1; Path=/app\r\nSet-Cookie: b=2\r\nSet-Cookie: c=3; Path=/app/c").await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(header(&client.head().await, "set-cookie").as_deref(), Some("a=1; path=/app | b=2 | c=3; path=/app/c"));
    let served = Served::start(ProxySettings::new(format!("http://{site}/app")));
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(header(&client.head().await, "set-cookie").as_deref(), Some("a=1; path=/ | b=2 | c=3; path=/c"));
}

#[tokio::test]
async fn an_upstream_that_is_told_its_own_host_names_itself() {
    let own = |settings: &mut ProxySettings| settings.host = HostHeader::Upstream;
    assert_eq!(mapped("Location: http://127.0.0.1:{port}/app/x", "/app", own).await, "/x");
}

#[tokio::test]
async fn a_client_that_asks_for_the_upstreams_own_name_is_told_nothing_new() {
    // As with one name for both, inside and outside.
    let site = says("Location: http://localhost:{port}/x").await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", site.port())).await;
    assert_eq!(header(&client.head().await, "location"), Some(format!("http://localhost:{}/x", site.port())));
}

#[tokio::test]
async fn a_cookie_for_the_clients_own_domain_stays() {
    let site = says("Set-Cookie: a=1; Domain=localhost\r\nSet-Cookie: b=2; Domain=127.0.0.1").await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: www.localhost:8080\r\n\r\n").await;
    assert_eq!(header(&client.head().await, "set-cookie").as_deref(), Some("a=1; domain=localhost | b=2"));
}

#[tokio::test]
async fn an_upstream_known_by_name_may_name_its_address() {
    let site = says("Location: http://127.0.0.1:{port}/x").await;
    let served = Served::start(ProxySettings::new(format!("http://localhost:{}", site.port())));
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(header(&client.head().await, "location").as_deref(), Some("/x"));
}

#[tokio::test]
async fn nothing_is_mapped_where_that_is_switched_off() {
    let off = |settings: &mut ProxySettings| settings.map_back = false;
    for line in [
        "Location: http://127.0.0.1:{port}/app/login",
        "Content-Location: /app/x",
        "Refresh: 0; url=/app/x",
        "Set-Cookie: sid=1; Path=/app; Domain=127.0.0.1",
    ] {
        let value = line.split_once(": ").unwrap().1;
        assert_eq!(mapped(line, "/app", off).await, value);
    }
}
