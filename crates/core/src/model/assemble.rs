//! Makes a visit of a session's chain.

use super::{EndedVisit, Entry, Gathered};
use crate::ids::VisitId;

/// A chain that is no whole session: the journal lost, doubled or mixed something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("visit {visit}: entry {at} of {of}: {expected} expected, {found} found")]
pub struct BrokenChain {
    /// The visit.
    pub visit: VisitId,
    /// Which entry, from 1.
    pub at: usize,
    /// How many entries the chain has.
    pub of: usize,
    /// What belongs there.
    pub expected: &'static str,
    /// What stands there.
    pub found: &'static str,
}

/// The visit of a chain, whose entries are given oldest first.
///
/// # Errors
/// When the first entry is not the chain's only start, or the last not its only end.
pub fn assemble(visit: VisitId, entries: Vec<Entry>) -> Result<EndedVisit, BrokenChain> {
    let of = entries.len();
    let broken = |at, expected, found| BrokenChain { visit, at, of, expected, found };
    let (mut start, mut end) = (None, None);
    let mut events = Gathered::default();
    for (at, entry) in (1..).zip(entries) {
        match (at == 1, at == of, entry) {
            (true, _, Entry::Start(first)) => start = Some(first),
            (true, _, other) => return Err(broken(at, "start", kind(&other))),
            (_, true, Entry::End(last)) => end = Some(last),
            (_, true, other) => return Err(broken(at, "end", kind(&other))),
            (_, _, entry) => match events.see(entry) {
                None | Some(Entry::Set { .. } | Entry::Touch { .. } | Entry::Rotate { .. }) => {}
                Some(other) => return Err(broken(at, "event, set, touch, rotate or withdraw", kind(&other))),
            },
        }
    }
    let start = start.ok_or_else(|| broken(1, "start", "nothing"))?;
    let end = end.ok_or_else(|| broken(of + 1, "end", "nothing"))?;
    Ok(EndedVisit { visit, start: *start, end: *end, events: events.into_events(), redelivered: false })
}

const fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::Start(_) => "start",
        Entry::Event(_) => "event",
        Entry::Set { .. } => "set",
        Entry::Touch { .. } => "touch",
        Entry::Rotate { .. } => "rotate",
        Entry::Withdraw { .. } => "withdraw",
        Entry::End(_) => "end",
    }
}
