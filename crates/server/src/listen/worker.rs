//! The threads that serve connections, and one connection's way from its first byte to its end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tower_service::Service;

use super::half_close::HalfClose;
use super::life::{Life, Limits, Reason, Told};
use super::service::Watched;
use super::settings::{ListenSettings, Peer};
use super::stream::ClientStream;
use crate::client_connection::ClientConnection;
use crate::tally::Tallies;

/// The first probe of a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a shutdown waits for the first bytes of a connection that was accepted already.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long a connection that is to close has for the end of its last answer.
const LAST_BYTES: Duration = Duration::from_secs(1);

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection's place among those that may be open at once, for as long as it lives, upgraded or not.
pub(super) struct Held {
    pub(super) life: Arc<Life>,
    pub(super) _room: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.life.ends();
    }
}

struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    held: Held,
    _counted: Counted,
}

/// One connection more in a worker, for as long as it lives.
struct Counted(Arc<AtomicUsize>, Arc<Tallies>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>, tallies: &Arc<Tallies>) -> Self {
        count.fetch_add(1, Relaxed);
        tallies.served.accepted();
        Self(count.clone(), Arc::clone(tallies))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
        self.1.served.closed();
    }
}

/// A thread that serves connections.
pub(super) struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    pub(super) connections: Arc<AtomicUsize>,
    tallies: Arc<Tallies>,
    /// The number of connections that were cut.
    done: oneshot::Receiver<usize>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start<S, B>(number: usize, service: S, settings: &ListenSettings) -> io::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (accepted, incoming) = mpsc::unbounded_channel();
        let (finished, done) = oneshot::channel();
        let server = Server { http: http(settings), service, settings: settings.clone() };
        let connections = Arc::new(AtomicUsize::new(0));
        let open = connections.clone();
        let thread = std::thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            let cut = runtime.block_on(server.run(incoming, open));
            let _ = finished.send(cut);
            runtime.shutdown_background();
        })?;
        Ok(Self { accepted, connections, tallies: Arc::clone(&settings.tallies), done, thread })
    }

    /// The number of connections that were cut.
    /// Takes a connection.
    pub(super) fn serve(&self, stream: std::net::TcpStream, peer: SocketAddr, held: Held) {
        let counted = Counted::new(&self.connections, &self.tallies);
        let _ = self.accepted.send(Accepted { stream, peer, held, _counted: counted });
    }

    pub(super) async fn finish(self) -> io::Result<usize> {
        drop(self.accepted);
        let cut = self.done.await;
        let joined = self.thread.join();
        cut.ok().filter(|_| joined.is_ok()).ok_or_else(|| io::Error::other("a thread of the server panicked"))
    }
}

fn http(settings: &ListenSettings) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_header_size(settings.head_bytes_max).half_close(false);
    http
}

struct Server<S> {
    http: http1::Builder,
    service: S,
    settings: ListenSettings,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn run(self, mut accepted: mpsc::UnboundedReceiver<Accepted>, open: Arc<AtomicUsize>) -> usize {
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        while let Some(connection) = accepted.recv().await {
            let alive = alive.clone();
            let serving = self.serve_connection(connection);
            tokio::spawn(async move {
                serving.await;
                drop(alive);
            });
        }
        drop(alive);
        let in_time = tokio::time::timeout(self.settings.drain_timeout, all_gone.recv()).await.is_ok();
        let cut = if in_time { 0 } else { open.load(Relaxed) };
        if cut > 0 {
            tracing::warn!(connections = cut, "shutdown: requests that did not end in time are cut");
        }
        cut
    }

    fn serve_connection(&self, accepted: Accepted) -> impl Future<Output = ()> + Send + use<S, B> {
        let Accepted { stream, peer, held, _counted } = accepted;
        let (http, life) = (self.http.clone(), Arc::clone(&held.life));
        let service = TowerToHyperService::new(self.service.clone());
        let connection = ClientConnection::default();
        let service = Watched {
            service,
            peer: Peer(peer),
            connection: connection.clone(),
            life: Arc::clone(&life),
            tallies: Arc::clone(&self.settings.tallies),
        };
        let (limits, tick, idle) = (self.settings.limits(), self.settings.tick(), self.settings.idle_timeout);
        let (stream_limits, tallies) = (self.settings.stream_limits(), Arc::clone(&self.settings.tallies));
        async move {
            let _counted = _counted;
            let stream = match prepare(stream) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "connection lost before its first byte");
                    return;
                }
            };
            if !speaks(&stream, idle, &life).await {
                return;
            }
            let stream = HalfClose::new(stream, connection);
            let stream = ClientStream::new(stream, stream_limits, Arc::clone(&life), Arc::clone(&tallies), held);
            let mut serving = pin!(http.serve_connection(stream, service).with_upgrades());
            let (mut listens, mut closing) = (true, false);
            let served = loop {
                let ends = tokio::select! {
                    biased;
                    served = serving.as_mut() => break served,
                    ends = ends(&life, &limits, tick, listens) => ends,
                    () = tokio::time::sleep(LAST_BYTES), if closing && !life.is_answering() => return,
                };
                match ends {
                    Ends::Told(told) if told == Told::MakeRoom && life.is_in_head() => return,
                    Ends::Told(_) => listens = false,
                    Ends::Over(Reason::Idle) if closing => return,
                    Ends::Over(Reason::Idle) => {}
                    Ends::Over(reason) => return tallies.cut(reason.words()),
                }
                // hyper sends what it has, then closes; but it waits for the rest of a head that it has begun to read.
                serving.as_mut().graceful_shutdown();
                closing = true;
            };
            match served {
                Err(error) if error.is_parse_too_large() => tallies.refused("a head that is too large", ""),
                Err(error) if error.is_parse() && !life.was_refused() => {
                    tracing::debug!(%error, "no request");
                    tallies.refused("no HTTP/1.1 request", "");
                }
                Err(error) => tracing::debug!(%error, "connection ended"),
                Ok(()) => {}
            }
        }
    }
}

/// Why a connection is to end.
enum Ends {
    Told(Told),
    Over(Reason),
}

/// Resolves when it is to end; what it is told counts only as long as it `listens`.
async fn ends(life: &Life, limits: &Limits, tick: Duration, listens: bool) -> Ends {
    loop {
        tokio::select! {
            biased;
            told = life.told(), if listens => return Ends::Told(told),
            () = tokio::time::sleep(tick) => {}
        }
        if let Some(reason) = life.judge(limits) {
            return Ends::Over(reason);
        }
    }
}

fn prepare(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    keep_alive(&stream);
    Ok(stream)
}

/// Has the system find out whether the other side is still there, for a WebSocket may be silent for hours.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let probes = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_keepalive(&probes) {
        tracing::debug!(%error, "no keep-alive");
    }
}

/// Waits for a connection's first bytes. Those that are on their way at the shutdown are a request like any other.
async fn speaks(stream: &TcpStream, patience: Duration, life: &Life) -> bool {
    let first = tokio::select! {
        biased;
        first = tokio::time::timeout(patience, stream.readable()) => first,
        told = life.told() => match told {
            Told::MakeRoom => return false,
            Told::End => tokio::time::timeout(LAST_WORDS, stream.readable()).await,
        }
    };
    matches!(first, Ok(Ok(())))
}
