//! What a request did, carried out: start, login or values, actions, page view, then logout or abandon.

use std::sync::Arc;

use super::Effects;
use super::head::Head;
use super::shard::Shard;
use super::sites::HostIndex;
use crate::ids::{Fingerprint, VisitId, Visitor, VisitorId};
use crate::limits;
use crate::model::{self, EndReason, Entry, Event, EventKind, Fields, Identity, UserId, Values};
use crate::ports::{Class, Commit, Committed, Op, Outcome, Standing, Token};
use crate::time::Timestamp;

/// The session that a commit starts, if no twin has started one.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Its id.
    pub visit: VisitId,
    /// Whose it is.
    pub visitor: Visitor,
    /// By what the visitor is known.
    pub identity: Identity,
    /// The fingerprint that it counts under.
    pub fingerprint: Fingerprint,
    /// Its host.
    pub host: HostIndex,
}

/// What has been decided so far about one commit.
struct Progress {
    index: u32,
    /// Whether the request began with the current token, or has logged in since: what it writes counts.
    trusted: bool,
    /// Whether that token is still current: only then may its client get a newer one.
    entitled: bool,
    rotated: bool,
    refused: u32,
    logout: bool,
    goodbye: Option<EndReason>,
}

impl Commit {
    /// Whether this request starts a session where none lives.
    pub fn starts(&self) -> bool {
        let asked = |op: &Op| !matches!(op, Op::Logout | Op::Abandon);
        matches!(self.class, Class::Page(_)) || self.ops.iter().any(asked)
    }

    /// Whether it must have a session of its own, whatever its fingerprint: it logs in or touches a value.
    pub fn needs_own(&self) -> bool {
        let own = |op: &Op| matches!(op, Op::Login(_) | Op::Set(..) | Op::Increment(..) | Op::Remove(_));
        self.ops.iter().any(own)
    }

    /// Whether nothing at all is to be done.
    pub fn is_passive(&self) -> bool {
        self.class == Class::Passive && self.ops.is_empty()
    }
}

impl Shard {
    /// Carries out a commit in the live session `visit` that it began in.
    pub fn commit_live(
        &mut self,
        now: Timestamp,
        visit: VisitId,
        mut commit: Commit,
        fx: &mut impl Effects,
    ) -> Committed {
        let (current, held) = match &mut commit.standing {
            Standing::Live(live) => {
                // What the request was shown is let go, so that values can change in place.
                live.data = self.nothing.clone();
                (live.current, live.ticket.is_some())
            }
            _ => (true, false),
        };
        let Some(index) = self.find(visit) else {
            return self.gone(now, visit, commit, fx);
        };
        if held {
            let head = self.heads.at_mut(index);
            head.in_flight = head.in_flight.saturating_sub(1);
        }
        if commit.is_passive() {
            self.rearm_if_released(index, now);
            return plain(Outcome::Nothing, Some(visit));
        }
        let own = commit.token.is_none_or(|token| token.visit == Some(visit));
        let mut committed = self.carry_out(now, index, current, commit, fx);
        if !own {
            committed.outcome = Outcome::Joined;
        }
        committed
    }

    /// A write to an ended session is refused, never an upsert: a slow request must not undo a logout.
    fn gone(&mut self, now: Timestamp, visit: VisitId, commit: Commit, fx: &mut impl Effects) -> Committed {
        if self.config.mutations.gone_rule() || commit.is_passive() {
            return plain(Outcome::Gone, None);
        }
        let visitor = Visitor::from_u128(u128::from(visit.partition()) << 120);
        let start = Start {
            visit,
            visitor,
            identity: Identity::Cookie,
            fingerprint: commit.fingerprint.today,
            host: HostIndex::OTHER,
        };
        self.start(now, start, commit, fx)
    }

