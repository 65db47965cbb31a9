//! A shard from its journal: what was recorded, seen again in order.

use std::sync::Arc;

use super::head::Head;
use super::rejoin::Tombstone;
use super::shard::Shard;
use super::sites::HostIndex;
use crate::ids::{Lsn, VisitId};
use crate::limits;
use crate::model::{EndReason, Entry, Start};
use crate::time::Timestamp;

/// Where a recorded entry stood.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its position.
    pub lsn: Lsn,
    /// The position of the session's entry before.
    pub prev: Lsn,
    /// Whether it says that the client returned the cookie.
    pub confirms: bool,
}

/// A chain whose carried copies are being read.
#[derive(Debug)]
pub(super) struct Carrying {
    first: Lsn,
    /// The copies so far, where the originals are gone.
    copies: Option<Vec<(Place, Entry, HostIndex)>>,
}

impl Shard {
    /// Sees an entry again. `host` is the place of a `Start`'s host in the table of sites. Returns `false` for an
    /// entry of a session that the shard doesn't know: its start is in a segment that is gone.
    pub fn restore(&mut self, visit: VisitId, place: Place, entry: &Entry, host: HostIndex) -> bool {
        if let Entry::Start(start) = entry {
            if self.find(visit).is_none() {
                self.restore_start(visit, place.lsn, start, host);
            }
            return true;
        }
        let found = self.find(visit);
        if let Entry::End(_) = entry {
            // What was carried of it until then counts no more.
            self.carrying.remove(&visit);
        }
        if let Entry::End(end) = entry
            && end.reason.bars_rejoin()
        {
            // Also of a session whose start is in a segment that is gone.
            let rules = found.map_or(&self.config.rules[0], |index| self.rules(index));
            let until = end.closed_at.after(rules.max_age);
            self.tombs.add(Tombstone { visit, reason: end.reason, closed_at: end.closed_at, until });
        }
        let Some(index) = found else { return false };
        let head = self.heads.at_mut(index);
        head.last = place.lsn;
        if place.confirms {
            head.flags.confirm(true);
        }
        match entry {
            Entry::Start(_) => {}
            Entry::Event(event) => {
                head.events = head.events.saturating_add(1);
                head.journal(event.activity());
            }
            Entry::Touch { at, slides } => {
                if *slides {
                    head.journal(*at);
                }
            }
            Entry::Set { at, fields } => {
                head.journal(*at);
                let data = Arc::make_mut(head.data.get_or_insert_default());
                let values = Arc::make_mut(&mut data.values);
                for (key, value) in fields {
                    match value {
                        Some(value) => values.insert(key.clone(), value.clone()),
                        None => values.remove(key),
                    };
                }
            }
            Entry::Rotate { at, rotation, user } => {
                head.journal(*at);
                head.rotation = *rotation;
                head.rotated_at_s = u32::try_from(at.secs()).unwrap_or(0);
                Arc::make_mut(head.data.get_or_insert_default()).user = user.clone();
            }
            Entry::End(_) => self.remove(index),
        }
        true
    }

    fn restore_start(&mut self, visit: VisitId, lsn: Lsn, start: &Start, host: HostIndex) {
        let head = Head {
            first: lsn,
            last: lsn,
            ..Head::new(visit, start.at, start.fingerprint, host, self.config.rules_of(&start.host), start.identity)
        };
        self.insert(head, start.at);
    }

    /// Sees an entry again that was carried forward. A chain moves to its copies only when the last of them has been
    /// seen, which `is_last` says; nothing else of the session changes. Where the originals are gone, the copies are
    /// all that there is: then they are seen as if they were the originals, but not before the last of them either. A
    /// crash may have cut this carrying short, and a later one be the one that counts.
    pub fn restore_carried(
        &mut self,
        visit: VisitId,
        place: Place,
        entry: &Entry,
        host: HostIndex,
        is_last: bool,
    ) -> bool {
        if !place.prev.is_some() {
            let copies = self.find(visit).is_none().then(Vec::new);
            self.carrying.insert(visit, Carrying { first: place.lsn, copies });
        }
        let Some(carrying) = self.carrying.get_mut(&visit) else { return false };
        if let Some(copies) = &mut carrying.copies {
            copies.push((place, entry.clone(), host));
        }
        if !is_last {
            return carrying.copies.is_none();
        }
        match self.carrying.remove(&visit) {
            Some(Carrying { copies: Some(copies), .. }) => {
                for (place, entry, host) in &copies {
                    self.restore(visit, *place, entry, *host);
                }
            }
            Some(Carrying { first, copies: None }) => {
                if let Some(index) = self.find(visit) {
                    let head = self.heads.at_mut(index);
                    (head.first, head.last) = (first, place.lsn);
                }
            }
            None => {}
        }
        true
    }

    /// A finally ended session that older segments knew of.
    pub fn restore_tombstone(&mut self, visit: VisitId, reason: EndReason, closed_at: Timestamp) {
        let until = closed_at.after(self.config.rules[0].max_age);
        self.tombs.add(Tombstone { visit, reason, closed_at, until });
    }

    /// All that was recorded has been seen. A touch may have been lost for as long as touches are apart: every
    /// session's last activity is padded by that, so that none ends early.
    pub fn restored(&mut self, now: Timestamp) {
        self.carrying.clear();
        let mut indexes: Vec<u32> = self.table.iter().copied().collect();
        // As they started, near enough, and not as they hash: who falls due together then stands together in the
        // journal, too, where the sinks read it.
        indexes.sort_unstable();
        for index in indexes {
            let head = self.heads.at_mut(index);
            head.in_flight = 0;
            if self.config.mutations.touch_padding() {
                let head = self.heads.at_mut(index);
                head.last_seen = head.journaled.after(limits::TOUCH_EVERY);
            }
            self.rearm(index, now);
        }
    }
}
