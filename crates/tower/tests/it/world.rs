//! A site under test, and the browsers that visit it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tower::{Layer as _, Service};
use visitlog_core::machine::ShardConfig;
use visitlog_core::model::{EndedVisit, Entry, Event};
use visitlog_core::ports::{Clock as _, Token};
use visitlog_core::{Day, Host, Timestamp, VisitId};
use visitlog_testkit::{MemoryStore, SimClock, SimEntropy};
use visitlog_tower::client::Peer;
use visitlog_tower::privacy::Mode;
use visitlog_tower::token::Scope;
use visitlog_tower::{Keys, Settings, Visit, VisitBody, VisitLayer, VisitService};

pub(crate) type Answer = Response<String>;
type AppFuture = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;
type AppFn = dyn Fn(Request<()>) -> AppFuture + Send + Sync;

/// An app: what a request gets.
#[derive(Clone)]
pub(crate) struct App(Arc<AppFn>);

impl Service<Request<()>> for App {
    type Response = Answer;
    type Error = Infallible;
    type Future = AppFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> AppFuture {
        (self.0)(request)
    }
}

pub(crate) struct Site {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) keys: Keys,
    pub(crate) layer: VisitLayer<MemoryStore>,
    app: App,
}

const START: Timestamp = Timestamp::from_secs(1_763_719_200);

pub(crate) const HOST: &str = "shop.example";

/// An answer with a page.
pub(crate) fn html(body: &str) -> Answer {
    Response::builder().header("content-type", "text/html").body(body.to_owned()).unwrap()
}

impl Site {
    /// A site with the default settings, whose app takes a millisecond.
    pub(crate) fn new(app: impl Fn(&Visit, &Request<()>) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(Settings::default(), app)
    }

    pub(crate) fn with(
        settings: Settings,
        app: impl Fn(&Visit, &Request<()>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(SimClock::new(START));
        let in_app = clock.clone();
        Self::on(clock, settings, move |request| {
            let visit = request.extensions().get::<Visit>().expect("the layer puts it there").clone();
            let answer = app(&visit, &request);
            in_app.advance(Duration::from_millis(1));
            Box::pin(std::future::ready(Ok(answer)))
        })
    }

    /// A site whose app answers when it likes.
    pub(crate) fn slow(settings: Settings, app: impl Fn(Request<()>) -> AppFuture + Send + Sync + 'static) -> Self {
        Self::on(Arc::new(SimClock::new(START)), settings, app)
    }

    fn on(
        clock: Arc<SimClock>,
        settings: Settings,
        app: impl Fn(Request<()>) -> AppFuture + Send + Sync + 'static,
    ) -> Self {
        let cookies = settings.identify == visitlog_tower::settings::Identify::ByCookie;
        let entropy = Arc::new(SimEntropy::new(1));
        let store = Arc::new(MemoryStore::new(clock.clone(), entropy, &ShardConfig::default(), cookies));
        let keys = Keys::generate(&[42; 64]);
        let layer = VisitLayer::new(store.clone(), keys.clone()).settings(settings).unwrap().clock(clock.clone());
        Self { store, clock, keys, layer, app: App(Arc::new(app)) }
    }

    pub(crate) fn service(&self) -> VisitService<App, MemoryStore> {
        self.layer.layer(self.app.clone())
    }

    /// Sends a request whose answer comes at once.
    pub(crate) fn send(&self, request: Request<()>) -> Answer {
        let mut service = self.service();
        let answer = pin!(service.call(request)).now_or_never().expect("an answer at once").unwrap();
        answer.map(text)
    }

    /// Sends a request and hands back what it is waiting for.
    pub(crate) fn open(&self, request: Request<()>) -> Pending {
        let mut pending = Pending(Box::pin(self.service().call(request)));
        assert!(pending.poll().is_none(), "answered at once");
        pending
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.store.tick();
    }

    /// The events of a visit so far, as `kind name path`.
    pub(crate) fn events(&self, visit: VisitId) -> Vec<String> {
        let events = self.store.entries().into_iter().filter(|(id, _)| *id == visit);
        events
            .filter_map(|(_, entry)| if let Entry::Event(event) = entry { Some(line(&event)) } else { None })
            .collect()
    }

    /// The visits that started, in order.
    pub(crate) fn started(&self) -> Vec<VisitId> {
        let entries = self.store.entries().into_iter();
        entries.filter_map(|(id, entry)| matches!(entry, Entry::Start(_)).then_some(id)).collect()
    }

    /// The one visit that ended.
    pub(crate) fn only_ended(&self) -> EndedVisit {
        let mut ended = self.store.ended();
        assert_eq!(ended.len(), 1, "visits that ended");
        ended.remove(0)
    }

    /// What a cookie's token says.
    pub(crate) fn token(&self, cookie: &str) -> Option<Token> {
        let value = cookie.strip_prefix("visitlog=")?;
        self.keys.open(value.as_bytes(), Scope::Host(&Host::new(HOST)), Day::of(self.clock.now())).ok()
    }
}

impl Site {
    /// The text that version 1 of the format had for a token, made as the format says.
    pub(crate) fn seal_1(&self, token: &Token) -> String {
        let file = self.keys.to_text();
        let key = file.lines().find_map(|line| line.strip_suffix(" sign")).expect("a key that signs");
        let (id, secret) = key.split_once(' ').expect("an id and a key");
        let secret = data_encoding::HEXLOWER.decode(secret.as_bytes()).expect("hexadecimal digits");
        let key = blake3::derive_key("visitlog 2026-01-01 token mac v1", &secret);
        let mut raw = vec![1];
        raw.extend(id.parse::<u16>().expect("an id").to_be_bytes());
        raw.extend(token.visitor.as_u128().to_be_bytes());
        raw.extend(token.visit.map_or(0, VisitId::as_u128).to_be_bytes());
        raw.extend(token.number.to_be_bytes());
        raw.extend(token.rotation.to_be_bytes());
        let message = [&raw[..], &[0], HOST.as_bytes()].concat();
        raw.extend(&blake3::keyed_hash(&key, &message).as_bytes()[..16]);
        data_encoding::BASE64URL_NOPAD.encode(&raw)
    }
}

pub(crate) fn line(event: &Event) -> String {
    let mut words = vec![event.kind.as_str().to_owned()];
    words.extend(event.name.as_deref().map(str::to_owned));
    words.extend(event.type_.as_deref().map(str::to_owned));
    words.extend(event.request.as_ref().map(|request| request.path.to_string()));
    words.extend(event.properties.as_deref().map(str::to_owned));
    words.join(" ")
}

/// A body that is at hand, as text.
pub(crate) fn text(body: VisitBody<String>) -> String {
    let (mut body, mut text) = (pin!(body), String::new());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {
        let data = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    text
}

/// A request under way.
pub(crate) struct Pending(Pin<Box<dyn Future<Output = Sent>>>);

/// What the layer makes of an answer.
type Sent = Result<Response<VisitBody<String>>, Infallible>;

impl Pending {
    pub(crate) fn poll(&mut self) -> Option<Answer> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer.unwrap().map(text)),
            Poll::Pending => None,
        }
    }
}

