//! What is kept of a request, once the app has it: all that a record may say about it later. Headers are kept as they
//! came and read only when a record is written.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Extensions, HeaderMap, Method, Response, Uri};
use visitlog_core::ids::{Fingerprints, Host, VisitId, VisitorId};
use visitlog_core::model::{CountryCode, Event, EventKind, Hints, Place, RequestFacts, StartFacts};
use visitlog_core::ports::{Arrival, Class, Committed, Token};
use visitlog_core::privacy::Detail;
use visitlog_core::requests::{RequestCount, RequestType};
use visitlog_core::{Day, Redacted, Timestamp, Trace, limits};

use crate::access::{Access, AccessNote};
use crate::class::{Asked, Kind};
use crate::client::{AddressGroup, Client, OverTls, Peer};
use crate::handover;
use crate::held;
use crate::hints;
use crate::noted::Noted;
use crate::privacy::{Recording, Why};
use crate::protocol::PageSaid;
use crate::settings::{Identify, Panicked};
use crate::shared::Setup;
use crate::ticket::Ticket;

/// The pattern by which the app's router found the handler. A router, or the app, puts it into the extensions of the
/// request or of the response; axum's `MatchedPath` is understood too, with the feature `axum`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route(pub std::sync::Arc<str>);

/// A request, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) started: Timestamp,
    pub(crate) host: Host,
    pub(crate) uri: Uri,
    pub(crate) asked: Asked,
    pub(crate) token: Option<Token>,
    /// Worked out when it is needed: of who is not recorded there is none.
    fingerprint: OnceLock<Fingerprints>,
    pub(crate) over_tls: bool,
    method: Method,
    route: Option<Box<str>>,
    address: Option<IpAddr>,
    place: OnceLock<Option<Place>>,
    referrer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    language: Option<HeaderValue>,
    hints: OnceLock<Hints>,
    /// The page, fetched before, that this request shows to have been shown.
    shows: Option<held::Key>,
    /// Whether that is all that it is recorded for.
    pub(crate) is_asset: bool,
    /// What becomes of it, as far as is known before it is answered.
    pub(crate) recording: Recording,
    /// How much of it is written down, if it is recorded.
    pub(crate) detail: Detail,
    /// The token of somebody who was recorded, and is not to be any more.
    pub(crate) revoked: Option<Token>,
    /// Whether somebody who is not recorded has sent a cookie by our name.
    has_our_cookie: bool,
    /// Whether a browser was led here by another site with a form that it was to send.
    pub(crate) sent_by_another_site: bool,
    /// What waits for this visitor, which a form of another site has brought.
    pub(crate) handed: Option<Ticket>,
    /// Who keeps an access log, and wants to know.
    pub(crate) note: Option<AccessNote>,
}

/// What is looked at of a request before it is known whose settings it follows.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    noted: Noted<'a>,
    pub(crate) client: Client,
}

impl<'a> Seen<'a> {
    /// By the setup of all sites: in whom it trusts is the same for each of them.
    pub(crate) fn of<B>(request: &'a http::Request<B>, setup: &Setup) -> Self {
        let extensions = request.extensions();
        let encrypted =
            request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) || extensions.get::<OverTls>().is_some();
        let noted = Noted::of(request.headers());
        let (peer, trusted) = (peer_of(extensions, setup), &setup.settings.trusted_proxies);
        let client = Client::noted(request.uri(), &noted, peer, encrypted, trusted);
        Self { noted, client }
    }
}

