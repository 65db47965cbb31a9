//! What clients do, entered into the books as it happens.

use visitlog_core::Host;
use visitlog_core::model::{EndReason, Event};
use visitlog_core::ports::{Arrival, Class, Commit, Committed, Fresh, Op, Outcome, SessionStore, Standing, Token};

use crate::books::{Change, Fact, Fate, Gone};
use crate::clients::{Deed, Pending, Request};
use crate::oracle::{Check, ensure};
use crate::simulation::{Simulation, Waiting};

impl Simulation {
    /// A client asks for something; the answer's head comes `at_once`, or when the dice say so.
    pub(crate) fn request(&mut self, at_once: bool) -> Check {
        let client = self.dice.roll(self.clients.len());
        let Some(request) = self.begin(client)? else { return Ok(()) };
        if at_once {
            return self.finish(&request);
        }
        self.open.push(request);
        Ok(())
    }

    fn begin(&mut self, client: usize) -> Result<Option<Request>, String> {
        let who = &self.clients[client];
        let jar = &self.jars[who.jar];
        let token = if self.dice.per_mille(who.replays) && !jar.old.is_empty() {
            Some(self.dice.pick(&jar.old))
        } else {
            jar.token.filter(|_| who.keeps_cookies)
        };
        let passive = self.dice.one_in(9);
        self.arrive(client, token, passive)
    }

