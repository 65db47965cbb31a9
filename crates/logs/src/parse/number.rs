//! Numbers and addresses.

use std::net::{IpAddr, Ipv4Addr};

/// A whole number of digits only; at most 19 of them.
#[inline]
pub(crate) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    let mut number = 0_u64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

/// A whole number with a sign or without.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'-', rest @ ..] => digits(rest).and_then(|number| i64::try_from(number).ok()).map(|number| -number),
        [b'+', rest @ ..] => digits(rest).and_then(|number| i64::try_from(number).ok()),
        _ => digits(bytes).and_then(|number| i64::try_from(number).ok()),
    }
}

/// A number with a fraction, perhaps.
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    if bytes.is_empty() || bytes.len() > 64 || !bytes.iter().any(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A fraction of a second, `.127531` or `,838`, in microseconds, and what is behind it.
pub(crate) fn fraction_us(bytes: &[u8]) -> (i64, &[u8]) {
    let [b'.' | b',', rest @ ..] = bytes else { return (0, bytes) };
    let len = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    if len == 0 {
        return (0, bytes);
    }
    let digits = rest[..len].iter().map(|digit| i64::from(digit - b'0'));
    let micros = digits.chain(std::iter::repeat(0)).take(6).fold(0, |micros, digit| micros * 10 + digit);
    (micros, &rest[len..])
}

/// The first digits of seconds with a fraction, in microseconds: exact, as floats would not be.
#[inline]
pub(crate) fn seconds_us(bytes: &[u8]) -> Option<u64> {
    let whole_len = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let whole = if whole_len == 0 { 0 } else { digits(&bytes[..whole_len])? };
    let (micros, rest) = fraction_us(&bytes[whole_len..]);
    if bytes.is_empty() {
        return None;
    }
    if !rest.is_empty() {
        return float(bytes).filter(|seconds| (0.0..1e12).contains(seconds)).map(|seconds| (seconds * 1e6) as u64);
    }
    whole.checked_mul(1_000_000)?.checked_add(u64::try_from(micros).ok()?)
}

/// A number of three digits. 0 is gRPC's and Caddy's, -1 HAProxy's for no answer.
#[inline]
pub(crate) fn is_status(value: &[u8]) -> bool {
    (value.len() == 3 && value.iter().all(u8::is_ascii_digit)) || value == b"0" || value == b"-1"
}

/// An address, with a port or not: `1.2.3.4:2817`, `[::1]:80`, `::1`, `0:0:0:0:0:0:0:1%eth0`.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Some((address, rest)) = ipv4(bytes)
        && (rest.is_empty() || (rest[0] == b':' && digits(&rest[1..]).is_some()))
    {
        return Some(IpAddr::V4(address));
    }
    let inner = match bytes {
        [b'[', rest @ ..] => &rest[..memchr::memchr(b']', rest)?],
        _ => bytes,
    };
    if inner.len() > 64 || !inner.contains(&b':') {
        return None;
    }
    let without_zone = memchr::memchr(b'%', inner).map_or(inner, |at| &inner[..at]);
    let address: IpAddr = std::str::from_utf8(without_zone).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// An address without its port, where one stands behind it in any case: an address of IPv6 has colons of its own.
pub(crate) fn without_port(bytes: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', bytes) {
        Some(at) if bytes.first() != Some(&b'[') && digits(&bytes[at + 1..]).is_some() => &bytes[..at],
        _ => bytes,
    }
}

/// Four numbers with dots between them, and what is behind them.
fn ipv4(bytes: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let mut octets = [0_u8; 4];
    let mut at = 0;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            if bytes.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let (mut number, mut len) = (0_u16, 0);
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            number = number * 10 + u16::from(digit);
            at += 1;
            len += 1;
            if len > 3 {
                return None;
            }
        }
        if len == 0 {
            return None;
        }
        *octet = u8::try_from(number).ok()?;
    }
    Some((octets.into(), &bytes[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_as_logs_write_them() {
        let text = |bytes: &str| address(bytes.as_bytes()).map(|address| address.to_string());
        for (bytes, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:2817", Some("192.0.2.1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("256.0.2.1", None),
            ("192.0.2", None),
            ("192.0.2.1x", None),
            ("www.example.org", None),
            ("", None),
        ] {
            assert_eq!(text(bytes).as_deref(), expected, "{bytes}");
        }
    }

    #[test]
    fn every_ipv4_address_is_what_the_standard_library_says() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let v4 = Ipv4Addr::from_bits(bits);
            assert_eq!(address(v4.to_string().as_bytes()), Some(v4.into()));
        }
    }

    #[test]
    fn numbers_are_exact_or_none() {
        assert_eq!(digits(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        assert_eq!(digits(b"99999999999999999999"), None);
        assert_eq!(integer(b"-1"), Some(-1));
        assert_eq!(integer(b"1.0"), None);
        assert_eq!(float(b"1e400"), None);
        assert_eq!(float(b"inf"), None);
        assert_eq!(float(b"0.25"), Some(0.25));
        assert_eq!(seconds_us(b"0.001337"), Some(1_337));
        assert_eq!(seconds_us(b"12"), Some(12_000_000));
        assert_eq!(seconds_us(b".5"), Some(500_000));
        assert_eq!(seconds_us(b"-1"), None);
        assert_eq!(seconds_us(b"1.5e-3"), Some(1_500));
        assert_eq!(seconds_us(b"99999999999999999"), None);
    }
}