impl Origin {
    pub(crate) fn of<B>(request: &http::Request<B>, seen: Seen<'_>, setup: &Setup) -> Self {
        let (headers, extensions) = (request.headers(), request.extensions());
        let started = setup.clock.now();
        let settings = &setup.settings;
        let Seen { noted, client: Client { address, over_tls, host } } = seen;
        let excluded = settings.rules.excludes(address, request.uri().path(), headers);
        let token = match settings.identify {
            _ if excluded || !noted.has_cookies => None,
            Identify::ByCookie => setup.cookie.read(headers, over_tls, &host, &setup.keys, Day::of(started)),
            Identify::ByFingerprint => None,
        };
        let recording = match excluded {
            true => Recording::Excluded,
            false => settings.privacy.recording(&noted, token.is_some()),
        };
        let is_kept = recording == Recording::Kept;
        let mut origin = Self {
            started,
            asked: match excluded {
                true => Asked::Passive,
                false => settings.rules.asked_by(request.method(), request.uri().path(), &noted),
            },
            recording,
            detail: settings.privacy.detail(&noted),
            token: token.filter(|_| is_kept),
            revoked: token.filter(|_| !is_kept),
            has_our_cookie: !is_kept && noted.has_cookies && setup.cookie.is_sent(headers, over_tls),
            fingerprint: OnceLock::new(),
            over_tls,
            method: request.method().clone(),
            route: route_of(extensions),
            address,
            place: OnceLock::new(),
            referrer: noted.referrer.cloned(),
            language: noted.language.cloned(),
            uri: request.uri().clone(),
            user_agent: noted.user_agent.cloned(),
            host,
            hints: OnceLock::new(),
            shows: None,
            is_asset: false,
            sent_by_another_site: false,
            handed: None,
            note: extensions.get::<AccessNote>().cloned(),
        };
        if settings.identify == Identify::ByCookie && is_kept {
            origin.sent_by_another_site =
                origin.token.is_none() && handover::is_sent_by_another_site(request.method(), headers, &origin.host);
            if !setup.handovers.is_empty() && !origin.asked.is_passive() {
                origin.handed = setup.cookie.handed(headers, over_tls);
            }
        }
        if is_kept
            && !setup.held.is_empty()
            && let Some(key) = origin.shows(setup)
        {
            origin.shows = Some(key);
            if origin.asked == Asked::Passive {
                // It leaves the page's trace.
                (origin.asked, origin.is_asset) = (Asked::Other, true);
            }
        }
        origin
    }

    pub(crate) fn arrival(&self, setup: &Setup, token: Option<Token>, passive: bool) -> Arrival {
        Arrival {
            host: self.host.clone(),
            token,
            fingerprint: self.fingerprint(setup),
            passive,
            cookies: setup.settings.identify == Identify::ByCookie,
        }
    }

    /// What tells it from others without a cookie.
    pub(crate) fn fingerprint(&self, setup: &Setup) -> Fingerprints {
        *self.fingerprint.get_or_init(|| {
            let agent = self.user_agent.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
            setup.keys.fingerprints(&self.host, self.address_group(), agent, self.started)
        })
    }

    /// From now on it has none.
    pub(crate) fn without_fingerprint(&self) {
        let _ = self.fingerprint.set(Fingerprints::default());
    }

    /// Whether nothing becomes of it, whatever the app says.
    pub(crate) fn is_excluded(&self) -> bool {
        self.recording == Recording::Excluded
    }

    /// Whether it is recorded once it is answered. `consent`: what the app said. Consent counts where that was all that was
    /// missing; not with what a browser fetches by itself, which an app may say it with, too.
    pub(crate) fn is_recorded(&self, consent: Option<bool>) -> bool {
        match self.recording {
            Recording::Excluded | Recording::Counted(Why::OptedOut | Why::Signal) => false,
            Recording::Counted(Why::NoConsent) => consent == Some(true) && !self.asked.is_passive(),
            Recording::Kept => consent != Some(false),
        }
    }

    /// Whether the client has a cookie that it is to lose, once it is not recorded.
    pub(crate) fn has_our_cookie(&self) -> bool {
        self.has_our_cookie || self.token.is_some()
    }

    /// Looks at the headers of a request that may start a session, while they are there.
    pub(crate) fn look(&self, headers: &HeaderMap) {
        self.hints.get_or_init(|| hints::of(headers, self.over_tls));
    }

