//! Who a client is, of what stands where a client does: an address, a list of them, or a name.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::number::address;
use crate::format::is_private;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client<'a> {
    /// The address.
    pub address: Option<IpAddr>,
    /// What the log says in place of one, in small letters: the name of a host, mostly.
    pub name: Option<Cow<'a, str>>,
    /// A proxy has told it.
    pub is_forwarded: bool,
}

impl Client<'_> {
    const fn of(address: IpAddr, is_forwarded: bool) -> Self {
        Self { address: Some(address), name: None, is_forwarded }
    }
}

/// What rows say of their client.
pub(super) struct Said<'a, F> {
    /// What the log takes for the client.
    pub(super) own: Option<&'a [u8]>,
    /// What proxies tell, or what was asked for.
    pub(super) fields: F,
    pub(super) has_asked: bool,
    pub(super) trusted: &'a [IpNet],
}

impl<'a, F: Iterator<Item = &'a [u8]>> Said<'a, F> {
    pub(super) fn client(mut self) -> Client<'a> {
        let peer = self.own.and_then(first);
        let fallback = |own: Option<&'a [u8]>| match peer {
            Some(peer) => Client::of(peer, false),
            None => Client { address: None, name: own.and_then(name), is_forwarded: false },
        };
        if !self.trusted.is_empty() {
            let is_trusted = |address: &IpAddr| self.trusted.iter().any(|network| network.contains(address));
            if peer.is_some_and(|peer| !is_trusted(&peer)) || (peer.is_none() && self.own.and_then(name).is_some()) {
                return fallback(self.own);
            }
            for told in self.fields {
                let addresses: Vec<IpAddr> = elements(told).filter_map(address).collect();
                let last = addresses.iter().rev().find(|address| !is_trusted(address)).or(addresses.first());
                if let Some(address) = last {
                    return Client::of(*address, true);
                }
            }
            return fallback(self.own);
        }
        if self.has_asked {
            let mut named = None;
            for told in self.fields {
                if let Some(address) = first(told) {
                    return Client::of(address, Some(told) != self.own);
                }
                named = named.or_else(|| name(told));
            }
            return match (peer, named) {
                (None, Some(name)) => Client { address: None, name: Some(name), is_forwarded: true },
                _ => fallback(self.own),
            };
        }
        let is_proxy = match peer {
            Some(peer) => is_private(peer),
            None => self.own.and_then(name).is_none(),
        };
        if is_proxy && let Some(address) = self.fields.find_map(first) {
            return Client::of(address, true);
        }
        fallback(self.own)
    }
}

/// The client of a field: its address, or that of a list which is the first one that is not private.
pub(super) fn first(bytes: &[u8]) -> Option<IpAddr> {
    if let Some(address) = address(bytes) {
        return Some(address);
    }
    let mut any = None;
    for address in elements(bytes).filter_map(address) {
        if !is_private(address) {
            return Some(address);
        }
        any = any.or(Some(address));
    }
    any
}

/// Whether it is an address, or a list of which the first member is one, without anything around it: what tells a format.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let first = || bytes.split(|byte| matches!(byte, b',' | b' ')).next().unwrap_or_default();
    address(bytes).is_some() || address(first().trim_ascii()).is_some()
}

/// The members of a list, without what is put around them: quotes, backslashes, brackets, `for=`.
fn elements(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| matches!(byte, b',' | b' ')).map(bare).filter(|element| !element.is_empty())
}

fn bare(element: &[u8]) -> &[u8] {
    let is_around = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\' | b'+' | b'(' | b')');
    let trimmed = |mut bytes: &'_ [u8]| -> (usize, usize) {
        let start = bytes.iter().position(|byte| !is_around(byte)).unwrap_or(bytes.len());
        bytes = &bytes[start..];
        (start, start + bytes.iter().rposition(|byte| !is_around(byte)).map_or(0, |at| at + 1))
    };
    let mut element = element;
    loop {
        let (from, to) = trimmed(element);
        let mut next = &element[from..to];
        next = next.strip_prefix(b"%20").unwrap_or(next);
        // RFC 7239: `for="[2001:db8::1]:4711";proto=https`, in any order.
        if next.contains(&b'=') {
            let pair = next
                .split(|byte| *byte == b';')
                .find(|pair| pair.trim_ascii_start().get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"for=")));
            next = pair.map_or(&[][..], |pair| &pair.trim_ascii_start()[4..]);
        }
        // `[192.0.2.1]`, and `[192.0.2.1` where another field's bracket was cut.
        if let Some(inner) = next.strip_prefix(b"[") {
            let inner = inner.split(|byte| *byte == b']').next().unwrap_or_default();
            next = if inner.contains(&b':') { next } else { inner };
        }
        if next.len() == element.len() {
            return element;
        }
        element = next;
    }
}