    /// Starts a session for a commit, or joins the one that a twin with the same old token started a moment ago.
    pub fn start(&mut self, now: Timestamp, start: Start, mut commit: Commit, fx: &mut impl Effects) -> Committed {
        if start.identity == Identity::Cookie
            && let Some(token) = commit.token
            && let Some(index) = self.twin(&token, commit.fingerprint, now)
            && !self.end_if_overdue(index, now, fx)
        {
            commit.on_start.clear();
            let mut committed = self.carry_out(now, index, true, commit, fx);
            committed.outcome = Outcome::Joined;
            self.issue_for_join(&mut committed, start.visitor, &token, now);
            return committed;
        }
        let index = self.open_session(now, start, &commit, fx);
        if start.identity == Identity::Cookie
            && let Some(token) = &commit.token
            && token.visit.is_none_or(|visit| !self.tombs.contains(visit))
        {
            self.rejoin.started(token, start.visit, start.fingerprint, now);
        }
        let on_start = std::mem::take(&mut commit.on_start);
        let ops = std::mem::take(&mut commit.ops);
        commit.ops = on_start.into_iter().chain(ops).collect();
        let (number, born) = (number_of(&commit, start.identity), Token::birth(commit.token.as_ref(), now));
        let mut committed = self.carry_out(now, index, true, commit, fx);
        committed.outcome = Outcome::Started;
        if start.identity == Identity::Cookie && committed.issue.is_none() {
            committed.issue =
                Some(Token { visitor: start.visitor, visit: Some(start.visit), number, rotation: 0, born });
        }
        committed
    }

    /// Records a commit in the session that a fingerprint shares, which starts with the first one.
    ///
    /// # Errors
    /// Gives the commit back when that session has ended meanwhile: the fingerprint needs another.
    pub fn commit_shared(
        &mut self,
        now: Timestamp,
        start: Start,
        mut commit: Box<Commit>,
        fx: &mut impl Effects,
    ) -> Result<Committed, Box<Commit>> {
        let found = self.find(start.visit);
        let ended = match found {
            Some(index) => self.end_if_overdue(index, now, fx),
            None => !fx.shares(start.fingerprint, start.visit),
        };
        if ended {
            return Err(commit);
        }
        commit.on_start.clear();
        commit.token = None;
        let mut committed = match found {
            Some(index) => self.carry_out(now, index, true, *commit, fx),
            None => self.start(now, start, *commit, fx),
        };
        committed.outcome = Outcome::Shared;
        committed.visit = None;
        committed.issue = None;
        Ok(committed)
    }

    fn issue_for_join(&self, committed: &mut Committed, visitor: Visitor, presented: &Token, now: Timestamp) {
        if committed.issue.is_none()
            && let Some(visit) = committed.visit
            && let Some(index) = self.find(visit)
        {
            let rotation = self.heads.at(index).rotation;
            let number = presented.number.saturating_add(1);
            let born = Token::birth(Some(presented), now);
            committed.issue = Some(Token { visitor, visit: Some(visit), number, rotation, born });
        }
    }

    fn open_session(&mut self, now: Timestamp, start: Start, commit: &Commit, fx: &mut impl Effects) -> u32 {
        self.make_room(now, fx);
        let known = commit.token.filter(|_| start.identity == Identity::Cookie);
        let mut facts = commit.facts.as_deref().cloned().unwrap_or_default();
        if start.identity == Identity::Fingerprint {
            // Whoever comes with this fingerprint is one visitor.
            facts.visitor_id = VisitorId::from_u128(start.fingerprint.0.into());
        }
        let entry = Entry::Start(Box::new(model::Start {
            at: commit.at,
            partition: start.visitor.partition(),
            identity: start.identity,
            host: commit.host.clone(),
            fingerprint: start.fingerprint,
            previous: known.and_then(|token| token.visit),
            number: number_of(commit, start.identity),
            is_new_visitor: (start.identity == Identity::Cookie).then(|| known.is_none_or(|token| token.number == 0)),
            facts,
        }));
        let head = Head::new(
            start.visit,
            commit.at,
            start.fingerprint,
            start.host,
            self.config.rules_of(&commit.host),
            start.identity,
        );
        let index = self.insert(head, now);
        self.append(index, &entry, fx);
        index
    }