    /// What is known of a visitor who starts a session, by a request of this class.
    pub(crate) fn start_facts(&self, setup: &Setup, visitor_id: VisitorId, is_page: bool) -> Box<StartFacts> {
        let hints = self.hints.get().map(|hints| hints.with_if(is_page, Hints::PAGE));
        let mut facts = Box::new(StartFacts {
            visitor_id,
            ip: Redacted::new(self.address.and_then(|address| setup.settings.addresses.kept(address))),
            user_agent: Redacted::new(text(self.user_agent.as_ref(), limits::USER_AGENT_BYTES_MAX)),
            language: text(self.language.as_ref(), limits::LANGUAGE_BYTES_MAX),
            referrer: self.referrer(setup),
            via: setup.settings.via,
            place: self.place(setup).cloned(),
            hints,
        });
        if self.detail == Detail::Statistics {
            facts.user_agent = self.classes(facts.user_agent.expose().as_deref(), setup).into();
            facts.hints = Some(hints.unwrap_or_default().with_if(facts.user_agent.expose().is_some(), Hints::REDUCED));
        }
        self.detail.reduce_start(&mut facts);
        facts
    }

    /// What stands in the user agent's place.
    fn classes(&self, user_agent: Option<&str>, setup: &Setup) -> Option<Box<str>> {
        let classes = setup.settings.classifier.classes(user_agent?).unwrap_or_else(|Panicked| {
            setup.counters.panics.add(1);
            tracing::error!("the classifier of user agents panicked");
            None
        });
        classes.map(|classes| cut(Cow::Borrowed(&classes), limits::USER_AGENT_BYTES_MAX))
    }

    /// `Referer`, as it is written down.
    fn referrer(&self, setup: &Setup) -> Option<Box<str>> {
        let url = String::from_utf8_lossy(self.referrer.as_ref()?.as_bytes());
        Some(cut(setup.settings.mask.url(&url), limits::REFERRER_BYTES_MAX))
    }

    /// Tells who keeps an access log what may be written down of the request.
    pub(crate) fn note(&self, arrived: Timestamp, visit: Option<VisitId>, trace: Trace, setup: &Setup) {
        let Some(note) = &self.note else { return };
        // Of who has not agreed, and where nothing may be kept that tells people apart, it says no more than counts do.
        let is_personal = !matches!(self.recording, Recording::Counted(_)) && self.detail != Detail::Statistics;
        let kept = |address| setup.settings.addresses.kept(address);
        note.write(Access {
            arrived,
            host: self.host.clone(),
            address: self.address.filter(|_| is_personal).and_then(kept),
            path: setup.settings.mask.url(self.uri.path()).into(),
            query: self.uri.query().map(|query| setup.settings.mask.query(query).into()),
            referrer: self.referrer(setup).filter(|_| is_personal),
            user_agent: text(self.user_agent.as_ref().filter(|_| is_personal), limits::USER_AGENT_BYTES_MAX),
            visit,
            trace,
        });
    }

    /// Tells who keeps an access log what came of the commit.
    pub(crate) fn committed<E>(&self, result: &Result<Committed, E>) {
        if let Some(note) = &self.note {
            note.committed(result);
        }
    }

    /// Where the client is, as its address tells. It is looked up once.
    fn place(&self, setup: &Setup) -> Option<&Place> {
        let address = self.address?;
        let find = || {
            setup.settings.locator.place(address).unwrap_or_else(|Panicked| {
                setup.counters.panics.add(1);
                tracing::error!("the locator panicked");
                None
            })
        };
        self.place.get_or_init(find).as_ref()
    }

    /// In which country the client is.
    pub(crate) fn country(&self, setup: &Setup) -> Option<CountryCode> {
        self.place(setup)?.country
    }

    /// Whether it asks for a page that somebody wants to see.
    pub(crate) fn may_be_led(&self) -> bool {
        self.method == Method::GET && matches!(self.asked, Asked::Page { .. })
    }

    /// Whether it was asked for on a page of this host.
    pub(crate) fn comes_from_here(&self) -> bool {
        self.referred_by().is_some()
    }

