//! What a request is: the rules by which some are page views and some leave no trace.
//!
//! | request | class |
//! |---|---|
//! | an asset, a health check, an excluded path | passive |
//! | a page that is fetched before anybody wants to see it | passive, and a page view once it is shown |
//! | GET, answered with `text/html` below 400, no redirect, no attachment; or with 304 where a document was asked for | page view |
//! | the same, answered with an error that is no step of a login by itself (NTLM, Negotiate) | page error |
//! | all others | other |
//!
//! `Sec-Fetch-Dest`, where sent, can only exclude: what a script, a frame or an image asks for is no page view, whatever
//! it gets; but a client's claim to want a document makes none. A navigation without a destination is one that a service
//! worker passes on. Where no such header is sent (plain HTTP, old browsers), what says that it is a part of a page is
//! none: see [`Rules::asked`].

use std::net::IpAddr;

use http::header::{
    ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use memchr::memchr_iter;
use visitlog_core::rules;
pub use visitlog_core::rules::PathRules;

use crate::noted::Noted;

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
/// Media types of pages.
const HTML_TYPES: [&[u8]; 2] = [b"text/html", b"application/xhtml+xml"];
/// Media types of feeds.
const FEED_TYPES: [&[u8]; 4] =
    [b"application/rss+xml", b"application/atom+xml", b"application/rdf+xml", b"application/feed+json"];
/// What stands before the `+` in them.
const FEED_ENDS: [&[u8]; 4] = [b"/rss", b"/atom", b"/rdf", b"/feed"];
/// What the paths of feeds end in, where that is no file name extension.
const FEED_NAMES: [&str; 4] = ["feed", "feeds", "rss", "atom"];

/// What the site's owner decides about classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What paths alone tell.
    pub paths: PathRules,
    /// Whether the other requests of a session are recorded too, as `request`. Default: no.
    pub record_requests: bool,
    /// Addresses whose requests leave no trace at all: the owner's own. Default: none.
    pub excluded_addresses: Vec<IpNet>,
    /// Headers whose requests leave no trace at all, with one value or with any. Default: none.
    pub excluded_headers: Vec<(HeaderName, Option<String>)>,
    /// Words in user agents whose requests leave no trace at all, in whatever case of ASCII. Default: none.
    pub excluded_agents: Vec<String>,
    /// Whether nothing is recorded at all. Default: no.
    pub disabled: bool,
    /// Paths where nothing is recorded at all, with all that lies below them. Default: none.
    pub disabled_paths: Vec<String>,
}

/// What is known of a request before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It leaves no trace, whatever the answer.
    Passive,
    /// A page may be fetched that nobody looks at yet.
    Prefetch,
    /// It may be a page view.
    Page {
        /// Whether the client said that it wants a document.
        document: bool,
        /// Whether the path is that of a file or a feed: that it has not changed tells of no page.
        file: bool,
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
    /// A page was fetched, and may be shown.
    Prefetched,
    /// Something else of the app.
    Other,
    /// An asset.
    Passive,
}

impl Rules {
    /// Whether a request leaves no trace, whatever it is for and whatever the app says.
    pub fn excludes(&self, address: Option<IpAddr>, path: &str, headers: &HeaderMap) -> bool {
        let of_address =
            |ip: IpAddr| self.excluded_addresses.iter().any(|network| network.contains(&ip.to_canonical()));
        self.disabled
            || self.disabled_paths.iter().any(|above| rules::is_below(path, above))
            || address.is_some_and(of_address)
            || self.excluded_headers.iter().any(|(name, value)| has(headers, name, value.as_deref()))
            || self.excluded_agents.iter().any(|words| says(headers, words))
    }

    /// What a request asks for.
    ///
    /// Where the client sends no `Sec-Fetch-Dest`, none of these is a page: what htmx (unless boosted), jQuery, Turbo's
    /// frames, PJAX, Unpoly, Alpine, Livewire and Datastar say of a part; `X-Requested-With`, but for the name of an app
    /// for Android, which its web view sends with everything; a browser's `Accept` without `text/html`.
    pub fn asked(&self, method: &Method, path: &str, headers: &HeaderMap) -> Asked {
        self.asked_by(method, path, &Noted::of(headers))
    }

