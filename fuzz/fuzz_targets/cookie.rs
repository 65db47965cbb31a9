//! The `Cookie` header: our token is found where it stands and nowhere else; reading changes nothing; hiding it takes
//! out our cookie and leaves every other one byte for byte.
#![no_main]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use arbitrary::Arbitrary;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use tower_layer::Layer as _;
use tower_service::Service;
use visitlog_core::Day;
use visitlog_core::ids::{Host, VisitId, Visitor};
use visitlog_core::model::OpenVisit;
use visitlog_core::ports::{Arrival, AtOnce, Commit, Committed, Cursor, Inquiry, OpenPage, Reply, RequestId, SessionHold, SessionStore, StoreError, Token};
use visitlog_tower::client::OverTls;
use visitlog_tower::cookie::{CookieSettings, Secure};
use visitlog_tower::token::Scope;
use visitlog_tower::{Keys, Settings, VisitLayer};

const TODAY: Day = Day::from_number(20_413);
/// More cookies by our name are not looked at.
const CANDIDATES_MAX: usize = 16;

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::generate(&[7; 64]));

#[derive(Arbitrary, Debug)]
enum Text<'a> {
    /// A token that is right.
    Right(u8),
    /// One of another host.
    Elsewhere(u8),
    /// One with a character changed.
    Changed(u8, u8),
    Any(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Ours { value: Text<'a>, is_quoted: bool, spaces: u8 },
    Another(&'a [u8]),
    Version,
    Comma,
    Semicolon,
    Space,
}

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    name: u8,
    over_tls: bool,
    lines: Vec<Vec<Piece<'a>>>,
}

fn token(number: u8) -> Token {
    Token {
        visitor: Visitor::from_u128(0x77),
        visit: Some(VisitId::from_u128(0x0199_0b1e_6f5c_7c4e_8b0d_3f2f_6c1f_9a11)),
        number: u32::from(number),
        rotation: 0,
        born: TODAY,
    }
}

impl Piece<'_> {
    fn write(&self, name: &str, host: &Host, out: &mut Vec<u8>) {
        match self {
            Self::Ours { value, is_quoted, spaces } => {
                out.extend(std::iter::repeat_n(b' ', usize::from(spaces & 1)));
                out.extend_from_slice(name.as_bytes());
                out.extend(std::iter::repeat_n(b' ', usize::from(spaces >> 1 & 1)));
                out.push(b'=');
                out.extend(std::iter::repeat_n(b'\t', usize::from(spaces >> 2 & 1)));
                out.extend(is_quoted.then_some(b'"'));
                value.write(host, out);
                out.extend(is_quoted.then_some(b'"'));
            }
            Self::Another(bytes) => out.extend_from_slice(bytes),
            Self::Version => out.extend_from_slice(b"$Version=1"),
            Self::Comma => out.push(b','),
            Self::Semicolon => out.push(b';'),
            Self::Space => out.push(b' '),
        }
    }
}

impl Text<'_> {
    fn write(&self, host: &Host, out: &mut Vec<u8>) {
        match self {
            Self::Right(number) => out.extend_from_slice(KEYS.seal(&token(*number), Scope::Host(host)).as_bytes()),
            Self::Elsewhere(number) => {
                let elsewhere = Host::new("elsewhere.example");
                out.extend_from_slice(KEYS.seal(&token(*number), Scope::Host(&elsewhere)).as_bytes());
            }
            Self::Changed(at, with) => {
                let mut text = KEYS.seal(&token(1), Scope::Host(host)).as_bytes().to_vec();
                let at = usize::from(*at) % text.len();
                text[at] ^= with;
                out.extend_from_slice(&text);
            }
            Self::Any(bytes) => out.extend_from_slice(bytes),
        }
    }
}

const NOT_THERE: StoreError = StoreError::Unavailable { reason: "there is none" };

/// A store that is never there: the request goes to the service within untracked.
struct Nowhere;

impl SessionStore for Nowhere {
    type Begin = AtOnce;
    type Commit = Ready<Result<Committed, StoreError>>;

    fn begin(&self, _arrival: Arrival) -> Reply<AtOnce> {
        Reply::Now(Err(NOT_THERE))
    }

    fn commit(&self, _commit: Commit) -> Self::Commit {
        ready(Err(NOT_THERE))
    }

    fn release(&self, _hold: SessionHold) {}

