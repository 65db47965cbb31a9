//! The store on one machine: the machine's shards, their indexes, and the journal under them.

use std::cell::Cell;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use visitlog_core::machine::{Chain, Closed, Cookieless, Effects, HostIndex, Shard, Sites, Users, requests};
use visitlog_core::model::{EndReason, Entry, UserId};
use visitlog_core::ports::{
    Arrival, AtOnce, Begun, Clock, Commit, Committed, Disk, Entropy, Reply, SessionStore, StoreError, Ticket, VisitSink,
};
use visitlog_core::{Fingerprint, Host, Lsn, Timestamp, VisitId};

use crate::bound::Floor;
use crate::config::EngineConfig;
use crate::counters::Counters;
use crate::journal::{Flags, Journal, JournalError, Wait};
use crate::recover::{self, Report};
use crate::sinks::{PendingEnd, SinkDriver, SinkHub, SinkStatus};

/// How many shards there are. A visit's partition modulo this is its shard.
pub(crate) const SHARDS: usize = 16;

/// The session store of one machine, without its threads: [`crate::Driver`] runs those. Share it by `Arc`.
pub struct Engine {
    pub(crate) config: EngineConfig,
    clock: EngineClock,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) shards: Box<[Mutex<Shard>]>,
    pub(crate) cookieless: Mutex<Cookieless>,
    pub(crate) users: Mutex<Users>,
    pub(crate) sites: RwLock<Sites>,
    /// Where ends are told to the sinks.
    pub(crate) sinks: Arc<SinkHub>,
    pub(crate) counters: Counters,
    /// How far behind the sweep is, in microseconds.
    pub(crate) sweep_lag_us: AtomicU64,
    /// Segments below are to go as soon as they can, for an erasure.
    pub(crate) release_below: AtomicU64,
    /// Of each shard. Taken before the shards.
    pub(crate) floors: Mutex<[Floor; SHARDS]>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The injected clock, put forward so that it never tells less than the journal's last record.
pub(crate) struct EngineClock {
    inner: Arc<dyn Clock>,
    ahead: Duration,
}

impl EngineClock {
    pub(crate) fn not_before(inner: Arc<dyn Clock>, last: Timestamp) -> Self {
        let ahead = last.since(inner.now());
        Self { inner, ahead }
    }

    fn now(&self) -> Timestamp {
        self.inner.now().after(self.ahead)
    }
}

