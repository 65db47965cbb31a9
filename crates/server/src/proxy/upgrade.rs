//! WebSockets: the one upgrade that passes.
//!
//! The request goes over a connection of its own; after `101 Switching Protocols` a task copies both sides' bytes until
//! both have ended. As long as it does, the visit that the layer above has found for the request is in flight; and what
//! the client sends is said to be activity.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use visitlog_tower::{FlushError, Visit};

use super::body::Body;
use super::connection::Connection;
use super::decode::Head;
use super::error::Failure;
use super::headers;

/// Passes the upstream's `101` on. `client` resolves once the client's side has switched.
pub(super) fn switch(
    head: Head,
    connection: Box<Connection>,
    client: OnUpgrade,
    visit: Option<Visit>,
) -> Result<Response<Body>, Failure> {
    let switched = headers::members(&head.headers, &UPGRADE).any(|to| to.eq_ignore_ascii_case(b"websocket"));
    if !switched {
        tracing::warn!("upstream: switched to another protocol than WebSocket");
        return Err(Failure::BadAnswer);
    }
    let (upstream, said) = connection.switched();
    crate::listen::keep_alive(&upstream);
    tokio::spawn(tunnel(client, upstream, said, visit));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    let found = headers::look(response.headers());
    headers::remove_hop_by_hop(response.headers_mut(), &found);
    switch_headers(response.headers_mut());
    Ok(response)
}

/// What asks for a WebSocket, and what agrees to one.
pub(super) fn switch_headers(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// How often it is said at most that the client is active.
const ACTIVE_EVERY: Duration = Duration::from_secs(60);

async fn tunnel(client: OnUpgrade, mut upstream: TcpStream, said: Bytes, visit: Option<Visit>) {
    let sends = Arc::new(AtomicBool::new(false));
    let mut client = match client.await {
        Ok(client) => Heard { client: TokioIo::new(client), sends: sends.clone() },
        Err(error) => {
            tracing::debug!(%error, "a WebSocket was not switched to");
            return;
        }
    };
    let copied = async {
        client.write_all(&said).await?;
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await
    };
    let said = async {
        let Some(visit) = visit else { return std::future::pending().await };
        loop {
            tokio::time::sleep(ACTIVE_EVERY).await;
            if sends.swap(false, Ordering::Relaxed) && visit.active().await == Err(FlushError::Gone) {
                // It has ended: its socket goes on without it.
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        copied = copied => if let Err(error) = copied {
            tracing::debug!(%error, "a WebSocket broke off");
        },
        () = said => {}
    }
}

/// A client that notes when it is heard.
struct Heard<C> {
    client: C,
    sends: Arc<AtomicBool>,
}

impl<C: AsyncRead + Unpin> AsyncRead for Heard<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = ready!(Pin::new(&mut self.client).poll_read(cx, into));
        if into.filled().len() > before {
            self.sends.store(true, Ordering::Relaxed);
        }
        Poll::Ready(read)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Heard<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_shutdown(cx)
    }
}
