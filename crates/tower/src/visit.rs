//! The handle by which an app names actions, keeps values and says who the visitor is.

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use visitlog_core::ids::VisitId;
use visitlog_core::limits;
use visitlog_core::model::{CountryCode, Event, EventKind, UserId};
use visitlog_core::ports::{Class, Committed, Op, Outcome, SessionData, Standing, StoreError, Token};
use visitlog_core::{Timestamp, model};

use crate::class::Asked;
use crate::origin::{Origin, cut};
use crate::privacy::Recording;
use crate::protocol::PageSaid;
use crate::settings::Presence;
use crate::shared::Setup;

/// The visit that a request belongs to. The layer puts one into the extensions of each request; clones are the same.
///
/// Nothing here waits or fails. What is said before the response's head is ready is recorded with it: the response
/// waits for that, and no response leaves before it. What is said later, by a socket or a job that kept the handle, is
/// gathered until [`Visit::flush`].
///
/// ```
/// use visitlog_tower::Visit;
///
/// fn checkout(visit: &Visit, total: f64) {
///     visit.action("Order placed", "order").with("total", total).with("currency", "EUR");
///     visit.remove("basket");
///     visit.increment("orders", 1);
/// }
///
/// async fn chat(visit: Visit, message: &str) -> Result<(), visitlog_tower::FlushError> {
///     visit.action("Message sent", "chat").with("bytes", message.len());
///     visit.flush().await
/// }
/// ```
///
/// Where the store is down, or the client is known by a fingerprint only, the handle works all the same: it hands back
/// what this request said, and no more.
#[derive(Debug, Clone)]
pub struct Visit {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) origin: Origin,
    link: Arc<dyn Link>,
    /// Holds off the session's idle expiry as long as anybody has the handle, where the request goes on after its commit.
    in_flight: OnceLock<Box<dyn Any + Send + Sync>>,
    state: Mutex<State>,
}

/// The layer behind a handle, whatever its store is.
pub(crate) trait Link: Send + Sync {
    /// What all requests share.
    fn setup(&self) -> &Setup;

    /// Commits operations by themselves, with a begin of their own.
    fn commit_later(self: Arc<Self>, later: Later) -> BoxFuture<Result<Committed, StoreError>>;
}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Operations that come when the request's own commit is out of reach.
pub(crate) struct Later {
    pub(crate) visit: Visit,
    pub(crate) ops: Vec<Op>,
    /// What the request was, if that is to be recorded too.
    pub(crate) class: Class,
    /// The token that names the session now.
    pub(crate) token: Option<Token>,
    /// Which session they must meet.
    pub(crate) meets: Meets,
}

impl Later {
    /// The end of the session that a token names: its visitor is not to be recorded any more. Nothing else is said of them.
    pub(crate) fn goodbye(visit: &Visit, token: Token) -> Self {
        visit.origin().without_fingerprint();
        let (ops, class) = (vec![Op::Abandon], Class::Other(None));
        Self { visit: visit.clone(), ops, class, token: Some(token), meets: Meets::Any }
    }

    /// What is to be committed: from now on it is for the store to keep or to refuse.
    pub(crate) fn take(&mut self) -> (Class, Vec<Op>) {
        (std::mem::replace(&mut self.class, Class::Passive), std::mem::take(&mut self.ops))
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        // Who was to wait for it has gone before it began.
        let counters = &self.visit.inner.link.setup().counters;
        counters.events_lost.add(events_of(&self.class));
        counters.ops_lost.add(self.ops.len());
    }
}

/// Which session operations must meet that come by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meets {
    /// That of the token, or a new one.
    Any,
    /// That of the token, and no other than this one.
    Only(VisitId),
    /// This one, which the app has named; the token has nothing to do with it.
    Named(VisitId),
}

