//! The dashboard: files that `cargo xtask web` has built, sent as they are embedded. There is nothing about anybody in
//! them; what they show they ask for, as whoever is signed in.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::problem;

/// A file of the dashboard.
struct File {
    path: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// The paths of its pages, which are one file, and of its other files.
pub(super) const PATHS: [&str; 15] = [
    "/",
    "/online",
    "/visits",
    "/visits/{id}",
    "/sql",
    "/health",
    "/sites",
    "/people",
    "/tokens",
    "/settings",
    "/audit",
    "/account",
    "/assets/{file}",
    "/favicon.svg",
    "/plain.css",
];
/// Where the files are whose names say what is in them.
const NAMED_BY_CONTENT: &str = "/assets/";
const PAGE: &str = "/index.html";

/// Of pages: their own scripts, styles and pictures, questions to this address, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types svelte-trusted-html";

/// Answers with the file of a path, or with the one that all pages are.
pub(super) async fn file(request: Request) -> Response {
    let path = request.uri().path();
    if FILES.is_empty() {
        return missing();
    }
    let is_page = !path.contains('.') && !path.starts_with(NAMED_BY_CONTENT);
    let wanted = if is_page { PAGE } else { path };
    match FILES.iter().find(|file| file.path == wanted) {
        Some(file) => sent(file, request.headers()),
        None => problem(StatusCode::NOT_FOUND, "not_found", "there is no such file: perhaps it was another version's"),
    }
}

fn sent(file: &File, headers: &HeaderMap) -> Response {
    let (bytes, coding) = match accepted(headers) {
        Some("br") => (file.brotli, Some("br")),
        Some("gzip") => (file.gzip, Some("gzip")),
        _ => (file.plain, None),
    };
    let caching = match file.path {
        path if path.starts_with(NAMED_BY_CONTENT) => "public, max-age=31536000, immutable",
        PAGE => "no-cache",
        _ => "public, max-age=3600",
    };
    let mut answer = bytes.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(file.path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    if file.path == PAGE {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    answer
}

/// The better of the codings that a client takes.
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let is_wanted = |one: &str| {
        let weight = one.split_once(";").and_then(|(_, rest)| rest.trim().strip_prefix("q="));
        weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0))
    };
    let names: Vec<&str> = all
        .flat_map(|value| value.split(','))
        .filter(|one| is_wanted(one))
        .map(|one| one.split(';').next().unwrap_or_default().trim())
        .collect();
    ["br", "gzip"].into_iter().find(|coding| names.iter().any(|name| name.eq_ignore_ascii_case(coding)))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// What a build without the dashboard says.
fn missing() -> Response {
    const HTML: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Visitlog</title>\n<h1>Visitlog</h1>\n\
        <p>This build has no dashboard: its files were not there when the server was built.</p>\n\
        <p>With Node.js, in the folder of the sources: <code>cargo xtask web</code>, then <code>cargo build</code>.</p>\n\
        <p>Everything else works: <code>visitlog report</code>, <code>visitlog query</code>, and the API, which \
        <a href=\"/api/v1/openapi.json\">is described here</a> to whoever is signed in.</p>\n</html>\n";
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], HTML).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_the_client_takes_is_sent() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().expect("a value"));
            accepted(&headers)
        };
        assert_eq!((of("gzip, deflate, br, zstd"), of("GZIP")), (Some("br"), Some("gzip")));
        assert_eq!((of("br;q=0, gzip;q=0.5"), of("identity"), of("br;q=x")), (Some("gzip"), None, None));
        assert_eq!(accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_embedded_is_said_by_type_and_no_page_loads_what_is_elsewhere() {
        for file in FILES {
            assert_ne!(content_type(file.path), "application/octet-stream", "{}", file.path);
            assert!(
                file.brotli.len() <= file.plain.len() + 64 && file.gzip.len() <= file.plain.len() + 64,
                "{}",
                file.path
            );
            if file.path.ends_with(".html") || file.path.ends_with(".css") {
                let text = String::from_utf8_lossy(file.plain);
                assert!(
                    !text.contains("//fonts.") && !text.contains("src=\"http") && !text.contains("url(http"),
                    "{}",
                    file.path
                );
            }
        }
    }
}
