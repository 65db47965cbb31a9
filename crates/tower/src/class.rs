//! What a request is: the rules by which some are page views and some leave no trace.
//!
//! | request | class |
//! |---|---|
//! | an asset, a health check, a prefetch, an excluded path | passive |
//! | GET, answered with `text/html` below 400, no redirect; or with 304 where a document was asked for | page view |
//! | the same, answered with an error | page error |
//! | all others | other |
//!
//! `Sec-Fetch-Dest`, where sent, can only exclude: what a script, a frame or an image asks for is no page view, whatever
//! it gets; but a client's claim to want a document makes none.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, LOCATION, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use visitlog_core::rules;
pub use visitlog_core::rules::PathRules;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const X_PURPOSE: HeaderName = HeaderName::from_static("x-purpose");
const X_MOZ: HeaderName = HeaderName::from_static("x-moz");

/// Destinations (Fetch standard) of what a page consists of.
const ASSET_DESTINATIONS: [&[u8]; 14] = [
    b"image",
    b"style",
    b"script",
    b"font",
    b"audio",
    b"video",
    b"track",
    b"manifest",
    b"worker",
    b"sharedworker",
    b"serviceworker",
    b"audioworklet",
    b"paintworklet",
    b"report",
];
/// What the site's owner decides about classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What paths alone tell.
    pub paths: PathRules,
    /// Whether the other requests of a session are recorded too, as `request`. Default: no.
    pub record_requests: bool,
}

/// What is known of a request before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It leaves no trace, whatever the answer.
    Passive,
    /// It may be a page view. `document`: the client said that it wants one.
    Page {
        /// Whether the client asked for a document.
        document: bool,
    },
    /// It can't be a page view.
    Other,
}

/// What a request turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page was shown.
    Page,
    /// A page was asked for and could not be shown.
    PageError,
    /// Something else of the app.
    Other,
    /// An asset.
    Passive,
}

impl Rules {
    /// What a request asks for.
    pub fn asked(&self, method: &Method, path: &str, headers: &HeaderMap) -> Asked {
        if *method == Method::OPTIONS
            || is_prefetch(headers)
            || self.paths.is_excluded(path)
            || is_health_check(headers)
        {
            return Asked::Passive;
        }
        let destination = headers.get(SEC_FETCH_DEST).map(|value| value.as_bytes());
        let reads = *method == Method::GET || *method == Method::HEAD;
        if reads && (destination.is_some_and(|name| ASSET_DESTINATIONS.contains(&name)) || self.paths.is_asset(path)) {
            return Asked::Passive;
        }
        match destination {
            _ if *method != Method::GET => Asked::Other,
            Some(b"document") => Asked::Page { document: true },
            Some(_) => Asked::Other,
            None => Asked::Page { document: accepts_html(headers) },
        }
    }
}

impl Asked {
    /// What the request turned out to be, now that the head of the answer is known.
    pub fn answered(self, status: StatusCode, headers: &HeaderMap) -> Kind {
        let content = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let html = media_type_is(content, b"text/html") || media_type_is(content, b"application/xhtml+xml");
        match self {
            Self::Passive => Kind::Passive,
            Self::Page { document } if status == StatusCode::NOT_MODIFIED && document => Kind::Page,
            Self::Page { document } if status.as_u16() >= 400 && (html || document) => Kind::PageError,
            Self::Page { .. } if html && status.as_u16() < 400 && !is_redirect(status, headers) => Kind::Page,
            Self::Page { document: false } if status.is_success() && is_asset_type(content) => Kind::Passive,
            Self::Page { .. } | Self::Other => Kind::Other,
        }
    }
}

fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
        || (status.is_redirection() && headers.contains_key(LOCATION))
}

/// `Sec-Purpose: prefetch;prerender` and what browsers sent before it was agreed upon.
fn is_prefetch(headers: &HeaderMap) -> bool {
    [SEC_PURPOSE, PURPOSE, X_PURPOSE, X_MOZ].iter().any(|name| {
        headers.get(name).is_some_and(|value| {
            let purpose = value.as_bytes().split(|byte| *byte == b';' || *byte == b',').next().unwrap_or_default();
            let purpose = purpose.trim_ascii();
            purpose.eq_ignore_ascii_case(b"prefetch") || purpose.eq_ignore_ascii_case(b"preview")
        })
    })
}

fn is_health_check(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    rules::is_health_check(agent)
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|range| media_type_is(range.trim_ascii(), b"text/html"))
    })
}

fn is_asset_type(content: &[u8]) -> bool {
    let starts = |prefix: &[u8]| content.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts(b"image/")
        || starts(b"font/")
        || starts(b"text/css")
        || starts(b"text/javascript")
        || starts(b"application/javascript")
}

