//! A browser for tests: it keeps the token that it is given, as the cookie layer would.

use visitlog_core::model::{Event, EventKind, RequestFacts, StartFacts, UserId};
use visitlog_core::ports::{
    Arrival, Begun, Class, Commit, Committed, Fresh, Live, Op, SessionStore as _, Standing, Token,
};
use visitlog_core::{Fingerprint, Fingerprints, Host, Timestamp, VisitId, Visitor, VisitorId};

use super::{StoreUnderTest, Tested};

/// A browser.
#[derive(Debug)]
pub struct Browser<'a, S> {
    tested: &'a Tested<S>,
    /// The token that it presents.
    pub token: Option<Token>,
    /// Its fingerprint.
    pub fingerprint: u64,
    /// The host that it asks.
    pub host: Host,
    /// Whether it takes the token that it is given.
    pub keeps_cookies: bool,
}

impl<S> Clone for Browser<'_, S> {
    fn clone(&self) -> Self {
        let Self { tested, token, fingerprint, host, keeps_cookies } = self;
        Self { tested, token: *token, fingerprint: *fingerprint, host: host.clone(), keeps_cookies: *keeps_cookies }
    }
}

/// A request under way.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the store answered to its arrival.
    pub begun: Begun,
    /// The token that it presented.
    pub token: Option<Token>,
}

impl Request {
    /// The session that it belongs to.
    pub fn live(&self) -> Option<&Live> {
        match &self.begun.standing {
            Standing::Live(live) => Some(live),
            _ => None,
        }
    }
}

impl<S: StoreUnderTest> Tested<S> {
    /// A new browser, whose fingerprint this is.
    pub fn browser(&self, fingerprint: u64) -> Browser<'_, S> {
        Browser { tested: self, token: None, fingerprint, host: Host::new("shop.example"), keeps_cookies: true }
    }
}

impl<S: StoreUnderTest> Browser<'_, S> {
    fn prints(&self) -> Fingerprints {
        Fingerprints { today: Fingerprint(self.fingerprint), yesterday: Fingerprint(self.fingerprint ^ 1 << 63) }
    }

    /// A request arrives.
    pub fn begin(&self, passive: bool) -> Request {
        let arrival =
            Arrival { host: self.host.clone(), token: self.token, fingerprint: self.prints(), passive, cookies: true };
        let begun = self.tested.answer(self.tested.store().begin(arrival).wait()).expect("begun");
        Request { begun, token: self.token }
    }

    /// What a request did, as the store is told.
    pub fn commit_of(&self, request: Request, class: Class, ops: Vec<Op>) -> Commit {
        let visitor = match &request.begun.standing {
            Standing::Fresh(fresh) => Some(fresh.visitor),
            Standing::Shared { visitor } => Some(*visitor),
            Standing::Live(live) => live.successor.or(request.token.map(|token| token.visitor)),
        };
        let visitor_id = visitor.map(visitor_id).unwrap_or_default();
        let facts = StartFacts { visitor_id, ..StartFacts::default() };
        Commit {
            request: request.begun.request,
            at: request.begun.at,
            host: self.host.clone(),
            token: request.token,
            fingerprint: self.prints(),
            standing: request.begun.standing,
            class,
            ops,
            on_start: Vec::new(),
            facts: Some(Box::new(facts)),
            cookies: true,
        }
    }

    /// The request is answered.
    pub fn finish(&mut self, request: Request, class: Class, ops: Vec<Op>) -> Committed {
        let commit = self.commit_of(request, class, ops);
        let committed = self.tested.answer(self.tested.store().commit(commit)).expect("taken");
        if self.keeps_cookies && committed.issue.is_some() {
            self.token = committed.issue;
        }
        self.tested.step();
        committed
    }

    /// The request is dropped.
    ///
    /// # Panics
    /// When it held nothing.
    pub fn drop_request(&self, request: &Request) {
        let hold = request.live().and_then(|live| live.hold).expect("held");
        self.tested.store().release(hold);
        self.tested.step();
    }

    /// A page view.
    pub fn page(&mut self, path: &str) -> Committed {
        self.with_ops(path, Vec::new())
    }

    /// A page view in which the application asks for something.
    pub fn with_ops(&mut self, path: &str, ops: Vec<Op>) -> Committed {
        let request = self.begin(false);
        let event = view(path, request.begun.at);
        self.finish(request, Class::Page(event), ops)
    }

    /// Another request.
    pub fn fetch(&mut self, ops: Vec<Op>) -> Committed {
        let request = self.begin(false);
        self.finish(request, Class::Other(None), ops)
    }

    /// A request that confirms a session and does nothing else.
    pub fn asset(&mut self) {
        let request = self.begin(true);
        self.finish_asset(request);
    }

    /// It is answered. No asset's answer brings a cookie.
    pub fn finish_asset(&mut self, request: Request) {
        if matches!(request.begun.standing, Standing::Fresh(Fresh { brings: true, .. })) {
            let commit = Commit { cookies: false, ..self.commit_of(request, Class::Passive, Vec::new()) };
            let committed = self.tested.answer(self.tested.store().commit(commit)).expect("taken");
            assert_eq!(committed.issue, None);
        }
        self.tested.step();
    }

    /// The visit that its token names.
    ///
    /// # Panics
    /// When it names none.
    pub fn visit(&self) -> VisitId {
        self.token.and_then(|token| token.visit).expect("a token with a visit")
    }

    /// Whether its token opens a session.
    pub fn is_in(&self) -> bool {
        self.begin(true).live().is_some()
    }
}

/// By what records know a visitor: another one for each, as the layer tells it.
pub fn visitor_id(visitor: Visitor) -> VisitorId {
    VisitorId::from_u128(!visitor.as_u128())
}

/// A page view.
pub fn view(path: &str, time: Timestamp) -> Event {
    let request = RequestFacts { path: path.into(), method: "GET".into(), status: 200, ..RequestFacts::default() };
    event(time, EventKind::PageView, None, Some(request))
}

/// An action that the application names.
pub fn action(name: &str, time: Timestamp) -> Op {
    Op::Event(event(time, EventKind::Action, Some(name), None))
}

/// An event.
pub fn event(time: Timestamp, kind: EventKind, name: Option<&str>, request: Option<RequestFacts>) -> Event {
    Event { time, kind, name: name.map(Into::into), type_: None, request: request.map(Box::new), properties: None }
}

/// Somebody logs in.
pub fn login(user: &str) -> Op {
    Op::Login(UserId::new(user))
}

/// A value is set.
pub fn set(key: &str, value: impl Into<serde_json::Value>) -> Op {
    Op::Set(key.into(), value.into())
}
