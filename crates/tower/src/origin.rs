//! What is kept of a request, once the app has it: all that a record may say about it later. Headers are kept as they
//! came and read only when a record is written.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::OnceLock;

use http::header::{ACCEPT_LANGUAGE, CONTENT_LENGTH, HOST, HeaderValue, REFERER, USER_AGENT};
use http::{Extensions, HeaderMap, Method, Response, Uri};
use visitlog_core::ids::{Fingerprints, Host, VisitorId};
use visitlog_core::model::{Event, EventKind, Hints, Place, RequestFacts, StartFacts};
use visitlog_core::ports::{Arrival, Class, Token};
use visitlog_core::{Day, Redacted, Timestamp, limits};

use crate::class::{Asked, Kind};
use crate::client::{AddressGroup, OverTls, Peer};
use crate::hints;
use crate::settings::{Identify, Panicked};
use crate::shared::Setup;

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
    pub(crate) fingerprint: Fingerprints,
    pub(crate) over_tls: bool,
    method: Method,
    route: Option<Box<str>>,
    address: Option<IpAddr>,
    referrer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    language: Option<HeaderValue>,
    hints: OnceLock<Hints>,
}

impl Origin {
    pub(crate) fn of<B>(request: &http::Request<B>, setup: &Setup) -> Self {
        let (headers, extensions) = (request.headers(), request.extensions());
        let started = setup.clock.now();
        let host = host_of(request.uri(), headers);
        let peer = peer_of(extensions, setup);
        let settings = &setup.settings;
        let address = peer.map(|peer| settings.trusted_proxies.client(peer, headers));
        let over_tls = request.uri().scheme() == Some(&http::uri::Scheme::HTTPS)
            || extensions.get::<OverTls>().is_some()
            || peer.and_then(|peer| settings.trusted_proxies.over_tls(peer, headers)) == Some(true);
        let user_agent = headers.get(USER_AGENT).cloned();
        let agent = user_agent.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        Self {
            started,
            asked: settings.rules.asked(request.method(), request.uri().path(), headers),
            token: match settings.identify {
                Identify::ByCookie => setup.cookie.read(headers, over_tls, &host, &setup.keys, Day::of(started)),
                Identify::ByFingerprint => None,
            },
            fingerprint: setup.keys.fingerprints(&host, AddressGroup::of(address), agent, started),
            over_tls,
            method: request.method().clone(),
            route: route_of(extensions),
            address,
            referrer: headers.get(REFERER).cloned(),
            language: headers.get(ACCEPT_LANGUAGE).cloned(),
            uri: request.uri().clone(),
            user_agent,
            host,
            hints: OnceLock::new(),
        }
    }

    pub(crate) fn arrival(&self, setup: &Setup, token: Option<Token>, passive: bool) -> Arrival {
        Arrival {
            host: self.host.clone(),
            token,
            fingerprint: self.fingerprint,
            passive,
            cookies: setup.settings.identify == Identify::ByCookie,
        }
    }

    /// Looks at the headers of a request that may start a session, while they are there.
    pub(crate) fn look(&self, headers: &HeaderMap) {
        self.hints.get_or_init(|| hints::of(headers, self.over_tls));
    }

    /// What is known of a visitor who starts a session, by a request of this class.
    pub(crate) fn start_facts(&self, setup: &Setup, visitor_id: VisitorId, class: &Class) -> Box<StartFacts> {
        let is_page = matches!(class, Class::Page(_) | Class::PageError(_));
        Box::new(StartFacts {
            visitor_id,
            ip: Redacted::new(self.address.and_then(|address| setup.settings.addresses.kept(address))),
            user_agent: Redacted::new(text(self.user_agent.as_ref(), limits::USER_AGENT_BYTES_MAX)),
            language: text(self.language.as_ref(), limits::LANGUAGE_BYTES_MAX),
            referrer: text(self.referrer.as_ref(), limits::REFERRER_BYTES_MAX),
            via: setup.settings.via,
            place: self.place(setup),
            hints: self.hints.get().map(|hints| hints.with_if(is_page, Hints::PAGE)),
        })
    }

    fn place(&self, setup: &Setup) -> Option<Place> {
        setup.settings.locator.place(self.address?).unwrap_or_else(|Panicked| {
            setup.counters.panics.add(1);
            tracing::error!("the locator panicked");
            None
        })
    }

    /// What a request turned out to be, for its commit. `at`: its arrival, by the store's clock.
    pub(crate) fn class<B>(&self, kind: Kind, at: Timestamp, answer: &Response<B>, setup: &Setup) -> Class {
        let event = |kind| self.event(kind, at, answer, setup.clock.now());
        match kind {
            Kind::Page => Class::Page(event(EventKind::PageView)),
            Kind::PageError => Class::PageError(event(EventKind::PageError)),
            Kind::Other if setup.settings.rules.record_requests => Class::Other(Some(event(EventKind::Request))),
            Kind::Other => Class::Other(None),
            Kind::Passive => Class::Passive,
        }
    }

    fn event<B>(&self, kind: EventKind, at: Timestamp, answer: &Response<B>, now: Timestamp) -> Event {
        let route = answer.extensions().get::<Route>().map(|route| Box::from(&*route.0)).or_else(|| self.route.clone());
        let facts = RequestFacts {
            host: Some(self.host.clone()),
            path: cut(self.uri.path().into(), limits::PATH_BYTES_MAX),
            query: self.uri.query().map(|query| cut(query.into(), limits::QUERY_BYTES_MAX)),
            route: route.map(|route| cut(route.into_string().into(), limits::PATH_BYTES_MAX)),
            method: short(self.method.as_str().into(), limits::ACTION_TYPE_BYTES_MAX).as_ref().into(),
            status: answer.status().as_u16(),
            duration_us: u64::try_from(now.since(self.started).as_micros()).unwrap_or(u64::MAX),
            bytes: content_length(answer.headers()),
            referrer: text(self.referrer.as_ref(), limits::REFERRER_BYTES_MAX),
        };
        Event { time: at, kind, name: None, type_: None, request: Some(Box::new(facts)), properties: None }
    }
}

/// The host of an absolute URI, which HTTP/2 always has; else the `Host` header.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Host {
    match uri.authority() {
        Some(authority) => Host::new(authority.as_str().rsplit('@').next().unwrap_or_default()),
        None => {
            Host::new(&headers.get(HOST).map_or(Cow::Borrowed(""), |host| String::from_utf8_lossy(host.as_bytes())))
        }
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
