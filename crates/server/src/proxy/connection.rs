//! One connection to the upstream: an exchange at a time, driven by whoever uses it.
//!
//! First the request's future polls it, then the response's body; there is no task and no channel in between, so a
//! request costs two reads, two writes and no wake-up. (hyper's client was tried first: its channels between the
//! request, the connection and the body cost more than a quarter of the proxy's own time.) An idle connection is polled
//! by nobody: whether the upstream closed it is looked at before it is used again.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode, request};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::decode::{self, DecodeError, Framing, Head, Piece};
use super::encode::{self, BodyFraming};
use super::error::Failure;
use super::request_body::{RequestBody, Upload};
use super::settings::{Target, Validated};

/// Room made for each read, at first.
const READ_BYTES_MIN: usize = 8 * 1024;
/// A long body is read in pieces of up to this size.
const READ_BYTES_MAX: usize = 128 * 1024;

/// See the module.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Outgoing,
    response: Incoming,
    /// Made once and moved on for each exchange, which costs less than making one each time.
    timer: Pin<Box<Sleep>>,
    /// Pieces of the upload that had gone through when the timer was last moved on.
    frames_seen: u64,
    /// When the last exchange was over.
    pub(crate) idle_since: Instant,
}

/// The request on its way out.
struct Outgoing {
    method: Method,
    /// The head; afterwards, what stands before each piece of the body.
    buffer: Vec<u8>,
    piece: Bytes,
    after_piece: &'static [u8],
    written: usize,
    body: Option<(RequestBody, BodyFraming)>,
    upload: Option<Arc<Upload>>,
    /// Doing it twice does no harm, and the buffer holds all of it.
    repeatable: bool,
    head_done: bool,
    /// Something was taken from the body.
    body_begun: bool,
    /// The upstream takes no more.
    broken: bool,
}

/// The response on its way in.
struct Incoming {
    input: BytesMut,
    read_bytes: usize,
    framing: Framing,
    keep_alive: bool,
}

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the upload broke off")]
    Upload(#[source] super::BoxError),
    #[error("the upload is not as long as was said")]
    UploadLength,
    #[error("nothing moved for too long")]
    Timeout,
    #[error("the client sent nothing for too long")]
    ClientTimeout,
    #[error("the connection was closed before the response")]
    Closed(#[source] Option<io::Error>),
    #[error("the connection was closed within the response")]
    Incomplete(#[source] Option<io::Error>),
    #[error("the response cannot be understood")]
    Decode(#[from] DecodeError),
}

impl ExchangeError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Upload(_) => Failure::BadRequest("the upload broke off"),
            Self::UploadLength => Failure::BadRequest("the upload is not as long as was said"),
            Self::Timeout => Failure::Timeout,
            Self::ClientTimeout => Failure::ClientStalled,
            Self::Closed(_) | Self::Incomplete(_) | Self::Decode(_) => Failure::BadAnswer,
        }
    }
}

/// Connects, within the time allowed.
async fn connect(settings: &Validated) -> Result<TcpStream, Failure> {
    let connecting = async {
        let stream = match &settings.target {
            Target::Address(address) => TcpStream::connect(address).await?,
            Target::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
        };
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match tokio::time::timeout(settings.timeouts.connect, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
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
        let stream = connect(settings).await?;
        Ok(Box::new(Self {
            stream,
            request: Outgoing::nothing(),
            response: Incoming {
                input: BytesMut::new(),
                read_bytes: READ_BYTES_MIN,
                framing: Framing::EMPTY,
                keep_alive: true,
            },
            timer: Box::pin(tokio::time::sleep(settings.timeouts.response_head)),
            frames_seen: 0,
            idle_since: Instant::now(),
        }))
    }

    /// Sets the request that [`exchange`](Self::exchange) sends.
    pub(crate) fn start(&mut self, head: &request::Parts, body: RequestBody, upload: Option<Arc<Upload>>) {
        let request = &mut self.request;
        let framing = body.framing();
        request.buffer.clear();
        encode::head(&mut request.buffer, &head.method, &head.uri, &head.headers, framing);
        request.method = head.method.clone();
        request.repeatable = framing.is_none() && head.method.is_idempotent();
        request.body = framing.map(|framing| (body, framing));
        request.upload = upload;
        request.rewind();
        self.frames_seen = 0;
    }

    /// Whether sending the request again does no harm: nothing of it was written, or it may be repeated.
    pub(crate) fn may_start_again(&self) -> bool {
        let request = &self.request;
        request.repeatable || (request.written == 0 && !request.head_done && !request.body_begun)
    }

    /// Takes over the request of a connection that was closed under it.
    pub(crate) fn take_over(&mut self, mut from: Box<Self>) {
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
                continue;
            }
            let began = !self.response.input.is_empty();
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
        self.response.keep_alive
            && self.response.framing.is_done()
            && self.response.input.is_empty()
            && self.request.is_done()
            && !self.request.broken
    }

    /// Looks whether an idle connection is still alive, without waiting. An upstream that says anything now has no
    /// business to.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
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
        self.idle_since = Instant::now();
        self.request.upload = None;
        if self.response.read_bytes > READ_BYTES_MIN {
            self.response.read_bytes = READ_BYTES_MIN;
            self.response.input = BytesMut::new();
        }
    }
}

