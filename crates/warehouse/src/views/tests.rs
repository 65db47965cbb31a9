//! SQL over tables and what is going on, while visits move from one to the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::compute::concat_batches;
use deltalake::arrow::datatypes::Int64Type;
use deltalake::arrow::util::pretty::pretty_format_batches;
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::error::{DataFusionError, Result};
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use parking_lot::Mutex;
use visitlog_core::model::EventKind;
use visitlog_core::ports::{PresenceSource, PresenceState, Present, StreamId, VisitSink as _};
use visitlog_core::{Lsn, Timestamp, VisitId};
use visitlog_enrich::Enricher;
use visitlog_testkit::{Dice, SimClock, SimEntropy};

use super::{DeltaTables, Stored, StoredTable, Table, Tables, Views};
use crate::live::fake::{FakeStore, Told};
use crate::live::tests::{Crowd, live, some_end, sorted};
use crate::live::{LIVE_BYTES_MAX, Live};
use crate::rows::RowBuilder;
use crate::testing::{MORNING, visit};
use crate::{Warehouse, WarehouseSettings, WarehouseSink};

type Before = Box<dyn Fn(&FakeTables) + Send + Sync>;

/// Tables in memory, each with a cursor of its own.
#[derive(Default)]
struct FakeTables {
    visits: Mutex<(Vec<RecordBatch>, Lsn)>,
    events: Mutex<(Vec<RecordBatch>, Lsn)>,
    /// Happens before a statement sees the tables.
    before: Mutex<Option<Before>>,
    /// Happens once it has seen `visits`, before it sees `events`.
    between: Mutex<Option<Before>>,
}

impl std::fmt::Debug for FakeTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeTables")
    }
}

impl FakeTables {
    /// Moves what has ended up to here to one table.
    fn flush(&self, store: &FakeStore, table: Table, upto: Lsn) {
        let mut held = if table == Table::Visits { self.visits.lock() } else { self.events.lock() };
        let mut builder = RowBuilder::new(Arc::new(Enricher::empty()), Some("alpha".into()));
        for told in visits(store) {
            if let Some((end, visit)) = &told.end
                && *end > held.1
                && *end <= upto
            {
                builder.push_ended(visit);
            }
        }
        let batches = builder.finish().expect("fits");
        held.0.push(if table == Table::Visits { batches.visits } else { batches.events });
        held.1 = held.1.max(upto);
    }

    fn flush_both(&self, store: &FakeStore, upto: Lsn) {
        self.flush(store, Table::Visits, upto);
        self.flush(store, Table::Events, upto);
        store.acknowledge(upto);
    }
}

#[async_trait]
impl Tables for FakeTables {
    async fn snapshot(&self, _: Option<u128>) -> Result<Stored> {
        if let Some(before) = &*self.before.lock() {
            before(self);
        }
        let table = |table: Table, held: &Mutex<(Vec<RecordBatch>, Lsn)>| {
            let (batches, cursor) = held.lock().clone();
            if batches.is_empty() {
                return Ok(None);
            }
            let provider = Arc::new(MemTable::try_new(table.schema(), vec![batches])?);
            Ok::<_, DataFusionError>(Some(StoredTable { provider, cursor, imported: 0 }))
        };
        let visits = table(Table::Visits, &self.visits)?;
        if let Some(between) = &*self.between.lock() {
            between(self);
        }
        Ok(Stored { visits, events: table(Table::Events, &self.events)?, requests: None })
    }
}

struct Bed {
    store: Arc<FakeStore>,
    tables: Arc<FakeTables>,
    live: Arc<Live>,
    views: Views,
}

fn bed(store: &Arc<FakeStore>, bytes_max: usize) -> Bed {
    let (live, tables) = (Arc::new(live(store, bytes_max)), Arc::new(FakeTables::default()));
    let views = Views { live: Some(live.clone()), tables: Some(tables.clone()), ..Views::default() };
    Bed { store: store.clone(), tables, live, views }
}

async fn session(views: &Views, now: Timestamp) -> SessionContext {
    let mut session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    datafusion_functions_json::register_all(&mut session).expect("functions");
    views.statement().await.expect("a view").register(&session, now).await.expect("registered");
    session
}

async fn sql(session: &SessionContext, sql: &str) -> RecordBatch {
    let frame = session.sql(sql).await.expect("planned");
    let schema = frame.schema().inner().clone();
    let batches = frame.collect().await.expect("run");
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    concat_batches(&schema, &batches).expect("of one schema")
}

