//! The store on one machine: the machine's shards, their indexes, and the journal under them.

use std::future::ready;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use visitlog_core::erasure::{FoundVisits, Whose};
use visitlog_core::machine::{BudgetCounts, Call, Chain, Done, HostIndex, Log, Sessions, Shard};
use visitlog_core::model::{EndReason, Entry, OpenVisit, UserId};
use visitlog_core::ports::{
    Arrival, AtOnce, Beat, Begun, Clock, Commit, Committed, Cursor, Disk, EndedVisits as _, Entropy, Erased, Inquiry,
    OpenPage, Reply, RequestId, SessionHold, SessionStore, Standing, StoreError, Terminated,
};
use visitlog_core::session::{Ended, Record, Session};
use visitlog_core::{Host, Lsn, Timestamp, VisitId};

use crate::clock::EngineClock;
use crate::config::{EngineConfig, SHARDS};
use crate::counters::Counters;
use crate::floor::Floor;
use crate::journal::{Appender, Flags, Journal, JournalError, Wait};
use crate::ledger::{Ledger, PendingEnd};
use crate::presence::Presence;
use crate::recover::{self, Report};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The session store of one machine, without its threads: [`crate::Driver`] runs those. Share it by `Arc`.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) clock: EngineClock,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) sessions: Sessions,
    /// Where ends wait for the sinks.
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) counters: Counters,
    /// How far behind the sweep is, in microseconds.
    pub(crate) sweep_lag_us: AtomicU64,
    /// Segments below are to go as soon as they can, for an erasure.
    pub(crate) release_below: AtomicU64,
    /// Who is online.
    pub(crate) presence: Presence,
    /// Of each shard. Taken before the shards.
    pub(crate) floors: Mutex<[Floor; SHARDS]>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the engine of a folder, which exists: reads its journal, or makes a new one. Ended visits wait in the journal
    /// until somebody has taken them from [`Engine::ended`].
    ///
    /// # Errors
    /// When the disk refuses, or the journal is damaged below its last synced mark.
    ///
    /// # Panics
    /// With settings that [`EngineConfig::check`] refuses.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Self, Report), JournalError> {
        let sessions = config.sessions().expect("settings that were checked");
        let recovered = recover::recover(disk, dir, &config, &sessions, &*entropy)?;
        let journal = Arc::new(recovered.journal);
        let ends = recovered.ends.iter().copied();
        let ledger = Ledger::new(Arc::clone(&journal), config.ledger, recovered.acks.into_values(), ends);
        recovered.barriers.iter().for_each(|barrier| ledger.restore_barrier(*barrier));
        // What an erasure has begun goes on after a crash: the journal's own copies go.
        let release_below = recovered.barriers.iter().map(|barrier| barrier.below.0).max().unwrap_or_default();
        let clock = EngineClock::start(clock, recovered.last_moment);
        let engine = Self {
            presence: Presence::new(config.presence, clock.now()),
            clock,
            entropy,
            journal,
            sessions: Sessions::recovered(&sessions, recovered.shards, recovered.sites),
            ledger: Arc::new(ledger),
            counters: Counters::default(),
            sweep_lag_us: AtomicU64::new(0),
            release_below: AtomicU64::new(release_below),
            floors: Mutex::default(),
            config,
        };
        engine.sessions.restored(&engine.call());
        if !recovered.barriers.is_empty() {
            engine.forget_barred(&recovered.ends);
        }
        Ok((engine, recovered.report))
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far its time is ahead of the wall clock, in microseconds; negative where it is behind. It follows slowly.
    pub fn ahead_of_wall_us(&self) -> i64 {
        self.clock.ahead_us()
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
        self.sessions.len()
    }

    /// The name of the site that a host counts to, as known now.
    pub fn site_of(&self, host: &Host) -> Box<str> {
        self.sessions.site_of(host)
    }

    /// How often each limit on what strangers can fill did something.
    pub fn budget_counts(&self) -> BudgetCounts {
        self.sessions.counts()
    }

    /// The settings.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Ends a session from outside, at once. Whether it was open, and what to wait for until its `End` is durable; for a
    /// caller that keeps books of its own.
    ///
    /// # Errors
    /// When the journal can't take more.
    pub fn end_session(&self, visit: VisitId) -> Result<(bool, Wait), StoreError> {
        self.journal.check()?;
        let Done { reply, newest } = self.sessions.terminate(&self.call(), visit, EndReason::Terminated);
        Ok((reply, self.journal.wait(newest)))
    }

    /// Ends all sessions of a user, who has logged out elsewhere. Which these were, and what to wait for until their `End`s
    /// are durable.
    ///
    /// # Errors
    /// When the journal can't take more.
    pub fn log_out(&self, user: &UserId) -> Result<(Vec<VisitId>, Wait), StoreError> {
        self.journal.check()?;
        let (mut ended, mut last) = (Vec::new(), Lsn::NONE);
        for visit in self.sessions.of_user(user) {
            let Done { reply, newest } = self.sessions.terminate(&self.call(), visit, EndReason::LoggedOut);
            if reply {
                ended.push(visit);
                last = last.max(newest);
            }
        }
        Ok((ended, self.journal.wait(last)))
    }

    /// Who is online.
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The source of ended visits: one stream, that of the journal.
    pub const fn ended(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The shard of a partition, held.
    pub(crate) fn shard_of(&self, partition: u8) -> visitlog_core::sync::MutexGuard<'_, Shard> {
        self.sessions.shard(partition)
    }

    /// A call into the sessions, now.
    pub(crate) fn call(&self) -> Call<'_, Self> {
        Call { log: self, entropy: &*self.entropy, now: self.now() }
    }

    fn begin_at_once(&self, arrival: &Arrival) -> Result<Begun, StoreError> {
        self.journal.check().and_then(|()| self.check_quota(arrival)).map_err(|error| self.refuse(error))?;
        Ok(self.sessions.begin(&self.call(), arrival))
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
            if let Standing::Live(live) = &commit.standing
                && let Some(hold) = live.hold
            {
                self.release(hold);
            }
            return CommitFuture { committed: Some(Err(self.refuse(error))), wait: None };
        }
        let Done { reply: committed, newest } = self.sessions.commit(&self.call(), commit, self.config.cookies);
        self.counters.committed(&committed);
        let wait = (newest.is_some() && self.config.waits()).then(|| self.journal.wait(newest));
        CommitFuture { committed: Some(Ok(committed)), wait }
    }

    fn outcome(&self, request: RequestId) -> Inquiry<Option<Committed>> {
        Box::pin(ready(self.journal.check().map(|()| self.sessions.outcome(request))))
    }

    fn terminate(&self, visit: VisitId) -> Inquiry<Terminated> {
        match self.end_session(visit) {
            Ok((false, _)) => Box::pin(ready(Ok(Terminated::NotOpen))),
            Ok((true, durable)) => Box::pin(async { durable.await.map(|durable| Terminated::Ended { durable }) }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn list(&self, from: Option<Cursor>, at_most: usize) -> Inquiry<OpenPage> {
        Box::pin(ready(Ok(self.sessions.list(from, at_most))))
    }

    fn open_visit(&self, visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        let found = self.read_open(visit).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, %visit, "an open visit can't be read");
            StoreError::Unavailable { reason: "the visit's records can't be read" }
        });
        Box::pin(ready(found))
    }

    fn erase(&self, whose: &Whose, stored: &FoundVisits) -> Inquiry<Erased> {
        match self.begin_erasure(whose, stored) {
            Ok(erasing) => {
                // Its own copies go as soon as nobody needs them.
                self.release_journal(&erasing, stored);
                let durable = self.journal.wait(Lsn(self.journal.content_end().0 - 1));
                let below = self.ledger.streams().into_iter().map(|stream| (stream, erasing.below)).collect();
                let erased = Erased { ended: erasing.ended, visits: erasing.visits, below };
                Box::pin(async { durable.await.map(|_is_durable| erased) })
            }
            Err(error) => Box::pin(ready(Err(error.into_store_error()))),
        }
    }

    fn beat(&self, visit: VisitId, beat: &Beat<'_>) -> Option<Duration> {
        // Held meanwhile: nobody is online whose session has ended.
        let shard = self.shard_of(visit.partition());
        let open = shard.get(visit)?;
        Some(self.presence.beat(visit, open.host, open.data.user.as_ref(), beat, self.now()))
    }

    fn release(&self, hold: SessionHold) {
        // Where the journal takes nothing, the end of a request that goes on is activity that nobody records.
        let goes_on = hold.goes_on && self.journal.check().is_ok();
        self.sessions.release(&self.call(), SessionHold { goes_on, ..hold });
    }

    fn hold_on(&self, visit: VisitId) -> Inquiry<Option<SessionHold>> {
        Box::pin(ready(self.journal.check().map(|()| self.sessions.hold_on(visit, self.now()))))
    }
}

