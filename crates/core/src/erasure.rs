//! Whose visits an erasure takes or an export gives, and what keeps the erased from coming back.
//!
//! Somebody asks for a [`Subject`]: a visitor, or a user. A visitor's visits are all of them. A user's are those with
//! that login, whoever else logged in to them too; and, unless only these are asked for, the anonymous visits of
//! visitors that nobody else has logged in with. Which visitors these are a [`Survey`] finds, which has to see every
//! visit that there is; [`Whose`] then says of each visit whether it is theirs.
//!
//! [`Erasures`] keep what was erased from coming back.

mod barrier;
#[cfg(test)]
mod tests;

use hashbrown::{HashMap, HashSet};

pub use self::barrier::{Barrier, Erasure, Erasures};
use crate::ids::{VisitId, VisitorId};
use crate::model::{EndedVisit, Entry, Event, UserId};

/// Whom an erasure or an export is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One browser.
    Visitor(VisitorId),
    /// Who logged in under this name.
    User(UserId),
}

/// What makes a visit theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Nobody was logged in.
    Anonymous,
    /// The user was logged in; for a visitor: somebody was.
    Login,
}

/// Whose visits: says so of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    subject: Subject,
    /// Visitors whose anonymous visits are the user's too.
    alone: HashSet<VisitorId>,
}

impl Whose {
    /// A visitor's, or those with a user's login.
    pub fn of(subject: Subject) -> Self {
        Self { subject, alone: HashSet::new() }
    }

    /// Whom it was asked for.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Visitors whose anonymous visits are the user's too.
    pub const fn alone(&self) -> &HashSet<VisitorId> {
        &self.alone
    }

    /// Whether a visit is theirs, by its visitor and by all users that were logged in. `None`: it is not.
    pub fn claim<'u>(&self, visitor: VisitorId, users: impl IntoIterator<Item = &'u str>) -> Option<Claim> {
        let mut users = users.into_iter().peekable();
        let is_anonymous = users.peek().is_none();
        match &self.subject {
            Subject::Visitor(id) if *id != visitor => None,
            Subject::Visitor(_) if is_anonymous => Some(Claim::Anonymous),
            Subject::Visitor(_) => Some(Claim::Login),
            Subject::User(_) if is_anonymous => self.alone.contains(&visitor).then_some(Claim::Anonymous),
            Subject::User(user) => users.any(|name| name == user.as_str()).then_some(Claim::Login),
        }
    }
}

/// Finds the visitors that only one user has logged in with. Every visit there is has to be shown to it twice: once
/// before [`Survey::is_second`], and once after.
#[derive(Debug, Clone)]
pub struct Survey {
    user: UserId,
    theirs: HashSet<VisitorId>,
    others: HashSet<VisitorId>,
    is_second: bool,
    /// Erasures of the same user that were begun and not finished: they know more than is left of the visits.
    begun: Vec<Erasure>,
}

impl Survey {
    /// Nothing seen yet.
    pub fn of(user: UserId, begun: Vec<Erasure>) -> Self {
        Self { user, theirs: HashSet::new(), others: HashSet::new(), is_second: false, begun }
    }

    /// The user.
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// Whether it looks for who else logged in.
    pub const fn is_second(&self) -> bool {
        self.is_second
    }

    /// Everything was seen once.
    pub fn begin_second(&mut self) {
        self.is_second = true;
    }

    /// Whether it may be about this visitor: in its second round others need not be shown.
    pub fn concerns(&self, visitor: VisitorId) -> bool {
        !self.is_second || self.theirs.contains(&visitor)
    }

    /// Sees a visit: its visitor, and users that were logged in.
    pub fn see<'u>(&mut self, visitor: VisitorId, users: impl IntoIterator<Item = &'u str>) {
        let user = self.user.as_str();
        let mut users = users.into_iter();
        if !self.is_second {
            if users.any(|name| name == user) || self.begun.iter().any(|erasure| erasure.knows_alone(visitor)) {
                self.theirs.insert(visitor);
            }
        } else if self.theirs.contains(&visitor) && users.any(|name| name != user) {
            self.others.insert(visitor);
        }
    }

    /// Whose visits are the user's, once everything was seen twice.
    pub fn finish(self) -> Whose {
        let alone = self.theirs.difference(&self.others).copied().collect();
        Whose { subject: Subject::User(self.user), alone }
    }
}

/// Somebody's visits, as they were found in one place after another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundVisits {
    visits: HashMap<VisitId, Claim>,
}

impl FoundVisits {
    /// One more, or the same again: a login that one place knows of counts.
    pub fn add(&mut self, visit: VisitId, claim: Claim) {
        let known = self.visits.entry(visit).or_insert(claim);
        *known = claim.max(*known);
    }

    /// What another place has.
    pub fn add_all(&mut self, other: &Self) {
        other.visits.iter().for_each(|(visit, claim)| self.add(*visit, *claim));
    }

    /// Their ids, in no order.
    pub fn ids(&self) -> impl Iterator<Item = VisitId> + '_ {
        self.visits.keys().copied()
    }

    /// Whether it is one of them.
    pub fn contains(&self, visit: VisitId) -> bool {
        self.visits.contains_key(&visit)
    }

    /// How many they are by this claim.
    pub fn count(&self, claim: Claim) -> u64 {
        self.visits.values().filter(|found| **found == claim).count() as u64
    }
}

/// The user that an entry names.
pub fn user_in(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Event(event) => event.user(),
        Entry::Rotate { user, .. } => user.as_ref().map(UserId::as_str),
        Entry::End(end) => end.user.as_ref().map(UserId::as_str),
        Entry::Start(_) | Entry::Set { .. } | Entry::Touch { .. } | Entry::Withdraw { .. } => None,
    }
}

/// The users that were logged in during a visit; the same one more than once.
pub fn users_of(visit: &EndedVisit) -> impl Iterator<Item = &str> {
    visit.end.user.as_ref().map(UserId::as_str).into_iter().chain(visit.events.iter().filter_map(Event::user))
}
