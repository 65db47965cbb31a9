//! Visits as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use visitlog_core::VisitId;
use visitlog_core::model::EndReason;

use super::{Admin, error};
use crate::lookup::{self, LookupError, Wanted};

/// Most visits in one list: all of them are in memory at once.
const LIMIT_MAX: usize = 10_000;

/// Whether visits are recorded: 503 once the journal has stopped, or while it can take nothing.
pub(super) async fn health(State(admin): State<Admin>) -> Response {
    match admin.engine.journal().check() {
        Ok(()) if !admin.engine.journal().is_stalled() => "ok\n".into_response(),
        Ok(()) => error(StatusCode::SERVICE_UNAVAILABLE, "stalled", "the disk takes nothing; the site is served"),
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, "not_recording", &why.to_string()),
    }
}

pub(super) async fn list(State(admin): State<Admin>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let wanted = match wanted(&query) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, "bad_query", &message),
    };
    let found = blocking(&admin.look_ups.clone(), move || lookup::list(&admin.engine, &admin.data, wanted)).await;
    found.map_or_else(|response| response, |documents| json(format!("[{}]", documents.join(","))))
}

pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let id: VisitId = match id.parse() {
        Ok(id) => id,
        Err(why) => return bad_id(&why),
    };
    match blocking(&admin.look_ups.clone(), move || lookup::one(&admin.engine, &admin.data, id)).await {
        Ok(Some(document)) => json(document),
        Ok(None) => error(StatusCode::NOT_FOUND, "no_such_visit", "no visit of this id is known"),
        Err(response) => response,
    }
}

pub(super) async fn terminate(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let id: VisitId = match id.parse() {
        Ok(id) => id,
        Err(why) => return bad_id(&why),
    };
    let ended = match admin.engine.terminate(id, EndReason::Terminated) {
        Ok((true, durable)) => durable.await,
        Ok((false, _)) => return error(StatusCode::NOT_FOUND, "no_such_session", "no session of this id is open"),
        Err(why) => Err(why),
    };
    match ended {
        Ok(durable) => Json(serde_json::json!({ "visit_id": id.to_string(), "durable": durable })).into_response(),
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, "not_recording", &why.to_string()),
    }
}

fn wanted(query: &[(String, String)]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    for (key, value) in query {
        match (key.as_str(), value.as_str()) {
            ("open", "true") => wanted.ended = false,
            ("open", "false") => wanted.open = false,
            ("limit", limit) => {
                let limit: usize = limit.parse().map_err(|_| format!("limit: a number expected, {limit:?} found"))?;
                wanted.limit = limit.min(LIMIT_MAX);
            }
            (key, value) => return Err(format!("open=true|false or limit=N expected, {key}={value} found")),
        }
    }
    Ok(wanted)
}

async fn blocking<T: Send + 'static>(
    look_ups: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, LookupError> + Send + 'static,
) -> Result<T, Response> {
    // The permit goes with the work, which goes on when the asker has left.
    let permit = look_ups.clone().acquire_owned().await;
    let working = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    match working.await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => {
            tracing::error!(error = &why as &dyn std::error::Error, "a visit can't be read");
            Err(error(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", "a visit can't be read; the log says why"))
        }
        Err(_) => Err(error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the look-up failed")),
    }
}

/// What a build without the warehouse says to SQL.
#[cfg(not(feature = "warehouse"))]
pub(super) async fn no_warehouse() -> Response {
    error(StatusCode::NOT_IMPLEMENTED, "no_warehouse", "this visitlog was built without SQL (feature warehouse)")
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn bad_id(why: &visitlog_core::ids::ParseIdError) -> Response {
    error(StatusCode::BAD_REQUEST, "bad_id", &why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_bound() {
        let limit = |limit: &str| wanted(&[("limit".to_owned(), limit.to_owned())]);
        assert_eq!(limit("9").map(|wanted| wanted.limit), Ok(9));
        assert_eq!(limit("100000").map(|wanted| wanted.limit), Ok(10_000));
        assert!(limit("all").is_err());
    }
}
