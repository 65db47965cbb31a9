//! WebSockets: the one upgrade that passes.
//!
//! The request goes over a connection of its own, which has a task of its own; after `101 Switching Protocols` both
//! sides' bytes are copied until both have ended.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::body::Body;
use super::connection;
use super::error::Failure;
use super::headers;
use super::request_body::RequestBody;
use super::settings::Validated;

/// Asks the upstream for a WebSocket on the client's behalf. `client` resolves once the client's side has switched.
pub(crate) async fn forward(
    settings: &Validated,
    mut request: Request<RequestBody>,
    client: OnUpgrade,
) -> Result<Response<Body>, Failure> {
    switch_headers(request.headers_mut());
    let stream = connection::connect(settings).await?;
    crate::listen::keep_alive(&stream);
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| {
        tracing::warn!(%error, "upstream: cannot use the connection");
        Failure::Unreachable
    })?;
    tokio::spawn(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::debug!(%error, "upstream: connection of a WebSocket ended");
        }
    });
    let answered = tokio::time::timeout(settings.timeouts.response_head, sender.send_request(request));
    let mut response = match answered.await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::warn!(%error, "upstream: no answer to the request for a WebSocket");
            return Err(Failure::BadAnswer);
        }
        Err(_) => return Err(Failure::Timeout),
    };
    let found = headers::look(response.headers());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::remove_hop_by_hop(response.headers_mut(), &found);
        return Ok(response.map(Body::spawned));
    }
    let switched = headers::members(response.headers(), &UPGRADE).any(|to| to.eq_ignore_ascii_case(b"websocket"));
    if !switched {
        tracing::warn!("upstream: switched to another protocol than WebSocket");
        return Err(Failure::BadAnswer);
    }
    let upstream = hyper::upgrade::on(&mut response);
    tokio::spawn(tunnel(client, upstream));
    headers::remove_hop_by_hop(response.headers_mut(), &found);
    switch_headers(response.headers_mut());
    Ok(response.map(|_| Body::empty()))
}

fn switch_headers(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

async fn tunnel(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a WebSocket was not switched to");
            return;
        }
    };
    let copied = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
    if let Err(error) = copied {
        tracing::debug!(%error, "a WebSocket broke off");
    }
}
