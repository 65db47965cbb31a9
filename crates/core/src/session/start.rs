//! How a session starts.

use super::commit::reply;
use super::decision::{Change, Decision};
use super::state::Session;
use super::work::{Rules, Work};
use crate::ids::{Fingerprint, VisitId, Visitor, VisitorId};
use crate::limits;
use crate::model::{self, Brings, Entry, Event, Identity};
use crate::ports::{Class, Commit, Committed, Op, Outcome, Token};
use crate::time::Timestamp;

/// The session that a commit starts.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    /// Its id.
    pub visit: VisitId,
    /// Whose it is.
    pub visitor: Visitor,
    /// By what the visitor is known.
    pub identity: Identity,
    /// The fingerprint that it counts under.
    pub fingerprint: Fingerprint,
    /// What the visitor did first, if that was recorded in a session that others share and goes along: the client has
    /// shown that it keeps cookies.
    pub landed: Option<(Brings, &'a Commit)>,
}

/// Starts a session for a commit. `renews`: the token that it presented may bring its twins here for a while.
pub fn start(
    start: NewSession<'_>,
    commit: &mut Commit,
    renews: bool,
    random: u128,
    now: Timestamp,
    rules: Rules<'_>,
    out: &mut Decision,
) -> (Session, Committed) {
    let token = commit.token.filter(|_| start.identity == Identity::Cookie);
    // Who follows a visitor that was too old has nothing of him.
    let is_own = |token: &Token| token.visitor == start.visitor;
    let known = token.filter(is_own);
    let renewed = token.filter(|_| renews);
    let mut session = begin(start, known, renewed.as_ref(), start.landed.map_or(&*commit, |(_, landed)| landed), out);
    if let Some(token) = renewed {
        let NewSession { visit, visitor, fingerprint, .. } = start;
        out.changes.push(Change::Renewed { token, visit, visitor, fingerprint, at: now });
    }
    if !commit.on_start.is_empty() {
        let mut ops = std::mem::take(&mut commit.on_start);
        ops.append(&mut commit.ops);
        commit.ops = ops;
    }
    let (number, born) = (number_of(known, start.identity), Token::birth(known.as_ref(), now));
    let mut work = Work::new(&mut session, true, true, now, rules, random, out);
    if let Some((_, landed)) = start.landed {
        // First of all: a recovery that finds some of them knows by their number which they are.
        landed.events().cloned().for_each(|event| work.record(event));
    }
    work.carry_out(commit);
    let mut committed = reply(&work, commit.token.filter(is_own), Some(start.visitor));
    work.finish();
    committed.outcome = Outcome::Started;
    if start.identity == Identity::Cookie && committed.issue.is_none() {
        committed.issue = Some(Token { visitor: start.visitor, visit: Some(start.visit), number, rotation: 0, born });
    }
    (session, committed)
}

/// The first record of a session, and what is known then. `renewed`: the token whose twins may join it.
pub(super) fn begin(
    start: NewSession<'_>,
    token: Option<Token>,
    renewed: Option<&Token>,
    commit: &Commit,
    out: &mut Decision,
) -> Session {
    let mut facts = commit.facts.as_deref().cloned().unwrap_or_default();
    if start.identity == Identity::Fingerprint {
        // Whoever comes with this fingerprint is one visitor.
        facts.visitor_id = VisitorId::from_u128(start.fingerprint.0.into());
    }
    let known = token.filter(|_| start.identity == Identity::Cookie);
    let mut session = Session::new(start.visit, commit.at, start.fingerprint, start.identity);
    let entry = Entry::Start(Box::new(model::Start {
        at: commit.at,
        partition: start.visitor.partition(),
        identity: start.identity,
        host: commit.host.clone(),
        fingerprint: start.fingerprint,
        previous: known.and_then(|token| token.visit),
        renews: renewed.map(Token::mark),
        brings: start.landed.map(|(brings, _)| brings),
        number: number_of(known, start.identity),
        is_new_visitor: (start.identity == Identity::Cookie).then(|| known.is_none_or(|token| token.number == 0)),
        facts,
    }));
    out.record(&mut session, entry);
    session
}

impl Commit {
    /// The events that it records, in their order.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        let named = self.ops.iter().take(limits::OPS_PER_COMMIT_MAX);
        let named = named.filter_map(|op| if let Op::Event(event) = op { Some(event) } else { None });
        named.chain(match &self.class {
            Class::Page(event) | Class::PageError(event) | Class::Other(Some(event)) => Some(event),
            Class::Other(None) | Class::Passive => None,
        })
    }
}

fn number_of(token: Option<Token>, identity: Identity) -> u32 {
    match identity {
        Identity::Cookie => token.map_or(1, |token| token.number.saturating_add(1)),
        Identity::Fingerprint | Identity::Import => 0,
    }
}
