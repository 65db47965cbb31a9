//! The locks, from one place: a test that explores the orders of threads puts others there (feature `shuttle`).

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex};
#[cfg(feature = "shuttle")]
pub(crate) use visitlog_core::sync::explored::{Condvar, Mutex};
