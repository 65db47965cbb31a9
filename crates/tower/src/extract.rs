//! The handle as an argument of axum's handlers.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::StatusCode;
use http::request::Parts;

use crate::visit::Visit;

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or((StatusCode::INTERNAL_SERVER_ERROR, "no VisitLayer around this handler"))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
