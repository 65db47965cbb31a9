//! The HTTP/1.1 server loop: one thread per core, each with a single-threaded runtime of its own, so that a
//! connection and all that serves it stay on one core.
//!
//! The caller's runtime accepts and hands each connection to the thread that has the fewest. Nothing is shared between
//! the threads but what the services share.

mod half_close;
mod stall;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tower_service::Service;

use self::half_close::HalfClose;
use self::stall::StallTimeout;
use crate::client_connection::ClientConnection;

/// The first probe of a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a shutdown waits for the first bytes of a connection that was accepted already.
const LAST_WORDS: Duration = Duration::from_millis(200);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The address at the other end of the connection, among the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How to serve.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Threads. Default: as many as there are cores.
    pub workers: usize,
    /// From a connection's first moment, or the end of the last response, to the end of a request's head; then the
    /// connection is closed. Default 60 s.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, WebSockets too; then it is cut. Default 60 s.
    pub write_timeout: Duration,
    /// Longest request head. Longer ones get 431. Default 64 KiB.
    pub head_bytes_max: usize,
    /// Connections open at once, WebSockets too. The next ones wait unaccepted. Default 16,384.
    pub connections_max: usize,
    /// How long a shutdown waits for the requests under way. Default 30 s.
    pub drain_timeout: Duration,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            head_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            head_bytes_max: 64 * 1024,
            connections_max: 16_384,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections with a request that had not ended when the time was over, and were cut.
    pub cut: usize,
}

/// Serves until `shutdown` resolves; then accepts no more, lets the requests under way end, and returns. WebSockets
/// don't hold it up: they are cut when the requests have ended.
///
/// `make_service` is called once per worker, with its number.
///
/// # Errors
/// If the listener can't be used, or a thread or its runtime not be made.
pub async fn serve<S, B>(
    listener: std::net::TcpListener,
    settings: ListenSettings,
    make_service: impl Fn(usize) -> S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Drained>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (stop, stopped) = watch::channel(false);
    let workers = (0..settings.workers.max(1))
        .map(|number| Worker::start(number, make_service(number), &settings, stopped.clone()))
        .collect::<io::Result<Vec<_>>>()?;
    let room = Arc::new(Semaphore::new(settings.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    accept(listener, &workers, room, shutdown).await;
    let _ = stop.send(true);
    let connections: usize = workers.iter().map(|worker| worker.connections.load(Relaxed)).sum();
    if connections > 0 {
        tracing::info!(connections, up_to = ?settings.drain_timeout, "shutdown: waiting for the requests under way");
    }
    let mut cut = 0;
    for worker in workers {
        cut += worker.finish().await?;
    }
    Ok(Drained { cut })
}

struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    room: OwnedSemaphorePermit,
    _counted: Counted,
}

/// One connection more in a worker, for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn accept(listener: TcpListener, workers: &[Worker], room: Arc<Semaphore>, shutdown: impl Future<Output = ()>) {
    let accepting = async {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            hand_over(listener.accept().await, workers, permit).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        () = accepting => {}
    }
    // Whoever connected before the shutdown is still served.
    while let Ok(permit) = room.clone().try_acquire_owned() {
        let waiting = std::future::poll_fn(|cx| match listener.poll_accept(cx) {
            std::task::Poll::Ready(Ok(accepted)) => std::task::Poll::Ready(Some(accepted)),
            _ => std::task::Poll::Ready(None),
        });
        let Some(accepted) = waiting.await else { return };
        hand_over(Ok(accepted), workers, permit).await;
    }
}

async fn hand_over(accepted: io::Result<(TcpStream, SocketAddr)>, workers: &[Worker], room: OwnedSemaphorePermit) {
    let (stream, peer) = match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
        Ok(accepted) => accepted,
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections");
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
    };
    if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections.load(Relaxed)) {
        let counted = Counted::new(&worker.connections);
        let _ = worker.accepted.send(Accepted { stream, peer, room, _counted: counted });
    }
}

struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    connections: Arc<AtomicUsize>,
    /// The number of connections that were cut.
    done: oneshot::Receiver<usize>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start<S, B>(
        number: usize,
        service: S,
        settings: &ListenSettings,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<Self>
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
        let server = Server { http: http(settings), service, stopped, settings: settings.clone() };
        let connections = Arc::new(AtomicUsize::new(0));
        let open = connections.clone();
        let thread = std::thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            let cut = runtime.block_on(server.run(incoming, open));
            let _ = finished.send(cut);
            runtime.shutdown_background();
        })?;
        Ok(Self { accepted, connections, done, thread })
    }

    /// The number of connections that were cut.
    async fn finish(self) -> io::Result<usize> {
        drop(self.accepted);
        let cut = self.done.await;
        let joined = self.thread.join();
        cut.ok().filter(|_| joined.is_ok()).ok_or_else(|| io::Error::other("a thread of the server panicked"))
    }
}

fn http(settings: &ListenSettings) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_header_size(settings.head_bytes_max)
        .half_close(false);
    http
}

struct Server<S> {
    http: http1::Builder,
    service: S,
    stopped: watch::Receiver<bool>,
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
        let (http, stopped) = (self.http.clone(), self.stopped.clone());
        let connection = ClientConnection::default();
        let service = WithPeer {
            service: TowerToHyperService::new(self.service.clone()),
            peer: Peer(accepted.peer),
            connection: connection.clone(),
        };
        let (head_timeout, write_timeout) = (self.settings.head_timeout, self.settings.write_timeout);
        async move {
            let Accepted { stream, peer: _, room, _counted } = accepted;
            let stream = match prepare(stream) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "connection lost before its first byte");
                    return;
                }
            };
            if !speaks(&stream, head_timeout, stopped.clone()).await {
                return;
            }
            let stream = StallTimeout::new(TokioIo::new(HalfClose::new(stream, connection)), write_timeout, room);
            let mut serving = std::pin::pin!(http.serve_connection(stream, service).with_upgrades());
            let served = tokio::select! {
                biased;
                served = serving.as_mut() => served,
                () = stop(stopped) => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
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
async fn speaks(stream: &TcpStream, patience: Duration, stopped: watch::Receiver<bool>) -> bool {
    let first = tokio::select! {
        biased;
        first = tokio::time::timeout(patience, stream.readable()) => first,
        () = stop(stopped) => tokio::time::timeout(LAST_WORDS, stream.readable()).await,
    };
    matches!(first, Ok(Ok(())))
}

/// Resolves at the shutdown.
async fn stop(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

struct WithPeer<S> {
    service: S,
    peer: Peer,
    connection: ClientConnection,
}

impl<S, B> hyper::service::Service<Request<B>> for WithPeer<S>
where
    S: hyper::service::Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.connection.clone());
        self.connection.ask();
        self.service.call(request)
    }
}
