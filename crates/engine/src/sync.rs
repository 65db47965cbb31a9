//! The locks, and the atomics that decide something between threads, from one place: a test that explores the orders of
//! threads puts others there (feature `shuttle`).

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::atomic;
#[cfg(feature = "shuttle")]
pub(crate) use visitlog_core::sync::explored::{Condvar, Mutex, MutexGuard, RwLock, atomic};
