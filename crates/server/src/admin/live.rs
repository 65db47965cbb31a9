//! Who is online and what happens, as a stream of server-sent events.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::problem;
use super::state::Admin;
use crate::live::{LiveBody, Place};

/// A snapshot, then what changes; what was missed, where `Last-Event-ID` says what was seen and the rest is still known.
pub(super) async fn stream(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let place = headers.get("last-event-id").and_then(|value| Place::parse(value.to_str().ok()?));
    match LiveBody::open(&admin.live, place).await {
        Some(body) => ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(body)).into_response(),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "too_many_readers", "too many look at once; try again later"),
    }
}
