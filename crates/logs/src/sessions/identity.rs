//! Who is one visitor: what of a request tells visitors apart, and the id that records know them by.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use visitlog_core::trace::VISIT_COOKIE;
use visitlog_core::{Trace, VisitorId};

use crate::hit::Hit;

/// By what a log's visitors are known. In logs of our own it is the visit, which they name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identify {
    /// By address and user agent.
    #[default]
    AddressAndAgent,
    /// By address.
    Address,
    /// By the value of a cookie; requests without it, by address and user agent.
    Cookie(String),
    /// By the value of a parameter in the query; requests without it, by address and user agent.
    Parameter(String),
}

/// A text names no way to know visitors by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("identity: cookie:NAME, url:PARAMETER, ip+ua or ip expected, {found:?} found")]
pub struct IdentifyError {
    found: String,
}

impl FromStr for Identify {
    type Err = IdentifyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.to_owned())),
            Some(("url", name)) if !name.is_empty() => Ok(Self::Parameter(name.to_owned())),
            None if text == "ip+ua" => Ok(Self::AddressAndAgent),
            None if text == "ip" => Ok(Self::Address),
            _ => Err(IdentifyError { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressAndAgent => f.write_str("ip+ua"),
            Self::Address => f.write_str("ip"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Parameter(name) => write!(f, "url:{name}"),
        }
    }
}

/// The key of visitors' ids: who has the log and not the key can't tell which visitor is whose address.
#[derive(Clone, PartialEq, Eq)]
pub struct VisitorKey([u8; 32]);

impl VisitorKey {
    /// From its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for VisitorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VisitorKey([redacted])")
    }
}

impl Identify {
    /// The visitor of a request to a site. `input` is memory that is used again.
    pub(super) fn visitor(&self, key: &VisitorKey, site: &str, hit: &Hit<'_>, input: &mut Vec<u8>) -> VisitorId {
        input.clear();
        let own = hit.trace.filter(|trace| *trace != Trace::None).and(hit.cookie.as_deref());
        if let Some(visit) = own.and_then(|cookies| cookie(cookies, VISIT_COOKIE)) {
            // A log of ours says which visit it was, which may have come to several hosts.
            input.push(b'v');
            push(input, visit.as_bytes());
            return hashed(key, input);
        }
        push(input, site.as_bytes());
        let named = match self {
            Self::Cookie(name) => hit.cookie.as_deref().and_then(|cookies| cookie(cookies, name)),
            Self::Parameter(name) => hit.query.as_deref().and_then(|query| parameter(query, name)),
            Self::AddressAndAgent | Self::Address => None,
        };
        match named {
            Some(value) => {
                input.push(b'c');
                push(input, value.as_bytes());
            }
            None => {
                input.push(if *self == Self::Address { b'a' } else { b'u' });
                // A client changes the rest of its IPv6 address at will.
                match hit.client_ip.map(|address| address.to_canonical()) {
                    Some(IpAddr::V4(v4)) => push(input, &v4.octets()),
                    Some(IpAddr::V6(v6)) => push(input, &v6.octets()[..8]),
                    None => {
                        let name = hit.client_name.as_deref().unwrap_or_default();
                        if !name.is_empty() {
                            // No address has these bytes.
                            input.push(b'n');
                        }
                        push(input, name.as_bytes());
                    }
                }
                if *self != Self::Address {
                    push(input, hit.user_agent.as_deref().unwrap_or_default().as_bytes());
                }
            }
        }
        hashed(key, input)
    }
}

fn hashed(key: &VisitorKey, input: &[u8]) -> VisitorId {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::keyed_hash(&key.0, input).as_bytes()[..16]);
    VisitorId::from_u128(u128::from_be_bytes(id))
}

/// A field with its length before it, so that no two lists of fields give the same bytes.
fn push(input: &mut Vec<u8>, field: &[u8]) {
    input.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes());
    input.extend_from_slice(field);
}

