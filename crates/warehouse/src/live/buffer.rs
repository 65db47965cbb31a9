//! The buffer itself: follows the tail, keeps a [`Session`] for each visit, and their rows in chunks.
//!
//! A visit's rows are in one chunk. When it has changed and somebody asks, they are written again in a new one, and
//! struck out where they were; so a question costs what has changed, not what is there. Chunks of about one size are
//! merged, so that there are few. When all of it takes too much memory, the chunk with the most bytes of events lets
//! them go: they are read from the journal for whoever needs them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use visitlog_core::machine::Sites;
use visitlog_core::model::Entry;
use visitlog_core::ports::{Follow, LiveError, LiveSource, Seen, TailRecord};
use visitlog_core::{Lsn, VisitId};

use super::chunk::Chunk;
use super::session::{Place, Session};
use super::{LiveCounts, LiveFault, LiveSettings};
use visitlog_enrich::Enricher;

/// Read at a time.
const READ_BYTES: usize = 1024 * 1024;
/// Events that may wait to be written in rows, at least. Rows are written again for each visit that has some, so the
/// more wait the better, up to a quarter of the budget.
const PENDING_MIN: usize = 4 * 1024;
/// About what a [`Session`] takes, its place in the map included.
const SESSION_BYTES: usize = 512;
/// About what an event takes that is not in rows yet.
const PENDING_BYTES: usize = 400;

/// A chunk, and which of its rows count.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) chunk: Arc<Chunk>,
    pub(super) live: Arc<Vec<bool>>,
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Kept {
    pub(super) fn new(chunk: Chunk) -> Self {
        let (count, bytes) = (chunk.ids.len(), chunk.bytes());
        Self { chunk: Arc::new(chunk), live: Arc::new(vec![true; count]), count, bytes }
    }
}

/// See the module.
pub(super) struct Buffer {
    pub(super) source: Arc<dyn LiveSource>,
    pub(super) enricher: Arc<Enricher>,
    pub(super) node: Option<Arc<str>>,
    settings: LiveSettings,
    /// Where to read on.
    next: Option<Lsn>,
    follow: Follow,
    pub(super) sessions: HashMap<VisitId, Session>,
    /// Of the visits that have ended.
    ends: BTreeMap<Lsn, VisitId>,
    /// Visits whose rows are not what they should be.
    changed: Vec<VisitId>,
    pending: usize,
    pub(super) chunks: BTreeMap<u64, Kept>,
    pub(super) next_chunk: u64,
    sites_known: usize,
    other: Arc<str>,
    /// Visits that ended up to here are in the tables.
    flushed: Lsn,
    pub(super) counts: LiveCounts,
}

impl Buffer {
    pub(super) fn new(
        source: Arc<dyn LiveSource>,
        enricher: Arc<Enricher>,
        node: Option<Arc<str>>,
        settings: LiveSettings,
    ) -> Self {
        // Without tables nobody waits for the ended ones.
        let flushed = if settings.has_tables { Lsn::NONE } else { Lsn(u64::MAX) };
        Self {
            source,
            enricher,
            node,
            settings,
            next: None,
            follow: Follow::default(),
            sessions: HashMap::new(),
            ends: BTreeMap::new(),
            changed: Vec::new(),
            pending: 0,
            chunks: BTreeMap::new(),
            next_chunk: 1,
            sites_known: 0,
            other: Sites::OTHER.into(),
            flushed,
            counts: LiveCounts::default(),
        }
    }

    /// The position behind the last record that it knows.
    pub(super) fn next(&self) -> Lsn {
        self.next.unwrap_or_default()
    }

    /// Forgets everything, to read it again.
    pub(super) fn restart(&mut self) {
        self.next = None;
        self.follow = Follow::default();
        self.sessions.clear();
        self.ends.clear();
        self.changed.clear();
        self.chunks.clear();
        (self.pending, self.sites_known) = (0, 0);
        self.counts.restarts += 1;
    }

    /// Sees all that has been recorded so far.
    pub(super) fn catch_up(&mut self) -> Result<(), LiveFault> {
        let newest = self.source.newest();
        loop {
            let from = *self.next.get_or_insert_with(|| self.source.oldest());
            if from >= newest {
                return Ok(());
            }
            match self.source.read(from, READ_BYTES) {
                Ok(tail) if tail.next == from => return Ok(()),
                Ok(tail) => {
                    self.counts.records += tail.records.len() as u64;
                    self.counts.unreadable += tail.unreadable;
                    tail.records.into_iter().for_each(|record| self.see(record));
                    self.next = Some(tail.next);
                }
                Err(LiveError::Collected { .. }) => self.restart(),
                Err(error) => return Err(error.into()),
            }
            if self.pending > PENDING_MIN.max(self.settings.bytes_max / 4 / PENDING_BYTES) {
                self.write_rows()?;
            }
        }
    }

