//! One connection to the upstream: an exchange at a time, driven by whoever uses it.
//!
//! First the request's future polls it, then the response's body; there is no task and no channel in between, so a
//! request costs two reads, two writes and no wake-up. (hyper's client was tried first: its channels between the
//! request, the connection and the body cost more than a quarter of the proxy's own time.) An idle connection is polled
//! by nobody: whether the upstream closed it is looked at before it is used again.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, request};
use http_body::Frame;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::decode::{self, DecodeError, Framing, Head, KeepAlive, Piece};
use super::error::Failure;
use super::exchange_error::{ExchangeError, INTERIM_MAX};
use super::outgoing::Outgoing;
use super::request_body::{RequestBody, Upload};
use super::settings::{Target, Validated};

/// Room made for each read, at first.
const READ_BYTES_MIN: usize = 8 * 1024;
/// A long body is read in pieces of up to this size.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Who may use a connection again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Anyone,
    /// The client connection that has used it.
    OneClient,
    Nobody,
}

impl Reach {
    /// After a request with a body. An upstream may not read that, and take it for the next request. Where bodies have no
    /// meaning (RFC 9110, 9.3), or none that every server knows, that is likely.
    pub(crate) fn after_body(method: &Method) -> Self {
        match *method {
            Method::POST | Method::PUT | Method::PATCH => Self::OneClient,
            _ => Self::Nobody,
        }
    }
}

/// See the module.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Who is at the other end.
    peer: SocketAddr,
    request: Outgoing,
    response: Incoming,
    reach: Reach,
    /// Made once and moved on for each exchange, which costs less than making one each time.
    timer: Pin<Box<Sleep>>,
    /// Pieces of the upload that had gone through when the timer was last moved on.
    frames_seen: u64,
    /// How long it may be idle at most.
    idle_timeout: Duration,
    /// When it has been idle for too long.
    idle_until: Instant,
}

/// The response on its way in.
struct Incoming {
    input: BytesMut,
    read_bytes: usize,
    framing: Framing,
    keep_alive: KeepAlive,
    /// Interim answers to this request.
    interim: usize,
}

/// Connects, within the time allowed.
async fn connect(settings: &Validated) -> Result<(TcpStream, SocketAddr), Failure> {
    let connecting = async {
        let stream = match &settings.target {
            Target::Address(address) => TcpStream::connect(address).await?,
            Target::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
        };
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        Ok::<_, io::Error>((stream, peer))
    };
    match tokio::time::timeout(settings.timeouts.connect, connecting).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => {
            tracing::warn!(%error, "upstream: cannot connect");
            Err(Failure::Unreachable)
        }
        Err(_) => {
            tracing::warn!(timeout = ?settings.timeouts.connect, "upstream: connecting took too long");
            Err(Failure::Unreachable)
        }
    }
}

impl Connection {
    /// A fresh connection.
    pub(crate) async fn open(settings: &Validated) -> Result<Box<Self>, Failure> {
        let (stream, peer) = connect(settings).await?;
        Ok(Box::new(Self {
            stream,
            peer,
            request: Outgoing::nothing(),
            response: Incoming {
                input: BytesMut::new(),
                read_bytes: READ_BYTES_MIN,
                framing: Framing::EMPTY,
                keep_alive: KeepAlive::Open,
                interim: 0,
            },
            reach: Reach::Anyone,
            timer: Box::pin(tokio::time::sleep(settings.timeouts.response_head)),
            frames_seen: 0,
            idle_timeout: settings.idle_connection_timeout,
            idle_until: Instant::now(),
        }))
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Who may use it again.
    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// From now on at most these may use it again.
    pub(crate) fn narrow(&mut self, reach: Reach) {
        self.reach = self.reach.max(reach);
    }

    /// Sets the request that [`exchange`](Self::exchange) sends.
    pub(crate) fn start(&mut self, head: &request::Parts, body: RequestBody, upload: Option<Arc<Upload>>) {
        if body.framing().is_some() {
            self.narrow(Reach::after_body(&head.method));
        }
        self.response.interim = 0;
        self.request.set(head, body, upload);
        self.frames_seen = 0;
    }

    /// Whether sending the request again does no harm: nothing of it was written, or it may be repeated.
    pub(crate) fn may_start_again(&self) -> bool {
        self.request.may_start_again()
    }

    /// Takes over the request of a connection that was closed under it.
    pub(crate) fn take_over(&mut self, mut from: Box<Self>) {
        self.narrow(from.reach);
        self.request = std::mem::replace(&mut from.request, Outgoing::nothing());
        self.request.rewind();
    }

    /// Sends the request and waits for the head of its response. Time runs out when nothing has moved for `timeout`.
    pub(crate) async fn exchange(&mut self, timeout: Duration) -> Result<Head, ExchangeError> {
        self.restart_timer(timeout);
        let head = std::future::poll_fn(|cx| match self.poll_exchange(cx) {
            Poll::Pending => self.poll_timeout(cx, timeout).map(Err),
            ready => ready,
        })
        .await?;
        if let Some(upload) = &self.request.upload {
            upload.refuse_if_waiting();
        }
        self.response.framing = head.framing;
        self.response.keep_alive = head.keep_alive;
        if !head.status.is_success() {
            self.request.break_off();
        }
        Ok(head)
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, ExchangeError>> {
        loop {
            self.poll_upload(cx)?;
            // Before the request has gone out, no answer can be to it.
            if !self.request.head_done {
                return Poll::Pending;
            }
            if let Some(head) = self.response.head(&self.request.method)? {
                if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(head));
                }
                if let (StatusCode::CONTINUE, Some(upload)) = (head.status, &self.request.upload) {
                    upload.open();
                }
                self.response.interim += 1;
                if self.response.interim > INTERIM_MAX {
                    return Poll::Ready(Err(ExchangeError::Interim));
                }
                continue;
            }
            let began = self.response.interim > 0 || !self.response.input.is_empty();
            match ready!(self.response.poll_read(&mut self.stream, cx)) {
                Ok(0) if began => return Poll::Ready(Err(ExchangeError::Incomplete(None))),
                Ok(0) => return Poll::Ready(Err(ExchangeError::Closed(None))),
                Ok(_) => {}
                Err(error) if began => return Poll::Ready(Err(ExchangeError::Incomplete(Some(error)))),
                Err(error) => return Poll::Ready(Err(ExchangeError::Closed(Some(error)))),
            }
        }
    }