    /// The order inside a request, once its session is known.
    fn carry_out(
        &mut self,
        now: Timestamp,
        index: u32,
        current: bool,
        mut commit: Commit,
        fx: &mut impl Effects,
    ) -> Committed {
        let ops = std::mem::take(&mut commit.ops);
        let mut progress = Progress {
            index,
            trusted: current,
            entitled: current && self.is_entitled(index, commit.token),
            rotated: false,
            refused: 0,
            logout: false,
            goodbye: None,
        };
        progress.refused += ops.len().saturating_sub(limits::OPS_PER_COMMIT_MAX) as u32;
        let mut fields = Fields::new();
        for op in ops.into_iter().take(limits::OPS_PER_COMMIT_MAX) {
            self.apply(now, op, &mut progress, &mut fields, &commit, fx);
        }
        self.flush_fields(now, progress.index, &mut fields, fx);
        let index = progress.index;
        if let Class::Page(event) | Class::PageError(event) | Class::Other(Some(event)) = commit.class {
            self.record(index, event, fx);
        }
        if progress.logout {
            self.log_out(now, &mut progress, fx);
        }
        self.slide(now, index, fx);
        let visit = self.heads.at(index).visit;
        let mut committed = plain(Outcome::Recorded, Some(visit));
        committed.refused = progress.refused;
        committed.issue = self.issue(now, &progress, commit.token, &commit.standing, fx);
        committed
    }

    /// Whether the client may get a newer token. While the request was under way, a parallel one may have logged in:
    /// then only that one's client has the token that opens the session.
    fn is_entitled(&self, index: u32, token: Option<Token>) -> bool {
        let head = self.heads.at(index);
        match token {
            Some(token) if token.visit == Some(head.visit) => token.rotation >= head.rotation,
            _ => head.rotation == 0,
        }
    }

    /// What the client gets, and the end of the session if somebody said goodbye or the visit is full.
    fn issue(
        &mut self,
        now: Timestamp,
        progress: &Progress,
        token: Option<Token>,
        standing: &Standing,
        fx: &mut impl Effects,
    ) -> Option<Token> {
        let index = progress.index;
        let head = self.heads.at(index);
        let (visit, rotation, full) = (head.visit, head.rotation, head.events >= limits::EVENTS_PER_VISIT_MAX);
        let visitor = match (token, standing) {
            (Some(token), _) => Some(token.visitor),
            (None, Standing::Fresh(fresh)) => Some(fresh.visitor),
            (None, Standing::Shared { visitor }) => Some(*visitor),
            (None, Standing::Live(_)) => None,
        };
        let own = token.filter(|token| token.visit == Some(visit));
        let number = own.map_or(token.map_or(1, |token| token.number.saturating_add(1)), |token| token.number);
        match progress.goodbye.or(full.then_some(EndReason::MaxEvents)) {
            Some(reason) => {
                let end = self.end(index, reason, now, fx);
                fx.reached(end);
            }
            None => fx.reached(self.heads.at(index).last),
        }
        let visitor = visitor.filter(|_| progress.entitled)?;
        let issued = Token { visitor, visit: Some(visit), number, rotation, born: Token::birth(token.as_ref(), now) };
        match progress.goodbye {
            // It opens nothing, and tells the next visit which one it follows.
            Some(_) => Some(Token { rotation: rotation.saturating_add(1), ..issued }),
            None if progress.rotated || (token.is_some() && own.is_none()) => Some(issued),
            None => None,
        }
    }

