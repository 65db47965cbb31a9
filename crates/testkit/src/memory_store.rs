//! A session store that keeps everything in memory and forgets nothing: the rules alone, for tests of what is built on
//! top of them.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use visitlog_core::erasure::{Erasure, Erasures, FoundVisits, Whose, user_in};
use visitlog_core::machine::{Call, Chain, HostIndex, Log, Open, Sessions, Shard, ShardConfig, UNBOUNDED};
use visitlog_core::model::{EndReason, EndedVisit, Entry, Gathered, OpenVisit};
use visitlog_core::ports::{
    Arrival, AtOnce, Beat, BeatPace, Carried, Clock, Commit, Committed, Cursor, Entropy, Erased, Inquiry, OpenPage,
    Reply, RequestId, SessionHold, SessionStore, Sign, StoreError, StreamId, TailRecord, Terminated,
};
use visitlog_core::{Host, Lsn, VisitId, VisitorId};

/// A session store in memory, on a clock and an entropy of the test's.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    config: ShardConfig,
    named: Vec<Host>,
    sessions: RwLock<Sessions>,
    records: Records,
    erasures: Mutex<Erasures>,
    cookies: bool,
    down: AtomicBool,
    beats: Mutex<Vec<(VisitId, Sign, Option<String>)>>,
}

#[derive(Default)]
struct Records(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    records: Vec<TailRecord>,
    newest: BTreeMap<VisitId, Lsn>,
}

pub(crate) const SHARDS: usize = 4;

/// Its only stream of ended visits.
const STREAM: StreamId = StreamId(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store that follows `config`. `cookies`: whether clients are known by cookie at all.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, config: &ShardConfig, cookies: bool) -> Self {
        Self::with_sites(clock, entropy, config, cookies, Vec::new())
    }

    /// The same, whose settings name sites.
    pub fn with_sites(
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        config: &ShardConfig,
        cookies: bool,
        named: Vec<Host>,
    ) -> Self {
        let config = ShardConfig { cookies, ..config.clone() };
        Self {
            clock,
            entropy,
            sessions: RwLock::new(Sessions::new(&config, SHARDS, named.iter().cloned())),
            config,
            named,
            records: Records::default(),
            erasures: Mutex::default(),
            cookies,
            down: AtomicBool::new(false),
            beats: Mutex::default(),
        }
    }

    /// Forgets all but what was recorded, as a restart does, and goes on from that.
    pub fn restart(&self) {
        let mut sites = Sessions::sites(&self.config, self.named.iter().cloned());
        let share = Sessions::share(&self.config, SHARDS);
        let mut shards: Vec<_> = (0..SHARDS).map(|_| Shard::new(share.clone())).collect();
        for record in &lock(&self.records.0).records {
            let host = match &record.entry {
                Entry::Start(start) => sites.note(&start.host, start.at),
                _ => HostIndex::OTHER,
            };
            let shard = &mut shards[usize::from(record.visit.partition()) % SHARDS];
            if shard.restore(record, host)
                && record.confirms
                && let Some(open) = shard.get(record.visit)
            {
                sites.confirm_at(open.host, open.last_seen);
            }
        }
        let sessions = Sessions::recovered(&self.config, shards, sites);
        sessions.restored(&self.call());
        *self.sessions.write().unwrap_or_else(PoisonError::into_inner) = sessions;
    }

    /// The same after a crash that lost the newest `lost` records.
    pub fn crash(&self, lost: usize) {
        let mut recorded = lock(&self.records.0);
        let kept = recorded.records.len().saturating_sub(lost);
        recorded.records.truncate(kept);
        recorded.newest = recorded.records.iter().map(|record| (record.visit, record.lsn)).collect();
        drop(recorded);
        self.restart();
    }

    fn call(&self) -> Call<'_, Records> {
        Call { log: &self.records, entropy: &*self.entropy, now: self.clock.now() }
    }

    /// What it is made of.
    pub fn sessions(&self) -> RwLockReadGuard<'_, Sessions> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on every call fails, or works again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Ends what is due.
    pub fn tick(&self) {
        for shard in 0..SHARDS {
            self.sessions().tick(&self.call(), shard, UNBOUNDED);
        }
    }

    /// The open sessions.
    pub fn open(&self) -> Vec<Open> {
        let mut open = Vec::new();
        self.sessions().for_each_shard(|shard| open.extend(shard.iter()));
        open
    }

    fn read_open(&self, visit: VisitId) -> Option<OpenVisit> {
        let open = self.sessions().get(visit)?;
        let mut start = None;
        let mut events = Gathered::default();
        for (_, entry) in self.entries().into_iter().filter(|(id, _)| *id == visit) {
            if let Some(Entry::Start(first)) = events.see(entry) {
                start = Some(*first);
            }
        }
        Some(OpenVisit {
            visit,
            start: start?,
            site: self.sessions().site(open.host),
            last_seen: open.last_seen,
            confirmed: open.confirmed,
            user: open.data.user.clone(),
            values: open.data.values.clone(),
            events: events.into_events(),
        })
    }

    fn erase_now(&self, whose: &Whose, stored: &FoundVisits) -> Erased {
        let mut who: BTreeMap<VisitId, (VisitorId, Vec<String>)> = BTreeMap::new();
        for (visit, entry) in self.entries() {
            if let Entry::Start(start) = &entry {
                who.insert(visit, (start.facts.visitor_id, Vec::new()));
            } else if let (Some((_, users)), Some(user)) = (who.get_mut(&visit), user_in(&entry)) {
                users.push(user.to_owned());
            }
        }
        let mut erased = Erased::default();
        for (visit, (visitor, users)) in &who {
            if let Some(claim) = whose.claim(*visitor, users.iter().map(String::as_str)) {
                erased.visits.add(*visit, claim);
                let ended = self.sessions().terminate(&self.call(), *visit, EndReason::Terminated).reply;
                erased.ended += u64::from(ended);
            }
        }
        let below = Lsn(self.entries().len() as u64 + 1);
        let mut erasure = Erasure::new(whose, below, self.entropy.random());
        erasure.unname(erased.visits.ids().chain(stored.ids()));
        lock(&self.erasures).begin(erasure);
        erased.below.push((STREAM, below));
        erased
    }

    /// Everything that was recorded, in order.
    pub fn entries(&self) -> Vec<(VisitId, Entry)> {
        lock(&self.records.0).records.iter().map(|record| (record.visit, record.entry.clone())).collect()
    }

    /// The visits that have ended and were not erased, in the order of their ends.
    ///
    /// # Panics
    /// When a visit ended twice, or without a start.
    pub fn ended(&self) -> Vec<EndedVisit> {
        let mut open = BTreeMap::new();
        let mut ended: Vec<EndedVisit> = Vec::new();
        let erasures = lock(&self.erasures);
        for (lsn, (visit, entry)) in (1..).map(Lsn).zip(self.entries()) {
            match entry {
                Entry::Start(start) => drop(open.insert(visit, (*start, Gathered::default()))),
                Entry::End(end) => {
                    let (start, events) = open.remove(&visit).expect("an end of an open visit");
                    let events = events.into_events();
                    let mut visit = EndedVisit { visit, start, end: *end, events, redelivered: false };
                    visit.start.previous = visit.start.previous.filter(|previous| !erasures.unnames(*previous));
                    if erasures.barring(lsn, &visit).is_none() && !visit.has_withdrawn() {
                        ended.push(visit);
                    }
                }
                entry => drop(open.get_mut(&visit).expect("an entry of an open visit").1.see(entry)),
            }
        }
        ended
    }

    /// Works on every shard; for invariants.
    pub fn for_each_shard(&self, mut work: impl FnMut(&Shard)) {
        self.sessions().for_each_shard(|shard| work(shard));
    }

    /// The names of the sites so far.
    pub fn sites(&self) -> Vec<String> {
        self.sessions().known_sites().iter().map(ToString::to_string).collect()
    }

    /// What pages of open sessions have said, in order.
    pub fn beats(&self) -> Vec<(VisitId, Sign, Option<String>)> {
        lock(&self.beats).clone()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { reason: "the test switched it off" });
        }
        Ok(())
    }
}

