//! One visitor after another goes through the session rules, each in the order in which things happened.
//!
//! They are the rules of live traffic, in event time: before each request, time passes up to it, and what is overdue ends
//! at the moment at which it was due. What ended before the horizon is settled: no row that may still come can change it,
//! and it is handed out. All else waits for the next rows as the requests that it was made of, and is made again then.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::model::{
    EndedVisit, Entry, Event, EventKind, Identity, OpenVisit, RequestFacts, Start, StartFacts, UserId, Via, sort_events,
};
use visitlog_core::ports::{Class as Committing, Commit, Fresh, Op, RequestId, Standing, Token};
use visitlog_core::session::{self, Decision, Fate, In, Rules, Session};
use visitlog_core::{Day, Fingerprint, Host, Redacted, Timestamp, VisitId, Visitor, VisitorId};

use super::Visits;
use super::error::SessionsError;
use super::record::{Class, Facts, Key, Record};
use super::runs::{KeyBytes, Run, RunWriter};
use super::settings::SessionSettings;
use super::sites::{NO_SITE, Sites};

/// The least by which time has to pass a deadline: to end on it is too early.
const JUST_AFTER: Duration = Duration::from_micros(1);
/// Of a session that waits with more requests than this, those that leave nothing in it are thinned out.
const OTHERS_KEPT_MAX: usize = 10_000;
/// How far those that are kept then lie apart.
const OTHERS_APART: Duration = Duration::from_secs(1);

/// Up to when each site's visits are settled.
pub(super) type Settled<'a> = &'a (dyn Fn(&str) -> Timestamp + Sync);

/// What is the same for all visitors.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) settings: &'a SessionSettings,
    /// What each file is called in visits' ids.
    pub(super) files: &'a HashMap<u32, u128>,
    /// What sites are called.
    pub(super) sites: &'a Sites,
    /// `None`: everything ends.
    pub(super) settled: Option<Settled<'a>>,
}

/// What came of visitors' requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// Visitors.
    pub visitors: u64,
    /// Visits that are settled.
    pub ended: u64,
    /// Visits that wait for more requests, or for time to pass.
    pub open: u64,
    /// The first moment that a site's rows have to pass for one of these to be settled, where no more requests come.
    pub due: Option<Timestamp>,
}

impl Made {
    /// A visit more that waits.
    fn wait_until(&mut self, due: Timestamp) {
        self.open += 1;
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
    }
}

/// Folds visitors' requests into visits.
pub(super) struct Fold<'a, V> {
    common: Common<'a>,
    /// The visitor's session, if one is open.
    session: Option<Session>,
    decision: Decision,
    made: Making<'a>,
    visits: V,
    carry: Option<RunWriter>,
    visitor: Option<u128>,
    horizon: Timestamp,
    token: Option<Token>,
    /// The requests of the visitor that may have to wait, from the start of the first visit that is not settled.
    kept: Kept,
    scratch: Vec<u8>,
    counts: Made,
}

/// Requests as they came.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    records: Vec<(KeyBytes, usize, bool)>,
    others: usize,
}

/// The visit that is being made, and what the machine needs to know meanwhile.
struct Making<'a> {
    settings: &'a SessionSettings,
    /// As the request names it, and as visits do.
    site: Host,
    shown: Host,
    /// What the current request did, until when.
    activity: Timestamp,
    /// Bits for the ids of visits that the current request starts.
    seed: blake3::Hasher,
    drawn: u64,
    open: Option<Building>,
    /// Ended by the current request, or by time.
    ended: Vec<EndedVisit>,
}

struct Building {
    visit: VisitId,
    start: Start,
    site: Host,
    events: Vec<Event>,
    last: Timestamp,
}

impl<'a, V: Visits> Fold<'a, V> {
    pub(super) fn new(common: Common<'a>, visits: V, carry: Option<File>) -> Result<Self, SessionsError> {
        let settings = common.settings;
        Ok(Self {
            common,
            session: None,
            decision: Decision::default(),
            made: Making {
                settings,
                site: settings.default_site(),
                shown: common.sites.of(&settings.default_site()),
                activity: Timestamp::EPOCH,
                seed: blake3::Hasher::new(),
                drawn: 0,
                open: None,
                ended: Vec::new(),
            },
            visits,
            carry: carry.map(RunWriter::new).transpose()?,
            visitor: None,
            horizon: Timestamp::from_micros(i64::MAX),
            token: None,
            kept: Kept::default(),
            scratch: Vec::new(),
            counts: Made::default(),
        })
    }

