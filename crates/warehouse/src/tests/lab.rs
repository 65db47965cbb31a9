//! A store that can fail, a journal that remembers what was acknowledged, and what the tables hold in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{AsArray, RecordBatch};
use deltalake::arrow::datatypes::{Int32Type, Int64Type};
use deltalake::logstore::object_store::ObjectStore;
use deltalake::logstore::object_store::memory::InMemory;
use futures_util::TryStreamExt as _;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Gathering, Kept, SinkError, StreamId, VisitSink as _};
use visitlog_core::{Lsn, Timestamp};
use visitlog_enrich::Enricher;
use visitlog_testkit::{SimClock, SimEntropy};

use crate::error::WarehouseError;
use crate::files::read;
use crate::sink::WarehouseSink;
use crate::store::fault::FaultStore;
use crate::tables::Table;
use crate::testing::{MORNING, visit};
use crate::warehouse::{TableStatus, Warehouse, WarehouseSettings};

pub(super) const JOURNAL: u128 = 0xfeed_5eed;
/// Ten days on: another month.
const DECEMBER: Timestamp = Timestamp::from_secs(1_795_255_200 + 10 * 86_400);

pub(super) fn settings() -> WarehouseSettings {
    WarehouseSettings {
        gathering: Gathering { visits_max: 10, wait_max: Duration::from_secs(60) },
        merge_files: 3,
        keep_removed: Duration::ZERO,
        ..WarehouseSettings::default()
    }
}

/// The `n`th visit; every tenth starts in another month.
pub(super) fn nth(n: u64) -> (Lsn, EndedVisit) {
    (Lsn((n + 1) * 100), visit(n, if n % 10 == 9 { DECEMBER } else { MORNING }))
}

/// What outlives processes: a disk, a clock, and what was acknowledged.
pub(super) struct Lab {
    pub(super) disk: Arc<dyn ObjectStore>,
    pub(super) place: String,
    pub(super) clock: Arc<SimClock>,
    pub(super) settings: WarehouseSettings,
    /// What the journal says that the sink has.
    pub(super) acknowledged: Lsn,
    acknowledged_place: Vec<u8>,
}

/// A process: it lives until its store crashes.
pub(super) struct Process {
    pub(super) warehouse: Arc<Warehouse>,
    pub(super) sink: WarehouseSink,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::on(Arc::new(InMemory::new()), "memory:///tables")
    }

    pub(super) fn on(disk: Arc<dyn ObjectStore>, place: &str) -> Self {
        Self {
            disk,
            place: place.to_owned(),
            clock: Arc::new(SimClock::new(DECEMBER.after(Duration::from_secs(86_400)))),
            settings: settings(),
            acknowledged: Lsn::NONE,
            acknowledged_place: Vec::new(),
        }
    }

    pub(super) fn open_on(&self, store: &FaultStore) -> Result<Arc<Warehouse>, WarehouseError> {
        // Real bits: two processes on one disk must not choose the same names.
        let entropy = SimEntropy::new(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1));
        let settings = self.settings.clone();
        let store: Arc<dyn ObjectStore> = Arc::new(store.clone());
        Warehouse::open_on(&store, &self.place, settings, self.clock.clone(), Arc::new(entropy))
    }

    /// A process with the sink ready to go on.
    pub(super) fn start_on(&self, store: &FaultStore, newest: u64) -> Result<Process, Trouble> {
        let warehouse = self.open_on(store)?;
        let mut sink = WarehouseSink::new(Arc::clone(&warehouse), Arc::new(Enricher::empty()), None);
        sink.attach(StreamId(JOURNAL), nth(newest).0)?;
        sink.resume(Some(&*self.acknowledged_place).filter(|place| !place.is_empty()), &[])?;
        Ok(Process { warehouse, sink })
    }

    pub(super) fn start(&self) -> Process {
        self.start_on(&FaultStore::new(Arc::clone(&self.disk)), 1_000_000).expect("a working store")
    }

    /// Delivers what is not acknowledged, up to visit `to`, in batches of `batch`, and flushes.
    pub(super) fn feed(&mut self, process: &mut Process, to: u64, batch: usize) -> Result<(), SinkError> {
        let visits: Vec<_> = (0..to).map(nth).filter(|(lsn, _)| *lsn > self.acknowledged).collect();
        if visits.is_empty() {
            return Ok(());
        }
        for batch in visits.chunks(batch) {
            process.sink.deliver(batch)?;
        }
        match process.sink.flush()? {
            Kept::All(place) => {
                (self.acknowledged, self.acknowledged_place) = (visits.last().expect("not empty").0, place);
                Ok(())
            }
            Kept::Upto { upto, place, rest } => {
                assert!((visits[0].0..visits.last().expect("not empty").0).contains(&upto), "{upto} of {visits:?}");
                (self.acknowledged, self.acknowledged_place) = (upto, place);
                Err(rest)
            }
        }
    }

    /// Several flushes.
    pub(super) fn feed_all(&mut self, process: &mut Process, to: u64, step: u64) {
        while self.acknowledged < Lsn(to * 100) {
            let next = (self.acknowledged.0 / 100 + step).min(to);
            self.feed(process, next, 4).expect("a working store");
        }
    }
}

