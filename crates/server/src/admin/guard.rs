//! Who may ask: programs on this machine. Not a page in somebody's browser that found out the port.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses requests that name another host (DNS rebinding), and cross-site ones.
pub(super) async fn only_local(address: SocketAddr, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !names(host, address.ip()) {
        return refuse("this address answers to its own name only");
    }
    if headers.contains_key(header::ORIGIN) {
        return refuse("pages of other sites may not ask here");
    }
    // A browser says where a request comes from even when it hides the origin, as for a picture.
    let from = headers.get("sec-fetch-site");
    if from.is_some_and(|from| from != "same-origin" && from != "none") {
        return refuse("pages of other sites may not ask here");
    }
    next.run(request).await
}

fn names(host: &str, ip: IpAddr) -> bool {
    let host = visitlog_core::Host::new(host);
    host.as_str() == "localhost"
        || host.as_str().parse::<IpAddr>().is_ok_and(|named| named == ip || named.is_loopback())
}

fn refuse(why: &'static str) -> Response {
    (StatusCode::FORBIDDEN, axum::Json(serde_json::json!({ "code": "forbidden", "message": why }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use tower_service::Service;

    use super::*;

    #[tokio::test]
    async fn a_page_of_another_site_learns_nothing() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8090));
        let guard = axum::middleware::from_fn(move |request, next| only_local(address, request, next));
        let mut site = Router::new().route("/", axum::routing::get(|| async { "open" })).layer(guard);
        for (from, status) in [
            (None, StatusCode::OK),
            (Some("same-origin"), StatusCode::OK),
            (Some("none"), StatusCode::OK),
            (Some("cross-site"), StatusCode::FORBIDDEN),
            (Some("same-site"), StatusCode::FORBIDDEN),
        ] {
            let mut request = Request::builder().uri("/").header("host", "127.0.0.1:8090");
            if let Some(from) = from {
                request = request.header("sec-fetch-site", from);
            }
            let request = request.body(Body::empty()).expect("a request");
            assert_eq!(site.call(request).await.expect("an answer").status(), status, "{from:?}");
        }
    }

    #[test]
    fn only_loopback_names_are_ours() {
        let ip: IpAddr = "127.0.0.1".parse().expect("an address");
        for host in ["127.0.0.1:8090", "localhost:8090", "LOCALHOST", "[::1]:8090"] {
            assert!(names(host, ip), "{host}");
        }
        for host in ["", "evil.example:8090", "127.0.0.1.evil.example", "10.0.0.1"] {
            assert!(!names(host, ip), "{host}");
        }
    }
}
