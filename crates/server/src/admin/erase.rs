//! Erasure and export of one visitor or user.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use visitlog_core::VisitorId;
use visitlog_core::model::UserId;

use super::{Admin, error};
use crate::warehouse::{ErasureError, Subject};

/// How often it is looked whether something that is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `{"visitor": ID}` or `{"user": NAME}`: answers once nothing of them is left.
pub(super) async fn erase(State(admin): State<Admin>, body: Bytes) -> Response {
    let who = match from_json(&body) {
        Ok(who) => who,
        Err(message) => return error(StatusCode::BAD_REQUEST, "bad_request", &message),
    };
    let erasing = tokio::task::spawn_blocking(move || {
        let journal = admin.engine.journal();
        let mut turn = || {
            journal.sync_step()?;
            std::thread::sleep(LOOK_EVERY);
            Ok(())
        };
        admin.queries.warehouse().erase(&admin.data, &who, &mut turn)
    });
    let report = match answer(erasing.await) {
        Ok(report) => report,
        Err(response) => return *response,
    };
    Json(json!({
        "sessions_ended": report.ended,
        "visits": report.visits,
        "events": report.events,
        "lines": report.lines,
        "requests": report.requests,
    }))
    .into_response()
}

/// `?visitor=ID` or `?user=NAME`.
pub(super) async fn export(State(admin): State<Admin>, Query(settings): Query<Vec<(String, String)>>) -> Response {
    let settings = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let who = match subject(settings) {
        Ok(who) => who,
        Err(message) => return error(StatusCode::BAD_REQUEST, "bad_request", &message),
    };
    let exporting = tokio::task::spawn_blocking(move || admin.queries.warehouse().export(&who));
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
            Err(Box::new(error(status, code, &why.to_string())))
        }
        Err(_) => Err(Box::new(error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it panicked"))),
    }
}

fn from_json(body: &[u8]) -> Result<Subject, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let Value::Object(fields) = value else { return Err("an object with visitor or user expected".to_owned()) };
    let fields = fields.iter().map(|(key, value)| match value.as_str() {
        Some(text) => Ok((key.as_str(), text)),
        None => Err(format!("{key}: a text expected")),
    });
    subject(fields.collect::<Result<Vec<_>, _>>()?)
}

/// Whom settings name.
fn subject<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Subject, String> {
    let mut who = None;
    for (key, value) in settings {
        let named = match key {
            "visitor" => Subject::Visitor(value.parse::<VisitorId>().map_err(|error| error.to_string())?),
            "user" if !value.is_empty() => Subject::User(UserId::new(value)),
            other => return Err(format!("visitor=ID or user=NAME expected, {other} found")),
        };
        if who.replace(named).is_some() {
            return Err("one visitor or one user expected, more found".to_owned());
        }
    }
    who.ok_or_else(|| "visitor=ID or user=NAME expected, nothing found".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_visitor_or_one_user_is_named() {
        let id = VisitorId::from_u128(7);
        assert_eq!(subject([("visitor", &*id.to_string())]), Ok(Subject::Visitor(id)));
        assert_eq!(subject([("user", "alice")]), Ok(Subject::User(UserId::new("alice"))));
        assert!(from_json(br#"{"user":"alice"}"#).is_ok());
        for wrong in [&b"{}"[..], b"[]", br#"{"user":""}"#, br#"{"user":1}"#, br#"{"visitor":"x"}"#, br#"{"usr":"a"}"#]
        {
            assert!(from_json(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(subject([("user", "a"), ("user", "b")]).is_err());
    }
}
