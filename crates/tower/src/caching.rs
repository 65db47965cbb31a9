//! Which responses may carry the cookie, and what caches are told about them.

use http::header::{CACHE_CONTROL, EXPIRES, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// Fields by which caches in front of a site are told what browsers are not, beside those that end in `cache-control`
/// (RFC 9213 and what went before it).
const FOR_SHARED_CACHES: [&str; 3] = ["surrogate-control", "x-accel-expires", "edge-control"];

fn is_for_shared_caches(name: &str) -> bool {
    FOR_SHARED_CACHES.contains(&name) || name.ends_with("-cache-control")
}

/// Whether a response can set the cookie at all. A 304 updates a response that some cache holds, and one that says
/// `immutable` is never asked for again: the next client would get this one's cookie.
pub(crate) fn can_set_cookie(status: StatusCode, headers: &HeaderMap) -> bool {
    status != StatusCode::NOT_MODIFIED && !says(headers, &["immutable"])
}

/// Whether a response is meant for everybody: it says so, or tells shared caches how long they may keep it. What is said
/// to some of them alone counts whatever `Cache-Control` says beside (RFC 9213, section 2.2).
pub(crate) fn is_public(headers: &HeaderMap) -> bool {
    let is_kept = |(name, line): (&HeaderName, &HeaderValue)| {
        is_for_shared_caches(name.as_str())
            && !has_directive(line, &["no-store", "private", "no-cache", "off", ""])
            // `X-Accel-Expires` has a number of seconds, or `off`.
            && !directives(line).any(|(name, _)| is_zero(name))
            && lifetime(line, &["s-maxage", "max-age"]).is_none_or(|seconds| !is_zero(seconds))
    };
    let lasts = |line: &HeaderValue| lifetime(line, &["s-maxage"]).is_some_and(|seconds| !is_zero(seconds));
    says(headers, &["public"])
        || (headers.get_all(CACHE_CONTROL).iter().any(lasts) && !says(headers, &["private", "no-store"]))
        || headers.iter().any(is_kept)
}

/// Makes a response that sets the cookie private. One that says `no-store` is that already, and more. Whatever is said to
/// shared caches besides goes; that nobody may change the content stays said.
pub(crate) fn make_private(headers: &mut HeaderMap, cache_control: Option<&HeaderValue>) {
    let is_for_shared = |name: &&HeaderName| **name == EXPIRES || is_for_shared_caches(name.as_str());
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
pub fn says(headers: &HeaderMap, directives: &[&str]) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|line| has_directive(line, directives))
}

fn has_directive(line: &HeaderValue, wanted: &[&str]) -> bool {
    directives(line).any(|(name, _)| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes())))
}

/// The value of the first of these directives that a line has.
fn lifetime<'a>(line: &'a HeaderValue, wanted: &[&str]) -> Option<&'a [u8]> {
    let of = |wanted: &&str| directives(line).find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    wanted.iter().find_map(of).map(|(_, value)| value)
}

/// Names and values; a value is empty where there is none.
fn directives(line: &HeaderValue) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.as_bytes().split(|byte| *byte == b',').map(|part| {
        let at = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
        let value = part.get(at + 1..).unwrap_or_default().trim_ascii();
        (
            part[..at].trim_ascii(),
            value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value),
        )
    })
}

/// No seconds at all: what is kept for so long is not.
fn is_zero(seconds: &[u8]) -> bool {
    !seconds.is_empty() && seconds.iter().all(|digit| *digit == b'0')
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
            (&["max-age=0, s-maxage=600"], true, false),
            (&["s-maxage=0"], false, false),
            (&["private, s-maxage=600"], false, false),
            (&["max-age=60, S-Maxage=\"0\""], false, false),
        ] {
            assert_eq!(is_public(&headers(lines)), public, "{lines:?}");
            assert_eq!(can_set_cookie(StatusCode::OK, &headers(lines)), !immutable, "{lines:?}");
            assert!(!can_set_cookie(StatusCode::NOT_MODIFIED, &headers(lines)));
        }
    }

    #[test]
    fn what_shared_caches_alone_are_told_counts_too() {
        for (name, value, public) in [
            ("cdn-cache-control", "max-age=600", true),
            ("cloudflare-cdn-cache-control", "max-age=600", true),
            ("surrogate-control", "max-age=600", true),
            ("x-accel-expires", "600", true),
            ("x-accel-expires", "0", false),
            ("x-accel-expires", "off", false),
            ("cdn-cache-control", "no-store", false),
            ("cdn-cache-control", "max-age=0, must-revalidate", false),
            ("cdn-cache-control", "max-age=0, s-maxage=600", true),
            ("cdn-cache-control", "Max-Age=\"00\"", false),
            ("surrogate-control", "content=\"ESI/1.0\", max-age=600", true),
            ("surrogate-control", "private", false),
            ("expires", "Thu, 01 Jan 2037 00:00:00 GMT", false),
        ] {
            let mut response = headers(&["private"]);
            response.insert(name, HeaderValue::from_static(value));
            assert_eq!(is_public(&response), public, "{name}: {value}");
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
