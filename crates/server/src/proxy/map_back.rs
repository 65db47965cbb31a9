//! An upstream that names itself in an answer names what only we can reach: the client is told where that is for it.
//! An upstream with a base path names paths that begin with it: the client never sees that.
//!
//! What becomes of a URL of the upstream's own is a path: whatever name and scheme the client knows us by, it stays
//! right. What names anybody else is left as it is, byte for byte.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderValue};

use super::names::X_FORWARDED_HOST;
use super::settings::{HostHeader, Target, Validated};

/// Maps everything in `answer` that tells where something is. `request` is what the upstream got, `peer` who it is.
pub(crate) fn map_back(answer: &mut HeaderMap, request: &HeaderMap, settings: &Validated, peer: SocketAddr) {
    let place = Place { settings, request, peer };
    for (name, value) in answer.iter_mut() {
        let mapped = match *name {
            header::LOCATION | header::CONTENT_LOCATION => place.url(value.as_bytes()),
            header::REFRESH => place.refresh(value.as_bytes()),
            header::SET_COOKIE => place.cookie(value.as_bytes()),
            _ => None,
        };
        if let Some(mapped) = mapped.and_then(|mapped| HeaderValue::from_maybe_shared(bytes::Bytes::from(mapped)).ok())
        {
            *value = mapped;
        }
    }
}

/// Where the upstream stands, and where the client thinks that it does.
struct Place<'a> {
    settings: &'a Validated,
    request: &'a HeaderMap,
    peer: SocketAddr,
}

