//! Accounts.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::{Busy, Role, UserInfo};
use super::problem::{bad_request, json_body, problem};
use super::refusals::{failed, too_busy};
use super::state::{Admin, DoorKeeper};
use super::times::moment;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    password: String,
    role: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    role: Option<String>,
    password: Option<String>,
}

/// All accounts.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    Json(admin.door.accounts.users().iter().map(describe).collect::<Value>()).into_response()
}

/// `{"name": ..., "password": ..., "role": ...}`.
pub(super) async fn add(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Response {
    let NewUser { name, password, role } = match json_body(&headers, &body) {
        Ok(given) => given,
        Err(answer) => return *answer,
    };
    let role: Role = match role.parse() {
        Ok(role) => role,
        Err(detail) => return bad_request(&detail),
    };
    let hash = match hashed(&admin.door, &name, password).await {
        Ok(hash) => hash,
        Err(answer) => return *answer,
    };
    match admin.door.accounts.add_user(&name, role, hash) {
        Ok(()) => {
            admin.door.set_up.is_done();
            one(&admin, &name, StatusCode::CREATED)
        }
        Err(why) => failed(&why),
    }
}

/// `{"role": ...}` or `{"password": ...}`, or both.
pub(super) async fn change(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Changes { role, password } = match json_body(&headers, &body) {
        Ok(given) => given,
        Err(answer) => return *answer,
    };
    let role: Option<Role> = match role.map(|role| role.parse()).transpose() {
        Ok(role) => role,
        Err(detail) => return bad_request(&detail),
    };
    let hash = match password {
        Some(password) => match hashed(&admin.door, &name, password).await {
            Ok(hash) => Some(hash),
            Err(answer) => return *answer,
        },
        None if role.is_none() => return bad_request("role, password or both expected"),
        None => None,
    };
    match admin.door.accounts.change_user(&name, role, hash) {
        Ok(()) => one(&admin, &name, StatusCode::OK),
        Err(why) => failed(&why),
    }
}

/// Removes one, with its sessions and tokens.
pub(super) async fn remove(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    match admin.door.accounts.remove_user(&name) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => failed(&why),
    }
}

/// The hash of a new password; what is answered if it can't be one.
pub(super) async fn hashed(door: &DoorKeeper, name: &str, password: String) -> Result<String, Box<Response>> {
    match door.passwords.make(name.to_ascii_lowercase(), password).await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(why)) => Err(Box::new(problem(StatusCode::UNPROCESSABLE_ENTITY, "refused", &why.to_string()))),
        Err(Busy) => Err(Box::new(too_busy())),
    }
}

fn one(admin: &Admin, name: &str, status: StatusCode) -> Response {
    let users = admin.door.accounts.users();
    let user = users.iter().find(|user| user.name.eq_ignore_ascii_case(name)).map(describe);
    (status, Json(user.unwrap_or_default())).into_response()
}

fn describe(user: &UserInfo) -> Value {
    json!({
        "name": user.name,
        "role": user.role.name(),
        "created_at": moment(user.created_ms),
        "sessions": user.sessions,
    })
}
