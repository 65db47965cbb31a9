//! What a receiver is told: the JSON of each message, and the id that it keeps however often it is sent.
//!
//! | `type` | `timestamp` | `data` |
//! |---|---|---|
//! | `session.started` | when it started | [`Started`], as far as it is known then |
//! | `action` | when it happened | [`Action`] |
//! | `session.ended` | when the end was decided | the visit's whole document ([`crate::document`]) |

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use serde::Serialize;
use visitlog_core::model::{Event, EventKind, UserId, VisitView};
use visitlog_core::{Timestamp, VisitId, VisitorId};

use crate::document::{Document, Text, Time, properties};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum EventType {
    /// A session has started, and its client is known to be a visitor's browser: it has returned our cookie, or somebody
    /// has logged in.
    #[serde(rename = "session.started")]
    SessionStarted,
    /// The site's code has done something and named it.
    #[serde(rename = "action")]
    Action,
    /// A session has ended: the whole visit.
    #[serde(rename = "session.ended")]
    SessionEnded,
    /// Somebody wants to see whether messages arrive.
    #[serde(rename = "webhook.test")]
    Test,
}

impl EventType {
    /// Those that can be asked for.
    pub const ALL: [Self; 3] = [Self::SessionStarted, Self::Action, Self::SessionEnded];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionStarted => "session.started",
            Self::Action => "action",
            Self::SessionEnded => "session.ended",
            Self::Test => "webhook.test",
        }
    }
}

/// What a receiver wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wants {
    /// Of which kinds. None: of all.
    pub events: Vec<EventType>,
    /// Which actions, by name. None: all.
    pub actions: Vec<Box<str>>,
    /// Of which sites. None: of all.
    pub sites: Vec<Box<str>>,
    /// Whether also of visits whose client never returned our cookie: most are programs.
    pub unconfirmed: bool,
}

impl Wants {
    fn has(&self, event: EventType) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }

    fn has_action(&self, name: &str) -> bool {
        self.has(EventType::Action) && (self.actions.is_empty() || self.actions.iter().any(|wanted| **wanted == *name))
    }

    fn has_visit(&self, visit: &VisitView<'_>) -> bool {
        self.sites.is_empty() || self.sites.iter().any(|site| **site == *visit.site)
    }

    /// Whether anything is told before the end.
    pub(super) fn is_early(&self) -> bool {
        self.has(EventType::SessionStarted) || self.has(EventType::Action)
    }
}

/// A message that may have been told before: its id says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) event: EventType,
    /// Of its visit: what tells it from the visit's others.
    pub(super) what: String,
    pub(super) at: Timestamp,
    pub(super) body: Vec<u8>,
}

/// The id of a visit's message.
pub(super) fn id_of(visit: VisitId, what: &str) -> String {
    format!("{visit}.{what}")
}

/// What there is to tell of a visit by now and was not told before, in order.
pub(super) fn messages(visit: &VisitView<'_>, wants: &Wants, told: &BTreeSet<String>) -> Vec<Message> {
    let is_wanted = !told.is_empty() || visit.confirmed || visit.user.is_some() || wants.unconfirmed;
    if !is_wanted || !wants.has_visit(visit) {
        return Vec::new();
    }
    let is_new = |what: &String| !told.contains(what);
    let mut all = Vec::new();
    if let Some(what) = Some("started".to_owned()).filter(|what| wants.has(EventType::SessionStarted) && is_new(what)) {
        all.push(message(EventType::SessionStarted, what, visit.start.at, &Started::of(visit)));
    }
    let mut same: HashMap<u64, u32> = HashMap::new();
    let actions = visit.events.iter().filter(|event| event.kind == EventKind::Action);
    for event in actions.filter(|event| wants.has_action(event.action().unwrap_or_default())) {
        let hash = hash_of(event);
        let count = same.entry(hash).and_modify(|count| *count += 1).or_insert(1);
        let what = format!("action-{hash:016x}-{count}");
        if is_new(&what) {
            all.push(message(EventType::Action, what, event.time, &Action::of(visit, event)));
        }
    }
    if let Some(end) = visit.end
        && wants.has(EventType::SessionEnded)
    {
        all.push(message(EventType::SessionEnded, "ended".to_owned(), end.closed_at, &Document::of(*visit)));
    }
    all
}

