//! The client's body on its way to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::encode::BodyFraming;
use super::{BoxError, headers};
use crate::client_connection::ClientConnection;

/// The body of a request to the upstream. Most requests have none, and pay for none.
pub(crate) struct RequestBody {
    inner: Option<UnsyncBoxBody<Bytes, BoxError>>,
    upload: Option<Arc<Upload>>,
    /// Runs out when the upstream has kept silent about `Expect: 100-continue` for too long.
    patience: Option<Pin<Box<Sleep>>>,
    client: Option<ClientConnection>,
    /// How long it is read on when it is dropped before its end.
    unwanted: Duration,
}

/// How long a client may send nothing of an upload that nobody wants.
const SILENCE: Duration = Duration::from_secs(5);

/// What became of an upload.
#[derive(Debug, thiserror::Error)]
#[error("the client closed its side within the upload")]
struct BrokenOff;

/// What the request's future knows about the upload, which the connection owns meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    gate: AtomicU8,
    frames: AtomicU64,
    waits_for_client: AtomicBool,
}

const OPEN: u8 = 0;
const WAITING: u8 = 1;
const REFUSED: u8 = 2;

impl Upload {
    /// The upstream said `100 Continue`.
    pub(crate) fn open(&self) {
        let _ = self.gate.compare_exchange(WAITING, OPEN, Relaxed, Relaxed);
    }

    /// The upstream has answered: a body that it did not ask for is never read.
    pub(crate) fn refuse_if_waiting(&self) {
        let _ = self.gate.compare_exchange(WAITING, REFUSED, Relaxed, Relaxed);
    }

    /// Pieces that went through so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Whether it is the client that has nothing to give.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Relaxed)
    }
}

impl RequestBody {
    /// `body`, and the handle to follow it by; with `expect_continue`, held back until the upstream asks for it or
    /// that time has passed. Dropped before its end, it is read on for `unwanted` and thrown away: a connection that is
    /// closed with unread bytes is reset, and the answer that is on its way to the client lost (RFC 9112, 9.6).
    pub(crate) fn new<B>(
        body: B,
        expect_continue: Option<Duration>,
        client: Option<ClientConnection>,
        unwanted: Duration,
    ) -> (Self, Option<Arc<Upload>>)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return (Self { inner: None, upload: None, patience: None, client, unwanted }, None);
        }
        let upload = Arc::new(Upload::default());
        if expect_continue.is_some() {
            upload.gate.store(WAITING, Relaxed);
        }
        let body = Self {
            inner: Some(body.map_err(Into::into).boxed_unsync()),
            upload: Some(upload.clone()),
            patience: expect_continue.map(|patience| Box::pin(tokio::time::sleep(patience))),
            client,
            unwanted,
        };
        (body, Some(upload))
    }

    /// How the body is to be delimited; `None` if there is none.
    pub(crate) fn framing(&self) -> Option<BodyFraming> {
        let inner = self.inner.as_ref()?;
        Some(inner.size_hint().exact().map_or(BodyFraming::Chunked, BodyFraming::Length))
    }

    /// Whether sending the request again does no harm.
    pub(crate) fn is_repeatable(&self, method: &Method) -> bool {
        self.inner.is_none() && method.is_idempotent()
    }

    /// Whether the upstream may have the body now.
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upload) = &self.upload else { return Poll::Ready(()) };
        match upload.gate.load(Relaxed) {
            OPEN => Poll::Ready(()),
            WAITING => {
                if let Some(patience) = &mut self.patience {
                    ready!(patience.as_mut().poll(cx));
                }
                upload.open();
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // A client that was not told to continue may be sending its next request.
        let is_open = self.upload.as_ref().is_some_and(|upload| upload.gate.load(Relaxed) == OPEN);
        if let Some(inner) = self.inner.take_if(|_| is_open)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(self.unwanted, throw_away(inner)));
        }
    }
}

async fn throw_away(mut body: UnsyncBoxBody<Bytes, BoxError>) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(SILENCE, body.frame()).await {}
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.inner.is_none() {
            return Poll::Ready(None);
        }
        ready!(this.poll_gate(cx));
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let mut polled = Pin::new(inner).poll_frame(cx);
        if polled.is_pending() && this.client.as_ref().is_some_and(ClientConnection::is_half_closed) {
            // No more will come, and this was not the end.
            this.inner = None;
            polled = Poll::Ready(Some(Err(BrokenOff.into())));
        } else if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.inner = None;
        }
        if let Some(upload) = &this.upload {
            upload.waits_for_client.store(polled.is_pending(), Relaxed);
            if polled.is_ready() {
                upload.frames.fetch_add(1, Relaxed);
            }
        }
        polled.map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                headers::clean_trailers(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