    fn see(&mut self, record: TailRecord) {
        let Self { follow, sessions, ends, changed, pending, other, flushed, .. } = self;
        let known = sessions.get(&record.visit).is_some_and(|session| session.end.is_none());
        let mut gone = None;
        follow.see(record, known, |seen| {
            let record = match seen {
                Seen::Entry(record) => record,
                Seen::Moved { visit, last, .. } => {
                    if let Some(session) = sessions.get_mut(&visit) {
                        session.last = last;
                    }
                    return;
                }
            };
            let visit = record.visit;
            let session = if let Entry::Start(start) = &record.entry {
                let start = start.clone();
                sessions.entry(visit).or_insert_with(|| Session::new(&record, start, Arc::clone(other)))
            } else {
                let Some(session) = sessions.get_mut(&visit) else { return };
                *pending += usize::from(session.see(record));
                session
            };
            if let Some(end) = session.end {
                ends.insert(end.lsn, visit);
                gone = (end.lsn <= *flushed).then_some(end.lsn);
            }
            if !session.changed {
                session.changed = true;
                changed.push(visit);
            }
        });
        if let Some(end) = gone {
            self.forget(end);
        }
    }

    /// The tables have all visits that ended up to here.
    pub(super) fn flushed(&mut self, upto: Lsn) {
        self.flushed = self.flushed.max(upto);
        while let Some((end, _)) = self.ends.first_key_value()
            && *end <= self.flushed
        {
            let end = *end;
            self.forget(end);
        }
    }

    fn forget(&mut self, end: Lsn) {
        let Some(session) = self.ends.remove(&end).and_then(|visit| self.sessions.remove(&visit)) else { return };
        self.pending = self.pending.saturating_sub(session.pending.len());
        if let Some(place) = session.place {
            self.strike(place);
        }
    }

    /// The rows there count no more.
    pub(super) fn strike(&mut self, place: Place) {
        let Some(kept) = self.chunks.get_mut(&place.chunk) else { return };
        if std::mem::replace(&mut Arc::make_mut(&mut kept.live)[place.row], false) {
            kept.count -= 1;
        }
        if kept.count == 0 {
            self.chunks.remove(&place.chunk);
        }
    }

    /// Brings the rows up to date.
    pub(super) fn write_rows(&mut self) -> Result<(), LiveFault> {
        let result = self.try_write_rows();
        if result.is_err() {
            // Half of it may be done.
            self.restart();
        }
        result
    }

    fn try_write_rows(&mut self) -> Result<(), LiveFault> {
        self.look_at_sites();
        let sessions = &self.sessions;
        let mut changed = std::mem::take(&mut self.changed);
        changed.retain(|visit| sessions.get(visit).is_some_and(|session| session.changed));
        // Ids begin with the time: visits that started together stay together.
        changed.sort_unstable();
        changed.dedup();
        let outdated: Vec<VisitId> = changed.iter().copied().filter(|visit| sessions[visit].outdated).collect();
        self.read_again(&outdated)?;
        // Their former rows were struck as they were read again.
        changed.retain(|visit| {
            let session = self.sessions.get_mut(visit).filter(|session| session.is_empty);
            session.map(|session| session.changed = false).is_none()
        });
        let (let_go, whole): (Vec<_>, Vec<_>) = changed.into_iter().partition(|visit| self.sessions[visit].let_go);
        self.write_chunk(&whole, true)?;
        self.write_chunk(&let_go, false)?;
        self.pending = 0;
        self.merge_chunks()?;
        self.fit();
        Ok(())
    }

    /// Asks for the sites of those that are not in rows yet, and of those without one when there are new ones.
    fn look_at_sites(&mut self) {
        let known = self.source.sites_known();
        let more = std::mem::replace(&mut self.sites_known, known) != known;
        let mut names: HashMap<Box<str>, Arc<str>> = HashMap::new();
        let visits = if more { self.sessions.keys().copied().collect() } else { self.changed.clone() };
        for visit in visits {
            let Some(session) = self.sessions.get_mut(&visit).filter(|session| session.end.is_none()) else { continue };
            let is_new = session.place.is_none();
            if !(is_new || more) || *session.site != *self.other {
                continue;
            }
            let Some(site) = self.source.site(session.visit).filter(|site| **site != *self.other) else { continue };
            let name = names.entry(site).or_insert_with_key(|site| Arc::from(&**site));
            session.set_site(name);
            if !std::mem::replace(&mut session.changed, true) {
                self.changed.push(session.visit);
            }
        }
    }

    /// Lets events go until the rest fits.
    fn fit(&mut self) {
        let mut bytes = self.bytes();
        if bytes <= self.settings.bytes_max {
            return;
        }
        while bytes > self.settings.bytes_max / 8 * 7 {
            let events = |(at, kept): (&u64, &Kept)| (kept.chunk.event_bytes(), *at);
            let Some((most, at)) = self.chunks.iter().map(events).max().filter(|(most, _)| *most > 0) else { return };
            let Some(kept) = self.chunks.get_mut(&at) else { return };
            for (visit, _) in kept.chunk.ids.iter().zip(&*kept.live).filter(|(_, live)| **live) {
                if let Some(session) = self.sessions.get_mut(visit) {
                    session.let_go = true;
                }
            }
            let Chunk { ids, ends, visits, .. } = &*kept.chunk;
            let rest = Chunk { ids: ids.clone(), ends: ends.clone(), visits: visits.clone(), events: None };
            kept.bytes = rest.bytes();
            kept.chunk = Arc::new(rest);
            self.counts.let_go += kept.count as u64;
            bytes = bytes.saturating_sub(most);
        }
    }

    /// About how much memory all of it takes.
    pub(super) fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.values().map(|kept| kept.bytes).sum();
        chunks + self.sessions.len() * SESSION_BYTES + self.pending * PENDING_BYTES
    }
}