impl SessionStore for MemoryStore {
    type Begin = AtOnce;
    type Commit = Ready<Result<Committed, StoreError>>;

    fn begin(&self, arrival: Arrival) -> Reply<AtOnce> {
        Reply::Now(self.check().map(|()| self.sessions().begin(&self.call(), &arrival)))
    }

    fn commit(&self, commit: Commit) -> Self::Commit {
        ready(self.check().map(|()| self.sessions().commit(&self.call(), commit, self.cookies).reply))
    }

    fn outcome(&self, request: RequestId) -> Inquiry<Option<Committed>> {
        Box::pin(ready(self.check().map(|()| self.sessions().outcome(request))))
    }

    fn terminate(&self, visit: VisitId) -> Inquiry<Terminated> {
        let terminated = || match self.sessions().terminate(&self.call(), visit, EndReason::Terminated).reply {
            true => Terminated::Ended { durable: true },
            false => Terminated::NotOpen,
        };
        Box::pin(ready(self.check().map(|()| terminated())))
    }

    fn list(&self, from: Option<Cursor>, at_most: usize) -> Inquiry<OpenPage> {
        Box::pin(ready(self.check().map(|()| self.sessions().list(from, at_most))))
    }

    fn open_visit(&self, visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        Box::pin(ready(self.check().map(|()| self.read_open(visit))))
    }

    fn erase(&self, whose: &Whose, stored: &FoundVisits) -> Inquiry<Erased> {
        Box::pin(ready(self.check().map(|()| self.erase_now(whose, stored))))
    }

    fn release(&self, hold: SessionHold) {
        self.sessions().release(&self.call(), hold);
    }

    fn beat(&self, visit: VisitId, beat: &Beat<'_>) -> Option<Duration> {
        self.sessions().get(visit)?;
        lock(&self.beats).push((visit, beat.sign, beat.page.map(str::to_owned)));
        Some(BeatPace::default().visible)
    }

    fn hold_on(&self, visit: VisitId) -> Inquiry<Option<SessionHold>> {
        Box::pin(ready(self.check().map(|()| self.sessions().hold_on(visit, self.clock.now()))))
    }
}

impl Log for Records {
    fn append(&self, chain: &Chain, confirms: bool, entry: &Entry) -> Lsn {
        let mut recorded = lock(&self.0);
        let (visit, lsn) = (chain.visit, Lsn(recorded.records.len() as u64 + 1));
        let prev = recorded.newest.insert(visit, lsn).unwrap_or(Lsn::NONE);
        assert_eq!(chain.last, prev, "the chain of {visit} is broken");
        let entry = entry.clone();
        recorded.records.push(TailRecord { lsn, prev, visit, confirms, carried: Carried::No, entry });
        lsn
    }
}