impl Clock for Engine {
    fn now(&self) -> Timestamp {
        self.clock.now()
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

impl Engine {
    fn append_to(&self, mut appender: Appender<'_>, chain: &Chain, confirms: bool, entry: &Entry) -> Lsn {
        let flags = if confirms { Flags::CONFIRMS } else { Flags::NONE };
        let lsn = appender.append(chain.visit, chain.last, flags, entry);
        let appender = self.config.tells_ends_at_once().then_some(appender);
        if let Entry::End(_) = entry {
            // Still under the append lock, so that the sinks see ends in the order of the journal, without a gap.
            let Chain { visit, first, events, .. } = *chain;
            self.ledger.push(PendingEnd { end: lsn, first, visit, events: events.into() });
        }
        drop(appender);
        match entry {
            Entry::Start(_) => self.counters.started(),
            Entry::Event(_) => self.counters.event(),
            _ => {}
        }
        lsn
    }
}

/// Where the sessions' records go. Their shard is held meanwhile; the append lock is taken last.
impl Log for Engine {
    fn append(&self, chain: &Chain, confirms: bool, entry: &Entry) -> Lsn {
        self.append_to(self.journal.appender(), chain, confirms, entry)
    }

    fn decided(&self, session: &Session, host: HostIndex, now: Timestamp, records: &[Record]) {
        self.presence.decided(session, host, now, records);
    }

    fn ended(&self, ended: &Ended) {
        self.counters.ended(ended.reason, ended.late_us);
    }
}

/// The same for what no request waits for: it counts as the journal's maintenance.
pub(crate) struct Maintenance<'a>(pub(crate) &'a Engine);

impl Log for Maintenance<'_> {
    fn append(&self, chain: &Chain, confirms: bool, entry: &Entry) -> Lsn {
        self.0.append_to(self.0.journal.appender().for_maintenance(), chain, confirms, entry)
    }

    fn decided(&self, session: &Session, host: HostIndex, now: Timestamp, records: &[Record]) {
        Log::decided(self.0, session, host, now, records);
    }

    fn ended(&self, ended: &Ended) {
        Log::ended(self.0, ended);
    }
}
