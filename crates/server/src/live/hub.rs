//! Makes the messages, as long as somebody looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use tokio::time;
use visitlog_core::ports::Present;
use visitlog_engine::Engine;
use visitlog_engine::presence::{Changes, Happened, Watching, What};

use super::messages::{Messages, NotKept};
use super::wire::{self, Counts};
use super::{GATHERED_FOR, LINGERS_FOR, READERS_MAX, RECENT_MAX, SESSIONS_MAX, SNAPSHOT_AGE_MAX, SNAPSHOT_SERVES};

/// What is going on, for everybody who looks. Share it by `Arc`.
pub struct Hub {
    engine: Arc<Engine>,
    /// Tells its messages from those of another life.
    life: u64,
    changed: Arc<Notify>,
    /// The number of the newest message.
    told: watch::Sender<u64>,
    state: Mutex<State>,
    readers: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    messages: Messages,
    counts: Counts,
    events: VecDeque<Value>,
    ends: VecDeque<Value>,
    snapshot: Option<Snapshot>,
    /// While it works.
    watching: Option<Watching>,
}

#[derive(Debug, Clone)]
struct Snapshot {
    number: u64,
    made: Instant,
    /// How long it serves others.
    serves: Duration,
    text: Bytes,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("readers", &self.readers).finish_non_exhaustive()
    }
}

/// Somebody looks, as long as this is kept.
#[derive(Debug)]
pub(super) struct Looking(Arc<Hub>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_one();
    }
}

impl Looking {
    pub(super) const fn hub(&self) -> &Arc<Hub> {
        &self.0
    }
}

impl Hub {
    /// The hub of an engine, which has one.
    pub fn new(engine: Arc<Engine>) -> Arc<Self> {
        let life = engine.now().micros() as u64;
        let changed = Arc::<Notify>::default();
        let notified = Arc::clone(&changed);
        engine.presence().feed().notify_by(Arc::new(move || notified.notify_one()));
        Arc::new(Self {
            engine,
            life,
            changed,
            told: watch::Sender::new(0),
            state: Mutex::default(),
            readers: AtomicUsize::new(0),
        })
    }

    pub(super) const fn life(&self) -> u64 {
        self.life
    }