struct State {
    /// The request's arrival by the store's clock, and that moment by ours.
    at: Timestamp,
    id: Option<VisitId>,
    /// Whether its session lived when the request arrived.
    lives: bool,
    /// User and values as they will be when all of `ops` is done; `None` as long as there are none.
    data: Option<Arc<SessionData>>,
    ops: Vec<Op>,
    /// What the app said of the page.
    page: Option<PageSaid>,
    /// The visit that the app named.
    named: Option<VisitId>,
    /// Whether the app said that the visitor agrees to be recorded.
    consent: Option<bool>,
    /// Whether what is said is recorded, as far as is known.
    recorded: bool,
    phase: Phase,
}

/// What was said until the head of the answer was ready.
pub(crate) struct Sayings {
    pub(crate) ops: Vec<Op>,
    pub(crate) page: Option<PageSaid>,
    pub(crate) named: Option<VisitId>,
    pub(crate) consent: Option<bool>,
}

enum Phase {
    /// The head of the answer is not ready.
    Open,
    /// The request's own commit is on its way, or done.
    Closed { token: Option<Token>, expected: Option<VisitId> },
}

/// Why [`Visit::flush`] could not record what was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The store could not take it. It is lost, and counted.
    #[error("could not record the visit's operations")]
    Store(#[from] StoreError),
    /// The session has ended: nothing can be added to it.
    #[error("the visit has ended: nothing can be added to it")]
    Gone,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("id", &self.state().id).finish_non_exhaustive()
    }
}

impl Visit {
    /// The visit's id: of the session that the request belongs to, or of the one that it would start. `None` where the
    /// client is known by a fingerprint only, came with an outdated token, or is not tracked.
    pub fn id(&self) -> Option<VisitId> {
        self.inner.state().id
    }

    /// The country that the request comes from, as the client's address tells: of this request, not of the visit's first.
    /// `None` where nobody knows; see [`Settings::locator`](crate::Settings).
    pub fn country(&self) -> Option<CountryCode> {
        self.inner.origin.country(self.inner.link.setup())
    }

    /// Whether the script that says who is online is to be put into the answer, if that is a page: see
    /// [`crate::settings::Presence::Inject`].
    pub fn wants_script(&self) -> bool {
        let origin = &self.inner.origin;
        let is_page = matches!(origin.asked, Asked::Page { .. } | Asked::Prefetch);
        is_page && origin.recording == Recording::Kept && self.inner.link.setup().settings.presence == Presence::Inject
    }

    /// The user that is logged in.
    pub fn current_user(&self) -> Option<UserId> {
        self.inner.state().data.as_ref()?.user.clone()
    }

    /// Names something that the site did: `visit.action("Profile picture deleted", "deletion")`. An empty type is none.
    /// It is recorded at the end of the statement; until then [`Action::with`] adds properties.
    pub fn action(&self, name: &str, type_: &str) -> Action<'_> {
        Action {
            visit: self,
            name: cut(name.into(), limits::ACTION_NAME_BYTES_MAX),
            type_: of_type(type_),
            properties: Map::new(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.inner.state().data.as_ref()?.values.get(key).cloned()
    }

    /// Gives a key a value. Two requests at once that set different keys both win; of one key, the later commit does.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        self.push(Op::Set(key.into(), value.into()));
    }

    /// Takes a key away.
    pub fn remove(&self, key: &str) {
        self.push(Op::Remove(key.into()));
    }

    /// Adds to a number, which is 0 where the key has none. No addition is lost among requests at once.
    pub fn increment(&self, key: &str, by: i64) {
        self.push(Op::Increment(key.into(), by));
    }

