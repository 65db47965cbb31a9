//! Whether a request may come here at all, whoever sends it: under our own name, not through a proxy that nobody named, and
//! not from a page of another site that found out the port.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use visitlog_core::Host;

/// What proxies add. Through one that nobody named, as when somebody makes a site's server ask this address, nothing is
/// answered.
const PROXIED: [&str; 7] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "visitlog-session"];

/// How a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// From this machine, without TLS.
    Here,
    /// Through the proxy that ends TLS.
    ByProxy,
}

/// Why a request may not come: a stable code, and words.
pub(super) type Stray = (&'static str, &'static str);

/// How a request has come, or why it may not.
pub(super) fn judge(
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    address: IpAddr,
    names: &[Host],
) -> Result<Reached, Stray> {
    let reached = reached(uri, headers, address, names)?;
    same_site(method, uri, headers)?;
    Ok(reached)
}

fn reached(uri: &Uri, headers: &HeaderMap, address: IpAddr, names: &[Host]) -> Result<Reached, Stray> {
    const WRONG: Stray = ("wrong_host", "this address answers to its own name only");
    let named = only(headers, &header::HOST).ok_or(WRONG)?;
    if uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(named)) {
        return Err(WRONG);
    }
    let host = Host::new(named);
    if names.contains(&host) {
        return Ok(Reached::ByProxy);
    }
    let ip = host.as_str().parse::<IpAddr>();
    if host.as_str() != "localhost" && !ip.is_ok_and(|named| named == address || named.is_loopback()) {
        return Err(WRONG);
    }
    if PROXIED.iter().any(|name| headers.contains_key(*name)) {
        return Err(("proxied", "this came through a proxy; one that may is named when the server is started"));
    }
    Ok(Reached::Here)
}

/// By Fetch Metadata, where the browser sends it, else by `Origin`. Programs send neither.
fn same_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Stray> {
    const CROSS: Stray = ("cross_site", "pages of other sites may not ask here");
    let site = HeaderName::from_static("sec-fetch-site");
    if headers.contains_key(&site) {
        return match only(headers, &site) {
            Some("same-origin" | "none") => Ok(()),
            // A link that leads here: it shows a page, and pages do nothing by being shown.
            Some(_) if is_navigation(method, uri, headers) => Ok(()),
            _ => Err(CROSS),
        };
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = only(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
        let is_own = origin.is_some_and(|(_, host)| Some(host) == only(headers, &header::HOST));
        return if is_own { Ok(()) } else { Err(CROSS) };
    }
    Ok(())
}

fn is_navigation(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let says = |name: &'static str, value| only(headers, &HeaderName::from_static(name)) == Some(value);
    method == Method::GET
        && !uri.path().starts_with("/api/")
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// Whether a request says where it comes from, as those of browsers do.
pub(super) fn is_said(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN)
}

/// A header's value, if it is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Who is behind the named proxy: what that has added to `X-Forwarded-For`, which is the last.
pub(super) fn client_by_proxy(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn judged(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Reached, &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        let method: Method = method.parse().expect("a method");
        let uri: Uri = uri.parse().expect("a target");
        judge((&method, &uri, &map), IP, &[Host::new("admin.example.com")]).map_err(|(code, _)| code)
    }

    #[test]
    fn only_own_names_are_answered_to() {
        for host in ["127.0.0.1:8090", "localhost:8090", "LOCALHOST", "[::1]:8090"] {
            assert_eq!(judged("GET", "/", &[("host", host)]), Ok(Reached::Here), "{host}");
        }
        assert_eq!(judged("GET", "/", &[("host", "Admin.example.com")]), Ok(Reached::ByProxy));
        for host in ["", "evil.example:8090", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example", "0.0.0.0"]
        {
            assert_eq!(judged("GET", "/", &[("host", host)]), Err("wrong_host"), "{host}");
        }
        assert_eq!(judged("GET", "/", &[]), Err("wrong_host"));
        assert_eq!(judged("GET", "/", &[("host", "localhost"), ("host", "localhost")]), Err("wrong_host"));
        assert_eq!(judged("GET", "http://evil.example/", &[("host", "localhost")]), Err("wrong_host"));
    }

    #[test]
    fn a_page_of_another_site_learns_nothing() {
        let from = |site| judged("GET", "/api/v1/visits", &[("host", "localhost"), ("sec-fetch-site", site)]);
        assert_eq!((from("same-origin"), from("none")), (Ok(Reached::Here), Ok(Reached::Here)));
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert_eq!(from(site), Err("cross_site"), "{site}");
        }
        let origin = |origin| judged("POST", "/api/v1/erase", &[("host", "127.0.0.1:8090"), ("origin", origin)]);
        assert_eq!(origin("http://127.0.0.1:8090"), Ok(Reached::Here));
        for other in ["http://127.0.0.1:8080", "http://localhost:8090", "null", "http://evil.example", ""] {
            assert_eq!(origin(other), Err("cross_site"), "{other}");
        }
    }

    #[test]
    fn a_link_may_lead_to_a_page_and_to_nothing_else() {
        let link = [
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(judged("GET", "/", &link), Ok(Reached::Here));
        assert_eq!(judged("POST", "/setup", &link), Err("cross_site"));
        assert_eq!(judged("GET", "/api/v1/export?user=ann", &link), Err("cross_site"));
        let frame = [link[0], link[1], link[2], ("sec-fetch-dest", "iframe")];
        assert_eq!(judged("GET", "/", &frame), Err("cross_site"));
    }

    #[test]
    fn a_proxy_that_nobody_named_gets_nothing() {
        for name in PROXIED {
            assert_eq!(judged("GET", "/healthz", &[("host", "127.0.0.1:8090"), (name, "x")]), Err("proxied"), "{name}");
        }
        let named = [("host", "admin.example.com"), ("x-forwarded-for", "10.0.0.1, 192.0.2.7")];
        assert_eq!(judged("GET", "/", &named), Ok(Reached::ByProxy));
    }
}
