//! What is written down: the entries of a session's chain, and the visit that they make.

mod assemble;
mod hints;
mod method;
mod place;
mod view;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{Fingerprint, Host, TokenMark, VisitId, VisitorId};
use crate::redacted::Redacted;
use crate::time::Timestamp;

pub use assemble::{BrokenChain, assemble};
pub use hints::Hints;
pub use method::Method;
pub use place::{CountryCode, Place};
pub use view::{EndView, VisitView};

/// The session's values by key, JSON each.
pub type Values = BTreeMap<Arc<str>, serde_json::Value>;

/// The name that the app gave at login.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Arc<str>);

impl UserId {
    /// A user's name, cut at [`crate::limits::USER_BYTES_MAX`].
    pub fn new(name: &str) -> Self {
        Self(crate::limits::cut(name, crate::limits::USER_BYTES_MAX).into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// By what a visitor was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// By our signed cookie.
    Cookie,
    /// By a keyed hash of address and user agent: a client that keeps no cookie.
    Fingerprint,
    /// From an access log.
    Import,
}

impl Identity {
    /// The word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Fingerprint => "fingerprint",
            Self::Import => "import",
        }
    }
}

/// By which way in a visit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Via {
    /// The tower layer in a Rust app.
    #[default]
    Tower,
    /// The reverse proxy.
    Proxy,
    /// An access log.
    Log,
    /// The HTTP collector.
    Collector,
}

impl Via {
    /// The word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tower => "tower",
            Self::Proxy => "proxy",
            Self::Log => "log",
            Self::Collector => "collector",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// No activity for longer than the idle timeout.
    Expired,
    /// The app asked.
    Abandoned,
    /// The user logged out, or another one logged in.
    LoggedOut,
    /// It had lived for the longest time allowed.
    MaxAge,
    /// A newer login of the same user, where only one is allowed.
    Superseded,
    /// An admin ended it.
    Terminated,
    /// The visit was full.
    MaxEvents,
    /// The cap on open sessions.
    Evicted,
}

impl EndReason {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Expired,
        Self::Abandoned,
        Self::LoggedOut,
        Self::MaxAge,
        Self::Superseded,
        Self::Terminated,
        Self::MaxEvents,
        Self::Evicted,
    ];

    /// The word in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Abandoned => "abandoned",
            Self::LoggedOut => "logged_out",
            Self::MaxAge => "max_age",
            Self::Superseded => "superseded",
            Self::Terminated => "terminated",
            Self::MaxEvents => "max_events",
            Self::Evicted => "evicted",
        }
    }

    /// Whether requests with the session's token must never meet in a new one. They may after it has expired, as the
    /// tabs do that a browser restores; and after an eviction, which was nobody's wish.
    pub const fn bars_rejoin(self) -> bool {
        !matches!(self, Self::Expired | Self::Evicted)
    }
}

/// What is known of a visitor when the session starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartFacts {
    /// The visitor as records know it. Of no account in a session that a fingerprint shares: there it is the
    /// fingerprint.
    pub visitor_id: VisitorId,
    /// The client's address, as far as the settings let it be kept.
    pub ip: Redacted<Option<IpAddr>>,
    /// `User-Agent`; where [`Hints::REDUCED`] says so, what it names, in classes.
    pub user_agent: Redacted<Option<Box<str>>>,
    /// `Accept-Language`.
    pub language: Option<Box<str>>,
    /// `Referer` of the first request.
    pub referrer: Option<Box<str>>,
    /// By which way it came in.
    pub via: Via,
    /// Where the whole address was found, whatever of it is kept.
    pub place: Option<Place>,
    /// What the first request's headers said about who sent it; `None` where nobody looked.
    pub hints: Option<Hints>,
}

impl StartFacts {
    /// The user agent, where it was kept.
    pub fn user_agent(&self) -> Option<&str> {
        let is_kept = !self.hints.is_some_and(|hints| hints.has(Hints::REDUCED));
        self.user_agent.expose().as_deref().filter(|_| is_kept)
    }
}

