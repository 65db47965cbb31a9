//! SQL and reports.
//!
//! What goes wrong before the first bytes have left is a status and a problem with a `code`. Later the
//! answer breaks off; `GET /api/v1/query/{id}` then says why, with the id of the answer's `Visitlog-Query`.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::problem::{bad_request, problem};
use super::queries::{QUERY_HEADER, Queries};
use super::state::Admin;
use crate::warehouse::Parts;
use crate::warehouse::report::{Kind, Report, ReportError};
use crate::warehouse::sql::outputs::{CHART_WIDTH, Format};
use crate::warehouse::sql::{Dialect, Prepared, SqlError, params};
use visitlog_core::page::PageParams;

/// What a query's JSON may hold.
struct Asked {
    prepared: Prepared,
    format: Format,
    /// Of a chart.
    width: usize,
}

pub(super) async fn query(
    State(admin): State<Admin>,
    Query(settings): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match asked(&settings, &headers, &body) {
        Ok(asked) => run(admin.queries, asked).await,
        Err(message) => bad_request(&message),
    }
}

pub(super) async fn report(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Query(settings): Query<Vec<(String, String)>>,
) -> Response {
    let now = jiff::Timestamp::from_microsecond(admin.engine.now().micros()).unwrap_or(jiff::Timestamp::MAX);
    match asked_report(&name, &settings, now, admin.queries.warehouse().pages()) {
        Ok(asked) => run(admin.queries, asked).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, "bad_report", &why.to_string()),
    }
}

/// The sites that there are, as the table `sites` has them.
pub(super) async fn sites(State(admin): State<Admin>) -> Response {
    let prepared = Prepared::of("SELECT * FROM sites ORDER BY site");
    run(admin.queries, Asked { prepared, format: Format::Json, width: CHART_WIDTH }).await
}

/// Why an answer broke off.
pub(super) async fn failure(State(admin): State<Admin>, Path(id): Path<u64>) -> Response {
    match admin.queries.failure(id) {
        Some((code, detail)) => Json(json!({ "code": code, "detail": detail })).into_response(),
        None => problem(StatusCode::NOT_FOUND, "no_such_failure", "no query of this id has failed lately"),
    }
}

fn asked(settings: &[(String, String)], headers: &HeaderMap, body: &[u8]) -> Result<Asked, String> {
    let mut format = Format::Json;
    for (key, value) in settings {
        match key.as_str() {
            "format" => format = value.parse().map_err(|error| format!("{error}"))?,
            other => return Err(format!("format=NAME expected, {other} found")),
        }
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    let text = std::str::from_utf8(body).map_err(|_| "the body is no UTF-8".to_owned())?;
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => from_json(text, format),
        "text/plain" | "application/sql" => Ok(Asked { prepared: Prepared::of(text), format, width: CHART_WIDTH }),
        other => Err(format!("application/json, application/sql or text/plain expected, {other} found")),
    }
}

fn from_json(text: &str, mut format: Format) -> Result<Asked, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("the body is no JSON: {error}"))?;
    let Value::Object(fields) = value else { return Err("an object with sql, params, format expected".to_owned()) };
    let mut prepared = None;
    let mut values = Vec::new();
    let (mut dialect, mut width) = (Dialect::default(), CHART_WIDTH);
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("sql", Value::String(sql)) => prepared = Some(Prepared::of(sql)),
            ("format", Value::String(name)) => format = name.parse().map_err(|error| format!("{error}"))?,
            ("dialect", Value::String(name)) => dialect = name.parse().map_err(|error| format!("{error}"))?,
            ("width", Value::Number(columns)) => {
                let columns = columns.as_u64().and_then(|columns| usize::try_from(columns).ok());
                width = columns.ok_or("width: a whole number expected")?;
            }
            ("params", Value::Array(list)) => values = params(&list).map_err(|error| error.to_string())?,
            (key @ ("sql" | "format" | "dialect"), _) => return Err(format!("{key}: a text expected")),
            ("params", _) => return Err("params: a list expected".to_owned()),
            (other, _) => {
                return Err(format!("sql, params, format, dialect, width expected, {other} found"));
            }
        }
    }
    let prepared = prepared.ok_or("sql: a text expected, nothing found")?;
    Ok(Asked { prepared: Prepared { params: values, dialect, ..prepared }, format, width })
}

fn asked_report(
    name: &str,
    settings: &[(String, String)],
    now: jiff::Timestamp,
    pages: &PageParams,
) -> Result<Asked, ReportError> {
    let mut format = Format::Json;
    let mut others = Vec::new();
    for (key, value) in settings {
        match key.as_str() {
            "format" => format = value.parse()?,
            key => others.push((key, value.as_str())),
        }
    }
    let report = Report::parse(Kind::parse(name)?, others, now)?.with_pages(pages);
    Ok(Asked { prepared: report.prepare()?, format, width: CHART_WIDTH })
}

async fn run(queries: Arc<Queries>, Asked { prepared, format, width }: Asked) -> Response {
    let id = queries.number();
    let mut parts = queries.warehouse().run_with(None, prepared, format, width);
    let first = match parts.next().await {
        None => Vec::new(),
        Some(Ok(first)) => first,
        Some(Err(why)) => return failed(&why),
    };
    let body = Body::from_stream(rest(queries, id, first, parts));
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::HeaderName::from_static(QUERY_HEADER), id.to_string()),
    ];
    (headers, body).into_response()
}

/// The body. An error in it breaks the connection off, so that nobody takes a part for the whole.
fn rest(
    queries: Arc<Queries>,
    id: u64,
    first: Vec<u8>,
    parts: Parts,
) -> impl futures_util::Stream<Item = io::Result<Vec<u8>>> + Send {
    let begin = (Some(first), parts, queries);
    futures_util::stream::unfold(begin, move |(first, mut parts, queries)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, parts, queries)));
        }
        let part = match parts.next().await? {
            Ok(bytes) => Ok(bytes),
            Err(why) => {
                log(&why);
                queries.remember(id, &why);
                Err(io::Error::other(why))
            }
        };
        Some((part, (None, parts, queries)))
    })
}

fn failed(why: &SqlError) -> Response {
    log(why);
    let status = match why.code() {
        "memory_limit" | "row_limit" | "time_limit" => StatusCode::UNPROCESSABLE_ENTITY,
        "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "internal" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    problem(status, why.code(), &why.to_string())
}

/// Faults of ours; what is wrong with a statement is its writer's to know.
fn log(why: &SqlError) {
    if matches!(why.code(), "internal" | "unavailable") {
        tracing::error!(error = why as &dyn std::error::Error, "a query failed");
    }
}
