//! `X-Forwarded-For` and `Forwarded`: a stranger is never believed, what a client sends changes nothing behind a trusted
//! proxy, and the result is always an address that somebody named.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::bounded;
use visitlog_tower::client::{ForwardedBy, TrustedProxies};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    by_forwarded: bool,
    /// Whoever talks to us in the test without proxies.
    peer: IpAddr,
    /// What the client itself sent.
    sent: Vec<&'a [u8]>,
    /// Who that client is.
    client: IpAddr,
    client_style: Style,
    /// The proxies behind the first one.
    hops: Vec<Hop>,
    is_https: bool,
    /// The host that the client asks for, which proxies pass on as they found it.
    host: &'a str,
}

#[derive(Arbitrary, Debug)]
struct Hop {
    address: u16,
    style: Style,
}

/// How an address is written down.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Style {
    port: Option<u16>,
    own_line: bool,
    is_upper: bool,
    has_by: bool,
    /// Where the host that the client asked for stands: before, behind, nowhere.
    host: u8,
    spaces: bool,
}

/// A quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars().filter(|letter| (' '..='~').contains(letter)) {
        quoted.extend(matches!(letter, '"' | '\\').then_some('\\'));
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

fn trusted(number: u16) -> IpAddr {
    match number % 2 {
        0 => Ipv4Addr::from(0x0a00_0000 | u32::from(number)).into(),
        _ => Ipv6Addr::from(0x2001_0db8_00ff_u128 << 80 | u128::from(number)).into(),
    }
}

impl Style {
    fn element(self, by: ForwardedBy, address: IpAddr, host: &str) -> String {
        let node = match (address, self.port) {
            (IpAddr::V4(v4), Some(port)) => format!("{v4}:{port}"),
            (IpAddr::V4(v4), None) => v4.to_string(),
            (IpAddr::V6(v6), Some(port)) => format!("[{v6}]:{port}"),
            (IpAddr::V6(v6), None) if by == ForwardedBy::Forwarded => format!("[{v6}]"),
            (IpAddr::V6(v6), None) => v6.to_string(),
        };
        let node = if self.is_upper { node.to_ascii_uppercase() } else { node };
        if by == ForwardedBy::XForwardedFor {
            return node;
        }
        // RFC 7239: what holds a colon or a bracket is quoted.
        let node = if node.contains(':') { format!("\"{node}\"") } else { node };
        let space = if self.spaces { " " } else { "" };
        let mut element = format!("{}={node}", if self.is_upper { "For" } else { "for" });
        if self.has_by {
            element = format!("by=\"[::1]:80\"{space};{space}{element}");
        }
        let host = quoted(host);
        match self.host % 3 {
            0 => element,
            1 => format!("host={host}{space};{space}{element}"),
            _ => format!("{element}{space};{space}host={host}"),
        }
    }
}

/// As a proxy does: on the last line behind a comma, or on a line of its own.
fn append(lines: &mut Vec<Vec<u8>>, own_line: bool, spaces: bool, element: &str) {
    match lines.last_mut() {
        Some(last) if !own_line => {
            last.extend_from_slice(if spaces { b" ,\t" } else { b", " });
            last.extend_from_slice(element.as_bytes());
        }
        _ => lines.push(element.as_bytes().to_vec()),
    }
}

fn headers(by: ForwardedBy, lines: &[Vec<u8>]) -> HeaderMap {
    let name = if by == ForwardedBy::Forwarded { "forwarded" } else { "x-forwarded-for" };
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line).expect("only such lines were kept"));
    }
    headers
}

/// Every address that can be read anywhere in the lines.
fn named(lines: &[Vec<u8>]) -> Vec<IpAddr> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let runs = lines.iter().flat_map(|line| line.split(move |byte| !is_part(*byte)));
    let texts = runs.filter_map(|run| str::from_utf8(run).ok());
    let both = texts.flat_map(|text| [text, text.rsplit_once(':').map_or(text, |(address, _)| address)]);
    both.filter_map(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical()).collect()
}

fuzz_target!(|case: Case<'_>| {
    let by = if case.by_forwarded { ForwardedBy::Forwarded } else { ForwardedBy::XForwardedFor };
    let networks = ["10.0.0.0/8", "2001:db8:ff::/48"].map(|network| network.parse().expect("a network"));
    let proxies = TrustedProxies::new(networks, by);
    let sent: Vec<Vec<u8>> =
        case.sent.iter().filter(|l| HeaderValue::from_bytes(l).is_ok()).map(|l| l.to_vec()).collect();
    let bytes: usize = sent.iter().map(Vec::len).sum();

    // Whatever is sent by whomever.
    let map = headers(by, &sent);
    let found = bounded(bytes, 0, 0, || proxies.client(case.peer, &map));
    let peer = case.peer.to_canonical();
    if proxies.contains(peer) {
        assert!(found == peer || named(&sent).contains(&found), "{found} was named by nobody");
    } else {
        assert_eq!(found, peer, "a stranger is believed");
        assert_eq!(proxies.over_tls(case.peer, &map), None, "a stranger is believed");
    }
    for header in ["forwarded", "x-forwarded-for"] {
        let mut only_other = HeaderMap::new();
        if map.get(header).is_none() {
            for line in &sent {
                only_other.append(header, HeaderValue::from_bytes(line).expect("only such lines were kept"));
            }
            assert_eq!(proxies.client(case.peer, &only_other), peer, "the header that is not in the settings");
        }
    }

    // A client behind a chain of proxies, each of which appends whom it saw.
    let client = case.client.to_canonical();
    if proxies.contains(client) {
        return;
    }
    let mut lines = sent;
    let style = case.client_style;
    append(&mut lines, style.own_line, style.spaces, &style.element(by, client, case.host));
    for hop in &case.hops {
        let element = hop.style.element(by, trusted(hop.address), case.host);
        append(&mut lines, hop.style.own_line, hop.style.spaces, &element);
    }
    let mut map = headers(by, &lines);
    assert_eq!(proxies.client(trusted(0), &map), client, "what the client sent changed who it is");

    let scheme = if case.is_https { "https" } else { "http" };
    match by {
        ForwardedBy::XForwardedFor => {
            for line in &case.sent {
                if let Ok(value) = HeaderValue::from_bytes(&[line, &b", "[..], scheme.as_bytes()].concat()) {
                    map.insert("x-forwarded-proto", value);
                    assert_eq!(proxies.over_tls(trusted(1), &map), Some(case.is_https));
                }
            }
        }
        ForwardedBy::Forwarded => {
            append(
                &mut lines,
                style.own_line,
                style.spaces,
                &format!("host={};for=unknown;proto={scheme}", quoted(case.host)),
            );
            assert_eq!(proxies.over_tls(trusted(1), &headers(by, &lines)), Some(case.is_https));
        }
    }
});
