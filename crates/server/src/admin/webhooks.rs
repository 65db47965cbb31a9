//! How the webhooks are doing, what they could not deliver, and what a person wants of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use visitlog_sinks::webhook::{DeadLetter, OutboxError, Webhook};

use super::problem::problem;
use super::state::Admin;

/// Dead messages in an answer.
const DEAD_MAX: usize = 100;

/// All webhooks.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    Json(admin.webhooks.iter().map(|webhook| describe(webhook)).collect::<Value>()).into_response()
}

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<u64>,
}

/// What could not be delivered, oldest first: 100 at most, those behind `after`.
pub(super) async fn dead(State(admin): State<Admin>, Path(name): Path<String>, Query(page): Query<Page>) -> Response {
    let Some(webhook) = find(&admin, &name) else { return no_webhook(&name) };
    let read = tokio::task::spawn_blocking(move || webhook.dead(page.after, DEAD_MAX)).await;
    match read {
        Ok(Ok(letters)) => Json(letters.iter().map(describe_dead).collect::<Value>()).into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the messages can't be read"),
    }
}

/// Which message.
#[derive(Deserialize)]
pub(super) struct Which {
    id: Option<String>,
}

/// `replay`, `resume` or `test`.
pub(super) async fn order(
    State(admin): State<Admin>,
    Path((name, order)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Response {
    let Some(webhook) = find(&admin, &name) else { return no_webhook(&name) };
    let ordered = order.clone();
    let work = move || -> Option<Result<Value, OutboxError>> {
        Some(match ordered.as_str() {
            "replay" => webhook.replay(which.id.as_deref()).map(|count| json!({ "messages": count })),
            "resume" => webhook.resume().map(|()| json!({})),
            "test" => webhook.test().map(|id| json!({ "id": id })),
            _ => return None,
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Some(Ok(mut done))) => {
            done["webhook"] = name.into();
            done["told"] = order.into();
            Json(done).into_response()
        }
        Ok(Some(Err(error))) => refused(&error),
        Ok(None) => problem(StatusCode::NOT_FOUND, "not_found", "replay, resume or test expected"),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the webhook can't be told"),
    }
}

fn find(admin: &Admin, name: &str) -> Option<Arc<Webhook>> {
    admin.webhooks.iter().find(|webhook| webhook.name() == name).cloned()
}

fn no_webhook(name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "no_webhook", &format!("no webhook {name} is configured"))
}

fn refused(error: &OutboxError) -> Response {
    let status = match error {
        OutboxError::NoSuchMessage { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, "webhook", &error.to_string())
}

fn describe(webhook: &Webhook) -> Value {
    let status = webhook.status();
    let is_open = status.is_some();
    let status = status.unwrap_or_default();
    let state = match () {
        () if !is_open => "starting",
        () if status.is_gone => "gone",
        () if status.down_until.is_some() => "down",
        () => "running",
    };
    json!({
        "name": webhook.name(),
        "receiver": webhook.receiver(),
        "state": state,
        "waiting": status.waiting,
        "dead": status.dead,
        "taken": status.taken,
        "failures": status.failures,
        "dropped": status.dropped,
        "down_until_ms": status.down_until.map(|until| until.millis()),
        "error": status.last_error,
    })
}

fn describe_dead(letter: &DeadLetter) -> Value {
    json!({
        "number": letter.number,
        "id": letter.id,
        "type": letter.event,
        "at_ms": letter.at.millis(),
        "attempts": letter.attempts,
        "error": letter.error,
        "body": letter.body,
    })
}
