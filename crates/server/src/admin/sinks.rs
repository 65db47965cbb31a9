//! How the sinks are doing, and what a person wants of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use visitlog_sinks::{Lanes, SetAside, SinkState, SinkStatus};

use super::problem::problem;
use super::state::Admin;

/// All sinks, those that are left out included.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    Json(describe(&admin.lanes)).into_response()
}

/// `pause`, `resume`, `reopen` or `replay`.
pub(super) async fn order(State(admin): State<Admin>, Path((name, order)): Path<(String, String)>) -> Response {
    let told = match order.as_str() {
        "pause" => admin.lanes.pause(&name),
        "resume" => admin.lanes.resume(&name),
        "reopen" => admin.lanes.reopen(&name),
        "replay" => admin.lanes.replay(&name),
        _ => return problem(StatusCode::NOT_FOUND, "not_found", "pause, resume, reopen or replay expected"),
    };
    if told { Json(json!({ "sink": name, "told": order })).into_response() } else { no_sink(&name) }
}

/// What was set aside for a sink.
pub(super) async fn quarantine(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    match admin.lanes.set_aside(&name) {
        Some(visits) => Json(describe_set_aside(&visits)).into_response(),
        None => no_sink(&name),
    }
}

fn no_sink(name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "no_sink", &format!("no sink {name} is configured"))
}

/// The sinks as JSON.
pub fn describe(lanes: &Lanes) -> Value {
    lanes.status().iter().map(describe_one).collect()
}

fn describe_one(sink: &SinkStatus) -> Value {
    let (state, since, what) = match &sink.state {
        SinkState::Starting => ("starting", None, None),
        SinkState::Running => ("running", None, None),
        SinkState::LeftOut => ("left_out", None, None),
        SinkState::Paused { since } => ("paused", Some(since), None),
        SinkState::Failing { since, what } => ("failing", Some(since), Some(what)),
        SinkState::Stopped { since, what } => ("stopped", Some(since), Some(what)),
    };
    json!({
        "name": sink.name,
        "state": state,
        "since_ms": since.map(|since| since.millis()),
        "error": what.map(|what| what.to_string()),
        "backlog": sink.backlog,
        "held_bytes": sink.held_bytes,
        "parked": sink.parked,
        "parked_bytes": sink.parked_bytes,
        "set_aside": sink.set_aside,
        "set_aside_bytes": sink.set_aside_bytes,
        "set_aside_damaged": sink.set_aside_damaged,
        "delivered": sink.delivered,
        "panics": sink.panics,
        "lost_park_full": sink.lost_quota,
        "lost_quarantine_full": sink.lost_quarantine,
        "lost_left_out": sink.lost_left_out,
    })
}

/// Visits that were set aside, as JSON.
pub fn describe_set_aside(visits: &[SetAside]) -> Value {
    let one = |aside: &SetAside| {
        json!({
            "visit_id": aside.visit.to_string(),
            "position": aside.end.0,
            "set_aside_ms": aside.at.millis(),
            "why": aside.why.as_str(),
            "error": aside.what,
        })
    };
    visits.iter().map(one).collect()
}