    /// A page was shown, whatever the request looks like: the answer to a form, or one that a script puts in the place of
    /// the page before. See [`Visit::no_page`].
    pub fn page(&self) -> Page<'_> {
        Page { visit: self, path: None, title: None }
    }

    /// No page was shown, whatever the request looks like.
    pub fn no_page(&self) {
        self.say_page(PageSaid::No);
    }

    /// What is said here, and the request itself, belong to this visit, and not to one of the client's own: a webhook or
    /// a job speaks of what a visitor began. Nobody can log in that way.
    pub fn belongs_to(&self, visit: VisitId) {
        self.inner.state().named = Some(visit);
    }

    /// Says who the visitor is. The session goes on, its token changes; if another user was in, that is a logout and a
    /// new session.
    pub fn login(&self, user: &str) {
        self.push(Op::Login(UserId::new(user)));
    }

    /// The user says goodbye: the session ends with this request, unless the settings say that it goes on.
    pub fn logout(&self) {
        self.push(Op::Logout);
    }

    /// Ends the session with this request.
    pub fn abandon(&self) {
        self.push(Op::Abandon);
    }

    /// The visitor agrees to be recorded, or does not, or does not any more. It counts when it is said before the response's
    /// head is ready, once or with every response.
    ///
    /// In the mode `consent`, `true` is what recording begins with: this request is the first that is recorded, and our
    /// cookie, which its answer sets, is what remembers it. `false` ends the session and takes the cookie away, and what this
    /// request has said goes nowhere. In other modes `true` changes nothing, and `false` is an opt-out: the same, and a
    /// cookie of a year remembers it.
    pub fn consent(&self, agrees: bool) {
        self.inner.state().consent = Some(agrees);
    }

    /// Whether this request is recorded, as far as is known: not where its visitor has not agreed (yet) or has opted out, or
    /// where its address or path is excluded.
    pub fn is_recorded(&self) -> bool {
        self.inner.state().recorded
    }

    /// The visitor is active, on a socket or in a stream: the session lives on, as by a request. To be said now and then,
    /// once a minute is enough. Nothing is recorded but that.
    ///
    /// # Errors
    /// As [`Visit::flush`].
    pub async fn active(&self) -> Result<(), FlushError> {
        let Some(later) = self.later(true) else { return Ok(()) };
        self.commit_later(later).await
    }

    /// Records what was said since the response's head was ready. Before that it does nothing: all goes with the head.
    ///
    /// A login or a logout that is flushed can't change the client's cookie any more.
    ///
    /// # Errors
    /// When the session has ended meanwhile, or the store can't take it. Either way it is lost and counted.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let Some(later) = self.later(false) else { return Ok(()) };
        self.commit_later(later).await
    }

    async fn commit_later(&self, later: Later) -> Result<(), FlushError> {
        let committed = self.inner.link.clone().commit_later(later).await?;
        self.committed(&committed);
        if committed.outcome == Outcome::Gone { Err(FlushError::Gone) } else { Ok(()) }
    }

    pub(crate) fn new(origin: Origin, link: Arc<dyn Link>) -> Self {
        let state = State {
            at: origin.started,
            id: None,
            lives: false,
            data: None,
            ops: Vec::new(),
            page: None,
            named: None,
            consent: None,
            recorded: origin.recording == Recording::Kept,
            phase: Phase::Open,
        };
        Self { inner: Arc::new(Inner { origin, link, in_flight: OnceLock::new(), state: Mutex::new(state) }) }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.inner.origin
    }

    /// The store has said who it is.
    pub(crate) fn arrived(&self, at: Timestamp, standing: &Standing) {
        let mut state = self.inner.state();
        state.at = at;
        match standing {
            Standing::Live(live) if live.current => {
                (state.id, state.lives) = (Some(live.visit), true);
                state.data.clone_from(&live.data);
            }
            Standing::Fresh(fresh) => state.id = Some(fresh.visit),
            Standing::Live(_) | Standing::Shared { .. } => {}
        }
    }

    /// Whether its session lived when the request arrived.
    pub(crate) fn lives(&self) -> bool {
        self.inner.state().lives
    }

    /// The request goes on after its commit: this holds off the session's idle expiry.
    pub(crate) fn goes_on(&self, hold: Box<dyn Any + Send + Sync>) {
        let _only_once = self.inner.in_flight.set(hold);
    }

    /// The head of the answer is ready: what was said so far goes with it, the rest waits for a flush.
    pub(crate) fn close(&self) -> Sayings {
        let token = self.inner.origin.token;
        let mut state = self.inner.state();
        state.phase = Phase::Closed { token, expected: token.and_then(|token| token.visit) };
        let (ops, page) = (std::mem::take(&mut state.ops), state.page.take());
        Sayings { ops, page, named: state.named, consent: state.consent }
    }

    /// The record of it that a visitor has agreed, at a request that shows no page.
    pub(crate) fn agreed(at: Timestamp) -> Event {
        let (name, type_) = (Some(CONSENT.into()), Some("consent".into()));
        Event { time: at, kind: EventKind::Action, name, type_, request: None, properties: None }
    }

    /// Now it is known whether what is said is recorded.
    pub(crate) fn set_recorded(&self, recorded: bool) {
        self.inner.state().recorded = recorded;
    }

    /// The request's arrival, by the store's clock if it has said so.
    pub(crate) fn at(&self) -> Timestamp {
        self.inner.state().at
    }

    pub(crate) fn say_page(&self, page: PageSaid) {
        self.inner.state().page = Some(page);
    }

    /// A commit is done: what comes later must meet its session, also if that has ended.
    pub(crate) fn committed(&self, committed: &Committed) {
        if let Phase::Closed { token, expected } = &mut self.inner.state().phase {
            *token = committed.issue.or(*token);
            *expected = committed.visit.or(*expected);
        }
    }

    /// What a response said by its headers, behind what the app said in Rust.
    pub(crate) fn push(&self, op: Op) {
        let mut state = self.inner.state();
        if state.ops.len() >= limits::OPS_PER_COMMIT_MAX {
            self.inner.link.setup().counters.ops_refused.add(1);
            return;
        }
        if self.inner.origin.asked.is_passive() && is_known(state.data.as_deref(), &op) {
            return;
        }
        preview(state.data.get_or_insert_default(), &op);
        let names_a_person = matches!(op, Op::Login(_) | Op::Set(..) | Op::Remove(_) | Op::Increment(..));
        if names_a_person && !self.inner.origin.detail.keeps_user() {
            // This request sees it; nobody else does.
            return;
        }
        state.ops.push(op);
    }

    pub(crate) fn push_action(&self, name: Box<str>, type_: Option<Box<str>>, properties: Map<String, Value>) {
        let elapsed = self.inner.link.setup().clock.now().since(self.inner.origin.started);
        // Within a request, so behind its arrival, at which its page view stands: however quick the app is.
        let time = self.inner.state().at.after(elapsed.max(Duration::from_micros(1)));
        let properties = properties_text(properties);
        let mut event = Event { time, kind: EventKind::Action, name: Some(name), type_, request: None, properties };
        self.inner.origin.detail.reduce_event(&mut event);
        self.push(Op::Event(event));
    }

    /// What is to be committed by itself. `anyway`: also if nothing was said.
    fn later(&self, anyway: bool) -> Option<Later> {
        let mut state = self.inner.state();
        let Phase::Closed { token, expected } = state.phase else { return None };
        if !state.recorded {
            state.ops.clear();
            return None;
        }
        if state.ops.is_empty() && !anyway {
            return None;
        }
        let (ops, meets) = (std::mem::take(&mut state.ops), expected.map_or(Meets::Any, Meets::Only));
        Some(Later { visit: self.clone(), ops, class: Class::Other(None), token, meets })
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A request whose future is dropped loses what it said; so does a job that forgets to flush.
        self.link.setup().counters.ops_lost.add(state.ops.len());
    }
}

