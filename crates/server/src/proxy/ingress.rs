//! The first thing that a client's request meets.
//!
//! It decides whether the request's framing and target can be trusted, removes what ends at a proxy and what only we
//! may send, and leaves a note for [`Proxy`](super::Proxy). It stands above the layer that records, so that this one
//! sees the true host, and may add headers of ours for the upstream.

use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Uri, Version};
use tower_layer::Layer;
use tower_service::Service;

use super::error::Failure;
use super::headers::{self, Found};

/// Puts an [`Ingress`] in front of a service.
#[derive(Debug, Clone, Copy, Default)]
pub struct IngressLayer;

impl<S> Layer<S> for IngressLayer {
    type Service = Ingress<S>;

    fn layer(&self, inner: S) -> Ingress<S> {
        Ingress::new(inner)
    }
}

/// Cleans each request, then hands it on. A request that can't be trusted goes on too, stripped and marked: the
/// [`Proxy`](super::Proxy) below refuses it, so that the layers between may count it.
#[derive(Debug, Clone)]
pub struct Ingress<S> {
    inner: S,
}

impl<S> Ingress<S> {
    /// In front of `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<B>> for Ingress<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let cleaned = clean(&mut request);
        request.extensions_mut().insert(cleaned);
        self.inner.call(request)
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
    /// There are headers about earlier hops.
    pub(crate) forwarded: bool,
}

/// Makes a client's request safe to forward.
pub(crate) fn clean<B>(request: &mut Request<B>) -> Cleaned {
    let found = headers::look(request.headers());
    let refused = judge(request, &found).err();
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
    Cleaned { refused, websocket, expects_continue, takes_trailers, forwarded: found.forwarded }
}

/// Refuses what different servers may read differently; puts the target into origin form.
fn judge<B>(request: &mut Request<B>, found: &Found) -> Result<(), Failure> {
    if request.method() == Method::CONNECT {
        return Err(Failure::NotImplemented);
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