    /// Lets the request go on, if there is more of it. An upstream that stops reading may still answer, so only the
    /// client's faults are errors.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), ExchangeError> {
        if self.request.is_done() {
            return Ok(());
        }
        match self.request.poll(&mut self.stream, cx) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Whether the client's upload is not through yet.
    pub(crate) fn is_uploading(&self) -> bool {
        self.request.is_uploading()
    }

    /// The next piece of the response's body; the upload goes on meanwhile.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if let Err(error) = self.poll_upload(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match decode::body(&mut self.response.input, &mut self.response.framing) {
                Ok(Piece::Data(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Piece::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            let until_close = self.response.framing == Framing::UntilClose;
            match ready!(self.response.poll_read(&mut self.stream, cx)) {
                Ok(0) if until_close => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(ExchangeError::Incomplete(None)))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(ExchangeError::Incomplete(Some(error))))),
            }
        }
    }

    /// What is still to come of the response's body.
    pub(crate) fn framing(&self) -> Framing {
        self.response.framing
    }

    /// The whole body, if it has been read already.
    pub(crate) fn whole_body(&mut self) -> Option<Bytes> {
        let Framing::Length(length) = self.response.framing else { return None };
        let length = usize::try_from(length).ok().filter(|length| *length <= self.response.input.len())?;
        self.response.framing = Framing::EMPTY;
        Some(self.response.input.split_to(length).freeze())
    }

    /// What is left after the upstream has switched protocols: the socket, and what it has said already.
    pub(crate) fn switched(self) -> (TcpStream, Bytes) {
        (self.stream, self.response.input.freeze())
    }

    /// Whether another request may be sent on it: request and response are through, and not a byte more has come.
    pub(crate) fn is_reusable(&self) -> bool {
        self.response.keep_alive != KeepAlive::Close
            && self.response.framing.is_done()
            && self.response.input.is_empty()
            && self.request.is_done()
            && !self.request.broken
    }

    /// Whether it has not been idle for too long.
    pub(crate) fn is_in_time(&self) -> bool {
        Instant::now() < self.idle_until
    }

    /// Looks whether an idle connection is still alive, without waiting. An upstream that says anything now has no
    /// business to. `careful`: asks the system, and does not rely on what the runtime has been told so far.
    pub(crate) fn is_alive(&self, careful: bool) -> bool {
        let read = if careful {
            SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()])
        } else {
            self.stream.try_read(&mut [0])
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Starts the time that the next step may take.
    pub(crate) fn restart_timer(&mut self, timeout: Duration) {
        if let Some(deadline) = tokio::time::Instant::now().checked_add(timeout) {
            self.timer.as_mut().reset(deadline);
        }
    }

    /// Ready when nothing has moved for `timeout`; a piece of the upload is a move.
    pub(crate) fn poll_timeout(&mut self, cx: &mut Context<'_>, timeout: Duration) -> Poll<ExchangeError> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let Some(upload) = self.request.upload.as_deref() else { return Poll::Ready(ExchangeError::Timeout) };
            let frames = upload.frames();
            if frames == self.frames_seen {
                return Poll::Ready(if upload.waits_for_client() {
                    ExchangeError::ClientTimeout
                } else {
                    ExchangeError::Timeout
                });
            }
            self.frames_seen = frames;
            self.restart_timer(timeout);
        }
    }

    /// Makes ready to wait in a pool.
    pub(crate) fn rest(&mut self) {
        let idle = match self.response.keep_alive {
            KeepAlive::For(said) => self.idle_timeout.min(said),
            KeepAlive::Open | KeepAlive::Close => self.idle_timeout,
        };
        let now = Instant::now();
        self.idle_until = now.checked_add(idle).unwrap_or(now);
        self.request.upload = None;
        if self.response.read_bytes > READ_BYTES_MIN {
            self.response.read_bytes = READ_BYTES_MIN;
            self.response.input = BytesMut::new();
        }
    }
}

impl Incoming {
    fn head(&mut self, to: &Method) -> Result<Option<Head>, DecodeError> {
        if self.input.is_empty() { Ok(None) } else { decode::head(&mut self.input, to) }
    }

    /// Reads once. Reads get longer while they fill their room.
    fn poll_read(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < READ_BYTES_MIN / 2 {
            self.input.reserve(self.read_bytes);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(stream.read_buf(&mut self.input)).poll(cx))?;
        self.read_bytes = if read == room { (self.read_bytes * 2).min(READ_BYTES_MAX) } else { READ_BYTES_MIN };
        Poll::Ready(Ok(read))
    }
}
