//! Who the client is: its address and scheme, as far as those who report them are trusted.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use ipnet::IpNet;
use visitlog_core::Host;

use crate::noted::Noted;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of the connection's other end. A server puts it into a request's extensions; axum's
/// `ConnectInfo<SocketAddr>` is understood too, with the feature `axum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The connection was encrypted (TLS). A server that terminates TLS puts it into a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls;

/// Which header the trusted proxies write. The other one is never looked at: a proxy passes on what it doesn't know,
/// so that a client could write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedBy {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Who asks, and how, as far as those who report it are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Whether the client's connection is encrypted.
    pub over_tls: bool,
    /// The host that the client asked for.
    pub host: Host,
}

impl Client {
    /// Of a request that came from this other end of a connection. `encrypted`: whether that connection is.
    pub fn of<B>(request: &Request<B>, peer: Option<IpAddr>, encrypted: bool, trusted: &TrustedProxies) -> Self {
        Self::noted(request.uri(), &Noted::of(request.headers()), peer, encrypted, trusted)
    }

    /// The same, by what was noted of the headers.
    pub(crate) fn noted(
        uri: &Uri,
        noted: &Noted<'_>,
        peer: Option<IpAddr>,
        encrypted: bool,
        trusted: &TrustedProxies,
    ) -> Self {
        let headers = noted.headers;
        let Some(peer) = peer.filter(|peer| trusted.contains(*peer)) else {
            let host = host_of(uri, noted);
            return Self { address: peer.map(|peer| peer.to_canonical()), over_tls: encrypted, host };
        };
        Self {
            address: Some(trusted.client(peer, headers)),
            over_tls: encrypted || trusted.over_tls(peer, headers) == Some(true),
            host: trusted.host(peer, headers).unwrap_or_else(|| host_of(uri, noted)),
        }
    }
}

/// The host of an absolute URI, which HTTP/2 always has; else the `Host` header.
fn host_of(uri: &Uri, noted: &Noted<'_>) -> Host {
    match uri.authority() {
        Some(authority) => host_before(authority.as_str().rsplit('@').next().unwrap_or_default().as_bytes()),
        None => host_before(noted.host.map_or(b"", HeaderValue::as_bytes)),
    }
}

thread_local! {
    /// What the request before named as its host, and what that was made to be: most requests name the same.
    static HOST_BEFORE: RefCell<Option<(Box<[u8]>, Host)>> = const { RefCell::new(None) };
}

fn host_before(named: &[u8]) -> Host {
    HOST_BEFORE.with_borrow_mut(|before| match before {
        Some((same, host)) if **same == *named => host.clone(),
        _ => before.insert((named.into(), Host::new(&String::from_utf8_lossy(named)))).1.clone(),
    })
}

/// The proxies that are believed when they say for whom they ask. By default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    by: ForwardedBy,
}

impl TrustedProxies {
    /// These networks, and the header that they write.
    pub fn new(networks: impl IntoIterator<Item = IpNet>, by: ForwardedBy) -> Self {
        Self { networks: networks.into_iter().collect(), by }
    }

    /// Whether an address is one of theirs.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: from the connection's end backwards along the reported hops, the first one that is not a
    /// trusted proxy. A hop that hides itself (`unknown`, `_name`) or is garbage ends the way: then it is the address of
    /// the proxy that reported it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer.to_canonical();
        if !self.contains(address) {
            return address;
        }
        let name = match self.by {
            ForwardedBy::XForwardedFor => X_FORWARDED_FOR,
            ForwardedBy::Forwarded => FORWARDED,
        };
        for value in rev_values(headers, &name) {
            for element in RevElements::new(value.as_bytes()) {
                let reported = match self.by {
                    ForwardedBy::XForwardedFor => parse_node(element),
                    ForwardedBy::Forwarded => pair(element, "for").and_then(parse_node),
                };
                let Some(hop) = reported else { return address };
                address = hop;
                if !self.contains(address) {
                    return address;
                }
            }
        }
        address
    }

    /// Whether the client's connection was encrypted, as the proxy that we talk with says; `None` where it is not
    /// trusted or doesn't say.
    pub fn over_tls(&self, peer: IpAddr, headers: &HeaderMap) -> Option<bool> {
        if !self.contains(peer) {
            return None;
        }
        let name = match self.by {
            ForwardedBy::XForwardedFor => X_FORWARDED_PROTO,
            ForwardedBy::Forwarded => FORWARDED,
        };
        let element = RevElements::new(rev_values(headers, &name).next()?.as_bytes()).next()?;
        let scheme = match self.by {
            ForwardedBy::XForwardedFor => element,
            ForwardedBy::Forwarded => pair(element, "proto")?,
        };
        Some(scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss"))
    }
}

