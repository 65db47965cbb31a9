//! A store in memory, for tests: sessions that are told what happens to them, and the books of what was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use visitlog_core::model::{EndedVisit, Entry, Event, Gathered, Identity, OpenVisit, Start};
use visitlog_core::ports::{Carried, Hold, LiveError, LiveSource, Tail, TailRecord};
use visitlog_core::{Lsn, VisitId};

/// Positions are so far apart.
const STEP: u64 = 100;

/// What was told of a visit.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) visit: OpenVisit,
    pub(crate) end: Option<(Lsn, EndedVisit)>,
    /// All events that were recorded, and what took some of them back.
    recorded: Vec<Event>,
    withdrawn: Vec<Entry>,
    /// Its chain, as it stands now.
    first: Lsn,
    last: Lsn,
}

#[derive(Default)]
struct Inner {
    records: BTreeMap<u64, TailRecord>,
    newest: u64,
    oldest: u64,
    told: BTreeMap<VisitId, Told>,
    /// Ends up to here are needed no more.
    acknowledged: Lsn,
    sites: BTreeSet<String>,
    chains_read: usize,
}

/// See the module.
#[derive(Default)]
pub(crate) struct FakeStore {
    inner: Mutex<Inner>,
    held: Arc<()>,
}

impl Told {
    /// Which events count.
    fn count(&mut self) {
        let mut events = Gathered::default();
        let recorded = self.recorded.iter().cloned().map(Entry::Event);
        for entry in recorded.chain(self.withdrawn.iter().cloned()) {
            events.see(entry);
        }
        self.visit.events = events.into_recorded();
    }

    /// Whether it is a visit at all: not if clients shared it, and none of them has left anything in it.
    pub(crate) fn is_visit(&self) -> bool {
        self.visit.start.identity != Identity::Fingerprint || !self.visit.events.is_empty()
    }

    /// How many events were recorded.
    pub(crate) fn recorded(&self) -> usize {
        self.recorded.len()
    }
}

impl Inner {
    fn push(&mut self, visit: VisitId, prev: Lsn, carried: Carried, confirms: bool, entry: Entry) -> Lsn {
        self.newest += STEP;
        let lsn = Lsn(self.newest);
        self.records.insert(lsn.0, TailRecord { lsn, prev, visit, confirms, carried, entry });
        lsn
    }

    fn chain(&self, last: Lsn) -> Result<Vec<TailRecord>, LiveError> {
        let (mut chain, mut next) = (Vec::new(), last);
        while next.is_some() {
            let gone = LiveError::Collected { from: next, oldest: Lsn(self.oldest) };
            let record = self.records.get(&next.0).ok_or(gone)?;
            chain.push(record.clone());
            next = record.prev;
        }
        chain.reverse();
        Ok(chain)
    }
}

impl FakeStore {
    pub(crate) fn start(&self, visit: VisitId, start: Start) {
        let mut inner = self.inner.lock();
        let at = start.at;
        let lsn = inner.push(visit, Lsn::NONE, Carried::No, false, Entry::Start(Box::new(start.clone())));
        let open = OpenVisit {
            visit,
            start,
            site: "other".into(),
            last_seen: at,
            confirmed: false,
            user: None,
            values: Arc::default(),
            events: Vec::new(),
        };
        inner.told.insert(
            visit,
            Told { visit: open, end: None, recorded: Vec::new(), withdrawn: Vec::new(), first: lsn, last: lsn },
        );
    }

    /// Something else that happens to an open session.
    pub(crate) fn tell(&self, visit: VisitId, confirms: bool, entry: Entry) {
        let mut inner = self.inner.lock();
        let Some(told) = inner.told.get(&visit).filter(|told| told.end.is_none()) else { return };
        let prev = told.last;
        let lsn = inner.push(visit, prev, Carried::No, confirms, entry.clone());
        let told = inner.told.get_mut(&visit).expect("it is there");
        told.last = lsn;
        let open = &mut told.visit;
        open.confirmed |= confirms;
        let mut seen = |at| open.last_seen = open.last_seen.max(at);
        match entry {
            Entry::Start(_) => panic!("it has started"),
            Entry::Event(event) => {
                seen(event.activity());
                told.recorded.push(event);
                told.count();
            }
            Entry::Touch { at, .. } => seen(at),
            Entry::Set { at, fields } => {
                seen(at);
                let values = Arc::make_mut(&mut open.values);
                for (key, value) in fields {
                    values.insert(key, value.expect("the tests remove none"));
                }
            }
            Entry::Rotate { at, user, .. } => {
                seen(at);
                open.user = user;
            }
            Entry::Withdraw { .. } => {
                told.withdrawn.push(entry);
                told.count();
            }
            Entry::End(end) => {
                let (visit, start) = (open.visit, open.start.clone());
                let mut events = open.events.clone();
                visitlog_core::model::sort_events(&mut events);
                told.end = Some((lsn, EndedVisit { visit, start, end: *end, events, redelivered: false }));
            }
        }
    }