impl Place<'_> {
    fn url(&self, url: &[u8]) -> Option<Vec<u8>> {
        let Some((scheme, authority, path)) = split(url) else {
            return self.without_base(url).map(as_path);
        };
        if self.is_client_side(authority) {
            let before = &url[..url.len() - path.len()];
            return Some([before, &self.without_base(path)?].concat());
        }
        let path = self.without_base(path).unwrap_or_else(|| path.to_vec());
        self.is_upstream(scheme, authority).then(|| as_path(path))
    }

    /// `Refresh: 5; url=...`, and what browsers take for the same (HTML, "shared declarative refresh steps").
    fn refresh(&self, refresh: &[u8]) -> Option<Vec<u8>> {
        let space = |text: &[u8]| text.len() - text.trim_ascii_start().len();
        let mut start = refresh.iter().position(|byte| matches!(byte, b';' | b','))? + 1;
        start += space(&refresh[start..]);
        if refresh[start..].get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"url")) {
            let equals = start + 3 + space(&refresh[start + 3..]);
            if refresh.get(equals) == Some(&b'=') {
                start = equals + 1 + space(&refresh[equals + 1..]);
            }
        }
        let end = match refresh.get(start) {
            Some(quote @ (b'"' | b'\'')) => {
                start += 1;
                refresh[start..].iter().position(|byte| byte == quote).map_or(refresh.len(), |length| start + length)
            }
            _ => refresh.trim_ascii_end().len().max(start),
        };
        let mapped = self.url(&refresh[start..end])?;
        Some([&refresh[..start], &mapped, &refresh[end..]].concat())
    }

    /// `Path` loses the base path, `Domain` goes where it is the upstream's own name.
    fn cookie(&self, cookie: &[u8]) -> Option<Vec<u8>> {
        let mut parts = cookie.split(|byte| *byte == b';');
        let mut mapped = parts.next()?.to_vec();
        let mut changed = false;
        for part in parts {
            let kept = match self.attribute(part) {
                Attribute::Same => part.to_vec(),
                Attribute::Path(part) => {
                    changed = true;
                    part
                }
                Attribute::Gone => {
                    changed = true;
                    continue;
                }
            };
            mapped.push(b';');
            mapped.extend_from_slice(&kept);
        }
        changed.then_some(mapped)
    }

    fn attribute(&self, part: &[u8]) -> Attribute {
        let Some(equals) = part.iter().position(|byte| *byte == b'=') else { return Attribute::Same };
        let (name, rest) = (part[..equals].trim_ascii(), &part[equals + 1..]);
        let value = rest.trim_ascii();
        if name.eq_ignore_ascii_case(b"path") {
            let Some(path) = self.without_base(value) else { return Attribute::Same };
            let start = equals + 1 + rest.len() - rest.trim_ascii_start().len();
            return Attribute::Path([&part[..start], &path, &part[start + value.len()..]].concat());
        }
        if name.eq_ignore_ascii_case(b"domain") {
            let domain = value.strip_prefix(b".").unwrap_or(value);
            if self.is_upstream_host(domain) && !self.is_client_sides_domain(domain) {
                return Attribute::Gone;
            }
        }
        Attribute::Same
    }

    /// What is left of a path under the base path.
    fn without_base(&self, path: &[u8]) -> Option<Vec<u8>> {
        let base = self.settings.base_path.as_bytes();
        let rest = path.strip_prefix(base).filter(|_| !base.is_empty())?;
        match rest.first() {
            Some(b'/') => Some(rest.to_vec()),
            None | Some(b'?' | b'#') => Some([b"/", rest].concat()),
            Some(_) => None,
        }
    }

    fn is_upstream(&self, scheme: &[u8], authority: &[u8]) -> bool {
        let (host, port) = host_and_port(authority);
        let port = match port {
            b"" if scheme.eq_ignore_ascii_case(b"https") => Some(443),
            b"" => Some(80),
            port => std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()),
        };
        port == Some(self.peer.port()) && self.is_upstream_host(host)
    }

    /// Whether it is the upstream's name or address, or another one of this machine where it is on this machine.
    fn is_upstream_host(&self, host: &[u8]) -> bool {
        let bare = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
        let address = std::str::from_utf8(bare).ok().and_then(|host| host.parse::<IpAddr>().ok());
        let is_local = address.map_or_else(|| host.eq_ignore_ascii_case(b"localhost"), |address| address.is_loopback());
        (is_local && self.peer.ip().to_canonical().is_loopback())
            || address.is_some_and(|address| address.to_canonical() == self.peer.ip().to_canonical())
            || matches!(&self.settings.target, Target::Name(name, _) if host.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The hosts that the client may know us by.
    fn client_sides(&self) -> impl Iterator<Item = &[u8]> {
        let kept = (self.settings.host == HostHeader::Keep).then_some(header::HOST);
        kept.into_iter().chain([X_FORWARDED_HOST]).filter_map(|name| Some(self.request.get(name)?.as_bytes()))
    }

    fn is_client_side(&self, authority: &[u8]) -> bool {
        self.client_sides().any(|host| host.eq_ignore_ascii_case(authority))
    }

    fn is_client_sides_domain(&self, domain: &[u8]) -> bool {
        self.client_sides().map(|authority| host_and_port(authority).0).any(|host| {
            let start = host.len().checked_sub(domain.len());
            start.is_some_and(|start| {
                host[start..].eq_ignore_ascii_case(domain) && (start == 0 || host[start - 1] == b'.')
            })
        })
    }
}

enum Attribute {
    Same,
    Path(Vec<u8>),
    Gone,
}

/// Scheme, authority and the rest of a URL that names an authority. The scheme is empty where the URL has none.
fn split(url: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let slashes = url.windows(2).position(|pair| pair == b"//")?;
    let scheme = match &url[..slashes] {
        [] => &[][..],
        [scheme @ .., b':'] if scheme.iter().all(u8::is_ascii_alphanumeric) => scheme,
        _ => return None,
    };
    if !scheme.is_empty() && !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = &url[slashes + 2..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    Some((scheme, &rest[..end], &rest[end..]))
}

/// A path that stays one: what begins with two slashes, or what browsers take for two, would be an authority.
fn as_path(path: Vec<u8>) -> Vec<u8> {
    let path = if path.starts_with(b"/") { path } else { [b"/", path.as_slice()].concat() };
    let second = path.iter().skip(1).find(|byte| !matches!(byte, b'\t' | b'\r' | b'\n'));
    if matches!(second, Some(b'/' | b'\\')) { [b"/.", path.as_slice()].concat() } else { path }
}

fn host_and_port(authority: &[u8]) -> (&[u8], &[u8]) {
    let colon = authority.iter().rposition(|byte| *byte == b':').filter(|colon| !authority[*colon..].contains(&b']'));
    colon.map_or((authority, b""), |colon| (&authority[..colon], &authority[colon + 1..]))
}

#[cfg(test)]
#[path = "map_back_tests.rs"]
mod tests;
