//! What requests do in a shard.

use super::effects::{Effects, Log};
use super::landings::{Landed, Landing};
use super::rejoin::Twin;
use super::shard::{Asked, Shard};
use crate::ids::{Fingerprints, Host, VisitId, Visitor};
use crate::model::{Brings, EndReason, Identity, UserId};
use crate::ports::{Arrival, Commit, Committed, Entropy, Live, Outcome, RequestId, SessionHold, Standing, Token};
use crate::session::{self, Arrived, In, NewSession, Presented};
use crate::time::Timestamp;

/// What a shard makes of an arrival.
#[derive(Debug, Clone)]
pub(super) enum Recognized {
    /// It belongs to a live session; the request's name.
    Live(Live, RequestId),
    /// It belongs to none; a session of the token's visitor may start.
    Known,
    /// Its token is outdated: a stranger, who gets a visitor of his own.
    Stranger,
}

impl Shard {
    /// Who is it? Ends the session of the token if it is overdue, confirms it if it lives, and holds off its idle
    /// expiry unless the request is passive. The token must be in this shard's partitions. `successor` follows its
    /// visitor, who is too old.
    pub(super) fn arrive<L: Log>(
        &mut self,
        now: Timestamp,
        token: &Token,
        successor: Option<Visitor>,
        arrival: &Arrival,
        fx: &mut Effects<'_, L>,
    ) -> Recognized {
        let asked = Asked::for_host(now, &arrival.host);
        if let Some(index) = token.visit.and_then(|visit| self.find(visit)) {
            let own = Presented::Own { rotation: token.rotation };
            match self.arrive_in(index, own, arrival.passive, &asked, fx) {
                Arrived::Live { current } => {
                    return self.live(index, current, successor, arrival.passive, now);
                }
                Arrived::Stranger => return Recognized::Stranger,
                Arrived::Ended | Arrived::Closed => {}
            }
        }
        let own = successor.is_none().then_some(token.visitor);
        let Some((index, visitor)) = self.twin(token, own, arrival.fingerprint, None, now) else {
            return Recognized::Known;
        };
        let successor = (visitor != token.visitor).then_some(visitor);
        match self.arrive_in(index, Presented::Twin, arrival.passive, &asked, fx) {
            Arrived::Live { current } => self.live(index, current, successor, arrival.passive, now),
            Arrived::Ended | Arrived::Closed | Arrived::Stranger => Recognized::Known,
        }
    }

    fn arrive_in<L: Log>(
        &mut self,
        index: u32,
        presented: Presented,
        passive: bool,
        asked: &Asked<'_>,
        fx: &mut Effects<'_, L>,
    ) -> Arrived {
        self.decide(index, asked, fx, |session, rules, out| {
            session::arrive(session, presented, passive, asked.now, rules.session, out)
        })
    }

