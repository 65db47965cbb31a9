//! What ends an exchange with the upstream before its time.

use std::io;

use super::BoxError;
use super::decode::DecodeError;
use super::error::Failure;

/// Most interim answers (1xx) before the answer itself.
pub(crate) const INTERIM_MAX: usize = 64;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the upload broke off")]
    Upload(#[source] BoxError),
    #[error("the upload is not as long as was said")]
    UploadLength,
    #[error("nothing moved for too long")]
    Timeout,
    #[error("the client sent nothing for too long")]
    ClientTimeout,
    #[error("the connection was closed before the response")]
    Closed(#[source] Option<io::Error>),
    #[error("the connection was closed within the response")]
    Incomplete(#[source] Option<io::Error>),
    #[error("more than {INTERIM_MAX} interim answers and no answer")]
    Interim,
    #[error("the response cannot be understood")]
    Decode(#[from] DecodeError),
}

impl ExchangeError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Upload(_) => Failure::BadRequest("the upload broke off"),
            Self::UploadLength => Failure::BadRequest("the upload is not as long as was said"),
            Self::Timeout => Failure::Timeout,
            Self::ClientTimeout => Failure::ClientStalled,
            Self::Closed(_) | Self::Incomplete(_) | Self::Interim | Self::Decode(_) => Failure::BadAnswer,
        }
    }
}
