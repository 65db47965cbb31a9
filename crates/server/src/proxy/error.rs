//! What goes wrong, and what the client is told about it: a status and a plain page, never an address or a cause.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
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
            Self::ClientStalled => StatusCode::REQUEST_TIMEOUT,
            Self::Unreachable | Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn page(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "400 Bad Request\n",
            Self::NotImplemented => "501 Not Implemented\n",
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
        if matches!(self, Self::BadRequest(_) | Self::NotImplemented | Self::ClientStalled) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
