//! An hour of a flood: strangers do all that they can to fill what is kept, and visitors go on beside them.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use visitlog_core::machine::Budget;
use visitlog_core::model::{EndReason, EndedVisit};
use visitlog_core::ports::{
    Class, Committed, Delivery, Disk, Durability, Feed, Op, Outcome, SessionStore, SinkError, Standing, Token,
    VisitSink,
};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Host, Lsn, VisitId};
use visitlog_engine::{Engine, EngineConfig, Sweep, Upkeep};
use visitlog_sinks::{LaneSettings, Lanes};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

use crate::lab::{MORNING, arrival, commit_of, login};
use crate::oracle::{Check, ensure};
use crate::plan::Plan;
use crate::simulation::{JOURNAL, VISITS};

const HOUR: u64 = 3_600;
/// Multiples of the shards and parts that share them.
const BUDGET: Budget = Budget { open_sessions: 960, provisional: 640, tombstones: 1_600, sites: 8, fingerprints: 320 };
const JOURNAL_BYTES: u64 = 2 << 20;
/// Entries of everything that is kept, which memory follows: the sessions, the fingerprints and hosts of the budget, and
/// what waits to be cleared away.
const ENTRIES: usize = 30_000;
/// The sink takes nothing for a while.
const DOWN: std::ops::Range<u64> = 1_200..1_800;

/// Keeps the visits that visitors made, and counts the others.
#[derive(Default)]
struct Kept {
    visits: Mutex<Vec<EndedVisit>>,
    others: Mutex<u64>,
    is_down: AtomicBool,
}

struct Sink(Arc<Kept>);

impl VisitSink for Sink {
    fn name(&self) -> &str {
        "kept"
    }

    fn resume(&mut self, _: Option<&[u8]>, _: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(SinkError::Unavailable { sink: "kept".to_owned(), what: "down".to_owned(), source: None });
        }
        for (_, visit) in batch {
            match visit.start.host.as_str().ends_with("shop.example") {
                true => self.0.visits.lock().expect("not poisoned").push(visit.clone()),
                false => *self.0.others.lock().expect("not poisoned") += 1,
            }
        }
        Ok(Delivery::Stored(visitlog_core::ports::Kept::All(vec![])))
    }
}

/// A browser that keeps its cookie: a page every half minute, a login, a logout.
struct Visitor {
    number: u64,
    host: &'static str,
    token: Option<Token>,
    live: Option<VisitId>,
    requests: u64,
    /// How many requests each of its visits has to have, and whether it logged out of it.
    visits: Vec<(VisitId, usize, bool)>,
}

/// Everything.
struct Flood {
    clock: Arc<SimClock>,
    engine: Arc<Engine>,
    sinks: Lanes,
    sweep: Sweep,
    upkeep: Upkeep,
    kept: Arc<Kept>,
    visitors: Vec<Visitor>,
    /// Requests of strangers so far.
    strangers: u64,
    /// Tokens that strangers got, the oldest first.
    tokens: VecDeque<Token>,
    longest: u64,
}

