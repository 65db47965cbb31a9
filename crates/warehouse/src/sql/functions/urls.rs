//! Cookies, URLs and queries.

use visitlog_core::uri::decoded;

use super::rows::{Arg, Out};

pub(super) fn decode<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    Out::text(decoded(args[0].text()))
}

pub(super) fn encode<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let text = args[0].text();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if text.bytes().all(is_plain) {
        return Out::text(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    Out::text(out)
}

/// A cookie of a header as browsers send it; IIS writes `+` for its spaces.
pub(super) fn cookie<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (header, name) = (args[0].text(), args[1].text());
    let value = header.split(';').find_map(|pair| {
        let pair = pair.trim_start_matches([' ', '+', '\t']).trim_end();
        pair.strip_prefix(name)?.strip_prefix('=')
    })?;
    let unquoted = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
    Out::text(unquoted.unwrap_or(value))
}

/// The first parameter of that name. What has no `?` is a query, if it has a `=`.
pub(super) fn query_param<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (url, name) = (args[0].text(), args[1].text());
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let query = match url.split_once('?') {
        Some((_, query)) => query,
        None => url,
    };
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_sought = key == name || key.contains(['%', '+']) && decoded(key) == name;
        let is_pair = url.len() != query.len() || pair.contains('=');
        (is_sought && is_pair).then(|| Out::Text(decoded(value)))
    })
}

/// LogParser's `EXTRACT_VALUE(text, key, separator)`: nothing is decoded.
pub(super) fn extract_value<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (text, key) = (args[0].text(), args[1].text());
    let separator = args.get(2).map_or("&", |arg| arg.text());
    if separator.is_empty() {
        return Out::text(text.strip_prefix(key)?.strip_prefix('=')?);
    }
    Out::text(text.split(separator).find_map(|pair| pair.trim_start().strip_prefix(key)?.strip_prefix('='))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arg::Text;

    type Sought = fn(&[Arg<'static>]) -> Option<Out<'static>>;

    fn text(call: Sought, args: &[&'static str]) -> Option<String> {
        let args: Vec<Arg<'static>> = args.iter().map(|arg| Text(arg)).collect();
        match call(&args)? {
            Out::Text(text) => Some(text.into_owned()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn escapes_are_undone_and_made() {
        for (escaped, plain) in [("a%20b+c", "a b c"), ("%C3%A9%zz%4", "é%zz%4"), ("", ""), ("%ff", "\u{fffd}")] {
            assert_eq!(text(decode, &[escaped]).as_deref(), Some(plain));
        }
        assert_eq!(text(encode, &["a b/é~"]).as_deref(), Some("a%20b%2F%C3%A9~"));
    }

    #[test]
    fn cookies_and_parameters_are_found_by_their_whole_name() {
        let header = "SID=1; IIS7SessionTracking=18302628887781179643;+xSID=3; q=\"a b\"";
        for (name, wanted) in [("SID", Some("1")), ("xSID", Some("3")), ("q", Some("a b")), ("S", None)] {
            assert_eq!(text(cookie, &[header, name]).as_deref(), wanted, "{name}");
        }
        for (url, wanted) in [
            ("/a?b=1&q=x%20y&q=2#q=3", Some("x y")),
            ("q=a+b", Some("a b")),
            ("https://x.example/?q", Some("")),
            ("q", None),
            ("/?xq=1", None),
            ("/?%71=1", Some("1")),
            ("/q=1?a", None),
        ] {
            assert_eq!(text(query_param, &[url, "q"]).as_deref(), wanted, "{url}");
        }
        assert_eq!(text(extract_value, &["a=1&b=2", "b"]).as_deref(), Some("2"));
        assert_eq!(text(extract_value, &["a=1; b=2", "b", ";"]).as_deref(), Some("2"));
    }
}
