//! The admin address: health, metrics, and the visits as JSON. On loopback only, for it asks nobody who he is.

#[cfg(feature = "warehouse")]
mod erase;
mod guard;
#[cfg(feature = "warehouse")]
mod import;
pub mod metrics;
#[cfg(feature = "warehouse")]
mod query;
pub mod sinks;
mod visits;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use visitlog_engine::Engine;
use visitlog_sinks::Lanes;
use visitlog_tower::Counts;

use crate::tally::Tallies;

#[cfg(feature = "warehouse")]
pub use query::{QUERY_HEADER, Queries};

/// What the admin pages show.
#[derive(Clone)]
pub struct Admin {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Where ended visits go.
    pub lanes: Arc<Lanes>,
    /// The data folder.
    pub data: PathBuf,
    /// What the layer counted.
    pub layer_counts: Arc<dyn Fn() -> Counts + Send + Sync>,
    /// What was refused, cut or not believed before it came to the layer.
    pub tallies: Arc<Tallies>,
    /// SQL and reports.
    #[cfg(feature = "warehouse")]
    pub queries: Arc<Queries>,
}

/// The admin pages. `address` is where they are served: requests under another name are refused.
pub fn router(admin: Admin, address: SocketAddr) -> Router {
    let pages = Router::new()
        .route("/healthz", get(visits::health))
        .route("/metrics", get(metrics::page))
        .route("/api/v1/sinks", get(sinks::list))
        .route("/api/v1/sinks/{name}/quarantine", get(sinks::quarantine))
        .route("/api/v1/sinks/{name}/{order}", post(sinks::order))
        .route("/api/v1/visits/{id}/terminate", post(visits::terminate));
    #[cfg(feature = "warehouse")]
    let pages = pages
        .route("/api/v1/visits", get(visits::list))
        .route("/api/v1/visits/{id}", get(visits::one))
        .route("/api/v1/query", post(query::query))
        .route("/api/v1/query/{id}", get(query::failure))
        .route("/api/v1/reports/{name}", get(query::report))
        .route("/api/v1/erase", post(erase::erase))
        .route("/api/v1/export", get(erase::export))
        .route("/api/v1/import", post(import::import));
    #[cfg(not(feature = "warehouse"))]
    let pages = pages
        .route("/api/v1/visits", get(visits::no_warehouse))
        .route("/api/v1/visits/{id}", get(visits::no_warehouse))
        .route("/api/v1/query", post(visits::no_warehouse));
    pages
        .with_state(admin)
        .layer(axum::middleware::from_fn(move |request, next| guard::only_local(address, request, next)))
}

/// An answer that says what went wrong: a stable code, and words for who reads it.
fn error(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}
