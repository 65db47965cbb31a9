//! What is answered where accounts can't be changed.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::accounts::{AccountsError, Refused};
use super::problem::problem;

/// Why a change was not made.
pub(super) fn failed(why: &AccountsError) -> Response {
    match why {
        AccountsError::Refused(refused) => {
            let (status, code) = match refused {
                Refused::NoUser { .. } | Refused::NoToken { .. } => (StatusCode::NOT_FOUND, "not_found"),
                Refused::Taken { .. } => (StatusCode::CONFLICT, "taken"),
                Refused::LastAdmin { .. } => (StatusCode::CONFLICT, "last_admin"),
                Refused::Full => (StatusCode::CONFLICT, "full"),
                Refused::Name { .. } | Refused::TokenName | Refused::NoScope { .. } | Refused::Password(_) => {
                    (StatusCode::UNPROCESSABLE_ENTITY, "refused")
                }
            };
            problem(status, code, &refused.to_string())
        }
        why => {
            tracing::error!(error = why as &dyn std::error::Error, "accounts can't be changed");
            let detail = "accounts can't be read or written; the log says why";
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }
}

/// Passwords are checked one at a time.
pub(super) fn too_busy() -> Response {
    let answer = problem(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many sign in at once; try again");
    ([(header::RETRY_AFTER, "5")], answer).into_response()
}
