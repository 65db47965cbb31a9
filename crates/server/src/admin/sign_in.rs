//! Signing in and out.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::accounts::{Accounts, AccountsError, Busy, Caller, Deed, Verdict};
use super::cookie;
use super::origin::Reached;
use super::problem::{json_body, problem};
use super::refusals::{failed, too_busy};
use super::state::{Admin, DoorKeeper};
use super::users::hashed;
use super::whence::Whence;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current: String,
    new: String,
}

/// `{"name": ..., "password": ...}`: sets the cookie of a session.
pub(super) async fn sign_in(
    State(admin): State<Admin>,
    Extension(whence): Extension<Whence>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let SignIn { name, password } = match json_body(&headers, &body) {
        Ok(given) => given,
        Err(answer) => return *answer,
    };
    let door = &admin.door;
    if let Err(refused) = checked(door, &whence, &headers, &name, password).await {
        return *refused;
    }
    match admitted(&door.accounts, &name, whence.reached) {
        Ok(cookies) => {
            note(door, &whence, &name, StatusCode::NO_CONTENT);
            (StatusCode::NO_CONTENT, cookies).into_response()
        }
        // The account has been removed meanwhile.
        Err(AccountsError::Refused(_)) => wrong(),
        Err(why) => failed(&why),
    }
}

/// The cookies of somebody who has signed in.
pub(super) fn admitted(accounts: &Accounts, name: &str, reached: Reached) -> Result<HeaderMap, AccountsError> {
    let session = accounts.sign_in(name)?;
    let mark = accounts.device_mark(name)?;
    let mut headers = HeaderMap::new();
    for set in [cookie::session(session.reveal(), reached), cookie::device(&mark, reached)].into_iter().flatten() {
        headers.append(header::SET_COOKIE, set);
    }
    Ok(headers)
}

/// Whether a password is right, in its time; what is answered if it is not.
async fn checked(
    door: &DoorKeeper,
    whence: &Whence,
    headers: &HeaderMap,
    name: &str,
    password: String,
) -> Result<(), Box<Response>> {
    let folded = name.to_ascii_lowercase();
    let mark = cookie::read(headers, cookie::DEVICE, whence.reached);
    let device = mark.and_then(|mark| door.accounts.device(&folded, mark));
    let device = device.as_deref();
    let wait = match door.throttle.judge(&folded, whence.address, device, Instant::now()) {
        Verdict::After(wait) => wait,
        Verdict::Refused(left) => {
            note(door, whence, name, StatusCode::TOO_MANY_REQUESTS);
            let seconds = left.as_secs() + 1;
            let detail = format!("too many wrong passwords from this address: try again in {seconds} s");
            let answer = problem(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", &detail);
            return Err(Box::new(([(header::RETRY_AFTER, seconds.to_string())], answer).into_response()));
        }
    };
    door.throttle.wrong(&folded, whence.address, device, Instant::now());
    tokio::time::sleep(wait).await;
    match door.passwords.check(password, door.accounts.password_of(&folded)).await {
        Ok(true) => {
            door.throttle.right(&folded, whence.address, device);
            Ok(())
        }
        Ok(false) => {
            note(door, whence, name, StatusCode::UNAUTHORIZED);
            Err(Box::new(wrong()))
        }
        Err(Busy) => Err(Box::new(too_busy())),
    }
}

/// The same whether the name or the password is wrong.
fn wrong() -> Response {
    problem(StatusCode::UNAUTHORIZED, "wrong_password", "there is no account of this name and password")
}

/// Names that nobody has are not written down: people type passwords there.
fn note(door: &DoorKeeper, whence: &Whence, name: &str, status: StatusCode) {
    let known = door.accounts.password_of(name).is_some();
    let about = if known { name.to_ascii_lowercase() } else { "an unknown account".to_owned() };
    let (from, is_in) = (whence.address.to_string(), status.is_success());
    let status = status.as_u16();
    let deed = Deed { who: "nobody", address: Some(&from), what: "sign_in", about: Some(&about), status };
    if is_in { door.note(&deed) } else { door.note_refused(&deed) }
}

/// Who asks, and what they may.
pub(super) async fn who(Extension(caller): Extension<Caller>) -> Response {
    let role = if let Caller::User { role, .. } = &caller { Some(role.name()) } else { None };
    Json(json!({
        "who": caller.words(),
        "account": caller.account(),
        "role": role,
        "scopes": caller.scopes().names(),
    }))
    .into_response()
}

/// Ends the session. Tokens stay.
pub(super) async fn sign_out(
    State(admin): State<Admin>,
    Extension(whence): Extension<Whence>,
    headers: HeaderMap,
) -> Response {
    if let Some(session) = cookie::read(&headers, cookie::SESSION, whence.reached)
        && let Err(why) = admin.door.accounts.sign_out(session)
    {
        return failed(&why);
    }
    let mut taken = HeaderMap::new();
    taken.extend(cookie::no_session(whence.reached).map(|set| (header::SET_COOKIE, set)));
    (StatusCode::NO_CONTENT, taken).into_response()
}

/// `{"current": ..., "new": ...}`: a new password for who is signed in. All sessions end but this one, which begins anew.
pub(super) async fn change_password(
    State(admin): State<Admin>,
    Extension(whence): Extension<Whence>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Caller::User { name, .. } = caller else {
        return problem(StatusCode::FORBIDDEN, "forbidden", "only who is signed in has a password");
    };
    let NewPassword { current, new } = match json_body(&headers, &body) {
        Ok(given) => given,
        Err(answer) => return *answer,
    };
    let door = &admin.door;
    if let Err(refused) = checked(door, &whence, &headers, &name, current).await {
        return *refused;
    }
    let hash = match hashed(door, &name, new).await {
        Ok(hash) => hash,
        Err(answer) => return *answer,
    };
    let changed = door.accounts.change_user(&name, None, Some(hash));
    match changed.and_then(|()| admitted(&door.accounts, &name, whence.reached)) {
        Ok(cookies) => (StatusCode::NO_CONTENT, cookies).into_response(),
        Err(why) => failed(&why),
    }
}
