//! A shard from its journal: what was recorded, seen again in order.

use std::sync::Arc;

use super::effects::{Effects, Log};
use super::rejoin::Twin;
use super::shard::Shard;
use super::sites::HostIndex;
use super::slots::{Chain, Slot};
use super::tombstones::Tombstone;
use super::unsettled::Unsettled;
use crate::ids::{Lsn, VisitId};
use crate::model::{Brings, End, EndReason, Entry, Start};
use crate::ports::TailRecord;
use crate::session::Session;
use crate::time::Timestamp;

impl Shard {
    /// Whether a session is open.
    pub fn knows(&self, visit: VisitId) -> bool {
        self.find(visit).is_some()
    }

    /// Sees an entry again. `host` is the place of a `Start`'s host in the table of sites. Returns `false` for an
    /// entry of a session that the shard doesn't know: its start is in a segment that is gone.
    pub fn restore(&mut self, record: &TailRecord, host: HostIndex) -> bool {
        let TailRecord { visit, lsn, confirms, entry, .. } = record;
        let visit = *visit;
        if let Entry::Start(start) = entry {
            if self.find(visit).is_none() {
                self.restore_start(visit, *lsn, start, host);
            }
            return true;
        }
        let found = self.find(visit);
        if let Entry::End(end) = entry
            && end.reason.bars_rejoin()
        {
            // Also of a session whose start is in a segment that is gone: then nobody knows its rules any more, and it
            // is remembered for the longest time that any of them says.
            let longest = || self.config.rules.iter().map(|rules| rules.max_age).max().unwrap_or_default();
            let max_age = found.map_or_else(longest, |index| self.rules(index).max_age);
            let until = end.closed_at.after(max_age);
            let End { reason, closed_at, confirmed, .. } = **end;
            self.tombs.add(Tombstone { visit, reason, closed_at, until, confirmed });
        }
        let Some(index) = found else { return false };
        let slot = self.slots.at_mut(index);
        slot.last = *lsn;
        let session = &mut slot.session;
        if *confirms {
            self.provisional.left(session.flags);
            session.flags.confirm(true);
        }
        match entry {
            Entry::Start(_) => {}
            Entry::Event(event) => {
                session.events = session.events.saturating_add(1);
                session.journal(event.activity());
            }
            Entry::Touch { at, slides } => {
                if *slides {
                    session.journal(*at);
                }
            }
            Entry::Set { at, fields } => {
                session.journal(*at);
                let data = Arc::make_mut(session.data.get_or_insert_default());
                let values = Arc::make_mut(&mut data.values);
                for (key, value) in fields {
                    match value {
                        Some(value) => values.insert(key.clone(), value.clone()),
                        None => values.remove(key),
                    };
                }
            }
            Entry::Rotate { at, rotation, user } => {
                session.journal(*at);
                session.rotation = *rotation;
                session.rotated_at_s = u32::try_from(at.secs()).unwrap_or(0);
                Arc::make_mut(session.data.get_or_insert_default()).user = user.clone();
            }
            Entry::Withdraw { first, .. } => drop(self.unsettled.withdrawn.insert((visit, *first))),
            Entry::End(_) => self.remove(index),
        }
        true
    }

    fn restore_start(&mut self, visit: VisitId, lsn: Lsn, start: &Start, host: HostIndex) {
        if let Some(mark) = start.renews {
            self.rejoin.started(mark, Twin { visit, visitor: None }, start.fingerprint, start.at);
        }
        self.unsettled.brought.extend(start.brings.map(|brings| (visit, brings)));
        let session = Session::new(visit, start.at, start.fingerprint, start.identity);
        let chain = Chain { visit, first: lsn, last: lsn, events: 0 };
        self.insert(Slot::new(session, &chain, host, self.config.rules_of(&start.host)), start.at);
    }

    /// Takes out of the sessions that others share what a crash left in them although it had gone along.
    pub(super) fn settle<L: Log>(&mut self, now: Timestamp, fx: &mut Effects<'_, L>) {
        let Unsettled { brought, withdrawn } = std::mem::take(&mut self.unsettled);
        for (visit, brings) in brought {
            let Some(index) = self.find(visit).filter(|_| !withdrawn.contains(&(brings.from, brings.first))) else {
                continue;
            };
            // They were the first that it recorded, and perhaps not all of them were. Even if none was: it is said, so that
            // the next recovery does not take others for them.
            let count = brings.count.min(self.slots.at(index).session.events);
            self.withdraw(Brings { count, ..brings }, now, fx);
        }
    }

    /// A session's chain was carried forward: it begins and ends here now.
    pub fn restore_moved(&mut self, visit: VisitId, first: Lsn, last: Lsn) {
        if let Some(index) = self.find(visit) {
            self.link(index, first, last);
        }
    }

    /// A finally ended session that older segments knew of.
    pub fn restore_tombstone(&mut self, tomb: Tombstone) {
        self.tombs.add(tomb);
    }

    /// The same, as older journals say it: how long it has to be remembered, and whether its cookie had come back, is
    /// taken for the most that it can be.
    pub fn restore_old_tombstone(&mut self, visit: VisitId, reason: EndReason, closed_at: Timestamp) {
        let longest = self.config.rules.iter().map(|rules| rules.max_age).max().unwrap_or_default();
        self.tombs.add(Tombstone { visit, reason, closed_at, until: closed_at.after(longest), confirmed: true });
    }

    /// All that was recorded has been seen. A touch may have been lost for as long as touches are apart: every
    /// session's last activity is padded by that, so that none ends early. What was recorded under a clock that was wrong
    /// may lie far ahead of `now`: it counts as of now, so that nothing lives until then.
    pub fn restored(&mut self, now: Timestamp) {
        // As they started, near enough, and not as they hash: who falls due together then stands together in the
        // journal, too, where the sinks read it.
        let indexes: Vec<u32> = self.indexes().collect();
        // The wheel began when the first session did, perhaps by a clock that was wrong.
        indexes.iter().for_each(|index| self.wheel.disarm(&mut self.slots, *index));
        self.wheel.restart();
        self.tombs.read_at(now);
        for index in indexes {
            let session = &mut self.slots.at_mut(index).session;
            session.in_flight = 0;
            session.read_at(now);
            if self.config.mutations.touch_padding() {
                session.pad();
            }
            let deadline = self.deadline(index).0;
            self.wheel.arm(&mut self.slots, index, deadline, now);
        }
    }
}
