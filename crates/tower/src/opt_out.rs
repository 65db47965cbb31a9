//! The page on which a visitor says not to be recorded, and says otherwise again.
//!
//! | request for [`PATH`] | answer |
//! |---|---|
//! | `GET`, `HEAD` | a page: whether visits are recorded in this browser, and a button to change that |
//! | `POST` | sets a cookie of a year, takes ours away, ends the session; then the page again (303) |
//! | `POST` with `?choice=in` | takes that cookie away; then the page again |
//! | `POST` that another site sent | 403: the choice is the visitor's |
//!
//! The cookie says `1` and nothing else: it is the same for everybody. The app behind never sees these requests.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use visitlog_core::Host;
use visitlog_core::privacy::Mode;

use crate::cookie;
use crate::handover::{SEC_FETCH_SITE, names_another_origin};

/// Where the page is.
pub const PATH: &str = "/.well-known/visitlog/opt-out";

/// The name of the cookie by which a choice is known.
pub const COOKIE: &str = "visitlog-opt-out";

/// How long a choice holds, in seconds: a year.
const HOLDS_S: u32 = 365 * 24 * 60 * 60;

/// Whether a request comes from somebody who has opted out.
pub(crate) fn is_out(headers: &HeaderMap) -> bool {
    cookie::values(headers, COOKIE).any(|value| !value.is_empty() && value != b"0")
}

/// What a request for the page asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To see it.
    See,
    /// Not to be recorded any more.
    Out,
    /// To be recorded again.
    In,
    /// Something that is not the visitor's own wish.
    Foreign,
    /// Something else.
    Other,
}

impl Wish {
    /// What a request asks for; `None` where it is for something else than the page.
    pub(crate) fn of<B>(request: &Request<B>, host: &Host) -> Option<Self> {
        if request.uri().path() != PATH {
            return None;
        }
        Some(match *request.method() {
            Method::GET | Method::HEAD => Self::See,
            Method::POST if is_foreign(request.headers(), host) => Self::Foreign,
            Method::POST if chooses_in(request.uri().query()) => Self::In,
            Method::POST => Self::Out,
            _ => Self::Other,
        })
    }
}

fn chooses_in(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| pair == "choice=in")
}

/// Whether another site sent this.
fn is_foreign(headers: &HeaderMap, host: &Host) -> bool {
    match headers.get(SEC_FETCH_SITE) {
        Some(site) => site != "same-origin" && site != "same-site" && site != "none",
        None => names_another_origin(headers, host),
    }
}

/// The header that sets the cookie of a choice; that takes it away, for `false`.
pub(crate) fn set_cookie(out: bool, over_tls: bool, domain: Option<&str>) -> HeaderValue {
    let age = if out { HOLDS_S } else { 0 };
    let value = if out { "1" } else { "" };
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let secure = if over_tls { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/{domain}; Max-Age={age}{secure}; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What the page says of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Visits are recorded.
    Recorded,
    /// The settings leave them out.
    Excluded,
    /// They would be, if the visitor had agreed.
    NoConsent,
    /// The visitor has opted out.
    OptedOut,
    /// The browser says that its user does not want it.
    Signal,
}

impl State {
    const fn text(self, mode: Mode) -> &'static str {
        match (self, mode) {
            (Self::Recorded, Mode::Statistics) => {
                "This site counts visits for its statistics, without names, addresses or profiles. \
                 Visits with this browser are counted among them."
            }
            (Self::Recorded, _) => "This site records visits. Visits with this browser are recorded.",
            (Self::Excluded, _) => "Visits with this browser are not recorded.",
            (Self::NoConsent, _) => {
                "This site records visits of those who have agreed to it. Visits with this browser are not recorded."
            }
            (Self::OptedOut, _) => "You have opted out: visits with this browser are not recorded.",
            (Self::Signal, _) => {
                "Your browser asks sites not to track you, and this site follows that: visits with this browser are not \
                 recorded."
            }
        }
    }
}

/// The page.
pub(crate) fn page(state: State, mode: Mode) -> Response<Bytes> {
    let (query, button) = match state {
        State::OptedOut => ("?choice=in", "Take my opt-out back"),
        State::Recorded | State::Excluded | State::NoConsent | State::Signal => ("", "Do not record my visits"),
    };
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>Recording of visits</title>\n</head>\n<body>\n<main>\n\
         <h1>Recording of visits</h1>\n<p role=\"status\">{}</p>\n\
         <form method=\"post\" action=\"{PATH}{query}\"><button>{button}</button></form>\n\
         <p>Your choice is kept in a cookie of this browser, which says nothing else, for a year.</p>\n\
         </main>\n</body>\n</html>\n",
        state.text(mode)
    );
    answer(StatusCode::OK, text)
}

/// Back to the page, after a choice.
pub(crate) fn chosen(cookie: HeaderValue) -> Response<Bytes> {
    let mut response = answer(StatusCode::SEE_OTHER, String::new());
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(PATH));
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// The choice was not the visitor's.
pub(crate) fn foreign() -> Response<Bytes> {
    let text = format!("403: another site sent this form. The choice is yours: make it at {PATH}\n");
    plain(answer(StatusCode::FORBIDDEN, text))
}

/// The method is none that the page knows.
pub(crate) fn not_allowed() -> Response<Bytes> {
    let mut response = plain(answer(StatusCode::METHOD_NOT_ALLOWED, "405: GET or POST expected\n".to_owned()));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    response
}

fn answer(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("content-security-policy", HeaderValue::from_static("default-src 'none'; form-action 'self'"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn plain(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(method: Method, uri: &str, headers: &[(&str, &str)]) -> Option<Wish> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Wish::of(&request.body(()).expect("a request"), &Host::new("shop.example"))
    }

    #[test]
    fn the_choice_is_the_visitors() {
        assert_eq!(wish(Method::GET, "/", &[]), None);
        assert_eq!(wish(Method::GET, "/.well-known/visitlog/opt-outs", &[]), None);
        assert_eq!(wish(Method::HEAD, PATH, &[]), Some(Wish::See));
        assert_eq!(wish(Method::POST, PATH, &[]), Some(Wish::Out), "curl, or an old browser");
        let there = format!("{PATH}?choice=in");
        assert_eq!(wish(Method::POST, &there, &[("origin", "https://shop.example")]), Some(Wish::In));
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "nonsense"), ("origin", "https://shop.example")],
        ] {
            assert_eq!(wish(Method::POST, &there, headers), Some(Wish::Foreign), "{headers:?}");
        }
        assert_eq!(wish(Method::DELETE, PATH, &[]), Some(Wish::Other));
    }

    #[test]
    fn the_cookie_says_nothing_else() {
        assert_eq!(
            set_cookie(true, true, Some("shop.example")),
            "visitlog-opt-out=1; Path=/; Domain=shop.example; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(set_cookie(false, false, None), "visitlog-opt-out=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}
