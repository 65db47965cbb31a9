//! The locks of this workspace's stores, by the names that they use; and those that take their place where a test explores
//! in which order threads can do what they do.
//!
//! With the feature `shuttle`, threads are shuttle's, which tries one order after another, and so must be every lock and
//! every atomic that decides anything. Without it nothing here is more than a name.

#[cfg(feature = "shuttle")]
pub mod explored;

#[cfg(feature = "shuttle")]
pub use shuttle::sync::{Mutex, MutexGuard, RwLock};
#[cfg(not(feature = "shuttle"))]
pub use std::sync::{Mutex, MutexGuard, RwLock};
