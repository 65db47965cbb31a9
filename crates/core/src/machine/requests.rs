//! How a request goes through the machine: which session it belongs to, and what it leaves there.
//!
//! The sequence of decisions is the same for every store that keeps its shards in this process. What differs is how
//! the parts are held, and that is what [`Cells`] hides. Nothing here holds one part while it asks for a shard.

use super::shard::Arrived;
use super::{Admission, Applicant, Cookieless, Effects, HostIndex, Shard, StartPlan, Users};
use crate::ids::{Host, VisitId, Visitor};
use crate::model::{EndReason, Identity};
use crate::ports::{Arrival, Begun, Commit, Committed, Fresh, Op, Outcome, Standing, Ticket, Token};
use crate::time::Timestamp;

/// The parts of the machine, held one at a time.
pub trait Cells {
    /// Where the shards' decisions go. It may use the other parts, never a shard.
    type Fx: Effects;

    /// Works on the shard of a partition.
    fn shard<R>(&self, partition: u8, work: impl FnOnce(&mut Shard, &mut Self::Fx) -> R) -> R;
    /// Works on the index by fingerprint.
    fn cookieless<R>(&self, work: impl FnOnce(&mut Cookieless) -> R) -> R;
    /// Works on the index by user.
    fn users<R>(&self, work: impl FnOnce(&mut Users) -> R) -> R;
    /// The place of a host in the table of sites.
    fn note_host(&self, host: &Host) -> HostIndex;
    /// 128 fresh random bits.
    fn random(&self) -> u128;
}

/// A request arrived: who is it?
pub fn begin(cells: &impl Cells, now: Timestamp, arrival: &Arrival) -> Begun {
    Begun { at: now, standing: standing(cells, now, arrival) }
}

fn standing(cells: &impl Cells, now: Timestamp, arrival: &Arrival) -> Standing {
    let mut visitor = None;
    if arrival.cookies
        && let Some(token) = arrival.token
    {
        match cells.shard(token.visitor.partition(), |shard, fx| shard.arrive(now, &token, arrival, fx)) {
            Arrived::Live(live) => return Standing::Live(live),
            Arrived::Known => visitor = Some(token.visitor),
            Arrived::Stranger => {}
        }
        // It keeps a cookie after all, perhaps: the start of a session will tell.
        if token.visit.is_none() && visitor.is_some() {
            return Standing::Fresh(fresh(cells, now, token.visitor));
        }
    }
    let visitor = visitor.unwrap_or_else(|| Visitor::from_u128(cells.random()));
    if !arrival.cookies || cells.cookieless(|index| index.is_cookieless(arrival.fingerprint, now)) {
        return Standing::Shared { visitor };
    }
    Standing::Fresh(fresh(cells, now, visitor))
}

fn fresh(cells: &impl Cells, now: Timestamp, visitor: Visitor) -> Fresh {
    Fresh { visit: VisitId::new(now, cells.random(), visitor.partition()), visitor }
}

/// The head of the answer is ready: carries out what the request did. `cookies`: whether they are in use at all.
pub fn commit(cells: &impl Cells, now: Timestamp, commit: Commit, cookies: bool) -> Committed {
    let logs_in = commit.ops.iter().chain(&commit.on_start).any(|op| matches!(op, Op::Login(_)));
    let committed = match &commit.standing {
        Standing::Live(live) => {
            let visit = live.visit;
            cells.shard(visit.partition(), |shard, fx| shard.commit_live(now, visit, commit, fx))
        }
        _ if !commit.starts() => {
            Committed { outcome: Outcome::Nothing, visit: None, issue: None, durable: true, refused: 0 }
        }
        &Standing::Fresh(fresh) => start(cells, now, fresh, commit, cookies),
        &Standing::Shared { visitor } => start(cells, now, fresh(cells, now, visitor), commit, cookies),
    };
    if logs_in {
        supersede(cells, now);
    }
    committed
}

fn start(cells: &impl Cells, now: Timestamp, mut fresh: Fresh, mut commit: Commit, cookies: bool) -> Committed {
    // Whose token was outdated got a visitor of his own, and nothing of the token's.
    commit.token = commit.token.filter(|token| token.visitor == fresh.visitor);
    let mut commit = Box::new(commit);
    loop {
        match admitted(cells, now, fresh, commit, cookies) {
            Ok(committed) => return committed,
            // The session that its fingerprint shared has ended this moment: the next one has another id.
            Err(back) => {
                commit = back;
                fresh = self::fresh(cells, now, fresh.visitor);
            }
        }
    }
}

fn admitted(
    cells: &impl Cells,
    now: Timestamp,
    fresh: Fresh,
    commit: Box<Commit>,
    cookies: bool,
) -> Result<Committed, Box<Commit>> {
    let host = cells.note_host(&commit.host);
    let applicant = Applicant {
        prints: commit.fingerprint,
        visit: fresh.visit,
        needs_own: commit.needs_own(),
        returning: commit.token.filter(|token| token.visit.is_none()).map(|token| token.visitor),
        cookies,
    };
    match cells.cookieless(|index| index.admit(&applicant, now)) {
        Admission::Own(fingerprint) => {
            let plan =
                StartPlan { visit: fresh.visit, visitor: fresh.visitor, identity: Identity::Cookie, fingerprint, host };
            let committed = cells.shard(fresh.visitor.partition(), |shard, fx| shard.start(now, plan, *commit, fx));
            if committed.outcome != Outcome::Started {
                cells.cookieless(|index| index.ended(fingerprint, fresh.visit));
            }
            Ok(committed)
        }
        Admission::Shared(fingerprint, visit) => {
            let plan = StartPlan { visit, visitor: fresh.visitor, identity: Identity::Fingerprint, fingerprint, host };
            let token = commit.token;
            let mut committed =
                cells.shard(visit.partition(), |shard, fx| shard.commit_shared(now, plan, commit, fx))?;
            let (number, born) = (token.map_or(0, |token| token.number), Token::birth(token.as_ref(), now));
            committed.issue =
                cookies.then_some(Token { visitor: fresh.visitor, visit: None, number, rotation: 0, born });
            Ok(committed)
        }
    }
}

/// Ends the sessions that a newer login of their user takes the place of.
pub fn supersede(cells: &impl Cells, now: Timestamp) {
    for visit in cells.users(Users::take_superseded) {
        cells.shard(visit.partition(), |shard, fx| shard.terminate(visit, EndReason::Superseded, now, fx));
    }
}

/// A request that began will not be committed.
pub fn release(cells: &impl Cells, now: Timestamp, ticket: Ticket) {
    cells.shard(ticket.visit.partition(), |shard, _| shard.release(ticket.visit, now));
}
