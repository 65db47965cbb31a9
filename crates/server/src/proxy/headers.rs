//! Headers that end at a proxy, headers that only a proxy may set, and the pass over a message's headers that
//! removes them (RFC 9110, section 7.6.1).

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::settings::{ForwardedStyle, Validated};

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether the name is ours alone: `visitlog-*` or `visitlog_*` (servers that turn headers into variables don't tell
/// the two apart).
pub(crate) fn is_visitlog(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes().strip_prefix(b"visitlog"), Some([b'-' | b'_', ..]))
}

/// What one pass over a message's headers found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// `Connection` is there.
    pub(crate) connection: bool,
    /// Another hop-by-hop header is there.
    pub(crate) hop_by_hop: bool,
    /// A header of ours is there.
    pub(crate) visitlog: bool,
    /// A header that tells about the client, such as `X-Forwarded-For`, under this or a confusable name.
    pub(crate) forwarded: bool,
    /// How many `Host` lines.
    pub(crate) hosts: usize,
    /// How many `Content-Length` lines.
    pub(crate) lengths: usize,
    /// `Transfer-Encoding` is there.
    pub(crate) transfer_encoding: bool,
    /// `TE` is there.
    pub(crate) te: bool,
    /// `Upgrade` is there.
    pub(crate) upgrade: bool,
    /// `Expect` is there.
    pub(crate) expect: bool,
}

/// Looks at every header once; most messages have nothing to remove.
pub(crate) fn look(headers: &HeaderMap) -> Found {
    let mut found = Found::default();
    for name in headers.keys() {
        match *name {
            header::HOST => found.hosts = lines(headers, name),
            header::CONTENT_LENGTH => found.lengths = lines(headers, name),
            header::CONNECTION => found.connection = true,
            header::TRANSFER_ENCODING => found.transfer_encoding = true,
            header::TE => found.te = true,
            header::UPGRADE => found.upgrade = true,
            header::EXPECT => found.expect = true,
            header::FORWARDED => found.forwarded = true,
            header::PROXY_AUTHENTICATE | header::PROXY_AUTHORIZATION => found.hop_by_hop = true,
            _ => match name.as_str().as_bytes() {
                [b'x', ..] if is_forwarded(name) => found.forwarded = true,
                [b'v', ..] if is_visitlog(name) => found.visitlog = true,
                b"keep-alive" | b"proxy-connection" | b"http2-settings" => found.hop_by_hop = true,
                _ => {}
            },
        }
    }
    found
}

fn lines(headers: &HeaderMap, name: &HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

/// `X-Forwarded-*` and `X-Real-IP`, also spelled with underscores.
fn is_forwarded(name: &HeaderName) -> bool {
    let same = |byte: u8, expected: u8| byte == expected || (expected == b'-' && byte == b'_');
    let starts = |prefix: &[u8]| {
        let name = name.as_str().as_bytes();
        name.len() >= prefix.len() && name.iter().zip(prefix).all(|(byte, expected)| same(*byte, *expected))
    };
    starts(b"x-forwarded-") || (starts(b"x-real-ip") && name.as_str().len() == 9)
}

/// The comma-separated, non-empty members of a header's lines, as they stand.
pub(crate) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Removes what ends here: `Connection`, everything it names, and the other hop-by-hop headers. `Host` and
/// `Content-Length` stay even if `Connection` names them: without them the message would mean something else.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap, found: &Found) {
    if found.connection {
        let named: Vec<HeaderName> = members(headers, &header::CONNECTION)
            .filter_map(|member| HeaderName::from_bytes(member).ok())
            .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    if found.transfer_encoding {
        headers.remove(header::TRANSFER_ENCODING);
    }
    if found.te {
        headers.remove(header::TE);
    }
    if found.upgrade {
        headers.remove(header::UPGRADE);
    }
    if found.hop_by_hop {
        for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "http2-settings"] {
            headers.remove(name);
        }
    }
}

/// Removes every header that only we may send.
pub(crate) fn remove_visitlog(headers: &mut HeaderMap) {
    remove_where(headers, is_visitlog);
}

/// Removes from trailers what has no place there: our own headers, and framing, routing and hop-by-hop fields
/// (RFC 9110, section 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_visitlog(name)
            || is_forwarded(name)
            || matches!(
                *name,
                header::HOST
                    | header::CONTENT_LENGTH
                    | header::TRANSFER_ENCODING
                    | header::CONNECTION
                    | header::TE
                    | header::TRAILER
                    | header::UPGRADE
                    | header::FORWARDED
                    | header::COOKIE
                    | header::SET_COOKIE
                    | header::AUTHORIZATION
            )
    });
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Tells the upstream who the client is. What a trusted peer said about earlier hops is kept and added to; what
/// anybody else said is dropped. `any`: there are such headers.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, any: bool, peer: Option<IpAddr>, settings: &Validated) {
    let trusted = any && settings.trusts(peer);
    if any && !trusted {
        remove_where(headers, |name| *name == header::FORWARDED || is_forwarded(name));
    }
    let host = headers.get(header::HOST).cloned();
    if settings.forwarded == ForwardedStyle::Both || (trusted && headers.contains_key(header::FORWARDED)) {
        append(headers, header::FORWARDED, forwarded_element(peer, host.as_ref()).as_bytes());
    }
    if let Some(peer) = peer {
        let mut text = Vec::with_capacity(16);
        push_address(&mut text, peer.to_canonical());
        append(headers, X_FORWARDED_FOR, &text);
    }
    if !(trusted && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host
        && !(trusted && headers.contains_key(X_FORWARDED_HOST))
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Adds a member to a comma-separated header, all in one line.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, member: &[u8]) {
    let earlier: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    let value = if earlier.is_empty() {
        HeaderValue::from_bytes(member)
    } else {
        HeaderValue::from_bytes(&[&earlier.join(&b", "[..]), member].join(&b", "[..]))
    };
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// Writes an address; an IPv4 one, the common case, without the formatting machinery.
fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        out.extend_from_slice(address.to_string().as_bytes());
        return;
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

/// One element of `Forwarded` (RFC 7239, section 4).
fn forwarded_element(peer: Option<IpAddr>, host: Option<&HeaderValue>) -> String {
    let mut element = match peer.map(|peer| peer.to_canonical()) {
        Some(IpAddr::V4(peer)) => format!("for={peer};proto=http"),
        Some(IpAddr::V6(peer)) => format!("for=\"[{peer}]\";proto=http"),
        None => "for=unknown;proto=http".to_owned(),
    };
    if let Some(host) = host.and_then(|host| host.to_str().ok())
        && !host.contains(['"', '\\'])
    {
        element.push_str(";host=\"");
        element.push_str(host);
        element.push('"');
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for address in ["0.0.0.0", "127.0.0.1", "10.20.100.255", "9.99.200.101", "::1", "2001:db8::5"] {
            let mut text = Vec::new();
            push_address(&mut text, address.parse().expect("an address"));
            assert_eq!(String::from_utf8_lossy(&text), address);
        }
    }

    #[test]
    fn our_names_are_recognised_and_no_others() {
        for (name, ours) in [
            ("visitlog-session", true),
            ("visitlog_user", true),
            ("visitlog-", true),
            ("visitlog", false),
            ("visitlogs-x", false),
            ("x-visitlog-a", false),
        ] {
            assert_eq!(is_visitlog(&HeaderName::from_static(name)), ours, "{name}");
        }
    }
}
