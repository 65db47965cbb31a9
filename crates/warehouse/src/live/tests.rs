//! The buffer against what was told to a store.

use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use deltalake::arrow::compute::concat_batches;
use deltalake::datafusion::physical_plan::collect;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use visitlog_core::model::{EndedVisit, Entry, EventKind, Hints, Identity, UserId};
use visitlog_core::{Redacted, Timestamp};
use visitlog_testkit::Dice;

use super::fake::{FakeStore, Told, page};
use super::scan::{Table, plan};
use super::*;
use crate::rows::RowBuilder;
use crate::testing::{MORNING, visit};

pub(crate) fn live(store: &Arc<FakeStore>, bytes_max: usize) -> Live {
    let settings = LiveSettings { bytes_max, has_tables: true };
    Live::new(store.clone(), Arc::new(Enricher::empty()), Some("alpha".into()), settings)
}

/// What a scan yields, sorted.
fn rows(live: &Live, table: Table, cursor: Lsn) -> RecordBatch {
    let snapshot = Arc::new(live.snapshot().expect("read"));
    let scope = snapshot.beside(cursor).expect("read");
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
    let plan = plan(&snapshot, table, &scope, None, &[], 3, None).expect("planned");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let batches = runtime.block_on(collect(plan, session.task_ctx())).expect("run");
    sorted(&concat_batches(&table.schema(), &batches).expect("of one schema"))
}

/// By visit, each visit's rows in the order in which they come.
pub(crate) fn sorted(batch: &RecordBatch) -> RecordBatch {
    let ids = batch.column_by_name("visit_id").expect("a column").as_string::<i32>();
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by_key(|row| ids.value(*row as usize));
    deltalake::arrow::compute::take_record_batch(batch, &UInt32Array::from(order)).expect("taken")
}

/// The rows that the books say, of visits that are open or ended behind the cursor.
fn expected(store: &FakeStore, table: Table, cursor: Lsn) -> RecordBatch {
    let mut builder = RowBuilder::new(Arc::new(Enricher::empty()), Some("alpha".into()));
    let mut durations = Vec::new();
    for told in store.told().into_iter().filter(Told::is_visit) {
        match &told.end {
            None => {
                builder.push_open(&told.visit);
                durations.push(told.visit.last_seen.since(told.visit.start.at).as_millis() as i64);
            }
            Some((lsn, ended)) if *lsn > cursor => {
                builder.push_ended(ended);
                durations.push(ended.end.ended_at.since(ended.start.at).as_millis() as i64);
            }
            Some(_) => {}
        }
    }
    let batches = builder.finish().expect("fits");
    let at = batches.visits.schema().index_of("duration_ms").expect("a column");
    let mut columns: Vec<ArrayRef> = batches.visits.columns().to_vec();
    columns[at] = Arc::new(Int64Array::from(durations));
    sorted(&match table {
        Table::Visits => RecordBatch::try_new(batches.visits.schema(), columns).expect("columns"),
        Table::Events => batches.events,
    })
}

fn check(store: &FakeStore, live: &Live, cursor: Lsn, what: &str) {
    for table in [Table::Visits, Table::Events] {
        let (found, expected) = (rows(live, table, cursor), expected(store, table, cursor));
        assert_eq!(found.num_rows(), expected.num_rows(), "{what}: {table:?}");
        for (at, field) in found.schema().fields().iter().enumerate() {
            assert_eq!(found.column(at), expected.column(at), "{what}: {table:?}: {}", field.name());
        }
    }
}

/// Things happen at random to some sessions.
pub(crate) struct Crowd {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) dice: Dice,
    open: Vec<EndedVisit>,
    made: u64,
    now: Timestamp,
    /// Whether events are taken back.
    pub(crate) takes_back: bool,
}

impl Crowd {
    pub(crate) fn new(seed: u64) -> Self {
        Self { store: Arc::default(), dice: Dice::new(seed), open: Vec::new(), made: 0, now: MORNING, takes_back: true }
    }

    pub(crate) fn step(&mut self) {
        self.now = self.now.after(Duration::from_millis(self.dice.below(3_000)));
        let n = self.dice.below(self.open.len() as u64) as usize;
        match self.dice.below(20) {
            0..=2 => self.start(),
            _ if self.open.is_empty() => self.start(),
            3 => self.end(n),
            4 => self.store.carry(self.open[n].visit, self.dice.below(3) == 0),
            what => self.tell(n, what),
        }
    }

