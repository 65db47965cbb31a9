//! WebSockets: the one upgrade that passes.
//!
//! The request goes over a connection of its own; after `101 Switching Protocols` a task copies both sides' bytes until
//! both have ended.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::body::Body;
use super::connection::Connection;
use super::decode::Head;
use super::error::Failure;
use super::headers;

/// Passes the upstream's `101` on. `client` resolves once the client's side has switched.
pub(super) fn switch(head: Head, connection: Box<Connection>, client: OnUpgrade) -> Result<Response<Body>, Failure> {
    let switched = headers::members(&head.headers, &UPGRADE).any(|to| to.eq_ignore_ascii_case(b"websocket"));
    if !switched {
        tracing::warn!("upstream: switched to another protocol than WebSocket");
        return Err(Failure::BadAnswer);
    }
    let (upstream, said) = connection.switched();
    crate::listen::keep_alive(&upstream);
    tokio::spawn(tunnel(client, upstream, said));
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

async fn tunnel(client: OnUpgrade, mut upstream: TcpStream, said: Bytes) {
    let mut client = match client.await {
        Ok(client) => TokioIo::new(client),
        Err(error) => {
            tracing::debug!(%error, "a WebSocket was not switched to");
            return;
        }
    };
    let copied = async {
        client.write_all(&said).await?;
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await
    };
    if let Err(error) = copied.await {
        tracing::debug!(%error, "a WebSocket broke off");
    }
}
