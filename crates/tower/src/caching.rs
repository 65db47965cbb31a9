//! Which responses may carry the cookie, and what caches are told about them.

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Whether a response may set the cookie. A 304 updates a response that some cache holds, and one that says `public` or
/// `immutable` is meant for everybody: the next client would get this one's cookie.
pub(crate) fn may_set_cookie(status: StatusCode, headers: &HeaderMap) -> bool {
    status != StatusCode::NOT_MODIFIED && !says(headers, &["public", "immutable"])
}

/// Makes a response that sets the cookie private. One that says `no-store` is that already, and more.
pub(crate) fn make_private(headers: &mut HeaderMap, cache_control: Option<&HeaderValue>) {
    headers.remove(SURROGATE_CONTROL);
    headers.remove(CDN_CACHE_CONTROL);
    if let Some(value) = cache_control
        && !says(headers, &["no-store"])
    {
        headers.insert(CACHE_CONTROL, value.clone());
    }
}

/// Whether `Cache-Control` has one of these directives. A word in a quoted string counts too: better no cookie once
/// than one in a shared cache.
fn says(headers: &HeaderMap, directives: &[&str]) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|part| {
            let name = part.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            directives.iter().any(|directive| name.eq_ignore_ascii_case(directive.as_bytes()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (CACHE_CONTROL, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn what_is_everybodys_gets_no_cookie() {
        for (lines, may) in [
            (&[][..], true),
            (&["private"], true),
            (&["max-age=60"], true),
            (&["no-store"], true),
            (&["public"], false),
            (&["max-age=60, PUBLIC"], false),
            (&["max-age=60", "private , immutable"], false),
            (&["publicity"], true),
        ] {
            assert_eq!(may_set_cookie(StatusCode::OK, &headers(lines)), may, "{lines:?}");
            assert!(!may_set_cookie(StatusCode::NOT_MODIFIED, &headers(lines)));
        }
    }

    #[test]
    fn a_response_with_the_cookie_is_private() {
        let value = HeaderValue::from_static("private, no-cache");
        let mut response = headers(&["max-age=60", "s-maxage=600"]);
        response.insert("surrogate-control", HeaderValue::from_static("max-age=600"));
        response.insert("cdn-cache-control", HeaderValue::from_static("max-age=600"));
        make_private(&mut response, Some(&value));
        assert_eq!(response.len(), 1);
        assert_eq!(response[CACHE_CONTROL], "private, no-cache");
    }

    #[test]
    fn what_is_stricter_stays() {
        let value = HeaderValue::from_static("private, no-cache");
        let mut response = headers(&["No-Store, max-age=0"]);
        make_private(&mut response, Some(&value));
        assert_eq!(response[CACHE_CONTROL], "No-Store, max-age=0");
        let mut response = headers(&["max-age=60"]);
        make_private(&mut response, None);
        assert_eq!(response[CACHE_CONTROL], "max-age=60", "left alone where the settings say so");
    }
}
