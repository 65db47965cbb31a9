//! Durations, in the unit that they say, or else in the one that their field has.

use super::{number, time};
use crate::format::Unit;

/// Microseconds. Fields that are made of several numbers are not read here.
#[inline]
pub(crate) fn us(bytes: &[u8], unit: Unit) -> Option<u64> {
    // HAProxy writes one in front of what was still going on.
    let bytes = bytes.strip_prefix(b"+").unwrap_or(bytes);
    let len = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    if len == bytes.len() {
        return whole(bytes, unit);
    }
    match bytes[len..] {
        [b'.' | b',', b'0'..=b'9', ..] | [b'e' | b'E', ..] => {}
        [b':', ..] => return clock(bytes),
        _ => return with_units(bytes),
    }
    let fraction = bytes[len + 1..].iter().position(|byte| !byte.is_ascii_digit()).map(|more| len + 1 + more);
    match fraction.map(|end| &bytes[end..]) {
        None => scaled(bytes, unit),
        Some([b'e' | b'E', ..]) => scaled(bytes, unit),
        Some(_) => with_units(bytes),
    }
}

#[inline]
fn whole(bytes: &[u8], unit: Unit) -> Option<u64> {
    let number = number::digits(bytes)?;
    match unit {
        Unit::Seconds => number.checked_mul(1_000_000),
        Unit::Millis | Unit::Taken | Unit::Named => number.checked_mul(1_000),
        Unit::Nanos => Some(number / 1_000),
        _ => Some(number),
    }
}

/// A number with a fraction. (W3C's `time-taken` with one is of seconds.)
fn scaled(bytes: &[u8], unit: Unit) -> Option<u64> {
    let millionths = number::seconds_us(bytes)?;
    Some(match unit {
        Unit::Millis | Unit::Named => millionths / 1_000,
        Unit::Micros => millionths / 1_000_000,
        Unit::Nanos => millionths / 1_000_000_000,
        _ => millionths,
    })
}

/// `1.8956ms`, `312.5µs`, `1m2.5s`, `129 msecs`, `68 micros`, `0.125 seconds`, `PT0.125S`.
fn with_units(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes.strip_prefix(b"PT").or_else(|| bytes.strip_prefix(b"pt")).unwrap_or(bytes);
    let mut sum = 0_u64;
    let mut is_any = false;
    while !rest.is_empty() {
        let is_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let len = rest.iter().position(|byte| !is_of_number(byte))?;
        let millionths = number::seconds_us(&rest[..len])?;
        rest = rest[len..].trim_ascii_start();
        let len = rest.iter().position(|byte| is_of_number(byte) || byte.is_ascii_whitespace()).unwrap_or(rest.len());
        sum = sum.checked_add(times(millionths, &rest[..len])?)?;
        rest = rest[len..].trim_ascii_start();
        is_any = true;
    }
    is_any.then_some(sum)
}

fn times(millionths: u64, unit: &[u8]) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    match &lower[..] {
        b"s" | b"sec" | b"secs" | b"second" | b"seconds" => Some(millionths),
        b"ms" | b"msec" | b"msecs" | b"milli" | b"millis" | b"millisecond" | b"milliseconds" => {
            Some(millionths / 1_000)
        }
        b"us" | b"usec" | b"usecs" | b"micro" | b"micros" | b"microsecond" | b"microseconds" | b"\xc2\xb5s"
        | b"\xce\xbcs" => Some(millionths / 1_000_000),
        b"ns" | b"nsec" | b"nsecs" | b"nanos" | b"nanosecond" | b"nanoseconds" => Some(millionths / 1_000_000_000),
        b"m" | b"min" | b"mins" | b"minute" | b"minutes" => millionths.checked_mul(60),
        b"h" | b"hour" | b"hours" => millionths.checked_mul(3600),
        _ => None,
    }
}

/// `00:00:01.250`.
fn clock(bytes: &[u8]) -> Option<u64> {
    let (seconds, micros) = time::time_of_day(bytes)?;
    u64::try_from(seconds * 1_000_000 + micros).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_said_counts_more_than_the_field_s() {
        for (text, unit, expected) in [
            ("3", Unit::Millis, Some(3_000)),
            ("3", Unit::Seconds, Some(3_000_000)),
            ("3", Unit::Taken, Some(3_000)),
            ("0.5", Unit::Taken, Some(500_000)),
            ("3500", Unit::Nanos, Some(3)),
            ("58.33", Unit::Millis, Some(58_330)),
            ("12.5", Unit::Micros, Some(12)),
            ("1.5e-3", Unit::Seconds, Some(1_500)),
            ("2e0", Unit::Seconds, Some(2_000_000)),
            ("0.125115s", Unit::Millis, Some(125_115)),
            ("1.8956ms", Unit::Seconds, Some(1_895)),
            ("312.5\u{b5}s", Unit::Seconds, Some(312)),
            ("312.5\u{3bc}s", Unit::Seconds, Some(312)),
            ("1m2.5s", Unit::Seconds, Some(62_500_000)),
            ("1h", Unit::Seconds, Some(3_600_000_000)),
            ("129 msecs", Unit::Seconds, Some(129_000)),
            ("68 micros", Unit::Named, Some(68)),
            ("350ms", Unit::Named, Some(350_000)),
            ("PT0.125S", Unit::Seconds, Some(125_000)),
            ("00:00:01.250", Unit::Seconds, Some(1_250_000)),
            ("-1", Unit::Seconds, None),
            ("22 apples", Unit::Seconds, None),
            ("", Unit::Seconds, None),
            ("ms", Unit::Seconds, None),
            ("99999999999999999999s", Unit::Seconds, None),
        ] {
            assert_eq!(us(text.as_bytes(), unit), expected, "{text}");
        }
    }
}
