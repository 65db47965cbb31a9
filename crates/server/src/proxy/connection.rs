//! One connection to the upstream, driven by whoever uses it.
//!
//! hyper wants its connection polled besides the request. A task for it would cost two wake-ups per request; instead
//! the request's future, then the response's body, polls it. An idle connection is polled by nobody: whether the
//! upstream closed it shows when it is next used, or looked at by the pool.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::error::Failure;
use super::request_body::{RequestBody, Upload};
use super::settings::{Target, Validated};

pub(crate) type Driver = http1::Connection<TokioIo<TcpStream>, RequestBody>;
pub(crate) type Sender = http1::SendRequest<RequestBody>;

/// See the module.
pub(crate) struct Connection {
    sender: Sender,
    driver: Driver,
    closed: bool,
    /// Made once and moved on for each request, which costs less than making one per request.
    timer: Pin<Box<Sleep>>,
    /// When the last exchange was over.
    pub(crate) idle_since: Instant,
}

/// Why an exchange gave no response.
pub(crate) enum ExchangeError {
    /// The connection was closed before the request was begun: here it is again.
    NotSent(Box<Request<RequestBody>>),
    /// The connection was closed before the response's head was complete.
    Closed(hyper::Error),
    /// Anything else.
    Failed(Failure, Option<hyper::Error>),
}

/// Connects, within the time allowed.
pub(crate) async fn connect(settings: &Validated) -> Result<(Sender, Driver), Failure> {
    let connecting = async {
        let stream = match &settings.target {
            Target::Address(address) => TcpStream::connect(address).await?,
            Target::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
        };
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = match tokio::time::timeout(settings.timeouts.connect, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::warn!(%error, "upstream: cannot connect");
            return Err(Failure::Unreachable);
        }
        Err(_) => {
            tracing::warn!(timeout = ?settings.timeouts.connect, "upstream: connecting took too long");
            return Err(Failure::Unreachable);
        }
    };
    http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(|error| {
        tracing::warn!(%error, "upstream: cannot use the connection");
        Failure::Unreachable
    })
}

impl Connection {
    /// A fresh connection.
    pub(crate) async fn open(settings: &Validated) -> Result<Box<Self>, Failure> {
        let (sender, driver) = connect(settings).await?;
        let timer = Box::pin(tokio::time::sleep(settings.timeouts.response_head));
        Ok(Box::new(Self { sender, driver, closed: false, timer, idle_since: Instant::now() }))
    }

    /// Lets the connection read and write.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if self.closed {
            return;
        }
        if let Poll::Ready(ended) = Pin::new(&mut self.driver).poll(cx) {
            self.closed = true;
            if let Err(error) = ended {
                tracing::debug!(%error, "upstream: connection ended");
            }
        }
    }

    /// Whether another request may be sent on it.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.closed && self.sender.is_ready()
    }

    /// Looks whether it is still alive, without waiting.
    pub(crate) fn check(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_reusable()
    }

    /// Starts the time that the next step may take.
    pub(crate) fn restart_timer(&mut self, timeout: Duration) {
        if let Some(deadline) = tokio::time::Instant::now().checked_add(timeout) {
            self.timer.as_mut().reset(deadline);
        }
    }

    /// Ready when that time is over.
    pub(crate) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }

    /// Sends a request and waits for the head of its response. Time runs out when nothing has moved for `timeout`.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, ExchangeError> {
        self.restart_timer(timeout);
        let mut response = pin!(self.sender.try_send_request(request));
        let mut seen = 0;
        let result = poll_fn(|cx| {
            self.drive(cx);
            // All that can make the response ready has happened in `drive`, so it need not wake anybody.
            if let Poll::Ready(result) = response.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(result.map_err(Some));
            }
            while self.poll_timer(cx).is_ready() {
                match upload.map(Upload::frames) {
                    Some(frames) if frames != seen => {
                        seen = frames;
                        self.restart_timer(timeout);
                    }
                    _ => return Poll::Ready(Err(None)),
                }
            }
            Poll::Pending
        })
        .await;
        match result {
            Ok(response) => {
                if let Some(upload) = upload {
                    upload.refuse_if_waiting();
                }
                Ok(response)
            }
            Err(None) if upload.is_some_and(Upload::waits_for_client) => {
                Err(ExchangeError::Failed(Failure::ClientStalled, None))
            }
            Err(None) => Err(ExchangeError::Failed(Failure::Timeout, None)),
            Err(Some(mut failed)) => Err(match failed.take_message() {
                Some(request) => ExchangeError::NotSent(Box::new(request)),
                None => sort_error(failed.into_error()),
            }),
        }
    }
}

fn sort_error(error: hyper::Error) -> ExchangeError {
    if error.is_user() {
        ExchangeError::Failed(Failure::BadRequest("the upload broke off"), Some(error))
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_reset(&error) {
        ExchangeError::Closed(error)
    } else {
        ExchangeError::Failed(Failure::BadAnswer, Some(error))
    }
}

fn is_reset(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected);
        }
        source = cause.source();
    }
    false
}
