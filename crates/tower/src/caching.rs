//! Which responses may carry the cookie, and what caches are told about them.

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// Fields by which caches in front of a site are told what browsers are not, beside those that end in `cache-control`
/// (RFC 9213 and what went before it).
const FOR_SHARED_CACHES: [&str; 4] = ["surrogate-control", "x-accel-expires", "edge-control", "expires"];

/// Whether a response can set the cookie at all. A 304 updates a response that some cache holds, and one that says
/// `immutable` is never asked for again: the next client would get this one's cookie.
pub(crate) fn can_set_cookie(status: StatusCode, headers: &HeaderMap) -> bool {
    status != StatusCode::NOT_MODIFIED && !says(headers, &["immutable"])
}

/// Whether a response says that it is meant for everybody.
pub(crate) fn is_public(headers: &HeaderMap) -> bool {
    says(headers, &["public"])
}

/// Makes a response that sets the cookie private. One that says `no-store` is that already, and more. Whatever is said to
/// shared caches besides goes; that nobody may change the content stays said.
pub(crate) fn make_private(headers: &mut HeaderMap, cache_control: Option<&HeaderValue>) {
    let is_for_shared = |name: &&HeaderName| {
        let name = name.as_str();
        FOR_SHARED_CACHES.contains(&name) || name.ends_with("-cache-control")
    };
    let shared: Vec<HeaderName> = headers.keys().filter(is_for_shared).cloned().collect();
    for name in shared {
        headers.remove(name);
    }
    let Some(value) = cache_control.filter(|_| !says(headers, &["no-store"])) else { return };
    let value = match says(headers, &["no-transform"]) {
        true => {
            HeaderValue::from_bytes(&[value.as_bytes(), b", no-transform"].concat()).unwrap_or_else(|_| value.clone())
        }
        false => value.clone(),
    };
    headers.insert(CACHE_CONTROL, value);
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
    fn what_says_that_it_is_everybodys() {
        for (lines, public, immutable) in [
            (&[][..], false, false),
            (&["private"], false, false),
            (&["max-age=60"], false, false),
            (&["no-store"], false, false),
            (&["public"], true, false),
            (&["max-age=60, PUBLIC"], true, false),
            (&["max-age=60", "private , immutable"], false, true),
            (&["publicity"], false, false),
        ] {
            assert_eq!(is_public(&headers(lines)), public, "{lines:?}");
            assert_eq!(can_set_cookie(StatusCode::OK, &headers(lines)), !immutable, "{lines:?}");
            assert!(!can_set_cookie(StatusCode::NOT_MODIFIED, &headers(lines)));
        }
    }

    #[test]
    fn a_response_with_the_cookie_is_private() {
        let value = HeaderValue::from_static("private, no-cache");
        let mut response = headers(&["max-age=60", "s-maxage=600"]);
        for name in [
            "surrogate-control",
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "akamai-cache-control",
            "x-litespeed-cache-control",
            "x-accel-expires",
            "edge-control",
            "expires",
        ] {
            response.insert(name, HeaderValue::from_static("max-age=600"));
        }
        make_private(&mut response, Some(&value));
        assert_eq!(response.len(), 1);
        assert_eq!(response[CACHE_CONTROL], "private, no-cache");
    }

    #[test]
    fn that_nobody_may_change_the_content_stays_said() {
        let value = HeaderValue::from_static("private, no-cache");
        let mut response = headers(&["public, max-age=60, No-Transform"]);
        make_private(&mut response, Some(&value));
        assert_eq!(response[CACHE_CONTROL], "private, no-cache, no-transform");
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
