//! The HTTP/1.1 server loop: one thread per core, each with a single-threaded runtime of its own, so that a
//! connection and all that serves it stay on one core.
//!
//! The caller's runtime accepts and hands each connection to the thread that has the fewest. Nothing is shared between
//! the threads but what the services share.

mod crowd;
mod door;
mod half_close;
mod life;
pub mod limits;
mod requests;
mod service;
mod settings;
mod stream;
#[cfg(test)]
mod stream_tests;
mod worker;

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower_service::Service;

use self::door::Door;
pub use self::settings::{ListenSettings, Peer};
pub(crate) use self::worker::keep_alive;
use self::worker::{BoxError, Worker};

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
    let workers = (0..settings.workers.max(1))
        .map(|number| Worker::start(number, make_service(number), &settings))
        .collect::<io::Result<Vec<_>>>()?;
    let mut door = Door::new(&settings, &workers);
    tokio::select! {
        biased;
        () = shutdown => {}
        () = door.open(&listener) => {}
    }
    door.close(&listener).await;
    drop(listener);
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
