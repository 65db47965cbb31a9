//! An importer asks the server to store what it has left in the data folder.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::problem::problem;
use super::state::Admin;
use crate::warehouse::import::StoreError;

/// `{"importer": HEX, "batch": N}`: answers once the tables have the batch. The same may be asked again.
pub(super) async fn import(State(admin): State<Admin>, body: Bytes) -> Response {
    let Some((importer, batch)) = asked(&body) else {
        let message = "an object with importer (32 hexadecimal digits) and batch (a number) expected";
        return problem(StatusCode::BAD_REQUEST, "bad_request", message);
    };
    let storing = move || admin.queries.warehouse().store_import(&admin.data, importer, batch);
    match tokio::task::spawn_blocking(storing).await {
        Ok(Ok(())) => Json(json!({ "batch": batch })).into_response(),
        Ok(Err(why)) => {
            tracing::error!(error = &why as &dyn std::error::Error, "a batch of an import was not stored");
            let (status, code) = match why {
                StoreError::Other { .. } => (StatusCode::CONFLICT, "other_batch"),
                StoreError::Folder(_) | StoreError::Tables(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            };
            problem(status, code, &why.to_string())
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it panicked"),
    }
}

fn asked(body: &[u8]) -> Option<(u128, u64)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let importer = u128::from_str_radix(value["importer"].as_str()?, 16).ok()?;
    Some((importer, value["batch"].as_u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_named_by_its_importer_and_its_number() {
        assert_eq!(asked(br#"{"importer":"00ff","batch":7}"#), Some((255, 7)));
        for wrong in [&b""[..], b"{}", br#"{"importer":"x","batch":7}"#, br#"{"importer":"ff","batch":-1}"#] {
            assert_eq!(asked(wrong), None);
        }
    }
}