impl TrustedProxies {
    /// The host that the client asked for, as the proxy that we talk with says; `None` where it is not trusted or doesn't
    /// say.
    pub fn host(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Host> {
        if !self.contains(peer) {
            return None;
        }
        let name = match self.by {
            ForwardedBy::XForwardedFor => X_FORWARDED_HOST,
            ForwardedBy::Forwarded => FORWARDED,
        };
        let element = RevElements::new(rev_values(headers, &name).next()?.as_bytes()).next()?;
        let host = match self.by {
            ForwardedBy::XForwardedFor => element,
            ForwardedBy::Forwarded => pair(element, "host")?,
        };
        (!host.is_empty()).then(|| Host::new(&String::from_utf8_lossy(host)))
    }
}

/// What of an address tells clients apart: all of an IPv4 address, the network (/64) of an IPv6 one, which a client
/// changes within at will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressGroup {
    /// Nobody knows.
    Unknown,
    /// The address.
    V4([u8; 4]),
    /// The first 64 bits.
    V6([u8; 8]),
}

impl AddressGroup {
    /// The group of an address.
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(v4)) => Self::V4(v4.octets()),
            Some(IpAddr::V6(v6)) => {
                let mut network = [0; 8];
                network.copy_from_slice(&v6.octets()[..8]);
                Self::V6(network)
            }
        }
    }

    pub(crate) fn bytes(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        match self {
            Self::Unknown => {}
            Self::V4(v4) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&v4);
            }
            Self::V6(network) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&network);
            }
        }
        bytes
    }
}

fn rev_values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter().rev()
}

/// The elements of a comma-separated list, from the right. A comma within double quotes separates nothing; quotes are
/// paired from the right too, so that a client's open quote can't swallow what the proxy wrote behind it. A quote behind
/// a backslash is part of a quoted text.
struct RevElements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> RevElements<'a> {
    const fn new(value: &'a [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for RevElements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        for (index, byte) in rest.iter().enumerate().rev() {
            match byte {
                b'"' if !is_escaped(&rest[..index]) => quoted = !quoted,
                b',' if !quoted => {
                    self.rest = Some(&rest[..index]);
                    return Some(rest[index + 1..].trim_ascii());
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(rest.trim_ascii())
    }
}

/// Whether what follows these bytes is escaped: behind an odd number of backslashes.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The value of a pair in an element of `Forwarded`, its quotes taken off. A semicolon within quotes separates nothing:
/// the `host` that proxies pass on is the client's word. Escapes are left: none of the values that matters has one.
fn pair<'a>(element: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut rest = Some(element);
    while let Some(pairs) = rest {
        let end = pair_end(pairs);
        rest = pairs.get(end + 1..);
        let Some(at) = pairs[..end].iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (pairs[..at].trim_ascii(), pairs[at + 1..end].trim_ascii());
        if name.eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
        }
    }
    None
}

/// Where the first of these pairs ends.
fn pair_end(pairs: &[u8]) -> usize {
    let mut quoted = false;
    for (index, byte) in pairs.iter().enumerate() {
        match byte {
            b'"' if !is_escaped(&pairs[..index]) => quoted = !quoted,
            b';' if !quoted => return index,
            _ => {}
        }
    }
    pairs.len()
}

