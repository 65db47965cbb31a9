//! The response future: begin, call, commit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use visitlog_core::ports::{
    Begun, Class, Committed, Fresh, Inquiry, Op, Outcome, Reply, SessionHold, SessionStore, Standing, StoreError,
};
use visitlog_core::{Timestamp, Trace};

use crate::access::trace_of;
use crate::body::VisitBody;
use crate::class::{Asked, Kind};
use crate::origin::Origin;
use crate::presence::{self, Heard, Ours};
use crate::privacy::Recording;
use crate::protocol::PageSaid;
use crate::settings::{Identify, PublicPages};
use crate::shared::{Hold, Shared};
use crate::visit::{BoxFuture, Later, Link, Meets, Sayings, Visit, events_of};

/// An answer; without a body it is one of ours.
type Answer<R, E> = Result<Response<Option<R>>, E>;

pin_project! {
    /// The response of a [`VisitService`](crate::VisitService). Nothing in it is boxed, but for the rare case that a
    /// request which leaves no trace by itself names an action.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<Svc, St, B, R>
    where
        Svc: Service<Request<B>, Response = Response<R>>,
        St: SessionStore,
    {
        hold: Hold<Arc<St>>,
        visit: Visit,
        begun: Option<Begun>,
        // What has waited in vain, and is carried out beside this request.
        chore: Option<BoxFuture<Result<Committed, StoreError>>>,
        #[pin]
        state: State<Svc, St, B, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Svc, St, B, R>
    where
        Svc: Service<Request<B>, Response = Response<R>>,
        St: SessionStore,
    {
        // The store looks who it is; the service within waits with its request.
        Begin { #[pin] begin: St::Begin, next: Option<(Svc, Request<B>)> },
        // The visitor is led elsewhere: the service within is not asked.
        Lead { head: Option<Response<()>> },
        // The service within works.
        Call { #[pin] call: Svc::Future },
        // The store records it; the answer waits.
        Commit { #[pin] commit: St::Commit, answer: Option<Answer<R, Svc::Error>>, events: usize, ops: usize },
        // The same, for a request that had not been expected to leave a trace.
        Late { late: BoxFuture<Result<Committed, StoreError>>, answer: Option<Answer<R, Svc::Error>> },
        // The layer answers by itself; something may have to be recorded before that leaves.
        Own { end: Option<BoxFuture<Result<Committed, StoreError>>>, answer: Option<Response<Bytes>> },
        // The store looks whose page says that it is there.
        Beat { #[pin] begin: St::Begin, heard: Heard },
        // The store holds off the session's expiry, for the answer goes on.
        GoesOn { hold: Inquiry<Option<SessionHold>>, answer: Option<Answer<R, Svc::Error>> },
    }
}

impl<Svc, St, B, R> ResponseFuture<Svc, St, B, R>
where
    Svc: Service<Request<B>, Response = Response<R>>,
    St: SessionStore,
{
    /// The store's answer takes time.
    pub(crate) const fn later(
        shared: Arc<Shared<Arc<St>>>,
        visit: Visit,
        begin: St::Begin,
        inner: Svc,
        request: Request<B>,
    ) -> Self {
        Self::at(shared, visit, State::Begin { begin, next: Some((inner, request)) })
    }

    /// The store has answered already.
    pub(crate) fn begun(
        shared: Arc<Shared<Arc<St>>>,
        visit: Visit,
        result: Result<Begun, StoreError>,
        inner: &mut Svc,
        mut request: Request<B>,
    ) -> Self {
        let mut hold = Hold::new(shared, None);
        let begun = begun(result, &mut hold, &visit, &mut request);
        let state = match hold.shared().setup.redirect(begun.as_ref(), &visit, request.headers()) {
            Some(head) => State::Lead { head: Some(head) },
            None => State::Call { call: inner.call(request) },
        };
        Self { hold, visit, begun, chore: None, state }
    }

    /// It is answered with a page of our own. Who has chosen on it not to be recorded any more has no session from now on.
    pub(crate) fn own(shared: Arc<Shared<Arc<St>>>, origin: Origin, answer: Response<Bytes>) -> Self {
        let token = origin.token.or(origin.revoked).filter(|_| answer.status().is_redirection());
        let visit = Visit::new(origin, shared.clone());
        let end = token.map(|token| shared.clone().commit_later(Later::goodbye(&visit, token)));
        Self::at(shared, visit, State::Own { end, answer: Some(answer) })
    }

    pub(crate) fn call(shared: Arc<Shared<Arc<St>>>, visit: Visit, call: Svc::Future) -> Self {
        Self::at(shared, visit, State::Call { call })
    }

    const fn at(shared: Arc<Shared<Arc<St>>>, visit: Visit, state: State<Svc, St, B, R>) -> Self {
        Self { hold: Hold::new(shared, None), visit, begun: None, chore: None, state }
    }

    /// A request that is for the layer.
    pub(crate) fn ours(shared: Arc<Shared<Arc<St>>>, origin: Origin, ours: Ours, request: &Request<B>) -> Self {
        let arrival = origin.arrival(&shared.setup, origin.token, true);
        let is_nobody = origin.token.is_none() || origin.recording != Recording::Kept;
        let visit = Visit::new(origin, shared.clone());
        let answer = match ours {
            Ours::Script => presence::script(request.headers(), request.method() == Method::HEAD),
            Ours::Refused(why) => presence::refused(why),
            Ours::Beat(heard) if is_nobody || heard.is_excluded(&shared.setup.settings) => presence::beaten(UNKNOWN),
            Ours::Beat(heard) => {
                let setup = &shared.setup;
                let reply = setup.counters.call(|| shared.store.begin(arrival));
                match reply.unwrap_or_else(|error| Reply::Now(Err(error))) {
                    Reply::Now(begun) => {
                        setup.counters.store_said(begun.as_ref().err());
                        let state = beaten(&shared, &visit, &begun, &heard);
                        return Self::at(shared, visit, state);
                    }
                    Reply::Later(begin) => return Self::at(shared, visit, State::Beat { begin, heard }),
                }
            }
        };
        Self::at(shared, visit, State::Own { end: None, answer: Some(answer) })
    }

    /// With something to be carried out beside the request.
    pub(crate) fn with(mut self, chore: Option<BoxFuture<Result<Committed, StoreError>>>) -> Self {
        self.chore = chore;
        self
    }
}

/// What becomes of an answer.
enum Next<St: SessionStore> {
    /// It can go.
    Go,
    /// When this is done.
    Commit { commit: St::Commit, events: usize, ops: usize },
    /// When this is done.
    Late(BoxFuture<Result<Committed, StoreError>>),
}

/// The store said who it is, or could not.
fn begun<St: SessionStore, B>(
    result: Result<Begun, StoreError>,
    hold: &mut Hold<Arc<St>>,
    visit: &Visit,
    request: &mut Request<B>,
) -> Option<Begun> {
    let setup = &hold.shared().setup;
    let Ok(begun) = result else {
        setup.counters.untracked.add(1);
        return None;
    };
    visit.arrived(begun.at, &begun.standing);
    setup.tell(request.headers_mut(), visit.id());
    let is_passive = visit.origin().asked.is_passive();
    match &begun.standing {
        Standing::Live(live) => hold.keep(live.hold),
        // The app will have the headers when it is known whether a session starts.
        Standing::Fresh(_) | Standing::Shared { .. } if !is_passive => visit.origin().look(request.headers()),
        Standing::Fresh(_) | Standing::Shared { .. } => {}
    }
    // A passive request holds nothing, and commits nothing but that its visitor keeps cookies.
    let brings = matches!(begun.standing, Standing::Fresh(Fresh { brings: true, .. }));
    (!is_passive || brings).then_some(begun)
}

/// The store said whose page says that it is there.
fn beaten<Svc, St, B, R>(
    shared: &Arc<Shared<Arc<St>>>,
    visit: &Visit,
    begun: &Result<Begun, StoreError>,
    heard: &Heard,
) -> State<Svc, St, B, R>
where
    Svc: Service<Request<B>, Response = Response<R>>,
    St: SessionStore,
{
    let (setup, origin) = (&shared.setup, visit.origin());
    let at_once = |next| State::Own { end: None, answer: Some(presence::beaten(next)) };
    let Ok(Begun { at, standing: Standing::Live(live), .. }) = begun else { return at_once(UNKNOWN) };
    let kept = setup.counters.call(|| shared.store.beat(live.visit, &heard.beat()));
    let next = kept.ok().flatten().unwrap_or(UNKNOWN);
    // A page that was fetched ahead, and is shown now.
    let shown = if heard.leaves() { None } else { origin.shown_page(*at, setup) };
    if shown.is_none() && (heard.leaves() || !setup.settings.beats_slide) {
        return at_once(next);
    }
    let ops = shown.map(Op::Event).into_iter().collect();
    let (class, meets) = (Class::Other(None), Meets::Only(live.visit));
    let later = Later { visit: visit.clone(), ops, class, token: origin.token, meets };
    State::Own { end: Some(shared.clone().commit_later(later)), answer: Some(presence::beaten(next)) }
}

/// Where nobody keeps whether a page is there, it need not say so often.
const UNKNOWN: Duration = Duration::from_secs(60);

/// The head of the answer is ready.
fn answered<St: SessionStore, R, E>(
    answer: &mut Answer<R, E>,
    begun: Option<Begun>,
    hold: &mut Hold<Arc<St>>,
    visit: &Visit,
) -> Next<St> {
    let shared = hold.shared().clone();
    let (setup, origin) = (&shared.setup, visit.origin());
    let mut kind = Kind::Other;
    if let Ok(answer) = answer {
        setup.listen(visit, answer.headers_mut());
        setup.vary(origin.uri.path(), origin.asked, answer.headers_mut());
        kind = origin.asked.answered(answer.status(), answer.headers());
    }
    let Sayings { mut ops, mut page, named, consent } = visit.close();
    // An app may say with every answer which visit it was told.
    let named = named.filter(|named| visit.id() != Some(*named));
    match (&page, kind) {
        // Nobody has seen it yet, and the app can't know who will.
        (Some(PageSaid::Yes { .. }), _) if origin.asked == Asked::Prefetch => kind = Kind::Prefetched,
        (Some(PageSaid::Yes { .. }), _) => kind = Kind::Page,
        (Some(PageSaid::No), Kind::Page | Kind::PageError) => kind = Kind::Other,
        (Some(PageSaid::No), Kind::Prefetched) => kind = Kind::Passive,
        _ => {}
    }
    let at = begun.as_ref().map_or_else(|| visit.at(), |begun| begun.at);
    // What a webhook or a job says of a visit is that visit's, whoever asks.
    let is_recorded = origin.is_recorded(consent) || (named.is_some() && !origin.is_excluded());
    visit.set_recorded(is_recorded);
    if !is_recorded && !origin.is_excluded() {
        return unrecorded(&shared, visit, (kind, page, consent), at, begun, hold, answer);
    }
    let mut class = match answer {
        Ok(answer) => {
            match kind {
                Kind::Prefetched => origin.hold_page(page.take(), at, answer, setup),
                Kind::Page | Kind::PageError => origin.supersede_page(setup),
                _ => {}
            }
            origin.class(kind, page, at, answer, setup)
        }
        Err(_) => Class::Other(None),
    };
    let note = |visit, trace| origin.note(at, visit, trace, setup);
    if let Some(named) = named {
        note(Some(named), trace_of(&class, &ops));
        let refused = ops.extract_if(.., |op| matches!(op, Op::Login(_))).count();
        setup.counters.ops_refused.add(refused);
        let later = Later { visit: visit.clone(), ops, class, token: None, meets: Meets::Named(named) };
        return Next::Late(shared.clone().commit_later(later));
    }
    // Whose visit it is, where the commit does not say another one.
    let met = visit.id().filter(|_| visit.lives());
    note(met, Trace::None);
    if origin.is_excluded() {
        return Next::Go;
    }
    if matches!(origin.recording, Recording::Counted(_)) {
        // The visitor agrees by this answer. Where it shows no page, what remembers that is the record of it.
        if events_of(&class) == 0 {
            ops.push(Op::Event(Visit::agreed(at)));
        }
        let later = Later { visit: visit.clone(), ops, class, token: None, meets: Meets::Any };
        return Next::Late(shared.clone().commit_later(later));
    }
    let Some(begun) = begun else {
        return alone(&shared, visit, ops, class);
    };
    // An asset's answer gives no cookie: the session that it would start is one that nobody comes back to.
    let can_record = !(origin.is_asset && matches!(begun.standing, Standing::Fresh(_)));
    if can_record && let Some(event) = origin.shown_page(at, setup) {
        ops.insert(0, Op::Event(event));
    }
    if let Ok(answer) = answer {
        if origin.handed.is_some() {
            ops.splice(0..0, setup.handed(origin, at, answer));
        }
        if origin.sent_by_another_site {
            // Without cookies the app can't know who it is: that it knows nobody is no goodbye.
            ops.retain(|op| !matches!(op, Op::Nobody));
        }
        if origin.sent_by_another_site && (!ops.is_empty() || matches!(class, Class::Page(_))) {
            match setup.hand_over(origin, shared.waiting(visit, ops, class), answer) {
                Ok(()) => return Next::Go,
                Err(back) => (ops, class) = (back.ops, back.class),
            }
        }
    }
    note(met, trace_of(&class, &ops));
    let (events, count) = (events_of(&class), ops.len());
    let keeps = setup.settings.public_pages == PublicPages::Keep;
    let by_cookie = setup.settings.identify == Identify::ByCookie;
    // One that only shows that its visitor keeps cookies is an asset, which others get from a cache.
    let can_set = || answer.as_ref().is_ok_and(|answer| setup.can_set_cookie(origin, answer));
    let cookies = by_cookie && !origin.asked.is_passive() && (!keeps || can_set());
    let commit = setup.commit(origin, begun, class, ops, cookies);
    hold.forget();
    match setup.counters.call(|| shared.store.commit(commit)) {
        Ok(commit) => Next::Commit { commit, events, ops: count },
        Err(error) => {
            let result = Err(error);
            origin.committed(&result);
            setup.count(&result, events, count);
            Next::Go
        }
    }
}

/// The head of an answer is ready that is not to be recorded: the request is counted, and who was recorded until now is not
/// any more.
fn unrecorded<St: SessionStore, R, E>(
    shared: &Arc<Shared<Arc<St>>>,
    visit: &Visit,
    (kind, page, consent): (Kind, Option<PageSaid>, Option<bool>),
    at: Timestamp,
    begun: Option<Begun>,
    hold: &mut Hold<Arc<St>>,
    answer: &mut Answer<R, E>,
) -> Next<St> {
    let (setup, origin) = (&shared.setup, visit.origin());
    if let Ok(answer) = answer {
        origin.count(kind, page.as_ref(), at, answer, setup);
        setup.take_back(origin, consent, answer);
    }
    match begun {
        Some(begun) if matches!(begun.standing, Standing::Live(_)) => {
            let commit = setup.commit(origin, begun, Class::Other(None), vec![Op::Abandon], false);
            hold.forget();
            match setup.counters.call(|| shared.store.commit(commit)) {
                Ok(commit) => Next::Commit { commit, events: 0, ops: 1 },
                Err(error) => {
                    setup.count(&Err(error), 0, 1);
                    Next::Go
                }
            }
        }
        Some(_) => Next::Go,
        None => match origin.revoked.or(origin.token) {
            Some(token) => Next::Late(shared.clone().commit_later(Later::goodbye(visit, token))),
            None => Next::Go,
        },
    }
}

/// An answer without a standing: to a passive request, or to one that the store could not place.
fn alone<St: SessionStore>(shared: &Arc<Shared<Arc<St>>>, visit: &Visit, ops: Vec<Op>, class: Class) -> Next<St> {
    let passive = visit.origin().asked.is_passive();
    let says_who = |op: &Op| matches!(op, Op::Login(_) | Op::Nobody);
    if passive && class == Class::Passive && visit.origin().reads() && !visit.lives() && ops.iter().all(says_who) {
        // An app that says with every answer who it is starts no session by an asset or by a forgotten tab that polls.
        return Next::Go;
    }
    if passive && !(ops.is_empty() && class == Class::Passive) {
        // The app named something: that makes a tracked request of it.
        let class = if class == Class::Passive { Class::Other(None) } else { class };
        visit.origin().note(visit.at(), visit.id().filter(|_| visit.lives()), trace_of(&class, &ops), &shared.setup);
        let later = Later { visit: visit.clone(), ops, class, token: visit.origin().token, meets: Meets::Any };
        return Next::Late(shared.clone().commit_later(later));
    }
    if !passive {
        shared.setup.counters.events_lost.add(events_of(&class));
        shared.setup.counters.ops_lost.add(ops.len());
    }
    Next::Go
}

/// Whether the request goes on when the head of its answer has gone: it switches protocols, or its body takes long.
fn goes_on<R: Body>(answer: &Response<Option<R>>) -> bool {
    let Some(body) = answer.body() else { return false };
    let is_short = || body.is_end_stream() || body.size_hint().upper().is_some_and(|bytes| bytes <= SHORT_BODY_BYTES);
    answer.status() == StatusCode::SWITCHING_PROTOCOLS || !is_short()
}

/// A body of at most so many bytes is sent at once.
const SHORT_BODY_BYTES: u64 = 64 * 1024;

fn wrapped<R, E>(answer: Answer<R, E>, visit: Option<&Visit>) -> Result<Response<VisitBody<R>>, E> {
    let of = |body: Option<R>| {
        body.map_or_else(|| VisitBody::own(Bytes::new()), |body| VisitBody::new(body, visit.cloned()))
    };
    answer.map(|answer| answer.map(of))
}

impl<Svc, St, B, R> Future for ResponseFuture<Svc, St, B, R>
where
    Svc: Service<Request<B>, Response = Response<R>>,
    St: SessionStore,
    R: Body,
    R::Data: From<Bytes>,
{
    type Output = Result<Response<VisitBody<R>>, Svc::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let chore = self.as_mut().project().chore;
        if let Some(late) = chore {
            // What comes of it, it has counted.
            ready!(late.as_mut().poll(cx)).ok();
            *chore = None;
        }
        let mut this = self.project();
        loop {
            let ready = match this.state.as_mut().project() {
                StateProj::Call { call } => Some(ready!(call.poll(cx)).map(|answer| answer.map(Some))),
                StateProj::Lead { head } => head.take().map(|head| Ok(head.map(|()| None))),
                _ => None,
            };
            if let Some(mut answer) = ready {
                match answered::<St, _, _>(&mut answer, this.begun.take(), this.hold, this.visit) {
                    Next::Go => return Poll::Ready(wrapped(answer, None)),
                    Next::Commit { commit, events, ops } => {
                        this.state.set(State::Commit { commit, answer: Some(answer), events, ops });
                    }
                    Next::Late(late) => this.state.set(State::Late { late, answer: Some(answer) }),
                }
                continue;
            }
            let (result, answer) = match this.state.as_mut().project() {
                StateProj::Begin { begin, next } => {
                    let result = ready!(this.hold.shared().setup.counters.poll(begin, cx));
                    let (mut inner, mut request) = next.take().expect("polled after it was ready");
                    *this.begun = begun(result, this.hold, this.visit, &mut request);
                    let setup = &this.hold.shared().setup;
                    match setup.redirect(this.begun.as_ref(), this.visit, request.headers()) {
                        Some(head) => this.state.set(State::Lead { head: Some(head) }),
                        None => this.state.set(State::Call { call: inner.call(request) }),
                    }
                    continue;
                }
                StateProj::Call { .. } | StateProj::Lead { .. } => unreachable!("polled after it was ready"),
                StateProj::Commit { commit, answer, events, ops } => {
                    let result = ready!(this.hold.shared().setup.counters.poll(commit, cx));
                    this.hold.shared().setup.count(&result, *events, *ops);
                    (result, answer.take())
                }
                StateProj::Beat { begin, heard } => {
                    let result = ready!(this.hold.shared().setup.counters.poll(begin, cx));
                    let state = beaten(this.hold.shared(), this.visit, &result, heard);
                    this.state.set(state);
                    continue;
                }
                StateProj::Late { late, answer } => (ready!(late.as_mut().poll(cx)), answer.take()),
                StateProj::Own { end, answer } => {
                    if let Some(end) = end {
                        // What comes of it, it has counted.
                        ready!(end.as_mut().poll(cx)).ok();
                    }
                    let answer = answer.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(answer.map(VisitBody::own)));
                }
                StateProj::GoesOn { hold, answer } => {
                    let held = ready!(this.hold.shared().setup.counters.poll(hold.as_mut(), cx));
                    let answer = answer.take().expect("polled after it was ready");
                    if let Ok(Some(held)) = held {
                        this.visit.goes_on(Box::new(Hold::new(this.hold.shared().clone(), Some(held))));
                    }
                    return Poll::Ready(wrapped(answer, Some(this.visit)));
                }
            };
            this.visit.origin().committed(&result);
            let mut answer = answer.expect("polled after it was ready");
            if let Ok(committed) = result {
                this.visit.committed(&committed);
                if let Ok(ready) = &mut answer
                    && this.visit.is_recorded()
                {
                    this.hold.shared().setup.issue(this.visit.origin(), &committed, ready);
                    let visit = committed.visit.filter(|_| committed.outcome != Outcome::Nothing);
                    if let Some(visit) = visit.filter(|_| goes_on(ready)) {
                        let shared = this.hold.shared();
                        if let Ok(hold) = shared.setup.counters.call(|| shared.store.hold_on(visit)) {
                            this.state.set(State::GoesOn { hold, answer: Some(answer) });
                            continue;
                        }
                    }
                }
            }
            return Poll::Ready(wrapped(answer, None));
        }
    }
}
