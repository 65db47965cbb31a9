//! Whether an answer is a page that the script can be put into.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use visitlog_tower::caching::says;

use super::policy;

/// Why the script is not put into an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftAlone {
    /// It is no page.
    NoPage,
    /// It is one, and this is in the way.
    Because(&'static str),
}

/// The nonce that the script needs, if it needs one.
pub(super) fn look(status: StatusCode, headers: &HeaderMap) -> Result<Option<String>, LeftAlone> {
    let content = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut parts = content.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_html = parts.next().unwrap_or_default().eq_ignore_ascii_case(b"text/html");
    let is_shown = !headers.contains_key(header::CONTENT_DISPOSITION);
    if status != StatusCode::OK
        || !is_html
        || !is_shown
        || headers.get(header::CONTENT_LENGTH).is_some_and(|n| n == "0")
    {
        return Err(LeftAlone::NoPage);
    }
    let identity = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(identity) {
        return Err(LeftAlone::Because("compressed"));
    }
    if says(headers, &["no-transform"]) {
        return Err(LeftAlone::Because("no_transform"));
    }
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(8)?;
        name.eq_ignore_ascii_case(b"charset=").then(|| value.trim_ascii().to_ascii_lowercase())
    });
    let charset = charset.unwrap_or_default();
    let charset = charset.strip_prefix(b"\"").unwrap_or(&charset);
    if charset.starts_with(b"utf-16")
        || charset.starts_with(b"utf-32")
        || charset.starts_with(b"iso-2022")
        || charset.starts_with(b"utf-7")
    {
        return Err(LeftAlone::Because("charset"));
    }
    policy::nonce(headers).map_err(|policy::Forbidden| LeftAlone::Because("content_security_policy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(lines: &[(&'static str, &'static str)]) -> Result<Option<String>, LeftAlone> {
        let named = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        look(StatusCode::OK, &lines.iter().map(named).collect())
    }

    #[test]
    fn whole_pages_that_can_be_read_and_may_be_changed() {
        let html = ("content-type", "Text/HTML; charset=\"UTF-8\"");
        assert_eq!(looked(&[html, ("content-length", "10"), ("content-encoding", "identity")]), Ok(None));
        assert_eq!(looked(&[("content-type", "text/html")]), Ok(None));
        for no_page in [
            &[("content-type", "text/htmlx")][..],
            &[html, ("content-disposition", "attachment")],
            &[html, ("content-length", "0")],
            &[],
        ] {
            assert_eq!(looked(no_page), Err(LeftAlone::NoPage), "{no_page:?}");
        }
        assert_eq!(look(StatusCode::PARTIAL_CONTENT, &HeaderMap::new()), Err(LeftAlone::NoPage));
        for (why, line) in [
            ("compressed", ("content-encoding", "br")),
            ("no_transform", ("cache-control", "public, No-Transform")),
            ("content_security_policy", ("content-security-policy", "default-src 'none'")),
        ] {
            assert_eq!(looked(&[html, line]), Err(LeftAlone::Because(why)), "{line:?}");
        }
        assert_eq!(looked(&[("content-type", "text/html;charset=UTF-16le")]), Err(LeftAlone::Because("charset")));
    }
}
