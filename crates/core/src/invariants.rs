//! What must always hold, as plain functions: tests and the simulation call them after every step.

use std::collections::HashSet;

use crate::machine::{Open, Shard};
use crate::model::{EndedVisit, Entry};
use crate::time::Timestamp;

/// Checks a chain of entries, oldest first: a start, and nothing but a start, comes first; nothing comes after an end.
///
/// # Errors
/// Says which rule is broken, and where.
pub fn check_chain(entries: &[Entry]) -> Result<(), String> {
    for (place, entry) in entries.iter().enumerate() {
        let last = place + 1 == entries.len();
        match entry {
            Entry::Start(_) if place != 0 => return Err(format!("a second start at entry {place}")),
            Entry::End(_) if !last => return Err(format!("an entry follows the end at entry {place}")),
            Entry::Start(_) => {}
            _ if place == 0 => return Err("the chain doesn't begin with a start".to_owned()),
            _ => {}
        }
    }
    Ok(())
}

/// Checks an ended visit: it doesn't end before it starts or after it was closed, and its events are in order.
///
/// # Errors
/// Says which rule is broken.
pub fn check_visit(visit: &EndedVisit) -> Result<(), String> {
    let end = &visit.end;
    if end.ended_at < visit.start.at {
        return Err(format!(
            "visit {} ended at {:?}, before its start {:?}",
            visit.visit, end.ended_at, visit.start.at
        ));
    }
    if end.closed_at < end.ended_at {
        return Err(format!("visit {} was closed at {:?}, before {:?}", visit.visit, end.closed_at, end.ended_at));
    }
    if !visit.events.is_sorted_by_key(|event| event.time) {
        return Err(format!("visit {}: events out of order", visit.visit));
    }
    Ok(())
}

/// Checks a shard: every session is found, sits once on the wheel where it is looked at no later than it is due, and
/// none is overdue by more than the wheel has been given time for.
///
/// # Errors
/// Says which rule is broken.
pub fn check_shard(shard: &Shard) -> Result<(), String> {
    let mut seen = HashSet::new();
    for open in shard.iter() {
        if !seen.insert(open.chain.visit) {
            return Err(format!("session {} is in the table twice", open.chain.visit));
        }
        if shard.get(open.chain.visit).is_none() {
            return Err(format!("session {} is in the table but can't be found", open.chain.visit));
        }
        if open.chain.first > open.chain.last {
            return Err(format!("session {}: its chain ends before it begins", open.chain.visit));
        }
    }
    shard.check_wheel()?;
    shard.check_counts()
}

/// Checks that no session that should have ended is open, when the wheel has been driven up to `now`.
///
/// # Errors
/// Names the first one that is overdue by more than `slack`.
pub fn check_none_overdue(open: &Open, now: Timestamp, slack: std::time::Duration) -> Result<(), String> {
    if open.in_flight == 0 && now.since(open.deadline) > slack {
        return Err(format!("session {} was due at {:?} and is open at {now:?}", open.chain.visit, open.deadline));
    }
    Ok(())
}
