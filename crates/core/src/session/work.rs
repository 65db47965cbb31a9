//! A request's work in a session: login or values, actions, page view, then logout or abandon.

use super::decision::{Change, Decision, Fate};
use super::ending::end;
use super::start::{NewSession, begin};
use super::state::Session;
use super::values::{Changed, incremented};
use crate::ids::{VisitId, Visitor};
use crate::limits;
use crate::model::{Brings, EndReason, Entry, Event, EventKind, Identity, UserId};
use crate::ports::{Class, Commit, Op, Token};
use crate::rules::SiteRules;
use crate::time::Timestamp;

/// The rules that a commit goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Those of the session.
    pub session: &'a SiteRules,
    /// Those of the host that the request named: what starts now follows them.
    pub host: &'a SiteRules,
}

impl<'a> Rules<'a> {
    /// The same for both.
    pub const fn same(rules: &'a SiteRules) -> Self {
        Self { session: rules, host: rules }
    }
}

/// What has been decided so far about one commit.
pub(super) struct Work<'a> {
    pub(super) session: &'a mut Session,
    pub(super) now: Timestamp,
    pub(super) rules: Rules<'a>,
    /// Bits for the id of the visit that another user's login starts.
    pub(super) random: u128,
    pub(super) out: &'a mut Decision,
    /// Whether the request began with the current token, or has logged in since: what it writes counts.
    pub(super) trusted: bool,
    /// Whether that token is still current: only then may its client get a newer one.
    pub(super) entitled: bool,
    pub(super) rotated: bool,
    pub(super) refused: u32,
    pub(super) goodbye: Option<EndReason>,
    logout: bool,
    changed: Changed,
    /// Who follows the token's visitor, if that one is too old.
    pub(super) successor: Option<Visitor>,
    /// The session that another user's login ended.
    before: Option<Session>,
}

impl<'a> Work<'a> {
    /// `current`: whether the request began with the current token.
    pub(super) fn new(
        session: &'a mut Session,
        current: bool,
        entitled: bool,
        now: Timestamp,
        rules: Rules<'a>,
        random: u128,
        out: &'a mut Decision,
    ) -> Self {
        Self {
            session,
            now,
            rules,
            random,
            out,
            trusted: current,
            entitled: current && entitled,
            rotated: false,
            refused: 0,
            goodbye: None,
            logout: false,
            changed: Changed::default(),
            successor: None,
            before: None,
        }
    }

    /// The order inside a request, once its session is known.
    pub(super) fn carry_out(&mut self, commit: &mut Commit) {
        let ops = std::mem::take(&mut commit.ops);
        self.refused += ops.len().saturating_sub(limits::OPS_PER_COMMIT_MAX) as u32;
        for op in ops.into_iter().take(limits::OPS_PER_COMMIT_MAX) {
            self.apply(op, commit);
        }
        self.flush();
        if let Class::Page(event) | Class::PageError(event) | Class::Other(Some(event)) =
            std::mem::replace(&mut commit.class, Class::Passive)
        {
            self.record(event);
        }
        if self.logout {
            self.log_out();
        }
        slide(self.session, self.now, self.out);
    }

    /// Ends the session if somebody said goodbye or the visit is full, and says what has become of which.
    pub(super) fn finish(self) {
        if let Some(reason) = self.reason() {
            end(self.session, reason, self.now, self.rules.session, self.out);
        }
        if let Some(before) = self.before {
            let ended = self.out.fate == Fate::Ended;
            let by = Box::new(std::mem::replace(self.session, before));
            self.out.fate = Fate::Followed { by, ended };
        }
    }

    /// Whether the session ends with this request.
    pub(super) fn ends(&self) -> bool {
        self.reason().is_some()
    }

    fn reason(&self) -> Option<EndReason> {
        let full = self.session.events >= limits::EVENTS_PER_VISIT_MAX;
        self.goodbye.or(full.then_some(EndReason::MaxEvents))
    }

    fn apply(&mut self, op: Op, commit: &mut Commit) {
        match op {
            Op::Event(event) => self.record(event),
            Op::Login(user) => {
                self.flush();
                self.login(user, commit);
            }
            // A fingerprint is no credential: nobody is in a session that its clients share, and none of them may end
            // it for the others.
            Op::Logout | Op::Nobody | Op::Abandon if self.session.flags.shared() => {}
            Op::Logout => self.logout = true,
            // An answer that was made before a parallel request logged in must not undo that.
            Op::Nobody => self.logout |= self.user().is_some() && self.trusted && self.entitled,
            Op::Abandon => self.goodbye = self.goodbye.or(Some(EndReason::Abandoned)),
            Op::Set(..) | Op::Remove(_) | Op::Increment(..) if !self.trusted => self.refused += 1,
            Op::Set(key, value) => self.set(key, Some(value)),
            Op::Remove(key) => self.set(key, None),
            Op::Increment(key, by) => {
                let values = self.session.data.as_ref().map(|data| &*data.values);
                match incremented(values, &key, by) {
                    Some(value) => self.set(key, Some(value)),
                    None => self.refused += 1,
                }
            }
        }
    }

    fn set(&mut self, key: std::sync::Arc<str>, value: Option<serde_json::Value>) {
        if value.is_none() && self.session.data.is_none() {
            return;
        }
        let values = std::sync::Arc::make_mut(&mut self.session.data_mut().values);
        self.refused += u32::from(!self.changed.set(values, key, value));
    }