    /// Who follows a token's visitor, if that one is too old: of the same partition, where the token's twins meet.
    pub(super) fn successor(
        &self,
        token: &Token,
        host: &Host,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Option<Visitor> {
        let rules = self.config.rules(self.config.rules_of(host));
        rules.is_too_old(token.born, now).then(|| Visitor::drawn(entropy.random(), token.visitor.partition()))
    }

    fn live(
        &mut self,
        index: u32,
        current: bool,
        successor: Option<Visitor>,
        passive: bool,
        now: Timestamp,
    ) -> Recognized {
        let until = self.slots.at(index).session.visit.started_at().after(self.rules(index).max_age);
        let session = &self.slots.at(index).session;
        let visit = session.visit;
        let data = session.data.as_ref().filter(|_| current).cloned();
        let hold = (!passive).then(|| self.holds.give(visit, until, now, false));
        let request = hold.map_or(RequestId::from_u128(0), |hold| hold.request);
        Recognized::Live(Live { visit, current, data, successor, hold }, request)
    }

    /// The session that the token of an expired one, or one without a visit, started a moment ago, and its visitor.
    /// `own`: the token's visitor, unless that one is too old; who followed him is forgotten over a restart. `user`: who logs
    /// in by the request, if the app has said so: whoever that session belongs to may join it still.
    fn twin(
        &mut self,
        token: &Token,
        own: Option<Visitor>,
        fingerprint: Fingerprints,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Option<(u32, Visitor)> {
        if token.visit.is_some_and(|visit| self.tombs.contains(visit)) {
            return None;
        }
        // Who was given a token without a visit by an asset's answer, which can't give a newer one, has that token still.
        let landed = || match self.landings.get(token.visitor).filter(|_| token.visit.is_none()) {
            Some(&Landing::Own(visit)) => Some(Twin { visit, visitor: Some(token.visitor) }),
            _ => None,
        };
        let Twin { visit, visitor } = landed().or_else(|| self.rejoin.find(token, fingerprint, now))?;
        let visitor = visitor.or(own)?;
        let index = self.find(visit)?;
        let session = &self.slots.at(index).session;
        (session.is_joinable() || session.is_of(user)).then_some((index, visitor))
    }

    /// Carries out a commit in the live session `visit` that it began in. `host` is the place of the request's host,
    /// where a session may start. `None`: it came before, and nobody remembers what it was answered.
    pub(super) fn commit_live<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        visit: VisitId,
        commit: &mut Commit,
        random: u128,
        fx: &mut Effects<'_, L>,
    ) -> Committed {
        let (mut current, mut hold) = (true, None);
        if let Standing::Live(live) = &mut commit.standing {
            // What the request was shown is let go, so that values can change in place.
            live.data = None;
            (current, hold) = (live.current, live.hold);
        }
        if let Some(hold) = hold
            && !self.holds.take_back(hold)
        {
            if let Some(reply) = self.replies.find(commit.request, Some(visit)) {
                super::counts::add(&fx.indexes.counters.commits_repeated, 1);
                if let Some(index) = self.find(visit) {
                    fx.reached(self.slots.at(index).last);
                }
                return reply;
            }
            return session::gone();
        }
        let request = commit.request;
        let committed = match self.find(visit) {
            Some(index) => {
                let held = hold.is_some();
                let rules = if commit.logs_in() { asked.rules } else { self.slots.at(index).rules };
                let asked = Asked { rules, ..*asked };
                let is_passive = commit.is_passive();
                let committed = self.decide(index, &asked, fx, |session, rules, out| {
                    session::commit(session, In::Live { current, held }, commit, random, asked.now, rules, out)
                });
                // Its slot is at hand; another may be in it by now.
                if let Some(slot) = self.slots.get(index).filter(|slot| slot.session.visit == visit) {
                    if is_passive {
                        self.rearm_if_released(index, asked.now);
                    } else {
                        fx.reached(slot.last);
                    }
                }
                committed
            }
            None => self.gone(asked, visit, commit, fx),
        };
        if hold.is_some() {
            self.replies.remember(request, Some(visit), &committed);
        }
        committed
    }

    /// A write to an ended session is refused, never an upsert: a slow request must not undo a logout.
    fn gone<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        visit: VisitId,
        commit: &mut Commit,
        fx: &mut Effects<'_, L>,
    ) -> Committed {
        if self.config.mutations.gone_rule() || commit.is_passive() {
            return session::gone();
        }
        let visitor = Visitor::drawn(0, visit.partition());
        let start = NewSession {
            visit,
            visitor,
            identity: Identity::Cookie,
            fingerprint: commit.fingerprint.today,
            landed: None,
        };
        self.start(asked, start, commit, 0, fx)
    }

    /// What a request without a live session was answered, if it was committed before.
    pub(super) fn replied(&self, request: RequestId) -> Option<Committed> {
        self.replies.find(request, None)
    }

    /// Remembers what such a request was answered.
    pub(super) fn remember(&mut self, request: RequestId, committed: &Committed) {
        self.replies.remember(request, None, committed);
    }

