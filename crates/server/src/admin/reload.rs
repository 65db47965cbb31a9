//! Settings: shown, and read again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::problem::problem;
use super::state::Admin;

/// `GET /api/v1/settings`: all of them, as they are followed, with where each came from.
pub(super) async fn show(State(admin): State<Admin>) -> Response {
    match admin.settings {
        Some(settings) => Json(settings()).into_response(),
        None => own(),
    }
}

fn own() -> Response {
    let message = "the settings of this server are its program's own: there is no file to read";
    problem(StatusCode::CONFLICT, "no_settings", message)
}

/// `POST /api/v1/reload`.
pub(super) async fn reload(State(admin): State<Admin>) -> Response {
    let Some(reload) = admin.reload else { return own() };
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(changes)) => Json(changes).into_response(),
        Ok(Err(wrong)) => problem(StatusCode::UNPROCESSABLE_ENTITY, "settings", &wrong),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "reading the settings panicked"),
    }
}
