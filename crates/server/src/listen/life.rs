//! What a connection is at, as far as its limits need to know: shared by its stream, its service, whoever watches over
//! it, and the loop that accepts.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::requests::Place;

/// How long a client may be silent before its connection is closed for somebody else's: one that has just come is given
/// the time to speak.
const SPARED: Duration = Duration::from_secs(1);

/// See the module. Times are milliseconds since `start`.
#[derive(Debug)]
pub(super) struct Life {
    start: Instant,
    place: AtomicU8,
    /// Since when it is there.
    since: AtomicU64,
    /// A request is under way, until its answer has been taken over for sending.
    answering: AtomicBool,
    /// Since when.
    asked: AtomicU64,
    /// Requests so far.
    requests: AtomicU64,
    /// A body: how long the client was waited for, since when it is, and what came, of late.
    waited: AtomicU64,
    waiting_since: AtomicU64,
    came: AtomicU64,
    /// What became of the wish for a WebSocket.
    switched: AtomicU8,
    /// Who waits for that.
    reader: Mutex<Option<Waker>>,
    refused: AtomicBool,
    told: AtomicU8,
    telling: Notify,
    gone: AtomicBool,
}

/// What a connection is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Make room for another client, if nothing is under way.
    MakeRoom,
    /// The server ends: so does the connection, after the request under way.
    End,
}

/// How long and how slow things may be; see [`ListenSettings`](super::ListenSettings).
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) head: Duration,
    pub(super) request: Duration,
    /// Bytes a second.
    pub(super) rate: u64,
    /// What a rate is measured over.
    pub(super) rate_time: Duration,
}

/// Nobody waits.
const NOT: u64 = u64::MAX;
const UNKNOWN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

impl Life {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            place: AtomicU8::new(number(Place::Between)),
            since: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            waiting_since: AtomicU64::new(NOT),
            came: AtomicU64::new(0),
            switched: AtomicU8::new(UNKNOWN),
            reader: Mutex::new(None),
            refused: AtomicBool::new(false),
            told: AtomicU8::new(0),
            telling: Notify::new(),
            gone: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_at(&self, place: Place) -> bool {
        self.place.load(Relaxed) == number(place)
    }

    /// The client has come to another place in its requests.
    pub(super) fn moved_to(&self, place: Place) {
        if self.is_at(place) {
            return;
        }
        self.place.store(number(place), Relaxed);
        self.since.store(self.now(), Relaxed);
        self.waited.store(0, Relaxed);
        self.came.store(0, Relaxed);
        if place == Place::Undecided {
            self.switched.store(UNKNOWN, Relaxed);
        }
    }

    /// The body's next bytes are waited for.
    pub(super) fn waits_for_body(&self) {
        if self.waiting_since.load(Relaxed) == NOT {
            self.waiting_since.store(self.now(), Relaxed);
        }
    }

    /// Bytes of a body came.
    pub(super) fn body_came(&self, bytes: usize) {
        let since = self.waiting_since.swap(NOT, Relaxed);
        if since != NOT {
            self.waited.fetch_add(self.now().saturating_sub(since), Relaxed);
        }
        self.came.fetch_add(bytes as u64, Relaxed);
    }

    /// A request is under way.
    pub(super) fn asked(&self) {
        self.asked.store(self.now(), Relaxed);
        self.answering.store(true, Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }

    /// The head of its answer is there.
    pub(super) fn answers(&self, switched: bool) {
        if self.is_at(Place::Undecided) {
            self.switched.store(if switched { YES } else { NO }, Relaxed);
            if let Some(reader) = self.reader.lock().take() {
                reader.wake();
            }
        }
    }

    /// Wakes whoever polls once [`switched`](Self::switched) is known.
    pub(super) fn wake_when_switched(&self, cx: &Context<'_>) {
        *self.reader.lock() = Some(cx.waker().clone());
    }

    /// Its answer has been taken over for sending, or nobody wants it any more.
    pub(super) fn answered(&self) {
        self.answering.store(false, Relaxed);
        self.since.store(self.now(), Relaxed);
    }

    /// Whether the client got the WebSocket that it asked for; `None` as long as nobody knows.
    pub(super) fn switched(&self) -> Option<bool> {
        match self.switched.load(Relaxed) {
            UNKNOWN => None,
            answer => Some(answer == YES),
        }
    }

    /// The connection is over.
    pub(super) fn ends(&self) {
        self.gone.store(true, Relaxed);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    /// For how long nothing has been under way; `None`: something is, or it is spared.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let head = self.is_at(Place::Head);
        let silent = (head || self.is_at(Place::Between)) && !self.answering.load(Relaxed);
        if !silent || self.is_gone() || self.told.load(Relaxed) != 0 {
            return None;
        }
        let idle = Duration::from_millis(self.now().saturating_sub(self.since.load(Relaxed)));
        let knows_us = self.requests.load(Relaxed) > 0 && !head;
        (knows_us || idle >= SPARED).then_some(idle)
    }

    /// Tells the connection something.
    pub(super) fn tell(&self, what: Told) {
        self.told.store(what as u8 + 1, Relaxed);
        self.telling.notify_one();
    }

    /// Resolves when the connection is told something.
    pub(super) async fn told(&self) -> Told {
        loop {
            match self.told.load(Relaxed) {
                0 => self.telling.notified().await,
                what if what == Told::End as u8 + 1 => return Told::End,
                _ => return Told::MakeRoom,
            }
        }
    }

    /// A request was refused before hyper saw all of it.
    pub(super) fn refused(&self) {
        self.refused.store(true, Relaxed);
    }

    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.is_at(Place::Head)
    }

