//! What was decided about a session, beside its new state.

use super::state::Session;
use crate::ids::{Fingerprint, VisitId, Visitor};
use crate::model::{EndReason, Entry, Identity, UserId};
use crate::ports::Token;
use crate::time::Timestamp;

/// What has to happen, in order; a buffer to be used again. All records of a session are appended to its chain; a
/// [`Entry::Start`] begins one.
#[derive(Debug, Default)]
pub struct Decision {
    /// To be appended.
    pub records: Vec<Record>,
    /// What the indexes have to know.
    pub changes: Vec<Change>,
    /// What becomes of the session.
    pub fate: Fate,
}

/// An entry for a session's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Whose chain.
    pub visit: VisitId,
    /// Whether it also says that the client returned the session's cookie.
    pub confirms: bool,
    /// What it says. The site in an [`Entry::End`] is empty: who appends it knows its name.
    pub entry: Entry,
}

/// What becomes of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Fate {
    /// It goes on.
    #[default]
    Lives,
    /// It has ended.
    Ended,
    /// It has ended, and this one, another user's, follows it. `ended`: that one has ended, too.
    Followed {
        /// The one that follows.
        by: Box<Session>,
        /// Whether it has ended already.
        ended: bool,
    },
}

/// What an index beside the sessions has to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The client returned the session's cookie: its fingerprint keeps cookies, its host is a site.
    Confirmed {
        /// The session.
        visit: VisitId,
        /// The fingerprint that it counted under.
        fingerprint: Fingerprint,
    },
    /// A user is in a session from now on.
    LoggedIn {
        /// The session.
        visit: VisitId,
        /// The user.
        user: UserId,
        /// Whether the user's other sessions have to end.
        single: bool,
    },
    /// A user has left a session, or it has ended.
    LoggedOut {
        /// The session.
        visit: VisitId,
        /// The user.
        user: UserId,
    },
    /// A token that opens nothing any more started a session: for a while the same token joins it.
    Renewed {
        /// The token.
        token: Token,
        /// The session.
        visit: VisitId,
        /// Its visitor: the token's, or who follows that one.
        visitor: Visitor,
        /// From where.
        fingerprint: Fingerprint,
        /// When.
        at: Timestamp,
    },
    /// A session ended.
    Ended(Ended),
}

/// A session that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its visit.
    pub visit: VisitId,
    /// Why.
    pub reason: EndReason,
    /// When that was decided.
    pub closed_at: Timestamp,
    /// How long its end was overdue, in microseconds; 0 where nothing was due.
    pub late_us: u64,
    /// By what its visitor was known.
    pub identity: Identity,
    /// Whether the cookie ever came back.
    pub confirmed: bool,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Until when it has to be remembered that its token must never join a session; `None` where it may.
    pub barred_until: Option<Timestamp>,
}

impl Decision {
    /// Makes it ready for the next one.
    pub fn clear(&mut self) {
        self.records.clear();
        self.changes.clear();
        self.fate = Fate::Lives;
    }

    /// The first records, as long as they are of one session.
    pub fn records_of(&self, visit: VisitId) -> &[Record] {
        let other = self.records.iter().position(|record| record.visit != visit);
        &self.records[..other.unwrap_or(self.records.len())]
    }

    /// Appends an entry to a session's chain.
    pub(super) fn record(&mut self, session: &mut Session, entry: Entry) {
        let confirms = session.flags.take_unsaid();
        self.records.push(Record { visit: session.visit, confirms, entry });
    }
}