/// What tells clients apart that have no address: the name of a host, a number. `None` for what says that nobody knows.
fn name(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let bytes = elements(bytes).next()?;
    if bytes.contains(&b'=') || !bytes.iter().any(u8::is_ascii_alphanumeric) {
        return None;
    }
    let host = match bytes.iter().position(|byte| *byte == b':') {
        Some(at) if bytes[at + 1..].iter().all(u8::is_ascii_digit) => &bytes[..at],
        _ => bytes,
    };
    let text = String::from_utf8_lossy(host);
    let small =
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text };
    const NOBODY: [&str; 8] = ["", "unknown", "null", "none", "undefined", "unix", "localhost", "_hidden"];
    (!NOBODY.contains(&&*small)).then_some(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(own: &str, fields: &[&str], has_asked: bool, trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        let own = Some(own.as_bytes()).filter(|own| !own.is_empty() && *own != b"-");
        let fields = fields.iter().map(|field| field.as_bytes());
        let client = Said { own, fields, has_asked, trusted: &trusted }.client();
        match (client.address, client.name) {
            (Some(address), _) => address.to_string(),
            (None, Some(name)) => name.into_owned(),
            (None, None) => String::new(),
        }
    }

    #[test]
    fn an_address_is_found_whatever_is_around_it() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:2817", Some("192.0.2.1")),
            ("\"192.0.2.1", Some("192.0.2.1")),
            ("\\\"192.0.2.1\\\"", Some("192.0.2.1")),
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("(192.0.2.1, 198.51.100.7)", Some("192.0.2.1")),
            ("192.0.2.1:33453,+172.16.0.1:49770", Some("192.0.2.1")),
            ("10.0.0.8, 192.0.2.1", Some("192.0.2.1")),
            ("10.0.0.8, 10.0.0.9", Some("10.0.0.8")),
            ("unknown, 192.0.2.1", Some("192.0.2.1")),
            ("-, 192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1,%20198.51.100.7", Some("192.0.2.1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
            ("proto=http;For=\"[2001:db8::17]:4711\", for=10.0.0.1", Some("2001:db8::17")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("256.0.2.1", None),
            ("www.example.org", None),
            ("", None),
        ] {
            let found = first(text.as_bytes()).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn who_is_believed_depends_on_who_says_it() {
        let proxies = ["10.0.0.0/8", "198.51.100.0/24"];
        for (own, forwarded, trusted, expected) in [
            ("10.0.0.1", "192.0.2.9, 198.51.100.2", &[][..], "192.0.2.9"),
            ("192.0.2.1", "192.0.2.9", &[], "192.0.2.1"),
            ("10.0.0.1", "-", &[], "10.0.0.1"),
            ("", "192.0.2.9", &[], "192.0.2.9"),
            ("unix:", "192.0.2.9", &[], "192.0.2.9"),
            ("crawl-1.example.com", "192.0.2.9", &[], "crawl-1.example.com"),
            ("10.0.0.1", "203.0.113.66, 192.0.2.9, 198.51.100.2", &proxies, "192.0.2.9"),
            ("192.0.2.1", "192.0.2.9", &proxies, "192.0.2.1"),
            ("10.0.0.1", "10.0.0.7, 198.51.100.2", &proxies, "10.0.0.7"),
        ] {
            assert_eq!(told(own, &[forwarded], false, trusted), expected, "{own} for {forwarded}");
        }
        assert_eq!(told("192.0.2.1", &["192.0.2.9"], true, &[]), "192.0.2.9", "it was asked for");
        assert_eq!(told("192.0.2.1", &["-", "192.0.2.8"], true, &[]), "192.0.2.8", "the second one");
        assert_eq!(told("192.0.2.1", &["-"], true, &[]), "192.0.2.1");
    }

    #[test]
    fn a_name_is_a_client_and_nobody_is_none() {
        for (text, expected) in [
            ("Crawl-1.Example.com", "crawl-1.example.com"),
            ("host.example:4711", "host.example"),
            ("-", ""),
            ("unknown", ""),
            ("unix:", ""),
            ("\"\"", ""),
        ] {
            assert_eq!(told(text, &[], false, &[]), expected, "{text}");
        }
    }
}
