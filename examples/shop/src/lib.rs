//! Leaf & Clay: a small shop, written twice as an application's author would.
//!
//! [`plain`] knows nothing of Visitlog as a crate: it stands behind `visitlog serve` and names actions by response headers,
//! as an application in any language can. [`layered`] has Visitlog's tower layer around it and a `Visit` in its handlers.
//! The pages, files and live endpoints are shared.

mod catalogue;
mod common;
mod files;
pub mod layered;
mod live;
mod pages;
pub mod plain;
mod shopper;

/// The shop without Visitlog, for use behind the proxy; the same as [`plain::router`].
pub fn router() -> axum::Router {
    plain::router()
}

/// The README's program is compiled like any other example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