    /// Whether a request is under way.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Relaxed)
    }

    /// Why the connection must end now, if it must.
    pub(super) fn judge(&self, limits: &Limits) -> Option<Reason> {
        let now = self.now();
        let over =
            |since: &AtomicU64, limit: Duration| Duration::from_millis(now.saturating_sub(since.load(Relaxed))) > limit;
        if self.is_at(Place::Body) && self.is_too_slow(now, limits) {
            return Some(Reason::SlowBody);
        }
        if self.is_answering() {
            return over(&self.asked, limits.request).then_some(Reason::LongRequest);
        }
        if self.is_at(Place::Head) {
            return over(&self.since, limits.head).then_some(Reason::SlowHead);
        }
        over(&self.since, limits.idle).then_some(Reason::Idle)
    }

    /// Measured over the time in which the client was waited for: an upload that the site is slow to take is not the
    /// client's fault.
    fn is_too_slow(&self, now: u64, limits: &Limits) -> bool {
        let since = self.waiting_since.load(Relaxed);
        let waited = self.waited.load(Relaxed) + if since == NOT { 0 } else { now.saturating_sub(since) };
        if Duration::from_millis(waited) < limits.rate_time {
            return false;
        }
        if self.came.load(Relaxed).saturating_mul(1_000) < limits.rate.saturating_mul(waited) {
            return true;
        }
        self.waited.store(0, Relaxed);
        self.came.store(0, Relaxed);
        if since != NOT {
            self.waiting_since.store(now, Relaxed);
        }
        false
    }
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No request for too long.
    Idle,
    /// A head that takes too long.
    SlowHead,
    /// A body that comes too slowly.
    SlowBody,
    /// A request that takes too long as a whole.
    LongRequest,
}

impl Reason {
    /// For the log and the metrics.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Idle => "idle for too long",
            Self::SlowHead => "a head that takes too long",
            Self::SlowBody => "a body that comes too slowly",
            Self::LongRequest => "a request that takes too long",
        }
    }
}

const fn number(place: Place) -> u8 {
    place as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        idle: Duration::from_secs(60),
        head: Duration::from_secs(20),
        request: Duration::from_secs(3_600),
        rate: 100,
        rate_time: Duration::from_secs(10),
    };

    async fn pass(secs: u64) {
        tokio::time::advance(Duration::from_secs(secs)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_place_has_its_limit() {
        let life = Life::new();
        pass(60).await;
        assert_eq!(life.judge(&LIMITS), None);
        pass(1).await;
        assert_eq!(life.judge(&LIMITS), Some(Reason::Idle));
        life.moved_to(Place::Head);
        pass(20).await;
        assert_eq!(life.judge(&LIMITS), None);
        pass(1).await;
        assert_eq!(life.judge(&LIMITS), Some(Reason::SlowHead));
        life.moved_to(Place::Between);
        life.asked();
        pass(3_600).await;
        assert_eq!(life.judge(&LIMITS), None);
        pass(1).await;
        assert_eq!(life.judge(&LIMITS), Some(Reason::LongRequest));
        life.answered();
        assert_eq!(life.judge(&LIMITS), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bodys_rate_counts_only_while_the_client_is_waited_for() {
        let life = Life::new();
        life.moved_to(Place::Body);
        life.asked();
        for _ in 0..100 {
            // The site takes its time.
            pass(30).await;
            life.waits_for_body();
            pass(1).await;
            life.body_came(100);
            assert_eq!(life.judge(&LIMITS), None);
        }
        life.waits_for_body();
        pass(10).await;
        assert_eq!(life.judge(&LIMITS), Some(Reason::SlowBody), "nothing comes any more");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_just_come_is_spared_and_one_that_works_is_too() {
        let life = Life::new();
        assert_eq!(life.idle_for(), None);
        pass(2).await;
        assert_eq!(life.idle_for(), Some(Duration::from_secs(2)));
        life.asked();
        assert_eq!(life.idle_for(), None);
        life.answered();
        assert_eq!(life.idle_for(), Some(Duration::ZERO), "between two requests it may be closed at once");
        life.moved_to(Place::Head);
        assert_eq!(life.idle_for(), None);
        pass(2).await;
        assert_eq!(life.idle_for(), Some(Duration::from_secs(2)));
        life.tell(Told::MakeRoom);
        assert_eq!(life.idle_for(), None, "one is told once");
    }
}
