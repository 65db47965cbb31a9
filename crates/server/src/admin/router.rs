//! The admin pages behind their gate.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};

use super::gate;
use super::routes;
use super::state::Admin;

/// The admin pages. `address` is where they are served: requests under another name are refused.
pub fn router(admin: Admin, address: SocketAddr) -> Router {
    let door = Arc::clone(&admin.door);
    let gate = from_fn(move |request: Request, next: Next| {
        let door = Arc::clone(&door);
        async move { gate::pass(door, address, request, next).await }
    });
    // The gate is inside of the routes, where it is known which one it is, and around what none matches.
    routes::pages().with_state(admin).layer(gate)
}
