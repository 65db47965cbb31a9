//! The service: one request in, one to the upstream, its response out.

use std::convert::Infallible;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version, request};
use hyper::ext::ReasonPhrase;
use tower_service::Service;
use visitlog_tower::Visit;

use super::body::Body;
use super::connection::{Connection, Reach};
use super::decode::{Head, KeepAlive};
use super::error::{Failure, SettingsError};
use super::exchange_error::ExchangeError;
use super::headers;
use super::ingress::{self, Cleaned, IngressLayer};
use super::map_back::map_back;
use super::pool::Pool;
use super::request_body::{RequestBody, Upload};
use super::route::Route;
use super::settings::{HostHeader, ProxySettings, Validated};
use super::{BoxError, upgrade};
use crate::client_connection::ClientConnection;
use crate::listen::Peer;
use crate::tally::Tallies;

/// The reverse proxy. Clones share one pool of upstream connections.
///
/// It needs a tokio runtime, never fails (what goes wrong becomes a response with [`Failure`] among its extensions)
/// and is always ready. The peer's address is taken from [`Peer`] among the request's extensions.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Arc<Validated>,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy with these settings and an empty pool.
    ///
    /// # Errors
    /// If a setting makes no sense: see [`SettingsError`].
    pub fn new(settings: ProxySettings) -> Result<Self, SettingsError> {
        Ok(Self::with(Arc::new(Validated::try_from(settings)?)))
    }

    /// The same proxy with a pool of its own: for each worker thread one, whose runtime then drives its connections.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self::with(self.shared.settings.clone())
    }

    /// What stands in front of this proxy and of the layers between; for all worker threads one.
    #[must_use]
    pub fn ingress(&self) -> IngressLayer {
        IngressLayer::new(Arc::clone(&self.shared.settings))
    }

    /// Whether the upstream is what listens on this address of this machine, as far as names tell now. A proxy that asks
    /// itself in a roundabout way is found out when it does.
    pub fn leads_to(&self, listens: SocketAddr) -> bool {
        self.shared.settings.target.is(listens)
    }

    /// What is counted of requests and of headers.
    pub fn tallies(&self) -> Arc<Tallies> {
        Arc::clone(&self.shared.settings.tallies)
    }

    fn with(settings: Arc<Validated>) -> Self {
        let pool = Pool::new(settings.idle_connections_max, settings.idle_connection_timeout);
        Self { shared: Arc::new(Shared { settings, pool }) }
    }
}

impl<B> Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let shared = self.shared.clone();
        ResponseFuture(Box::pin(async move { Ok(shared.answer(request).await) }))
    }
}

/// The future of a [`Proxy`]'s response. Dropped early, it closes the upstream connection.
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>);

