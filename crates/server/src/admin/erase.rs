//! Erasure and export of a visitor's or a user's visits.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use visitlog_core::VisitorId;
use visitlog_core::erasure::Subject;
use visitlog_core::model::UserId;

use super::problem::problem;
use super::state::Admin;
use crate::warehouse::{ErasureError, Wanted};

/// How often it is looked whether something that is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `{"visitor": ID}` or `{"user": NAME, "logins_only": false}`: answers once nothing of them is left.
pub(super) async fn erase(State(admin): State<Admin>, body: Bytes) -> Response {
    let wanted = match from_json(&body) {
        Ok(wanted) => wanted,
        Err(message) => return problem(StatusCode::BAD_REQUEST, "bad_request", &message),
    };
    let live = std::sync::Arc::clone(&admin.live);
    let erasing = tokio::task::spawn_blocking(move || {
        let journal = admin.engine.journal();
        let mut turn = || {
            journal.sync_step()?;
            std::thread::sleep(LOOK_EVERY);
            Ok(())
        };
        admin.queries.warehouse().erase(&admin.data, &wanted, &mut turn)
    });
    let report = match answer(erasing.await) {
        Ok(report) => report,
        Err(response) => return *response,
    };
    live.forget();
    Json(json!({
        "with_login": report.with_login,
        "anonymous": report.anonymous,
        "sessions_ended": report.ended,
        "visit_rows": report.visit_rows,
        "event_rows": report.event_rows,
        "lines": report.lines,
        "requests": report.requests,
        "unreadable": report.unreadable,
        "messages": report.messages,
    }))
    .into_response()
}

/// `?visitor=ID` or `?user=NAME&logins_only=false`.
pub(super) async fn export(State(admin): State<Admin>, Query(settings): Query<Vec<(String, String)>>) -> Response {
    let settings = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let wanted = match wanted(settings) {
        Ok(wanted) => wanted,
        Err(message) => return problem(StatusCode::BAD_REQUEST, "bad_request", &message),
    };
    let exporting = tokio::task::spawn_blocking(move || admin.queries.warehouse().export(&admin.data, &wanted));
    match answer(exporting.await) {
        Ok(visits) => ([(header::CACHE_CONTROL, "no-store")], Json(visits)).into_response(),
        Err(response) => *response,
    }
}

fn answer<T>(done: Result<Result<T, ErasureError>, tokio::task::JoinError>) -> Result<T, Box<Response>> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(why)) => {
            tracing::error!(error = &why as &dyn std::error::Error, "an erasure or export failed");
            let (status, code) = match why {
                ErasureError::Late { .. } => (StatusCode::SERVICE_UNAVAILABLE, "late"),
                _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            };
            Err(Box::new(problem(status, code, &why.to_string())))
        }
        Err(_) => Err(Box::new(problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it panicked"))),
    }
}

fn from_json(body: &[u8]) -> Result<Wanted, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let Value::Object(fields) = value else { return Err("an object with visitor or user expected".to_owned()) };
    let fields = fields.iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key.as_str(), text.as_str())),
        Value::Bool(is) if key == "logins_only" => Ok((key.as_str(), if *is { "true" } else { "false" })),
        _ => Err(format!("{key}: a text expected")),
    });
    wanted(fields.collect::<Result<Vec<_>, _>>()?)
}

/// Whose visits settings name.
fn wanted<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Wanted, String> {
    let (mut subject, mut logins_only) = (None, None);
    for (key, value) in settings {
        let named = match key {
            "visitor" => Subject::Visitor(value.parse::<VisitorId>().map_err(|error| error.to_string())?),
            "user" if !value.is_empty() => Subject::User(UserId::new(value)),
            "logins_only" => {
                let is = value.parse().map_err(|_| format!("logins_only: true or false expected, {value:?} found"))?;
                logins_only = Some(is);
                continue;
            }
            other => return Err(format!("visitor=ID or user=NAME expected, {other} found")),
        };
        if subject.replace(named).is_some() {
            return Err("one visitor or one user expected, more found".to_owned());
        }
    }
    match subject {
        None => Err("visitor=ID or user=NAME expected, nothing found".to_owned()),
        Some(Subject::Visitor(_)) if logins_only.is_some() => Err("logins_only goes with user=NAME only".to_owned()),
        Some(subject) => Ok(Wanted { subject, logins_only: logins_only.unwrap_or_default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_visitor_or_one_user_is_named() {
        let id = VisitorId::from_u128(7);
        let text = id.to_string();
        assert_eq!(wanted([("visitor", &*text)]), Ok(Wanted { subject: Subject::Visitor(id), logins_only: false }));
        let alice = |logins_only| Ok(Wanted { subject: Subject::User(UserId::new("alice")), logins_only });
        assert_eq!(wanted([("user", "alice")]), alice(false));
        assert_eq!(wanted([("user", "alice"), ("logins_only", "true")]), alice(true));
        assert_eq!(from_json(br#"{"user":"alice","logins_only":true}"#), alice(true));
        assert_eq!(from_json(br#"{"user":"alice"}"#), alice(false));
        assert!(wanted([("visitor", &*text), ("logins_only", "true")]).is_err());
        assert!(wanted([("user", "a"), ("logins_only", "perhaps")]).is_err());
        for wrong in [&b"{}"[..], b"[]", br#"{"user":""}"#, br#"{"user":1}"#, br#"{"visitor":"x"}"#, br#"{"usr":"a"}"#]
        {
            assert!(from_json(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(wanted([("user", "a"), ("user", "b")]).is_err());
    }
}
