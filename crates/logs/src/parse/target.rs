//! What was asked for: method, host, path and query of a request line or an address.

use memchr::{memchr, memrchr};

/// The parts of a request, as they stand. Empty where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Target<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) query: Option<&'a [u8]>,
}

/// `GET /path?query HTTP/1.1`. What is no request (`-`, bytes of TLS) has no part.
pub(crate) fn request(line: &[u8]) -> Target<'_> {
    let Some(space) = memchr(b' ', line) else { return Target::default() };
    let (method, rest) = (&line[..space], line[space + 1..].trim_ascii_start());
    if !is_method(method) {
        return Target::default();
    }
    let address = match memrchr(b' ', rest) {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") || rest[at + 1..].starts_with(b"HTTP\\/") => {
            rest[..at].trim_ascii_end()
        }
        _ if is_address(rest) => rest,
        _ => return Target::default(),
    };
    if method == b"CONNECT" && address.first() != Some(&b'/') {
        // A tunnel to a host: there is no path.
        let (host, rest) = authority(address);
        return Target { method, host, path: rest, query: None };
    }
    Target { method, ..uri(address) }
}

/// RFC 9110's token, of letters mostly: bytes of another protocol are none.
pub(crate) fn is_method(method: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b'0'..=b'9');
    !method.is_empty() && method.len() <= 32 && method[0].is_ascii_alphabetic() && method.iter().all(is_letter)
}

fn is_address(text: &[u8]) -> bool {
    is_path(text) || after_scheme(text).is_some()
}

/// Some writers of JSON have `\/` for each slash.
pub(crate) fn is_path(text: &[u8]) -> bool {
    matches!(text, [b'/', ..] | [b'\\', b'/', ..])
}

/// What stands behind `https://`.
pub(crate) fn after_scheme(text: &[u8]) -> Option<&[u8]> {
    let start = &text[..text.len().min(32)];
    let colon = memchr(b':', start)?;
    let rest = &text[colon + 1..];
    rest.strip_prefix(b"//").or_else(|| rest.strip_prefix(b"\\/\\/"))
}

/// `/path?query`, `https://host:443/path?query`, `host/path`, `*`.
pub(crate) fn uri(text: &[u8]) -> Target<'_> {
    let (host, rest) = if is_path(text) {
        (&text[..0], text)
    } else if let Some(rest) = after_scheme(text) {
        authority(rest)
    } else {
        let (first, rest) = authority(text);
        if rest.is_empty() && is_tunnel(first) {
            return Target { host: first, ..Target::default() };
        }
        // `www.example.com/page.php`, but not `index.html`.
        if !rest.is_empty() && first.contains(&b'.') { (first, rest) } else { (&text[..0], text) }
    };
    let (path, query) = split_query(rest);
    Target { method: b"", host, path: if path.is_empty() && !host.is_empty() { b"/" } else { path }, query }
}

/// `host:443`, as `CONNECT` asks for.
fn is_tunnel(text: &[u8]) -> bool {
    let port = memrchr(b':', text).map(|at| &text[at + 1..]);
    port.is_some_and(|port| !port.is_empty() && port.len() <= 5 && port.iter().all(u8::is_ascii_digit))
}

fn authority(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(text.len());
    text.split_at(end)
}

/// A path and its query; a query that is empty is none.
pub(crate) fn split_query(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(b'?', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..]).filter(|query| !query.is_empty())),
        None => (text, None),
    }
}

/// A host without its port.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    let host = memrchr(b'@', host).map_or(host, |at| &host[at + 1..]);
    match memrchr(b':', host) {
        Some(at) if host.last() != Some(&b']') && host[at + 1..].iter().all(u8::is_ascii_digit) => {
            // An IPv6 address without brackets has no port.
            if memchr(b':', &host[..at]).is_some() && host.first() != Some(&b'[') { host } else { &host[..at] }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, method: &str, host: &str, path: &str, query: Option<&str>) {
        let found = request(line.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let found = (text(found.method), text(found.host), text(found.path), found.query.map(text));
        assert_eq!(found, (method.into(), host.into(), path.into(), query.map(Into::into)), "{line}");
    }

    #[test]
    fn request_lines_are_taken_apart() {
        check("GET /a?b=c HTTP/1.1", "GET", "", "/a", Some("b=c"));
        check("GET /a? HTTP/1.1", "GET", "", "/a", None);
        check("GET /a b/c HTTP/1.1", "GET", "", "/a b/c", None);
        check("GET  /a  HTTP/1.1", "GET", "", "/a", None);
        check("GET /a", "GET", "", "/a", None);
        check("GET a", "", "", "", None);
        check("GET https://h:8/a?b HTTP/2.0", "GET", "h:8", "/a", Some("b"));
        check("GET https://h HTTP/2.0", "GET", "h", "/", None);
        check("GET https://h?b HTTP/2.0", "GET", "h", "/", Some("b"));
        check("GET \\/a\\/b?c=d HTTP\\/1.1", "GET", "", "\\/a\\/b", Some("c=d"));
        check("GET https:\\/\\/h:8\\/a HTTP\\/1.1", "GET", "h:8", "\\/a", None);
        check("CONNECT h.example.org:443 HTTP/1.1", "CONNECT", "h.example.org:443", "", None);
        check("RPC_IN_DATA /x HTTP/1.1", "RPC_IN_DATA", "", "/x", None);
        check("\\x16\\x03 / HTTP/1.1", "", "", "", None);
        check("- - - ", "", "", "", None);
        check("", "", "", "", None);
    }

    #[test]
    fn hosts_lose_their_port() {
        for (host, expected) in [
            ("h:80", "h"),
            ("h", "h"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("u@h:80", "h"),
            ("h:x", "h:x"),
        ] {
            assert_eq!(without_port(host.as_bytes()), expected.as_bytes());
        }
    }
}
