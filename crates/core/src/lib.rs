//! The heart of Visitlog: what a session is, what happens to it, and what is written down about it.
//!
//! Nothing in this crate reads a clock, draws a random number, opens a file or knows a runtime. It takes decisions:
//! [`session`] is the rules about one session, pure functions of its state, an input and a `now`; [`machine`] holds the
//! open sessions of one process by them. What both need of the world are the [`ports`], which other crates implement.
//!
//! The words (visit, session, event, visitor, user) are those of the project's glossary: a *session* is the live state
//! of one visitor's stay, a *visit* is the record that it leaves.

pub mod codec;
pub mod erasure;
pub mod ids;
pub mod invariants;
pub mod limits;
pub mod machine;
pub mod mask;
pub mod model;
pub mod page;
pub mod ports;
pub mod privacy;
pub mod probes;
pub mod redacted;
pub mod requests;
pub mod rules;
pub mod session;
pub mod sync;
pub mod time;
pub mod trace;
pub mod uri;

pub use ids::{Fingerprint, Fingerprints, Host, Lsn, TokenMark, VisitId, Visitor, VisitorId};
pub use redacted::Redacted;
pub use time::{Day, Timestamp};
pub use trace::Trace;