impl Engine {
    /// Opens the engine of a folder, which exists: reads its journal, or makes a new one. Ended visits go to `sinks`,
    /// once somebody steps the driver that is returned.
    ///
    /// # Errors
    /// When the disk refuses, or the journal is damaged below its last synced mark.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: EngineConfig,
        sinks: Vec<Box<dyn VisitSink>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Self, SinkDriver, Report), JournalError> {
        let recovered = recover::recover(Arc::clone(&disk), dir, &config, &*entropy)?;
        let journal = Arc::new(recovered.journal);
        let mut driver = SinkDriver::new(journal.clone(), disk, dir, config.sinks.clone());
        for sink in sinks {
            driver.add(sink, &recovered.acks);
        }
        recovered.ends.iter().for_each(|end| driver.hub().push(*end));
        recovered.barriers.iter().for_each(|barrier| driver.hub().bar(*barrier));
        // What an erasure has begun goes on after a crash: the journal's own copies go.
        let release_below = recovered.barriers.iter().map(|barrier| barrier.below.0).max().unwrap_or_default();
        let clock = EngineClock::not_before(clock, recovered.last_moment);
        let now = clock.now();
        let engine = Self {
            clock,
            entropy,
            journal,
            shards: recovered.shards.into_iter().map(Mutex::new).collect(),
            cookieless: Mutex::default(),
            users: Mutex::default(),
            sites: RwLock::new(recovered.sites),
            sinks: driver.hub(),
            counters: Counters::default(),
            sweep_lag_us: AtomicU64::new(0),
            release_below: AtomicU64::new(release_below),
            floors: Mutex::default(),
            config,
        };
        engine.index_recovered(now);
        if !recovered.barriers.is_empty() {
            engine.forget_barred(&recovered.ends);
        }
        Ok((engine, driver, recovered.report))
    }

    /// The indexes beside the shards, made of what the shards know.
    fn index_recovered(&self, now: Timestamp) {
        let (mut cookieless, mut users) = (self.cookieless.lock(), self.users.lock());
        let mut logins = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.restored(now);
            for open in shard.iter() {
                if !open.confirmed {
                    let (visit, shared) = (open.chain.visit, open.shared);
                    cookieless.restore(open.fingerprint, visit, shared, visit.started_at());
                }
                if let Some(user) = &open.data.user {
                    logins.push((open.rotated_at_s, open.chain.visit, user.clone(), open.single_login));
                }
            }
        }
        // In the order of the logins: a supersession that a crash kept from happening happens now.
        logins.sort_unstable_by_key(|(at, visit, ..)| (*at, *visit));
        for (_, visit, user, single) in logins {
            users.logged_in(&user, visit, single);
        }
        drop((cookieless, users));
        requests::supersede(&Call::new(self), now);
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The journal under it.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Closes the journal: from now on every call is refused, and nothing is written. See [`Journal::close`].
    pub(crate) fn close(&self) {
        if let Err(error) = self.journal.close() {
            tracing::error!(error = &error as &dyn std::error::Error, "the journal's end could not be written");
        }
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How far behind the sweep of due sessions is.
    pub fn sweep_lag(&self) -> Duration {
        Duration::from_micros(self.sweep_lag_us.load(Ordering::Relaxed))
    }

    /// Open sessions.
    pub fn open_sessions(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// The settings.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Ends a session, if it lives. Resolves once its `End` is durable; to `false` if there is no such session.
    ///
    /// # Errors
    /// When the journal can't take more.
    pub fn terminate(&self, visit: VisitId, reason: EndReason) -> Result<(bool, Wait), StoreError> {
        self.journal.check()?;
        let call = Call::new(self);
        let now = self.now();
        let end = requests::Cells::shard(&call, visit.partition(), |shard, fx| shard.terminate(visit, reason, now, fx));
        Ok((end.is_some(), self.journal.wait(call.newest.get())))
    }

    /// Where the sinks' share is kept.
    pub const fn sink_hub(&self) -> &Arc<SinkHub> {
        &self.sinks
    }

    /// How the sinks are doing.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.status(self.journal.appended())
    }

    pub(crate) fn shard_of(&self, partition: u8) -> &Mutex<Shard> {
        &self.shards[usize::from(partition) % SHARDS]
    }

    fn begin_at_once(&self, arrival: &Arrival) -> Result<Begun, StoreError> {
        self.journal.check().map_err(|error| self.refuse(error))?;
        Ok(requests::begin(&Call::new(self), self.now(), arrival))
    }

    fn refuse(&self, error: StoreError) -> StoreError {
        self.counters.unavailable();
        error
    }
}

impl SessionStore for Engine {
    type Begin = AtOnce;
    type Commit = CommitFuture;

    fn begin(&self, arrival: Arrival) -> Reply<AtOnce> {
        Reply::Now(self.begin_at_once(&arrival))
    }

    fn commit(&self, commit: Commit) -> Self::Commit {
        if let Err(error) = self.journal.check() {
            if let visitlog_core::ports::Standing::Live(live) = &commit.standing
                && let Some(ticket) = live.ticket
            {
                self.release(ticket);
            }
            return CommitFuture { committed: Some(Err(self.refuse(error))), wait: None };
        }
        let call = Call::new(self);
        let committed = requests::commit(&call, self.now(), commit, self.config.cookies);
        self.counters.committed(&committed);
        let newest = call.newest.get();
        let wait = (newest.is_some() && self.config.waits()).then(|| self.journal.wait(newest));
        CommitFuture { committed: Some(Ok(committed)), wait }
    }

    fn release(&self, ticket: Ticket) {
        requests::release(&Call::new(self), self.now(), ticket);
    }
}

/// What [`Engine`]'s commit returns: resolves when the session's newest record is durable.
#[derive(Debug)]
pub struct CommitFuture {
    committed: Option<Result<Committed, StoreError>>,
    wait: Option<Wait>,
}

impl CommitFuture {
    /// What was decided, durable or not; for a caller that keeps books of its own. `None` once it has resolved.
    pub fn decided(&self) -> Option<&Result<Committed, StoreError>> {
        self.committed.as_ref()
    }

    /// Whether nothing has to be waited for any more; for a caller that steps the journal itself.
    pub fn poll_now(&mut self) -> Option<Result<Committed, StoreError>> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(self).poll(&mut context) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

impl Future for CommitFuture {
    type Output = Result<Committed, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let durable = match &mut self.wait {
            Some(wait) => match Pin::new(wait).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(durable) => durable,
            },
            None => Ok(true),
        };
        self.wait = None;
        let committed =
            self.committed.take().unwrap_or(Err(StoreError::Unavailable { reason: "polled after it was done" }));
        Poll::Ready(committed.and_then(|committed| Ok(Committed { durable: durable?, ..committed })))
    }
}

