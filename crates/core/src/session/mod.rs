//! The rules about one session, as pure functions: `(session, or none; input; now; rules) -> (session, records, changes,
//! reply)`.
//!
//! | function | input |
//! |---|---|
//! | [`arrive`] | a request arrived with the session's token, or with one that joins it |
//! | [`commit`] | a request in it, in a session that it joins, or in one that its fingerprint shares, is answered |
//! | [`start`] | a request that is answered starts it |
//! | [`release`] | a request in it will not be answered |
//! | [`tick`] | time has passed: is it due? |
//! | [`withdraw`] | some of what it recorded is another session's |
//! | [`end`] | somebody ends it |
//!
//! Each changes a [`Session`], a plain value, in place, and puts into a [`Decision`] what else has to happen: records
//! for its chain, [`Change`]s to the indexes beside it, and what becomes of it ([`Fate`]). Nothing calls back in the
//! middle, and nothing here knows a table, a wheel or another session. So the shard of one machine is a table and a
//! wheel around these functions, and a store across a network is a guarded record: load the session, decide, write what
//! was decided if the record is still the one that was loaded.
//!
//! What the functions can't know, the caller fills in: the site's name in an [`End`](crate::model::End), and who else
//! is in a session of the same user.

mod arrive;
mod commit;
mod decision;
mod ending;
mod start;
mod state;
mod values;
mod work;

pub use self::arrive::{Arrived, Presented, arrive, release};
pub use self::commit::{In, commit, gone, nothing};
pub use self::decision::{Change, Decision, Ended, Fate, Record};
pub use self::ending::{Due, end, tick};
pub use self::start::{NewSession, start};
pub use self::state::{Flags, Session};
pub use self::work::{Rules, withdraw};
