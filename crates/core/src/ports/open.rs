//! A store's open sessions, for whoever looks after them: lists, single ones, and what ends them from outside.

use std::future::Future;
use std::pin::Pin;

use super::ended::StreamId;
use super::error::StoreError;
use crate::erasure::FoundVisits;
use crate::ids::{Lsn, VisitId};
use crate::limits;
use crate::model::{Identity, UserId};
use crate::time::Timestamp;

/// A store's answer to a question that no request waits for.
pub type Inquiry<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// An open session, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Names it, and the visit that it will leave.
    pub visit: VisitId,
    /// The site that it counts to so far.
    pub site: Box<str>,
    /// By what its visitor is known.
    pub identity: Identity,
    /// Whether the client has returned our cookie.
    pub confirmed: bool,
    /// The user who is logged in.
    pub user: Option<UserId>,
    /// Its last activity.
    pub last_seen: Timestamp,
    /// When it ends, if nothing more happens.
    pub ends_at: Timestamp,
    /// Events so far.
    pub events: u16,
    /// Requests under way in it.
    pub in_flight: u16,
}

/// A part of the list of open sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenPage {
    /// Some of them, in no order that means anything.
    pub sessions: Vec<OpenSession>,
    /// Where the next part begins; none behind the last.
    pub next: Option<Cursor>,
}

/// What came of ending a session from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminated {
    /// No such session is open.
    NotOpen,
    /// It has ended.
    Ended {
        /// Whether its `End` is as durable as the mode promises, as with [`super::Committed::durable`].
        durable: bool,
    },
}

/// What an erasure found in a store, and did there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Sessions that were open, and were ended for it.
    pub ended: u64,
    /// Visits of theirs that the store still has anything of, those sessions included.
    pub visits: FoundVisits,
    /// Of each stream of ended visits: no sink is given one of theirs any more that ended below. Once a sink has got past
    /// it, what it has stored can be erased there, and no copy can follow.
    pub below: Vec<(StreamId, Lsn)>,
}

/// A place in the list of open sessions. What it means is its store's affair, and it lasts as long as the store runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(u128);

impl Cursor {
    /// From the bits that a store made it of.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// How many sessions a store gives at once, of those that were asked for: at least one, at most
/// [`limits::OPEN_PAGE_MAX`].
pub const fn page_size(at_most: usize) -> usize {
    match at_most {
        0 => 1,
        1..=limits::OPEN_PAGE_MAX => at_most,
        _ => limits::OPEN_PAGE_MAX,
    }
}