async fn numbers(session: &SessionContext, query: &str) -> Vec<i64> {
    let batch = sql(session, query).await;
    batch.columns().iter().map(|column| column.as_primitive::<Int64Type>().value(0)).collect()
}

const COUNTS: &str =
    "SELECT count(*), count(DISTINCT visit_id), cast(coalesce(sum(page_views), 0) AS BIGINT) FROM visits";
const EVENT_COUNTS: &str = "SELECT count(*), count(DISTINCT visit_id || ':' || seq), \
     coalesce(sum(CASE WHEN kind = 'page_view' THEN 1 ELSE 0 END), 0) FROM events";

async fn counts(views: &Views) -> [Vec<i64>; 2] {
    let session = session(views, MORNING).await;
    [numbers(&session, COUNTS).await, numbers(&session, EVENT_COUNTS).await]
}

/// What was told, but for sessions that are no visits.
fn visits(store: &FakeStore) -> Vec<Told> {
    store.told().into_iter().filter(Told::is_visit).collect()
}

/// Visits, events and page views that were told so far.
fn told(store: &FakeStore) -> [Vec<i64>; 2] {
    let all = visits(store);
    let events = || all.iter().flat_map(|told| &told.visit.events);
    let pages = events().filter(|event| event.kind == EventKind::PageView).count() as i64;
    let (visits, events) = (all.len() as i64, events().count() as i64);
    [vec![visits, visits, pages], vec![events, events, pages]]
}

