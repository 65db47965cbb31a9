//! Somebody who follows the journal's tail, and must know as much as the engine does.

use std::collections::BTreeMap;

use visitlog_core::model::{Entry, Gathered, UserId};
use visitlog_core::ports::{Follow, LiveError, LiveSource, Seen, TailRecord};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::Engine;
use visitlog_sinks::NdjsonSink;

use crate::oracle::{Check, ensure};
use crate::simulation::Simulation;

/// An open session, as the tail tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Open {
    last: Lsn,
    events: usize,
    confirmed: bool,
    user: Option<UserId>,
}

/// What the tail has told so far.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    next: Option<Lsn>,
    /// Where it could have started when it first asked.
    noted: Option<Lsn>,
    follow: Follow,
    open: BTreeMap<VisitId, Open>,
    /// How many of their events count no more.
    withdrawn: BTreeMap<VisitId, usize>,
    /// Ends, and how many events their visits have.
    ended: BTreeMap<VisitId, (Lsn, usize)>,
}

impl Follower {
    /// Reads on, about `bytes`; how often it had to start again.
    pub(crate) fn read(&mut self, engine: &Engine, bytes: usize) -> Result<u64, LiveError> {
        let mut restarts = 0;
        loop {
            let from = *self.next.get_or_insert_with(|| engine.oldest());
            self.noted.get_or_insert(from);
            match engine.read(from, bytes) {
                Ok(tail) => {
                    self.next = Some(tail.next);
                    tail.records.into_iter().for_each(|record| self.see(record));
                    return Ok(restarts);
                }
                Err(LiveError::Collected { .. }) => {
                    restarts += 1;
                    *self = Self::default();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn see(&mut self, record: TailRecord) {
        let Self { follow, open, withdrawn, ended, .. } = self;
        let known = open.contains_key(&record.visit);
        follow.see(record, known, |seen| match seen {
            Seen::Moved { visit, last, .. } => open.entry(visit).or_default().last = last,
            Seen::Entry(record) => {
                let session = open.entry(record.visit).or_default();
                session.last = record.lsn;
                session.confirmed |= record.confirms;
                match record.entry {
                    Entry::Event(_) => session.events += 1,
                    Entry::Rotate { user, .. } => session.user = user,
                    Entry::End(_) => {
                        let gone = withdrawn.remove(&record.visit).unwrap_or_default();
                        ended.insert(record.visit, (record.lsn, session.events - gone));
                        open.remove(&record.visit);
                    }
                    Entry::Withdraw { count, .. } => {
                        *withdrawn.entry(record.visit).or_default() += usize::from(count);
                    }
                    Entry::Start(_) | Entry::Set { .. } | Entry::Touch { .. } => {}
                }
            }
        });
    }

    /// Holds what the tail told against what the engine knows.
    fn check(&self, engine: &Engine) -> Check {
        let known = engine.open_list();
        ensure!(
            known.len() == self.open.len(),
            "{} sessions are open, the tail tells of {}",
            known.len(),
            self.open.len()
        );
        for open in &known {
            let visit = open.chain.visit;
            let Some(told) = self.open.get(&visit) else {
                return Err(format!("the tail doesn't tell of {visit}, which is open"));
            };
            // A confirmation may not be said yet.
            let confirmed = told.confirmed;
            ensure!(!confirmed || open.confirmed, "the tail tells that {visit} is confirmed, and it isn't");
            let last = open.chain.last;
            let events = usize::from(open.events);
            let now = Open { last, events, confirmed, user: open.data.user.clone() };
            ensure!(*told == now, "{visit} is {now:?}, the tail tells {told:?}");
        }
        Ok(())
    }
}

impl Simulation {
    /// The follower reads a little, or all there is; then it must know what the engine knows.
    pub(crate) fn follow(&mut self, bytes: usize, all: bool) -> Check {
        let engine = &self.life.engine;
        let _hold = self.dice.one_in(2).then(|| engine.hold());
        let follower = &mut self.follower;
        if self.dice.one_in(6) {
            // Somebody who noted long ago where to start, and starts only now.
            *follower = Follower { next: follower.noted, ..Follower::default() };
        }
        loop {
            match follower.read(engine, bytes) {
                Ok(restarts) => self.probes.tail_restarts += restarts,
                // The disk does that at times.
                Err(LiveError::Unreadable { .. }) if self.in_trouble => return Ok(()),
                Err(error) => return Err(format!("the tail can't be read: {error:?}")),
            }
            if follower.next == Some(engine.newest()) {
                break;
            }
            if !all {
                return Ok(());
            }
        }
        follower.check(engine)?;
        if self.in_trouble {
            return Ok(());
        }
        for visit in engine.on_the_way(NdjsonSink::NAME, 8).map_err(|error| error.to_string())? {
            let id = visit.visit;
            let Some((end, events)) = follower.ended.get(&id) else {
                return Err(format!("the tail doesn't tell of the end of {id}, which a sink still has to get"));
            };
            ensure!(*events == visit.events.len(), "{id} has {} events, the tail told of {events}", visit.events.len());
            let chain = engine.chains(&[(id, *end)]).remove(0).map_err(|error| format!("{id}: {error}"))?;
            let mut counting = Gathered::default();
            for record in chain {
                counting.see(record.entry);
            }
            let count = counting.into_events().len();
            ensure!(count == *events, "the chain of {id} has {count} events, the tail told of {events}");
            self.probes.ends_followed += 1;
        }
        Ok(())
    }
}