/// The first entry of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// When the first tracked request arrived.
    pub at: Timestamp,
    /// Which partition of visitors it belongs to.
    pub partition: u8,
    /// By what the visitor was known.
    pub identity: Identity,
    /// The host that was asked for.
    pub host: Host,
    /// The fingerprint under which the session counts until it is confirmed, or that it is shared by.
    pub fingerprint: Fingerprint,
    /// The visit that the presented token named.
    pub previous: Option<VisitId>,
    /// The presented token, where it opened nothing any more: its twins join this session for a moment.
    pub renews: Option<TokenMark>,
    /// What it takes along from a session that others share.
    pub brings: Option<Brings>,
    /// The visitor's how-manieth visit this is, from 1; 0 where nobody can know.
    pub number: u32,
    /// Whether no token of ours was presented; `None` where nobody can know.
    pub is_new_visitor: Option<bool>,
    /// What is known of the visitor.
    pub facts: StartFacts,
}

/// Events of a session that a fingerprint shares, which turn out to be those of a client that keeps cookies: the first ones
/// of its own session, which says them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Brings {
    /// The session that they were recorded in.
    pub from: VisitId,
    /// Which of its events: this one and those behind it, counted from 0 as they were recorded.
    pub first: u16,
    /// How many.
    pub count: u16,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A page was shown.
    PageView,
    /// A page was asked for and answered with an error.
    PageError,
    /// The site's code did something and named it.
    Action,
    /// A user logged in.
    Login,
    /// The user logged out.
    Logout,
    /// Another request, recorded because the settings ask for it.
    Request,
}

impl EventKind {
    /// The word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::PageError => "page_error",
            Self::Action => "action",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Request => "request",
        }
    }
}

/// What a request was, for the events that are one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFacts {
    /// The host that was asked for.
    pub host: Option<Host>,
    /// The path, as sent.
    pub path: Box<str>,
    /// The query string without its `?`.
    pub query: Option<Box<str>>,
    /// The route that the app's router matched.
    pub route: Option<Box<str>>,
    /// The method.
    pub method: Method,
    /// The status of the answer.
    pub status: u16,
    /// From the request's arrival to the answer's head, in microseconds.
    pub duration_us: u64,
    /// `Content-Length` of the answer.
    pub bytes: Option<u64>,
    /// `Referer`.
    pub referrer: Option<Box<str>>,
}

/// One entry of a visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened: for a request, when it arrived.
    pub time: Timestamp,
    /// What it is.
    pub kind: EventKind,
    /// An action's name; a login's or logout's user; a page's title, where the app told it.
    pub name: Option<Box<str>>,
    /// An action's type.
    pub type_: Option<Box<str>>,
    /// The request that it is.
    pub request: Option<Box<RequestFacts>>,
    /// An action's properties: a JSON object, as text.
    pub properties: Option<Box<str>>,
}

impl Event {
    /// The activity that it stands for: for a request, when its answer's head was ready.
    pub fn activity(&self) -> Timestamp {
        match &self.request {
            Some(request) => self.time.after(Duration::from_micros(request.duration_us)),
            None => self.time,
        }
    }

    /// The user that a login or logout names.
    pub fn user(&self) -> Option<&str> {
        match self.kind {
            EventKind::Login | EventKind::Logout => self.name.as_deref(),
            _ => None,
        }
    }

    /// A page's title, where the app told it.
    pub fn title(&self) -> Option<&str> {
        match self.kind {
            EventKind::PageView | EventKind::PageError => self.name.as_deref(),
            _ => None,
        }
    }

    /// An action's name.
    pub fn action(&self) -> Option<&str> {
        match self.kind {
            EventKind::Action => self.name.as_deref(),
            _ => None,
        }
    }
}

/// Values that changed: the new value of each key, or `None` where it was removed.
pub type Fields = Vec<(Arc<str>, Option<serde_json::Value>)>;

