//! The session machine: `(state, input, now) -> effects`, and nothing else.
//!
//! A [`Shard`] holds the open sessions of some partitions of visitors. It is fed what requests do and how time passes,
//! and hands out what it decides through [`Effects`]: records to append to a session's chain, and changes that the
//! indexes beside the shards ([`Cookieless`], [`Users`], [`Sites`]) need to know. It has no clock and draws no
//! random numbers, so live traffic, log import and the simulation run the same code.

mod commit;
mod cookieless;
mod head;
mod rejoin;
pub mod requests;
mod restore;
mod shard;
mod sites;
mod users;
mod wheel;

pub use commit::Start as StartPlan;
pub use cookieless::{Admission, Applicant, Cookieless};
pub use rejoin::Tombstone;
pub use restore::Place;
pub use shard::{Arrived, Chain, Open, Shard, ShardConfig, TickBudget, Ticked};
pub use sites::{HostIndex, Sites};
pub use users::Users;

use crate::ids::{Fingerprint, Host, Lsn, VisitId};
use crate::model::{EndReason, Entry, Identity, UserId};

/// Where a shard's decisions go.
pub trait Effects {
    /// Appends a record to a session's chain, as it stands so far, and returns its position. `confirms`: the record
    /// also says that the client returned the session's cookie.
    fn append(&mut self, chain: Chain, confirms: bool, entry: &Entry) -> Lsn;

    /// A request is answered: what it has seen and done of its session ends with this record, for which the answer
    /// has to wait.
    fn reached(&mut self, newest: Lsn);

    /// 128 fresh random bits.
    fn random(&mut self) -> u128;

    /// The name of the site that a host counts to, as known now.
    fn site(&self, host: HostIndex) -> Box<str>;

    /// A client returned the cookie of one of its sessions. The session's host is a site from now on; where it is not
    /// remembered (`at` is `OTHER`), the one that was asked for. Returns its place.
    fn confirmed(&mut self, visit: VisitId, fingerprint: Fingerprint, at: HostIndex, asked: &Host) -> HostIndex;

    /// Whether the index by fingerprint still names this session as the one that its clients share.
    fn shares(&self, fingerprint: Fingerprint, visit: VisitId) -> bool;

    /// A user is in a session from now on. `single`: any other session of the user must end.
    fn logged_in(&mut self, visit: VisitId, user: &UserId, single: bool);

    /// A user has left a session, or the session has ended.
    fn logged_out(&mut self, visit: VisitId, user: &UserId);

    /// A session ended.
    fn ended(&mut self, closed: Closed);
}

/// A session that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Its visit.
    pub visit: VisitId,
    /// Why.
    pub reason: EndReason,
    /// How long its end was overdue, in microseconds; 0 where nothing was due.
    pub late_us: u64,
    /// The first record of its chain.
    pub first: Lsn,
    /// Its `End`.
    pub end: Lsn,
    /// Whether it was the cookie that made it known.
    pub identity: Identity,
    /// Whether the cookie ever came back.
    pub confirmed: bool,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// Rules that a test switches off to see that something notices. All on, at no cost, without the feature.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutations {
    /// A write to an ended session revives it instead of being refused.
    #[cfg(feature = "mutations")]
    pub no_gone_rule: bool,
    /// A session can end twice.
    #[cfg(feature = "mutations")]
    pub no_end_once: bool,
    /// Recovery doesn't pad the last activity by what touches may have lost.
    #[cfg(feature = "mutations")]
    pub no_touch_padding: bool,
}
