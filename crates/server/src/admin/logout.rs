//! Logs a user out, wherever that user is in: what an application's back channel asks for.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use visitlog_core::model::UserId;

use super::problem::{bad_request, json_body};
use super::sessions::unavailable;
use super::state::Admin;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    user_id: String,
}

/// `{"user_id": ...}`: all sessions of the user end (`logged_out`). Answers once that is as durable as the mode promises.
pub(super) async fn logout(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Response {
    let Asked { user_id } = match json_body(&headers, &body) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    if user_id.is_empty() {
        return bad_request("user_id: the name expected that the application gave at the login");
    }
    let (ended, wait) = match admin.engine.log_out(&UserId::new(&user_id)) {
        Ok(ended) => ended,
        Err(why) => return unavailable(&why),
    };
    match wait.await {
        Ok(durable) => {
            let ended: Vec<String> = ended.iter().map(ToString::to_string).collect();
            Json(json!({ "user_id": user_id, "ended": ended, "durable": durable })).into_response()
        }
        Err(why) => unavailable(&why),
    }
}
