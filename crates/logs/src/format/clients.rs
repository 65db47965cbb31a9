//! Where a row says who its client is, when there are proxies in front of the server.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::column::{Common, Meaning};

/// Headers in which proxies tell whom they speak for, without what people put between words; better ones first.
const FORWARDED: [&str; 7] =
    ["xforwardedfor", "forwardedfor", "forwarded", "xrealip", "cfconnectingip", "trueclientip", "xclientip"];

/// Which fields of a log tell the client, and whose word is believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clients {
    /// These fields, the first one that tells an address; where none does, what the log itself takes for the client.
    /// Default: the log's client, and where that one is a proxy, whom it speaks for (`X-Forwarded-For` and the like).
    pub fields: Vec<String>,
    /// The proxies that are believed: of the addresses in a list the client is then the last one that is no proxy's.
    /// Default: those of private networks, of whose list it is the first public one.
    pub trusted: Vec<IpNet>,
}

/// The fields of a layout that tell the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// That were asked for.
    pub(crate) asked: Vec<u16>,
    /// That proxies write.
    pub(crate) forwarded: Vec<u16>,
    pub(crate) trusted: Arc<[IpNet]>,
}

impl Told {
    /// Of fields, by what they are called and what they mean.
    pub(crate) fn of<'a>(fields: impl Iterator<Item = (&'a str, &'a Meaning)>, clients: &Clients) -> Self {
        let fields: Vec<_> = fields.collect();
        let places = |is: &dyn Fn(&str, &Meaning) -> bool| {
            let at = fields.iter().enumerate().filter(|(_, (name, meaning))| is(name, meaning)).map(|(at, _)| at);
            at.filter_map(|at| u16::try_from(at).ok()).collect::<Vec<_>>()
        };
        let asked = clients.fields.iter().flat_map(|asked| {
            let exact = places(&|name, _| name.eq_ignore_ascii_case(asked));
            if !exact.is_empty() {
                return exact;
            }
            if asked.eq_ignore_ascii_case(Common::ClientIp.name()) {
                return places(&|_, meaning| *meaning == Meaning::Client);
            }
            let wanted = bare(asked);
            places(&|name, _| bare(name) == wanted)
        });
        let rank = |name: &str| FORWARDED.iter().position(|known| *known == bare(name));
        let mut forwarded = places(&|name, _| rank(name).is_some());
        forwarded.sort_by_key(|at| rank(fields[usize::from(*at)].0));
        Self { asked: asked.collect(), forwarded, trusted: clients.trusted.as_slice().into() }
    }

    pub(crate) fn has(&self, at: usize) -> bool {
        self.asked.iter().chain(&self.forwarded).any(|told| usize::from(*told) == at)
    }
}

/// A field's name as people mean it: `cs(X-Forwarded-For)`, `http_x_forwarded_for`, `%{X-Forwarded-For}i` and
/// `request.headers.X-Forwarded-For` are one.
fn bare(name: &str) -> String {
    let small = name.trim().to_ascii_lowercase();
    let last = small.rsplit('.').next().unwrap_or_default();
    let inner = match last.split_once(['(', '{']) {
        Some((_, inner)) => inner.split([')', '}']).next().unwrap_or_default(),
        None => last.trim_start_matches(['$', '%']),
    };
    let inner = ["http_", "req_", "request_header_"].iter().find_map(|head| inner.strip_prefix(head)).unwrap_or(inner);
    inner.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// An address of nobody on the Internet: of a proxy, when it speaks for others.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback() || v6.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_known_however_a_log_calls_it() {
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "$http_x_forwarded_for",
            "http_x_forwarded_for",
            "cs(X-Forwarded-For)",
            "%{X-Forwarded-For}i",
            "request.headers.X-Forwarded-For",
            "request_X-Forwarded-For",
        ] {
            let found = bare(name);
            assert!(found == "xforwardedfor" || found == "requestxforwardedfor", "{name}: {found}");
        }
        assert_ne!(bare("c-ip"), bare("s-ip"));
    }

    #[test]
    fn private_networks_are_known() {
        for private in
            ["10.1.2.3", "172.31.0.1", "192.168.9.9", "127.0.0.1", "100.64.2.68", "::1", "fd00::1", "fe80::1"]
        {
            assert!(is_private(private.parse().expect("an address")), "{private}");
        }
        for public in ["11.0.0.1", "172.32.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(public.parse().expect("an address")), "{public}");
        }
    }
}
