//! What seems to be set up wrongly.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::state::Admin;
use crate::warnings::Warning;

/// All warnings that hold now.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    Json(admin.warnings.now().iter().map(describe).collect::<Value>()).into_response()
}

fn describe(warning: &Warning) -> Value {
    json!({ "warning": warning.name, "since_ms": warning.since.millis(), "what": warning.what, "to_do": warning.to_do })
}