    /// Records a commit in the session that a twin with the same old token started a moment ago. `None`: there is none.
    fn join<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        start: &NewSession<'_>,
        commit: &mut Commit,
        random: u128,
        fx: &mut Effects<'_, L>,
    ) -> Option<Committed> {
        let token = commit.token.filter(|_| start.identity == Identity::Cookie)?;
        let own = (start.visitor == token.visitor).then_some(start.visitor);
        let (index, visitor) = self.twin(&token, own, commit.fingerprint, commit.user(), asked.now)?;
        if self.end_if_overdue(index, asked.now, fx) {
            return None;
        }
        let joined = self.slots.at(index).session.visit;
        let committed = self.decide(index, asked, fx, |session, rules, out| {
            let how = In::Joins { visitor };
            session::commit(session, how, commit, random, asked.now, rules, out)
        });
        if let Some(index) = self.find(joined) {
            fx.reached(self.slots.at(index).last);
        }
        Some(committed)
    }

    /// Starts a session for a commit, or joins the one that a twin started.
    pub(super) fn start<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        start: NewSession<'_>,
        commit: &mut Commit,
        random: u128,
        fx: &mut Effects<'_, L>,
    ) -> Committed {
        if let Some(committed) = self.join(asked, &start, commit, random, fx) {
            return committed;
        }
        self.make_room(asked.now, fx);
        if start.identity == Identity::Cookie || self.config.cookies {
            self.make_room_for_provisional(asked.now, fx);
        }
        self.open(asked, fx, |rules, out| session::start(start, commit, true, random, asked.now, rules, out))
    }

    /// Starts the session of a client that keeps cookies, with what it did first: that was recorded in a session that others
    /// share, and goes along. `None`: it does not, for that session has ended, or what was done is too long ago.
    pub(super) fn bring<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        start: NewSession<'_>,
        commit: &mut Commit,
        random: u128,
        fx: &mut Effects<'_, L>,
    ) -> Option<Committed> {
        if !self.landings.waits(start.visitor) {
            // A parallel request was first: this one joins it, if it has something to say. Where what was done is
            // forgotten, it is for the fingerprint to say whether a session of its own may start.
            return if commit.starts_by_itself() { self.join(asked, &start, commit, random, fx) } else { None };
        }
        let landed = self.landings.take(start.visitor, start.visit)?;
        if asked.now.since(landed.commit.at) > self.config.rules(asked.rules).idle_timeout {
            return None;
        }
        // That may end the session that it was recorded in.
        self.make_room(asked.now, fx);
        let from = self.find(landed.brings.from)?;
        if self.end_if_overdue(from, asked.now, fx) {
            return None;
        }
        let start = NewSession { landed: Some((landed.brings, &landed.commit)), ..start };
        let committed =
            self.open(asked, fx, |rules, out| session::start(start, commit, true, random, asked.now, rules, out));
        self.withdraw(landed.brings, asked.now, fx);
        if let Some(index) = self.find(start.visit) {
            self.arrive_in(index, Presented::Own { rotation: 0 }, true, asked, fx);
        }
        Some(committed)
    }

    /// Some of a session's events are another one's.
    pub(super) fn withdraw<L: Log>(&mut self, brings: Brings, now: Timestamp, fx: &mut Effects<'_, L>) {
        if let Some(from) = self.find(brings.from) {
            self.decide(from, &Asked::nobody(now), fx, |session, _, out| session::withdraw(session, brings, now, out));
        }
    }

    /// Records a commit in the session that a fingerprint shares, which starts with the first one. `lands`: whether its
    /// client gets a token, by which it can show that it keeps cookies.
    ///
    /// # Errors
    /// Gives the commit back when that session has ended meanwhile: the fingerprint needs another.
    pub(super) fn commit_shared<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        start: NewSession<'_>,
        mut commit: Box<Commit>,
        lands: bool,
        fx: &mut Effects<'_, L>,
    ) -> Result<Committed, Box<Commit>> {
        let at = self.find(start.visit);
        let first = at.map_or(0, |index| self.slots.at(index).session.events);
        // Both are then in this shard, and under one lock.
        let lands = lands && commit.token.is_none() && start.visitor.partition() == start.visit.partition();
        let landing = lands.then(|| Commit { on_start: Vec::new(), ..(*commit).clone() });
        let committed = match at {
            Some(index) if self.end_if_overdue(index, asked.now, fx) => return Err(commit),
            Some(index) => {
                let committed = self.decide(index, asked, fx, |session, rules, out| {
                    session::commit(session, In::Shared, &mut commit, 0, asked.now, rules, out)
                });
                if let Some(index) = self.find(start.visit) {
                    fx.reached(self.slots.at(index).last);
                }
                committed
            }
            None if !fx.indexes.shares(start.fingerprint, start.visit) => return Err(commit),
            None => {
                commit.on_start.clear();
                commit.token = None;
                self.start(asked, start, &mut commit, 0, fx)
            }
        };
        if let Some(commit) = landing
            && let Some(index) = self.find(start.visit)
            && let count = self.slots.at(index).session.events.saturating_sub(first)
            && count > 0
        {
            let brings = Brings { from: start.visit, first, count };
            self.landings.keep(start.visitor, Landed { brings, commit });
        }
        Ok(Committed { outcome: Outcome::Shared, visit: None, issue: None, ..committed })
    }

    fn end_if_overdue<L: Log>(&mut self, index: u32, now: Timestamp, fx: &mut Effects<'_, L>) -> bool {
        self.decide(index, &Asked::nobody(now), fx, |session, rules, out| {
            session::tick(session, now, rules.session, out) == session::Due::Ended
        })
    }

    /// Whether a session is remembered to have ended.
    pub(super) fn has_ended(&self, visit: VisitId) -> bool {
        self.tombs.contains(visit)
    }

    /// A request that began will not be committed, or one that went on after its commit is over.
    pub(super) fn release<L: Log>(&mut self, hold: SessionHold, now: Timestamp, fx: &mut Effects<'_, L>) {
        if self.holds.take_back(hold)
            && let Some(index) = self.find(hold.visit)
        {
            self.decide(index, &Asked::nobody(now), fx, |session, rules, out| {
                session::release(session, hold.goes_on, now, rules.session, out);
            });
            if self.find(hold.visit).is_some() {
                self.rearm_if_released(index, now);
            }
        }
    }

    /// A request goes on after its commit.
    pub(super) fn hold_on(&mut self, visit: VisitId, now: Timestamp) -> Option<SessionHold> {
        let index = self.find(visit)?;
        let until = visit.started_at().after(self.rules(index).max_age);
        let session = &mut self.slots.at_mut(index).session;
        session.in_flight = session.in_flight.saturating_add(1);
        Some(self.holds.give(visit, until, now, true))
    }

    /// Arms a session for its idle deadline, if no request holds that off any more: one that was looked at meanwhile
    /// would be looked at again only an idle timeout later. While another request does, it must stay where it is.
    fn rearm_if_released(&mut self, index: u32, now: Timestamp) {
        if self.slots.at(index).session.in_flight == 0 {
            self.rearm(index, now);
        }
    }

    /// Ends a session, if it lives. Whether it did.
    pub(super) fn terminate<L: Log>(
        &mut self,
        visit: VisitId,
        reason: EndReason,
        now: Timestamp,
        fx: &mut Effects<'_, L>,
    ) -> bool {
        let Some(index) = self.find(visit) else { return false };
        self.end(index, reason, now, fx);
        true
    }

    pub(super) fn end<L: Log>(&mut self, index: u32, reason: EndReason, now: Timestamp, fx: &mut Effects<'_, L>) {
        self.decide(index, &Asked::nobody(now), fx, |session, rules, out| {
            session::end(session, reason, now, rules.session, out);
        });
    }

    /// The place and rules of a host, for a session that may start.
    pub(super) fn asked<'a, L: Log>(&self, now: Timestamp, host: &'a Host, fx: &Effects<'_, L>) -> Asked<'a> {
        Asked { now, host: Some(host), at: fx.indexes.note_host(host, now), rules: self.config.rules_of(host) }
    }
}