impl Outgoing {
    fn nothing() -> Self {
        Self {
            method: Method::GET,
            buffer: Vec::new(),
            piece: Bytes::new(),
            after_piece: b"",
            written: 0,
            body: None,
            upload: None,
            repeatable: false,
            head_done: true,
            body_begun: false,
            broken: false,
        }
    }

    fn rewind(&mut self) {
        self.piece = Bytes::new();
        self.after_piece = b"";
        self.written = 0;
        self.head_done = false;
        self.body_begun = false;
        self.broken = false;
    }

    fn is_done(&self) -> bool {
        self.broken || (self.head_done && self.body.is_none() && !self.has_unwritten())
    }

    fn has_unwritten(&self) -> bool {
        self.written < self.buffer.len() || !self.piece.is_empty() || !self.after_piece.is_empty()
    }

    /// Writes what there is to write, and asks the body for more. A first piece that is there already goes out with
    /// the head.
    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        if !self.head_done
            && !self.body_begun
            && let Poll::Ready(gathered) = self.poll_piece(cx)
        {
            gathered?;
        }
        loop {
            if let Err(error) = ready!(self.poll_write(stream, cx)) {
                // Nothing more can be sent; the read side says how it ends.
                tracing::debug!(%error, "upstream: it takes no more of the request");
                self.broken = true;
                self.head_done |= self.written > 0;
                let ended = if self.head_done { Ok(()) } else { Err(ExchangeError::Closed(Some(error))) };
                return Poll::Ready(ended);
            }
            self.head_done = true;
            if self.body.is_none() {
                // The buffer is kept: it may be sent again.
                return Poll::Ready(Ok(()));
            }
            self.buffer.clear();
            self.written = 0;
            ready!(self.poll_piece(cx))?;
        }
    }

    /// Appends the body's next piece, or its end, to what is to be written.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        let Some((body, framing)) = &mut self.body else { return Poll::Ready(Ok(())) };
        let frame = ready!(Pin::new(body).poll_frame(cx)).transpose();
        self.body_begun = true;
        let framed = match frame.map_err(ExchangeError::Upload)?.map(Frame::into_data) {
            Some(Ok(piece)) if piece.is_empty() => Ok(()),
            Some(Ok(piece)) => encode::before_piece(&mut self.buffer, &piece, framing).map(|after| {
                self.piece = piece;
                self.after_piece = after;
            }),
            end => {
                let trailers = end.and_then(|frame| frame.err()?.into_trailers().ok());
                let framed = encode::end(&mut self.buffer, trailers.as_ref(), *framing);
                self.body = None;
                framed
            }
        };
        Poll::Ready(framed.map_err(|()| ExchangeError::UploadLength))
    }

    fn poll_write(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_unwritten() {
            let rest = &self.buffer[self.written..];
            let written = if self.piece.is_empty() && self.after_piece.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, rest))?
            } else {
                let slices = [IoSlice::new(rest), IoSlice::new(&self.piece), IoSlice::new(self.after_piece)];
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let of_buffer = written.min(self.buffer.len() - self.written);
        self.written += of_buffer;
        let of_piece = (written - of_buffer).min(self.piece.len());
        self.piece.advance(of_piece);
        self.after_piece = &self.after_piece[(written - of_buffer - of_piece).min(self.after_piece.len())..];
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