/// A browser: it keeps our cookie and sends it back.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    pub(crate) address: &'static str,
    pub(crate) agent: &'static str,
    pub(crate) host: &'static str,
    pub(crate) keeps: bool,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self { cookie: None, address: "203.0.113.7", agent: "Firefox", host: HOST, keeps: true }
    }

    pub(crate) fn request(&self, method: &Method, path: &str) -> Request<()> {
        let address: SocketAddr = SocketAddr::new(self.address.parse().unwrap(), 50_000);
        let mut request = Request::builder().method(method).uri(path).header("host", self.host);
        request = request.header("user-agent", self.agent).extension(Peer(address));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; {cookie}; lang=en"));
        }
        request.body(()).unwrap()
    }

    /// Takes the cookie of an answer, and says whether there was one.
    pub(crate) fn take(&mut self, answer: &Answer) -> bool {
        let Some(cookie) = set_cookie(answer) else { return false };
        if self.keeps {
            self.cookie = Some(cookie);
        }
        true
    }

    pub(crate) fn get(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, self.request(&Method::GET, path))
    }

    pub(crate) fn post(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, self.request(&Method::POST, path))
    }

    pub(crate) fn send(&mut self, site: &Site, request: Request<()>) -> Answer {
        let answer = site.send(request);
        self.take(&answer);
        answer
    }

    /// The visit that its cookie names, which was given in a mode.
    pub(crate) fn visit_in(&self, site: &Site, mode: Mode) -> Option<VisitId> {
        let (value, host) = (self.cookie.as_deref()?.strip_prefix("visitlog=")?, Host::new(HOST));
        let scope = if mode == Mode::Full { Scope::Host(&host) } else { Scope::HostIn(mode, &host) };
        site.keys.open(value.as_bytes(), scope, Day::of(site.clock.now())).ok()?.visit
    }

    /// The visit that its cookie names.
    pub(crate) fn visit(&self, site: &Site) -> Option<VisitId> {
        site.token(self.cookie.as_deref()?)?.visit
    }
}

/// `name=value` of the cookie that an answer sets.
pub(crate) fn set_cookie(answer: &Answer) -> Option<String> {
    let values: Vec<&HeaderValue> = answer.headers().get_all("set-cookie").iter().collect();
    assert!(values.len() <= 1, "one cookie: {values:?}");
    values.first().map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned())
}

pub(crate) fn with_headers(mut answer: Answer, lines: &[(&'static str, &'static str)]) -> Answer {
    for (name, value) in lines {
        answer.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    answer
}

pub(crate) fn status(code: u16) -> Answer {
    let mut answer = Response::new(String::new());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

pub(crate) fn named(headers: &HeaderMap, prefix: &str) -> Vec<String> {
    headers.keys().map(|name| name.to_string()).filter(|name| name.starts_with(prefix)).collect()
}