    /// Who looks now.
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// Looks from now on; `None`: too many do. Within a runtime.
    pub(super) async fn look(self: &Arc<Self>) -> Option<Looking> {
        if self.readers.fetch_add(1, Ordering::SeqCst) >= READERS_MAX {
            self.readers.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let looking = Looking(Arc::clone(self));
        if self.begin() {
            let hub = Arc::clone(self);
            // It reads the journal.
            let recent = tokio::task::spawn_blocking(move || recent(&hub.engine)).await.unwrap_or_default();
            let mut state = self.state.lock();
            for (told, is_end) in recent.iter().map(|one| wire::happened(one, &self.engine.site_named(one.host))) {
                state.remember(told, is_end);
            }
            drop(state);
            tokio::spawn(Arc::clone(self).work());
        }
        Some(looking)
    }

    /// Whether it does not work yet: then it does from now on.
    fn begin(&self) -> bool {
        let mut state = self.state.lock();
        if state.watching.is_some() {
            return false;
        }
        state.watching = Some(self.engine.presence().feed().watch());
        (state.events, state.ends, state.snapshot) = Default::default();
        state.counts = self.engine.present_counts();
        // Whoever has seen messages of before was not told what happened since.
        state.messages.forget();
        true
    }

    async fn work(self: Arc<Self>) {
        loop {
            if time::timeout(LINGERS_FOR, self.changed.notified()).await.is_err() && self.end() {
                return;
            }
            self.tell();
            time::sleep(GATHERED_FOR).await;
        }
    }

    /// Whether nobody looks: then it works no more.
    fn end(&self) -> bool {
        let mut state = self.state.lock();
        let is_over = self.readers.load(Ordering::SeqCst) == 0;
        if is_over {
            state.watching = None;
            state.snapshot = None;
        }
        is_over
    }

    /// Makes a message of what has changed, if anything has.
    pub(super) fn tell(&self) {
        let Changes { sessions, happened, skipped } = self.engine.presence().feed().take();
        let mut message = Map::new();
        let untold = match sessions {
            Some(changed) => {
                let (told, rest) = changed.split_at(changed.len().min(SESSIONS_MAX));
                let (mut online, mut offline) = (Vec::new(), Vec::new());
                for visit in told {
                    match self.engine.present_one(*visit) {
                        Some(present) => online.push(wire::session(&present)),
                        None => offline.push(Value::from(visit.to_string())),
                    }
                }
                put(&mut message, "online", online);
                put(&mut message, "offline", offline);
                !rest.is_empty()
            }
            None => true,
        };
        if untold {
            message.insert("untold".to_owned(), true.into());
        }
        let mut state = self.state.lock();
        let (mut events, mut ends) = (Vec::new(), Vec::new());
        for one in &happened {
            let (told, is_end) = wire::happened(one, &self.engine.site_named(one.host));
            state.remember(told.clone(), is_end);
            if is_end { &mut ends } else { &mut events }.push(told);
        }
        put(&mut message, "events", events);
        put(&mut message, "ends", ends);
        if skipped > 0 {
            message.insert("skipped".to_owned(), skipped.into());
        }
        let counts = self.engine.present_counts();
        if let Some(changed) = wire::changed_counts(&state.counts, &counts) {
            message.insert("counts".to_owned(), changed);
            state.counts = counts;
        }
        if message.is_empty() {
            return;
        }
        state.messages.push(|number| self.frame("change", number, &Value::Object(message)));
        let newest = state.messages.newest();
        drop(state);
        self.told.send_replace(newest);
    }

    fn frame(&self, kind: &str, number: u64, message: &Value) -> String {
        format!("id: {:016x}-{number}\nevent: {kind}\ndata: {message}\n\n", self.life)
    }

    /// The message behind a number; `None`: there is none yet.
    ///
    /// # Errors
    /// When it is not kept any more.
    pub(super) fn behind(&self, number: u64) -> Result<Option<Bytes>, NotKept> {
        self.state.lock().messages.behind(number)
    }

    /// Everything as of now, and the number of the message that it contains. Somebody must look.
    pub(super) fn snapshot(&self) -> (u64, Bytes) {
        let mut state = self.state.lock();
        let is_fresh = |snapshot: &&Snapshot| {
            snapshot.made.elapsed() < snapshot.serves && state.messages.behind(snapshot.number).is_ok()
        };
        if let Some(Snapshot { number, text, .. }) = state.snapshot.as_ref().filter(is_fresh) {
            return (*number, text.clone());
        }
        // What changes from here on is told by a later message, perhaps once more: each says what is, not what became.
        let (number, begun) = (state.messages.newest(), Instant::now());
        let (sessions, listed) = newest(self.engine.present());
        let counts = self.engine.present_counts();
        let message = json!({
            "online": sessions,
            "listed_all": listed,
            "counts": wire::counts(&counts),
            "events": state.events,
            "ends": state.ends,
        });
        let text = Bytes::from(self.frame("snapshot", number, &message));
        // Of few sessions it is made anew for each; of a million it takes long.
        let serves = (begun.elapsed() * SNAPSHOT_SERVES).min(SNAPSHOT_AGE_MAX);
        state.snapshot = Some(Snapshot { number, made: begun, serves, text: text.clone() });
        (number, text)
    }

    /// Keeps nothing of what was told: after an erasure. Whoever looks gets a new snapshot.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        (state.events, state.ends, state.snapshot) = Default::default();
        state.messages.forget();
        let newest = state.messages.newest();
        drop(state);
        self.told.send_replace(newest);
    }

    /// Tells when there is another message.
    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }
}

impl State {
    fn remember(&mut self, told: Value, is_end: bool) {
        let kept = if is_end { &mut self.ends } else { &mut self.events };
        kept.push_back(told);
        while kept.len() > RECENT_MAX {
            kept.pop_front();
        }
    }
}

fn put(message: &mut Map<String, Value>, name: &str, values: Vec<Value>) {
    if !values.is_empty() {
        message.insert(name.to_owned(), values.into());
    }
}

/// Those that were seen last, and whether these are all.
fn newest(mut all: Vec<Present>) -> (Vec<Value>, bool) {
    let listed_all = all.len() <= SESSIONS_MAX;
    if !listed_all {
        all.select_nth_unstable_by_key(SESSIONS_MAX, |present| std::cmp::Reverse(present.last_seen));
        all.truncate(SESSIONS_MAX);
    }
    all.sort_unstable_by_key(|present| std::cmp::Reverse((present.last_seen, present.visit)));
    (all.iter().map(wire::session).collect(), listed_all)
}

/// What those who are here have done last, in order.
fn recent(engine: &Engine) -> Vec<Happened> {
    let mut rows = engine.presence().rows();
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.last_seen));
    let mut all = Vec::new();
    for row in rows.into_iter().take(RECENT_MAX) {
        // One that can't be read is told by whoever asks for it.
        let Ok(Some(open)) = engine.read_open(row.visit) else { continue };
        let of =
            |event| Happened { visit: row.visit, host: row.host, user: row.user.clone(), what: What::Event(event) };
        let first = open.events.len().saturating_sub(RECENT_MAX);
        all.extend(open.events.into_iter().skip(first).map(of));
    }
    all.sort_by_key(|one| match &one.what {
        What::Event(event) => event.time,
        What::End { closed_at, .. } => *closed_at,
    });
    all.drain(..all.len().saturating_sub(RECENT_MAX));
    all
}