    /// What the client calls itself.
    pub(crate) fn agent(&self) -> Option<Cow<'_, str>> {
        self.user_agent.as_ref().map(|agent| String::from_utf8_lossy(agent.as_bytes()))
    }

    /// What a request turned out to be, for its commit. `at`: its arrival, by the store's clock.
    pub(crate) fn class<B>(
        &self,
        kind: Kind,
        page: Option<PageSaid>,
        at: Timestamp,
        answer: &Response<B>,
        setup: &Setup,
    ) -> Class {
        let mut page = page;
        let mut event = |kind| self.event(kind, page.take(), at, answer, setup);
        match kind {
            Kind::Page => Class::Page(event(EventKind::PageView)),
            Kind::PageError => Class::PageError(event(EventKind::PageError)),
            Kind::Other if setup.settings.rules.record_requests => Class::Other(Some(event(EventKind::Request))),
            Kind::Other => Class::Other(None),
            Kind::Passive | Kind::Prefetched => Class::Passive,
        }
    }

    /// Keeps a page that was fetched before it is shown. Not one that fetched itself: all that it asks for while it is shown
    /// would count it again.
    pub(crate) fn hold_page<B>(&self, page: Option<PageSaid>, at: Timestamp, answer: &Response<B>, setup: &Setup) {
        if self.referred_by() == Some(self.target()) {
            return;
        }
        let event = self.event(EventKind::PageView, page, at, answer, setup);
        let key = self.page_key(setup, self.target());
        setup.held.keep(key, self.address_group(), event, setup.clock.now());
    }

    /// The request asked for a page anew: what was fetched of it before counts no more.
    pub(crate) fn supersede_page(&self, setup: &Setup) {
        if !setup.held.is_empty() {
            setup.held.take(self.page_key(setup, self.target()));
        }
    }

    /// The page that this request shows to have been shown, as an event just before the request.
    pub(crate) fn shown_page(&self, at: Timestamp, setup: &Setup) -> Option<Event> {
        let event = setup.held.take(self.shows?)?;
        Some(Event { time: at.before(Duration::from_micros(1)), ..event })
    }

    /// Which page that was fetched before this request names as its referrer, if there is one. Without a token only what
    /// asks for a page itself can tell: nothing else could start a session whose cookie is kept.
    fn shows(&self, setup: &Setup) -> Option<held::Key> {
        let can_tell = match self.asked {
            Asked::Prefetch => false,
            Asked::Page { .. } => true,
            Asked::Passive | Asked::Other => self.token.is_some(),
        };
        let key = self.page_key(setup, self.referred_by().filter(|_| can_tell)?);
        setup.held.has(key, self.started).then_some(key)
    }

    /// Path and query of the page of this host that the request names as its referrer.
    fn referred_by(&self) -> Option<&str> {
        held::target_on(self.referrer.as_ref()?.to_str().ok()?, &self.host)
    }

    /// Whether the request only reads.
    pub(crate) fn reads(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// What of the client's address tells it from others.
    pub(crate) fn address_group(&self) -> AddressGroup {
        AddressGroup::of(self.address)
    }

    fn page_key(&self, setup: &Setup, target: &str) -> held::Key {
        let who =
            self.token.map_or_else(|| u128::from(self.fingerprint(setup).today.0), |token| token.visitor.as_u128());
        setup.held.key(who, &self.host, target)
    }

    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    fn event<B>(
        &self,
        kind: EventKind,
        page: Option<PageSaid>,
        at: Timestamp,
        answer: &Response<B>,
        setup: &Setup,
    ) -> Event {
        let (said, title) = match page {
            Some(PageSaid::Yes { path, title }) => (path, title),
            Some(PageSaid::No) | None => (None, None),
        };
        let (path, query) = match said.as_deref() {
            Some(said) => said.split_once('?').map_or((said, None), |(path, query)| (path, Some(query))),
            None => (self.uri.path(), self.uri.query()),
        };
        let route = answer.extensions().get::<Route>().map(|route| Box::from(&*route.0)).or_else(|| self.route.clone());
        let facts = RequestFacts {
            host: Some(self.host.clone()),
            query: query.map(|query| cut(setup.settings.mask.query(query), limits::QUERY_BYTES_MAX)),
            path: cut(path.into(), limits::PATH_BYTES_MAX),
            route: route.map(|route| cut(route.into_string().into(), limits::PATH_BYTES_MAX)),
            method: short(self.method.as_str().into(), limits::ACTION_TYPE_BYTES_MAX).as_ref().into(),
            status: answer.status().as_u16(),
            duration_us: u64::try_from(setup.clock.now().since(self.started).as_micros()).unwrap_or(u64::MAX),
            bytes: content_length(answer.headers()),
            referrer: self.referrer(setup),
        };
        let name = title.map(|title| cut(title.into(), limits::ACTION_NAME_BYTES_MAX));
        let mut event = Event { time: at, kind, name, type_: None, request: Some(Box::new(facts)), properties: None };
        self.detail.reduce_event(&mut event);
        event
    }

    /// Counts the request, which may not be recorded.
    pub(crate) fn count<B>(
        &self,
        kind: Kind,
        page: Option<&PageSaid>,
        at: Timestamp,
        answer: &Response<B>,
        setup: &Setup,
    ) {
        match self.recording {
            Recording::Counted(Why::OptedOut) => setup.counters.counted_opted_out.add(1),
            Recording::Counted(Why::Signal) => setup.counters.counted_signal.add(1),
            Recording::Counted(Why::NoConsent) | Recording::Kept => setup.counters.counted_no_consent.add(1),
            Recording::Excluded => return,
        }
        let kind = match kind {
            Kind::Page => RequestType::PageView,
            Kind::PageError => RequestType::PageError,
            Kind::Other if setup.settings.rules.record_requests => RequestType::Request,
            Kind::Other | Kind::Passive | Kind::Prefetched => return,
        };
        let said = match page {
            Some(PageSaid::Yes { path: Some(path), .. }) => Some(path.as_str()),
            _ => None,
        };
        let (path, query) = match said {
            Some(said) => said.split_once('?').map_or((said, None), |(path, query)| (path, Some(query))),
            None => (self.uri.path(), self.uri.query()),
        };
        let took = setup.clock.now().since(self.started);
        setup.counted.add(&RequestCount {
            time: at,
            site: self.host.as_str(),
            path: &cut(setup.settings.page_params.page(self.host.as_str(), path, query), limits::PATH_BYTES_MAX),
            kind,
            status: answer.status().as_u16(),
            bot: None,
            via: setup.settings.via,
            requests: 1,
            bytes: content_length(answer.headers()),
            duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            timed: 1,
        });
    }
}

fn peer_of(extensions: &Extensions, setup: &Setup) -> Option<IpAddr> {
    if let Some(peer_from) = &setup.peer_from {
        return peer_from(extensions);
    }
    #[cfg(feature = "connect-info")]
    if let Some(axum::extract::ConnectInfo(peer)) = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()
    {
        return Some(peer.ip());
    }
    extensions.get::<Peer>().map(|peer| peer.0.ip())
}

fn route_of(extensions: &Extensions) -> Option<Box<str>> {
    #[cfg(feature = "axum")]
    if let Some(path) = extensions.get::<axum::extract::MatchedPath>() {
        return Some(path.as_str().into());
    }
    extensions.get::<Route>().map(|route| Box::from(&*route.0))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A header's text; what is no UTF-8 in it is replaced.
fn text(value: Option<&HeaderValue>, max: usize) -> Option<Box<str>> {
    value.map(|value| cut(String::from_utf8_lossy(value.as_bytes()), max))
}

pub(crate) fn cut(text: Cow<'_, str>, max: usize) -> Box<str> {
    short(text, max).into()
}

/// The same, where a short text is to take no memory of its own.
fn short(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.len() <= max { text } else { limits::cut(&text, max).into() }
}
