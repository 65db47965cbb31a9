//! What loggers did to values, undone.

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// Text of bytes; those that are not UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Much quicker for what is UTF-8, as nearly all is.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

fn owned(bytes: Vec<u8>) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// `\"`, `\\`, `\n`, `\t`, `\xHH` of Apache and nginx. Any other backslash is one.
pub(crate) fn backslash(bytes: &[u8]) -> Cow<'_, str> {
    if memchr(b'\\', bytes).is_none() {
        return text(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        let (byte, len) = match &rest[at + 1..] {
            [mark @ (b'"' | b'\\'), ..] => (*mark, 2),
            [b'n', ..] => (b'\n', 2),
            [b't', ..] => (b'\t', 2),
            [b'r', ..] => (b'\r', 2),
            [b'x' | b'X', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            _ => (b'\\', 1),
        };
        plain.push(byte);
        rest = &rest[at + len..];
    }
    plain.extend_from_slice(rest);
    owned(plain)
}

/// `""` for one quote.
pub(crate) fn doubled(bytes: &[u8]) -> Cow<'_, str> {
    if memmem::find(bytes, b"\"\"").is_none() {
        return text(bytes);
    }
    text(bytes).replace("\"\"", "\"").into()
}

/// JSON's escapes. What is no escape stays.
pub(crate) fn json(bytes: &[u8]) -> Cow<'_, str> {
    if memchr(b'\\', bytes).is_none() {
        return text(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let simple = match rest.get(1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(mark @ (b'"' | b'\\' | b'/')) => *mark,
            // nginx's own, which is none of JSON's.
            Some(b'x' | b'X') if let Some(byte) = hex_pair(&rest[2..]) => {
                plain.push(byte);
                rest = &rest[4..];
                continue;
            }
            Some(b'u') => {
                let (letter, len) = unicode(rest);
                plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[len..];
                continue;
            }
            _ => {
                plain.push(b'\\');
                rest = &rest[1..];
                continue;
            }
        };
        plain.push(simple);
        rest = &rest[2..];
    }
    plain.extend_from_slice(rest);
    owned(plain)
}

/// The character of `\uXXXX`, or of two of them, and the length of what says so.
fn unicode(bytes: &[u8]) -> (char, usize) {
    let unit = |bytes: &[u8]| {
        let [b'\\', b'u', digits @ ..] = bytes else { return None };
        digits.get(..4)?.iter().try_fold(0_u32, |unit, digit| Some(unit << 4 | u32::from(hex(*digit)?)))
    };
    let Some(first) = unit(bytes) else { return (char::REPLACEMENT_CHARACTER, 2) };
    if (0xd800..0xdc00).contains(&first)
        && let Some(second @ 0xdc00..0xe000) = unit(bytes.get(6..).unwrap_or_default())
    {
        let letter = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        return (letter.unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// `+` for a space, as IIS writes user agents.
pub(crate) fn plus(bytes: &[u8]) -> Cow<'_, str> {
    match memchr(b'+', bytes) {
        None => text(bytes),
        Some(_) => text(bytes).replace('+', " ").into(),
    }
}

/// `%20`, as CloudFront writes user agents; some of its logs say `%2520`.
pub(crate) fn percent(bytes: &[u8]) -> Cow<'_, str> {
    if memchr(b'%', bytes).is_none() {
        return text(bytes);
    }
    let once = percent_once(bytes);
    let is_twice = memmem::find(&once, b"%20").is_some();
    owned(if is_twice { percent_once(&once) } else { once })
}

fn percent_once(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr(b'%', rest) {
        plain.extend_from_slice(&rest[..at]);
        let digits = rest.get(at + 1).and_then(|high| hex(*high)).zip(rest.get(at + 2).and_then(|low| hex(*low)));
        let (byte, len) = digits.map_or((b'%', 1), |(high, low)| (high << 4 | low, 3));
        plain.push(byte);
        rest = &rest[at + len..];
    }
    plain.extend_from_slice(rest);
    plain
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    Some(hex(*digits.first()?)? << 4 | hex(*digits.get(1)?)?)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