    /// The same, by what was noted of the headers.
    pub(crate) fn asked_by(&self, method: &Method, path: &str, noted: &Noted<'_>) -> Asked {
        if *method == Method::OPTIONS || self.paths.is_excluded(path) || is_health_check(noted) {
            return Asked::Passive;
        }
        let destination = noted.destination.map(HeaderValue::as_bytes);
        let is_get = *method == Method::GET;
        let reads = is_get || *method == Method::HEAD;
        if reads && (destination.is_some_and(|name| ASSET_DESTINATIONS.contains(&name)) || self.paths.is_asset(path)) {
            return Asked::Passive;
        }
        if noted.is_prefetch {
            let page = is_get && destination.is_none_or(|name| name == b"document" || name == b"empty");
            return if page { Asked::Prefetch } else { Asked::Passive };
        }
        if !is_get {
            return Asked::Other;
        }
        let mode = noted.mode.map(HeaderValue::as_bytes);
        let file = || self.paths.is_file(path) || is_feed(path, noted);
        match (destination, mode) {
            (Some(b"document"), _) | (Some(b"empty"), Some(b"navigate")) => {
                Asked::Page { document: true, file: file() }
            }
            (Some(_), _) => Asked::Other,
            (None, Some(mode)) if mode != b"navigate" => Asked::Other,
            (None, _) if is_part(noted) => Asked::Other,
            (None, _) => Asked::Page { document: accepts(noted, &HTML_TYPES[..1]), file: file() },
        }
    }
}

/// Whether a header is there, with a value where one is named.
fn has(headers: &HeaderMap, name: &HeaderName, value: Option<&str>) -> bool {
    let is = |found: &HeaderValue| value.is_none_or(|value| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()));
    headers.get_all(name).iter().any(is)
}

/// Whether the user agent has these words in it.
fn says(headers: &HeaderMap, words: &str) -> bool {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    !words.is_empty() && rules::contains_ignoring_case(agent, words.as_bytes())
}

impl Asked {
    /// Whether nothing is recorded of it by itself.
    pub(crate) const fn is_passive(self) -> bool {
        matches!(self, Self::Passive | Self::Prefetch)
    }

    /// What the request turned out to be, now that the head of the answer is known.
    pub fn answered(self, status: StatusCode, headers: &HeaderMap) -> Kind {
        let content = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let html = HTML_TYPES.iter().any(|html| media_type_is(content, html));
        let shows = || html && can_show(status) && !is_redirect(status, headers) && !is_attachment(headers);
        let unchanged = status == StatusCode::NOT_MODIFIED;
        match self {
            Self::Prefetch if unchanged || shows() => Kind::Prefetched,
            Self::Passive | Self::Prefetch => Kind::Passive,
            Self::Page { document: true, file: false } if unchanged => Kind::Page,
            Self::Page { .. } if is_handshake(status, headers) => Kind::Other,
            Self::Page { document, .. } if status.as_u16() >= 400 && (html || document) => Kind::PageError,
            Self::Page { .. } if shows() => Kind::Page,
            Self::Page { document: false, .. } if status.is_success() && is_asset_type(content) => Kind::Passive,
            Self::Page { .. } | Self::Other => Kind::Other,
        }
    }
}

/// Whether a browser leaves the page before for what comes with this status. Frameworks name a type of an answer without
/// content, too.
fn can_show(status: StatusCode) -> bool {
    status.as_u16() < 400 && status != StatusCode::NO_CONTENT && status != StatusCode::RESET_CONTENT
}

fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
        || (status.is_redirection() && headers.contains_key(LOCATION))
}

/// Whether a browser answers this by itself, and shows what comes then: a login that belongs to a connection (NTLM,
/// Negotiate) begins with one or two of them on each.
fn is_handshake(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_scheme = |value: &HeaderValue| {
        let scheme = value.as_bytes().split(|byte| matches!(byte, b' ' | b',')).next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"negotiate") || scheme.eq_ignore_ascii_case(b"ntlm")
    };
    status == StatusCode::UNAUTHORIZED && headers.get_all(WWW_AUTHENTICATE).iter().any(is_scheme)
}

/// Whether the answer is to be kept, not shown. A disposition that nobody knows counts as one (RFC 6266, section 4.2);
/// a parameter without any does not: browsers show that.
fn is_attachment(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_DISPOSITION) else { return false };
    let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    !kind.is_empty() && !kind.contains(&b'=') && !kind.eq_ignore_ascii_case(b"inline")
}

/// Whether a request, by a client that sends no `Sec-Fetch-Dest`, says that it is for a part of a page.
fn is_part(noted: &Noted<'_>) -> bool {
    (noted.by_htmx && !noted.wants_whole)
        || noted.is_part
        || noted.requested_with.is_some_and(|with| !with.as_bytes().contains(&b'.'))
        || (noted.accept.is_some()
            && noted.user_agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
            && !accepts(noted, &HTML_TYPES))
}

