//! The response's body on its way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::connection::{Connection, ExchangeError};
use super::decode::Framing;
use super::pool::Pool;
use super::{BoxError, headers};

/// A response's body, streamed: it is read from the upstream as fast as the client takes it. Dropped early, it closes
/// the upstream connection.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Full(Bytes),
    Streaming(Streaming),
}

struct Streaming {
    /// Given back to the pool at the end.
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
    /// None: it may be silent for as long as it likes.
    idle_timeout: Option<Duration>,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming").finish_non_exhaustive()
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }

    /// What the connection is receiving, and how long it may stand still. A connection that has nothing more to receive
    /// goes back at once.
    pub(crate) fn streaming(mut connection: Box<Connection>, pool: &Arc<Pool>, idle_timeout: Option<Duration>) -> Self {
        if let Some(whole) = connection.whole_body() {
            pool.put(connection);
            return Self::full(whole);
        }
        if let Some(idle_timeout) = idle_timeout {
            connection.restart_timer(idle_timeout);
        }
        Self(Kind::Streaming(Streaming { connection: Some(connection), pool: pool.clone(), idle_timeout }))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = match &mut self.0 {
            Kind::Empty => return Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Kind::Streaming(streaming) => streaming.poll(cx),
        };
        polled.map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                headers::clean_trailers(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Streaming(streaming) => streaming.connection.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streaming(streaming) => streaming.size_hint(),
        }
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        match connection.poll_body(cx) {
            Poll::Pending => {
                let Some(idle_timeout) = self.idle_timeout else { return Poll::Pending };
                let error = ready!(connection.poll_timeout(cx, idle_timeout));
                self.fail(error)
            }
            Poll::Ready(Some(Ok(frame))) => {
                if connection.framing().is_done() {
                    self.give_back();
                } else if let Some(idle_timeout) = self.idle_timeout {
                    connection.restart_timer(idle_timeout);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.fail(error),
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.connection.as_ref().map(|connection| connection.framing()) {
            None => SizeHint::with_exact(0),
            Some(Framing::Length(left)) => SizeHint::with_exact(left),
            Some(_) => SizeHint::default(),
        }
    }

    fn fail(&mut self, error: ExchangeError) -> Polled {
        tracing::warn!(%error, "upstream: the response broke off");
        self.connection = None;
        Poll::Ready(Some(Err(error.into())))
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put(connection);
        }
    }
}
