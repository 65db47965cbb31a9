//! What a site's owner may set about the proxy.

use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::uri::{Scheme, Uri};
use ipnet::IpNet;
use visitlog_tower::client::{ForwardedBy, TrustedProxies};

use super::error::SettingsError;
use super::names::TOKEN_BYTES;
use crate::tally::Tallies;

/// The proxy's settings. [`ProxySettings::new`] fills in the defaults.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Where requests go: `http://host:port`, with an optional base path that is put before each request's path.
    pub upstream: String,
    /// Peers that are believed when they say for whom they ask: `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` are kept
    /// and added to, and headers with the client's address (`X-Real-IP`, ...) are kept where they agree. From anybody else
    /// all headers of the kind are dropped and set anew. Empty by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Further headers of the kind that the trusted proxies write, such as `X-Forwarded-Prefix`: they are passed on.
    /// Whatever a proxy does not write itself, its clients can. Empty by default.
    pub trusted_headers: Vec<HeaderName>,
    /// What is counted of requests that are refused, and of headers that are not believed.
    pub tallies: Arc<Tallies>,
    /// Which headers tell the upstream about the client.
    pub forwarded: ForwardedStyle,
    /// What the upstream sees as `Host`.
    pub host: HostHeader,
    /// The name under which this proxy adds itself to `Via`, in both directions; `None` (the default) adds nothing.
    pub via: Option<String>,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// Idle upstream connections kept for reuse, in each pool (one pool per worker), and as many again for the clients
    /// that sent bodies on them. Default 64.
    pub idle_connections_max: usize,
    /// An upstream connection idle for longer is closed; sooner if the upstream says by `Keep-Alive: timeout` that it
    /// would close it. Default 4 s: below the keep-alive time of common servers, of which Node.js has the shortest
    /// (5 s).
    pub idle_connection_timeout: Duration,
    /// Where an answer names the upstream itself, or the base path (`Location`, `Content-Location`, `Refresh`, a
    /// cookie's `Path` and `Domain`), the client is told where that is for it. Default on.
    pub map_back: bool,
}

impl ProxySettings {
    /// The defaults for an upstream.
    pub fn new(upstream: impl Into<String>) -> Self {
        Self {
            upstream: upstream.into(),
            trusted_proxies: Vec::new(),
            trusted_headers: Vec::new(),
            tallies: Arc::default(),
            forwarded: ForwardedStyle::XForwarded,
            host: HostHeader::Keep,
            via: None,
            timeouts: Timeouts::default(),
            idle_connections_max: 64,
            idle_connection_timeout: Duration::from_secs(4),
            map_back: true,
        }
    }
}

/// How long each step of a forwarded request may take.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// To connect to the upstream. Default 5 s; then 502.
    pub connect: Duration,
    /// Without any progress until the upstream's response head. A moving upload is progress. Default 60 s; then 504,
    /// or 408 where it was the client's upload that stood still.
    pub response_head: Duration,
    /// Between two pieces of the response's body. Default 60 s; then the response is cut off, for it has begun.
    pub idle_body: Duration,
    /// How long an upload with `Expect: 100-continue` waits for the upstream's word before it is let through anyway
    /// (RFC 9110, 10.1.1: an old upstream never sends one). Default 1 s.
    pub expect_continue: Duration,
    /// After an answer that came before the upload was through, how long that is read on and thrown away, so that the
    /// answer reaches a client that sends still. Default 30 s; 5 s without a byte end it too.
    pub unwanted_upload: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response_head: Duration::from_secs(60),
            idle_body: Duration::from_secs(60),
            expect_continue: Duration::from_secs(1),
            unwanted_upload: Duration::from_secs(30),
        }
    }
}

/// Which headers tell the upstream about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
    /// The same, and `Forwarded` (RFC 7239) of the same hops.
    Both,
}

/// What the upstream sees as `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client sent. An HTTP/1.0 request without one gets the upstream's.
    Keep,
    /// The upstream's own host and port.
    Upstream,
}

/// The settings after validation, as the service uses them.
#[derive(Debug)]
pub(crate) struct Validated {
    pub(crate) target: Target,
    /// `host[:port]` of the upstream.
    pub(crate) authority: HeaderValue,
    /// Without a trailing slash; empty when there is none.
    pub(crate) base_path: String,
    pub(crate) proxies: TrustedProxies,
    pub(crate) trusted_headers: Vec<HeaderName>,
    pub(crate) tallies: Arc<Tallies>,
    /// Names this proxy to itself, should its own request come back to it.
    pub(crate) token: HeaderValue,
    pub(crate) forwarded: ForwardedStyle,
    pub(crate) host: HostHeader,
    pub(crate) via: Option<HeaderValue>,
    pub(crate) timeouts: Timeouts,
    pub(crate) idle_connections_max: usize,
    pub(crate) idle_connection_timeout: Duration,
    pub(crate) map_back: bool,
}

/// Where to connect to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A literal address.
    Address(SocketAddr),
    /// A name, resolved at each connect.
    Name(String, u16),
}

impl Target {
    /// Whether it is what listens on this address of this machine.
    pub(crate) fn is(&self, listens: SocketAddr) -> bool {
        let is = |target: SocketAddr| {
            let ip = target.ip().to_canonical();
            // A connection to the unspecified address goes to this machine.
            let same = ip == listens.ip().to_canonical() || ip.is_unspecified();
            // Whoever listens on all addresses listens on each that can be bound.
            let all = listens.ip().is_unspecified() && UdpSocket::bind((ip, 0)).is_ok();
            target.port() == listens.port() && (same || all)
        };
        match self {
            Self::Address(address) => is(*address),
            Self::Name(name, port) => (name.as_str(), *port).to_socket_addrs().is_ok_and(|mut found| found.any(is)),
        }
    }
}

