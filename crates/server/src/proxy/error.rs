//! What goes wrong, and what the client is told about it: a status and a plain page, never an address or a cause.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The upstream's URL.
    #[error("upstream {upstream:?}: {reason}")]
    Upstream {
        /// As it was given.
        upstream: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name for `Via`.
    #[error("via name {name:?}: expected letters, digits and any of `-._:[]`")]
    Via {
        /// As it was given.
        name: String,
    },
}

/// Why the proxy answered a request itself. It is an extension of such a response, so a layer above can tell the
/// proxy's 502 from the upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// 400: the request's framing, `Host` or target is not to be trusted. The text says what.
    BadRequest(&'static str),
    /// 501: a `CONNECT`, or a transfer coding other than `chunked`.
    NotImplemented,
    /// 405: a `TRACE`, which would show a request's headers to whoever asks.
    NotAllowed,
    /// 508: the upstream is this proxy itself, directly or through others.
    Loop,
    /// 408: the client's upload stood still.
    ClientStalled,
    /// 502: the upstream could not be reached.
    Unreachable,
    /// 502: the upstream's answer was broken off or was no HTTP.
    BadAnswer,
    /// 504: the upstream did not answer in time.
    Timeout,
}

impl Failure {
    /// The status that the client gets.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::ClientStalled => StatusCode::REQUEST_TIMEOUT,
            Self::Unreachable | Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Why a request was refused, for the log and the metrics; `None` where it was the upstream that failed.
    pub(crate) const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::BadRequest(reason) => Some(reason),
            Self::NotImplemented => Some("CONNECT, or a transfer coding other than chunked"),
            Self::NotAllowed => Some("TRACE"),
            Self::Loop => Some("a loop: the upstream is this server"),
            Self::ClientStalled | Self::Unreachable | Self::BadAnswer | Self::Timeout => None,
        }
    }

    /// At what the upstream failed, for the metrics; `None` where it did not.
    pub(crate) const fn of_upstream(self) -> Option<&'static str> {
        match self {
            Self::Unreachable => Some("unreachable"),
            Self::BadAnswer => Some("bad_answer"),
            Self::Timeout => Some("timeout"),
            _ => None,
        }
    }

    fn page(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "400 Bad Request\n",
            Self::NotImplemented => "501 Not Implemented\n",
            Self::NotAllowed => "405 Method Not Allowed\n",
            Self::Loop => "508 Loop Detected\nThe site's proxy asks itself.\n",
            Self::ClientStalled => "408 Request Timeout\n",
            Self::Unreachable | Self::BadAnswer => "502 Bad Gateway\nThe site does not answer at the moment.\n",
            Self::Timeout => "504 Gateway Timeout\nThe site took too long to answer.\n",
        }
    }

    /// The whole response. After a client's fault the connection is closed: what follows on it can't be trusted.
    pub(crate) fn response<B: From<&'static str>>(self) -> Response<B> {
        let page = self.page();
        let mut response = Response::new(B::from(page));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(page.len()));
        if self == Self::NotAllowed {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        if matches!(self, Self::BadRequest(_) | Self::NotImplemented | Self::NotAllowed | Self::ClientStalled) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
