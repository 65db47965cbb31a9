//! The first thing that a client's request meets.
//!
//! It decides whether the request's framing and target can be trusted, removes what ends at a proxy and what only we
//! may send, and leaves a note for [`Proxy`](super::Proxy). It stands above the layer that records, so that this one
//! sees the true host, and may add headers of ours for the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Response, Uri, Version};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::claims::{self, Dropped};
use super::error::Failure;
use super::fronts::Fronts;
use super::headers::{self, Found};
use super::redirects::{Asked, Redirects};
use super::settings::Validated;
use crate::listen::Peer;

/// Puts an [`Ingress`] in front of a service; see [`Proxy::ingress`](super::Proxy::ingress).
#[derive(Debug, Clone)]
pub struct IngressLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<Validated>,
    fronts: Fronts,
    redirects: Redirects,
}

impl IngressLayer {
    pub(crate) fn new(settings: Arc<Validated>) -> Self {
        Self { shared: Arc::new(Shared { settings, fronts: Fronts::default(), redirects: Redirects::default() }) }
    }
}

impl<S> Layer<S> for IngressLayer {
    type Service = Ingress<S>;

    fn layer(&self, inner: S) -> Ingress<S> {
        Ingress { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Cleans each request, then hands it on. A request that can't be trusted goes on too, stripped and marked: the
/// [`Proxy`](super::Proxy) below refuses it, so that the layers between may count it.
#[derive(Debug, Clone)]
pub struct Ingress<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for Ingress<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Watched<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let settings = &self.shared.settings;
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        let (cleaned, dropped) = clean(&mut request, settings);
        if let Some(reason) = cleaned.refused.and_then(Failure::refusal) {
            settings.tallies.refused(reason, path(&request));
        }
        if let Some(peer) = peer {
            let client = settings.proxies.client(peer, request.headers());
            let agent = request.headers().get(header::USER_AGENT);
            self.shared.fronts.saw(client, agent, &settings.tallies);
        }
        if let Some(dropped) = &dropped {
            tell_of_dropped(dropped, path(&request), settings);
        }
        let asked = Asked {
            target: request.uri().clone(),
            host: request.headers().get(header::HOST).cloned(),
            peer,
            claims_https: dropped.filter(|dropped| dropped.claims_https).map(|dropped| dropped.name),
        };
        request.extensions_mut().insert(cleaned);
        Watched { future: self.inner.call(request), asked, shared: Arc::clone(&self.shared) }
    }
}

/// For the log: without the query, which may hold secrets, and not all of a long one.
fn path<B>(request: &Request<B>) -> &str {
    let path = request.uri().path();
    path.char_indices().nth(PATH_TOLD).map_or(path, |(end, _)| &path[..end])
}

/// So many characters of a path are told.
const PATH_TOLD: usize = 200;

fn tell_of_dropped(dropped: &Dropped, path: &str, settings: &Validated) {
    let header = dropped.name.as_str();
    if dropped.trusted {
        if let Some(times) = settings.tallies.dropped.count("a header that a trusted proxy may not have written") {
            tracing::warn!(
                header,
                path,
                times,
                "header of a trusted proxy dropped, for its client may have written it; if the proxy sets it, \
                 name it with --trusted-header"
            );
        }
    } else if let Some(times) = settings.tallies.dropped.count("a header of a proxy that is not trusted") {
        tracing::warn!(
            header,
            path,
            times,
            "header dropped that only a trusted proxy may send; if yours sends it, name the proxy with --trusted-proxy"
        );
    }
}

pin_project! {
    /// The future of an [`Ingress`]'s response.
    pub struct Watched<F> {
        #[pin]
        future: F,
        asked: Asked,
        shared: Arc<Shared>,
    }
}

impl<F, R, E> Future for Watched<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(cx))?;
        if answer.status().is_redirection() {
            this.shared.redirects.saw(this.asked, answer.headers(), &this.shared.settings.tallies);
        }
        Poll::Ready(Ok(answer))
    }
}

/// The note that [`clean`] leaves in a request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cleaned {
    /// Why the request must be refused.
    pub(crate) refused: Option<Failure>,
    /// It asks for a WebSocket.
    pub(crate) websocket: bool,
    /// The client waits for `100 Continue`.
    pub(crate) expects_continue: bool,
    /// The client takes trailers.
    pub(crate) takes_trailers: bool,
}