/// Tells that messages arrive.
pub(super) fn test(at: Timestamp) -> Message {
    #[derive(Serialize)]
    struct Nothing {}
    message(EventType::Test, format!("test-{}", at.micros()), at, &Nothing {})
}

fn message(event: EventType, what: String, at: Timestamp, data: &impl Serialize) -> Message {
    #[derive(Serialize)]
    struct Envelope<'a, D> {
        r#type: EventType,
        timestamp: Text<Time>,
        data: &'a D,
    }
    let envelope = Envelope { r#type: event, timestamp: Text(Time(at)), data };
    let body = serde_json::to_vec(&envelope).expect("text keys into memory");
    Message { event, what, at, body }
}

/// What an action is known by, wherever it stands among the others.
fn hash_of(event: &Event) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&event.time.micros().to_be_bytes());
    for text in [&event.name, &event.type_, &event.properties] {
        let text = text.as_deref().unwrap_or_default();
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let hash = hash.finalize();
    u64::from_be_bytes(std::array::from_fn(|at| hash.as_bytes()[at]))
}

/// A session that has started.
#[derive(Debug, Serialize)]
struct Started<'a> {
    visit_id: Text<VisitId>,
    visitor_id: Text<VisitorId>,
    site: &'a str,
    identity: &'static str,
    user_id: Option<&'a str>,
    previous_visit_id: Option<Text<VisitId>>,
    visit_number: Option<u32>,
    is_new_visitor: Option<bool>,
    started_at: Text<Time>,
    entry_path: Option<&'a str>,
    referrer: Option<&'a str>,
    language: Option<&'a str>,
    ip: Option<Text<IpAddr>>,
    user_agent: Option<&'a str>,
    via: &'static str,
}

impl<'a> Started<'a> {
    fn of(visit: &VisitView<'a>) -> Self {
        let all = Document::of(*visit);
        Self {
            visit_id: all.visit_id,
            visitor_id: all.visitor_id,
            site: all.site,
            identity: all.identity,
            user_id: all.user_id,
            previous_visit_id: all.previous_visit_id,
            visit_number: all.visit_number,
            is_new_visitor: all.is_new_visitor,
            started_at: all.started_at,
            entry_path: all.entry_path,
            referrer: all.referrer,
            language: all.language,
            ip: all.ip,
            user_agent: all.user_agent,
            via: all.via,
        }
    }
}

/// Something that the site's code has done for a visitor.
#[derive(Debug, Serialize)]
struct Action<'a> {
    visit_id: Text<VisitId>,
    site: &'a str,
    user_id: Option<&'a str>,
    time: Text<Time>,
    name: Option<&'a str>,
    r#type: Option<&'a str>,
    properties: Option<serde_json::Value>,
}

impl<'a> Action<'a> {
    fn of(visit: &VisitView<'a>, event: &'a Event) -> Self {
        // Who was logged in then: the visit's user, unless one came or went while it went on.
        let is_login = |other: &&Event| matches!(other.kind, EventKind::Login | EventKind::Logout);
        let before = visit.events.iter().take_while(|other| !std::ptr::eq(*other, event));
        let user = match before.filter(is_login).last() {
            Some(login) => login.user().filter(|_| login.kind == EventKind::Login),
            None if visit.events.iter().any(|other| is_login(&other)) => None,
            None => visit.user.map(UserId::as_str),
        };
        Self {
            visit_id: Text(visit.visit),
            site: visit.site,
            user_id: user,
            time: Text(Time(event.time)),
            name: event.action(),
            r#type: event.type_.as_deref(),
            properties: event.properties.as_deref().map(properties),
        }
    }
}