    fn apply(
        &mut self,
        now: Timestamp,
        op: Op,
        progress: &mut Progress,
        fields: &mut Fields,
        commit: &Commit,
        fx: &mut impl Effects,
    ) {
        match op {
            Op::Action(event) => self.record(progress.index, event, fx),
            Op::Login(user) => {
                self.flush_fields(now, progress.index, fields, fx);
                self.login(now, user, progress, commit, fx);
            }
            Op::Logout => progress.logout = true,
            Op::Abandon => progress.goodbye = progress.goodbye.or(Some(EndReason::Abandoned)),
            Op::Set(..) | Op::Remove(_) | Op::Increment(..) if !progress.trusted => progress.refused += 1,
            Op::Set(key, value) => progress.refused += self.set_field(progress.index, key, Some(value), fields),
            Op::Remove(key) => progress.refused += self.set_field(progress.index, key, None, fields),
            Op::Increment(key, by) => match self.incremented(progress.index, &key, by) {
                Some(value) => progress.refused += self.set_field(progress.index, key, Some(value), fields),
                None => progress.refused += 1,
            },
        }
    }

    /// A user logs in: the token changes, the visit goes on. If another user is in, that is a logout and a start.
    fn login(&mut self, now: Timestamp, user: UserId, progress: &mut Progress, commit: &Commit, fx: &mut impl Effects) {
        let before = self.data(progress.index).user.clone();
        if before.as_ref() == Some(&user) && progress.trusted && progress.entitled {
            // An app may say with every answer who it is.
            return;
        }
        if before.as_ref().is_some_and(|before| *before != user) {
            if !progress.trusted {
                // An outdated token must not throw out the user who is in.
                progress.refused += 1;
                return;
            }
            let token_visitor = commit.token.map(|token| token.visitor);
            let head = self.heads.at(progress.index);
            let (old, host, fingerprint) = (head.visit, head.host, head.fingerprint);
            self.goodbye_event(now, progress.index, fx);
            self.end(progress.index, EndReason::LoggedOut, now, fx);
            let visit = VisitId::new(now, fx.random(), old.partition());
            let visitor = token_visitor.unwrap_or(Visitor::from_u128(u128::from(old.partition()) << 120));
            let start = Start { visit, visitor, identity: Identity::Cookie, fingerprint, host };
            let mut commit = commit.clone();
            commit.token = commit.token.map(|token| Token { visit: Some(old), ..token });
            progress.index = self.open_session(now, start, &commit, fx);
            self.heads.at_mut(progress.index).flags.confirm(false);
            (progress.logout, progress.goodbye) = (false, None);
            let mut fields = Fields::new();
            for op in std::mem::take(&mut commit.on_start) {
                if !matches!(op, Op::Login(_)) {
                    self.apply(now, op, progress, &mut fields, &commit, fx);
                }
            }
            self.flush_fields(now, progress.index, &mut fields, fx);
        }
        let (index, at) = (progress.index, commit.at.max(self.heads.at(progress.index).visit.started_at()));
        self.record(index, plain_event(at, EventKind::Login, Some(&user)), fx);
        self.rotate(now, index, Some(user), fx);
        (progress.rotated, progress.trusted, progress.entitled) = (true, true, true);
    }

    /// The user says goodbye, once all else that the request did is recorded.
    fn log_out(&mut self, now: Timestamp, progress: &mut Progress, fx: &mut impl Effects) {
        if self.rules(progress.index).logout_ends_session {
            progress.goodbye = Some(EndReason::LoggedOut);
            self.goodbye_event(now, progress.index, fx);
        } else if self.data(progress.index).user.is_some() {
            self.goodbye_event(now, progress.index, fx);
            self.rotate(now, progress.index, None, fx);
            progress.rotated = true;
        }
    }

    fn goodbye_event(&mut self, now: Timestamp, index: u32, fx: &mut impl Effects) {
        let user = self.data(index).user.clone();
        self.record(index, plain_event(now, EventKind::Logout, user.as_ref()), fx);
    }

