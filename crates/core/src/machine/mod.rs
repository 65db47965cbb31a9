//! The open sessions of one process, by the rules of [`crate::session`].
//!
//! [`Sessions`] is what a store that keeps its sessions in this process is made of: shards of open sessions, each a table
//! and a wheel around the rules, and indexes across them (by fingerprint, by user, sites). It needs two things of the
//! store: a [`Log`] to append records to, and [`Entropy`](crate::ports::Entropy). It has no clock and no thread, so live
//! traffic and the simulation run the same code.
//!
//! What a request costs here: one turn of its session's shard when it begins, one when it is answered. First contact is
//! one shard, too: the visitor is drawn into the partition of its fingerprint.

mod config;
mod cookieless;
mod counts;
mod effects;
mod holds;
mod indexes;
mod landings;
mod list;
mod provisional;
mod rejoin;
mod requests;
mod restore;
mod sessions;
mod shard;
mod sites;
mod slots;
mod time;
mod tombstones;
mod unsettled;
mod users;
mod view;
mod wheel;

pub use self::config::{Budget, Mutations, ShardConfig, TickBudget};
pub use self::cookieless::{Admission, Applicant, Cookieless};
pub use self::counts::{BudgetCounts, BudgetUse};
pub use self::effects::Log;
pub use self::sessions::{Call, Done, Sessions, UNBOUNDED};
pub use self::shard::Shard;
pub use self::sites::{HostIndex, Sites};
pub use self::slots::Chain;
pub use self::time::Ticked;
pub use self::tombstones::Tombstone;
pub use self::users::Users;
pub use self::view::Open;
