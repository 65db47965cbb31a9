//! Where sessions are kept.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::StoreError;
use super::open::{Cursor, Erased, Inquiry, OpenPage, Terminated};
use super::presence::Beat;
use crate::erasure::{FoundVisits, Whose};
use crate::ids::{Fingerprints, Host, TokenMark, VisitId, Visitor};
use crate::model::{Event, OpenVisit, StartFacts, UserId, Values};
use crate::time::{Day, Timestamp};

/// Keeps sessions. One call when a request begins, one when the head of its answer is ready; each is one round trip
/// for a store across a network. A store that is down costs a bounded wait, once, then none until it is back: that
/// promise is the store's, so that the layer above needs no timer.
pub trait SessionStore: Send + Sync + 'static {
    /// How [`SessionStore::begin`] answers later; [`AtOnce`] for a store that never does.
    type Begin: Future<Output = Result<Begun, StoreError>> + Send + 'static;
    /// What [`SessionStore::commit`] returns.
    type Commit: Future<Output = Result<Committed, StoreError>> + Send + 'static;

    /// A request arrived: who is it? Finds the session, ends it if it is overdue, confirms it, and holds off its idle
    /// expiry until [`SessionStore::commit`] or [`SessionStore::release`]. Records nothing else. Where the answer comes
    /// later, its future may be dropped at any time: then nothing is held.
    fn begin(&self, arrival: Arrival) -> Reply<Self::Begin>;

    /// The head of the answer is ready: carries out what the request did. Resolves when the session's newest record
    /// is durable in the store's mode.
    fn commit(&self, commit: Commit) -> Self::Commit;

    /// A request that began will not be committed (its future was dropped), or one that went on after its commit is over.
    fn release(&self, hold: SessionHold);

    /// A request goes on after its commit: its body is being sent, its tunnel is open. Holds off the session's idle expiry
    /// until [`SessionStore::release`], which counts as activity then. `None`: no such session is open.
    fn hold_on(&self, visit: VisitId) -> Inquiry<Option<SessionHold>>;

    /// What a request was answered whose commit had an unknown outcome. `None`: the store has nothing of it, or has
    /// forgotten it; the same commit may be sent again as long as it has not been forgotten ([`Commit::request`]).
    fn outcome(&self, request: RequestId) -> Inquiry<Option<Committed>>;

    /// Ends a session from outside (`terminated`). Resolves once its `End` is as durable as the mode promises.
    fn terminate(&self, visit: VisitId) -> Inquiry<Terminated>;

    /// Some of the open sessions, from a place on that a page before told: at most so many, and at most
    /// [`crate::limits::OPEN_PAGE_MAX`]. A session that is open all the time is on exactly one page; one that comes or
    /// goes meanwhile may be on none.
    fn list(&self, from: Option<Cursor>, at_most: usize) -> Inquiry<OpenPage>;

    /// An open session with its events so far; `None` if no such session is open. A store on this machine may read its
    /// files within the call.
    fn open_visit(&self, visit: VisitId) -> Inquiry<Option<OpenVisit>>;

    /// Erases somebody: their open sessions end (`terminated`), no sink is given a visit of theirs any more that has ended
    /// until now, those included, and nobody is told that one of these visits came before another. `stored` are visits of
    /// theirs that are known elsewhere, which nobody is told of either. Resolves once that is as durable as the mode
    /// promises.
    ///
    /// What sinks have stored is theirs to erase; the store's own copies go in its own time. Asked for again it does the
    /// same again: what a crash left undone is done then.
    fn erase(&self, whose: &Whose, stored: &FoundVisits) -> Inquiry<Erased>;

    /// A page of an open session says that it is there. Slides nothing and is written down nowhere. Returns until when the
    /// next beat is waited for; `None` where no such session is open, or nobody keeps who is online.
    fn beat(&self, visit: VisitId, beat: &Beat<'_>) -> Option<Duration> {
        let _ = (visit, beat);
        None
    }
}

impl<S: SessionStore> SessionStore for Arc<S> {
    type Begin = S::Begin;
    type Commit = S::Commit;

    fn begin(&self, arrival: Arrival) -> Reply<Self::Begin> {
        S::begin(self, arrival)
    }

    fn commit(&self, commit: Commit) -> Self::Commit {
        S::commit(self, commit)
    }

    fn release(&self, hold: SessionHold) {
        S::release(self, hold);
    }

    fn hold_on(&self, visit: VisitId) -> Inquiry<Option<SessionHold>> {
        S::hold_on(self, visit)
    }

    fn outcome(&self, request: RequestId) -> Inquiry<Option<Committed>> {
        S::outcome(self, request)
    }

    fn terminate(&self, visit: VisitId) -> Inquiry<Terminated> {
        S::terminate(self, visit)
    }

