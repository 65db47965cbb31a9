//! What a request and its answer make: the commit, and what the answer carries afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use visitlog_core::ids::VisitId;
use visitlog_core::model::{EventKind, RequestFacts};
use visitlog_core::ports::{
    Begun, Class, Commit, Committed, Live, Op, Outcome, Reply, RequestId, SessionStore, Standing, StoreError,
};
use visitlog_core::{Host, Timestamp};

use crate::handover::{Alone, Waiting};
use crate::hooks::{self, SessionStart};
use crate::opt_out::{self, Wish};
use crate::origin::{Origin, cut};
use crate::privacy::{Mode, Recording, Why};
use crate::protocol::{self, Said, UserSaid};
use crate::settings::{Identify, PublicPages};
use crate::shared::{Hold, Setup, Shared};
use crate::ticket::Ticket;
use crate::visit::{BoxFuture, Later, Link, Meets, Visit, events_of, of_type};
use crate::{caching, cookie};

const VISITLOG_SESSION: HeaderName = HeaderName::from_static("visitlog-session");
const VISITLOG_COUNTRY: HeaderName = HeaderName::from_static("visitlog-country");

impl Setup {
    /// Takes out of a request what only we may say, and what the service within needn't see.
    pub(crate) fn clean_request(&self, headers: &mut HeaderMap, over_tls: bool) {
        if self.settings.header_protocol.is_on() || self.settings.tell_session || self.settings.tell_country {
            protocol::strip(headers);
        }
        if self.settings.hide_cookie {
            cookie::remove(headers, self.cookie.name(over_tls));
            cookie::remove(headers, &self.cookie.handover_name(over_tls));
        }
    }

    /// Tells the service within where the client is.
    pub(crate) fn tell_country(&self, headers: &mut HeaderMap, origin: &Origin) {
        if self.settings.tell_country
            && let Some(country) = origin.country(self)
            && let Ok(value) = HeaderValue::from_str(country.as_str())
        {
            headers.insert(VISITLOG_COUNTRY, value);
        }
    }

