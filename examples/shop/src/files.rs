//! Assets and the download, compiled into the binary.

use crate::shopper::Shop;
use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The profile picture of everybody who has one.
pub(crate) const PICTURE: &[u8] = include_bytes!("../assets/picture.png");

const ASSETS: [(&str, &str, &[u8]); 8] = [
    ("shop.css", "text/css; charset=utf-8", include_bytes!("../assets/shop.css")),
    ("shop.js", "text/javascript; charset=utf-8", include_bytes!("../assets/shop.js")),
    ("logo.png", "image/png", include_bytes!("../assets/logo.png")),
    ("cup.png", "image/png", include_bytes!("../assets/cup.png")),
    ("mug.png", "image/png", include_bytes!("../assets/mug.png")),
    ("pot.png", "image/png", include_bytes!("../assets/pot.png")),
    ("tin.png", "image/png", include_bytes!("../assets/tin.png")),
    ("picture.png", "image/png", PICTURE),
];

pub(crate) fn routes() -> Router<Shop> {
    Router::new()
        .route("/assets/{name}", get(asset))
        .route("/files/catalogue.pdf", get(catalogue))
        .route("/healthz", get(async || "ok\n"))
}

async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, bytes)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "public, max-age=3600")], *bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such asset\n").into_response(),
    }
}

async fn catalogue() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/pdf"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"catalogue.pdf\""),
    ];
    (headers, include_bytes!("../assets/catalogue.pdf"))
}