    fn list(&self, from: Option<Cursor>, at_most: usize) -> Inquiry<OpenPage> {
        S::list(self, from, at_most)
    }

    fn open_visit(&self, visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        S::open_visit(self, visit)
    }

    fn erase(&self, whose: &Whose, stored: &FoundVisits) -> Inquiry<Erased> {
        S::erase(self, whose, stored)
    }

    fn beat(&self, visit: VisitId, beat: &Beat<'_>) -> Option<Duration> {
        S::beat(self, visit, beat)
    }
}

/// What a store answers to an arrival: at once, or later.
#[derive(Debug)]
#[must_use = "what was begun has to be committed or released"]
pub enum Reply<F> {
    /// It is at hand: who asked need not keep the request until it comes.
    Now(Result<Begun, StoreError>),
    /// It takes time.
    Later(F),
}

impl<F> Reply<F> {
    /// What is at hand, if it is.
    pub fn now(self) -> Option<Result<Begun, StoreError>> {
        match self {
            Self::Now(result) => Some(result),
            Self::Later(_) => None,
        }
    }
}

impl<F: Future<Output = Result<Begun, StoreError>>> Reply<F> {
    /// Waits for it.
    ///
    /// # Errors
    /// The store's.
    pub async fn wait(self) -> Result<Begun, StoreError> {
        match self {
            Self::Now(result) => result,
            Self::Later(future) => future.await,
        }
    }
}

/// The later answer of a store that always answers at once: there is none.
#[derive(Debug)]
pub enum AtOnce {}

impl Future for AtOnce {
    type Output = Result<Begun, StoreError>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        match *self {}
    }
}

/// What a token says, its MAC checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The visitor.
    pub visitor: Visitor,
    /// The visit that it was issued for; none in a token for a client that is known by its fingerprint.
    pub visit: Option<VisitId>,
    /// The visitor's how-manieth visit that is.
    pub number: u32,
    /// How often the session's token had been changed.
    pub rotation: u16,
    /// The day on which the visitor was born: drawn, and given a token for the first time.
    pub born: Day,
}

impl Token {
    /// The day of birth of the visitor who presented this token, or none, as a newer token says it. A birth that lies
    /// ahead was told by a wrong clock: it is put right, so that nobody stays young for ever.
    pub fn birth(presented: Option<&Self>, now: Timestamp) -> Day {
        let today = Day::of(now);
        presented.map_or(today, |token| token.born.min(today))
    }

    /// Its mark: of the visit that it names, or of the visitor where it names none, and of its rotation, since one of
    /// another rotation may be in other hands.
    pub fn mark(&self) -> TokenMark {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"visitlog token 1\0");
        hasher.update(&[u8::from(self.visit.is_some())]);
        hasher.update(&self.visit.map_or(self.visitor.as_u128(), VisitId::as_u128).to_le_bytes());
        hasher.update(&self.rotation.to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        TokenMark(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// A request, as the store needs to know it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The host that it named.
    pub host: Host,
    /// The token that it presented.
    pub token: Option<Token>,
    /// Its fingerprint.
    pub fingerprint: Fingerprints,
    /// Whether it confirms a session without being tracked: an asset, a health check, a prefetch, an excluded path.
    /// Such a request is not committed, unless it brings something ([`Fresh::brings`]), and holds nothing.
    pub passive: bool,
    /// Whether cookies are in use at all. Without them everybody is known by fingerprint.
    pub cookies: bool,
}

/// The store's answer to an arrival.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Names the request from here on: its commit says so, and counts once however often it comes.
    pub request: RequestId,
    /// The request's arrival, by the store's clock.
    pub at: Timestamp,
    /// Who it is.
    pub standing: Standing,
}

/// Where a request stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// In a live session.
    Live(Live),
    /// In none: this is the session that it would start. (A twin may have started one by then that it joins.)
    Fresh(Fresh),
    /// With others of its fingerprint: it gets no values, no user and no visit id.
    Shared {
        /// The visitor for a token without a visit, by which it can show that it keeps cookies after all.
        visitor: Visitor,
    },
}

/// A live session that a request belongs to.
#[derive(Debug, Clone)]
pub struct Live {
    /// The visit.
    pub visit: VisitId,
    /// Whether the token is of the current rotation. If not, the request is recorded, but gets no values, no user
    /// and no cookie.
    pub current: bool,
    /// The user and the values, as of now; `None` where there are none.
    pub data: Option<Arc<SessionData>>,
    /// Who follows the token's visitor, if that one is too old ([`crate::rules::SiteRules::visitor_max_age`]): the
    /// visitor of the session that another user's login would start, or of this one, if the token's twin started it.
    pub successor: Option<Visitor>,
    /// Holds off idle expiry; give it back by commit or release. None for a passive request: it holds nothing.
    pub hold: Option<SessionHold>,
}