impl std::fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl Shared {
    /// What goes wrong becomes a response.
    async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let client = request.extensions().get::<ClientConnection>().cloned();
        let answering = client.as_ref().map(ClientConnection::answering);
        let response = self.forward(request, client).await.unwrap_or_else(|failure| {
            if let Some(reason) = failure.of_upstream() {
                self.settings.tallies.upstream.count(reason);
            }
            failure.response()
        });
        response.map(|body| body.answering(answering))
    }

    async fn forward<B>(
        &self,
        mut request: Request<B>,
        client: Option<ClientConnection>,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let cleaned = match request.extensions().get::<Cleaned>() {
            Some(cleaned) => *cleaned,
            None => ingress::clean(&mut request, &self.settings).0,
        };
        let switching = cleaned.websocket.then(|| hyper::upgrade::on(&mut request));
        let visit = request.extensions().get::<Visit>().filter(|_| cleaned.websocket).cloned();
        let timeouts = &self.settings.timeouts;
        let patience = cleaned.expects_continue.then_some(timeouts.expect_continue);
        let (head, body) = request.into_parts();
        let (body, upload) = RequestBody::new(body, patience, client.clone(), timeouts.unwanted_upload);
        let mut request = Request::from_parts(head, ());
        if let Some(refused) = cleaned.refused {
            return Err(refused);
        }
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        self.rewrite(&mut request, peer, cleaned)?;
        let (mut head, ()) = request.into_parts();
        if upload.is_none() {
            // RFC 9110, 10.1.1: there is nothing to wait for.
            head.headers.remove(header::EXPECT);
        } else if Reach::after_body(&head.method) == Reach::Nobody {
            // Most upstreams that don't read the body then don't take it for a request either.
            head.headers.append(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let from_proxy = self.settings.trusts(peer);
        let mut route = Route::new(&self.pool, client.clone(), from_proxy, &head.headers, upload.is_some());
        let kept = if switching.is_some() {
            upgrade::switch_headers(&mut head.headers);
            route.take_login()
        } else {
            route.take(!body.is_repeatable(&head.method))
        };
        let (answer, mut connection) = self.exchange(kept, &head, body, upload).await?;
        route.learn(&answer.headers, &head.headers, &mut connection);
        match switching {
            Some(switching) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                Ok(self.with_via(upgrade::switch(answer, connection, switching, visit)?))
            }
            _ => self.pass_on(answer, connection, route, client, &head.headers),
        }
    }

    /// Turns the client's request into ours.
    fn rewrite<B>(&self, request: &mut Request<B>, peer: Option<IpAddr>, cleaned: Cleaned) -> Result<(), Failure> {
        let settings = &*self.settings;
        request.extensions_mut().clear();
        *request.version_mut() = Version::HTTP_11;
        if !settings.base_path.is_empty() {
            *request.uri_mut() = under_base_path(&settings.base_path, request.uri())?;
        }
        let headers = request.headers_mut();
        self.tell(headers, peer);
        if settings.host == HostHeader::Upstream || !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, settings.authority.clone());
        }
        if cleaned.takes_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("TE"));
        }
        Ok(())
    }

    fn tell(&self, headers: &mut HeaderMap, peer: Option<IpAddr>) {
        headers::set_forwarded(headers, peer, &self.settings);
        headers::pass(headers, &self.settings.token);
        if let Some(via) = &self.settings.via {
            append_via(headers, via);
        }
    }

    /// Sends the request over a kept connection or a new one. A kept one may turn out to have been closed meanwhile;
    /// then the request goes over a new one, if it was not begun or is safe to repeat.
    async fn exchange(
        &self,
        kept: Option<Box<Connection>>,
        head: &request::Parts,
        body: RequestBody,
        upload: Option<Arc<Upload>>,
    ) -> Result<(Head, Box<Connection>), Failure> {
        let timeout = self.settings.timeouts.response_head;
        let was_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.settings).await?,
        };
        connection.start(head, body, upload);
        match connection.exchange(timeout).await {
            Ok(head) => return Ok((head, connection)),
            Err(ExchangeError::Closed(_)) if was_kept && connection.may_start_again() => {
                let fresh = Connection::open(&self.settings).await?;
                let stale = std::mem::replace(&mut connection, fresh);
                connection.take_over(stale);
            }
            Err(error) => return Err(failed(&error)),
        }
        let head = connection.exchange(timeout).await.map_err(|error| failed(&error))?;
        Ok((head, connection))
    }

    /// Turns the upstream's response into ours.
    fn pass_on(
        &self,
        head: Head,
        connection: Box<Connection>,
        route: Route,
        client: Option<ClientConnection>,
        request: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            tracing::warn!("upstream: switched protocols without being asked");
            return Err(Failure::BadAnswer);
        }
        // What else a client sends while it uploads may be thrown away (RFC 9110, 10.1.1; RFC 9112, 9.6); a login ends
        // with the connection that carries it.
        let close = connection.is_uploading() || (route.logs_in() && head.keep_alive == KeepAlive::Close);
        let peer = connection.peer();
        let idle_timeout = (!is_event_stream(&head.headers)).then_some(self.settings.timeouts.idle_body);
        let mut response = Response::new(Body::streaming(connection, route, idle_timeout, client));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let Some(reason) = head.reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
            response.extensions_mut().insert(reason);
        }
        let found = headers::look(response.headers());
        headers::remove_hop_by_hop(response.headers_mut(), &found);
        if close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.settings.map_back {
            map_back(response.headers_mut(), request, &self.settings, peer);
        }
        Ok(self.with_via(response))
    }

    fn with_via(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(via) = &self.settings.via {
            append_via(response.headers_mut(), via);
        }
        response
    }
}

/// Server-sent events are silent until there is something to say.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return false };
    let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

fn append_via(headers: &mut HeaderMap, via: &HeaderValue) {
    headers::append(headers, header::VIA, via.as_bytes());
}

fn failed(error: &ExchangeError) -> Failure {
    let failure = error.failure();
    match failure {
        Failure::BadRequest(_) | Failure::ClientStalled => tracing::debug!(%error, "upload failed"),
        _ => tracing::warn!(%error, source = error.source(), "upstream: no answer"),
    }
    failure
}

fn under_base_path(base: &str, uri: &Uri) -> Result<Uri, Failure> {
    let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
    let joined = if rest.starts_with('/') { format!("{base}{rest}") } else { format!("{base}/") };
    // What fits by itself may be too long when joined: never let it out of the base path.
    joined.parse().map_err(|_| Failure::BadRequest("target too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_leaves_the_base_path() {
        let under = |target: &str| under_base_path("/base", &target.parse().expect("a target"));
        assert_eq!(under("/a?b").map(|uri| uri.to_string()), Ok("/base/a?b".to_owned()));
        let longest = format!("/{}", "x".repeat(65_530));
        assert_eq!(under(&longest), Err(Failure::BadRequest("target too long")));
    }

    #[test]
    fn event_streams_are_known_by_their_type() {
        let is =
            |kind| is_event_stream(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(is("text/event-stream") && is("Text/Event-Stream ; charset=utf-8"));
        assert!(!is("text/event-streams") && !is("text/plain; a=text/event-stream"));
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}
