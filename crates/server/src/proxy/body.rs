//! The response's body on its way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
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
    /// Of a connection that has a task of its own.
    Spawned(Incoming),
}

struct Streaming {
    incoming: Incoming,
    /// Given back to the pool at the end.
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
    idle_timeout: Duration,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming").field("incoming", &self.incoming).finish_non_exhaustive()
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

    pub(crate) fn spawned(incoming: Incoming) -> Self {
        Self(Kind::Spawned(incoming))
    }

    /// What the connection is receiving. A connection that has nothing more to receive goes back at once.
    pub(crate) fn streaming(
        incoming: Incoming,
        mut connection: Box<Connection>,
        pool: Arc<Pool>,
        idle_timeout: Duration,
    ) -> Self {
        if incoming.is_end_stream() {
            pool.put(connection);
            return Self::empty();
        }
        connection.restart_timer(idle_timeout);
        Self(Kind::Streaming(Streaming { incoming, connection: Some(connection), pool, idle_timeout }))
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
            Kind::Spawned(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
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
            Kind::Streaming(streaming) => streaming.incoming.is_end_stream(),
            Kind::Spawned(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streaming(streaming) => streaming.incoming.size_hint(),
            Kind::Spawned(incoming) => incoming.size_hint(),
        }
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        // The first poll tells the connection that more is wanted; what it then receives is there for the second. Both
        // happen in this task, so neither needs to wake it.
        let mut quiet = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut self.incoming).poll_frame(&mut quiet);
        if polled.is_pending() {
            connection.drive(cx);
            polled = Pin::new(&mut self.incoming).poll_frame(&mut quiet);
        }
        match polled {
            Poll::Pending => {
                if connection.poll_timer(cx).is_ready() {
                    self.connection = None;
                    return Poll::Ready(Some(Err("the upstream's body stood still".into())));
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                connection.restart_timer(self.idle_timeout);
                if self.incoming.is_end_stream() {
                    self.give_back();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
        }
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put(connection);
        }
    }
}
