//! A run: an engine on a simulated disk and clock, and everything around it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use visitlog_core::machine::Open;
use visitlog_core::ports::{Clock as _, Disk, Feed, Gathering, LiveSource, StoreError, VisitSink};
use visitlog_core::{Timestamp, VisitId, invariants};
use visitlog_engine::journal::{Journal, JournalError};
use visitlog_engine::{CommitFuture, Engine, Report, Sweep, Upkeep};
use visitlog_sinks::{Lanes, NdjsonSink, SinkState};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

use crate::clients::{Client, Jar, Pending, Request, crowd};
use crate::follower::Follower;
use crate::oracle::{Check, Oracle, ensure};
use crate::plan::{Broken, Plan};
use crate::probes::Probes;
use crate::sinks::{Gate, Hook, SinkDesk};
use crate::trace::Trace;
use visitlog_testkit::Dice;

/// 23:55 UTC, so that some runs pass midnight.
const EVENING: Timestamp = Timestamp::from_secs(1_763_769_300);

/// The folder of the journal, and that of `visits.ndjson`.
pub(crate) const JOURNAL: &str = "data/journal";
pub(crate) const VISITS: &str = "data/visits";

/// One life of the process.
pub(crate) struct Life {
    pub(crate) sinks: Lanes,
    pub(crate) engine: Arc<Engine>,
    pub(crate) sweep: Sweep,
    pub(crate) upkeep: Upkeep,
    /// Behind the last records that were carried.
    pub(crate) carried_upto: u64,
    /// Sessions that were overdue after a sweep, and when.
    overdue: BTreeMap<VisitId, Timestamp>,
    /// No sweep has finished yet.
    pub(crate) is_new: bool,
}

impl Life {
    pub(crate) fn journal(&self) -> &Arc<Journal> {
        self.engine.journal()
    }
}

/// What a request waits for.
pub(crate) enum Waiting {
    Answer(Box<CommitFuture>),
    End(visitlog_engine::journal::Wait),
}

/// Everything.
pub(crate) struct Simulation {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    entropy: Arc<SimEntropy>,
    pub(crate) life: Life,
    pub(crate) desk: Arc<SinkDesk>,
    pub(crate) jars: Vec<Jar>,
    pub(crate) clients: Vec<Client>,
    pub(crate) open: Vec<Request>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) probes: Probes,
    /// Follows the journal of this life.
    pub(crate) follower: Follower,
    /// The disk is failing at present.
    pub(crate) in_trouble: bool,
}

/// Opens the engine as it stands on the disk, and lanes for these sinks.
pub(crate) fn open_with(
    plan: &Plan,
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    entropy: &Arc<SimEntropy>,
    sinks: Vec<Box<dyn VisitSink>>,
) -> Result<(Arc<Engine>, Lanes, Report), JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let parks = Path::new(JOURNAL);
    let (engine, report) = Engine::open(Arc::clone(&disk), parks, plan.engine(), clock.clone(), entropy.clone())?;
    let engine = Arc::new(engine);
    let visits = Arc::clone(engine.ended()) as _;
    let feed = Feed { visits, clock: engine.clone(), disk, data: VISITS.into(), parks: parks.to_owned() };
    let lanes = Lanes::open(&feed, &plan.lanes(), sinks).expect("sinks with names of their own");
    Ok((engine, lanes, report))
}

/// Opens the engine as it stands on the disk.
pub(crate) fn open(
    plan: &Plan,
    disk: &SimDisk,
    desk: &Arc<SinkDesk>,
    clock: &Arc<SimClock>,
    entropy: &Arc<SimEntropy>,
) -> Result<(Life, Report), JournalError> {
    let files = Gate {
        inner: NdjsonSink::new(Arc::new(disk.clone()), VISITS),
        desk: Arc::clone(desk),
        gathers: plan.gathers,
        gathered: Vec::new(),
    };
    let all: Vec<Box<dyn VisitSink>> = vec![Box::new(files), Box::new(Hook(Arc::clone(desk)))];
    let (engine, sinks, report) = open_with(plan, disk, clock, entropy, all)?;
    let sweep = Sweep::new(engine.now());
    let life = Life {
        sinks,
        engine,
        sweep,
        upkeep: Upkeep::default(),
        carried_upto: 0,
        overdue: BTreeMap::new(),
        is_new: true,
    };
    Ok((life, report))
}

