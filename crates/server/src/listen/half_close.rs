//! A stream that hides from its server, while a request is being answered, that the client has closed its side: the
//! client may have said all and wait for the answer (`nc -N`, scripts), and TCP does not tell it from one that has left.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::client_connection::ClientConnection;

/// How long a client that has closed its side is waited for while nothing is sent to it. One that has left resets the
/// connection at the first bytes that are.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct HalfClose<T> {
    stream: T,
    client: ClientConnection,
    /// Runs since the client has closed its side, or took the last bytes after that.
    patience: Option<Pin<Box<Sleep>>>,
    /// More is to be sent: hyper flushes when it has written all, and until then takes the end for one in mid-answer.
    unsent: bool,
}

impl<T> HalfClose<T> {
    pub(super) fn new(stream: T, client: ClientConnection) -> Self {
        Self { stream, client, patience: None, unsent: false }
    }

    fn wrote(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.unsent = true;
        if let (Some(patience), Poll::Ready(Ok(_))) = (&mut self.patience, &polled) {
            patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HalfClose<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.patience.is_none() {
            let before = into.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, into))?;
            if into.filled().len() > before || into.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            this.client.half_close();
        }
        let patience = this.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        if this.client.is_answering(cx.waker()) || this.unsent {
            ready!(patience.as_mut().poll(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HalfClose<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if std::mem::take(&mut self.unsent) && self.patience.is_some() {
            // Whoever was not told of the end asks again.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(polled)
    }
}
