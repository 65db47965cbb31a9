//! The API's description, which is a file of its own so that it can be read without a server.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// OpenAPI 3.1. A test holds it against the routes that there are.
pub const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn page() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
