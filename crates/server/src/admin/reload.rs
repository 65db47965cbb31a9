//! Settings, read again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::problem::problem;
use super::state::Admin;

/// `POST /api/v1/reload`.
pub(super) async fn reload(State(admin): State<Admin>) -> Response {
    let Some(reload) = admin.reload else {
        let message = "the settings of this server are its program's own: there is no file to read again";
        return problem(StatusCode::CONFLICT, "no_settings", message);
    };
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(changes)) => Json(changes).into_response(),
        Ok(Err(wrong)) => problem(StatusCode::UNPROCESSABLE_ENTITY, "settings", &wrong),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "reading the settings panicked"),
    }
}