    /// Tells the service within which visit it is.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, visit: Option<VisitId>) {
        if let Some(visit) = visit.filter(|_| self.settings.tell_session)
            && let Ok(value) = HeaderValue::try_from(visit.to_string())
        {
            headers.insert(VISITLOG_SESSION, value);
        }
    }

    /// Takes out of an answer what it says by our headers, and hands it on if it may speak.
    pub(crate) fn listen(&self, visit: &Visit, headers: &mut HeaderMap) {
        let protocol = &self.settings.header_protocol;
        if !protocol.is_on() {
            return;
        }
        if !protocol.allows(visit.origin().uri.path()) {
            return protocol::strip(headers);
        }
        let Some(said) = protocol::take(headers) else { return };
        if !said.ignored.is_empty() {
            self.counters.ignored(&said.ignored, visit.origin().uri.path(), self.clock.now());
        }
        push_said(visit, said);
    }

    /// Makes a commit whole: what the store needs where a session may start.
    /// `cookies`: whether the answer could set one.
    pub(crate) fn commit(&self, origin: &Origin, begun: Begun, class: Class, ops: Vec<Op>, cookies: bool) -> Commit {
        let Begun { request, at, standing } = begun;
        let mut commit = Commit {
            request,
            at,
            host: origin.host.clone(),
            token: origin.token,
            fingerprint: origin.fingerprint(self),
            standing,
            class,
            ops,
            on_start: Vec::new(),
            facts: None,
            cookies,
        };
        let user_of = |live: &Live| live.data.as_ref().and_then(|data| data.user.clone());
        let logs_in = |live: &Live| {
            let another = |op: &Op| matches!(op, Op::Login(user) if user_of(live).as_ref() != Some(user));
            commit.ops.iter().any(another)
        };
        let (visitor_id, visit) = match &commit.standing {
            Standing::Live(live) if !logs_in(live) => return commit,
            _ if !commit.starts() => return commit,
            Standing::Live(live) => {
                let visitor = live.successor.or(origin.token.map(|token| token.visitor));
                (visitor.map(|visitor| self.keys.visitor_id(visitor)), None)
            }
            Standing::Fresh(fresh) => (Some(self.keys.visitor_id(fresh.visitor)), Some(fresh.visit)),
            // The store puts the fingerprint in its place, unless it turns out by then that the client keeps cookies.
            Standing::Shared { visitor } => (Some(self.keys.visitor_id(*visitor)), None),
        };
        let shown = commit.ops.first().and_then(shown_page);
        let is_page = shown.is_some() || matches!(commit.class, Class::Page(_) | Class::PageError(_));
        let mut facts = origin.start_facts(self, visitor_id.unwrap_or_default(), is_page);
        if let Some(request) = shown {
            // The visitor came by the page that was fetched before.
            facts.referrer.clone_from(&request.referrer);
        }
        let starts = match &commit.standing {
            // Another user's login starts another session.
            Standing::Live(live) => user_of(live).is_some(),
            Standing::Fresh(_) => true,
            Standing::Shared { .. } => commit.needs_own(),
        };
        if let Some(hook) = self.on_start.as_ref().filter(|_| starts) {
            let (host, path) = (&origin.host, origin.uri.path());
            let start = SessionStart { visit, host, path, facts: &facts, ops: Vec::new() };
            let said = hooks::ask(hook, start, &self.counters);
            commit.on_start = if origin.detail.keeps_user() { said } else { Vec::new() };
        }
        commit.facts = Some(facts);
        commit
    }

    /// Counts what came of a commit.
    pub(crate) fn count(&self, result: &Result<Committed, StoreError>, events: usize, ops: usize) {
        match result {
            Ok(committed) => {
                self.counters.ops_refused.add(committed.refused as usize);
                self.counters.gone.add(usize::from(committed.outcome == Outcome::Gone));
                self.counters.undurable.add(usize::from(!committed.durable));
            }
            Err(StoreError::Unknown) => self.counters.outcome_unknown.add(1),
            Err(_) => {
                self.counters.events_lost.add(events);
                self.counters.ops_lost.add(ops);
            }
        }
    }

    /// Whether the answer could set a cookie: not an asset, which other visitors get from a cache, nor what stays public.
    pub(crate) fn can_set_cookie<B>(&self, origin: &Origin, answer: &Response<B>) -> bool {
        let stays_public = || self.settings.public_pages == PublicPages::Keep && caching::is_public(answer.headers());
        !origin.is_asset && caching::can_set_cookie(answer.status(), answer.headers()) && !stays_public()
    }

    /// Lets wait what a form of another site did, until its visitor comes. Gives it back where that can't be.
    pub(crate) fn hand_over<B>(
        &self,
        origin: &Origin,
        waiting: Waiting,
        answer: &mut Response<B>,
    ) -> Result<(), Waiting> {
        let Some(ticket) = Ticket::draw() else { return Err(waiting) };
        let Some(cookie) = self.cookie.hand_over(Some(ticket), origin.over_tls) else { return Err(waiting) };
        self.handovers.keep(ticket, origin.host.clone(), origin.address_group(), waiting, self.clock.now())?;
        self.give(cookie, answer);
        Ok(())
    }

    /// Puts a cookie on an answer, which becomes private with it.
    fn give<B>(&self, (name, value): (HeaderName, HeaderValue), answer: &mut Response<B>) {
        answer.headers_mut().append(name, value);
        caching::make_private(answer.headers_mut(), self.cookie.cache_control());
    }

    /// Takes back what the client has of us, once it is not recorded. `consent`: what the app said; where visitors are
    /// recorded unless they say otherwise, a no is remembered as on the page for it.
    pub(crate) fn take_back<B>(&self, origin: &Origin, consent: Option<bool>, answer: &mut Response<B>) {
        // A no is not lost to what caches may make of the answer: it becomes private.
        if consent != Some(false) && !self.can_set_cookie(origin, answer) {
            return;
        }
        if origin.has_our_cookie()
            && let Some(cookie) = self.cookie.take_away(origin.over_tls)
        {
            self.give(cookie, answer);
        }
        let privacy = &self.settings.privacy;
        let is_new = origin.recording == Recording::Kept && consent == Some(false);
        if is_new && privacy.opt_out && privacy.mode != Mode::Consent {
            self.give((SET_COOKIE, self.choice(origin, true)), answer);
        }
    }

    /// The cookie of a choice whether to be recorded.
    fn choice(&self, origin: &Origin, out: bool) -> HeaderValue {
        opt_out::set_cookie(out, origin.over_tls, self.cookie.domain_of(&origin.host))
    }

    /// The answer to a request for the page on which visitors opt out; `None` where it is for something else.
    pub(crate) fn own_answer<B>(&self, origin: &Origin, request: &Request<B>) -> Option<Response<Bytes>> {
        let privacy = &self.settings.privacy;
        let wish = Wish::of(request, &origin.host).filter(|_| privacy.opt_out && !self.settings.rules.disabled)?;
        Some(match wish {
            Wish::See => {
                let state = match origin.recording {
                    Recording::Counted(Why::OptedOut) => opt_out::State::OptedOut,
                    Recording::Counted(Why::NoConsent) => opt_out::State::NoConsent,
                    Recording::Counted(Why::Signal) => opt_out::State::Signal,
                    Recording::Excluded => opt_out::State::Excluded,
                    Recording::Kept => opt_out::State::Recorded,
                };
                opt_out::page(state, privacy.mode)
            }
            Wish::Out => {
                let mut answer = opt_out::chosen(self.choice(origin, true));
                if origin.has_our_cookie()
                    && let Some((name, value)) = self.cookie.take_away(origin.over_tls)
                {
                    answer.headers_mut().append(name, value);
                }
                answer
            }
            Wish::In => opt_out::chosen(self.choice(origin, false)),
            Wish::Foreign => opt_out::foreign(),
            Wish::Other => opt_out::not_allowed(),
        })
    }

    /// What has waited for this request's visitor, as operations to come first.
    pub(crate) fn handed<B>(&self, origin: &Origin, at: Timestamp, answer: &mut Response<B>) -> Vec<Op> {
        let is_of = |host: &Host| self.cookie.scope(host) == self.cookie.scope(&origin.host);
        let waiting = origin.handed.and_then(|ticket| self.handovers.take(ticket, is_of));
        let Some(Waiting { mut ops, class, .. }) = waiting else { return Vec::new() };
        if self.can_set_cookie(origin, answer)
            && let Some(cookie) = self.cookie.hand_over(None, origin.over_tls)
        {
            self.give(cookie, answer);
        }
        if let Class::Page(event) | Class::PageError(event) | Class::Other(Some(event)) = class {
            ops.push(Op::Event(event));
        }
        let latest = at.before(Duration::from_micros(1));
        for op in &mut ops {
            if let Op::Event(event) = op {
                event.time = event.time.min(latest);
            }
        }
        ops
    }

    /// Gives the client its token, if it gets one.
    pub(crate) fn issue<B>(&self, origin: &Origin, committed: &Committed, answer: &mut Response<B>) {
        let Some(token) = committed.issue.filter(|_| self.settings.identify == Identify::ByCookie) else { return };
        // What tells no visit is not worth that a public page becomes private, at each request of one who keeps no cookie.
        if !self.can_set_cookie(origin, answer) || (token.visit.is_none() && caching::is_public(answer.headers())) {
            return self.counters.cookies_withheld.add(1);
        }
        let text = self.keys.seal(&token, self.cookie.scope(&origin.host));
        if let Some(cookie) = self.cookie.set(&text, origin.over_tls, token.born, self.clock.now()) {
            self.give(cookie, answer);
        }
    }
}

