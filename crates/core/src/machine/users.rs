//! Which sessions a user is in.

use std::collections::HashMap;

use crate::ids::VisitId;
use crate::model::UserId;

/// The sessions of every user that is logged in, for the single-login rule.
#[derive(Debug, Default)]
pub struct Users {
    users: HashMap<UserId, Logins>,
}

/// The sessions that one user is in.
#[derive(Debug)]
enum Logins {
    /// As nearly always.
    One(VisitId),
    /// Each with its turn, the greatest being the newest login.
    Many { turns: HashMap<VisitId, u64>, next: u64 },
}

impl Logins {
    fn iter(&self) -> impl Iterator<Item = (u64, VisitId)> + '_ {
        let (one, many) = match self {
            Self::One(visit) => (Some((0, *visit)), None),
            Self::Many { turns, .. } => (None, Some(turns.iter().map(|(visit, turn)| (*turn, *visit)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn add(&mut self, visit: VisitId) {
        match self {
            Self::One(known) if *known == visit => {}
            Self::One(known) => *self = Self::Many { turns: HashMap::from([(*known, 0), (visit, 1)]), next: 2 },
            Self::Many { turns, next } => {
                turns.insert(visit, *next);
                *next += 1;
            }
        }
    }

    /// Whether none is left.
    fn remove(&mut self, visit: VisitId) -> bool {
        match self {
            Self::One(known) => *known == visit,
            Self::Many { turns, .. } => {
                turns.remove(&visit);
                turns.is_empty()
            }
        }
    }
}

impl Users {
    /// A user is in a session from now on. `single`: the user's other sessions have to end, which are added to
    /// `superseded`.
    pub fn logged_in(&mut self, user: &UserId, visit: VisitId, single: bool, superseded: &mut Vec<VisitId>) {
        match self.users.get_mut(user) {
            None => drop(self.users.insert(user.clone(), Logins::One(visit))),
            Some(logins) => {
                if single {
                    superseded.extend(logins.iter().map(|(_, other)| other).filter(|other| *other != visit));
                }
                logins.add(visit);
            }
        }
    }

    /// A user has left a session.
    pub fn logged_out(&mut self, user: &UserId, visit: VisitId) {
        if self.users.get_mut(user).is_some_and(|logins| logins.remove(visit)) {
            self.users.remove(user);
        }
    }

    /// A user's sessions, the newest login last.
    pub fn sessions(&self, user: &UserId) -> Vec<VisitId> {
        let mut sessions: Vec<_> = self.users.get(user).map(|logins| logins.iter().collect()).unwrap_or_default();
        sessions.sort_unstable();
        sessions.into_iter().map(|(_, visit)| visit).collect()
    }

    /// Users that are in a session.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_login_is_last_and_the_last_logout_forgets_the_user() {
        let mut users = Users::default();
        let (alice, a, b) = (UserId::new("alice"), VisitId::from_u128(1), VisitId::from_u128(2));
        let mut superseded = Vec::new();
        users.logged_in(&alice, a, false, &mut superseded);
        users.logged_in(&alice, b, false, &mut superseded);
        users.logged_in(&alice, a, true, &mut superseded);
        assert_eq!(superseded, [b]);
        assert_eq!(users.sessions(&alice), [b, a]);
        users.logged_out(&alice, a);
        users.logged_out(&alice, b);
        assert!(users.is_empty());
    }

    #[test]
    fn who_is_in_is_found_among_many() {
        let mut users = Users::default();
        let (alice, mut none) = (UserId::new("alice"), Vec::new());
        for n in 0..10_000 {
            users.logged_in(&alice, VisitId::from_u128(n), false, &mut none);
        }
        for n in 0..9_999 {
            users.logged_out(&alice, VisitId::from_u128(n));
        }
        users.logged_out(&UserId::new("bob"), VisitId::from_u128(9_999));
        assert_eq!(users.sessions(&alice), [VisitId::from_u128(9_999)]);
        assert!(none.is_empty());
    }
}
