//! A browser for tests: it keeps the token that it is given, as the cookie layer would.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use visitlog_core::machine::ShardConfig;
use visitlog_core::model::{Event, EventKind, RequestFacts, UserId};
use visitlog_core::ports::{Arrival, Begun, Class, Commit, Committed, Op, SessionStore, Standing, Token};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Fingerprint, Fingerprints, Host, Timestamp, VisitId, invariants};
use visitlog_testkit::{MemoryStore, SimClock, SimEntropy};

/// A store on a clock that the test moves.
pub(crate) struct World {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) store: MemoryStore,
}

pub(crate) const START: Timestamp = Timestamp::from_secs(1_763_719_200);

impl World {
    pub(crate) fn new() -> Self {
        Self::with(SiteRules::default(), true)
    }

    pub(crate) fn with(rules: SiteRules, cookies: bool) -> Self {
        Self::configured(&ShardConfig { rules: Arc::new([rules]), ..ShardConfig::default() }, cookies)
    }

    pub(crate) fn configured(config: &ShardConfig, cookies: bool) -> Self {
        let clock = Arc::new(SimClock::new(START));
        let store = MemoryStore::new(clock.clone(), Arc::new(SimEntropy::new(7)), config, cookies);
        Self { clock, store }
    }

    pub(crate) fn wait(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Lets time pass until ends are due, and checks the invariants.
    pub(crate) fn tick(&self) {
        self.store.tick();
        self.store.for_each_shard(|shard| invariants::check_shard(shard).unwrap());
        for visit in self.store.ended() {
            invariants::check_visit(&visit).unwrap();
        }
    }

    pub(crate) fn browser(&self, fingerprint: u64) -> Browser<'_> {
        Browser { world: self, token: None, fingerprint, host: Host::new("shop.example"), keeps_cookies: true }
    }

    /// The reasons of all ends so far.
    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        self.store.ended().iter().map(|visit| visit.end.reason.as_str()).collect()
    }
}

#[derive(Clone)]
pub(crate) struct Browser<'a> {
    pub(crate) world: &'a World,
    pub(crate) token: Option<Token>,
    pub(crate) fingerprint: u64,
    pub(crate) host: Host,
    pub(crate) keeps_cookies: bool,
}

/// A request under way.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) begun: Begun,
    pub(crate) token: Option<Token>,
}

pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}

impl Browser<'_> {
    pub(crate) fn prints(&self) -> Fingerprints {
        Fingerprints { today: Fingerprint(self.fingerprint), yesterday: Fingerprint(self.fingerprint ^ 1 << 63) }
    }

    pub(crate) fn begin(&self, passive: bool) -> Request {
        let begun = self.world.store.begin(Arrival {
            host: self.host.clone(),
            token: self.token,
            fingerprint: self.prints(),
            passive,
            cookies: true,
        });
        Request { begun: begun.now().expect("at once").unwrap(), token: self.token }
    }

    pub(crate) fn finish(&mut self, request: Request, class: Class, ops: Vec<Op>) -> Committed {
        let committed = ready(self.world.store.commit(Commit {
            request: request.begun.request,
            at: request.begun.at,
            host: self.host.clone(),
            token: request.token,
            fingerprint: self.prints(),
            standing: request.begun.standing,
            class,
            ops,
            on_start: Vec::new(),
            facts: Some(Box::default()),
        }));
        let committed = committed.unwrap();
        if self.keeps_cookies && committed.issue.is_some() {
            self.token = committed.issue;
        }
        committed
    }

    pub(crate) fn page(&mut self, path: &str) -> Committed {
        self.with_ops(path, Vec::new())
    }

    pub(crate) fn with_ops(&mut self, path: &str, ops: Vec<Op>) -> Committed {
        let request = self.begin(false);
        let event = view(path, request.begun.at);
        self.finish(request, Class::Page(event), ops)
    }

    pub(crate) fn fetch(&mut self, ops: Vec<Op>) -> Committed {
        let request = self.begin(false);
        self.finish(request, Class::Other(None), ops)
    }

    pub(crate) fn asset(&mut self) {
        self.begin(true);
    }

    pub(crate) fn visit(&self) -> VisitId {
        self.token.and_then(|token| token.visit).expect("a token with a visit")
    }
}

pub(crate) fn view(path: &str, time: Timestamp) -> Event {
    let request = RequestFacts { path: path.into(), method: "GET".into(), status: 200, ..RequestFacts::default() };
    event(time, EventKind::PageView, None, Some(request))
}

pub(crate) fn action(name: &str, time: Timestamp) -> Op {
    Op::Action(event(time, EventKind::Action, Some(name), None))
}

pub(crate) fn event(time: Timestamp, kind: EventKind, name: Option<&str>, request: Option<RequestFacts>) -> Event {
    Event { time, kind, name: name.map(Into::into), type_: None, request: request.map(Box::new), properties: None }
}

pub(crate) fn login(user: &str) -> Op {
    Op::Login(UserId::new(user))
}

pub(crate) fn set(key: &str, value: impl Into<serde_json::Value>) -> Op {
    Op::Set(key.into(), value.into())
}

pub(crate) fn is_live(begun: &Begun) -> Option<&visitlog_core::ports::Live> {
    match &begun.standing {
        Standing::Live(live) => Some(live),
        _ => None,
    }
}
