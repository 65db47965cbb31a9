//! A client's connection as hyper sees it: what comes is looked at ([`Requests`]), and neither side can stall it for
//! ever. A client that stops reading, or reads a byte now and then, would otherwise keep its connection, and the
//! upstream's.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::life::Life;
use super::requests::{Place, Requests, Verdict};
use crate::tally::Tallies;

/// What is read at once.
const PIECE_BYTES: usize = 16 * 1024;

const NO_CHUNKS: &str = "a chunked body that is none";
/// What a client may send before it knows whether it has a WebSocket: it should send nothing.
const LATER_BYTES_MAX: usize = 64 * 1024;

/// See the module. `H` lives as long as the stream, upgraded or not.
pub(super) struct ClientStream<T, H> {
    stream: T,
    requests: Requests,
    life: Arc<Life>,
    tallies: Arc<Tallies>,
    /// What hyper is to get before anything that comes.
    ready: Vec<u8>,
    /// What came behind the wish for a WebSocket, before anybody knows what it is.
    later: Vec<u8>,
    /// Nothing more is read.
    closed: bool,
    /// Because a body is none.
    broken: bool,
    writing: Writing,
    silence: Silence,
    _held: H,
}

impl<T, H> ClientStream<T, H> {
    pub(super) fn new(stream: T, limits: StreamLimits, life: Arc<Life>, tallies: Arc<Tallies>, held: H) -> Self {
        Self {
            stream,
            requests: Requests::new(limits.head_bytes_max),
            life,
            tallies,
            ready: Vec::new(),
            later: Vec::new(),
            closed: false,
            broken: false,
            writing: Writing { limits, timer: None, since: None, waited: Duration::ZERO, taken: 0 },
            silence: Silence { limit: limits.websocket_idle, last: Instant::now(), timer: None },
            _held: held,
        }
    }

    /// Where the client is, once what became of its wish for a WebSocket is known.
    fn place(&mut self) -> Place {
        if self.requests.place() == Place::Undecided
            && let Some(switched) = self.life.switched()
        {
            self.requests.decide(switched);
            self.life.moved_to(self.requests.place());
        }
        self.requests.place()
    }

    /// Looks at what came; puts what hyper is to get into `self.ready` or, where it is the same, into `into`.
    fn take(&mut self, bytes: &[u8], into: &mut ReadBufCursor<'_>) {
        let rest = match self.requests.take(bytes) {
            Verdict::Pass { now, later } => {
                self.later.extend_from_slice(&later);
                put(&now, into)
            }
            Verdict::Refuse(bytes, reason) => {
                self.closed = true;
                self.life.refused();
                self.tallies.refused(reason, &self.requests.path());
                put(&[&bytes[..], b"\0"].concat(), into)
            }
            Verdict::Broken(bytes) => {
                (self.closed, self.broken) = (true, true);
                self.tallies.refused(NO_CHUNKS, &self.requests.path());
                put(&bytes, into)
            }
        };
        self.ready = rest;
        self.life.moved_to(self.requests.place());
    }
}

/// Puts as much as there is room for; gives back the rest.
fn put(bytes: &[u8], into: &mut ReadBufCursor<'_>) -> Vec<u8> {
    let count = bytes.len().min(into.remaining());
    into.put_slice(&bytes[..count]);
    bytes[count..].to_vec()
}

impl<T: AsyncRead + Unpin, H: Unpin> Read for ClientStream<T, H> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ready.is_empty() {
            let ready = std::mem::take(&mut this.ready);
            this.ready = put(&ready, &mut into);
            return Poll::Ready(Ok(()));
        }
        let place = this.place();
        if place == Place::Undecided {
            this.life.wake_when_switched(cx);
        } else if !this.later.is_empty() {
            let later = std::mem::take(&mut this.later);
            let before = into.remaining();
            this.take(&later, &mut into);
            if into.remaining() < before {
                return Poll::Ready(Ok(()));
            }
        }
        while !this.closed {
            let mut piece = [const { MaybeUninit::uninit() }; PIECE_BYTES];
            let room = into.remaining().min(PIECE_BYTES);
            let mut piece = ReadBuf::uninit(&mut piece[..room]);
            let polled = Pin::new(&mut this.stream).poll_read(cx, &mut piece);
            if polled.is_pending() {
                match place {
                    Place::Body => this.life.waits_for_body(),
                    Place::Through => return this.silence.poll(cx).map(Err),
                    Place::Between | Place::Head | Place::Undecided => {}
                }
            }
            ready!(polled)?;
            let came = piece.filled();
            if place == Place::Body {
                this.life.body_came(came.len());
            }
            if came.is_empty() {
                break;
            }
            this.silence.broken();
            if place == Place::Undecided && this.later.len() + came.len() > LATER_BYTES_MAX {
                return Poll::Ready(Err(io::Error::other("a client that does not wait for its WebSocket")));
            }
            let before = into.remaining();
            this.take(came, &mut into);
            if into.remaining() < before {
                return Poll::Ready(Ok(()));
            }
        }
        if this.broken {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, NO_CHUNKS)))
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

/// How long writing and silence may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamLimits {
    pub(super) head_bytes_max: usize,
    pub(super) write: Duration,
    /// Bytes a second that a client must take, over `write`.
    pub(super) rate: u64,
    pub(super) websocket_idle: Duration,
}

/// How well the client takes what it is sent. Costs nothing until a write has to wait.
struct Writing {
    limits: StreamLimits,
    timer: Option<Pin<Box<Sleep>>>,
    /// A write waits since then.
    since: Option<Instant>,
    /// Writes have waited so long, and then so many bytes were taken.
    waited: Duration,
    taken: u64,
}

impl Writing {
    fn watch(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &polled {
            if let Some(since) = self.since.take() {
                self.waited += since.elapsed();
                self.taken += written.as_ref().map_or(0, |count| *count as u64);
                if self.taken * 1_000 >= self.limits.rate * u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX) {
                    (self.waited, self.taken) = (Duration::ZERO, 0);
                }
            }
            return polled;
        }
        let left = self.limits.write.saturating_sub(self.waited);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            if let Some(deadline) = now.checked_add(left) {
                timer.as_mut().reset(deadline);
            }
        }
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// How long nobody has said anything on a WebSocket. Its timer is made with the first wait, and armed anew only when it
/// has run out.
struct Silence {
    limit: Duration,
    last: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    fn broken(&mut self) {
        if self.timer.is_some() {
            self.last = Instant::now();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timer = match &mut self.timer {
            Some(timer) => timer,
            None => {
                self.last = Instant::now();
                self.timer.insert(Box::pin(tokio::time::sleep(self.limit)))
            }
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            match self.last.checked_add(self.limit) {
                Some(deadline) if deadline > Instant::now() => timer.as_mut().reset(deadline),
                _ => return Poll::Ready(io::ErrorKind::TimedOut.into()),
            }
        }
    }
}

impl<T: AsyncWrite + Unpin, H: Unpin> Write for ClientStream<T, H> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.silence.broken();
        self.writing.watch(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
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
        self.silence.broken();
        self.writing.watch(cx, polled)
    }
}