impl Validated {
    pub(crate) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.proxies.contains(peer))
    }
}

impl TryFrom<ProxySettings> for Validated {
    type Error = SettingsError;

    fn try_from(raw: ProxySettings) -> Result<Self, SettingsError> {
        let bad = |reason| SettingsError::Upstream { upstream: raw.upstream.clone(), reason };
        let uri: Uri = raw.upstream.parse().map_err(|_| bad("not a URL"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(bad("expected http://host:port"));
        }
        let authority = uri.authority().ok_or_else(|| bad("no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a user name or password has no place here"));
        }
        if uri.query().is_some() || raw.upstream.contains('#') {
            return Err(bad("a query or fragment has no place here"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(bad("no host"));
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => 80,
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .filter(|port| *port > 0)
                .ok_or_else(|| bad("the port is not a number from 1 to 65535"))?,
            None => return Err(bad("no host")),
        };
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let target = match literal.parse::<IpAddr>() {
            Ok(ip) => Target::Address(SocketAddr::new(ip, port)),
            Err(_) => Target::Name(host.to_owned(), port),
        };
        let via = match &raw.via {
            None => None,
            Some(name) if !name.is_empty() && name.bytes().all(is_via_byte) => Some(
                HeaderValue::from_str(&format!("1.1 {name}")).map_err(|_| SettingsError::Via { name: name.clone() })?,
            ),
            Some(name) => return Err(SettingsError::Via { name: name.clone() }),
        };
        Ok(Self {
            target,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad("the host is not a header value"))?,
            base_path: uri.path().trim_end_matches('/').to_owned(),
            proxies: TrustedProxies::new(raw.trusted_proxies, ForwardedBy::XForwardedFor),
            trusted_headers: raw.trusted_headers,
            tallies: raw.tallies,
            token: token(),
            forwarded: raw.forwarded,
            host: raw.host,
            via,
            timeouts: raw.timeouts,
            idle_connections_max: raw.idle_connections_max,
            idle_connection_timeout: raw.idle_connection_timeout,
            map_back: raw.map_back,
        })
    }
}

/// Random, but no secret: nothing opens by it.
fn token() -> HeaderValue {
    let random = std::hash::RandomState::new().hash_one(std::process::id());
    HeaderValue::from_str(&format!("{random:0TOKEN_BYTES$x}")).unwrap_or_else(|_| HeaderValue::from_static("visitlog"))
}

fn is_via_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(upstream: &str) -> Result<Validated, SettingsError> {
        Validated::try_from(ProxySettings::new(upstream))
    }

    #[test]
    fn upstreams_that_are_understood() {
        let plain = check("http://127.0.0.1:3000").expect("a plain address");
        assert!(matches!(plain.target, Target::Address(address) if address.port() == 3000));
        assert_eq!((plain.base_path.as_str(), plain.authority.as_bytes()), ("", &b"127.0.0.1:3000"[..]));
        let named = check("http://app.test/base/").expect("a name with a base path");
        assert!(matches!(&named.target, Target::Name(name, 80) if name == "app.test"));
        assert_eq!(named.base_path, "/base");
        let six = check("http://[::1]:81").expect("an IPv6 address");
        assert!(matches!(six.target, Target::Address(address) if address.is_ipv6()));
    }

    #[test]
    fn upstreams_that_are_refused() {
        for upstream in ["", "127.0.0.1:3000", "https://a", "http://u:p@a", "http://a/?q", "http://a/#f", "http://a:x"]
        {
            assert!(check(upstream).is_err(), "{upstream} was taken");
        }
    }

    #[test]
    fn an_upstream_that_is_the_server_itself() {
        for (upstream, listens, itself) in [
            ("http://127.0.0.1:81", "127.0.0.1:81", true),
            ("http://127.0.0.1:81", "127.0.0.1:82", false),
            ("http://127.0.0.2:81", "127.0.0.1:81", false),
            ("http://127.0.0.2:81", "0.0.0.0:81", true),
            ("http://192.0.2.1:81", "0.0.0.0:81", false),
            ("http://0.0.0.0:81", "127.0.0.1:81", true),
            ("http://[::ffff:127.0.0.1]:81", "127.0.0.1:81", true),
            ("http://localhost:81", "127.0.0.1:81", true),
            ("http://localhost:81", "0.0.0.0:81", true),
            ("http://nowhere.invalid:81", "0.0.0.0:81", false),
        ] {
            let settings = check(upstream).expect("an upstream");
            assert_eq!(settings.target.is(listens.parse().expect("an address")), itself, "{upstream} and {listens}");
        }
    }

    #[test]
    fn a_via_name_is_a_token() {
        let mut settings = ProxySettings::new("http://127.0.0.1:1");
        settings.via = Some("a b".into());
        assert!(matches!(Validated::try_from(settings), Err(SettingsError::Via { .. })));
    }

    #[test]
    fn a_mapped_address_is_the_same_peer() {
        let mut settings = ProxySettings::new("http://127.0.0.1:1");
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        let settings = Validated::try_from(settings).expect("settings");
        assert!(settings.trusts(Some("::ffff:10.1.2.3".parse().expect("an address"))));
        assert!(!settings.trusts(Some("11.1.2.3".parse().expect("an address"))));
        assert!(!settings.trusts(None));
    }
}
