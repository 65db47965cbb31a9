//! Answers that say what went wrong: RFC 9457, with a stable `code` beside the words.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Of RFC 9457.
const TYPE: &str = "application/problem+json";

/// What went wrong: a status, a code that stays the same, and words for who reads them.
pub(super) fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, TYPE)], body.to_string()).into_response()
}

/// What is wrong with what somebody sent.
pub(super) fn bad_request(detail: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "bad_request", detail)
}

/// Errors that the framework answers, in our form: their words say what was expected of a path, a query or a body.
pub(super) async fn in_our_form(answer: Response) -> Response {
    let status = answer.status();
    let is_ours = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == TYPE);
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let code = match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        status if status.is_client_error() => "bad_request",
        _ => "internal",
    };
    let (parts, body) = answer.into_parts();
    let words = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let mut ours = problem(status, code, if words.is_empty() { "nothing more is known" } else { &words });
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        ours.headers_mut().insert(header::ALLOW, allow.clone());
    }
    ours
}

/// A body of JSON. Only under its own media type: a page of another site can send any other without being asked.
pub(super) fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Box<Response>> {
    let kind = headers.get(header::CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(b"application/json") {
        let detail = "content type application/json expected";
        return Err(Box::new(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)));
    }
    serde_json::from_slice(body).map_err(|error| Box::new(bad_request(&format!("the body: {error}"))))
}
