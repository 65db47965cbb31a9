//! The loop that accepts: who gets in, and who has to go for it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::Crowd;
use super::life::Life;
use super::settings::ListenSettings;
use super::worker::{Held, Worker};

/// How long it takes to see again whether somebody does nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Door<'a> {
    settings: &'a ListenSettings,
    workers: &'a [Worker],
    room: Arc<Semaphore>,
    crowd: Crowd,
}

impl<'a> Door<'a> {
    pub(super) fn new(settings: &'a ListenSettings, workers: &'a [Worker]) -> Self {
        let room = Semaphore::new(settings.connections_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { settings, workers, room: Arc::new(room), crowd: Crowd::new() }
    }

    /// Lets clients in, for ever.
    pub(super) async fn open(&mut self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if self.admits(peer.ip()) {
                        let room = self.make_room().await;
                        self.let_in(stream, peer, room);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    self.crowd.make_room();
                    tokio::time::sleep(LOOK_AGAIN / 2).await;
                }
            }
        }
    }

    /// Lets in who has come already, as far as there is room, and tells all that the server ends.
    pub(super) async fn close(mut self, listener: &TcpListener) {
        while let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            let waiting = std::future::poll_fn(|cx| match listener.poll_accept(cx) {
                Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
                _ => Poll::Ready(None),
            });
            let Some((stream, peer)) = waiting.await else { break };
            self.let_in(stream, peer, room);
        }
        self.crowd.end();
    }

    fn admits(&mut self, peer: IpAddr) -> bool {
        let address = peer.to_canonical();
        let proxy = self.settings.trusted_proxies.iter().any(|network| network.contains(&address));
        let admitted = proxy || self.crowd.has_room(peer, self.settings.per_address());
        if !admitted {
            self.settings.tallies.cut("too many connections of one address");
        }
        admitted
    }

    /// Room for one connection more: somebody who does nothing goes for it, or it is waited for.
    async fn make_room(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
                return room;
            }
            let made = self.crowd.make_room();
            self.settings.tallies.cut(if made { "closed for another client" } else { "all connections are at work" });
            let room = Arc::clone(&self.room).acquire_owned();
            if let Ok(Ok(room)) = tokio::time::timeout(LOOK_AGAIN, room).await {
                return room;
            }
        }
    }

    fn let_in(&mut self, stream: TcpStream, peer: SocketAddr, room: OwnedSemaphorePermit) {
        let Ok(stream) = stream.into_std() else { return };
        let worker = self.workers.iter().min_by_key(|worker| worker.connections.load(Relaxed));
        if let Some(worker) = worker {
            let life = Arc::new(Life::new());
            self.crowd.add(peer.ip(), Arc::clone(&life));
            worker.serve(stream, peer, Held { life, _room: room });
        }
    }
}
