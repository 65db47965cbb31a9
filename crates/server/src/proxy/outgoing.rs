//! A request on its way to the upstream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Method, request};
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::encode::{self, BodyFraming};
use super::exchange_error::ExchangeError;
use super::request_body::{RequestBody, Upload};

/// The request on its way out.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// The head; afterwards, what stands before each piece of the body.
    buffer: Vec<u8>,
    piece: Bytes,
    after_piece: &'static [u8],
    written: usize,
    body: Option<(RequestBody, BodyFraming)>,
    pub(crate) upload: Option<Arc<Upload>>,
    /// Doing it twice does no harm, and the buffer holds all of it.
    repeatable: bool,
    pub(crate) head_done: bool,
    /// Something was taken from the body.
    body_begun: bool,
    /// The upstream takes no more.
    pub(crate) broken: bool,
    /// It was broken off before the client's body was through.
    unread: bool,
}

impl Outgoing {
    pub(crate) fn nothing() -> Self {
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
            unread: false,
        }
    }

    /// This request and no other.
    pub(crate) fn set(&mut self, head: &request::Parts, body: RequestBody, upload: Option<Arc<Upload>>) {
        let framing = body.framing();
        self.buffer.clear();
        encode::head(&mut self.buffer, &head.method, &head.uri, &head.headers, framing);
        self.method = head.method.clone();
        self.repeatable = body.is_repeatable(&head.method);
        self.body = framing.map(|framing| (body, framing));
        self.upload = upload;
        self.rewind();
    }

    /// Whether sending it again does no harm: nothing of it was written, or it may be repeated.
    pub(crate) fn may_start_again(&self) -> bool {
        self.repeatable || (self.written == 0 && !self.head_done && !self.body_begun)
    }

    /// Whether the client's upload is not through yet.
    pub(crate) fn is_uploading(&self) -> bool {
        self.body.is_some() || self.unread
    }

    /// From the start.
    pub(crate) fn rewind(&mut self) {
        self.piece = Bytes::new();
        self.after_piece = b"";
        self.written = 0;
        self.head_done = false;
        self.body_begun = false;
        self.broken = false;
        self.unread = false;
    }

    /// Sends no more of a body that is not through: the upstream does not want it. What is left is dropped, and so read
    /// and thrown away.
    pub(crate) fn break_off(&mut self) {
        let unread = self.body.take().is_some();
        self.broken |= unread || self.has_unwritten();
        self.unread |= unread;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.broken || (self.head_done && self.body.is_none() && !self.has_unwritten())
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        self.written < self.buffer.len() || !self.piece.is_empty() || !self.after_piece.is_empty()
    }

    /// Writes what there is to write, and asks the body for more. A first piece that is there already goes out with
    /// the head.
    pub(crate) fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
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
                self.head_done |= self.written > 0;
                if self.head_done {
                    self.break_off();
                }
                self.broken = true;
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
            Some(Ok(piece)) if piece.is_empty() => Ok(false),
            Some(Ok(piece)) => encode::before_piece(&mut self.buffer, &piece, framing).map(|after| {
                self.piece = piece;
                self.after_piece = after;
                *framing == BodyFraming::Length(0)
            }),
            end => {
                let trailers = end.and_then(|frame| frame.err()?.into_trailers().ok());
                encode::end(&mut self.buffer, trailers.as_ref(), *framing).map(|()| true)
            }
        };
        let is_last = framed.map_err(|()| ExchangeError::UploadLength)?;
        if is_last {
            self.body = None;
        }
        Poll::Ready(Ok(()))
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
