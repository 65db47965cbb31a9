//! What every [`SessionStore`](visitlog_core::ports::SessionStore) owes, as cases that any store can be put through: the
//! rules about sessions, and what the port asks beside them. A case opens a store of its own, on a clock that it moves.
//!
//! A store is put under test by implementing [`StoreUnderTest`]; [`conformance_suite!`](crate::conformance_suite) makes a
//! test of each case. Each runs as it is, and, with [`Restarts::AfterEachStep`], with a restart behind whatever was done:
//! then nothing counts but what the store has written down. Where a restart rightly changes what comes out, the case says
//! so and why ([`Tested::unless_restarted`]), and asserts that instead.

mod browser;
pub mod budget;
pub mod erasure;
pub mod holds;
pub mod identity;
pub mod lifecycle;
mod memory;
pub mod model;
pub mod once;
pub mod parallel;
pub mod port;
mod suite;
mod tested;
pub mod values;
pub mod visitors;

pub use self::browser::{Browser, Request, action, event, login, set, view, visitor_id};
pub use self::memory::MemoryUnderTest;
pub use self::tested::{Restarts, Setup, StoreUnderTest, Tested};
