//! Which addresses a webhook may go to: those of the public internet, and what the operator allows besides.
//!
//! Whoever can name a receiver must not reach what only this machine or its network reaches: databases, admin pages, a
//! cloud's metadata. The table is IANA's of special-purpose addresses (RFC 6890 and its registries); an IPv6 address that
//! carries an IPv4 one (mapped, compatible, NAT64, 6to4) is what it carries.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Networks that are not public, by what they are for.
const SPECIAL_V4: [(Ipv4Addr, u8, &str); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a carrier's network"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "the local link, and clouds' metadata"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];
/// A cloud's metadata that stands among public addresses.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
const SPECIAL_V6: [(Ipv6Addr, u8, &str); 8] = [
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discarded"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private network"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "the local link"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "a site's own network"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// Addresses with the same first bits, or a single one: `10.0.0.0/8`, `192.0.2.7`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address or a network expected, as 10.0.0.7 or 10.0.0.0/8; found {found:?}")]
pub struct NetworkError {
    found: String,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let parse = || {
            let (address, bits) = match text.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits: u8 = bits.map_or(Some(all), |bits| bits.parse().ok())?;
            (bits <= all).then_some(Self { address, bits })
        };
        parse().ok_or_else(|| NetworkError { found: text.to_owned() })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether an address is one of them.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => in_v4(address, network, self.bits),
            (IpAddr::V6(network), IpAddr::V6(address)) => in_v6(address, network, self.bits),
            _ => false,
        }
    }
}

/// An address that a webhook may not go to, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is no public address ({what}): a receiver there has to be allowed, by `allow`")]
pub(super) struct NotPublic {
    address: IpAddr,
    what: &'static str,
}

/// Lets an address pass that is public, or allowed.
pub(super) fn check(address: IpAddr, allowed: &[Network]) -> Result<(), NotPublic> {
    let real = carried(address);
    let is_allowed = |network: &Network| network.holds(address) || network.holds(real);
    match what_for(real) {
        Some(what) if !allowed.iter().any(is_allowed) => Err(NotPublic { address, what }),
        _ => Ok(()),
    }
}

/// The address that another one carries.
fn carried(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let parts = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match parts {
        // Mapped (RFC 4291), compatible, translated (RFC 2765), NAT64 (RFC 6052, RFC 8215).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => v4(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn what_for(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(METADATA_V4) => Some("a cloud's metadata"),
        IpAddr::V4(address) => {
            SPECIAL_V4.iter().find(|(network, bits, _)| in_v4(address, *network, *bits)).map(|(_, _, what)| *what)
        }
        IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST) => Some("this machine"),
        IpAddr::V6(address) => {
            SPECIAL_V6.iter().find(|(network, bits, _)| in_v6(address, *network, *bits)).map(|(_, _, what)| *what)
        }
    }
}

const fn in_v4(address: Ipv4Addr, network: Ipv4Addr, bits: u8) -> bool {
    let differ = (address.to_bits() ^ network.to_bits()).leading_zeros();
    differ >= bits as u32
}

const fn in_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u8) -> bool {
    let differ = (address.to_bits() ^ network.to_bits()).leading_zeros();
    differ >= bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_public(address: &str) -> bool {
        check(address.parse().expect("an address"), &[]).is_ok()
    }

    #[test]
    fn only_public_addresses_pass() {
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "198.20.0.1", "223.255.255.254"] {
            assert!(is_public(public), "{public}");
            assert!(is_public(&format!("::ffff:{public}")), "mapped {public}");
            assert!(is_public(&format!("64:ff9b::{public}")), "NAT64 {public}");
        }
        for public in ["2606:4700:4700::1111", "2a00:1450::1", "2002:101:101::1"] {
            assert!(is_public(public), "{public}");
        }
        let hidden = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.9.10",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "198.19.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
        ];
        for hidden in hidden {
            assert!(!is_public(hidden), "{hidden}");
            for way in ["::ffff:", "::", "64:ff9b::", "64:ff9b:1::", "::ffff:0:"] {
                assert!(!is_public(&format!("{way}{hidden}")), "{way}{hidden}");
            }
        }
        for hidden in
            ["::", "::1", "fd00::1", "fc00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1"]
        {
            assert!(!is_public(hidden), "{hidden}");
        }
        assert!(!is_public("2002:7f00:1::"), "6to4 of this machine");
        assert!(!is_public("fd00:ec2::254"), "a cloud's metadata");
    }

    #[test]
    fn what_is_allowed_passes_as_itself_alone() {
        let allowed = ["127.0.0.1", "10.1.0.0/16", "fd00::/8"].map(|text| text.parse().expect("a network"));
        let passes = |address: &str| check(address.parse().expect("an address"), &allowed).is_ok();
        assert!(passes("127.0.0.1") && passes("::ffff:127.0.0.1") && passes("10.1.2.3") && passes("fd12::1"));
        assert!(!passes("127.0.0.2") && !passes("10.2.0.1") && !passes("fe80::1"));
        let said = check("169.254.169.254".parse().expect("an address"), &allowed).expect_err("metadata").to_string();
        assert!(said.contains("169.254.169.254") && said.contains("metadata") && said.contains("`allow`"), "{said}");
    }

    #[test]
    fn what_is_no_network_is_told() {
        for wrong in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/8/8"] {
            let said = wrong.parse::<Network>().expect_err(wrong).to_string();
            assert!(said.contains(&format!("{wrong:?}")), "{said}");
        }
        assert_eq!("10.0.0.7".parse::<Network>().expect("one").to_string(), "10.0.0.7/32");
    }
}
