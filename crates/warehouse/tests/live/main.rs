//! The live side over the real engine: sessions begin, go on, end, are carried, collected and flushed, the process is
//! killed and comes back; SQL always counts what was answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deltalake::arrow::array::AsArray;
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::error::{DataFusionError, Result};
use deltalake::datafusion::prelude::SessionContext;
use visitlog_core::model::{EndedVisit, Event, EventKind, RequestFacts};
use visitlog_core::ports::{
    Arrival, Class, Clock as _, Commit, Delivery, Entropy as _, Feed, Kept, Op, SessionStore, SinkError, Standing,
    Token, VisitSink,
};
use visitlog_core::{Fingerprint, Fingerprints, Host, Lsn, Timestamp, VisitId};
use visitlog_engine::{Engine, EngineConfig, Sweep, Upkeep};
use visitlog_enrich::Enricher;
use visitlog_sinks::{LaneSettings, Lanes};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};
use visitlog_warehouse::live::{Live, LiveSettings};
use visitlog_warehouse::rows::RowBuilder;
use visitlog_warehouse::schema;
use visitlog_warehouse::views::{Stored, StoredTable, Tables, Views};

const MORNING: Timestamp = Timestamp::from_secs(1_795_255_200);

/// What the tables hold: survives a kill.
#[derive(Debug, Default)]
struct Shelf(Mutex<(Vec<EndedVisit>, Lsn)>);

impl Shelf {
    fn get(&self) -> (Vec<EndedVisit>, Lsn) {
        self.0.lock().expect("nobody panicked").clone()
    }
}

/// A sink that puts visits on the shelf, once each by their cursor.
struct ShelfSink(Arc<Shelf>);

impl VisitSink for ShelfSink {
    fn name(&self) -> &str {
        "warehouse"
    }

    fn resume(&mut self, _: Option<&[u8]>, _: &[VisitId]) -> std::result::Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> std::result::Result<Delivery, SinkError> {
        let mut shelf = self.0.0.lock().expect("nobody panicked");
        for (lsn, visit) in batch.iter().filter(|(lsn, _)| *lsn > shelf.1).cloned().collect::<Vec<_>>() {
            shelf.0.push(visit);
            shelf.1 = lsn;
        }
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

#[async_trait]
impl Tables for Shelf {
    async fn snapshot(&self, _: Option<u128>) -> Result<Stored> {
        let (visits, cursor) = self.get();
        let mut builder = RowBuilder::new(Arc::new(Enricher::empty()), None);
        visits.iter().for_each(|visit| builder.push_ended(visit));
        let batches = builder.finish()?;
        let table = |schema, batch| {
            let provider = Arc::new(MemTable::try_new(schema, vec![vec![batch]])?);
            Ok::<_, DataFusionError>(Some(StoredTable { provider, cursor, imported: 0 }))
        };
        Ok(Stored {
            visits: table(schema::visits(), batches.visits)?,
            events: table(schema::events(), batches.events)?,
            requests: None,
        })
    }
}

/// A client, and how many page views it was answered in each of its visits.
#[derive(Default)]
struct Client {
    token: Option<Token>,
}

struct Machine {
    disk: SimDisk,
    clock: Arc<SimClock>,
    entropy: Arc<SimEntropy>,
    shelf: Arc<Shelf>,
    engine: Arc<Engine>,
    sinks: Lanes,
    sweep: Sweep,
    upkeep: Upkeep,
    views: Views,
    live: Arc<Live>,
    bytes_max: usize,
    /// Page views answered, by visit.
    answered: BTreeMap<VisitId, i64>,
}

fn engine(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    entropy: &Arc<SimEntropy>,
    shelf: &Arc<Shelf>,
) -> (Arc<Engine>, Lanes) {
    let mut config = EngineConfig { carry_from_bytes: 20_000, ..EngineConfig::default() };
    config.journal.segment_bytes = 6_000;
    let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(ShelfSink(shelf.clone()))];
    let disk = Arc::new(disk.clone());
    let parks = Path::new("data/journal");
    let (engine, _) = Engine::open(disk.clone(), parks, config, clock.clone(), entropy.clone()).expect("opens");
    let engine = Arc::new(engine);
    let visits = Arc::clone(engine.ended()) as _;
    let feed = Feed { visits, clock: engine.clone(), disk, data: "data".into(), parks: parks.to_owned() };
    let sinks = Lanes::open(&feed, &LaneSettings::default(), sinks).expect("one sink");
    (engine, sinks)
}

impl Machine {
    fn new(seed: u64, bytes_max: usize) -> Self {
        let disk = SimDisk::new(seed);
        let (clock, entropy) = (Arc::new(SimClock::new(MORNING)), Arc::new(SimEntropy::new(seed)));
        let shelf = Arc::new(Shelf::default());
        let (engine, sinks) = engine(&disk, &clock, &entropy, &shelf);
        let (live, views) = Self::views(&engine, &shelf, bytes_max);
        let (sweep, upkeep) = (Sweep::new(engine.now()), Upkeep::default());
        let answered = BTreeMap::new();
        Self { disk, clock, entropy, shelf, engine, sinks, sweep, upkeep, views, live, bytes_max, answered }
    }