#[tokio::test]
async fn counts_are_right_whatever_is_flushed_between_the_snapshots() {
    for seed in 0..30 {
        let mut crowd = Crowd::new(seed);
        let bytes = if seed % 3 == 0 { 30_000 } else { LIVE_BYTES_MAX };
        let bed = bed(&crowd.store, bytes);
        for round in 0..12 {
            (0..crowd.dice.below(80)).for_each(|_| crowd.step());
            let expected = told(&bed.store);
            // Between the live snapshot and the tables' sessions go on, end, and are flushed; the ends are seen in the
            // tables, or not, but never twice.
            let upto = some_end(&bed.store, &crowd.dice).unwrap_or_default();
            match crowd.dice.below(4) {
                0 => bed.tables.flush_both(&bed.store, upto),
                1 => bed.tables.flush(&bed.store, Table::Visits, upto),
                2 => {
                    let (store, live, dice) = (bed.store.clone(), bed.live.clone(), Dice::new(seed + 1_000));
                    let ends_first = crowd.dice.below(2) == 0;
                    let also_seen = crowd.dice.below(2) == 0;
                    if ends_first {
                        let ending = Mutex::new(Vec::new());
                        for told in store.told().iter().filter(|told| told.end.is_none()).take(5) {
                            ending.lock().push(told.visit.visit);
                        }
                        crowd.forget(&ending.lock());
                        *bed.tables.before.lock() = Some(Box::new(move |tables| {
                            for visit in ending.lock().drain(..) {
                                crate::live::tests::end_now(&store, visit);
                            }
                            let upto = some_end(&store, &dice).unwrap_or_default();
                            tables.flush_both(&store, upto);
                            if also_seen {
                                live.catch_up().expect("read");
                                live.flushed(upto);
                            }
                            store.collect();
                        }));
                    }
                }
                _ => bed.store.collect(),
            }
            assert_eq!(counts(&bed.views).await, expected, "seed {seed}, round {round}");
            *bed.tables.before.lock() = None;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_while_another_thread_flushes() {
    let mut crowd = Crowd::new(1);
    // So that there are never fewer than before.
    crowd.takes_back = false;
    let bed = bed(&crowd.store, LIVE_BYTES_MAX);
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, tables, live, done) = (bed.store.clone(), bed.tables.clone(), bed.live.clone(), done.clone());
        std::thread::spawn(move || {
            for step in 0..6_000 {
                crowd.step();
                if step % 40 == 0 {
                    let upto = some_end(&store, &crowd.dice).unwrap_or_default();
                    tables.flush_both(&store, upto);
                    live.flushed(upto);
                    store.collect();
                }
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let mut asked = 0;
    loop {
        let last = done.load(Ordering::SeqCst);
        let [visits, events] = told(&bed.store);
        let found = counts(&bed.views).await;
        let [later_visits, later_events] = told(&bed.store);
        for (found, (before, after)) in found.iter().zip([(visits, later_visits), (events, later_events)]) {
            assert_eq!(found[0], found[1], "doubled after {asked} questions");
            assert!(before[0] <= found[0] && found[0] <= after[0], "{before:?} to {after:?}, {found:?}");
            assert!(before[2] <= found[2] && found[2] <= after[2], "{before:?} to {after:?}, {found:?}");
        }
        assert_eq!(found[0][2], found[1][2], "both tables of a statement are of one moment");
        asked += 1;
        if last {
            break;
        }
    }
    writer.join().expect("it wrote");
    assert!(asked > 5, "{asked}");
}

/// Visits go on, end and are flushed while a statement has seen one table and not the other, so often.
fn flush_between(bed: &Bed, crowd: Crowd, times: usize) {
    let (store, live, crowd) = (bed.store.clone(), bed.live.clone(), Mutex::new((crowd, times)));
    *bed.tables.between.lock() = Some(Box::new(move |tables| {
        let (crowd, left) = &mut *crowd.lock();
        if *left > 0 {
            *left -= 1;
            (0..100).for_each(|_| crowd.step());
            crowd.end(0);
            let upto = store.told().iter().filter_map(|told| Some(told.end.as_ref()?.0)).max().unwrap_or_default();
            tables.flush_both(&store, upto);
            live.flushed(upto);
        }
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_the_same_in_both_tables_when_it_is_flushed_between_them() {
    for (seed, times) in [(3, 1), (4, 2), (5, super::TRIES - 1)] {
        let mut crowd = Crowd::new(seed);
        let bed = bed(&crowd.store, LIVE_BYTES_MAX);
        (0..200).for_each(|_| crowd.step());
        flush_between(&bed, crowd, times);
        assert_eq!(counts(&bed.views).await, told(&bed.store), "seed {seed}");
    }
    let mut crowd = Crowd::new(6);
    let bed = bed(&crowd.store, LIVE_BYTES_MAX);
    (0..200).for_each(|_| crowd.step());
    flush_between(&bed, crowd, usize::MAX);
    let error = bed.views.statement().await.expect_err("they are never of one moment");
    assert!(error.to_string().contains("ask again"), "{error}");
}

/// Brings what has ended to real tables.
fn deliver(store: &FakeStore, sink: &mut WarehouseSink, delivered: &mut Lsn) {
    let ended = visits(store).into_iter().filter_map(|told| told.end);
    let mut batch: Vec<_> = ended.filter(|(lsn, _)| *lsn > *delivered).collect();
    batch.sort_by_key(|(lsn, _)| *lsn);
    if let Some((last, _)) = batch.last() {
        *delivered = *last;
        sink.deliver(&batch).expect("gathered");
        sink.flush().expect("flushed");
        store.acknowledge(*delivered);
    }
}

#[test]
fn with_delta_tables_a_flush_changes_no_row() {
    const JOURNAL: u128 = 77;
    let mut crowd = Crowd::new(21);
    let folder = tempfile::tempdir().expect("a folder");
    let (clock, entropy) = (Arc::new(SimClock::new(MORNING)), Arc::new(SimEntropy::new(5)));
    let warehouse = Warehouse::open(folder.path(), WarehouseSettings::default(), clock, entropy).expect("tables");
    let mut sink = WarehouseSink::new(warehouse.clone(), Arc::new(Enricher::empty()), Some("alpha".into()));
    sink.attach(StreamId(JOURNAL), Lsn(u64::MAX)).expect("attached");
    sink.resume(None, &[]).expect("ready");
    let mut delivered = Lsn::NONE;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let tables = DeltaTables::of(&warehouse, JOURNAL, Arc::new(SessionContext::new().state()));
    let live = Arc::new(live(&crowd.store, LIVE_BYTES_MAX));
    let views = Views { live: Some(live.clone()), tables: Some(Arc::new(tables)), ..Views::default() };
    crowd.store.site_is_known("shop.example");
    for round in 0..8 {
        (0..150).for_each(|_| crowd.step());
        let all = || {
            runtime.block_on(async {
                let session = session(&views, MORNING).await;
                let visits = sql(&session, "SELECT * FROM visits ORDER BY visit_id").await;
                let events = sql(&session, "SELECT * FROM events ORDER BY visit_id, seq").await;
                let one = "SELECT count(*) FROM visits WHERE month = '2026-11' AND ended_at IS NOT NULL AND \
                           started_at >= '2026-01-01T00:00:00Z'";
                let sums = "sum(requests), sum(bytes), round(sum(duration_ms)), sum(timed)";
                let requests = format!(
                    "SELECT hour, site, path, type, status, bot, via, date, month, {sums} FROM requests \
                     GROUP BY hour, site, path, type, status, bot, via, date, month ORDER BY 1, 2, 3, 4, 5, 6, 7"
                );
                let requests = sql(&session, &requests).await;
                (visits, events, numbers(&session, one).await, requests)
            })
        };
        let before = all();
        deliver(&crowd.store, &mut sink, &mut delivered);
        let after = all();
        let ended = visits(&crowd.store).iter().filter(|told| told.end.is_some()).count() as i64;
        assert_eq!((&before.2, &after.2), (&vec![ended], &vec![ended]), "round {round}");
        assert_eq!(before.0.num_rows() as i64, told(&crowd.store)[0][0]);
        for (before, after) in [(&before.0, &after.0), (&before.1, &after.1), (&before.3, &after.3)] {
            for (at, field) in after.schema().fields().iter().enumerate() {
                assert_eq!(before.column(at), after.column(at), "round {round}: {}", field.name());
            }
        }
        let is_left = |told: &&Told| told.end.as_ref().is_none_or(|(end, _)| *end > delivered);
        let left = crowd.store.told().iter().filter(is_left).count();
        assert_eq!(live.counts().visits, left, "what is flushed is forgotten");
        crowd.store.collect();
    }
}

#[tokio::test]
async fn a_visit_reads_the_same_open_ended_and_flushed_but_for_its_end() {
    let store = Arc::new(FakeStore::default());
    let bed = bed(&store, LIVE_BYTES_MAX);
    let like = visit(3, MORNING);
    store.site_is_known("shop.example");
    crate::live::tests::tell_all(&store, &like, false);
    let all = |sql_text: &'static str| async {
        let session = session(&bed.views, MORNING).await;
        sorted(&sql(&session, sql_text).await)
    };
    let (open, open_events) = (all("SELECT * FROM visits").await, all("SELECT * FROM events ORDER BY seq").await);
    crate::live::tests::tell_end(&store, &like);
    let (ended, ended_events) = (all("SELECT * FROM visits").await, all("SELECT * FROM events ORDER BY seq").await);
    bed.tables.flush_both(&store, Lsn(1_000_000));
    bed.live.flushed(Lsn(1_000_000));
    assert_eq!(bed.live.counts().visits, 0);
    let (flushed, flushed_events) = (all("SELECT * FROM visits").await, all("SELECT * FROM events ORDER BY seq").await);
    let text = |batch: &RecordBatch| pretty_format_batches(std::slice::from_ref(batch)).expect("text").to_string();
    assert_eq!(text(&ended), text(&flushed));
    assert_eq!(text(&open_events), text(&ended_events));
    assert_eq!(text(&open_events), text(&flushed_events));
    let decided = ["ended_at", "closed_at", "end_reason", "duration_ms", "confirmed", "user_id", "session_values"];
    for (at, field) in open.schema().fields().iter().enumerate() {
        let same = open.column(at) == ended.column(at);
        assert!(same || decided.contains(&field.name().as_str()), "{}", field.name());
    }
    assert_eq!(open.column_by_name("ended_at").expect("a column").null_count(), 1);
}

#[tokio::test]
async fn the_other_tables_and_json() {
    let store = Arc::new(FakeStore::default());
    store.site_is_known("shop.example");
    let bed = bed(&store, LIVE_BYTES_MAX);
    for n in 0..4 {
        let mut like = visit(n, MORNING);
        // A login of alice in each second visit.
        if n % 2 == 0 {
            let event = &mut like.events[1];
            (event.kind, event.name) = (EventKind::Login, Some("alice".into()));
        }
        crate::live::tests::tell_all(&store, &like, true);
        if n < 2 {
            crate::live::tests::tell_end(&store, &like);
        }
    }
    bed.views.losses.add(MORNING, "shop.example", "journal", 3);
    let now = MORNING.after(std::time::Duration::from_secs(302));
    let session = session(&bed.views, now).await;
    let text = |query: &'static str| async {
        let batch = sql(&session, query).await;
        pretty_format_batches(&[batch])
            .expect("text")
            .to_string()
            .lines()
            .skip(3)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // The third visit was seen last 4.5 s after ten, the fourth 5.5 s after ten.
    let online = text("SELECT path, page_views, user_id, last_seen FROM online ORDER BY last_seen").await;
    assert_eq!(online.len(), 3, "{online:#?}");
    assert!(online[0].contains("/members/2") && online[0].contains("2026-11-21T10:00:04.001"), "{online:#?}");
    let users = text("SELECT user_id, first_login, last_login, visits FROM users ORDER BY user_id").await;
    assert!(
        users[0].contains("alice") && users[0].contains("10:00:01Z") && users[0].contains("10:00:03Z"),
        "{users:#?}"
    );
    assert!(users[1].contains("user-0") && users[1].contains("| 1 "), "{users:#?}");
    let sites = text("SELECT site, visits, first_seen, last_seen FROM sites").await;
    assert!(sites[0].contains("shop.example") && sites[0].contains("| 4 "), "{sites:#?}");
    let losses = text("SELECT minute, site, reason, count FROM losses").await;
    assert!(losses[0].contains("2026-11-21T10:00:00Z") && losses[0].contains("| 3 "), "{losses:#?}");
    let json = "SELECT count(*) FROM events WHERE (properties->>'size')::int = 3";
    assert_eq!(numbers(&session, json).await, [1]);
    let plans = "SELECT count(*) FROM visits WHERE (session_values->>'plan') = 'plan-1'";
    assert_eq!(numbers(&session, plans).await, [1]);
}

struct Here(Vec<Present>);

impl PresenceSource for Here {
    fn present(&self) -> Vec<Present> {
        self.0.clone()
    }
}

#[tokio::test]
async fn who_is_online_is_who_presence_says_and_is_open() {
    let store = Arc::new(FakeStore::default());
    store.site_is_known("shop.example");
    let told: Vec<_> = (0..3).map(|n| visit(n, MORNING)).collect();
    for visit in &told {
        crate::live::tests::tell_all(&store, visit, true);
    }
    crate::live::tests::tell_end(&store, &told[2]);
    let later = MORNING.after(std::time::Duration::from_secs(1_200));
    let here = |visit| Present {
        visit,
        site: "shop.example".into(),
        user: None,
        state: PresenceState::Away,
        page: Some("/cart?id=1".into()),
        title: Some("Cart".into()),
        tabs: Some(2),
        since: MORNING,
        last_seen: later,
    };
    let mut bed = bed(&store, LIVE_BYTES_MAX);
    // One whose end presence was not told yet, and one that nobody knows.
    let all = [told[1].visit, told[2].visit, VisitId::from_u128(9)];
    bed.views.presence = Some(Arc::new(Here(all.into_iter().map(here).collect())));
    let session = session(&bed.views, later).await;
    let batch = sql(&session, "SELECT visit_id, state, page, title, tabs, since, last_seen FROM online").await;
    assert_eq!(batch.num_rows(), 1);
    let text = pretty_format_batches(&[batch]).expect("text").to_string();
    let row = text.lines().nth(3).expect("a row");
    let expected = [told[1].visit.to_string(), "away".into(), "/cart?id=1".into(), "Cart".into(), "| 2 ".into()];
    for word in expected.iter().map(String::as_str).chain(["2026-11-21T10:00:00Z", "2026-11-21T10:20:00Z"]) {
        assert!(row.contains(word), "{word}: {row}");
    }
}

#[tokio::test]
async fn projections_filters_and_limits_reach_both_sides() {
    let mut crowd = Crowd::new(11);
    (0..400).for_each(|_| crowd.step());
    for bytes in [LIVE_BYTES_MAX, 20_000] {
        let bed = bed(&crowd.store, bytes);
        let all = visits(&crowd.store);
        bed.tables.flush_both(&crowd.store, some_end(&crowd.store, &crowd.dice).expect("some ended"));
        let session = session(&bed.views, MORNING).await;
        for told in all.iter().step_by(7) {
            let id = told.visit.visit;
            let key = crate::rows::visit_key(id);
            let events = told.visit.events.len() as i64;
            for filter in [format!("visit_key = {key}"), format!("visit_id = '{id}' AND seq > 0")] {
                let before = crowd.store.chains_read();
                assert_eq!(numbers(&session, &format!("SELECT count(*) FROM events WHERE {filter}")).await, [events]);
                assert!(crowd.store.chains_read() <= before + 1, "others are not read for it");
            }
            assert_eq!(numbers(&session, &format!("SELECT count(*) FROM visits WHERE visit_key = {key}")).await, [1]);
        }
        assert_eq!(sql(&session, "SELECT seq, path, site FROM events LIMIT 17").await.num_rows(), 17);
        let joined = "SELECT count(*) FROM events e JOIN visits v ON v.visit_key = e.visit_key WHERE v.site = e.site";
        let events: usize = all.iter().map(|told| told.visit.events.len()).sum();
        assert_eq!(numbers(&session, joined).await, [events as i64]);
    }
}

#[tokio::test]
async fn without_anything_the_tables_are_empty() {
    let session = session(&Views::default(), MORNING).await;
    for table in ["visits", "events", "requests", "online", "users", "sites", "losses"] {
        assert_eq!(numbers(&session, &format!("SELECT count(*) FROM {table}")).await, [0], "{table}");
    }
}
