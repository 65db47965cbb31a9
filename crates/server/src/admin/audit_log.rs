//! The audit log, for admins to read.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::params::Params;
use super::problem::{bad_request, problem};
use super::state::Admin;

/// Lines of a page, where nobody says how many.
const LIMIT: usize = 100;
/// And at most.
const LIMIT_MAX: usize = 1000;

/// `?cursor=...&limit=...`: lines, the newest first.
pub(super) async fn list(State(admin): State<Admin>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let asked = || {
        let params = Params::of(query, &["cursor", "limit"])?;
        let before = params.parsed::<u64>("cursor", "the \"next\" of the page before")?;
        Ok::<_, String>((before, params.limit(LIMIT, LIMIT_MAX)?))
    };
    let (before, limit) = match asked() {
        Ok(asked) => asked,
        Err(detail) => return bad_request(&detail),
    };
    let reading = tokio::task::spawn_blocking(move || admin.door.accounts.audit().read(before, limit));
    match reading.await {
        Ok(Ok(lines)) => {
            let next =
                lines.last().filter(|last| lines.len() == limit && last.seq > 1).map(|last| last.seq.to_string());
            Json(json!({ "lines": lines, "next": next })).into_response()
        }
        Ok(Err(why)) => {
            tracing::error!(error = &why as &dyn std::error::Error, "the audit log can't be read");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the audit log can't be read; the log says why")
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it panicked"),
    }
}
