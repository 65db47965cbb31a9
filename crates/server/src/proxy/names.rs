//! Names of headers: ours, and those that say who a client is, or what it asked for, in place of the connection: `X-Forwarded-For` and its
//! kin.
//!
//! What an upstream's framework believes decides what stands here: Django, Rails, Laravel and Symfony, Spring, ASP.NET,
//! Express, Werkzeug, PHP's snippets, and the CDNs and load balancers whose headers they are told to read.

use std::borrow::Cow;

use http::header::HeaderName;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Tokens of the proxies of ours that a request has passed through. (`Via` would do, but for its sake common servers
/// compress nothing.)
pub(crate) const VISITLOG_VIA: HeaderName = HeaderName::from_static("visitlog-via");
/// Hexadecimal digits of a token.
pub(crate) const TOKEN_BYTES: usize = 16;

/// Whether a name, in lower case, is one of these, or would be read as one of these. Most names that browsers send are
/// known by their first two letters to be none.
pub(crate) fn is_claim(name: &[u8]) -> bool {
    let may_be = match name {
        [b'x' | b'f', ..] => true,
        [first, second, ..] => matches!(
            &[*first, *second],
            b"al" | b"cd" | b"cf" | b"cl" | b"do" | b"ht" | b"pr" | b"re" | b"sc" | b"ss" | b"tr" | b"wl"
        ),
        _ => false,
    };
    may_be && {
        let name = plain(name);
        is_address(&name) || is_other(&name)
    }
}

/// As a server understands it that turns headers into variables: `HTTP_X_REAL_IP` is `X-Real-IP` and `X_Real.IP` (CGI
/// servers write `_` for a `-`, some for all that is neither letter nor digit; PHP for a dot).
fn plain(name: &[u8]) -> Cow<'_, [u8]> {
    let odd = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-';
    if !name.iter().any(odd) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.iter().map(|byte| if odd(byte) { b'-' } else { *byte }).collect())
}

/// Headers whose value is the client's address and nothing else.
pub(crate) const fn is_address(name: &[u8]) -> bool {
    matches!(
        name,
        b"x-real-ip"
            | b"x-client-ip"
            | b"client-ip"
            | b"true-client-ip"
            | b"cf-connecting-ip"
            | b"cf-connecting-ipv6"
            | b"cf-pseudo-ipv4"
            | b"fastly-client-ip"
            | b"fly-client-ip"
            | b"do-connecting-ip"
            | b"ali-cdn-real-ip"
            | b"cdn-src-ip"
            | b"x-cluster-client-ip"
            | b"x-appengine-user-ip"
            | b"x-azure-clientip"
            | b"x-azure-socketip"
            | b"x-envoy-external-address"
            | b"x-proxyuser-ip"
            | b"proxy-client-ip"
            | b"wl-proxy-client-ip"
            | b"x-nf-client-connection-ip"
            | b"x-remote-ip"
            | b"x-remote-addr"
            | b"x-originating-ip"
            | b"x-coming-from"
            | b"remote-addr"
            | b"real-ip"
            | b"http-client-ip"
    )
}

/// Headers about earlier hops, the scheme, the host, the path or the certificate of the client.
fn is_other(name: &[u8]) -> bool {
    const STARTS: [&[u8]; 7] =
        [b"x-forwarded", b"x-original-", b"x-ssl-", b"ssl-client-", b"http-x-", b"http-forwarded", b"x-http-host"];
    const WHOLE: [&[u8]; 22] = [
        b"forwarded",
        b"forwarded-for",
        b"forwarded-for-ip",
        b"x-forward-for",
        b"x-forward-proto",
        b"front-end-https",
        b"x-https",
        b"x-scheme",
        b"x-url-scheme",
        b"x-arr-ssl",
        b"x-arr-clientcert",
        b"cloudfront-forwarded-proto",
        b"x-appservice-proto",
        b"x-host",
        b"x-rewrite-url",
        b"x-script-name",
        b"script-name",
        b"x-client-cert",
        b"client-cert",
        b"client-cert-chain",
        b"x-cloud-trace-client-ip",
        // A CGI program's HTTP_PROXY: where it sends its own requests (CVE-2016-5385).
        b"proxy",
    ];
    STARTS.iter().any(|start| name.starts_with(start)) || WHOLE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_upstreams_believe_in_any_spelling() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_for",
            "x.forwarded.for",
            "x-forwarded-prefix",
            "x-real-ip",
            "x_real_ip",
            "x-real~ip",
            "client-ip",
            "client_ip",
            "true-client-ip",
            "true_client_ip",
            "cf-connecting-ip",
            "cf_connecting_ip",
            "x-original-url",
            "x-rewrite-url",
            "x-http-host-override",
            "front-end-https",
            "ssl-client-verify",
            "proxy",
        ] {
            assert!(is_claim(name.as_bytes()), "{name}");
        }
        for name in [
            "accept",
            "client-hints",
            "x-requested-with",
            "x-csrf-token",
            "cookie",
            "x-forward",
            "range",
            "proxy-connection",
            "sec-fetch-dest",
            "x-real-ip2",
            "clients",
            "referer",
            "x-http-method-override",
            "device-memory",
        ] {
            assert!(!is_claim(name.as_bytes()), "{name}");
        }
    }
}
