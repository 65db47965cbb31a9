//! Sessions that are open: who is here, and whom an admin sends away.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use visitlog_core::VisitId;
use visitlog_core::ports::{Cursor, OpenSession, SessionStore as _, StoreError, Terminated};
use visitlog_sinks::document::Document;

use super::params::Params;
use super::problem::{bad_request, problem};
use super::state::Admin;

/// Sessions of a page, where nobody says how many.
const LIMIT: usize = 100;
/// And at most.
const LIMIT_MAX: usize = 1000;

/// `?cursor=...&limit=...`: some open sessions, and where the next ones begin.
pub(super) async fn list(State(admin): State<Admin>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let asked = || {
        let params = Params::of(query, &["cursor", "limit"])?;
        let cursor = params.get("cursor").map(|cursor| {
            let bits =
                Some(cursor).filter(|cursor| cursor.len() == 32).and_then(|bits| u128::from_str_radix(bits, 16).ok());
            bits.map(Cursor::from_u128).ok_or_else(|| "cursor: the \"next\" of the page before expected".to_owned())
        });
        Ok::<_, String>((cursor.transpose()?, params.limit(LIMIT, LIMIT_MAX)?))
    };
    let (cursor, limit) = match asked() {
        Ok(asked) => asked,
        Err(detail) => return bad_request(&detail),
    };
    match admin.engine.list(cursor, limit).await {
        Ok(page) => {
            let sessions: Vec<Value> = page.sessions.iter().map(describe).collect();
            let next = page.next.map(|next| format!("{:032x}", next.as_u128()));
            Json(json!({ "sessions": sessions, "next": next })).into_response()
        }
        Err(why) => unavailable(&why),
    }
}

/// One, with all that has happened in it so far.
pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let id: VisitId = match id.parse() {
        Ok(id) => id,
        Err(_) => return bad_id(),
    };
    match admin.engine.open_visit(id).await {
        Ok(Some(visit)) => {
            ([(header::CONTENT_TYPE, "application/json")], Document::of_open(&visit).to_json()).into_response()
        }
        Ok(None) => none_open(),
        Err(why) => unavailable(&why),
    }
}

/// Ends one.
pub(super) async fn end(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let id: VisitId = match id.parse() {
        Ok(id) => id,
        Err(_) => return bad_id(),
    };
    match admin.engine.terminate(id).await {
        Ok(Terminated::Ended { durable }) => {
            Json(json!({ "visit_id": id.to_string(), "durable": durable })).into_response()
        }
        Ok(Terminated::NotOpen) => none_open(),
        Err(why) => unavailable(&why),
    }
}

fn describe(session: &OpenSession) -> Value {
    json!({
        "visit_id": session.visit.to_string(),
        "site": session.site,
        "identity": session.identity.as_str(),
        "confirmed": session.confirmed,
        "user_id": session.user.as_ref().map(|user| user.as_str()),
        "last_seen_ms": session.last_seen.millis(),
        "ends_at_ms": session.ends_at.millis(),
        "events": session.events,
        "in_flight": session.in_flight,
    })
}

fn none_open() -> Response {
    problem(StatusCode::NOT_FOUND, "no_such_session", "no session of this id is open")
}

fn bad_id() -> Response {
    problem(StatusCode::BAD_REQUEST, "bad_id", "a visit's id expected, as 01a1fdc7-9a44-742d-9a00-fff30924a2fb")
}

pub(super) fn unavailable(why: &StoreError) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "not_recording", &why.to_string())
}