/// Whether this is a feed, by the client's word or by the path.
fn is_feed(path: &str, noted: &Noted<'_>) -> bool {
    let path = path.trim_end_matches('/');
    let name = path.bytes().rposition(|byte| byte == b'/').map_or(path, |at| &path[at + 1..]);
    FEED_NAMES.iter().any(|feed| name.eq_ignore_ascii_case(feed)) || accepts_feeds(noted)
}

fn accepts_feeds(noted: &Noted<'_>) -> bool {
    // Whoever accepts none mostly has nothing that looks alike: no need to take the list apart.
    let Some(first) = noted.accept.map(HeaderValue::as_bytes) else { return false };
    let looks_alike = |at: usize| FEED_ENDS.iter().any(|end| ends_in(&first[..at], end));
    let is_one_line = || noted.headers.get_all(ACCEPT).iter().nth(1).is_none();
    (memchr_iter(b'+', first).any(looks_alike) || !is_one_line()) && accepts(noted, &FEED_TYPES)
}

fn ends_in(text: &[u8], end: &[u8]) -> bool {
    text.len().checked_sub(end.len()).is_some_and(|from| text[from..].eq_ignore_ascii_case(end))
}

fn is_health_check(noted: &Noted<'_>) -> bool {
    rules::is_health_check(noted.user_agent.map_or(&b""[..], HeaderValue::as_bytes))
}

/// Whether `Accept` names one of these media types.
fn accepts(noted: &Noted<'_>, types: &[&[u8]]) -> bool {
    let is_one = |range: &[u8]| types.iter().any(|wanted| media_type_is(range, wanted));
    let names = |line: &HeaderValue| line.as_bytes().split(|byte| *byte == b',').any(is_one);
    // Clients send one line; only who sends more has them all looked for.
    noted.accept.is_some_and(names) || noted.headers.get_all(ACCEPT).iter().skip(1).any(names)
}

fn is_asset_type(content: &[u8]) -> bool {
    let starts = |prefix: &[u8]| content.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts(b"image/")
        || starts(b"font/")
        || starts(b"text/css")
        || starts(b"text/javascript")
        || starts(b"application/javascript")
}