/// The session that a request would start.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// The visit's id, if it starts.
    pub visit: VisitId,
    /// The visitor: the token's, or a new one.
    pub visitor: Visitor,
    /// Whether that visitor follows the token's, who is too old. Its twins meet in this session all the same; the session
    /// tells nothing of the one before.
    pub succeeds: bool,
    /// Whether what the visitor did first waits in the session that its fingerprint shares. Then this request starts the
    /// session whatever it is, and that goes along.
    pub brings: bool,
}

/// Names one request to its store: what is committed under it counts once. Drawn by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// From its 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// A hold on a session's idle expiry, given with the answer to an arrival and given back once, by commit or release.
///
/// Nobody holds anything for ever: it runs out at its deadline, and with its owner's life. The store keeps a record of it
/// under the session; one on this machine has all of it at hand, for it is the owner of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionHold {
    /// The session.
    pub visit: VisitId,
    /// The request that holds.
    pub request: RequestId,
    /// The process that the request came to.
    pub owner: HoldOwner,
    /// Until when it holds at most: the session's max age.
    pub until: Timestamp,
    /// Whether the request has been committed, and goes on: its end is activity.
    pub goes_on: bool,
}

/// A process that holds sessions for its requests, in one of its lives: the next one holds nothing of what it held, and
/// can give none of it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HoldOwner {
    /// Tells it from others that share the store; 0 where there are none.
    pub node: u32,
    /// Which life of it: drawn when it begins.
    pub incarnation: u64,
}

/// What the app keeps in a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionData {
    /// The user that logged in.
    pub user: Option<UserId>,
    /// The values.
    pub values: Arc<Values>,
}

/// What a request turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Class {
    /// A page view: starts, slides, confirms, and is recorded.
    Page(Event),
    /// A page that could not be shown: slides, confirms, and is recorded.
    PageError(Event),
    /// Any other tracked request: slides and confirms; recorded where asked.
    Other(Option<Event>),
    /// Turned out to be an asset after all.
    Passive,
}

/// What the app asks for, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Gives a key a value.
    Set(Arc<str>, serde_json::Value),
    /// Takes a key away.
    Remove(Arc<str>),
    /// Adds to a number (0 where there is none).
    Increment(Arc<str>, i64),
    /// Something happened beside what the request is: an action that the app names, or a page that was fetched before and
    /// is shown now.
    Event(Event),
    /// Says who the visitor is.
    Login(UserId),
    /// Says goodbye.
    Logout,
    /// Nobody is logged in, as an app states it with every answer: the goodbye of whoever is, and nothing where nobody is.
    Nobody,
    /// Ends the session.
    Abandon,
}

/// All that a request did.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The request, as [`Begun`] named it. Committed once more, it is answered as it was the first time, as long as the
    /// store remembers that: at least until 256 others of its shard were answered.
    pub request: RequestId,
    /// The request's arrival, as [`Begun`] told it.
    pub at: Timestamp,
    /// The host that it named.
    pub host: Host,
    /// The token that it presented.
    pub token: Option<Token>,
    /// Its fingerprint.
    pub fingerprint: Fingerprints,
    /// Where it stood when it began.
    pub standing: Standing,
    /// What it turned out to be.
    pub class: Class,
    /// What the app asked for.
    pub ops: Vec<Op>,
    /// What the start hook asked for: carried out only if this commit starts a session, before all else.
    pub on_start: Vec<Op>,
    /// What is known of the visitor. Needed where a session may start: no live one, or a login among the ops.
    pub facts: Option<Box<StartFacts>>,
    /// Whether the answer can give the client a cookie. If not, its fingerprint is all that there is.
    pub cookies: bool,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// How it went.
    pub outcome: Outcome,
    /// The visit that the request was recorded in; after a login of another user, the new one.
    pub visit: Option<VisitId>,
    /// The token to give the client, if any.
    pub issue: Option<Token>,
    /// Whether it is as durable as the mode promises. `false` while the disk can't take it: the site is served, and
    /// the loss is counted if it becomes one.
    pub durable: bool,
    /// Operations refused by a limit.
    pub refused: u32,
}

/// How a commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be recorded.
    Nothing,
    /// Recorded in the session.
    Recorded,
    /// Started a session.
    Started,
    /// Joined a session that a twin had started.
    Joined,
    /// Recorded in the session of its fingerprint.
    Shared,
    /// The session had ended meanwhile; refused.
    Gone,
}

/// How durable an answered request is, named for what it survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// An answer never waits; up to 100 ms are lost on a crash of the process.
    Relaxed,
    /// An answer leaves after `write(2)`: survives kill -9. Synced every second.
    #[default]
    Process,
    /// An answer leaves after `fdatasync(2)`: survives a power cut.
    Power,
}

impl Durability {
    /// How long `relaxed` may gather before it writes.
    pub const RELAXED_EVERY: Duration = Duration::from_millis(50);
}
