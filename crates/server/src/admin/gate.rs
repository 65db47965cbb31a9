//! The one way in. Whatever is not in the list of routes, or is asked by somebody who may not, ends here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::accounts::{Caller, Deed, Scope};
use super::cookie;
use super::origin;
use super::problem::{in_our_form, problem};
use super::routes::{self, Needs};
use super::state::DoorKeeper;
use super::whence::Whence;
use crate::listen::Peer;

/// With every answer that says nothing else of them. What is sent runs nothing, is shown inside nothing, and is what its
/// type says.
const HEADERS: [(header::HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Lets a request in, or answers it. `address` is where the admin address is served.
pub(super) async fn pass(door: Arc<DoorKeeper>, address: SocketAddr, request: Request, next: Next) -> Response {
    let mut answer = in_our_form(judged(&door, address, request, next).await).await;
    for (name, value) in HEADERS {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

async fn judged(door: &DoorKeeper, address: SocketAddr, mut request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let reached = match origin::judge((method, uri, headers), address.ip(), &door.names) {
        Ok(reached) => reached,
        Err((code, detail)) => return problem(StatusCode::FORBIDDEN, code, detail),
    };
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
    let client = if reached == origin::Reached::ByProxy { origin::client_by_proxy(headers) } else { None };
    let whence = Whence { reached, address: client.unwrap_or(peer) };
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = path.as_deref().and_then(|path| routes::find(method, path));
    let needs = route.map_or(Needs::Caller, |route| route.needs);
    let caller = match admit(door, needs, whence, method, headers) {
        Ok(caller) => caller,
        Err(refusal) => {
            let what = format!("{method} {}", path.as_deref().unwrap_or("/*"));
            note_refusal(door, &refusal, &what, whence);
            return refusal.answer();
        }
    };
    let Some(route) = route else { return nothing_there(path.as_deref()) };
    let what = (route.is_noted && *method != Method::HEAD).then(|| format!("{method} {}", uri.path()));
    let who = caller.as_ref().map_or_else(|| "nobody".to_owned(), Caller::words);
    request.extensions_mut().insert(whence);
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let answer = next.run(request).await;
    if let Some(what) = what {
        let (from, status) = (whence.address.to_string(), answer.status().as_u16());
        door.note(&Deed { who: &who, address: Some(&from), what: &what, about: None, status });
    }
    answer
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// There is no account yet.
    NotSetUp,
    /// There is one, and the link is of no use.
    SetUpAlready,
    /// Nobody knows who asks.
    Unknown,
    /// A token, or a session, that is none or none any more.
    NoSuch,
    /// A request with a cookie that does not say which page it is from.
    Unsaid,
    /// Somebody who may not.
    MayNot { who: String, scope: Scope },
}

fn admit(
    door: &DoorKeeper,
    needs: Needs,
    whence: Whence,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Refusal> {
    let is_set_up = !door.accounts.is_empty();
    match needs {
        Needs::Nothing => return Ok(None),
        Needs::SetUp if is_set_up => return Err(Refusal::SetUpAlready),
        Needs::SetUp => return Ok(None),
        Needs::Password if is_set_up => return Ok(None),
        Needs::Password => return Err(Refusal::NotSetUp),
        Needs::Caller | Needs::Scope(_) => {}
    }
    let caller = match caller(door, whence, method, headers) {
        Err(Refusal::Unknown | Refusal::NoSuch) if !is_set_up => return Err(Refusal::NotSetUp),
        other => other?,
    };
    match needs {
        Needs::Scope(scope) if !caller.scopes().has(scope) => Err(Refusal::MayNot { who: caller.words(), scope }),
        _ => Ok(Some(caller)),
    }
}

/// Who asks: by token if there is one, else by session.
fn caller(door: &DoorKeeper, whence: Whence, method: &Method, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(first) = given.next() {
        let token = first.to_str().ok().filter(|_| given.next().is_none()).and_then(bearer);
        return token.and_then(|token| door.accounts.by_token(token)).ok_or(Refusal::NoSuch);
    }
    let session = cookie::read(headers, cookie::SESSION, whence.reached).ok_or(Refusal::Unknown)?;
    let caller = door.accounts.by_session(session).ok_or(Refusal::NoSuch)?;
    if !matches!(*method, Method::GET | Method::HEAD) && !origin::is_said(headers) {
        return Err(Refusal::Unsaid);
    }
    Ok(caller)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Refusal {
    fn answer(&self) -> Response {
        let unauthorized = |code, detail| {
            let answer = problem(StatusCode::UNAUTHORIZED, code, detail);
            ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response()
        };
        match self {
            Self::NotSetUp => unauthorized(
                "not_set_up",
                "there is no account yet: open the link that the server has printed, or visitlog user add NAME --data DIR",
            ),
            Self::SetUpAlready => problem(StatusCode::NOT_FOUND, "not_found", "there is an account already"),
            Self::Unknown => unauthorized("unauthorized", "a token or a session expected"),
            Self::NoSuch => unauthorized("unauthorized", "a token or session that there is expected"),
            Self::Unsaid => {
                let detail =
                    "a page's request says where it comes from (Sec-Fetch-Site or Origin); programs use a token";
                problem(StatusCode::FORBIDDEN, "cross_site", detail)
            }
            Self::MayNot { scope, .. } => {
                problem(StatusCode::FORBIDDEN, "forbidden", &format!("scope {} expected", scope.name()))
            }
        }
    }
}

fn note_refusal(door: &DoorKeeper, refusal: &Refusal, what: &str, whence: Whence) {
    let (who, status) = match refusal {
        Refusal::MayNot { who, .. } => (who.as_str(), StatusCode::FORBIDDEN),
        Refusal::NoSuch => ("nobody", StatusCode::UNAUTHORIZED),
        _ => return,
    };
    let (from, status) = (whence.address.to_string(), status.as_u16());
    door.note_refused(&Deed { who, address: Some(&from), what, about: None, status });
}

/// For somebody who has said who he is.
fn nothing_there(path: Option<&str>) -> Response {
    let methods = path.map(routes::methods).unwrap_or_default();
    if methods.is_empty() {
        return problem(StatusCode::NOT_FOUND, "not_found", "there is nothing of this path");
    }
    let allow = methods.join(", ");
    let answer = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &format!("{allow} expected"));
    ([(header::ALLOW, allow)], answer).into_response()
}