/// Fingerprints are all over the partitions.
fn print(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Flood {
    fn new(budget: Budget, journal_bytes: u64) -> Self {
        let mut plan = Plan::plain(Durability::Process);
        // What suits a journal of gigabytes: one that may not be as long has shorter segments, and carries sooner.
        let default = EngineConfig::default();
        (plan.segment_bytes, plan.carry_from_bytes) = (default.journal.segment_bytes, default.carry_from_bytes);
        plan.journal_bytes_max = journal_bytes;
        plan.rules = SiteRules::default();
        plan.page_bytes = 4_096;
        let (disk, clock) = (Arc::new(SimDisk::with_page_bytes(1, plan.page_bytes)), Arc::new(SimClock::new(MORNING)));
        let (config, entropy) = (EngineConfig { budget, ..plan.engine() }, Arc::new(SimEntropy::new(9)));
        let disk: Arc<dyn Disk> = disk;
        let (engine, _) =
            Engine::open(Arc::clone(&disk), Path::new(JOURNAL), config, clock.clone(), entropy).expect("opened");
        let (engine, kept) = (Arc::new(engine), Arc::new(Kept::default()));
        let visits = Arc::clone(engine.ended()) as _;
        let feed = Feed { visits, clock: engine.clone(), disk, data: VISITS.into(), parks: JOURNAL.into() };
        // Only the journal's length makes it park what a sink does not take.
        let patience = Duration::from_secs(HOUR);
        let lanes =
            LaneSettings { park_after: patience, retry_max: Duration::from_secs(10), ..LaneSettings::default() };
        let sinks = Lanes::open(&feed, &lanes, vec![Box::new(Sink(Arc::clone(&kept)))]).expect("lanes");
        let visitor = |number| Visitor {
            number,
            host: if number == 5 { "late.shop.example" } else { "shop.example" },
            token: None,
            live: None,
            requests: 0,
            visits: Vec::new(),
        };
        let (sweep, upkeep) = (Sweep::new(engine.now()), Upkeep::default());
        let visitors = (0..6).map(visitor).collect();
        let (strangers, tokens, longest) = (0, VecDeque::new(), 0);
        Self { clock, engine, sinks, sweep, upkeep, kept, visitors, strangers, tokens, longest }
    }

    fn turn(&mut self) {
        let journal = self.engine.journal();
        while journal.write_step().expect("written") || journal.sync_step().expect("synced") {}
        self.sweep.step(&self.engine);
        while self.sinks.step(self.engine.now()).worked {}
        self.upkeep.step(&self.engine).expect("a working disk");
    }

    /// A stranger's request.
    fn stranger(&mut self, print: u64, token: Option<Token>, ops: Vec<Op>) {
        self.strangers += 1;
        let host = format!("forged-{}.example", self.strangers);
        let begun = self.engine.begin(arrival(print, token, &host)).now().expect("at once");
        // It may be refused.
        let Ok(begun) = begun else { return };
        let future = self.engine.commit(commit_of(print, token, &host, &begun, ops));
        if let Some(Ok(Committed { issue: Some(token), .. })) = future.decided() {
            self.tokens.push_back(*token);
        }
    }

    /// A second of a flood.
    fn strangers(&mut self) {
        for _ in 0..8 {
            self.stranger(print(1_000 + self.strangers), None, vec![]);
        }
        for _ in 0..3 {
            self.stranger(print(1_000 + self.strangers), None, vec![Op::Logout]);
        }
        for _ in 0..3 {
            let user = format!("stranger-{}", self.strangers);
            self.stranger(print(1_000 + self.strangers), None, vec![login(&user)]);
        }
        // One who comes again and again, and one whose name others have, until they share a session.
        let (hammer, shared) = (print(500), print(600 + self.strangers / 100));
        self.stranger(hammer, None, vec![]);
        self.stranger(hammer, None, vec![Op::Logout]);
        self.stranger(hammer, None, vec![login("hammer")]);
        (0..2).for_each(|_| self.stranger(shared, None, vec![]));
        // Tokens of sessions that are over by now.
        let over = self.tokens.len().saturating_sub(3_000);
        let token = self.tokens.drain(..over).next_back();
        if let Some(token) = token {
            self.stranger(print(1_000 + self.strangers), Some(token), vec![]);
            self.stranger(print(1_000 + self.strangers), Some(token), vec![Op::Logout]);
        }
    }

    /// What a visitor does in a second.
    fn visitor(&mut self, place: usize, second: u64) -> Check {
        let visitor = &self.visitors[place];
        let Visitor { number, requests, .. } = *visitor;
        if visitor.host != "shop.example" && second < HOUR / 2 {
            return Ok(());
        }
        match (second + 5 * number) % 30 {
            0 => self.ask(place, true),
            // What the page consists of.
            1 if requests > 0 => self.ask(place, false),
            _ => Ok(()),
        }
    }

    fn ask(&mut self, place: usize, is_page: bool) -> Check {
        let visitor = &mut self.visitors[place];
        let (token, print, number) = (visitor.token, print(visitor.number), visitor.number);
        let begun = self.engine.begin(arrival(print, token, visitor.host)).now().expect("at once");
        let begun = begun.map_err(|error| format!("visitor {number} was refused: {error}"))?;
        if let Some(visit) = visitor.live {
            let is_live = matches!(&begun.standing, Standing::Live(live) if live.visit == visit && live.current);
            ensure!(is_live, "visitor {number} was put out of {visit}: {begun:?}");
        }
        visitor.requests += u64::from(is_page);
        let ops = match visitor.requests % 20 {
            3 if is_page => vec![login(&format!("visitor-{number}"))],
            0 if is_page => vec![Op::Logout],
            _ => vec![],
        };
        let leaves = matches!(ops[..], [Op::Logout]);
        let mut commit = commit_of(print, token, visitor.host, &begun, ops);
        if !is_page {
            commit.class = Class::Other(None);
        }
        let future = self.engine.commit(commit);
        let committed = future.decided().expect("decided").clone();
        let committed = committed.map_err(|error| format!("visitor {number} was refused: {error}"))?;
        visitor.token = committed.issue.or(visitor.token);
        if !is_page {
            ensure!(committed.visit.is_none_or(|visit| Some(visit) == visitor.live), "{committed:?}");
            return Ok(());
        }
        let visit = committed.visit.ok_or_else(|| format!("visitor {number} has no visit: {committed:?}"))?;
        let outcome = if visitor.live.is_some() { Outcome::Recorded } else { Outcome::Started };
        ensure!(committed.outcome == outcome, "visitor {number}: {committed:?}");
        if visitor.live.is_none() {
            visitor.visits.push((visit, 0, false));
        }
        let (last, pages, left) = visitor.visits.last_mut().expect("one has begun");
        ensure!(*last == visit, "visitor {number}'s visit {last} was split: {visit}");
        (*pages, *left) = (*pages + 1, leaves);
        visitor.live = Some(visit).filter(|_| !leaves);
        Ok(())
    }

    /// Whether everything is within its budget.
    fn check(&mut self) -> Check {
        let limits = [
            ("open_sessions", BUDGET.open_sessions),
            ("provisional", BUDGET.provisional),
            ("tombstones", BUDGET.tombstones),
            ("sites", BUDGET.sites),
            ("fingerprints", BUDGET.fingerprints),
            ("journal_bytes", JOURNAL_BYTES as usize),
        ];
        for limited in self.engine.limited() {
            let max = limits.iter().find(|(name, _)| *name == limited.name);
            if let (Some((name, max)), Some(used)) = (max, limited.used) {
                ensure!(used <= *max as u64, "{name}: {used} of {max}");
            }
        }
        self.longest = self.longest.max(self.engine.journal().usage().bytes);
        Ok(())
    }

    fn check_all(&self) -> Check {
        let entries = self.engine.entries();
        ensure!(entries <= ENTRIES, "{entries} entries");
        self.engine.check_invariants()
    }

    /// The visits of visitors are whole, and are there once.
    fn check_visits(&self) -> Check {
        let visits = self.kept.visits.lock().expect("not poisoned");
        let by_id: HashMap<VisitId, &EndedVisit> = visits.iter().map(|visit| (visit.visit, visit)).collect();
        let expected: usize = self.visitors.iter().map(|visitor| visitor.visits.len()).sum();
        ensure!(visits.len() == expected && by_id.len() == expected, "{} visits, not {expected}", visits.len());
        for visitor in &self.visitors {
            for (number, (visit, pages, left)) in visitor.visits.iter().enumerate() {
                let found = by_id.get(visit).ok_or_else(|| format!("visit {visit} is missing"))?;
                let reason = if *left { EndReason::LoggedOut } else { EndReason::Expired };
                let said = (found.end.reason, found.end.confirmed, found.start.number, &*found.end.site);
                let should = (reason, true, number as u32 + 1, visitor.host);
                ensure!(said == should, "visit {visit}: {said:?}, not {should:?}");
                let views = found.events.iter().filter(|event| event.request.is_some()).count();
                ensure!(views == *pages, "visit {visit} has {views} pages, not {pages}");
            }
        }
        Ok(())
    }

    fn run(&mut self) -> Check {
        for second in 0..HOUR {
            self.kept.is_down.store(DOWN.contains(&second), Ordering::SeqCst);
            self.clock.advance(Duration::from_secs(1));
            for place in 0..self.visitors.len() {
                self.visitor(place, second).map_err(|error| format!("second {second}: {error}"))?;
            }
            self.strangers();
            self.turn();
            self.check().map_err(|error| format!("second {second}: {error}"))?;
            if second % 60 == 0 {
                self.check_all().map_err(|error| format!("second {second}: {error}"))?;
            }
        }
        for _ in 0..HOUR / 60 {
            self.clock.advance(Duration::from_secs(60));
            self.turn();
        }
        self.check_visits()
    }
}

#[test]
fn an_hour_of_a_flood_fills_nothing_and_disturbs_no_visitor() {
    let mut flood = Flood::new(BUDGET, JOURNAL_BYTES);
    flood.run().expect("all within the budget");
    assert!(flood.strangers > 60_000, "{}", flood.strangers);
    let limits = flood.engine.limited();
    // The sessions, fingerprints and tombstones of strangers were too many, and the journal was not.
    for limit in limits.iter().filter(|limit| ["provisional", "tombstones", "fingerprints"].contains(&limit.name)) {
        assert!(limit.times > 0, "never reached: {limit:?}");
    }
    assert_eq!(flood.engine.counters().snapshot().unavailable, 0, "nobody was refused");
    assert!(flood.upkeep.removed() > 50, "the journal was collected: {}", flood.upkeep.removed());
    assert!(flood.longest > JOURNAL_BYTES / 2, "the sink that was down held much of it back: {}", flood.longest);
    assert_eq!(flood.engine.open_sessions(), 0);
    assert!(flood.engine.journal().usage().bytes < JOURNAL_BYTES / 4, "{:?}", flood.engine.journal().usage());
}

#[test]
fn a_limit_that_is_switched_off_is_noticed() {
    let without = |budget, journal| Flood::new(budget, journal).run().expect_err("noticed");
    let all = 1 << 40;
    for (name, budget) in [
        ("provisional", Budget { provisional: all, ..BUDGET }),
        ("tombstones", Budget { tombstones: all, ..BUDGET }),
        ("fingerprints", Budget { fingerprints: all, ..BUDGET }),
    ] {
        let noticed = without(budget, JOURNAL_BYTES);
        assert!(noticed.contains(name), "{name}: {noticed}");
    }
    let noticed = without(Budget { provisional: all, open_sessions: all, ..BUDGET }, JOURNAL_BYTES);
    assert!(noticed.contains("open_sessions") || noticed.contains("provisional"), "{noticed}");
    let noticed = without(BUDGET, u64::MAX);
    assert!(noticed.contains("journal_bytes"), "{noticed}");
}

#[test]
fn a_named_list_of_sites_is_closed() {
    let plan = Plan::plain(Durability::Process);
    let config = EngineConfig { sites: vec![(Host::new("shop.example"), None)], ..plan.engine() };
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::with_page_bytes(1, plan.page_bytes));
    let (clock, entropy) = (Arc::new(SimClock::new(MORNING)), Arc::new(SimEntropy::new(9)));
    let open = |config: EngineConfig| {
        let disk = Arc::clone(&disk);
        Engine::open(disk, Path::new(JOURNAL), config, clock.clone(), entropy.clone()).expect("opened").0
    };
    let site_of = |engine: &Engine, number: u64, host: &str| {
        let ask = |token| {
            let begun = engine.begin(arrival(print(number), token, host)).now().expect("at once").expect("taken");
            let future = engine.commit(commit_of(print(number), token, host, &begun, vec![]));
            let committed = future.decided().expect("decided").clone();
            committed.expect("taken")
        };
        let first = ask(None);
        let second = ask(first.issue);
        assert_eq!(first.visit, second.visit, "its cookie came back");
        let visit = first.visit.expect("started");
        engine.journal().write_step().expect("written");
        engine.read_open(visit).expect("read").expect("open").site
    };
    let sites = |engine: &Engine| {
        let limits = engine.limited();
        limits.iter().find(|limit| limit.name == "sites").map(|limit| (limit.used, limit.max, limit.times))
    };
    let engine = open(config.clone());
    assert_eq!(&*site_of(&engine, 1, "shop.example"), "shop.example");
    for number in 2..50 {
        assert_eq!(&*site_of(&engine, number, &format!("forged-{number}.example")), "other");
    }
    assert_eq!(sites(&engine), Some((Some(1), 1, 48)), "each is counted");
    drop(engine);
    let engine = open(config);
    assert_eq!(sites(&engine), Some((Some(1), 1, 0)), "nor does a restart make any");
    assert_eq!(&*site_of(&engine, 60, "forged-60.example"), "other");
}