    pub(crate) fn start(&mut self) {
        self.made += 1;
        let mut like = visit(self.made, MORNING);
        like.start.at = self.now;
        like.start.host = visitlog_core::Host::new(["shop.example", "blog.example"][self.dice.below(2) as usize]);
        if self.made.is_multiple_of(3) {
            like.start.identity = Identity::Fingerprint;
        }
        if self.dice.below(2) == 0 {
            // Headers by which it is a bot until it returns a cookie.
            like.start.facts.user_agent =
                Redacted::new(Some("Mozilla/5.0 (X11) Chrome/141.0.0.0 Safari/537.36".into()));
            like.start.facts.hints = Some(Hints::PAGE.with(Hints::ACCEPTS_HTML).with(Hints::SECURE));
        }
        self.store.start(like.visit, like.start.clone());
        self.open.push(like);
    }

    pub(crate) fn end(&mut self, n: usize) {
        let like = self.open.swap_remove(n);
        let mut end = like.end;
        let told = self.store.told().into_iter().find(|told| told.visit.visit == like.visit).expect("told");
        end.ended_at = told.visit.last_seen;
        end.closed_at = self.now;
        end.site = told.visit.site;
        self.store.tell(like.visit, false, Entry::End(Box::new(end)));
    }

    /// These end without it.
    pub(crate) fn forget(&mut self, visits: &[visitlog_core::VisitId]) {
        self.open.retain(|like| !visits.contains(&like.visit));
    }

    fn tell(&self, n: usize, what: u64) {
        let like = &self.open[n];
        // A request is recorded when it is answered; its time is its arrival.
        let at = self.now.before(Duration::from_millis(self.dice.below(2) * self.dice.below(20_000)));
        let entry = match what {
            5 => Entry::Touch { at, slides: true },
            6 => Entry::Set { at, fields: vec![("step".into(), Some(serde_json::json!(self.dice.below(9))))] },
            7 => Entry::Rotate { at, rotation: 1, user: Some(UserId::new(&format!("user-{}", self.dice.below(5)))) },
            8 | 9 => Entry::Event(visitlog_core::model::Event { time: at, ..like.events[1].clone() }),
            10 => {
                let login = visitlog_core::model::Event {
                    time: at,
                    kind: EventKind::Login,
                    name: Some("alice".into()),
                    type_: None,
                    properties: None,
                    ..like.events[1].clone()
                };
                Entry::Event(login)
            }
            11 => page(&like.events[2], at, "/broken"),
            12 if self.takes_back => {
                let told = self.store.told().into_iter().find(|told| told.visit.visit == like.visit).expect("told");
                let recorded = told.recorded() as u64;
                let first = self.now.micros() as u64 % (recorded + 1);
                let count = self.made % (recorded - first + 1);
                Entry::Withdraw { at, first: first as u16, count: count as u16 }
            }
            _ => page(&like.events[0], at, &format!("/page/{}", self.dice.below(50))),
        };
        self.store.tell(like.visit, self.dice.below(4) == 0, entry);
    }
}

/// A session ends.
pub(crate) fn end_now(store: &FakeStore, visit: visitlog_core::VisitId) {
    let told = store.told().into_iter().find(|told| told.visit.visit == visit).expect("told");
    let mut end = crate::testing::visit(1, MORNING).end;
    end.ended_at = told.visit.last_seen;
    end.site = told.visit.site;
    store.tell(visit, false, Entry::End(Box::new(end)));
}

/// A whole visit but for its end.
pub(crate) fn tell_all(store: &FakeStore, like: &EndedVisit, confirms: bool) {
    store.start(like.visit, like.start.clone());
    for event in &like.events {
        store.tell(like.visit, confirms, Entry::Event(event.clone()));
    }
}

/// Its end.
pub(crate) fn tell_end(store: &FakeStore, like: &EndedVisit) {
    store.tell(like.visit, false, Entry::End(Box::new(like.end.clone())));
}

/// Ends in order, as a flush takes them.
pub(crate) fn some_end(store: &FakeStore, dice: &Dice) -> Option<Lsn> {
    let mut ends: Vec<Lsn> = store.told().iter().filter_map(|told| Some(told.end.as_ref()?.0)).collect();
    ends.sort_unstable();
    (!ends.is_empty()).then(|| ends[dice.below(ends.len() as u64) as usize])
}