    fn views(engine: &Arc<Engine>, shelf: &Arc<Shelf>, bytes_max: usize) -> (Arc<Live>, Views) {
        let settings = LiveSettings { bytes_max, has_tables: true };
        let live = Arc::new(Live::new(engine.clone(), Arc::new(Enricher::empty()), None, settings));
        (live.clone(), Views { live: Some(live), tables: Some(shelf.clone()), ..Views::default() })
    }

    fn below(&self, n: u64) -> u64 {
        (self.entropy.random() % u128::from(n)) as u64
    }

    /// The process is killed and comes back: nobody has read anything yet.
    fn restart(&mut self) {
        self.disk.kill();
        (self.engine, self.sinks) = engine(&self.disk, &self.clock, &self.entropy, &self.shelf);
        (self.live, self.views) = Self::views(&self.engine, &self.shelf, self.bytes_max);
        (self.sweep, self.upkeep) = (Sweep::new(self.engine.now()), Upkeep::default());
    }

    fn write(&self) {
        self.engine.journal().write_step().expect("written");
    }

    /// A page view, answered; at times with a goodbye.
    fn request(&mut self, n: u64, client: &mut Client) {
        let fingerprint = Fingerprints { today: Fingerprint(n), yesterday: Fingerprint(n + 1_000_000) };
        let host = Host::new("shop.example");
        let token = client.token;
        let arrival = Arrival { host: host.clone(), token, fingerprint, passive: false, cookies: true };
        let begun = self.engine.begin(arrival).now().expect("at once").expect("takes more");
        let request = RequestFacts { path: "/a".into(), method: "GET".into(), status: 200, ..RequestFacts::default() };
        let request = Some(Box::new(request));
        let page =
            Event { time: begun.at, kind: EventKind::PageView, name: None, type_: None, request, properties: None };
        let ops = if self.below(12) == 0 { vec![Op::Abandon] } else { Vec::new() };
        let standing: Standing = begun.standing;
        let facts = Some(Box::default());
        let class = Class::Page(page);
        let (request, at) = (begun.request, begun.at);
        let commit = Commit {
            request,
            at,
            host,
            token,
            fingerprint,
            standing,
            class,
            ops,
            on_start: Vec::new(),
            facts,
            cookies: true,
        };
        let mut future = self.engine.commit(commit);
        self.write();
        let committed = future.poll_now().expect("written").expect("taken");
        client.token = committed.issue.or(client.token);
        if let Some(visit) = committed.visit {
            *self.answered.entry(visit).or_default() += 1;
        }
    }

    async fn check(&self, what: &str) {
        let session = SessionContext::new();
        let statement = self.views.statement().await.expect("a view");
        statement.register(&session, self.clock.now()).await.expect("registered");
        let numbers = async |query: &str| -> Vec<i64> {
            let batches = session.sql(query).await.expect("planned").collect().await.expect("run");
            batches[0].columns().iter().map(|column| column.as_primitive::<Int64Type>().value(0)).collect()
        };
        let (visits, pages) = (self.answered.len() as i64, self.answered.values().sum::<i64>());
        let query = "SELECT count(*), count(DISTINCT visit_id), coalesce(sum(page_views), 0) FROM visits";
        assert_eq!(numbers(query).await, [visits, visits, pages], "{what}");
        let query = "SELECT count(*), coalesce(sum(CASE WHEN kind = 'page_view' THEN 1 ELSE 0 END), 0) FROM events";
        assert_eq!(numbers(query).await, [pages, pages], "{what}");
        let open = self.engine.open_sessions() as i64;
        assert_eq!(numbers("SELECT count(*) FROM visits WHERE ended_at IS NULL").await, [open], "{what}");
    }
}

async fn live_through(seed: u64, bytes_max: usize) -> [u64; 3] {
    let mut machine = Machine::new(seed, bytes_max);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::default()).collect();
    let (mut carried, mut removed) = (0, 0);
    for round in 0..60 {
        for _ in 0..machine.below(40) {
            let n = machine.below(40);
            machine.clock.advance(Duration::from_millis(machine.below(9_000)));
            machine.request(n, &mut clients[n as usize]);
        }
        match machine.below(5) {
            0 => {
                machine.engine.journal().sync_step().expect("synced");
                let now = machine.engine.now();
                while machine.sinks.step(now).worked {}
            }
            1 => {
                machine.sweep.step(&machine.engine);
            }
            2 => {
                for _ in 0..3 {
                    machine.upkeep.step(&machine.engine).expect("a working disk");
                    machine.write();
                    machine.engine.journal().sync_step().expect("synced");
                    machine.write();
                }
            }
            3 if machine.below(3) == 0 => {
                carried += machine.upkeep.carried();
                removed += machine.upkeep.removed();
                machine.restart();
            }
            _ => machine.clock.advance(Duration::from_secs(machine.below(600))),
        }
        // What was appended and not written is lost by a kill, and nobody was told of it.
        machine.write();
        machine.check(&format!("seed {seed}, round {round}")).await;
    }
    [carried + machine.upkeep.carried(), removed + machine.upkeep.removed(), machine.live.counts().let_go]
}

#[tokio::test]
async fn sql_counts_what_was_answered_whatever_happens() {
    let mut reached = [0; 3];
    for seed in 0..8 {
        let bytes_max = if seed % 2 == 0 { 256 << 20 } else { 30_000 };
        let more = live_through(seed, bytes_max).await;
        reached.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    assert!(reached.iter().all(|times| *times > 20), "carried, segments removed, let go: {reached:?}");
}
