//! Puts the script that says who is online into pages on their way through the proxy, where the settings ask for it.
//!
//! Into whole HTML pages that a browser asked for as such, and only where it can be done without guessing: an answer of 200 without a
//! content coding, whose text is a superset of ASCII, that may be transformed, and whose content security policy lets the
//! script run. All else passes as it is, and why is said once a minute. Nothing else of a page changes, and nothing of it
//! waits: what has come goes on, but for the few bytes of a tag that is not through.

mod body;
mod page;
mod policy;
mod scan;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use visitlog_tower::Visit;
use visitlog_tower::presence::SCRIPT_PATH;

pub use self::body::InjectedBody;

use self::page::LeftAlone;
use crate::tally::Tallies;

/// What is said of the bytes as they were.
const OF_OTHER_BYTES: [HeaderName; 5] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    header::ACCEPT_RANGES,
];

/// A service whose pages get the script. Between the layer that records, whose settings say where, and the proxy.
#[derive(Debug, Clone)]
pub struct Inject<S> {
    inner: S,
    tallies: Arc<Tallies>,
}

impl<S> Inject<S> {
    /// Around this service.
    pub const fn new(inner: S, tallies: Arc<Tallies>) -> Self {
        Self { inner, tallies }
    }
}

impl<S, A, B> Service<Request<A>> for Inject<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<InjectedBody<B>>;
    type Error = S::Error;
    type Future = InjectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let wanted = request.extensions().get::<Visit>().is_some_and(Visit::wants_script);
        if wanted {
            // What is compressed can't be read on its way.
            request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        InjectFuture { answer: self.inner.call(request), tallies: wanted.then(|| Arc::clone(&self.tallies)) }
    }
}

pin_project! {
    /// The future of an [`Inject`]'s answer.
    #[derive(Debug)]
    pub struct InjectFuture<F> {
        #[pin]
        answer: F,
        // Where the script is wanted.
        tallies: Option<Arc<Tallies>>,
    }
}

impl<F, B, E> Future for InjectFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<InjectedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx))?;
        let Some(tallies) = this.tallies else { return Poll::Ready(Ok(answer.map(InjectedBody::untouched))) };
        Poll::Ready(Ok(match page::look(answer.status(), answer.headers()) {
            Ok(nonce) => injected(answer, nonce.as_deref()),
            Err(why) => {
                if let LeftAlone::Because(reason) = why {
                    tallies.left_alone(reason);
                }
                answer.map(InjectedBody::untouched)
            }
        }))
    }
}

fn injected<B>(mut answer: Response<B>, nonce: Option<&str>) -> Response<InjectedBody<B>> {
    let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
    let tag = format!("<script src=\"{SCRIPT_PATH}\" defer{nonce}></script>");
    longer_by(answer.headers_mut(), tag.len() as u64);
    answer.map(|body| InjectedBody::with(body, tag.into()))
}

/// What the head says of the body, made true again.
fn longer_by(headers: &mut HeaderMap, bytes: u64) {
    for name in OF_OTHER_BYTES {
        headers.remove(name);
    }
    if let Some(length) = headers.get(header::CONTENT_LENGTH).and_then(length) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length + bytes));
    }
    // The same page, but not byte for byte.
    if let Some(tag) = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

fn length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}
