//! What the buffer keeps of a visit beside its rows: what later records can change, and what is not in rows yet.

use std::sync::Arc;

use visitlog_core::model::{EndReason, Entry, Event, EventKind, Identity, Start, UserId, Values};
use visitlog_core::ports::TailRecord;
use visitlog_core::{Lsn, Timestamp, VisitId};

/// Where a visit's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: u64,
    pub(super) row: usize,
}

/// How a visit ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) lsn: Lsn,
    pub(super) reason: EndReason,
    pub(super) ended_at: Timestamp,
    pub(super) closed_at: Timestamp,
}

/// A page view, as far as its visit's row shows it.
#[derive(Debug, Clone)]
pub(super) struct View {
    time: Timestamp,
    pub(super) path: Box<str>,
    pub(super) query: Option<Box<str>>,
}

/// What a visit's events come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) page_views: i32,
    pub(super) actions: i32,
    pub(super) errors: i32,
    /// The first page view's.
    pub(super) entry: Option<View>,
    /// The last page view's.
    pub(super) exit: Option<View>,
    /// The time of the first event that is a request: it decides where the visit came from.
    pub(super) first_request: Option<Timestamp>,
}

/// A visit in the buffer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) visit: VisitId,
    /// Its newest record.
    pub(super) last: Lsn,
    pub(super) started_at: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) site: Arc<str>,
    pub(super) confirmed: bool,
    pub(super) user: Option<UserId>,
    pub(super) values: Arc<Values>,
    pub(super) end: Option<Ended>,
    pub(super) tally: Tally,
    /// As long as it is needed to enrich the visit: until its first request is known.
    pub(super) start: Option<Box<Start>>,
    /// Events that are not in rows yet, in the order in which they were recorded.
    pub(super) pending: Vec<Event>,
    pub(super) place: Option<Place>,
    /// Its rows are not what they should be.
    pub(super) changed: bool,
    /// Clients of a fingerprint share it, and nothing is in it yet, or all has gone along with them: it has no rows.
    pub(super) is_empty: bool,
    /// Its events are in the journal only.
    pub(super) let_go: bool,
    /// Its rows say that it is a bot by its headers, which a returned cookie may outweigh.
    pub(super) is_bot_by_headers: bool,
    /// What is in rows was made of the wrong first request, for another site or without the cookie: all of it is to be
    /// read again.
    pub(super) outdated: bool,
}

impl Session {
    /// A visit that starts.
    pub(super) fn new(record: &TailRecord, start: Box<Start>, site: Arc<str>) -> Self {
        let is_empty = start.identity == Identity::Fingerprint;
        Self {
            visit: record.visit,
            last: record.lsn,
            started_at: start.at,
            last_seen: start.at,
            site,
            confirmed: record.confirms,
            user: None,
            values: Arc::default(),
            end: None,
            tally: Tally::default(),
            start: Some(start),
            pending: Vec::new(),
            place: None,
            changed: false,
            is_empty,
            let_go: false,
            is_bot_by_headers: false,
            outdated: false,
        }
    }

    /// Its next record, which is no start. True if there is an event more that is not in rows.
    pub(super) fn see(&mut self, record: TailRecord) -> bool {
        self.last = record.lsn;
        if record.confirms {
            self.confirm();
        }
        match record.entry {
            Entry::Start(_) => {}
            Entry::Event(event) => return self.event(event),
            Entry::Withdraw { .. } => self.outdated = true,
            Entry::Touch { at, slides } => {
                if slides {
                    self.seen(at);
                }
            }
            Entry::Set { at, fields } => {
                self.seen(at);
                let values = Arc::make_mut(&mut self.values);
                for (key, value) in fields {
                    match value {
                        Some(value) => values.insert(key, value),
                        None => values.remove(&key),
                    };
                }
            }
            Entry::Rotate { at, user, .. } => {
                self.seen(at);
                self.user = user;
            }
            Entry::End(end) => {
                self.last_seen = end.ended_at;
                if end.confirmed {
                    self.confirm();
                }
                self.user = end.user;
                self.values = end.values;
                self.set_site(&end.site);
                self.end = Some(Ended {
                    lsn: record.lsn,
                    reason: end.reason,
                    ended_at: end.ended_at,
                    closed_at: end.closed_at,
                });
            }
        }
        false
    }

    /// The site that it counts to now.
    pub(super) fn set_site(&mut self, site: &str) {
        if *self.site != *site {
            self.site = site.into();
            // Its enrichment may be another: what is a referral from outside depends on the site.
            self.outdated |= self.start.is_none();
        }
    }

    /// The client has returned our cookie.
    fn confirm(&mut self) {
        self.outdated |= !self.confirmed && self.is_bot_by_headers && self.start.is_none();
        self.confirmed = true;
    }

    fn seen(&mut self, at: Timestamp) {
        self.last_seen = self.last_seen.max(at);
    }

    fn event(&mut self, event: Event) -> bool {
        self.seen(event.activity());
        self.is_empty = false;
        if self.tally.add(&event) {
            // Of one whose events are let go, this event will not be at hand when it is enriched.
            self.outdated |= self.start.is_none() || self.let_go;
        }
        if self.let_go {
            return false;
        }
        self.pending.push(event);
        true
    }

    /// All of its chain was read again: how it started, and the events that count.
    pub(super) fn read_again(&mut self, start: Option<Box<Start>>, events: Vec<Event>) {
        self.is_empty =
            events.is_empty() && start.as_ref().is_some_and(|start| start.identity == Identity::Fingerprint);
        self.start = start.or(self.start.take());
        self.tally = Tally::default();
        for event in &events {
            self.tally.add(event);
        }
        self.pending = events;
        self.outdated = false;
    }

    /// How long it has lasted, in milliseconds: until its end, or until it was seen last.
    pub(super) fn duration_ms(&self) -> i64 {
        let until = self.end.map_or(self.last_seen, |end| end.ended_at);
        i64::try_from(until.since(self.started_at).as_millis()).unwrap_or(i64::MAX)
    }
}

impl Tally {
    /// One event more. Whether it is the first one that is a request.
    fn add(&mut self, event: &Event) -> bool {
        match event.kind {
            EventKind::PageView => self.page_view(event),
            EventKind::Action => self.actions += 1,
            _ => {}
        }
        let Some(request) = &event.request else { return false };
        self.errors += i32::from(request.status >= 500);
        let is_first = self.first_request.is_none_or(|first| event.time < first);
        if is_first {
            self.first_request = Some(event.time);
        }
        is_first
    }

    fn page_view(&mut self, event: &Event) {
        self.page_views += 1;
        let Some(request) = &event.request else { return };
        let view = || View { time: event.time, path: request.path.clone(), query: request.query.clone() };
        if self.entry.as_ref().is_none_or(|first| event.time < first.time) {
            self.entry = Some(view());
        }
        // The later recorded of two at one moment comes later.
        if self.exit.as_ref().is_none_or(|last| event.time >= last.time) {
            self.exit = Some(view());
        }
    }
}
