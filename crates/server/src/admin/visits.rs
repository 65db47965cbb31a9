//! Visits as JSON.

#[cfg(feature = "warehouse")]
use axum::Json;
use axum::extract::State;
#[cfg(feature = "warehouse")]
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
#[cfg(feature = "warehouse")]
use serde_json::Value;
#[cfg(feature = "warehouse")]
use visitlog_core::VisitId;

use super::problem::problem;
use super::state::Admin;
#[cfg(feature = "warehouse")]
use crate::lookup::{self, LookupError, Wanted};
#[cfg(feature = "warehouse")]
use crate::warehouse::report::records::RECORDS_MAX;

/// Whether visits are recorded: 503 once the journal has stopped, or while it can take nothing.
pub(super) async fn health(State(admin): State<Admin>) -> Response {
    match admin.engine.journal().check() {
        Ok(()) if admin.engine.journal().is_on_reserve() => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "stalled", "the disk is full, the journal writes to its reserve")
        }
        Ok(()) if !admin.engine.journal().is_stalled() => "ok\n".into_response(),
        Ok(()) => problem(StatusCode::SERVICE_UNAVAILABLE, "stalled", "the disk takes nothing; the site is served"),
        Err(why) => problem(StatusCode::SERVICE_UNAVAILABLE, "not_recording", &why.to_string()),
    }
}

/// Whether the site takes requests: 503 from the moment on when the server has been asked to end, or is not healthy.
pub(super) async fn ready(state: State<Admin>) -> Response {
    if state.draining.is_so() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server ends, and takes no more requests");
    }
    health(state).await
}

#[cfg(feature = "warehouse")]
pub(super) async fn list(State(admin): State<Admin>, Query(query): Query<Vec<(String, String)>>) -> Response {
    match wanted(&query) {
        Ok(wanted) => answered(lookup::list(admin.queries.warehouse(), &admin.data, wanted).await.map(Value::Array)),
        Err(message) => problem(StatusCode::BAD_REQUEST, "bad_query", &message),
    }
}

#[cfg(feature = "warehouse")]
pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let id: VisitId = match id.parse() {
        Ok(id) => id,
        Err(why) => return bad_id(&why),
    };
    match lookup::one(admin.queries.warehouse(), &admin.data, id).await {
        Ok(None) => problem(StatusCode::NOT_FOUND, "no_such_visit", "no visit of this id is known"),
        Ok(Some(found)) => answered(Ok(found)),
        Err(why) => answered(Err(why)),
    }
}

#[cfg(feature = "warehouse")]
fn answered(found: Result<Value, LookupError>) -> Response {
    match found {
        Ok(found) => Json(found).into_response(),
        Err(why) => {
            tracing::error!(error = &why as &dyn std::error::Error, "a visit can't be read");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", "a visit can't be read; the log says why")
        }
    }
}

#[cfg(feature = "warehouse")]
fn wanted(query: &[(String, String)]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    for (key, value) in query {
        match (key.as_str(), value.as_str()) {
            ("open", "true") => wanted.ended = false,
            ("open", "false") => wanted.open = false,
            ("limit", limit) => {
                let number = limit.parse().ok().filter(|limit| *limit <= RECORDS_MAX);
                wanted.limit = number.ok_or_else(|| {
                    format!("limit: a number up to {RECORDS_MAX} expected, {limit:?} found; SQL has no such limit")
                })?;
            }
            (key, value) => return Err(format!("open=true|false or limit=N expected, {key}={value} found")),
        }
    }
    Ok(wanted)
}

/// What a build without the warehouse says to SQL.
#[cfg(not(feature = "warehouse"))]
pub(super) async fn no_warehouse() -> Response {
    problem(StatusCode::NOT_IMPLEMENTED, "no_warehouse", "this visitlog was built without SQL (feature warehouse)")
}

#[cfg(feature = "warehouse")]
fn bad_id(why: &visitlog_core::ids::ParseIdError) -> Response {
    problem(StatusCode::BAD_REQUEST, "bad_id", &why.to_string())
}

#[cfg(all(test, feature = "warehouse"))]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_bound() {
        let limit = |limit: &str| wanted(&[("limit".to_owned(), limit.to_owned())]);
        assert_eq!(limit("9").map(|wanted| wanted.limit), Ok(9));
        assert_eq!(limit("10000").map(|wanted| wanted.limit), Ok(10_000));
        assert!(limit("10001").is_err_and(|said| said.contains("10000")));
        assert!(limit("all").is_err());
    }
}