/// Whether this is a media type, whatever parameters come behind it.
fn media_type_is(value: &[u8], wanted: &[u8]) -> bool {
    let Some((name, rest)) = value.trim_ascii_start().split_at_checked(wanted.len()) else { return false };
    // Most that are none differ in the last letter.
    name.last().map(u8::to_ascii_lowercase) == wanted.last().copied()
        && name.eq_ignore_ascii_case(wanted)
        && rest.trim_ascii_start().first().is_none_or(|byte| *byte == b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_own_requests_leave_no_trace() {
        let rules = Rules {
            excluded_addresses: vec!["203.0.113.0/24".parse().expect("a network")],
            excluded_headers: vec![
                (HeaderName::from_static("x-monitor"), None),
                (HeaderName::from_static("x-from"), Some("office".to_owned())),
            ],
            excluded_agents: vec!["UptimeRobot/".to_owned()],
            disabled_paths: vec!["/admin".to_owned()],
            ..Rules::default()
        };
        let excludes = |address: &str, path: &str, headers: &[(&'static str, &'static str)]| {
            let with = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            rules.excludes(address.parse().ok(), path, &headers.iter().map(with).collect())
        };
        assert!(!excludes("198.51.100.1", "/", &[("user-agent", "Mozilla/5.0"), ("x-from", "home")]));
        assert!(excludes("::ffff:203.0.113.7", "/", &[]));
        assert!(excludes("", "/", &[("x-monitor", "")]));
        assert!(excludes("", "/", &[("x-from", "home"), ("x-from", "Office")]));
        assert!(excludes("", "/", &[("user-agent", "Mozilla/5.0 (compatible; uptimerobot/2.0)")]));
        assert!(excludes("", "/admin/users", &[]) && !excludes("", "/administration", &[]));
        assert!(Rules { disabled: true, ..Rules::default() }.excludes(None, "/", &HeaderMap::new()));
    }
    use http::HeaderName;
    use proptest::prelude::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn asked(method: &Method, path: &str, lines: &[(&'static str, &'static str)]) -> Asked {
        Rules::default().asked(method, path, &headers(lines))
    }

    const PAGE: Asked = Asked::Page { document: false, file: false };
    const A_DOCUMENT: Asked = Asked::Page { document: true, file: false };
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
        assert_eq!(page(&[DOCUMENT], 200, &[("content-type", " text/html ; charset=utf-8")]), Kind::Page);
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
        let attachment = |value| page(&[DOCUMENT], 200, &[HTML, ("content-disposition", value)]);
        assert_eq!(attachment("attachment; filename=\"a.html\""), Kind::Other);
        assert_eq!(attachment("ATTACHMENT"), Kind::Other);
        assert_eq!(attachment("form-data; name=x"), Kind::Other, "unknown");
        assert_eq!(attachment("inline; filename=\"a.html\""), Kind::Page);
        assert_eq!(attachment("filename=a.html"), Kind::Page, "browsers show it");
        assert_eq!(page(&[DOCUMENT], 404, &[HTML, ("content-disposition", "attachment")]), Kind::PageError);
        assert_eq!(page(&[], 404, &[HTML]), Kind::PageError);
        assert_eq!(page(&[ACCEPTS], 500, &[]), Kind::PageError);
        assert_eq!(page(&[DOCUMENT], 502, &[("content-type", "text/plain")]), Kind::PageError);
        let challenged = |scheme| page(&[DOCUMENT], 401, &[HTML, ("www-authenticate", scheme)]);
        for scheme in ["Negotiate", "NTLM TlRMTVNTUAACAAAA", "negotiate, Basic realm=x"] {
            assert_eq!(challenged(scheme), Kind::Other, "{scheme}: browsers answer it by themselves");
        }
        assert_eq!(challenged("Basic realm=\"Negotiate\""), Kind::PageError, "a person may give up");
        assert_eq!(page(&[DOCUMENT], 401, &[HTML]), Kind::PageError);
        assert_eq!(page(&[("accept", "application/json")], 404, &[]), Kind::Other);
        assert_eq!(page(&[], 101, &[]), Kind::Other, "a socket");
        for status in [204, 205] {
            assert_eq!(page(&[DOCUMENT], status, &[HTML]), Kind::Other, "{status}: browsers stay where they are");
        }
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
        for path in ["/", "/healthzone", "/a.css/b", "/v1.0/page", "/js", "/feedback"] {
            assert_eq!(asked(&Method::GET, path, &[]), PAGE, "{path}");
        }
        assert_eq!(asked(&Method::POST, "/upload.png", &[]), Asked::Other, "sent, not shown");
        assert_eq!(asked(&Method::OPTIONS, "/", &[]), Asked::Passive);
        for line in [("sec-fetch-dest", "image"), ("sec-fetch-dest", "font"), ("user-agent", "kube-probe/1.31")] {
            assert_eq!(asked(&Method::GET, "/", &[line]), Asked::Passive, "{line:?}");
        }
        assert_eq!(Asked::Passive.answered(StatusCode::OK, &headers(&[HTML])), Kind::Passive);
    }

    #[test]
    fn a_navigation_that_a_service_worker_passes_on_is_a_page() {
        let passed = |mode| asked(&Method::GET, "/", &[("sec-fetch-dest", "empty"), ("sec-fetch-mode", mode)]);
        assert_eq!(passed("navigate"), A_DOCUMENT);
        for mode in ["cors", "no-cors", "same-origin", "websocket"] {
            assert_eq!(passed(mode), Asked::Other, "{mode}: a script's own");
            assert_eq!(asked(&Method::GET, "/", &[("sec-fetch-mode", mode), ACCEPTS]), Asked::Other, "{mode}");
        }
        assert_eq!(asked(&Method::GET, "/", &[("sec-fetch-mode", "navigate"), ACCEPTS]), A_DOCUMENT);
        let framed = [("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")];
        assert_eq!(asked(&Method::GET, "/", &framed), Asked::Other);
    }

    #[test]
    fn what_says_that_it_is_a_part_is_no_page() {
        let browser = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
        for part in [
            &[("hx-request", "true"), ("accept", "*/*")][..],
            &[("hx-request", "true"), ACCEPTS],
            &[("x-requested-with", "XMLHttpRequest"), ("accept", "text/html, */*; q=0.01")],
            &[("x-requested-with", "fetch"), ACCEPTS],
            &[("turbo-frame", "list"), ACCEPTS],
            &[("x-pjax", "true"), ACCEPTS],
            &[("x-up-target", ".list"), ACCEPTS],
            &[browser, ("accept", "*/*")],
            &[browser, ("accept", "application/json")],
        ] {
            assert_eq!(asked(&Method::GET, "/", part), Asked::Other, "{part:?}");
        }
        for whole in [
            &[("hx-request", "true"), ("hx-boosted", "true"), ACCEPTS][..],
            &[("hx-request", "true"), ("hx-history-restore-request", "true"), ACCEPTS],
            &[("x-requested-with", "com.example.app"), browser, ACCEPTS],
            &[browser, ACCEPTS],
        ] {
            assert_eq!(asked(&Method::GET, "/", whole), A_DOCUMENT, "{whole:?}");
        }
        for page in [&[browser][..], &[("user-agent", "curl/8"), ("accept", "*/*")]] {
            assert_eq!(asked(&Method::GET, "/", page), PAGE, "{page:?}");
        }
        let with_metadata = [DOCUMENT, ("x-requested-with", "XMLHttpRequest")];
        assert_eq!(asked(&Method::GET, "/", &with_metadata), A_DOCUMENT, "no script can say that it navigates");
    }

    #[test]
    fn what_is_fetched_ahead_is_shown_later_if_it_is_a_page() {
        for purpose in [
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch"),
            ("purpose", "Prefetch"),
            ("purpose", "preview"),
            ("x-moz", "prefetch"),
            ("x-sec-purpose", "prefetch"),
        ] {
            let ahead = asked(&Method::GET, "/", &[purpose]);
            assert_eq!(ahead, Asked::Prefetch, "{purpose:?}");
            assert_eq!(ahead.answered(StatusCode::OK, &headers(&[HTML])), Kind::Prefetched);
            assert_eq!(ahead.answered(StatusCode::NOT_MODIFIED, &headers(&[])), Kind::Prefetched);
            for (status, lines) in [(404, &[HTML][..]), (302, &[HTML]), (200, &[("content-type", "image/png")])] {
                let status = StatusCode::from_u16(status).expect("a status");
                assert_eq!(ahead.answered(status, &headers(lines)), Kind::Passive, "{status}");
            }
            assert_eq!(asked(&Method::GET, "/", &[purpose, ("sec-fetch-dest", "iframe")]), Asked::Passive);
            assert_eq!(asked(&Method::GET, "/a.css", &[purpose]), Asked::Passive);
            assert_eq!(asked(&Method::HEAD, "/", &[purpose]), Asked::Passive);
        }
    }

    #[test]
    fn a_file_or_a_feed_that_has_not_changed_is_no_page() {
        let unchanged = |path: &str, lines: &[(&'static str, &'static str)]| {
            asked(&Method::GET, path, lines).answered(StatusCode::NOT_MODIFIED, &HeaderMap::new())
        };
        let reader = ("accept", "application/rss+xml, application/atom+xml;q=0.9, text/html;q=0.5");
        assert_eq!(unchanged("/blog", &[reader]), Kind::Other);
        for path in ["/feed", "/blog/feed/", "/atom.xml", "/index.rss", "/report.pdf"] {
            assert_eq!(unchanged(path, &[ACCEPTS]), Kind::Other, "{path}");
            assert_eq!(unchanged(path, &[DOCUMENT]), Kind::Other, "{path}");
        }
        assert_eq!(unchanged("/index.html", &[DOCUMENT]), Kind::Page);
        let page = asked(&Method::GET, "/feed", &[DOCUMENT]).answered(StatusCode::OK, &headers(&[HTML]));
        assert_eq!(page, Kind::Page, "a page that is called so");
    }

    #[test]
    fn paths_are_a_setting() {
        let rules = PathRules { excluded_paths: vec!["/admin".into(), "/x/".into()], ..PathRules::default() };
        let rules = Rules { paths: rules, ..Rules::default() };
        let asked = |path: &str| rules.asked(&Method::GET, path, &HeaderMap::new());
        assert_eq!(asked("/admin"), Asked::Passive);
        assert_eq!(asked("/admin/users"), Asked::Passive);
        assert_eq!(asked("/administration"), PAGE);
        assert_eq!(asked("/x/y"), Asked::Passive);
        assert_eq!(asked("/x"), PAGE);
        assert_eq!(asked("/healthz"), PAGE, "a list given replaces the default one");
    }

    proptest! {
        #[test]
        fn no_page_without_get_html_and_success(
            method in "GET|POST|HEAD|PUT", path in "/[a-z./]{0,20}", destination in "document|empty|image|iframe|",
            status in 100..600_u16, content in "text/html|text/plain|image/png|",
        ) {
            let mut request = HeaderMap::new();
            if !destination.is_empty() {
                request.insert("sec-fetch-dest", HeaderValue::from_str(&destination).expect("a value"));
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