/// An address with or without a port; an IPv6 one with or without brackets. What hides itself is none.
fn parse_node(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(node).ok()?;
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !(port.is_empty() || port.starts_with(':')) {
            return None;
        }
        return address.parse::<std::net::Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical());
    }
    let (address, _port) = node.rsplit_once(':')?;
    address.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proxies(by: ForwardedBy) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:ff::/48"].map(|network| network.parse().expect("a network"));
        TrustedProxies::new(networks, by)
    }

    fn client(by: ForwardedBy, peer: &str, lines: &[&str]) -> String {
        let name = if by == ForwardedBy::Forwarded { "forwarded" } else { "x-forwarded-for" };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).expect("a header value"));
        }
        proxies(by).client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn x_forwarded_for() {
        let by = ForwardedBy::XForwardedFor;
        for (peer, lines, expected) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::5]:4711"], "2001:db8::5"),
            ("10.0.0.1", &["2001:db8::5"], "2001:db8::5"),
            ("2001:db8:ff::1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, "], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, rubbish, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["\"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(client(by, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded() {
        let by = ForwardedBy::Forwarded;
        for (lines, expected) in [
            (&["for=203.0.113.9"][..], "203.0.113.9"),
            (&["For=\"203.0.113.9:4711\"; proto=https;by=10.0.0.1"], "203.0.113.9"),
            (&["for=1.1.1.1, for=203.0.113.9;host=\"a, b\""], "203.0.113.9"),
            (&["for=\"[2001:db8::17]:4711\""], "2001:db8::17"),
            (&["for=\"[2001:DB8::17]\""], "2001:db8::17"),
            (&["for=203.0.113.9, for=_hidden"], "10.0.0.1"),
            (&["for=203.0.113.9, for=unknown"], "10.0.0.1"),
            (&["for=203.0.113.9, proto=https"], "10.0.0.1"),
            (&["for=203.0.113.9", "for=10.0.0.2"], "203.0.113.9"),
            (&["for=\"x, for=203.0.113.9"], "203.0.113.9"),
            (&["for=\"[2001:db8::17]x\""], "10.0.0.1"),
            // Proxies pass on the host that the client asked for, quoted.
            (&[r#"host="a;for=9.9.9.9";for=203.0.113.9"#], "203.0.113.9"),
            (&[r#"host="a\";for=9.9.9.9;x=\"";for=203.0.113.9"#], "203.0.113.9"),
            (&[r#"for=203.0.113.9;host="a\", for=9.9.9.9;x=\"""#], "203.0.113.9"),
            (&[r#"for=203.0.113.9;host="a\\""#], "203.0.113.9"),
        ] {
            assert_eq!(client(by, "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_the_header_of_the_settings_counts() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, HeaderValue::from_static("for=203.0.113.9;proto=https"));
        let peer = "10.0.0.1".parse().expect("an address");
        assert_eq!(proxies(ForwardedBy::XForwardedFor).client(peer, &headers), peer);
        assert_eq!(proxies(ForwardedBy::XForwardedFor).over_tls(peer, &headers), None);
        assert_eq!(proxies(ForwardedBy::Forwarded).over_tls(peer, &headers), Some(true));
    }

    #[test]
    fn the_host_is_the_nearest_proxys_if_it_is_trusted() {
        let client = |by, peer: &str, lines: &[(&'static str, &'static str)]| {
            let mut request = Request::get("/").header("host", "internal.lb:8080");
            for (name, value) in lines {
                request = request.header(*name, *value);
            }
            let peer = peer.parse().expect("an address");
            Client::of(&request.body(()).expect("a request"), Some(peer), false, &proxies(by)).host.to_string()
        };
        let said = [("x-forwarded-host", "Shop.Example:443"), ("forwarded", "for=1.2.3.4;host=\"other.example\"")];
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.0.0.1", &said), "shop.example");
        assert_eq!(client(ForwardedBy::Forwarded, "10.0.0.1", &said), "other.example");
        assert_eq!(client(ForwardedBy::XForwardedFor, "192.0.2.1", &said), "internal.lb", "a stranger is not believed");
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.0.0.1", &[]), "internal.lb");
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.0.0.1", &[("x-forwarded-host", "a, b")]), "b");
        assert_eq!(client(ForwardedBy::XForwardedFor, "10.0.0.1", &[("x-forwarded-host", "")]), "internal.lb");
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https, HTTP"));
        let proxies = proxies(ForwardedBy::XForwardedFor);
        assert_eq!(proxies.over_tls("10.0.0.1".parse().expect("an address"), &headers), Some(false));
        assert_eq!(proxies.over_tls("192.0.2.1".parse().expect("an address"), &headers), None);
    }

    proptest! {
        #[test]
        fn a_stranger_is_never_believed(line in "[ -~]{0,80}", forwarded in any::<bool>()) {
            let by = if forwarded { ForwardedBy::Forwarded } else { ForwardedBy::XForwardedFor };
            prop_assert_eq!(client(by, "192.0.2.1", &[&line]), "192.0.2.1");
        }

        #[test]
        fn what_a_client_sends_changes_nothing_behind_the_proxy(line in "[ -~]{0,80}", forwarded in any::<bool>()) {
            // The proxy adds the client that it saw, on the same line or on one of its own.
            let (by, seen) = match forwarded {
                true => (ForwardedBy::Forwarded, "for=203.0.113.9"),
                false => (ForwardedBy::XForwardedFor, "203.0.113.9"),
            };
            prop_assert_eq!(client(by, "10.0.0.1", &[&format!("{line}, {seen}")]), "203.0.113.9");
            prop_assert_eq!(client(by, "10.0.0.1", &[&line, seen]), "203.0.113.9");
        }
    }
}
