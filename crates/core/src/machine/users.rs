//! Which sessions a user is in.

use std::collections::HashMap;

use crate::ids::VisitId;
use crate::model::UserId;

/// The sessions of every user that is logged in, for the single-login rule.
#[derive(Debug, Default)]
pub struct Users {
    sessions: HashMap<UserId, Vec<VisitId>>,
    superseded: Vec<VisitId>,
}

impl Users {
    /// A user is in a session from now on. `single`: the user's other sessions have to end.
    pub fn logged_in(&mut self, user: &UserId, visit: VisitId, single: bool) {
        let sessions = self.sessions.entry(user.clone()).or_default();
        sessions.retain(|other| *other != visit);
        if single {
            self.superseded.extend_from_slice(sessions);
        }
        sessions.push(visit);
    }

    /// A user has left a session.
    pub fn logged_out(&mut self, user: &UserId, visit: VisitId) {
        if let Some(sessions) = self.sessions.get_mut(user) {
            sessions.retain(|other| *other != visit);
            if sessions.is_empty() {
                self.sessions.remove(user);
            }
        }
    }

    /// The sessions that a newer login took the place of, and that nobody has ended yet.
    pub fn take_superseded(&mut self) -> Vec<VisitId> {
        std::mem::take(&mut self.superseded)
    }

    /// A user's sessions, the newest login last.
    pub fn sessions(&self, user: &UserId) -> &[VisitId] {
        self.sessions.get(user).map_or(&[], Vec::as_slice)
    }

    /// Every user with its sessions.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, &[VisitId])> {
        self.sessions.iter().map(|(user, sessions)| (user, sessions.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_login_is_last_and_the_last_logout_forgets_the_user() {
        let mut users = Users::default();
        let (alice, a, b) = (UserId::new("alice"), VisitId::from_u128(1), VisitId::from_u128(2));
        users.logged_in(&alice, a, false);
        users.logged_in(&alice, b, false);
        users.logged_in(&alice, a, true);
        assert_eq!(users.take_superseded(), [b]);
        assert_eq!(users.sessions(&alice), [b, a]);
        users.logged_out(&alice, a);
        users.logged_out(&alice, b);
        assert_eq!(users.iter().count(), 0);
    }
}