/// The value of a cookie in a `Cookie` header (some logs write `; ` as `;+`).
fn cookie<'a>(cookies: &'a str, name: &str) -> Option<&'a str> {
    let pairs = cookies.split(';').filter_map(|pair| pair.trim_start_matches([' ', '+']).split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.trim()).find(|value| !value.is_empty())
}

/// The value of a parameter in a query string, as it stands there.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(identify: &str, site: &str, hit: &Hit<'_>) -> VisitorId {
        let identify: Identify = identify.parse().expect("an identity");
        identify.visitor(&VisitorKey::new([7; 32]), site, hit, &mut Vec::new())
    }

    fn hit<'a>(ip: &str, agent: &'a str) -> Hit<'a> {
        Hit { client_ip: Some(ip.parse().expect("an address")), user_agent: Some(agent.into()), ..Hit::default() }
    }

    #[test]
    fn what_tells_visitors_apart_is_a_setting() {
        let (a, b) = (hit("203.0.113.1", "A"), hit("203.0.113.1", "B"));
        assert_ne!(id("ip+ua", "s", &a), id("ip+ua", "s", &b));
        assert_eq!(id("ip", "s", &a), id("ip", "s", &b));
        assert_ne!(id("ip", "s", &a), id("ip", "t", &a), "a visitor of another site");
        assert_ne!(id("ip", "s", &a), id("ip", "s", &hit("203.0.113.2", "A")));
        assert_eq!(id("ip", "s", &hit("2001:db8::1", "")), id("ip", "s", &hit("2001:db8::2", "")), "one network");
        assert_eq!(id("ip", "s", &hit("::ffff:203.0.113.1", "")), id("ip", "s", &a));
        assert_ne!(id("ip", "s", &a), id("ip+ua", "s", &hit("203.0.113.1", "")));
    }

    #[test]
    fn a_client_without_an_address_is_known_by_its_name() {
        let named = |name: &'static str| Hit {
            client_ip: None,
            client_name: Some(name.into()).filter(|name: &std::borrow::Cow<'_, str>| !name.is_empty()),
            ..hit("192.0.2.1", "A")
        };
        for identity in ["ip", "ip+ua"] {
            assert_ne!(id(identity, "s", &named("crawl-1.example")), id(identity, "s", &named("crawl-2.example")));
            assert_eq!(id(identity, "s", &named("crawl-1.example")), id(identity, "s", &named("crawl-1.example")));
            assert_ne!(id(identity, "s", &named("crawl-1.example")), id(identity, "s", &named("")));
        }
    }

    #[test]
    fn a_cookie_or_a_parameter_names_a_visitor_wherever_he_is() {
        let with = |ip, cookie: &'static str, query: &'static str| Hit {
            cookie: Some(cookie.into()),
            query: Some(query.into()),
            ..hit(ip, "A")
        };
        let (here, there) =
            (with("203.0.113.1", "x=1; sid=abc", "u=7&q=1"), with("203.0.113.9", "sid=abc;+y=2", "u=7"));
        assert_eq!(id("cookie:sid", "s", &here), id("cookie:sid", "s", &there));
        assert_ne!(id("cookie:id", "s", &here), id("cookie:id", "s", &there), "no such cookie: by address");
        assert_eq!(id("cookie:id", "s", &here), id("ip+ua", "s", &here));
        assert_eq!(id("url:u", "s", &here), id("url:u", "s", &there));
        assert_ne!(id("url:q", "s", &here), id("url:q", "s", &there));
    }

    #[test]
    fn an_identity_says_what_was_expected() {
        for text in ["ip", "ip+ua", "cookie:a:b", "url:u"] {
            assert_eq!(text.parse::<Identify>().expect("one").to_string(), text);
        }
        for wrong in ["", "cookie", "cookie:", "url:", "IP", "ip:x"] {
            let said = wrong.parse::<Identify>().expect_err("none").to_string();
            assert!(said.contains("expected"), "{said}");
        }
    }
}