fn random_runs(bytes_max: usize) -> LiveCounts {
    let mut sum = LiveCounts::default();
    for seed in 0..60 {
        let mut crowd = Crowd::new(seed);
        let live = live(&crowd.store, bytes_max);
        let mut cursor = Lsn::NONE;
        for round in 0..25 {
            for _ in 0..crowd.dice.below(60) {
                crowd.step();
            }
            match crowd.dice.below(6) {
                0 => live.catch_up().expect("read"),
                1 => {
                    cursor = cursor.max(some_end(&crowd.store, &crowd.dice).unwrap_or_default());
                    crowd.store.acknowledge(cursor);
                    if crowd.dice.below(2) == 0 {
                        live.flushed(cursor);
                    }
                }
                2 => crowd.store.collect(),
                3 if round > 8 => crowd.store.site_is_known("shop.example"),
                4 if round > 16 => crowd.store.site_is_known("blog.example"),
                _ => check(&crowd.store, &live, cursor, &format!("seed {seed}, round {round}")),
            }
        }
        if seed % 10 == 0 {
            // What it still has to read goes: all that is open was written again since.
            (0..50).for_each(|_| crowd.step());
            crowd.open.iter().for_each(|open| crowd.store.carry(open.visit, false));
            cursor = crowd.store.told().iter().filter_map(|told| Some(told.end.as_ref()?.0)).max().unwrap_or(cursor);
            crowd.store.acknowledge(cursor);
            crowd.store.collect();
        }
        check(&crowd.store, &live, cursor, &format!("seed {seed}, at the end"));
        let counts = live.counts();
        sum.let_go += counts.let_go;
        sum.read_again += counts.read_again;
        sum.merged += counts.merged;
        sum.restarts += counts.restarts;
    }
    sum
}

#[test]
fn rows_are_those_that_a_whole_visit_would_make_whatever_happens_and_in_whichever_order() {
    let reached = random_runs(LIVE_BYTES_MAX);
    assert_eq!(reached.let_go, 0, "there is room");
    assert!(reached.read_again > 20 && reached.merged > 500 && reached.restarts > 0, "{reached:?}");
}

#[test]
fn beyond_the_budget_the_answers_are_the_same() {
    let reached = random_runs(40_000);
    assert!(reached.let_go > 500, "{reached:?}");
}

#[test]
fn a_restart_finds_what_is_open_and_what_no_table_has() {
    let mut crowd = Crowd::new(7);
    let before = live(&crowd.store, LIVE_BYTES_MAX);
    for _ in 0..2_000 {
        crowd.step();
    }
    let cursor = some_end(&crowd.store, &crowd.dice).expect("some ended");
    check(&crowd.store, &before, cursor, "before");
    crowd.store.acknowledge(cursor);
    crowd.store.collect();
    check(&crowd.store, &live(&crowd.store, LIVE_BYTES_MAX), cursor, "after");
}

#[test]
fn without_tables_a_visit_is_forgotten_when_it_ends() {
    let mut crowd = Crowd::new(3);
    let settings = LiveSettings { has_tables: false, ..LiveSettings::default() };
    let live = Live::new(crowd.store.clone(), Arc::new(Enricher::empty()), Some("alpha".into()), settings);
    for _ in 0..20 {
        (0..50).for_each(|_| crowd.step());
        check(&crowd.store, &live, Lsn(u64::MAX - 1), "open ones only");
    }
    assert!(live.counts().visits < 150);
}

#[test]
fn a_question_costs_what_has_changed() {
    let mut crowd = Crowd::new(5);
    (0..3_000).for_each(|_| crowd.start());
    let live = live(&crowd.store, LIVE_BYTES_MAX);
    live.snapshot().expect("read");
    let merged = live.counts().merged;
    for _ in 0..200 {
        crowd.tell(crowd.dice.below(3_000) as usize, 19);
        live.snapshot().expect("read");
    }
    // 200 changes: each visit is written again a few times as small chunks become larger ones, and the 3,000 others
    // hardly ever.
    let copied = live.counts().merged - merged;
    assert!(copied < 4_500, "{copied} rows were copied");
    assert!(live.counts().chunks < 24, "{:?}", live.counts());
}

#[test]
fn what_is_recorded_is_followed_while_somebody_asks() {
    let mut crowd = Crowd::new(9);
    (0..500).for_each(|_| crowd.step());
    let live = live(&crowd.store, LIVE_BYTES_MAX);
    let follow = |after: Duration| live.follow(MORNING.after(after)).expect("read");
    follow(Duration::ZERO);
    assert_eq!(live.counts(), LiveCounts::default(), "nobody has asked");
    check(&crowd.store, &live, Lsn::NONE, "the first question");
    (0..100).for_each(|_| crowd.step());
    let seen = live.counts().records;
    follow(Duration::from_secs(1));
    assert!(live.counts().records > seen, "the next question finds it");
    follow(FOLLOWED_FOR + Duration::from_secs(1));
    assert!(live.counts().visits > 0);
    follow(FOLLOWED_FOR + Duration::from_secs(2));
    assert_eq!((live.counts().visits, live.counts().bytes), (0, 0), "and nobody asks any more");
    check(&crowd.store, &live, Lsn::NONE, "asked again");
}
