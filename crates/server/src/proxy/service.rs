//! The service: one request in, one to the upstream, its response out.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tower_service::Service;

use super::body::Body;
use super::connection::{Connection, ExchangeError};
use super::error::{Failure, SettingsError};
use super::headers;
use super::ingress::{self, Cleaned};
use super::pool::Pool;
use super::request_body::{RequestBody, Upload};
use super::settings::{HostHeader, ProxySettings, Validated};
use super::{BoxError, upgrade};
use crate::listen::Peer;

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
        ResponseFuture(Box::pin(async move { Ok(shared.forward(request).await.unwrap_or_else(Failure::response)) }))
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

/// A request's head that can be sent again.
struct Again {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Again {
    /// Of a request that does no harm if it is done twice, and whose body is not gone by then.
    fn of(request: &Request<RequestBody>) -> Option<Self> {
        let safe = request.method().is_idempotent() && http_body::Body::is_end_stream(request.body());
        safe.then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    fn request(self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl Shared {
    async fn forward<B>(&self, mut request: Request<B>) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let cleaned = match request.extensions().get::<Cleaned>() {
            Some(cleaned) => *cleaned,
            None => ingress::clean(&mut request),
        };
        if let Some(refused) = cleaned.refused {
            if let Failure::BadRequest(reason) = refused {
                tracing::debug!(reason, "request refused");
            }
            return Err(refused);
        }
        let client = cleaned.websocket.then(|| hyper::upgrade::on(&mut request));
        self.rewrite(&mut request, cleaned);
        let (parts, body) = request.into_parts();
        let patience = cleaned.expects_continue.then_some(self.settings.timeouts.expect_continue);
        let (body, upload) = RequestBody::new(body, patience);
        let mut request = Request::from_parts(parts, body);
        if let Some(client) = client {
            let response = upgrade::forward(&self.settings, request, client).await?;
            return Ok(self.with_via(response));
        }
        if let Some(upload) = &upload {
            prepare_upload(&mut request, upload, cleaned);
        }
        let (response, connection) = self.exchange(request, upload.as_deref()).await?;
        self.answer(response, connection)
    }

    /// Turns the client's request into ours.
    fn rewrite<B>(&self, request: &mut Request<B>, cleaned: Cleaned) {
        let settings = &*self.settings;
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        request.extensions_mut().clear();
        *request.version_mut() = Version::HTTP_11;
        if !settings.base_path.is_empty() {
            *request.uri_mut() = under_base_path(&settings.base_path, request.uri());
        }
        let headers = request.headers_mut();
        self.tell(headers, peer, cleaned);
        if settings.host == HostHeader::Upstream || !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, settings.authority.clone());
        }
        if cleaned.takes_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("TE"));
        }
    }

    fn tell(&self, headers: &mut HeaderMap, peer: Option<IpAddr>, cleaned: Cleaned) {
        headers::set_forwarded(headers, cleaned.forwarded, peer, &self.settings);
        if let Some(via) = &self.settings.via {
            append_via(headers, via);
        }
    }

    /// Sends the request over a kept connection or a new one. A kept one may turn out to have been closed meanwhile;
    /// then the request goes over a new one, if it was not begun or is safe to repeat.
    async fn exchange(
        &self,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
    ) -> Result<(Response<Incoming>, Box<Connection>), Failure> {
        let timeout = self.settings.timeouts.response_head;
        let mut request = request;
        if let Some(mut connection) = self.pool.take() {
            let again = Again::of(&request);
            match connection.exchange(request, upload, timeout).await {
                Ok(response) => return Ok((response, connection)),
                Err(ExchangeError::NotSent(unsent)) => request = *unsent,
                Err(ExchangeError::Closed(error)) => match again {
                    Some(again) => request = again.request(),
                    None => return Err(failed(Failure::BadAnswer, Some(&error))),
                },
                Err(ExchangeError::Failed(failure, error)) => return Err(failed(failure, error.as_ref())),
            }
        }
        let mut connection = Connection::open(&self.settings).await?;
        match connection.exchange(request, upload, timeout).await {
            Ok(response) => Ok((response, connection)),
            Err(ExchangeError::NotSent(_)) => Err(failed(Failure::BadAnswer, None)),
            Err(ExchangeError::Closed(error)) => Err(failed(Failure::BadAnswer, Some(&error))),
            Err(ExchangeError::Failed(failure, error)) => Err(failed(failure, error.as_ref())),
        }
    }

    /// Turns the upstream's response into ours.
    fn answer(&self, mut response: Response<Incoming>, connection: Box<Connection>) -> Result<Response<Body>, Failure> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tracing::warn!("upstream: switched protocols without being asked");
            return Err(Failure::BadAnswer);
        }
        let found = headers::look(response.headers());
        if found.transfer_encoding && found.lengths > 0 {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        headers::remove_hop_by_hop(response.headers_mut(), &found);
        response.extensions_mut().clear();
        *response.version_mut() = Version::HTTP_11;
        let idle_body = self.settings.timeouts.idle_body;
        Ok(self.with_via(response.map(|body| Body::streaming(body, connection, self.pool.clone(), idle_body))))
    }

    fn with_via(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(via) = &self.settings.via {
            append_via(response.headers_mut(), via);
        }
        response
    }
}

fn append_via(headers: &mut HeaderMap, via: &HeaderValue) {
    if let Ok(via) = via.to_str() {
        headers::append(headers, header::VIA, via);
    }
}

fn failed(failure: Failure, error: Option<&hyper::Error>) -> Failure {
    match failure {
        Failure::BadRequest(_) | Failure::ClientStalled => tracing::debug!(?failure, ?error, "upload failed"),
        _ => tracing::warn!(?failure, ?error, "upstream: no answer"),
    }
    failure
}

/// Frames the body explicitly (hyper would otherwise drop the body of a `GET` without a length), and listens for
/// `100 Continue`.
fn prepare_upload(request: &mut Request<RequestBody>, upload: &Arc<Upload>, cleaned: Cleaned) {
    if !request.headers().contains_key(header::CONTENT_LENGTH) {
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if cleaned.expects_continue {
        let upload = upload.clone();
        hyper::ext::on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                upload.open();
            }
        });
    }
}

fn under_base_path(base: &str, uri: &Uri) -> Uri {
    let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
    let joined = if rest.starts_with('/') { format!("{base}{rest}") } else { format!("{base}/") };
    joined.parse().unwrap_or_else(|_| uri.clone())
}