/// Makes a client's request safe to forward.
pub(crate) fn clean<B>(request: &mut Request<B>, settings: &Validated) -> (Cleaned, Option<Dropped>) {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let found = headers::look(request.headers());
    let refused = judge(request, &found, settings).err();
    let websocket = found.upgrade && found.connection && asks_for_websocket(request, &found);
    let takes_trailers = found.te
        && headers::members(request.headers(), &header::TE).any(|member| member.eq_ignore_ascii_case(b"trailers"));
    let expects_continue = found.expect && expects_continue(request);
    headers::remove_hop_by_hop(request.headers_mut(), &found);
    if found.visitlog {
        headers::remove_visitlog(request.headers_mut());
    }
    if found.expect && !expects_continue {
        request.headers_mut().remove(header::EXPECT);
    }
    let dropped = if found.claims { claims::drop_unbelievable(request.headers_mut(), peer, settings) } else { None };
    (Cleaned { refused, websocket, expects_continue, takes_trailers }, dropped)
}

/// Refuses what different servers may read differently; puts the target into origin form.
fn judge<B>(request: &mut Request<B>, found: &Found, settings: &Validated) -> Result<(), Failure> {
    if request.method() == Method::CONNECT {
        return Err(Failure::NotImplemented);
    }
    // IIS calls it TRACK; some servers read methods in any case.
    let method = request.method().as_str();
    if method.len() == 5 && (method.eq_ignore_ascii_case("TRACE") || method.eq_ignore_ascii_case("TRACK")) {
        return Err(Failure::NotAllowed);
    }
    if found.visitlog && headers::has_passed(request.headers(), &settings.token) {
        return Err(Failure::Loop);
    }
    if found.lengths > 1 {
        return Err(Failure::BadRequest("more than one Content-Length"));
    }
    if found.transfer_encoding {
        judge_transfer_encoding(request, found)?;
    }
    if found.hosts > 1 {
        return Err(Failure::BadRequest("more than one Host"));
    }
    if found.hosts == 0 && request.version() >= Version::HTTP_11 {
        return Err(Failure::BadRequest("no Host"));
    }
    if let Some(host) = request.headers().get(header::HOST)
        && !host.as_bytes().iter().all(|byte| is_host_byte(*byte))
    {
        return Err(Failure::BadRequest("not a Host"));
    }
    judge_target(request)
}

fn judge_transfer_encoding<B>(request: &Request<B>, found: &Found) -> Result<(), Failure> {
    if found.lengths > 0 {
        return Err(Failure::BadRequest("Content-Length beside Transfer-Encoding"));
    }
    if request.version() < Version::HTTP_11 {
        return Err(Failure::BadRequest("Transfer-Encoding in HTTP/1.0"));
    }
    let mut codings = headers::members(request.headers(), &header::TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Failure::NotImplemented),
    }
}

/// An absolute form's authority is the host, whatever `Host` says (RFC 9112, section 3.2.2).
fn judge_target<B>(request: &mut Request<B>) -> Result<(), Failure> {
    let uri = request.uri();
    let Some(authority) = uri.authority() else {
        return match uri.path() {
            path if path.starts_with('/') => Ok(()),
            "*" if request.method() == Method::OPTIONS => Ok(()),
            _ => Err(Failure::BadRequest("neither a path nor a URL")),
        };
    };
    let known = matches!(uri.scheme(), Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if !known || authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(Failure::BadRequest("not a target for a server"));
    }
    if !authority.as_str().bytes().all(is_host_byte) {
        return Err(Failure::BadRequest("not a host"));
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadRequest("not a host"))?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    request.headers_mut().insert(header::HOST, host);
    Ok(())
}

/// The bytes of a reg-name, an address literal and a port (RFC 3986, section 3.2.2); no comma, which some read as two
/// hosts.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte)
}

fn asks_for_websocket<B>(request: &Request<B>, found: &Found) -> bool {
    let is = |headers: &HeaderMap, name, expected: &[u8]| {
        headers::members(headers, name).any(|member| member.eq_ignore_ascii_case(expected))
    };
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && found.lengths == 0
        && !found.transfer_encoding
        && is(request.headers(), &header::CONNECTION, b"upgrade")
        && is(request.headers(), &header::UPGRADE, b"websocket")
}

fn expects_continue<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request
            .headers()
            .get(header::EXPECT)
            .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
