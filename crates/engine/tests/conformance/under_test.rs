//! An engine, stepped.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use visitlog_core::Lsn;
use visitlog_core::machine::{BudgetCounts, BudgetUse};
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Durability, EndedVisits as _, Keeper, Mark, Most};
use visitlog_engine::{Engine, EngineConfig, Sweep, Upkeep, journal};
use visitlog_testkit::conformance::{Setup, StoreUnderTest};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

const FOLDER: &str = "journal";
/// The sink that takes what has ended.
const SINK: &str = "suite";
/// So small that segments go while a case runs.
const SEGMENT_BYTES: u64 = 16 * 1_024;
const CARRY_FROM_BYTES: u64 = 128 * 1_024;
/// Shards of an engine.
const SHARDS: usize = 16;

/// An engine under test.
pub(crate) struct EngineUnderTest {
    config: EngineConfig,
    disk: SimDisk,
    clock: Arc<SimClock>,
    entropy: Arc<SimEntropy>,
    life: RefCell<Life>,
    taken: RefCell<Taken>,
}

/// From one restart to the next.
struct Life {
    engine: Arc<Engine>,
    sweep: Sweep,
    upkeep: Upkeep,
}

/// What the sink has.
#[derive(Default)]
struct Taken {
    visits: Vec<EndedVisit>,
    /// The ends of all of them: no visit ends twice.
    ends: HashSet<visitlog_core::VisitId>,
    upto: Lsn,
}

impl EngineUnderTest {
    fn start(config: &EngineConfig, disk: &SimDisk, clock: &Arc<SimClock>, entropy: &Arc<SimEntropy>) -> Life {
        let opened =
            Engine::open(Arc::new(disk.clone()), Path::new(FOLDER), config.clone(), clock.clone(), entropy.clone());
        let (engine, report) = opened.expect("it opens");
        assert_eq!(report.unreadable, 0, "{report:?}");
        engine.ended().subscribe(&[SINK.to_owned()]);
        Life { sweep: Sweep::new(engine.now()), engine: Arc::new(engine), upkeep: Upkeep::default() }
    }

    fn write_and_sync(&self) {
        let engine = self.store();
        let journal = engine.journal();
        journal.write_step().expect("written");
        journal.sync_step().expect("synced");
        journal.write_step().expect("written");
    }

    /// Takes what has ended.
    fn take(&self) {
        self.write_and_sync();
        let engine = self.store();
        let [stream] = engine.ended().streams()[..] else { panic!("one stream expected") };
        let mut taken = self.taken.borrow_mut();
        loop {
            let found = engine.ended().read(stream, taken.upto, Most { visits: 1_000, bytes: u64::MAX });
            let Some(upto) = found.last().map(|found| found.end) else { return };
            for found in found {
                let visit = found.what.expect("it can be read");
                assert!(taken.ends.insert(found.visit), "{} ended twice", found.visit);
                taken.visits.extend(engine.ended().admit(stream, found.end, visit));
            }
            taken.upto = upto;
            engine.ended().acknowledge(stream, SINK, Keeper::Sink, Mark { upto, place: Vec::new() });
        }
    }
}

impl StoreUnderTest for EngineUnderTest {
    type Store = Engine;

    const PARTS: usize = SHARDS;

    fn open(setup: &Setup, clock: &Arc<SimClock>) -> Self {
        let Setup { rules, own_rules, budget, cookies } = setup.clone();
        let config = EngineConfig {
            journal: journal::Config {
                segment_bytes: SEGMENT_BYTES,
                reserve_bytes: 4 * SEGMENT_BYTES,
                durability: Durability::Process,
                ..journal::Config::default()
            },
            rules,
            sites: own_rules.into_iter().map(|(host, rules)| (host, Some(rules))).collect(),
            cookies,
            budget,
            ends_per_second: u32::MAX,
            carry_from_bytes: CARRY_FROM_BYTES,
            ..EngineConfig::default()
        };
        let (disk, clock, entropy) = (SimDisk::new(1), clock.clone(), Arc::new(SimEntropy::new(7)));
        let life = RefCell::new(Self::start(&config, &disk, &clock, &entropy));
        Self { config, disk, clock, entropy, life, taken: RefCell::default() }
    }

    fn store(&self) -> Arc<Engine> {
        Arc::clone(&self.life.borrow().engine)
    }

    fn settle(&self) {
        self.store().journal().write_step().expect("written");
    }

    fn tick(&self) {
        let Life { engine, sweep, upkeep } = &mut *self.life.borrow_mut();
        while let (1.., true) = sweep.step(engine) {
            engine.journal().write_step().expect("written");
        }
        upkeep.step(engine).expect("a working disk");
        engine.journal().write_step().expect("written");
    }

    fn ended(&self) -> Vec<EndedVisit> {
        self.take();
        self.taken.borrow().visits.clone()
    }

    fn check(&self) {
        self.store().check_invariants().expect("what must always hold of the engine");
    }

    fn budget(&self) -> (BudgetUse, BudgetCounts) {
        let engine = self.store();
        (engine.budget_used(), engine.budget_counts())
    }

    fn restart(&self) {
        {
            let Life { engine, upkeep, .. } = &mut *self.life.borrow_mut();
            upkeep.step(engine).expect("a working disk");
        }
        self.write_and_sync();
        {
            // What was planned goes once it is synced.
            let Life { engine, upkeep, .. } = &mut *self.life.borrow_mut();
            upkeep.step(engine).expect("a working disk");
        }
        self.write_and_sync();
        self.disk.kill();
        *self.life.borrow_mut() = Self::start(&self.config, &self.disk, &self.clock, &self.entropy);
    }
}
