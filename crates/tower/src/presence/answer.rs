//! What is answered to a page's script.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::{NEXT, Why};

/// The script as it was written.
pub const SCRIPT: &str = include_str!("script.js");

/// The script as it is served, and its entity tag.
static SERVED: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let text = script_text();
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let tag = HeaderValue::try_from(format!("\"{}\"", &hash[..16])).unwrap_or(HeaderValue::from_static("\"1\""));
    (Bytes::from(text), tag)
});

/// The script as it is served: without comments, indentation and empty lines.
pub fn script_text() -> String {
    let lines = SCRIPT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The script.
pub(crate) fn script(asked: &HeaderMap, is_head: bool) -> Response<Bytes> {
    let (text, tag) = &*SERVED;
    let knows = |known: &HeaderValue| {
        let mut tags = known.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|known| known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes())
    };
    let is_known = asked.get_all(IF_NONE_MATCH).iter().any(knows);
    let mut answer = Response::new(if is_known || is_head { Bytes::new() } else { text.clone() });
    let headers = answer.headers_mut();
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    }
    answer
}

/// A beat was heard. The next one is waited for so long.
pub(crate) fn beaten(next: Duration) -> Response<Bytes> {
    let mut answer = of(StatusCode::NO_CONTENT, "");
    answer.headers_mut().insert(NEXT, HeaderValue::from(next.as_secs().max(1)));
    answer
}

/// Why it can't be taken.
pub(crate) fn refused(why: Why) -> Response<Bytes> {
    match why {
        Why::Method { allowed } => {
            let mut answer = of(StatusCode::METHOD_NOT_ALLOWED, "another method is expected here; Allow says which\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            answer
        }
        Why::OtherSite => of(StatusCode::FORBIDDEN, "a page of this site says that it is there, no other one\n"),
        Why::Unreadable => of(
            StatusCode::BAD_REQUEST,
            "no heartbeat: i (a number, the document), n (0 to 255, counts its beats) and s (v, h or l) expected\n",
        ),
    }
}

fn of(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(text.as_bytes()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_is_asked_for_once() {
        let text = script_text();
        assert!(text.len() < 2_048 && !text.contains("//"), "{}", text.len());
        let first = script(&HeaderMap::new(), false);
        assert_eq!(first.body().len(), text.len());
        let again: HeaderMap = [(IF_NONE_MATCH, first.headers()[ETAG].clone())].into_iter().collect();
        let again = script(&again, false);
        assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
        let head = script(&HeaderMap::new(), true);
        assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
    }
}
