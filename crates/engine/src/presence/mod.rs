//! Who is online. Nothing of it is written down: after a restart it is what was heard since.
//!
//! A connection is a record, not a socket: a document that a session has open and whose script beats, or the session's
//! last request where no script tells. See `table` for how they are kept. Beats and requests come with the session's
//! shard held, and so does its end: nobody is online whose session has ended.
//!
//! A [`Feed`] tells whoever watches what has changed.

mod connections;
mod feed;
mod names;
mod row;
mod spokes;
mod table;
#[cfg(test)]
mod tests;
mod users;

use std::sync::Arc;
use std::time::Duration;

use visitlog_core::machine::HostIndex;
use visitlog_core::model::{Entry, EventKind, UserId};
use visitlog_core::ports::{Beat, BeatPace, PresenceCounts, Sign};
use visitlog_core::session::{Record, Session};
use visitlog_core::{Timestamp, VisitId, limits};

pub use self::feed::{Changes, Feed, Happened, Notice, Watching, What};
pub use self::row::{PresenceUse, Row};

use self::names::Page;
use self::table::{Moved, Seen, Table};
use self::users::Users;
use crate::config::SHARDS;
use crate::sync::Mutex;

/// Who is online, in shards as the sessions are.
#[derive(Debug)]
pub struct Presence {
    pace: BeatPace,
    tables: [Mutex<Table>; SHARDS],
    users: Users,
    feed: Arc<Feed>,
}

impl Presence {
    /// Nobody is online yet.
    pub fn new(pace: BeatPace, now: Timestamp) -> Self {
        Self {
            pace,
            tables: std::array::from_fn(|_| Mutex::new(Table::new(now, limits::PRESENCE_CONNECTIONS_MAX / SHARDS))),
            users: Users::default(),
            feed: Arc::default(),
        }
    }

    fn table(&self, visit: VisitId) -> &Mutex<Table> {
        &self.tables[usize::from(visit.partition()) % SHARDS]
    }

    /// A document of an open session says something. Returns until when its next beat is waited for. Called with the
    /// session's shard held.
    pub fn beat(
        &self,
        visit: VisitId,
        host: HostIndex,
        user: Option<&UserId>,
        beat: &Beat<'_>,
        now: Timestamp,
    ) -> Duration {
        let moved = self.table(visit).lock().beat(&Seen { visit, host, user, now }, beat, self.pace);
        self.moved(visit, moved);
        match beat.sign {
            Sign::Visible => self.pace.visible,
            _ => self.pace.hidden,
        }
    }

    /// These records of a session are about to be appended. Called with the session's shard held.
    pub(crate) fn decided(&self, session: &Session, host: HostIndex, now: Timestamp, records: &[Record]) {
        let visit = session.visit;
        let user = session.data.as_ref().and_then(|data| data.user.as_ref());
        let seen = Seen { visit, host, user, now };
        let (mut is_active, mut page) = (false, None);
        for record in records {
            self.feed.recorded(visit, host, user, &record.entry);
            match &record.entry {
                Entry::End(_) => {
                    let moved = self.table(visit).lock().end(visit);
                    return self.moved(visit, moved);
                }
                Entry::Event(event) if event.kind == EventKind::PageView => {
                    (is_active, page) = (true, Page::of(event));
                }
                Entry::Event(_) | Entry::Set { .. } | Entry::Rotate { .. } => is_active = true,
                Entry::Touch { slides, .. } => is_active |= slides,
                Entry::Start(_) | Entry::Withdraw { .. } => {}
            }
        }
        if is_active {
            let moved = self.table(visit).lock().request(&seen, page);
            self.moved(visit, moved);
        }
    }

    /// Lets those go of whom nothing was heard. To be called every second or more often.
    pub fn tick(&self, now: Timestamp) {
        for table in &self.tables {
            // In turns, so that beats get theirs in between.
            loop {
                let (gone, more) = table.lock().tick(now);
                for (visit, moved) in gone {
                    self.moved(visit, moved);
                }
                if !more {
                    break;
                }
            }
        }
    }

    /// Everybody, in no order that means anything.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for table in &self.tables {
            table.lock().rows(&mut rows);
        }
        rows
    }

    /// One session, if it is online.
    pub fn row(&self, visit: VisitId) -> Option<Row> {
        self.table(visit).lock().row(visit)
    }

    /// How many are online, by host. Kept, not counted.
    pub fn counts(&self) -> Vec<(HostIndex, PresenceCounts)> {
        let mut all = std::collections::BTreeMap::<HostIndex, PresenceCounts>::new();
        for table in &self.tables {
            for (host, counts) in table.lock().counts() {
                all.entry(host).or_default().add(&counts);
            }
        }
        for (host, users) in self.users.counts() {
            all.entry(host).or_default().users += users;
        }
        all.into_iter().filter(|(_, counts)| !counts.is_empty()).collect()
    }

    /// How much is kept.
    pub fn used(&self) -> PresenceUse {
        let mut used = PresenceUse::default();
        for table in &self.tables {
            table.lock().add_used(&mut used);
        }
        used
    }

    /// What has changed since, for whoever watches.
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn moved(&self, visit: VisitId, moved: Option<Moved>) {
        let Some(Moved { before, after }) = moved else { return };
        let who = |standing: &Option<table::Standing>| {
            standing.as_ref().and_then(|standing| Some((standing.host, standing.user.clone()?)))
        };
        self.users.moved(who(&before), who(&after));
        self.feed.changed(visit);
    }
}