/// The name of the action that says that a visitor has agreed.
const CONSENT: &str = "Consent given";

/// An action that is being named. It is recorded when this goes out of scope: at the end of the statement.
#[derive(Debug)]
pub struct Action<'a> {
    visit: &'a Visit,
    name: Box<str>,
    type_: Option<Box<str>>,
    properties: Map<String, Value>,
}

impl Action<'_> {
    /// Adds a property.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(key.to_owned(), value.into());
        self
    }
}

impl Drop for Action<'_> {
    fn drop(&mut self) {
        let (name, type_) = (std::mem::take(&mut self.name), self.type_.take());
        self.visit.push_action(name, type_, std::mem::take(&mut self.properties));
    }
}

/// A page that was shown. It is said when this goes out of scope: at the end of the statement.
#[derive(Debug)]
pub struct Page<'a> {
    visit: &'a Visit,
    path: Option<String>,
    title: Option<String>,
}

impl Page<'_> {
    /// Its path, where that is not the request's. It begins with a slash, else it is left out.
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned()).filter(|path| path.starts_with('/'));
        self
    }

    /// Its title.
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.visit.say_page(PageSaid::Yes { path: self.path.take(), title: self.title.take() });
    }
}

/// Events that a class records.
pub(crate) const fn events_of(class: &Class) -> usize {
    match class {
        Class::Page(_) | Class::PageError(_) | Class::Other(Some(_)) => 1,
        Class::Other(None) | Class::Passive => 0,
    }
}