impl Simulation {
    pub(crate) fn new(seed: u64, broken: Broken) -> Result<Self, String> {
        let dice = Dice::new(seed);
        let mut plan = Plan::of(broken, &dice);
        if seed.is_multiple_of(3) {
            plan.gathers = Some(Gathering { visits_max: 10, wait_max: Duration::from_secs(5) });
        }
        let disk = SimDisk::with_page_bytes(seed, plan.page_bytes);
        let clock = Arc::new(SimClock::new(EVENING.after(dice.millis(400_000))));
        let entropy = Arc::new(SimEntropy::new(seed));
        let desk = Arc::new(SinkDesk::default());
        let (life, _) = open(&plan, &disk, &desk, &clock, &entropy).map_err(|error| error.to_string())?;
        let (jars, clients) = crowd(&dice);
        let mut trace = Trace::new();
        trace.note(format_args!("{plan:?}"));
        Ok(Self {
            plan,
            dice,
            disk,
            clock,
            entropy,
            life,
            desk,
            jars,
            clients,
            open: Vec::new(),
            pending: Vec::new(),
            oracle: Oracle::default(),
            trace,
            probes: Probes::default(),
            follower: Follower::default(),
            in_trouble: false,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.life.engine.now()
    }

    pub(crate) fn reopen(&self) -> Result<(Life, Report), JournalError> {
        open(&self.plan, &self.disk, &self.desk, &self.clock, &self.entropy)
    }

    /// Something happens.
    pub(crate) fn step(&mut self) -> Check {
        self.trace.step += 1;
        let rare = [self.plan.crashes, self.plan.troubles, self.plan.sink_troubles, self.plan.bad_syncs];
        let mut roll = self.dice.roll(1_000);
        for (what, times) in rare.into_iter().enumerate() {
            if roll < times {
                return match what {
                    0 => self.crash(),
                    1 => self.trouble(),
                    2 => self.sink_trouble(),
                    _ => self.bad_sync(),
                };
            }
            roll -= times;
        }
        match self.dice.roll(100) {
            0..=23 => self.request(true)?,
            24..=39 => self.request(false)?,
            40..=53 => self.finish_one()?,
            54..=63 => self.write()?,
            64..=68 => self.sync()?,
            69..=74 => self.sweep()?,
            75..=81 => self.deliver()?,
            82..=85 => self.upkeep()?,
            86..=93 => self.pass_time(),
            94 => {
                let bytes = self.dice.roll(4_000);
                self.follow(bytes, false)?;
            }
            95 => self.terminate()?,
            96 | 97 => self.look_at_one()?,
            98 => self.be_on_time()?,
            _ => {
                self.life.engine.check_invariants()?;
                self.check_bound()?;
                self.follow(1_000, true)?;
            }
        }
        self.answer()?;
        if self.life.journal().poisoned().is_some() && self.dice.one_in(4) { self.crash() } else { Ok(()) }
    }

    pub(crate) fn write(&mut self) -> Check {
        let result = self.life.journal().write_step();
        self.trace.note(format_args!("write: {result:?}"));
        self.may_fail(result.map(drop), "write")
    }

    pub(crate) fn sync(&mut self) -> Check {
        let result = self.life.journal().sync_step();
        self.trace.note(format_args!("sync: {result:?}"));
        self.may_fail(result.map(drop), "sync")
    }

    /// What fails must fail for the disk's sake, and say so.
    pub(crate) fn may_fail(&self, result: Result<(), JournalError>, doing: &str) -> Check {
        match result {
            Ok(()) | Err(JournalError::Io { .. }) => Ok(()),
            Err(JournalError::Stopped { .. }) if self.life.journal().poisoned().is_some() => Ok(()),
            Err(error) => Err(format!("{doing}: {error}")),
        }
    }

    pub(crate) fn may_refuse(&mut self, error: &StoreError) -> Check {
        self.probes.refused_calls += 1;
        let journal = self.life.journal();
        let usage = journal.usage();
        ensure!(
            match error {
                StoreError::Stopped { .. } => journal.poisoned().is_some(),
                StoreError::Unknown => false,
                // Half of what may wait is traffic's.
                StoreError::Unavailable { .. } => {
                    usage.unwritten - usage.unwritten_maintenance > self.plan.unwritten_bytes_max / 2
                        || journal.is_on_reserve()
                }
            },
            "refused without need: {error}, {usage:?}"
        );
        Ok(())
    }

    fn open_visits(&self) -> Vec<VisitId> {
        self.life.engine.open_list().iter().map(|open| open.chain.visit).collect()
    }

    pub(crate) fn sweep(&mut self) -> Check {
        let held: Vec<VisitId> = self.open.iter().filter_map(Request::held).collect();
        let before = if held.is_empty() { Vec::new() } else { self.open_visits() };
        let Life { engine, sweep, .. } = &mut self.life;
        let (ended, more) = sweep.step(engine);
        let now = engine.now();
        self.trace.note(format_args!("sweep at {now:?}: {ended} ended, more: {more}"));
        if self.life.is_new {
            self.probes.ends_at_recovery += ended as u64;
            self.life.is_new = more;
        }
        let open = self.life.engine.open_list();
        for visit in held {
            let ended = before.contains(&visit) && open.iter().all(|open| open.chain.visit != visit);
            let too_old = now > visit.started_at().after(self.plan.rules.max_age);
            ensure!(!ended || too_old, "{visit} expired while a request was under way in it");
        }
        if !more { self.check_punctual(&open, now) } else { Ok(()) }
    }

    /// A sweep has done all it could: whoever is overdue has become so, or was let go, within a tick or two.
    fn check_punctual(&mut self, open: &[Open], now: Timestamp) -> Check {
        let slack = 2 * self.plan.tick;
        let overdue = open.iter().filter(|open| invariants::check_none_overdue(open, now, slack).is_err());
        let since = std::mem::take(&mut self.life.overdue);
        for session in overdue {
            let visit = session.chain.visit;
            let since = since.get(&visit).copied().unwrap_or(now);
            ensure!(now.since(since) <= slack, "{visit} was overdue at {since:?}, and is open at {now:?}: {session:?}");
            self.life.overdue.insert(visit, since);
        }
        Ok(())
    }

    pub(crate) fn deliver(&mut self) -> Check {
        let before = self.life.sinks.status();
        let now = self.now();
        let result = self.life.sinks.step(now);
        self.trace.note(format_args!("sinks: {result:?}"));
        for (last, batch) in self.desk.take_hook() {
            self.check_synced(last, "the hook")?;
            for visit in &batch {
                self.probes.redelivered += u64::from(visit.redelivered);
                self.oracle.hook(visit)?;
            }
        }
        for (last, batch) in self.desk.take_file() {
            self.trace.note(format_args!("delivered {} visits up to {last}", batch.len()));
            self.check_synced(last, "the file")?;
            let no_park = before[0].parked == 0 && before[0].state == SinkState::Running;
            if no_park && self.dice.one_in(6) {
                self.check_on_disk(&batch)?;
            }
            for visit in &batch {
                if self.oracle.deliver(&self.plan, visit)? {
                    self.count_end(visit);
                }
            }
        }
        for status in self.life.sinks.status() {
            ensure!(!matches!(status.state, SinkState::Stopped { .. }), "a sink stopped: {status:?}");
            ensure!(status.lost_quota == 0, "a sink lost visits: {status:?}");
            ensure!(status.set_aside + status.lost_quarantine == 0, "a visit was set aside: {status:?}");
            self.probes.sink_failures += u64::from(matches!(status.state, SinkState::Failing { .. }));
            self.probes.parked_backlogs += u64::from(status.parked > 0);
        }
        Ok(())
    }

    fn check_synced(&self, last: visitlog_core::Lsn, sink: &str) -> Check {
        let synced = self.life.journal().synced();
        ensure!(last < synced, "{sink} got the end at {last}, and only what is below {synced} is synced");
        Ok(())
    }

    pub(crate) fn upkeep(&mut self) -> Check {
        let Life { engine, upkeep, .. } = &mut self.life;
        let (carried, removed) = (upkeep.carried(), upkeep.removed());
        let mut result = upkeep.step(engine);
        // At times others get their turn before a carrying has come to its end.
        while matches!(result, Ok(true)) && !self.dice.one_in(8) {
            result = upkeep.step(engine);
        }
        let (carried, removed) = (upkeep.carried() - carried, upkeep.removed() - removed);
        self.trace.note(format_args!("upkeep: {result:?}, {carried} carried, {removed} removed"));
        if carried > 0 {
            self.life.carried_upto = self.life.journal().appended().0;
        }
        self.probes.carried_sessions += carried;
        self.probes.collected_segments += removed;
        self.may_fail(result.map(drop), "upkeep")
    }

    /// Nothing that an open session needs is below the position from which on the journal is said to be needed.
    fn check_bound(&self) -> Check {
        let oldest = LiveSource::oldest(&*self.life.engine);
        for open in self.life.engine.open_list() {
            ensure!(open.chain.first >= oldest, "all from {oldest} on is needed, and {open:?} begins before");
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        let idle = self.plan.rules.idle_timeout.as_millis() as usize;
        let by = match self.dice.roll(24) {
            0 => self.dice.millis(2 * idle),
            1 => {
                // The process was stopped for a while.
                self.probes.long_gaps += 1;
                Duration::from_millis(idle as u64 + 1_000) + self.dice.millis(idle)
            }
            2..=5 => self.dice.millis(5_000),
            _ => self.dice.millis(900),
        };
        self.clock.advance(by);
        self.trace.note(format_args!("{by:?} pass, it is {:?}", self.clock.now()));
    }

    /// Answers leave whose records are durable.
    pub(crate) fn answer(&mut self) -> Check {
        for mut pending in std::mem::take(&mut self.pending) {
            let result = match &mut pending.waiting {
                Waiting::Answer(future) => {
                    future.poll_now().map(|result| result.map(|done| (done.durable, done.issue)))
                }
                Waiting::End(wait) => match std::pin::Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => Some(result.map(|durable| (durable, None))),
                    Poll::Pending => None,
                },
            };
            match result {
                None => self.pending.push(pending),
                Some(Ok((durable, issue))) => {
                    self.probes.answers += 1;
                    self.probes.not_durable += u64::from(!durable);
                    if let Some(fact) = pending.fact {
                        self.oracle.books.facts[fact].promised = durable;
                    }
                    self.trace.note(format_args!("answer to {:?}: durable {durable}", pending.fact));
                    if let (Some(client), Some(issue)) = (pending.client, issue) {
                        self.keep(client, issue);
                    }
                }
                Some(Err(error)) => self.may_refuse(&error)?,
            }
        }
        Ok(())
    }
}