/// One call into the engine, and the newest record that its answer has to wait for.
pub(crate) struct Call<'a> {
    engine: &'a Engine,
    newest: Cell<Lsn>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Self { engine, newest: Cell::new(Lsn::NONE) }
    }
}

impl<'a> requests::Cells for Call<'a> {
    type Fx = Fx<'a>;

    fn shard<R>(&self, partition: u8, work: impl FnOnce(&mut Shard, &mut Fx<'a>) -> R) -> R {
        let mut fx = Fx { engine: self.engine, newest: Lsn::NONE, is_maintenance: false };
        let result = work(&mut self.engine.shard_of(partition).lock(), &mut fx);
        self.newest.set(self.newest.get().max(fx.newest));
        result
    }

    fn cookieless<R>(&self, work: impl FnOnce(&mut Cookieless) -> R) -> R {
        work(&mut self.engine.cookieless.lock())
    }

    fn users<R>(&self, work: impl FnOnce(&mut Users) -> R) -> R {
        work(&mut self.engine.users.lock())
    }

    fn note_host(&self, host: &Host) -> HostIndex {
        let found = self.engine.sites.read().find(host);
        found.unwrap_or_else(|| self.engine.sites.write().note(host))
    }

    fn random(&self) -> u128 {
        self.engine.entropy.random()
    }
}

/// Where the decisions of one shard go. The shard is locked meanwhile; every lock taken here is taken last.
pub(crate) struct Fx<'a> {
    engine: &'a Engine,
    newest: Lsn,
    is_maintenance: bool,
}

impl<'a> Fx<'a> {
    /// For what no request waits for: it counts as the journal's maintenance.
    pub(crate) fn for_maintenance(engine: &'a Engine) -> Self {
        Self { engine, newest: Lsn::NONE, is_maintenance: true }
    }
}

impl Effects for Fx<'_> {
    fn append(&mut self, chain: Chain, confirms: bool, entry: &Entry) -> Lsn {
        let flags = if confirms { Flags::CONFIRMS } else { Flags::NONE };
        let journal = &self.engine.journal;
        let mut appender = journal.appender();
        if self.is_maintenance {
            appender = appender.for_maintenance();
        }
        let lsn = appender.append(chain.visit, chain.last, flags, entry);
        if let Entry::End(_) = entry {
            // Still under the append lock, so that the sinks see ends in the order of the journal, without a gap.
            let Chain { visit, first, events, .. } = chain;
            self.engine.sinks.push(PendingEnd { end: lsn, first, visit, events: events.into() });
        }
        drop(appender);
        match entry {
            Entry::Start(_) => self.engine.counters.started(),
            Entry::Event(_) => self.engine.counters.event(),
            _ => {}
        }
        self.newest = self.newest.max(lsn);
        lsn
    }

    fn reached(&mut self, newest: Lsn) {
        self.newest = self.newest.max(newest);
    }

    fn random(&mut self) -> u128 {
        self.engine.entropy.random()
    }

    fn site(&self, host: HostIndex) -> Box<str> {
        self.engine.sites.read().name(host).into()
    }

    fn confirmed(&mut self, visit: VisitId, fingerprint: Fingerprint, at: HostIndex, asked: &Host) -> HostIndex {
        self.engine.cookieless.lock().confirmed(fingerprint, visit);
        if self.engine.sites.read().is_known(at) {
            return at;
        }
        self.engine.sites.write().confirm_session(at, asked)
    }

    fn shares(&self, fingerprint: Fingerprint, visit: VisitId) -> bool {
        self.engine.cookieless.lock().shares(fingerprint, visit)
    }

    fn logged_in(&mut self, visit: VisitId, user: &UserId, single: bool) {
        self.engine.users.lock().logged_in(user, visit, single);
    }

    fn logged_out(&mut self, visit: VisitId, user: &UserId) {
        self.engine.users.lock().logged_out(user, visit);
    }

    fn ended(&mut self, closed: Closed) {
        self.engine.counters.ended(closed.reason, closed.late_us);
        if !closed.confirmed {
            self.engine.cookieless.lock().ended(closed.fingerprint, closed.visit);
        }
    }
}