    /// Changes the token, and the user with it.
    fn rotate(&mut self, now: Timestamp, index: u32, user: Option<UserId>, fx: &mut impl Effects) {
        let single = self.rules(index).single_login;
        let mut data = (*self.data(index)).clone();
        let before = std::mem::replace(&mut data.user, user.clone());
        let head = self.heads.at_mut(index);
        let visit = head.visit;
        head.rotation = head.rotation.saturating_add(1);
        head.rotated_at_s = u32::try_from(now.secs()).unwrap_or(0);
        head.data = Some(Arc::new(data));
        head.journal(now);
        let rotation = head.rotation;
        if let Some(before) = before
            && user.as_ref() != Some(&before)
        {
            fx.logged_out(visit, &before);
        }
        if let Some(user) = &user {
            fx.logged_in(visit, user, single);
        }
        self.append(index, &Entry::Rotate { at: now, rotation, user }, fx);
    }

    fn record(&mut self, index: u32, event: Event, fx: &mut impl Effects) {
        let head = self.heads.at_mut(index);
        head.events = head.events.saturating_add(1);
        head.journal(event.activity());
        self.append(index, &Entry::Event(event), fx);
    }

    /// Gives a key a value, or takes it away. Returns how many operations were refused: one, if the values would
    /// become too large.
    fn set_field(&mut self, index: u32, key: Arc<str>, value: Option<serde_json::Value>, fields: &mut Fields) -> u32 {
        let data = Arc::make_mut(self.heads.at_mut(index).data.get_or_insert_default());
        let values = Arc::make_mut(&mut data.values);
        let before = match &value {
            Some(value) => values.insert(key.clone(), value.clone()),
            None => values.remove(&key),
        };
        if key.len() > limits::KEY_BYTES_MAX || value.is_some() && size_of_values(values) > limits::VALUES_BYTES_MAX {
            match before {
                Some(before) => values.insert(key, before),
                None => values.remove(&key),
            };
            return 1;
        }
        fields.push((key, value));
        0
    }

    fn incremented(&self, index: u32, key: &str, by: i64) -> Option<serde_json::Value> {
        match self.data(index).values.get(key) {
            None => Some(by.into()),
            Some(value) => match value.as_i64() {
                Some(old) => old.checked_add(by).map(Into::into),
                None => serde_json::Number::from_f64(value.as_f64()? + by as f64).map(Into::into),
            },
        }
    }

    fn flush_fields(&mut self, now: Timestamp, index: u32, fields: &mut Fields, fx: &mut impl Effects) {
        if !fields.is_empty() {
            let fields = std::mem::take(fields);
            self.heads.at_mut(index).journal(now);
            self.append(index, &Entry::Set { at: now, fields }, fx);
        }
    }

    /// Slides the idle timeout. A touch is journaled where nothing else says that there was activity, at most once a
    /// second.
    fn slide(&mut self, now: Timestamp, index: u32, fx: &mut impl Effects) {
        let head = self.heads.at_mut(index);
        head.slide(now);
        if head.flags.confirm_unsaid() || now.since(head.journaled) >= limits::TOUCH_EVERY {
            head.journal(now);
            self.append(index, &Entry::Touch { at: now, slides: true }, fx);
        }
    }
}

fn number_of(commit: &Commit, identity: Identity) -> u32 {
    match identity {
        Identity::Cookie => commit.token.map_or(1, |token| token.number.saturating_add(1)),
        Identity::Fingerprint | Identity::Import => 0,
    }
}

fn plain(outcome: Outcome, visit: Option<VisitId>) -> Committed {
    Committed { outcome, visit, issue: None, durable: true, refused: 0 }
}

fn plain_event(time: Timestamp, kind: EventKind, user: Option<&UserId>) -> Event {
    let name = user.map(|user| user.as_str().into());
    Event { time, kind, name, type_: None, request: None, properties: None }
}

/// Bytes of all keys and values as JSON.
pub(super) fn size_of_values(values: &Values) -> usize {
    values.iter().map(|(key, value)| key.len() + json_len(value)).sum()
}

fn json_len(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_len(item) + 1).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, item)| key.len() + 4 + json_len(item)).sum::<usize>(),
    }
}