    /// Writes a session's chain again.
    pub(crate) fn carry(&self, visit: VisitId, cut_short: bool) {
        let mut inner = self.inner.lock();
        let Some(told) = inner.told.get(&visit).filter(|told| told.end.is_none()) else { return };
        let chain = inner.chain(told.last).expect("kept");
        let (mut first, mut last, count) = (Lsn::NONE, Lsn::NONE, chain.len());
        for (at, record) in chain.into_iter().enumerate() {
            let is_last = at + 1 == count;
            if is_last && cut_short {
                return;
            }
            let carried = if is_last { Carried::Last } else { Carried::Copy };
            last = inner.push(visit, last, carried, record.confirms, record.entry);
            first = if first.is_some() { first } else { last };
        }
        let told = inner.told.get_mut(&visit).expect("it is there");
        (told.first, told.last) = (first, last);
    }

    /// A host has become a site.
    pub(crate) fn site_is_known(&self, host: &str) {
        self.inner.lock().sites.insert(host.to_owned());
    }

    /// The tables have all that ended up to here.
    pub(crate) fn acknowledge(&self, upto: Lsn) {
        self.inner.lock().acknowledged = upto;
    }

    /// Forgets what nobody needs.
    pub(crate) fn collect(&self) {
        let held = Arc::strong_count(&self.held) > 1;
        let mut inner = self.inner.lock();
        if held {
            return;
        }
        let oldest = inner.bound();
        inner.oldest = oldest;
        inner.records = inner.records.split_off(&oldest);
    }

    /// All that was told.
    pub(crate) fn told(&self) -> Vec<Told> {
        let inner = self.inner.lock();
        let site = |told: &Told| {
            let mut told = told.clone();
            told.visit.site = inner.site_of(&told).into();
            visitlog_core::model::sort_events(&mut told.visit.events);
            told
        };
        inner.told.values().map(site).collect()
    }

    pub(crate) fn chains_read(&self) -> usize {
        self.inner.lock().chains_read
    }
}

impl Inner {
    fn bound(&self) -> u64 {
        let needed = |told: &&Told| told.end.as_ref().is_none_or(|(end, _)| *end > self.acknowledged);
        let firsts = self.told.values().filter(needed).map(|told| told.first.0);
        firsts.min().unwrap_or(self.newest + STEP).max(self.oldest)
    }

    fn site_of(&self, told: &Told) -> &str {
        self.sites.get(told.visit.start.host.as_str()).map_or("other", String::as_str)
    }
}

impl LiveSource for FakeStore {
    fn newest(&self) -> Lsn {
        Lsn(self.inner.lock().newest + STEP)
    }

    fn oldest(&self) -> Lsn {
        Lsn(self.inner.lock().bound())
    }

    fn read(&self, from: Lsn, bytes: usize) -> Result<Tail, LiveError> {
        let inner = self.inner.lock();
        if from.0 < inner.oldest {
            return Err(LiveError::Collected { from, oldest: Lsn(inner.oldest) });
        }
        let count = (bytes / STEP as usize).max(1);
        let records: Vec<_> = inner.records.range(from.0..).take(count).map(|(_, record)| record.clone()).collect();
        let next = records.last().map_or(inner.newest.max(from.0 - STEP), |record| record.lsn.0) + STEP;
        Ok(Tail { records, next: Lsn(next), unreadable: 0 })
    }

    fn chains(&self, ends: &[(VisitId, Lsn)]) -> Vec<Result<Vec<TailRecord>, LiveError>> {
        let mut inner = self.inner.lock();
        inner.chains_read += ends.len();
        ends.iter().map(|(_, last)| inner.chain(*last)).collect()
    }

    fn hold(&self) -> Hold {
        let _inner = self.inner.lock();
        Hold::new(Arc::clone(&self.held))
    }

    fn site(&self, visit: VisitId) -> Option<Box<str>> {
        let inner = self.inner.lock();
        let told = inner.told.get(&visit).filter(|told| told.end.is_none())?;
        Some(inner.site_of(told).into())
    }

    fn sites_known(&self) -> usize {
        self.inner.lock().sites.len()
    }
}

/// A page view at a moment.
pub(crate) fn page(like: &Event, at: visitlog_core::Timestamp, path: &str) -> Entry {
    let mut event = like.clone();
    event.time = at;
    if let Some(request) = &mut event.request {
        request.path = path.into();
    }
    Entry::Event(event)
}
