//! Tells what happens while visits go on: follows the store's records, and puts what they say into the outbox.
//!
//! It may miss some, and be late: what it has not told when a visit ends, the lane of ended visits tells then, which gets
//! each of them for certain. So it reads on from where it was, and where that is kept no more, from what there is.

use std::collections::BTreeMap;
use std::time::Duration;

use visitlog_core::model::{Entry, EventKind, Gathered, OpenVisit, VisitView};
use visitlog_core::ports::{Carried, LiveError, LiveSource, StreamId, TailRecord};
use visitlog_core::{Lsn, VisitId};

use super::message::Wants;
use super::outbox::{Outbox, OutboxError, Upto};

/// Records that are read at once, in bytes.
const READ_BYTES: usize = 1 << 20;
/// How often it is looked for new records.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What it waits after it could not go on.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Follows until the outbox is stopped.
pub(super) fn follow(
    outbox: &Outbox,
    live: &dyn LiveSource,
    (stream, begin): (StreamId, Lsn),
    wants: &Wants,
    name: &str,
) {
    let mut failed = false;
    while !outbox.is_stopping() {
        match step(outbox, live, (stream, begin), wants) {
            Ok(true) => failed = false,
            Ok(false) => outbox.sleep(LOOK_EVERY),
            Err(error) => {
                if !failed {
                    tracing::warn!(webhook = name, error = &*error, "what happens is told when visits end, for now");
                }
                failed = true;
                outbox.sleep(RETRY_AFTER);
            }
        }
    }
}

/// Reads on; whether there was anything. The first time from `begin`: what was there before is not told; its visits are,
/// when they end.
pub(super) fn step(
    outbox: &Outbox,
    live: &dyn LiveSource,
    (stream, begin): (StreamId, Lsn),
    wants: &Wants,
) -> Result<bool, Box<dyn std::error::Error>> {
    let (seen, newest) = (outbox.seen(stream), live.newest());
    let from = if seen.is_some() { seen } else { begin };
    if from >= newest {
        return Ok(false);
    }
    let _hold = live.hold();
    let tail = match live.read(from, READ_BYTES) {
        Err(LiveError::Collected { .. }) => live.read(live.oldest(), READ_BYTES)?,
        tail => tail?,
    };
    // Of each visit that something is to be told of, its newest record.
    let mut touched: BTreeMap<VisitId, (Lsn, bool)> = BTreeMap::new();
    for record in tail.records.iter().filter(|record| record.carried == Carried::No) {
        if let Entry::End(_) = record.entry {
            touched.remove(&record.visit);
            continue;
        }
        let (last, matters) = touched.entry(record.visit).or_default();
        *last = record.lsn;
        *matters |= says_something(record, wants);
    }
    let ends: Vec<(VisitId, Lsn)> =
        touched.into_iter().filter(|(_, (_, matters))| *matters).map(|(visit, (last, _))| (visit, last)).collect();
    let chains = live.chains(&ends);
    let gathered = ends.iter().zip(chains).filter_map(|((visit, _), chain)| open_visit(*visit, chain.ok()?));
    let mut visits: Vec<OpenVisit> = gathered.collect();
    let told = outbox.tell(stream, Upto::Seen(tail.next), wants, || {
        // One that has ended meanwhile is the lane's.
        visits.retain_mut(|visit| match live.site(visit.visit) {
            Some(site) => {
                visit.site = site;
                true
            }
            None => false,
        });
        visits.iter().map(OpenVisit::view).collect::<Vec<VisitView<'_>>>()
    });
    match told {
        Err(error @ OutboxError::Full { .. }) => Err(error.into()),
        told => told.map(|()| true).map_err(Into::into),
    }
}

/// Whether a record may bring a message.
fn says_something(record: &TailRecord, wants: &Wants) -> bool {
    match &record.entry {
        Entry::Start(_) => wants.unconfirmed || record.confirms,
        Entry::Event(event) => record.confirms || event.kind == EventKind::Action || event.kind == EventKind::Login,
        Entry::Rotate { user, .. } => record.confirms || user.is_some(),
        _ => record.confirms,
    }
}

/// A visit by its records; without its site, which is not among them.
fn open_visit(visit: VisitId, chain: Vec<TailRecord>) -> Option<OpenVisit> {
    let (mut start, mut events) = (None, Gathered::default());
    let (mut confirmed, mut user, mut last_seen) = (false, None, None);
    for record in chain {
        confirmed |= record.confirms;
        match events.see(record.entry) {
            Some(Entry::Start(first)) => {
                last_seen = Some(first.at);
                start = Some(first);
            }
            Some(Entry::Rotate { user: now, .. }) => user = now,
            Some(Entry::End(_)) => return None,
            _ => {}
        }
    }
    let (start, last_seen) = (start?, last_seen?);
    Some(OpenVisit {
        visit,
        start: *start,
        site: "".into(),
        last_seen,
        confirmed,
        user,
        values: Default::default(),
        events: events.into_events(),
    })
}