    /// Takes the next request.
    pub(super) fn take(&mut self, key_bytes: &KeyBytes, payload: &[u8]) -> Result<(), SessionsError> {
        let key = Key::from_bytes(key_bytes);
        let record = Record::decode(payload).ok_or_else(|| SessionsError::damaged("a payload that is none"))?;
        if self.visitor != Some(key.visitor) {
            self.finish_visitor()?;
            self.visitor = Some(key.visitor);
            self.counts.visitors += 1;
        }
        if self.made.site.as_str() != record.site {
            self.made.site = Host::from_record(record.site);
            self.made.shown = self.common.sites.of(&self.made.site);
        }
        if let Some(settled) = self.common.settled {
            self.horizon = settled(record.site);
        }
        self.pass_time(key.time)?;
        let may_start = record.class.starts();
        if self.made.open.is_some() || may_start || key.time >= self.horizon {
            self.kept.push(key_bytes, payload, record.class == Class::Other, self.common.settled.is_some());
        }
        if self.made.open.is_some() || may_start {
            self.commit(key, record)?;
        }
        Ok(())
    }

    /// Ends the session that is open if it is overdue at `now`.
    fn pass_time(&mut self, now: Timestamp) -> Result<(), SessionsError> {
        let rules = &self.common.settings.rules;
        let Some(session) = &mut self.session else { return Ok(()) };
        let (deadline, _) = session.deadline(rules);
        if now <= deadline {
            return Ok(());
        }
        session::tick(session, deadline.after(JUST_AFTER), rules, &mut self.decision);
        self.decided();
        self.hand_out(deadline)
    }

    /// Carries out what was decided.
    fn decided(&mut self) {
        for record in self.decision.records.drain(..) {
            self.made.record(record.visit, record.entry);
        }
        match std::mem::take(&mut self.decision.fate) {
            Fate::Lives => {}
            Fate::Ended => self.session = None,
            Fate::Followed { by, ended } => self.session = (!ended).then_some(*by),
        }
        self.decision.clear();
    }

    /// Hands out what has ended, if it is settled: if `closed`, the last moment at which a request could have changed it,
    /// lies before the horizon.
    fn hand_out(&mut self, closed: Timestamp) -> Result<(), SessionsError> {
        if self.made.ended.is_empty() {
            return Ok(());
        }
        let is_settled = self.common.settled.is_none() || closed < self.horizon;
        for visit in self.made.ended.drain(..) {
            if is_settled {
                self.counts.ended += 1;
                self.visits.ended(visit).map_err(SessionsError::Output)?;
            } else {
                self.counts.wait_until(closed);
                self.visits.unsettled(visit).map_err(SessionsError::Output)?;
            }
        }
        if is_settled {
            // The request that ended it by another user's login has started the next one.
            self.kept.clear_but_last(self.made.open.is_some());
        }
        Ok(())
    }