    fn user(&self) -> Option<&UserId> {
        self.session.data.as_ref().and_then(|data| data.user.as_ref())
    }

    /// A user logs in: the token changes, the visit goes on. If another user is in, that is a logout and a start.
    fn login(&mut self, user: UserId, commit: &mut Commit) {
        let other = self.user().is_some_and(|before| *before != user);
        if !other && self.user().is_some() {
            // An app may say with every answer who it is. Of a request that began before a parallel one logged in, it vouches
            // by that: its client gets the token that is current.
            self.rotated |= !(self.trusted && self.entitled);
            (self.trusted, self.entitled) = (true, true);
            return;
        }
        if other {
            if !self.trusted || self.before.is_some() {
                // An outdated token must not throw out the user who is in; one request does that once.
                self.refused += 1;
                return;
            }
            self.change_users(commit);
        }
        let at = commit.at.max(self.session.visit.started_at());
        self.record(plain_event(at, EventKind::Login, Some(&user)));
        self.rotate(Some(user));
        (self.rotated, self.trusted, self.entitled) = (true, true, true);
    }

    /// Ends the session of the user who is in, and starts the next one.
    fn change_users(&mut self, commit: &mut Commit) {
        let old = self.session.visit;
        self.goodbye_event();
        end(self.session, EndReason::LoggedOut, self.now, self.rules.session, self.out);
        self.out.fate = Fate::Lives;
        self.rules.session = self.rules.host;
        let visitor = self.successor.or(commit.token.map(|token| token.visitor));
        let visitor = visitor.unwrap_or(Visitor::drawn(0, old.partition()));
        let visit = VisitId::new(self.now, self.random, old.partition());
        let fingerprint = self.session.fingerprint;
        let start = NewSession { visit, visitor, identity: Identity::Cookie, fingerprint, landed: None };
        let token = commit.token.filter(|_| self.successor.is_none());
        let token = token.map(|token| Token { visit: Some(old), ..token });
        let next = begin(start, token, None, commit, self.out);
        self.before = Some(std::mem::replace(self.session, next));
        self.session.flags.confirm(false);
        (self.logout, self.goodbye) = (false, None);
        self.changed = Changed::default();
        for op in std::mem::take(&mut commit.on_start) {
            if !matches!(op, Op::Login(_)) {
                self.apply(op, commit);
            }
        }
        self.flush();
    }

    /// The user says goodbye, once all else that the request did is recorded.
    fn log_out(&mut self) {
        if self.rules.session.logout_ends_session {
            self.goodbye = Some(EndReason::LoggedOut);
            self.goodbye_event();
        } else if self.user().is_some() {
            self.goodbye_event();
            self.rotate(None);
            self.rotated = true;
        }
    }

    fn goodbye_event(&mut self) {
        let event = plain_event(self.now, EventKind::Logout, self.user());
        self.record(event);
    }

    /// Changes the token, and the user with it.
    fn rotate(&mut self, user: Option<UserId>) {
        let (now, session) = (self.now, &mut *self.session);
        let before = std::mem::replace(&mut session.data_mut().user, user.clone());
        let visit = session.visit;
        session.rotation = session.rotation.saturating_add(1);
        session.rotated_at_s = u32::try_from(now.secs()).unwrap_or(0);
        session.journal(now);
        if let Some(before) = before
            && user.as_ref() != Some(&before)
        {
            self.out.changes.push(Change::LoggedOut { visit, user: before });
        }
        if let Some(user) = user.clone() {
            let single = self.rules.session.single_login;
            self.out.changes.push(Change::LoggedIn { visit, user, single });
        }
        let rotation = session.rotation;
        self.out.record(session, Entry::Rotate { at: now, rotation, user });
    }

    pub(super) fn record(&mut self, mut event: Event) {
        // Whatever it says of when it was and how long it took: it is no activity to come, here and in recovery.
        event.time = event.time.min(self.now);
        if let Some(request) = &mut event.request {
            let most = u64::try_from(self.now.since(event.time).as_micros()).unwrap_or(u64::MAX);
            request.duration_us = request.duration_us.min(most);
        }
        self.session.events = self.session.events.saturating_add(1);
        self.session.journal(event.activity());
        self.out.record(self.session, Entry::Event(event));
    }

    fn flush(&mut self) {
        let fields = self.changed.take();
        if !fields.is_empty() {
            self.session.journal(self.now);
            self.out.record(self.session, Entry::Set { at: self.now, fields });
        }
    }
}

/// Some of a session's events are those of another one.
pub fn withdraw(session: &mut Session, brings: Brings, now: Timestamp, out: &mut Decision) {
    let Brings { first, count, .. } = brings;
    out.record(session, Entry::Withdraw { at: now, first, count });
}

/// Slides the idle timeout. A touch is journaled where nothing else says that there was activity, at most once a second.
pub(super) fn slide(session: &mut Session, now: Timestamp, out: &mut Decision) {
    session.slide(now);
    if session.flags.confirm_unsaid() || now.since(session.journaled()) >= limits::TOUCH_EVERY {
        session.journal(now);
        out.record(session, Entry::Touch { at: now, slides: true });
    }
}

fn plain_event(time: Timestamp, kind: EventKind, user: Option<&UserId>) -> Event {
    let name = user.map(|user| user.as_str().into());
    Event { time, kind, name, type_: None, request: None, properties: None }
}
