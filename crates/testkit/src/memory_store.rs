//! A session store that keeps everything in memory and forgets nothing: the machine alone, for tests of what is built
//! on top of it.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use visitlog_core::machine::{
    Chain, Closed, Cookieless, Effects, HostIndex, Open, Shard, ShardConfig, Sites, TickBudget, Users, requests,
};
use visitlog_core::model::{EndedVisit, Entry, UserId, sort_events};
use visitlog_core::ports::{
    Arrival, AtOnce, Clock, Commit, Committed, Entropy, Reply, SessionStore, StoreError, Ticket,
};
use visitlog_core::{Fingerprint, Host, Lsn, VisitId};

/// A session store in memory, on a clock and an entropy of the test's.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    shards: Vec<Mutex<Shard>>,
    parts: Parts,
    cookies: bool,
    down: AtomicBool,
}

/// What the effects reach.
#[derive(Clone)]
struct Parts {
    entropy: Arc<dyn Entropy>,
    log: Arc<Mutex<Log>>,
    cookieless: Arc<Mutex<Cookieless>>,
    users: Arc<Mutex<Users>>,
    sites: Arc<Mutex<Sites>>,
}

#[derive(Default)]
struct Log {
    entries: Vec<(VisitId, Entry)>,
    newest: BTreeMap<VisitId, Lsn>,
}

/// The effects of a [`MemoryStore`]: see [`requests::Cells`].
pub struct Fx(Parts);

const SHARDS: usize = 4;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store that follows `config`. `cookies`: whether clients are known by cookie at all.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, config: &ShardConfig, cookies: bool) -> Self {
        Self {
            clock,
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(config.clone()))).collect(),
            parts: Parts {
                entropy,
                log: Arc::default(),
                cookieless: Arc::default(),
                users: Arc::default(),
                sites: Arc::default(),
            },
            cookies,
            down: AtomicBool::new(false),
        }
    }

    /// From now on every call fails, or works again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Ends what is due.
    pub fn tick(&self) {
        let (now, all) = (self.clock.now(), TickBudget { ends: usize::MAX, looks: usize::MAX });
        for shard in &self.shards {
            lock(shard).tick(now, all, &mut Fx(self.parts.clone()));
        }
    }

    /// The open sessions.
    pub fn open(&self) -> Vec<Open> {
        self.shards.iter().flat_map(|shard| lock(shard).iter().collect::<Vec<_>>()).collect()
    }

    /// Everything that was recorded, in order.
    pub fn entries(&self) -> Vec<(VisitId, Entry)> {
        lock(&self.parts.log).entries.clone()
    }

    /// The visits that have ended, in the order of their ends.
    ///
    /// # Panics
    /// When a visit ended twice, or without a start.
    pub fn ended(&self) -> Vec<EndedVisit> {
        let mut open = BTreeMap::new();
        let mut ended: Vec<EndedVisit> = Vec::new();
        for (visit, entry) in self.entries() {
            match entry {
                Entry::Start(start) => drop(open.insert(visit, (*start, Vec::new()))),
                Entry::Event(event) => open.get_mut(&visit).expect("an event of an open visit").1.push(event),
                Entry::End(end) => {
                    let (start, mut events) = open.remove(&visit).expect("an end of an open visit");
                    sort_events(&mut events);
                    ended.push(EndedVisit { visit, start, end: *end, events, redelivered: false });
                }
                Entry::Set { .. } | Entry::Touch { .. } | Entry::Rotate { .. } => {}
            }
        }
        ended
    }

    /// Works on every shard; for invariants.
    pub fn for_each_shard(&self, mut work: impl FnMut(&Shard)) {
        self.shards.iter().for_each(|shard| work(&lock(shard)));
    }

    /// The names of the sites so far.
    pub fn sites(&self) -> Vec<String> {
        lock(&self.parts.sites).known().map(ToString::to_string).collect()
    }

    /// Ends a session as an admin would.
    pub fn terminate(&self, visit: VisitId) {
        let now = self.clock.now();
        for shard in &self.shards {
            let reason = visitlog_core::model::EndReason::Terminated;
            lock(shard).terminate(visit, reason, now, &mut Fx(self.parts.clone()));
        }
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
        Reply::Now(self.check().map(|()| requests::begin(self, self.clock.now(), &arrival)))
    }

    fn commit(&self, commit: Commit) -> Self::Commit {
        ready(self.check().map(|()| requests::commit(self, self.clock.now(), commit, self.cookies)))
    }

    fn release(&self, ticket: Ticket) {
        requests::release(self, self.clock.now(), ticket);
    }
}

impl requests::Cells for MemoryStore {
    type Fx = Fx;

    fn shard<R>(&self, partition: u8, work: impl FnOnce(&mut Shard, &mut Fx) -> R) -> R {
        work(&mut lock(&self.shards[usize::from(partition) % SHARDS]), &mut Fx(self.parts.clone()))
    }

    fn cookieless<R>(&self, work: impl FnOnce(&mut Cookieless) -> R) -> R {
        work(&mut lock(&self.parts.cookieless))
    }

    fn users<R>(&self, work: impl FnOnce(&mut Users) -> R) -> R {
        work(&mut lock(&self.parts.users))
    }

    fn note_host(&self, host: &Host) -> HostIndex {
        lock(&self.parts.sites).note(host)
    }

    fn random(&self) -> u128 {
        self.parts.entropy.random()
    }
}

impl Effects for Fx {
    fn append(&mut self, chain: Chain, _confirms: bool, entry: &Entry) -> Lsn {
        let mut log = lock(&self.0.log);
        let lsn = Lsn(log.entries.len() as u64 + 1);
        let newest = log.newest.insert(chain.visit, lsn).unwrap_or(Lsn::NONE);
        assert_eq!(chain.last, newest, "the chain of {} is broken", chain.visit);
        log.entries.push((chain.visit, entry.clone()));
        lsn
    }

    fn reached(&mut self, _newest: Lsn) {}

    fn random(&mut self) -> u128 {
        self.0.entropy.random()
    }

    fn site(&self, host: HostIndex) -> Box<str> {
        lock(&self.0.sites).name(host).into()
    }

    fn confirmed(&mut self, visit: VisitId, fingerprint: Fingerprint, at: HostIndex, asked: &Host) -> HostIndex {
        lock(&self.0.cookieless).confirmed(fingerprint, visit);
        lock(&self.0.sites).confirm_session(at, asked)
    }

    fn shares(&self, fingerprint: Fingerprint, visit: VisitId) -> bool {
        lock(&self.0.cookieless).shares(fingerprint, visit)
    }

    fn logged_in(&mut self, visit: VisitId, user: &UserId, single: bool) {
        lock(&self.0.users).logged_in(user, visit, single);
    }

    fn logged_out(&mut self, visit: VisitId, user: &UserId) {
        lock(&self.0.users).logged_out(user, visit);
    }

    fn ended(&mut self, closed: Closed) {
        lock(&self.0.cookieless).ended(closed.fingerprint, closed.visit);
    }
}
