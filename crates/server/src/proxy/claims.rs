//! What is believed of the headers that say who a client is. Only who stands in front of us may say so. A proxy passes on
//! what it does not know, so even of a trusted one only what it certainly wrote itself is believed; else its client could
//! write the rest.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName};

use super::headers::remove_where;
use super::names::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, is_address, is_claim};
use super::settings::Validated;

/// What was not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Its name; of several, one.
    pub(crate) name: HeaderName,
    /// It said that the client's connection was encrypted.
    pub(crate) claims_https: bool,
    /// It came from a trusted proxy.
    pub(crate) trusted: bool,
}

/// Removes what can't be believed. Of a stranger that is all. Of a trusted proxy, `X-Forwarded-For`, `-Proto`, `-Host` and
/// `-Port` stay, what the settings name in addition, and each header with the client's address where it says the same
/// as `X-Forwarded-For`.
pub(crate) fn drop_unbelievable(
    headers: &mut HeaderMap,
    peer: Option<IpAddr>,
    settings: &Validated,
) -> Option<Dropped> {
    let client = peer.filter(|peer| settings.trusts(Some(*peer))).map(|peer| settings.proxies.client(peer, headers));
    let believed = |name: &HeaderName| {
        let Some(client) = client else { return false };
        if [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_FORWARDED_PORT].contains(name)
            || settings.trusted_headers.contains(name)
        {
            return true;
        }
        is_address(name.as_str().as_bytes()) && says_only(headers, name, client)
    };
    let dropped: Vec<HeaderName> =
        headers.keys().filter(|name| is_claim(name.as_str().as_bytes()) && !believed(name)).cloned().collect();
    let name = dropped.iter().find(|name| **name == X_FORWARDED_FOR).or_else(|| dropped.first())?.clone();
    let claims_https =
        dropped.iter().flat_map(|name| headers.get_all(name)).any(|value| claims_https(value.as_bytes()));
    remove_where(headers, |name| dropped.contains(name));
    Some(Dropped { name, claims_https, trusted: client.is_some() })
}

/// The header has one line, and that is this address.
fn says_only(headers: &HeaderMap, name: &HeaderName, client: IpAddr) -> bool {
    let mut lines = headers.get_all(name).iter();
    let (Some(only), None) = (lines.next(), lines.next()) else { return false };
    let address = only.to_str().ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
    address.is_some_and(|address| address.to_canonical() == client)
}

/// `https`, `on` (`Front-End-Https`), `ssl`, or an element of `Forwarded` with `proto=https`.
fn claims_https(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    matches!(&value[..], b"https" | b"on" | b"ssl") || value.windows(11).any(|part| part == b"proto=https")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::settings::ProxySettings;
    use super::*;

    /// What is left of headers that this peer sent.
    fn left(peer: &str, sent: &[(&'static str, &'static str)]) -> (Vec<String>, Option<Dropped>) {
        let mut settings = ProxySettings::new("http://127.0.0.1:1");
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        settings.trusted_headers = vec![HeaderName::from_static("x-forwarded-prefix")];
        let settings = Validated::try_from(settings).expect("settings");
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let peer = peer.parse().expect("an address");
        let dropped = drop_unbelievable(&mut headers, Some(peer), &settings);
        (headers.keys().map(|name| name.as_str().to_owned()).collect(), dropped)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let sent = [
            ("x-forwarded-for", "1.1.1.1"),
            ("cf-connecting-ip", "1.1.1.1"),
            ("forwarded", "proto=https"),
            ("x-a", "b"),
        ];
        let (left, dropped) = left("192.0.2.1", &sent);
        assert_eq!(left, ["x-a"]);
        let name = X_FORWARDED_FOR;
        assert_eq!(dropped, Some(Dropped { name, claims_https: true, trusted: false }));
    }

    #[test]
    fn of_a_trusted_proxy_only_what_it_wrote_itself() {
        let hops = ("x-forwarded-for", "6.6.6.6, 203.0.113.9");
        for (sent, stays) in [
            (("x-forwarded-proto", "https"), true),
            (("x-forwarded-prefix", "/app"), true),
            (("x-forwarded-server", "evil"), false),
            (("x_forwarded_host", "evil"), false),
            (("x-real-ip", "203.0.113.9"), true),
            (("x-real-ip", "::ffff:203.0.113.9"), true),
            (("x-real-ip", "6.6.6.6"), false),
            (("x_real_ip", "203.0.113.9"), false),
            (("cf-connecting-ip", "6.6.6.6"), false),
            (("forwarded", "for=203.0.113.9;host=evil"), false),
            (("x-original-url", "/admin"), false),
        ] {
            let (left, dropped) = left("10.0.0.1", &[hops, sent]);
            assert_eq!((left.len() == 2, dropped.is_none()), (stays, stays), "{sent:?}: {left:?}");
        }
        let twice = [hops, ("x-real-ip", "203.0.113.9"), ("x-real-ip", "6.6.6.6")];
        assert_eq!(left("10.0.0.1", &twice).0, ["x-forwarded-for"]);
    }

    #[test]
    fn https_is_said_in_many_ways() {
        for says in ["https", "HTTPS", "on", "for=a;proto=https", "for=a;Proto=\"x\", proto=HTTPS"] {
            assert!(claims_https(says.as_bytes()), "{says}");
        }
        for says in ["http", "off", "", "proto=http", "https.example"] {
            assert!(!claims_https(says.as_bytes()), "{says}");
        }
    }
}
