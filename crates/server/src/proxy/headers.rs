//! Headers that end at a proxy, headers that only a proxy may set, and the pass over a message's headers that
//! removes them (RFC 9110, section 7.6.1).

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use visitlog_tower::protocol::is_visitlog;

use super::names::{self, TOKEN_BYTES, VISITLOG_VIA, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::settings::{ForwardedStyle, Validated};

/// More of us in a row are none on purpose.
const HOPS_MAX: usize = 16;

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
    pub(crate) claims: bool,
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
            header::PROXY_AUTHENTICATE | header::PROXY_AUTHORIZATION => found.hop_by_hop = true,
            _ => match name.as_str().as_bytes() {
                [b'v', ..] if is_visitlog(name) => found.visitlog = true,
                name if names::is_claim(name) => found.claims = true,
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

/// Removes every header that only we may send. Which of us the request has passed through stays, if it is nothing but
/// that: whoever writes it himself only has himself refused.
pub(crate) fn remove_visitlog(headers: &mut HeaderMap) {
    let is_token = |member: &[u8]| member.len() == TOKEN_BYTES && member.iter().all(u8::is_ascii_hexdigit);
    let passed = members(headers, &VISITLOG_VIA).all(is_token);
    remove_where(headers, |name| is_visitlog(name) && !(passed && *name == VISITLOG_VIA));
}

/// Whether a request has been here, or at so many others like us that it must run in a circle.
pub(crate) fn has_passed(headers: &HeaderMap, token: &HeaderValue) -> bool {
    let mut hops = 0;
    members(headers, &VISITLOG_VIA).any(|hop| {
        hops += 1;
        hop == token.as_bytes() || hops > HOPS_MAX
    })
}

/// Notes that a request has been here.
pub(crate) fn pass(headers: &mut HeaderMap, token: &HeaderValue) {
    if headers.contains_key(VISITLOG_VIA) {
        append(headers, VISITLOG_VIA, token.as_bytes());
    } else {
        headers.insert(VISITLOG_VIA, token.clone());
    }
}

/// Removes from trailers what has no place there: our own headers, and framing, routing and hop-by-hop fields
/// (RFC 9110, section 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_visitlog(name)
            || names::is_claim(name.as_str().as_bytes())
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

pub(crate) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Tells the upstream who the client is: adds to what is left of what a trusted peer said about earlier hops.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, peer: Option<IpAddr>, settings: &Validated) {
    let host = headers.get(header::HOST).cloned();
    if let Some(peer) = peer {
        let mut text = Vec::with_capacity(16);
        push_address(&mut text, peer.to_canonical());
        append(headers, X_FORWARDED_FOR, &text);
    }
    if settings.forwarded == ForwardedStyle::Both
        && let Ok(forwarded) = HeaderValue::from_str(&forwarded(headers, host.as_ref()))
    {
        headers.insert(header::FORWARDED, forwarded);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host
        && !headers.contains_key(X_FORWARDED_HOST)
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

/// The hops of `X-Forwarded-For` as `Forwarded` (RFC 7239, section 4), so that the two tell the same story. The last one
/// is the one that we know.
fn forwarded(headers: &HeaderMap, host: Option<&HeaderValue>) -> String {
    let mut elements: Vec<String> = members(headers, &X_FORWARDED_FOR)
        .map(|hop| match str::from_utf8(hop).ok().and_then(|hop| hop.parse().ok()) {
            Some(IpAddr::V4(hop)) => format!("for={hop}"),
            Some(IpAddr::V6(hop)) => format!("for=\"[{hop}]\""),
            None => "for=unknown".to_owned(),
        })
        .collect();
    if elements.is_empty() {
        elements.push("for=unknown".to_owned());
    }
    let mut forwarded = elements.join(", ");
    let proto = headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    forwarded.push_str(if proto { ";proto=https" } else { ";proto=http" });
    if let Some(host) = host.and_then(|host| host.to_str().ok())
        && !host.contains(['"', '\\'])
    {
        forwarded.push_str(";host=\"");
        forwarded.push_str(host);
        forwarded.push('"');
    }
    forwarded
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
            ("visitlog.user", true),
            ("visitlog~user", true),
            ("visitlog", true),
            ("visitlogs-x", false),
            ("x-visitlog-a", false),
        ] {
            assert_eq!(is_visitlog(&HeaderName::from_static(name)), ours, "{name}");
        }
    }
}