    fn commit(&mut self, key: Key, record: Record<'_>) -> Result<(), SessionsError> {
        let Record { class, duration_us, facts, .. } = record;
        let now = key.time.after(Duration::from_micros(duration_us));
        let made = &mut self.made;
        made.activity = now;
        made.drawn = 0;
        made.seed.reset();
        let file = self.common.files.get(&key.file).copied().unwrap_or_default();
        made.seed.update(&file.to_le_bytes()).update(&key.offset.to_le_bytes());
        let visitor = Visitor::from_u128(key.visitor);
        let user = facts.as_ref().and_then(|facts| facts.user).map(UserId::new);
        let starts = made.open.is_none();
        // Another user's login starts a visit, too.
        let facts_of_start =
            facts.as_ref().filter(|_| starts || user.is_some()).map(|facts| made.start_facts(key, facts));
        let event = facts.as_ref().filter(|_| class != Class::Named);
        let event = event.map(|facts| self::event(class, key.time, duration_us, made.host(), facts));
        let class = match (class, event) {
            (Class::Page, Some(event)) => Committing::Page(event),
            (Class::PageError, Some(event)) => Committing::PageError(event),
            (_, event) => Committing::Other(event),
        };
        let visit = match &made.open {
            Some(building) => building.visit,
            None => VisitId::new(key.time, made.random(), visitor.partition()),
        };
        let mut commit = Commit {
            // Nobody asks twice: a log is read once.
            request: RequestId::from_u128(visit.as_u128()),
            at: key.time,
            host: made.site.clone(),
            token: self.token,
            fingerprint: Default::default(),
            standing: Standing::Fresh(Fresh { visit, visitor, succeeds: false, brings: false }),
            class,
            ops: user.map(Op::Login).into_iter().collect(),
            on_start: Vec::new(),
            facts: facts_of_start,
            cookies: true,
        };
        let random = if commit.logs_in() { made.random() } else { 0 };
        let (rules, out) = (Rules::same(&self.common.settings.rules), &mut self.decision);
        let committed = match &mut self.session {
            Some(session) => {
                let how = In::Live { current: true, held: false };
                session::commit(session, how, &mut commit, random, now, rules, out)
            }
            None => {
                let fingerprint = Fingerprint(key.visitor as u64);
                let start =
                    session::NewSession { visit, visitor, identity: Identity::Import, fingerprint, landed: None };
                let born = Day::of(now);
                self.token = Some(Token { visitor, visit: Some(visit), number: 0, rotation: 0, born });
                commit.token = None;
                let (session, committed) = session::start(start, &mut commit, false, random, now, rules, out);
                self.session = Some(session);
                committed
            }
        };
        self.decided();
        self.token = committed.issue.or(self.token);
        if let Some(building) = &mut self.made.open {
            building.last = building.last.max(now);
        }
        // A full visit, or another user's login: it ended with this request.
        self.hand_out(key.time.max(now))
    }

    /// The visitor's last request was seen.
    fn finish_visitor(&mut self) -> Result<(), SessionsError> {
        let Some(session) = &self.session else { return self.carry_on() };
        let (deadline, _) = session.deadline(&self.common.settings.rules);
        if self.common.settled.is_none() || deadline < self.horizon {
            self.pass_time(deadline.after(JUST_AFTER))?;
        } else if let (Some(session), Some(building)) = (self.session.take(), self.made.open.take()) {
            // It is made again with what comes: here it just goes.
            self.counts.wait_until(deadline);
            let user = session.data.as_ref().and_then(|data| data.user.clone());
            self.visits.open(building.open(user)).map_err(SessionsError::Output)?;
        }
        self.carry_on()
    }

    /// Leaves what has to wait for the next time, with no more of the address than is to be kept.
    fn carry_on(&mut self) -> Result<(), SessionsError> {
        self.token = None;
        let Some(carry) = &mut self.carry else {
            self.kept.clear();
            return Ok(());
        };
        let mut from = 0;
        for (key, to, _) in &self.kept.records {
            let payload = &self.kept.bytes[from..*to];
            from = *to;
            let mut record = Record::decode(payload).ok_or_else(|| SessionsError::damaged("a payload that is none"))?;
            if let Some(facts) = &mut record.facts {
                let settings = self.common.settings;
                facts.place.get_or_insert_with(|| facts.ip.and_then(|ip| settings.locate.place(ip)));
                facts.ip = facts.ip.and_then(|ip| settings.addresses.kept(ip));
            }
            self.scratch.clear();
            record.encode(&mut self.scratch);
            carry.push(key, &self.scratch)?;
        }
        self.kept.clear();
        Ok(())
    }

    /// All requests were seen.
    pub(super) fn finish(mut self) -> Result<(V, Option<Run>, Made), SessionsError> {
        self.finish_visitor()?;
        let carried = self.carry.map(RunWriter::finish).transpose()?;
        Ok((self.visits, carried, self.counts))
    }
}