/// In the order of a request: login, values, actions, goodbye.
fn push_said(visit: &Visit, said: Said) {
    let (login, nobody) = match said.user {
        Some(UserSaid::Login(user)) => (Some(user), false),
        Some(UserSaid::Nobody) => (None, true),
        None => (None, false),
    };
    if let Some(user) = login {
        visit.login(&user);
    }
    for (key, value) in said.set {
        visit.push(Op::Set(key, value));
    }
    for action in said.actions {
        let name = cut(action.name.into(), visitlog_core::limits::ACTION_NAME_BYTES_MAX);
        visit.push_action(name, action.type_.as_deref().and_then(of_type), action.properties);
    }
    if nobody {
        visit.push(Op::Nobody);
    }
    if said.end {
        visit.abandon();
    }
    if let Some(page) = said.page {
        visit.say_page(page);
    }
    if let Some(agrees) = said.consent {
        visit.consent(agrees);
    }
    if let Some(named) = said.visit {
        visit.belongs_to(named);
    }
}

/// The page that an operation says was fetched before and is shown now.
fn shown_page(op: &Op) -> Option<&RequestFacts> {
    match op {
        Op::Event(event) if event.kind == EventKind::PageView => event.request.as_deref(),
        _ => None,
    }
}

impl<St: SessionStore> Link for Shared<St> {
    fn setup(&self) -> &Setup {
        &self.setup
    }