/// The last entry of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// Why it ended.
    pub reason: EndReason,
    /// Its last journaled activity.
    pub ended_at: Timestamp,
    /// When the end was decided.
    pub closed_at: Timestamp,
    /// The site that it counts to, as known at the end.
    pub site: Box<str>,
    /// Whether the client ever returned our cookie.
    pub confirmed: bool,
    /// The user, as of the end.
    pub user: Option<UserId>,
    /// All values, at their latest.
    pub values: Arc<Values>,
}

/// One entry of a session's chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The session starts.
    Start(Box<Start>),
    /// Something happened in it.
    Event(Event),
    /// Values changed.
    Set {
        /// When.
        at: Timestamp,
        /// Which.
        fields: Fields,
    },
    /// There was activity, or the session was confirmed, and nothing else says so.
    Touch {
        /// When.
        at: Timestamp,
        /// Whether it slides the idle timeout.
        slides: bool,
    },
    /// The token changed, and with it perhaps the user.
    Rotate {
        /// When.
        at: Timestamp,
        /// The rotation count from now on.
        rotation: u16,
        /// The user from now on.
        user: Option<UserId>,
    },
    /// Some of its events are those of another session, and count in this one no more.
    Withdraw {
        /// When that turned out.
        at: Timestamp,
        /// The first of them, counted from 0 as they were recorded.
        first: u16,
        /// How many.
        count: u16,
    },
    /// The session ends.
    End(Box<End>),
}

/// A session that ended, whole: what sinks and end hooks receive.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedVisit {
    /// Names the visit; the `end_id` too.
    pub visit: VisitId,
    /// How it started.
    pub start: Start,
    /// How it ended.
    pub end: End,
    /// Its events, by time and then by the order in which they were recorded.
    pub events: Vec<Event>,
    /// Whether this sink may have seen it before.
    pub redelivered: bool,
}

impl EndedVisit {
    /// Whether nothing of it is left: all that clients of a fingerprint had done in the session that they shared has gone
    /// along with those of them who keep cookies.
    pub fn has_withdrawn(&self) -> bool {
        self.start.identity == Identity::Fingerprint && self.events.is_empty()
    }
}

/// A session that still lives, as the engine knows it now.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenVisit {
    /// Names the visit.
    pub visit: VisitId,
    /// How it started.
    pub start: Start,
    /// The site that it counts to so far.
    pub site: Box<str>,
    /// Its last activity.
    pub last_seen: Timestamp,
    /// Whether the client has returned our cookie.
    pub confirmed: bool,
    /// The user.
    pub user: Option<UserId>,
    /// All values.
    pub values: Arc<Values>,
    /// Its events so far, in order.
    pub events: Vec<Event>,
}

/// The events of a session's chain, while it is read.
#[derive(Debug, Default)]
pub struct Gathered {
    events: Vec<Event>,
    withdrawn: Vec<std::ops::Range<usize>>,
}

impl Gathered {
    /// The chain's next entry; given back if it says nothing of events.
    pub fn see(&mut self, entry: Entry) -> Option<Entry> {
        match entry {
            Entry::Event(event) => self.events.push(event),
            Entry::Withdraw { first, count, .. } => {
                let first = usize::from(first);
                self.withdrawn.push(first..first + usize::from(count));
            }
            other => return Some(other),
        }
        None
    }

    /// Those that count, as they were recorded.
    pub fn into_recorded(self) -> Vec<Event> {
        let Self { mut events, withdrawn } = self;
        if !withdrawn.is_empty() {
            let mut at = 0..events.len();
            events.retain(|_| at.next().is_some_and(|at| !withdrawn.iter().any(|range| range.contains(&at))));
        }
        events
    }

    /// Those that count, as they happened.
    pub fn into_events(self) -> Vec<Event> {
        let mut events = self.into_recorded();
        sort_events(&mut events);
        events
    }
}

/// Sorts a visit's events as they happened: by time, then by the order in which they were recorded.
pub fn sort_events(events: &mut [Event]) {
    events.sort_by_key(|event| event.time);
}
