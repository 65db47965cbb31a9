//! Percent-escapes, and the normal form of paths and of values by RFC 3986, section 6.2.2.

use std::borrow::Cow;

/// What an escape at `at` stands for.
fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (high, low) = (digit(at + 1)?, digit(at + 2)?);
    u8::try_from(high * 16 + low).ok().filter(|_| bytes[at] == b'%')
}

/// A value of a query without `%41` and `+`. What is no escape stays; bytes that are not UTF-8 are replaced.
pub fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], escape(bytes, at)) {
            (_, Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', None) => out.push(b' '),
            (byte, None) => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Adds text in its normal form: escapes with capital letters, none of what needs none, all of what may not stand there
/// (spaces, controls, what is not ASCII). A `%` that begins no escape stays.
fn push_normal(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = escape(bytes, at);
        let byte = escaped.unwrap_or(bytes[at]);
        at += if escaped.is_some() { 3 } else { 1 };
        let stays = if escaped.is_some() { is_unreserved(byte) } else { byte.is_ascii_graphic() };
        if stays {
            out.push(char::from(byte));
        } else {
            out.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
        }
    }
}

/// Whether text is in its normal form for certain.
fn is_normal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%')
}

/// Whether all paths that stand one behind the other in a text are in their normal form for certain.
pub fn are_normal_paths(text: &str) -> bool {
    is_normal(text) && !text.contains("/.")
}

/// A part of a path in its normal form, as far as a part has one.
pub fn normal_part(text: &str) -> Cow<'_, str> {
    if is_normal(text) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    push_normal(&mut escaped, text);
    escaped.into()
}

/// A path in its normal form: escapes as in values, and no `.` and `..` between slashes. What does not begin with a
/// slash is no path, and stays.
pub fn normal_path(path: &str) -> Cow<'_, str> {
    if !path.starts_with('/') || are_normal_paths(path) {
        return Cow::Borrowed(path);
    }
    let escaped = normal_part(path);
    if escaped.contains("/.") { without_dots(&escaped).into() } else { escaped }
}

/// RFC 3986, section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment == ".." {
            kept.pop();
        }
        match segment {
            // What it leads to is a folder.
            "." | ".." if segments.peek().is_none() => kept.push(""),
            "." | ".." => {}
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Adds a value of a query in its normal form; a `+` is a space there.
pub(crate) fn push_normal_value(out: &mut String, value: &str) {
    for (at, part) in value.split('+').enumerate() {
        if at > 0 {
            out.push_str("%20");
        }
        push_normal(out, part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_path_has_one_normal_form() {
        for (path, normal) in [
            ("/caf%C3%A9", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/~bob", "/~bob"),
            ("/%7Ebob", "/~bob"),
            ("/%41%2d%5F%2E", "/A-_."),
            ("/a%2Fb", "/a%2Fb"),
            ("/a b\u{7}", "/a%20b%07"),
            ("/a+b", "/a+b"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/a/./b/../c", "/a/c"),
            ("/%2e%2e/x", "/x"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../..", "/"),
            ("/.hidden/..x", "/.hidden/..x"),
            ("//a", "//a"),
            ("/A", "/A"),
            ("/a/", "/a/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normal_path(path), normal, "{path}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (escaped, plain) in [("a%20b+c", "a b c"), ("%C3%A9%zz%4", "é%zz%4"), ("", ""), ("%ff", "\u{fffd}")] {
            assert_eq!(decoded(escaped), plain);
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(path in "/([a-zA-Z0-9%./é~ +-]|%[0-9a-fA-F]{2}|/\\.{1,2}){0,20}|\\PC{0,20}") {
            let once = normal_path(&path).into_owned();
            prop_assert_eq!(normal_path(&once), once.clone());
        }
    }
}
