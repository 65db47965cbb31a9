//! Whose a visit is.

use super::{Entry, UserId};
use crate::ids::VisitorId;

/// Whose visits are to be erased.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// A visitor's.
    Visitor(VisitorId),
    /// Those in which a user was logged in.
    User(&'a UserId),
}

impl Whose<'_> {
    /// Whether an entry says that its session is theirs.
    pub fn owns_entry(self, entry: &Entry) -> bool {
        let is = |name: Option<&str>| matches!(self, Self::User(user) if name == Some(user.as_str()));
        match entry {
            Entry::Start(start) => matches!(self, Self::Visitor(visitor) if start.facts.visitor_id == visitor),
            Entry::Event(event) => is(event.user()),
            Entry::Rotate { user, .. } => is(user.as_ref().map(UserId::as_str)),
            Entry::End(end) => is(end.user.as_ref().map(UserId::as_str)),
            Entry::Set { .. } | Entry::Touch { .. } => false,
        }
    }
}
