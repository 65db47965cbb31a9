//! The response's body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::connection::Connection;
use super::decode::Framing;
use super::exchange_error::ExchangeError;
use super::route::Route;
use super::{BoxError, headers};
use crate::client_connection::{Answering, ClientConnection};

/// A response's body, streamed: it is read from the upstream as fast as the client takes it. Dropped early, it closes
/// the upstream connection.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    /// As long as the body is there, the request is being answered.
    _answering: Option<Answering>,
}

#[derive(Debug)]
enum Kind {
    Empty,
    Full(Bytes),
    Streaming(Streaming),
}

struct Streaming {
    /// Given back at the end.
    connection: Option<(Box<Connection>, Route)>,
    /// None: it may be silent for as long as it likes.
    idle_timeout: Option<Duration>,
    client: Option<ClientConnection>,
    /// Why there is no more, told with the next poll.
    broken: Option<ExchangeError>,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming").finish_non_exhaustive()
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::of(Kind::Full(bytes.into()))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, _answering: None }
    }

    /// What the connection is receiving, and how long it may stand still; `None` for an event stream, which may for
    /// ever, and ends when the `client` closes its side. A connection that has nothing more to receive goes back at
    /// once.
    pub(crate) fn streaming(
        mut connection: Box<Connection>,
        route: Route,
        idle_timeout: Option<Duration>,
        client: Option<ClientConnection>,
    ) -> Self {
        if let Some(whole) = connection.whole_body() {
            route.give_back(connection);
            return Self::full(whole);
        }
        if let Some(idle_timeout) = idle_timeout {
            connection.restart_timer(idle_timeout);
        }
        Self::of(Kind::Streaming(Streaming {
            connection: Some((connection, route)),
            idle_timeout,
            client,
            broken: None,
        }))
    }

    /// The same, as a part of what the guard guards.
    pub(crate) fn answering(self, answering: Option<Answering>) -> Self {
        Self { _answering: answering, ..self }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(Bytes::from_static(text.as_bytes()))
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
        let polled = match &mut self.kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
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
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Streaming(streaming) => streaming.connection.is_none() && streaming.broken.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streaming(streaming) => streaming.size_hint(),
        }
    }
}

/// Why a stream of events was ended.
#[derive(Debug, thiserror::Error)]
#[error("the client closed its side")]
struct ClientLeft;

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error.into())));
        }
        let Some((connection, _)) = &mut self.connection else { return Poll::Ready(None) };
        match connection.poll_body(cx) {
            Poll::Pending => {
                let Some(idle_timeout) = self.idle_timeout else { return self.poll_client() };
                let error = ready!(connection.poll_timeout(cx, idle_timeout));
                self.fail(error, cx)
            }
            Poll::Ready(Some(Ok(frame))) => {
                if connection.framing().is_done() {
                    self.give_back();
                } else if let Some(idle_timeout) = self.idle_timeout {
                    connection.restart_timer(idle_timeout);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.fail(error, cx),
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
        }
    }

    /// An event stream whose client has closed its side ends; who reads events keeps its side open.
    fn poll_client(&mut self) -> Polled {
        if !self.client.as_ref().is_some_and(ClientConnection::is_half_closed) {
            return Poll::Pending;
        }
        self.connection = None;
        Poll::Ready(Some(Err(ClientLeft.into())))
    }

    fn size_hint(&self) -> SizeHint {
        match self.connection.as_ref().map(|(connection, _)| connection.framing()) {
            None if self.broken.is_some() => SizeHint::default(),
            None => SizeHint::with_exact(0),
            Some(Framing::Length(left)) => SizeHint::with_exact(left),
            Some(_) => SizeHint::default(),
        }
    }

    /// Ends with an error, but not at once: hyper throws away what it has not sent by then, the head included.
    fn fail(&mut self, error: ExchangeError, cx: &Context<'_>) -> Polled {
        tracing::warn!(%error, "upstream: the response broke off");
        self.connection = None;
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn give_back(&mut self) {
        if let Some((connection, route)) = self.connection.take() {
            route.give_back(connection);
        }
    }
}