fn media_type_is(value: &[u8], wanted: &[u8]) -> bool {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn asked(method: &Method, path: &str, lines: &[(&'static str, &'static str)]) -> Asked {
        Rules::default().asked(method, path, &headers(lines))
    }

    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
    const DOCUMENT: (&str, &str) = ("sec-fetch-dest", "document");
    const ACCEPTS: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn the_table() {
        let page =
            |request: &[(&'static str, &'static str)], status: u16, response: &[(&'static str, &'static str)]| {
                let status = StatusCode::from_u16(status).expect("a status");
                asked(&Method::GET, "/", request).answered(status, &headers(response))
            };
        assert_eq!(page(&[], 200, &[HTML]), Kind::Page, "no client has to claim anything");
        assert_eq!(page(&[DOCUMENT], 200, &[HTML]), Kind::Page);
        assert_eq!(page(&[DOCUMENT], 200, &[("content-type", "TEXT/HTML")]), Kind::Page);
        assert_eq!(page(&[("sec-fetch-dest", "empty")], 200, &[HTML]), Kind::Other, "a script's");
        assert_eq!(page(&[("sec-fetch-dest", "iframe")], 200, &[HTML]), Kind::Other, "a frame's");
        assert_eq!(page(&[("sec-fetch-dest", "empty")], 500, &[HTML]), Kind::Other);
        assert_eq!(page(&[DOCUMENT], 200, &[("content-type", "application/pdf")]), Kind::Other, "a download");
        assert_eq!(page(&[DOCUMENT], 200, &[]), Kind::Other);
        assert_eq!(page(&[], 200, &[("content-type", "text/htmlx")]), Kind::Other);
        assert_eq!(page(&[DOCUMENT], 302, &[HTML, ("location", "/x")]), Kind::Other, "a redirect");
        assert_eq!(page(&[DOCUMENT], 303, &[HTML]), Kind::Other);
        assert_eq!(page(&[DOCUMENT], 300, &[HTML, ("location", "/x")]), Kind::Other);
        assert_eq!(page(&[DOCUMENT], 304, &[]), Kind::Page);
        assert_eq!(page(&[ACCEPTS], 304, &[]), Kind::Page);
        assert_eq!(page(&[], 304, &[]), Kind::Other, "nobody asked for a document");
        assert_eq!(page(&[], 404, &[HTML]), Kind::PageError);
        assert_eq!(page(&[ACCEPTS], 500, &[]), Kind::PageError);
        assert_eq!(page(&[DOCUMENT], 502, &[("content-type", "text/plain")]), Kind::PageError);
        assert_eq!(page(&[("accept", "application/json")], 404, &[]), Kind::Other);
        assert_eq!(page(&[], 101, &[]), Kind::Other, "a socket");
        assert_eq!(page(&[], 200, &[("content-type", "image/png")]), Kind::Passive, "an asset after all");
        assert_eq!(page(&[DOCUMENT], 200, &[("content-type", "image/png")]), Kind::Other, "a picture by itself");
    }

    #[test]
    fn only_get_shows_pages() {
        for method in [Method::POST, Method::HEAD, Method::PUT, Method::DELETE] {
            let asked = asked(&method, "/", &[DOCUMENT]);
            assert_eq!(asked.answered(StatusCode::OK, &headers(&[HTML])), Kind::Other);
        }
    }

    #[test]
    fn what_leaves_no_trace() {
        for path in ["/healthz", "/healthz/db", "/robots.txt", "/.well-known/x", "/a/logo.PNG", "/app.js", "/x.css"] {
            assert_eq!(asked(&Method::GET, path, &[]), Asked::Passive, "{path}");
        }
        for path in ["/", "/healthzone", "/report.pdf", "/a.css/b", "/v1.0/page", "/js"] {
            assert_eq!(asked(&Method::GET, path, &[]), Asked::Page { document: false }, "{path}");
        }
        assert_eq!(asked(&Method::POST, "/upload.png", &[]), Asked::Other, "sent, not shown");
        assert_eq!(asked(&Method::OPTIONS, "/", &[]), Asked::Passive);
        for line in [
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "Prefetch"),
            ("purpose", "preview"),
            ("x-moz", "prefetch"),
            ("sec-fetch-dest", "image"),
            ("sec-fetch-dest", "font"),
            ("user-agent", "kube-probe/1.31"),
        ] {
            assert_eq!(asked(&Method::GET, "/", &[line]), Asked::Passive, "{line:?}");
        }
        assert_eq!(Asked::Passive.answered(StatusCode::OK, &headers(&[HTML])), Kind::Passive);
    }

    #[test]
    fn paths_are_a_setting() {
        let rules = PathRules { excluded_paths: vec!["/admin".into(), "/x/".into()], ..PathRules::default() };
        let rules = Rules { paths: rules, ..Rules::default() };
        let asked = |path: &str| rules.asked(&Method::GET, path, &HeaderMap::new());
        assert_eq!(asked("/admin"), Asked::Passive);
        assert_eq!(asked("/admin/users"), Asked::Passive);
        assert_eq!(asked("/administration"), Asked::Page { document: false });
        assert_eq!(asked("/x/y"), Asked::Passive);
        assert_eq!(asked("/x"), Asked::Page { document: false });
        assert_eq!(asked("/healthz"), Asked::Page { document: false }, "a list given replaces the default one");
    }

    proptest! {
        #[test]
        fn no_page_without_get_html_and_success(
            method in "GET|POST|HEAD|PUT", path in "/[a-z./]{0,20}", destination in "document|empty|image|iframe|",
            status in 100..600_u16, content in "text/html|text/plain|image/png|",
        ) {
            let mut request = HeaderMap::new();
            if !destination.is_empty() {
                request.insert(SEC_FETCH_DEST, HeaderValue::from_str(&destination).expect("a value"));
            }
            let mut response = HeaderMap::new();
            response.insert(CONTENT_TYPE, HeaderValue::from_str(&content).expect("a value"));
            let status = StatusCode::from_u16(status).expect("a status");
            let method: Method = method.parse().expect("a method");
            let kind = Rules::default().asked(&method, &path, &request).answered(status, &response);
            if kind == Kind::Page {
                prop_assert_eq!(&method, Method::GET);
                prop_assert!(destination == "document" || destination.is_empty());
                prop_assert!(status.as_u16() < 400);
                prop_assert!(content == "text/html" || status == StatusCode::NOT_MODIFIED);
            }
            if kind == Kind::PageError {
                prop_assert!(status.as_u16() >= 400);
            }
        }
    }
}
