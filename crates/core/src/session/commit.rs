//! The head of an answer is ready: what its request leaves in a session that lives.

use super::decision::Decision;
use super::state::Session;
use super::work::{Rules, Work};
use crate::ids::{VisitId, Visitor};
use crate::model::UserId;
use crate::ports::{Class, Commit, Committed, Fresh, Op, Outcome, Standing, Token};
use crate::time::Timestamp;

/// How a request came to be in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum In {
    /// It began in it. `current`: with the current token. `held`: it held off idle expiry until now.
    Live {
        /// Whether its token was of the current rotation.
        current: bool,
        /// Whether its hold was still there.
        held: bool,
    },
    /// It began in none, and a twin with the same old token has started this one.
    Joins {
        /// Whose token the client gets.
        visitor: Visitor,
    },
    /// Its fingerprint shares it.
    Shared,
}

impl Commit {
    /// Whether this request starts a session where none lives.
    pub fn starts(&self) -> bool {
        self.brings() || self.starts_by_itself()
    }

    /// Whether what its visitor did first waits to be taken along.
    pub const fn brings(&self) -> bool {
        matches!(self.standing, Standing::Fresh(Fresh { brings: true, .. }))
    }

    /// Whether what it did itself starts one.
    pub(crate) fn starts_by_itself(&self) -> bool {
        let asked = |op: &Op| !matches!(op, Op::Logout | Op::Nobody | Op::Abandon);
        matches!(self.class, Class::Page(_)) || self.ops.iter().any(asked)
    }

    /// Whether it must have a session of its own, whatever its fingerprint: it logs in or touches a value.
    pub fn needs_own(&self) -> bool {
        let own = |op: &Op| matches!(op, Op::Login(_) | Op::Set(..) | Op::Increment(..) | Op::Remove(_));
        self.ops.iter().any(own)
    }

    /// Whether nothing at all is to be done.
    pub fn is_passive(&self) -> bool {
        self.class == Class::Passive && self.ops.is_empty()
    }

    /// Who logs in.
    pub fn user(&self) -> Option<&UserId> {
        self.ops.iter().find_map(|op| if let Op::Login(user) = op { Some(user) } else { None })
    }

    /// Whether somebody logs in: then another user's session may have to start, and a user's others to end.
    pub fn logs_in(&self) -> bool {
        self.ops.iter().chain(&self.on_start).any(|op| matches!(op, Op::Login(_)))
    }
}

/// Carries out a commit in a session that lives. `random`: 128 fresh bits, used only where somebody logs in. The
/// reply's `durable` is the store's to say.
pub fn commit(
    session: &mut Session,
    how: In,
    commit: &mut Commit,
    random: u128,
    now: Timestamp,
    rules: Rules<'_>,
    out: &mut Decision,
) -> Committed {
    let visit = session.visit;
    let (current, token) = match how {
        In::Live { current, held } => {
            if held {
                session.in_flight = session.in_flight.saturating_sub(1);
            }
            if commit.is_passive() {
                return plain(Outcome::Nothing, Some(visit));
            }
            (current, commit.token)
        }
        In::Joins { visitor } => {
            commit.on_start.clear();
            (true, commit.token.filter(|token| token.visitor == visitor))
        }
        In::Shared => {
            commit.on_start.clear();
            commit.token = None;
            (true, None)
        }
    };
    let entitled = is_entitled(session, token);
    let successor = match &commit.standing {
        Standing::Live(live) => live.successor,
        Standing::Fresh(_) | Standing::Shared { .. } => None,
    };
    let mut work = Work::new(session, current, entitled, now, rules, random, out);
    work.successor = successor;
    work.carry_out(commit);
    let mut committed = match how {
        In::Live { .. } | In::Shared => reply(&work, token, None),
        In::Joins { visitor } => reply(&work, token, Some(visitor)),
    };
    committed.outcome = match how {
        In::Live { .. } if token.is_none_or(|token| token.visit == Some(visit)) => Outcome::Recorded,
        In::Live { .. } => Outcome::Joined,
        In::Joins { visitor } => {
            if committed.issue.is_none() && !work.ends() {
                let number = token.map_or(1, |token| token.number.saturating_add(1));
                let rotation = work.session.rotation;
                let born = Token::birth(token.as_ref(), now);
                committed.issue = Some(Token { visitor, visit: committed.visit, number, rotation, born });
            }
            Outcome::Joined
        }
        In::Shared => {
            (committed.visit, committed.issue) = (None, None);
            Outcome::Shared
        }
    };
    work.finish();
    committed
}

/// What a commit gets whose session has ended: a write to it is refused, never an upsert, for a slow request must not
/// undo a logout.
pub const fn gone() -> Committed {
    plain(Outcome::Gone, None)
}

/// What a commit gets that leaves nothing.
pub const fn nothing() -> Committed {
    plain(Outcome::Nothing, None)
}

/// Whether the client may get a newer token. While the request was under way, a parallel one may have logged in: that
/// login's token is not for whoever has the older one.
fn is_entitled(session: &Session, token: Option<Token>) -> bool {
    match token {
        Some(token) if token.visit == Some(session.visit) => token.rotation >= session.rotation,
        _ => session.is_joinable(),
    }
}

/// What the client gets. `visitor`: its visitor, where it presented no token.
pub(super) fn reply(work: &Work<'_>, token: Option<Token>, visitor: Option<Visitor>) -> Committed {
    let visit = work.session.visit;
    let follows = work.successor.filter(|_| token.is_some_and(|token| token.visit != Some(visit)));
    // Who follows a visitor that was too old has nothing of him.
    let token = token.filter(|_| follows.is_none());
    let own = token.filter(|token| token.visit == Some(visit));
    let number = own.map_or(token.map_or(1, |token| token.number.saturating_add(1)), |token| token.number);
    let rotation = work.session.rotation;
    let visitor = follows.or(token.map(|token| token.visitor)).or(visitor).filter(|_| work.entitled);
    let born = Token::birth(token.as_ref(), work.now);
    let issue = visitor.map(|visitor| Token { visitor, visit: Some(visit), number, rotation, born });
    let issue = issue.and_then(|issue| match work.goodbye {
        // It opens nothing, and tells the next visit which one it follows.
        Some(_) => Some(Token { rotation: rotation.saturating_add(1), ..issue }),
        None if work.rotated || follows.is_some() || (token.is_some() && own.is_none()) => Some(issue),
        None => None,
    });
    Committed { issue, refused: work.refused, ..plain(Outcome::Recorded, Some(visit)) }
}

pub(super) const fn plain(outcome: Outcome, visit: Option<VisitId>) -> Committed {
    Committed { outcome, visit, issue: None, durable: true, refused: 0 }
}
