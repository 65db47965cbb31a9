//! Above all else that a request meets: what it asked for is noted, and written when its answer has been sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Buf;
use http::{Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use visitlog_core::mask::Mask;
use visitlog_core::{Timestamp, Trace};
use visitlog_tower::{Access, AccessNote};

use super::line::Line;
use super::log::AccessLog;

/// The client went away before there was an answer: nginx's word for it.
const CLIENT_LEFT: u16 = 499;

/// Puts an access log above a service.
#[derive(Debug, Clone)]
pub struct AccessLogLayer {
    log: Option<AccessLog>,
}

impl AccessLogLayer {
    /// One that writes into this log, if there is one.
    pub const fn new(log: Option<AccessLog>) -> Self {
        Self { log }
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLogged<S>;

    fn layer(&self, inner: S) -> AccessLogged<S> {
        AccessLogged { inner, log: self.log.clone() }
    }
}

/// A service whose requests are written into an access log.
#[derive(Debug, Clone)]
pub struct AccessLogged<S> {
    inner: S,
    log: Option<AccessLog>,
}

impl<S, B, R> Service<Request<B>> for AccessLogged<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<LoggedBody<R>>;
    type Error = S::Error;
    type Future = LoggedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let asked = self.log.as_ref().map(|log| {
            let note = AccessNote::default();
            request.extensions_mut().insert(note.clone());
            Asked {
                log: log.clone(),
                note,
                began: Instant::now(),
                method: request.method().clone(),
                uri: request.uri().clone(),
                version: request.version(),
                status: CLIENT_LEFT,
                bytes: 0,
            }
        });
        LoggedFuture { future: self.inner.call(request), asked }
    }
}

/// A request whose line is to be written: when this goes away.
#[derive(Debug)]
struct Asked {
    log: AccessLog,
    note: AccessNote,
    began: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    status: u16,
    bytes: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let access = self.note.get().unwrap_or_else(|| unseen(&self.uri));
        let line = Line {
            // What no calendar has is no time that a clock tells.
            arrived: jiff::Timestamp::from_microsecond(access.arrived.micros()).unwrap_or_default(),
            took,
            address: access.address,
            method: &self.method,
            path: &access.path,
            query: access.query.as_deref(),
            version: self.version,
            host: access.host.as_str(),
            status: self.status,
            bytes: self.bytes,
            referrer: access.referrer.as_deref(),
            user_agent: access.user_agent.as_deref(),
            visit: access.visit,
            trace: access.trace,
        };
        self.log.queue.push(line.text(self.log.format).as_bytes());
    }
}

/// A request that had gone before it was known whose it is: less is written of it.
fn unseen(uri: &Uri) -> Access {
    Access {
        arrived: Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()),
        host: visitlog_core::Host::new(""),
        address: None,
        path: Mask::default().url(uri.path()).into(),
        query: None,
        referrer: None,
        user_agent: None,
        visit: None,
        trace: Trace::None,
    }
}

pin_project! {
    /// The future of an [`AccessLogged`]'s response.
    #[derive(Debug)]
    pub struct LoggedFuture<F> {
        #[pin]
        future: F,
        asked: Option<Asked>,
    }
}

impl<F, R, E> Future for LoggedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<LoggedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(cx))?;
        let mut asked = this.asked.take();
        if let Some(asked) = &mut asked {
            asked.status = answer.status().as_u16();
        }
        Poll::Ready(Ok(answer.map(|body| LoggedBody { body, asked })))
    }
}

pin_project! {
    /// An answer's body, whose bytes are counted.
    #[derive(Debug)]
    pub struct LoggedBody<B> {
        #[pin]
        body: B,
        asked: Option<Asked>,
    }
}

impl<B: Body> Body for LoggedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let (Some(asked), Some(Ok(frame))) = (this.asked, &frame)
            && let Some(data) = frame.data_ref()
        {
            asked.bytes += data.remaining() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