    fn commit_later(self: Arc<Self>, mut later: Later) -> BoxFuture<Result<Committed, StoreError>> {
        Box::pin(async move {
            let (events, ops) = (events_of(&later.class), later.ops.len());
            let result = commit_alone(&self, &mut later).await;
            later.take();
            self.setup.count(&result, events, ops);
            result
        })
    }
}

impl<St: SessionStore> Shared<St> {
    /// Carries out what has waited in vain for its visitor, if anything has.
    pub(crate) fn overdue(&self) -> Option<Alone> {
        let Waiting { ops, class, alone } = self.setup.handovers.overdue(self.setup.clock.now())?;
        Some(alone(ops, class))
    }

    /// What a request did, to wait for its visitor.
    pub(crate) fn waiting(self: &Arc<Self>, visit: &Visit, ops: Vec<Op>, class: Class) -> Waiting {
        let (shared, visit) = (self.clone(), visit.clone());
        let alone = |ops, class| shared.commit_later(Later { visit, ops, class, token: None, meets: Meets::Any });
        Waiting { ops, class, alone: Box::new(alone) }
    }
}

async fn commit_alone<St: SessionStore>(shared: &Arc<Shared<St>>, later: &mut Later) -> Result<Committed, StoreError> {
    let visit = later.visit.clone();
    let (setup, origin) = (&shared.setup, visit.origin());
    let counters = &setup.counters;
    let (begun, hold) = match later.meets {
        Meets::Named(visit) => (named(visit, later.visit.at(), true), None),
        Meets::Any | Meets::Only(_) => {
            let arrival = origin.arrival(setup, later.token, false);
            let begun = match counters.call(|| shared.store.begin(arrival))? {
                Reply::Now(begun) => {
                    counters.store_said(begun.as_ref().err());
                    begun?
                }
                Reply::Later(begin) => {
                    let mut begin = Box::pin(begin);
                    std::future::poll_fn(|cx| counters.poll(begin.as_mut(), cx)).await?
                }
            };
            let live = match &begun.standing {
                Standing::Live(live) => Some(live),
                Standing::Fresh(_) | Standing::Shared { .. } => None,
            };
            let hold = Hold::new(shared.clone(), live.and_then(|live| live.hold));
            let met = live.map(|live| live.visit);
            match later.meets {
                // A login has changed the token since. The request began in that visit all the same; whether it lives is for
                // the store to say.
                Meets::Only(expected) if met != Some(expected) => (named(expected, begun.at, false), None),
                _ => (begun, Some(hold)),
            }
        }
    };
    let (class, ops) = later.take();
    let mut commit = setup.commit(origin, begun, class, ops, true);
    commit.token = later.token;
    if let Some(mut hold) = hold {
        hold.forget();
    }
    let mut commit = Box::pin(counters.call(|| shared.store.commit(commit))?);
    std::future::poll_fn(|cx| counters.poll(commit.as_mut(), cx)).await
}

/// The standing of a request that belongs to this visit, whatever its token. No hold goes with it, so that the store need not
/// know the request. `current`: whether what it says of values and users counts.
fn named(visit: VisitId, at: Timestamp, current: bool) -> Begun {
    let live = Live { visit, current, data: None, successor: None, hold: None };
    Begun { request: RequestId::from_u128(0), at, standing: Standing::Live(live) }
}
