//! Makes a visit of a session's chain.

use visitlog_core::VisitId;
use visitlog_core::model::{self, EndedVisit, Entry};

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
    let mut events = Vec::new();
    for (at, entry) in (1..).zip(entries) {
        match (at == 1, at == of, entry) {
            (true, _, Entry::Start(first)) => start = Some(first),
            (true, _, other) => return Err(broken(at, "start", kind(&other))),
            (_, true, Entry::End(last)) => end = Some(last),
            (_, true, other) => return Err(broken(at, "end", kind(&other))),
            (_, _, Entry::Event(event)) => events.push(event),
            (_, _, Entry::Set { .. } | Entry::Touch { .. } | Entry::Rotate { .. }) => {}
            (_, _, other @ (Entry::Start(_) | Entry::End(_))) => {
                return Err(broken(at, "event, set, touch or rotate", kind(&other)));
            }
        }
    }
    let start = start.ok_or_else(|| broken(1, "start", "nothing"))?;
    let end = end.ok_or_else(|| broken(of + 1, "end", "nothing"))?;
    model::sort_events(&mut events);
    Ok(EndedVisit { visit, start: *start, end: *end, events, redelivered: false })
}

const fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::Start(_) => "start",
        Entry::Event(_) => "event",
        Entry::Set { .. } => "set",
        Entry::Touch { .. } => "touch",
        Entry::Rotate { .. } => "rotate",
        Entry::End(_) => "end",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use visitlog_core::Timestamp;

    use super::*;
    use crate::sinks::testing::{MORNING, chain, id};

    #[test]
    fn a_whole_chain_is_a_visit_with_its_events_in_the_order_of_time() {
        let mut entries = chain(1, MORNING);
        entries.swap(1, 2);
        entries.insert(2, Entry::Touch { at: MORNING, slides: true });
        let visit = assemble(id(1), entries).expect("whole");
        let times: Vec<Timestamp> = visit.events.iter().map(|event| event.time).collect();
        assert_eq!(times, [MORNING.before(Duration::from_secs(60)), MORNING.before(Duration::from_secs(59))]);
        assert_eq!((visit.visit, visit.end.closed_at, visit.redelivered), (id(1), MORNING, false));
    }

    #[test]
    fn a_chain_that_is_not_whole_is_refused_and_says_where() {
        let whole = chain(1, MORNING);
        let (start, end) = (whole[0].clone(), whole[3].clone());
        let check = |entries: Vec<Entry>, expected: &str| {
            let error = assemble(id(1), entries).expect_err(expected);
            assert_eq!(error.to_string(), format!("visit {}: {expected}", id(1)));
        };
        check(Vec::new(), "entry 1 of 0: start expected, nothing found");
        check(vec![start.clone()], "entry 2 of 1: end expected, nothing found");
        check(whole[1..].to_vec(), "entry 1 of 3: start expected, event found");
        check(whole[..3].to_vec(), "entry 3 of 3: end expected, event found");
        let middle = "entry 2 of 3: event, set, touch or rotate expected";
        check(vec![start.clone(), start.clone(), end.clone()], &format!("{middle}, start found"));
        check(vec![start, end.clone(), end.clone()], &format!("{middle}, end found"));
        check(vec![end], "entry 1 of 1: start expected, end found");
    }
}