impl Kept {
    fn clear_but_last(&mut self, keep_last: bool) {
        let last = self.records.last().copied().filter(|_| keep_last);
        let from = self.records.len().checked_sub(2).map_or(0, |before| self.records[before].1);
        let payload = self.bytes.split_off(from);
        self.clear();
        if let Some((key, _, is_other)) = last {
            self.push(&key, &payload, is_other, true);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.others = 0;
    }

    fn push(&mut self, key: &KeyBytes, payload: &[u8], is_other: bool, is_wanted: bool) {
        if !is_wanted {
            return;
        }
        let time = Key::from_bytes(key).time;
        if is_other && self.others >= OTHERS_KEPT_MAX && self.follows_closely(time) {
            return;
        }
        self.others += usize::from(is_other);
        self.bytes.extend_from_slice(payload);
        self.records.push((*key, self.bytes.len(), is_other));
    }

    fn follows_closely(&self, time: Timestamp) -> bool {
        self.records
            .last()
            .is_some_and(|(key, _, is_other)| *is_other && time.since(Key::from_bytes(key).time) < OTHERS_APART)
    }
}

impl Making<'_> {
    fn start_facts(&self, key: Key, facts: &Facts<'_>) -> Box<StartFacts> {
        let settings = self.settings;
        let place = match &facts.place {
            Some(place) => place.clone(),
            None => facts.ip.and_then(|ip| settings.locate.place(ip)),
        };
        Box::new(StartFacts {
            visitor_id: VisitorId::from_u128(key.visitor),
            ip: Redacted::new(facts.ip.and_then(|ip| settings.addresses.kept(ip))),
            user_agent: Redacted::new(facts.user_agent.map(Into::into)),
            language: None,
            referrer: facts.referrer.map(Into::into),
            via: Via::Log,
            place,
            hints: None,
        })
    }
}

impl Building {
    fn open(mut self, user: Option<UserId>) -> OpenVisit {
        sort_events(&mut self.events);
        OpenVisit {
            visit: self.visit,
            start: self.start,
            site: self.site.as_str().into(),
            last_seen: self.last,
            confirmed: false,
            user,
            values: Arc::default(),
            events: self.events,
        }
    }
}

fn event(class: Class, time: Timestamp, duration_us: u64, site: &Host, facts: &Facts<'_>) -> Event {
    let kind = match class {
        Class::Page => EventKind::PageView,
        Class::PageError => EventKind::PageError,
        Class::Other | Class::Request | Class::Named => EventKind::Request,
    };
    let request = RequestFacts {
        host: Some(site.clone()),
        path: facts.path.into(),
        query: facts.query.map(Into::into),
        route: None,
        method: facts.method.into(),
        status: facts.status,
        duration_us,
        bytes: facts.bytes,
        referrer: facts.referrer.map(Into::into),
    };
    Event { time, kind, name: None, type_: None, request: Some(Box::new(request)), properties: None }
}

impl Making<'_> {
    fn record(&mut self, visit: VisitId, entry: Entry) {
        match entry {
            Entry::Start(start) => {
                let (site, last) = (self.shown.clone(), self.activity);
                self.open = Some(Building { visit, start: *start, site, events: Vec::new(), last });
            }
            Entry::Event(event) => {
                if let Some(building) = &mut self.open {
                    building.events.push(event);
                    building.last = building.last.max(self.activity);
                }
            }
            Entry::End(end) => {
                if let Some(mut building) = self.open.take() {
                    let mut end = *end;
                    // The rules may lack the last second, for a journal's sake; a log tells each request.
                    end.ended_at = end.ended_at.max(building.last);
                    end.site = building.site.as_str().into();
                    sort_events(&mut building.events);
                    let Building { visit, start, events, .. } = building;
                    self.ended.push(EndedVisit { visit, start, end, events, redelivered: false });
                }
            }
            // Nobody lands in a shared session by a log: it has no token.
            Entry::Set { .. } | Entry::Touch { .. } | Entry::Rotate { .. } | Entry::Withdraw { .. } => {}
        }
    }

    /// The host that was asked for: where the log does not tell it, the site's.
    fn host(&self) -> &Host {
        if self.site.as_str() == NO_SITE { &self.shown } else { &self.site }
    }

    fn random(&mut self) -> u128 {
        self.drawn += 1;
        let mut seed = self.seed.clone();
        let hash = seed.update(&self.drawn.to_le_bytes()).finalize();
        u128::from_be_bytes(std::array::from_fn(|at| hash.as_bytes()[at]))
    }
}
