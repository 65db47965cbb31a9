//! API tokens.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::{Caller, NewToken, Scope, Scopes, TokenInfo};
use super::problem::{bad_request, json_body};
use super::refusals::failed;
use super::state::Admin;
use super::times::moment;

/// Days that a token lives at most, unless it lives for ever: ten years.
const DAYS_MAX: u64 = 3660;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    scopes: Vec<String>,
    expires_in_days: Option<u64>,
}

/// All tokens.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    Json(admin.door.accounts.tokens(None).iter().map(describe).collect::<Value>()).into_response()
}

/// `{"name": ..., "scopes": [...], "expires_in_days": ...}`. Only this answer has the token.
pub(super) async fn add(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Wanted { name, scopes, expires_in_days } = match json_body(&headers, &body) {
        Ok(given) => given,
        Err(answer) => return *answer,
    };
    let scopes = match scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<Scope>, String>>() {
        Ok(scopes) => Scopes::of(scopes),
        Err(detail) => return bad_request(&detail),
    };
    if expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return bad_request(&format!("expires_in_days: 1 to {DAYS_MAX} expected"));
    }
    let lifetime = expires_in_days.map(|days| Duration::from_secs(days * 24 * 60 * 60));
    let accounts = &admin.door.accounts;
    let added = accounts.add_token(caller.account(), caller.scopes(), &NewToken { name, scopes, lifetime });
    match added {
        Ok(added) => {
            let mut shown = accounts.tokens(None).iter().find(|token| token.id == added.id).map(describe);
            if let Some(shown) = &mut shown {
                shown["token"] = Value::from(added.secret.reveal());
            }
            (StatusCode::CREATED, Json(shown.unwrap_or_default())).into_response()
        }
        Err(why) => failed(&why),
    }
}

/// Removes one.
pub(super) async fn remove(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    match admin.door.accounts.remove_token(&id, None) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => failed(&why),
    }
}

fn describe(token: &TokenInfo) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes.names(),
        "owner": token.owner,
        "created_at": moment(token.created_ms),
        "expires_at": token.expires_ms.and_then(moment),
        "last_used_at": token.last_used_ms.and_then(moment),
    })
}