    pub(crate) fn arrive(
        &mut self,
        client: usize,
        token: Option<Token>,
        passive: bool,
    ) -> Result<Option<Request>, String> {
        let who = &self.clients[client];
        let arrival = Arrival {
            host: Host::new(who.host),
            token,
            fingerprint: who.prints(),
            passive,
            cookies: self.plan.cookies,
        };
        let appended = self.life.journal().appended();
        let begun = self.life.engine.begin(arrival).now().expect("at once");
        let grew = self.life.journal().appended() > appended;
        self.trace.note(format_args!("client {client} with {token:?} begins: {begun:?}"));
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return self.may_refuse(&error).map(|()| None),
        };
        self.oracle.check_begun(&self.plan, token.as_ref(), &begun)?;
        match &begun.standing {
            Standing::Live(live) => self.probes.outdated_tokens += u64::from(!live.current),
            _ => {
                self.probes.overdue_at_request += u64::from(grew);
                let ended = token.and_then(|token| self.oracle.books.end(token.visit?));
                self.probes.final_tokens_replayed += u64::from(ended.is_some());
            }
        }
        let brings = matches!(begun.standing, Standing::Fresh(Fresh { brings: true, .. }));
        Ok((!passive || brings).then_some(Request { client, token, begun }))
    }

    pub(crate) fn finish_one(&mut self) -> Check {
        if self.open.is_empty() {
            return Ok(());
        }
        let request = self.open.swap_remove(self.dice.roll(self.open.len()));
        if !self.dice.one_in(8) {
            return self.finish(&request);
        }
        self.trace.note(format_args!("client {} goes away", request.client));
        if let Standing::Live(live) = &request.begun.standing
            && let Some(hold) = live.hold
        {
            self.life.engine.release(hold);
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, request: &Request) -> Check {
        let (client, now) = (request.client, self.now());
        let deed = Deed::draw(&mut self.oracle.books, &self.dice, &self.plan, client, &request.begun, now);
        let on_start = if self.dice.one_in(3) { Some(self.dice.roll(1_000_000)) } else { None };
        let who = &self.clients[client];
        let commit = Commit {
            request: request.begun.request,
            at: request.begun.at,
            host: Host::new(who.host),
            token: request.token,
            fingerprint: who.prints(),
            standing: request.begun.standing.clone(),
            class: deed.class.clone(),
            ops: deed.ops.clone(),
            on_start: on_start.map(|n| Op::Set("s".into(), n.into())).into_iter().collect(),
            facts: Some(Box::default()),
            cookies: true,
        };
        if deed.login.is_some()
            && let Some(visit) = request.held()
            && self.oracle.books.last_seen(visit).is_some_and(|last| now > last.after(self.plan.rules.idle_timeout))
        {
            self.probes.rotations_beyond_expiry += 1;
        }
        let from = self.life.journal().appended().0;
        let future = self.life.engine.commit(commit);
        let upto = self.life.journal().appended().0;
        let Some(decided) = future.decided().cloned() else { return Err("undecided".to_owned()) };
        self.trace
            .note(format_args!("client {client} ends {:?} with {:?}: {decided:?}", request.begun.standing, deed.tags));
        let fact = match decided {
            Ok(committed) => self.enter(request, deed, &committed, on_start, Fact::new(now, from, upto))?,
            Err(error) => return self.may_refuse(&error),
        };
        self.pending.push(Pending { client: Some(client), waiting: Waiting::Answer(Box::new(future)), fact });
        Ok(())
    }

    /// Enters what came of a commit; returns its number.
    fn enter(
        &mut self,
        request: &Request,
        mut deed: Deed,
        committed: &Committed,
        on_start: Option<usize>,
        mut fact: Fact,
    ) -> Result<Option<usize>, String> {
        let live = match &request.begun.standing {
            Standing::Live(live) => Some(live),
            _ => None,
        };
        fact.tags = std::mem::take(&mut deed.tags);
        match committed.outcome {
            Outcome::Nothing => {
                let is_lost = live.is_some() && (deed.class != Class::Passive || !deed.ops.is_empty());
                let asked = |op: &Op| !matches!(op, Op::Logout | Op::Abandon);
                let starts = matches!(deed.class, Class::Page(Event { .. })) || deed.ops.iter().any(asked);
                ensure!(!is_lost && (live.is_some() || !starts), "nothing came of {deed:?}");
                return Ok(None);
            }
            Outcome::Gone => {
                let Some(live) = live else { return Err(format!("gone, without a visit: {committed:?}")) };
                self.probes.gone += 1;
                let gone = Gone { visit: live.visit, at: fact.at, before: fact.upto };
                self.oracle.books.gone.push(gone);
                ensure!(fact.from == fact.upto, "a refused commit wrote something");
                ensure!(!self.oracle.must_live(&self.plan, live.visit, fact.at), "{} ended early: gone", live.visit);
                fact.fate = Fate::Refused;
                return Ok(Some(self.oracle.books.enter(fact)));
            }
            Outcome::Started => {
                let brings = matches!(request.begun.standing, Standing::Fresh(Fresh { brings: true, .. }));
                self.probes.brought_along += u64::from(brings);
                self.probes.starts += 1;
            }
            Outcome::Joined => self.probes.twins_joined += 1,
            Outcome::Shared => self.probes.cookieless_shares += 1,
            Outcome::Recorded => {}
        }
        fact.visit = committed.visit;
        fact.slides = true;
        fact.starts = committed.outcome == Outcome::Started;
        ensure!(
            fact.visit.is_some() != (committed.outcome == Outcome::Shared),
            "{:?} in {:?}",
            committed.outcome,
            committed.visit
        );
        self.enter_changes(request, deed, committed, on_start, &mut fact)?;
        Ok(Some(self.oracle.books.enter(fact)))
    }

    fn enter_changes(
        &self,
        request: &Request,
        deed: Deed,
        committed: &Committed,
        on_start: Option<usize>,
        fact: &mut Fact,
    ) -> Check {
        let (before, trusted) = match &request.begun.standing {
            Standing::Live(live) => (Some(live.visit), live.current),
            _ => (None, true),
        };
        if let Some(before) = before.filter(|before| fact.visit != Some(*before)) {
            // Another user was in: a logout and a start.
            ensure!(deed.login.is_some(), "{before} became {:?}", fact.visit);
            fact.ends = Some((before, EndReason::LoggedOut));
            fact.starts = true;
        }
        if let Some(n) = on_start.filter(|_| fact.starts) {
            fact.changes.push(("s".into(), Change::Set(n.into())));
        }
        if let Some(user) = &deed.login {
            fact.sets_user(Some(user));
        }
        let refused = if trusted { 0 } else { deed.changes.len() };
        ensure!(committed.refused as usize == refused, "{} operations refused of {deed:?}", committed.refused);
        if trusted {
            fact.changes.extend(deed.changes);
        }
        let token = committed.issue.filter(|token| token.visit.is_some() && token.visit == fact.visit);
        fact.rotation = token.map_or(0, |token| token.rotation);
        if deed.logout && !self.plan.rules.logout_ends_session {
            fact.sets_user(None);
            fact.hides_rotation = token.is_none();
        } else if let Some(visit) = fact.visit {
            fact.ends = match (deed.logout, deed.abandon) {
                (true, _) => Some((visit, EndReason::LoggedOut)),
                (_, true) => Some((visit, EndReason::Abandoned)),
                _ => fact.ends,
            };
        }
        Ok(())
    }

    /// A client gets a cookie.
    pub(crate) fn keep(&mut self, client: usize, token: Token) {
        let who = &self.clients[client];
        if who.keeps_cookies
            && let Some(old) = self.jars[who.jar].token.replace(token)
        {
            self.jars[who.jar].old.push(old);
        }
    }

    /// An admin ends a session.
    pub(crate) fn terminate(&mut self) -> Check {
        let open = self.life.engine.open_list();
        if open.is_empty() || !self.dice.one_in(3) {
            return Ok(());
        }
        let session = &open[self.dice.roll(open.len())];
        if session.shared {
            return Ok(());
        }
        let visit = session.chain.visit;
        let (now, from) = (self.now(), self.life.journal().appended().0);
        let ended = self.life.engine.end_session(visit);
        self.trace.note(format_args!("terminate {visit}: {}", ended.is_ok()));
        let wait = match ended {
            Ok((ended, wait)) => {
                ensure!(ended, "{visit} is open, and could not be terminated");
                wait
            }
            Err(error) => return self.may_refuse(&error),
        };
        let mut fact = Fact::new(now, from, self.life.journal().appended().0);
        fact.visit = Some(visit);
        fact.ends = Some((visit, EndReason::Terminated));
        let fact = Some(self.oracle.books.enter(fact));
        self.pending.push(Pending { client: None, waiting: Waiting::End(wait), fact });
        Ok(())
    }

    /// A person reads an open session.
    pub(crate) fn look_at_one(&mut self) -> Check {
        let open = self.life.engine.open_list();
        if open.is_empty() {
            return Ok(());
        }
        let session = &open[self.dice.roll(open.len())];
        let visit = session.chain.visit;
        let seen = match self.life.engine.read_open(visit) {
            Ok(Some(seen)) => seen,
            Ok(None) => return Err(format!("{visit} is open, and can't be looked at")),
            Err(error) => return self.may_fail(Err(error), "look"),
        };
        self.trace.note(format_args!("look at {visit}: {} events", seen.events.len()));
        if session.shared {
            return Ok(());
        }
        let tags = crate::oracle::tags_of(&seen.events);
        for fact in self.oracle.books.of(visit).filter(|fact| fact.fate == Fate::Kept && fact.visit == Some(visit)) {
            let missing = fact.tags.iter().find(|tag| !tags.contains(tag));
            ensure!(missing.is_none(), "{visit} is open, and lacks event {missing:?}");
        }
        Ok(())
    }

    /// Somebody comes back exactly when the idle timeout allows it; perhaps after a crash.
    pub(crate) fn be_on_time(&mut self) -> Check {
        let client = self.dice.roll(self.clients.len());
        let Some(token) = self.jars[self.clients[client].jar].token else { return Ok(()) };
        let Some(visit) = token.visit else { return Ok(()) };
        if self.dice.one_in(2) {
            self.crash_without_jump()?;
        }
        let Some(last) = self.oracle.books.last_seen(visit) else { return Ok(()) };
        let (due, now) = (last.after(self.plan.rules.idle_timeout), self.now());
        if due <= now || !self.oracle.must_live(&self.plan, visit, due) {
            return Ok(());
        }
        self.clock.advance(due.since(now));
        self.trace.note(format_args!("it is {due:?}, the last moment of {visit}"));
        self.sweep()?;
        self.probes.exactly_on_time += 1;
        match self.arrive(client, Some(token), false)? {
            Some(request) => self.finish(&request),
            None => Ok(()),
        }
    }
}