/// Why a process could not start.
#[derive(Debug)]
pub(super) enum Trouble {
    Warehouse(WarehouseError),
    Sink(SinkError),
}

impl From<WarehouseError> for Trouble {
    fn from(error: WarehouseError) -> Self {
        Self::Warehouse(error)
    }
}

impl From<SinkError> for Trouble {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// All rows of a table, file by file, those of a month in the files' order.
pub(super) fn rows(warehouse: &Warehouse, table: &Table) -> Vec<(String, RecordBatch)> {
    warehouse.run(async {
        let mut all = Vec::new();
        for file in table.files().expect("a table") {
            let batches: Vec<RecordBatch> =
                read(table, &file, None).await.expect("a file").try_collect().await.expect("rows");
            all.extend(batches.into_iter().map(|batch| (file.path.to_string(), batch)));
        }
        all
    })
}

pub(super) fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).expect("a column").as_string::<i32>();
    column.iter().map(|value| value.unwrap_or_default().to_owned()).collect()
}

/// Rows of `visits` and `events`.
pub(super) fn people([visits, events, _]: [TableStatus; 3]) -> [u64; 2] {
    [visits.rows, events.rows]
}

/// How many requests were counted.
pub(super) fn requests(warehouse: &Warehouse) -> i64 {
    let [.., requests] = warehouse.snapshot();
    let count = |batch: &RecordBatch| {
        let column = batch.column_by_name("requests").expect("a column").as_primitive::<Int64Type>();
        column.values().iter().sum::<i64>()
    };
    rows(warehouse, &requests).iter().map(|(_, batch)| count(batch)).sum()
}

/// Fails unless the tables hold visits `0..to` once each, with their three events each, sorted in each file.
pub(super) fn check(warehouse: &Warehouse, to: u64, what: &str) {
    let expected: BTreeMap<String, u32> = (0..to).map(|n| (nth(n).1.visit.to_string(), 1)).collect();
    let [visits, events, _] = warehouse.snapshot();
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, batch) in rows(warehouse, &visits) {
        for id in texts(&batch, "visit_id") {
            *found.entry(id.clone()).or_default() += 1;
            order.entry(file.clone()).or_default().push(id);
        }
    }
    assert_eq!(found, expected, "visits: {what}");
    assert!(order.values().all(|ids| ids.is_sorted()), "visits are not sorted: {what}");

    let mut found: BTreeMap<(String, i32), u32> = BTreeMap::new();
    let mut order: BTreeMap<String, Vec<(String, i32)>> = BTreeMap::new();
    for (file, batch) in rows(warehouse, &events) {
        let seqs = batch.column_by_name("seq").expect("a column").as_primitive::<Int32Type>().values().to_vec();
        for key in texts(&batch, "visit_id").into_iter().zip(seqs) {
            *found.entry(key.clone()).or_default() += 1;
            order.entry(file.clone()).or_default().push(key);
        }
    }
    let each: BTreeMap<(String, i32), u32> =
        expected.keys().flat_map(|id| (1..=3).map(|seq| ((id.clone(), seq), 1))).collect();
    assert_eq!(found, each, "events: {what}");
    assert!(order.values().all(|keys| keys.is_sorted()), "events are not sorted: {what}");
    // Of each visit a page and an error.
    assert_eq!(requests(warehouse), 2 * to as i64, "requests: {what}");
}