pub(crate) fn of_type(type_: &str) -> Option<Box<str>> {
    (!type_.is_empty()).then(|| cut(type_.into(), limits::ACTION_TYPE_BYTES_MAX))
}

/// Properties as JSON, cut where they are too long: those that fit stay, the mark says that there were more.
fn properties_text(properties: Map<String, Value>) -> Option<Box<str>> {
    if properties.is_empty() {
        return None;
    }
    let text = Value::Object(properties).to_string();
    if text.len() <= limits::PROPERTIES_BYTES_MAX {
        return Some(text.into());
    }
    let Ok(Value::Object(properties)) = text.parse::<Value>() else { return None };
    let mark = limits::CUT_MARK.to_string();
    let mut kept = Map::new();
    let mut room = limits::PROPERTIES_BYTES_MAX - 2 - r#""…":true"#.len();
    for (key, value) in properties {
        let bytes = Value::from(key.as_str()).to_string().len() + value.to_string().len() + 2;
        if let Some(left) = room.checked_sub(bytes) {
            room = left;
            kept.insert(key, value);
        }
    }
    kept.insert(mark, true.into());
    Some(Value::Object(kept).to_string().into())
}

/// Whether an operation says only who is logged in, and it is so: an app may say that with every answer, and a request that
/// leaves no trace leaves none by that.
fn is_known(data: Option<&SessionData>, op: &Op) -> bool {
    let user = data.and_then(|data| data.user.as_ref());
    match op {
        Op::Login(said) => user == Some(said),
        Op::Nobody => user.is_none(),
        _ => false,
    }
}

/// What an operation will do, shown to this request at once. The store decides.
fn preview(data: &mut Arc<SessionData>, op: &Op) {
    let values = |data: &mut Arc<SessionData>, work: &dyn Fn(&mut model::Values)| {
        work(Arc::make_mut(&mut Arc::make_mut(data).values));
    };
    match op {
        Op::Set(key, value) => values(data, &|values| {
            values.insert(key.clone(), value.clone());
        }),
        Op::Remove(key) => values(data, &|values| {
            values.remove(key);
        }),
        Op::Increment(key, by) => values(data, &|values| {
            let sum = match values.get(key) {
                None => Some(Value::from(*by)),
                Some(old) => match old.as_i64() {
                    Some(old) => old.checked_add(*by).map(Value::from),
                    None => old.as_f64().map(|old| Value::from(old + *by as f64)),
                },
            };
            if let Some(sum) = sum {
                values.insert(key.clone(), sum);
            }
        }),
        Op::Login(user) => {
            if data.user.as_ref().is_some_and(|before| before != user) {
                *data = Arc::default();
            }
            Arc::make_mut(data).user = Some(user.clone());
        }
        Op::Logout | Op::Nobody => Arc::make_mut(data).user = None,
        Op::Event(_) | Op::Abandon => {}
    }
}

#[cfg(test)]
#[path = "visit_tests.rs"]
mod tests;