    fn hold_on(&self, _visit: VisitId) -> Inquiry<Option<SessionHold>> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn outcome(&self, _request: RequestId) -> Inquiry<Option<Committed>> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn terminate(&self, _visit: VisitId) -> Inquiry<bool> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn list(&self, _from: Option<Cursor>, _at_most: usize) -> Inquiry<OpenPage> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn open_visit(&self, _visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        Box::pin(ready(Err(NOT_THERE)))
    }
}

/// Answers with the request's headers.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        *response.headers_mut() = request.headers().clone();
        ready(Ok(response))
    }
}

/// The headers that the service behind the layer gets.
fn behind(settings: Settings, over_tls: bool, headers: &HeaderMap) -> HeaderMap {
    let layer = VisitLayer::new(Arc::new(Nowhere), KEYS.clone()).settings(settings).expect("settings that go together");
    let mut request = Request::new(());
    *request.headers_mut() = headers.clone();
    if over_tls {
        request.extensions_mut().insert(OverTls);
    }
    let mut service = layer.layer(Echo);
    let future = pin!(service.call(request));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response.headers().clone(),
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("an answer at once expected"),
    }
}

/// What stands between the separators of a line.
fn pieces(line: &[u8]) -> Vec<&[u8]> {
    let is_old = line.trim_ascii_start().starts_with(b"$Version");
    line.split(|byte| *byte == b';' || (is_old && *byte == b',')).collect()
}

fn is_ours<'a>(piece: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = piece.iter().position(|byte| *byte == b'=')?;
    (piece[..at].trim_ascii() == name.as_bytes()).then(|| piece[at + 1..].trim_ascii())
}

fn opened(value: &[u8], host: &Host) -> Option<Token> {
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    KEYS.open(bare, Scope::Host(host), TODAY).ok()
}

fuzz_target!(|case: Case<'_>| {
    let host = Host::new("shop.example");
    let own_name = [None, Some("sid"), Some("$x"), Some("a.b")][usize::from(case.name) % 4].filter(|n| *n != "$x");
    let cookie = CookieSettings { name: own_name.map(Into::into), secure: Secure::Auto, ..CookieSettings::default() };
    let valid = cookie.validate().expect("settings that go together");
    let name = valid.name(case.over_tls);

    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("shop.example"));
    headers.insert("x-other", HeaderValue::from_static("visitlog=1; sid=2"));
    for line in &case.lines {
        let mut text = Vec::new();
        line.iter().for_each(|piece| piece.write(name, &host, &mut text));
        if let Ok(value) = HeaderValue::from_bytes(text.trim_ascii()) {
            headers.append(COOKIE, value);
        }
    }

    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let ours = lines.iter().flat_map(|line| pieces(line)).filter_map(|piece| is_ours(piece, name));
    let expected = ours.take(CANDIDATES_MAX).find_map(|value| opened(value, &host));
    assert_eq!(valid.read(&headers, case.over_tls, &host, &KEYS, TODAY), expected);

    let seen = behind(Settings { cookie: cookie.clone(), ..Settings::default() }, case.over_tls, &headers);
    assert_eq!(seen, headers, "reading changes nothing");

    let hidden = behind(Settings { cookie, hide_cookie: true, ..Settings::default() }, case.over_tls, &headers);
    assert_eq!(hidden.get("x-other"), headers.get("x-other"));
    assert_eq!(valid.read(&hidden, case.over_tls, &host, &KEYS, TODAY), None, "hidden");
    let mut left = hidden.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    for line in lines {
        let mut kept = line.to_vec();
        // What is left of a line may read as one of RFC 2965 that it did not before.
        while pieces(&kept).iter().any(|piece| is_ours(piece, name).is_some()) {
            kept = without(&kept, name);
        }
        if kept.trim_ascii().is_empty() && kept.len() != line.len() {
            continue;
        }
        let found = left.next().expect("a line of other cookies");
        assert_eq!(
            String::from_utf8_lossy(found.trim_ascii()),
            String::from_utf8_lossy(kept.trim_ascii()),
            "other cookies, byte for byte"
        );
    }
    assert_eq!(left.next(), None, "no line more");
});

/// The line without our cookies and the separators before them (behind it for the first).
fn without(line: &[u8], name: &str) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::new();
    let (mut at, mut is_first) = (0, true);
    for piece in pieces(line) {
        let from = at;
        at += piece.len() + 1;
        if is_ours(piece, name).is_some() {
            continue;
        }
        if !is_first {
            kept.push(line[from - 1]);
        }
        is_first = false;
        kept.extend_from_slice(piece);
    }
    kept
}
