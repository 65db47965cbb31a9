//! An import's visits, in whatever order they come and however little memory they may take.

use std::sync::Arc;

use visitlog_core::model::Via;
use visitlog_core::requests::{RequestCount, RequestType};
use visitlog_enrich::Enricher;
use visitlog_logs::import::Pending;
use visitlog_logs::sessions::Visits as _;
use visitlog_testkit::SimEntropy;

use super::lab::{Lab, check, nth};
use crate::import::{Budget, Stage, Staging};
use crate::store::DurableStore;

/// The two requests of a visit.
fn count(n: u64) -> RequestCount<'static> {
    RequestCount {
        time: nth(n).1.start.at,
        site: "shop.example",
        path: if n.is_multiple_of(5) { "" } else { "/a" },
        kind: RequestType::Asset,
        status: (n % 3 * 100) as u16,
        bot: None,
        via: Via::Log,
        requests: 2,
        bytes: None,
        duration_us: 0,
        timed: 0,
    }
}

/// Brings visits to new tables, and says how many data files there are then.
fn stored(visits: u64, budget: Budget) -> [u64; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    let [tables, batch] = ["tables", "batch"].map(|name| folder.path().join(name));
    std::fs::create_dir(&batch).expect("a folder");
    let lab = Lab::on(Arc::new(DurableStore::new()), tables.to_str().expect("a text"));
    let warehouse = lab.start().warehouse;
    let enricher = Arc::new(Enricher::empty());
    let staging = Staging::new(&batch, &batch.join("unsettled"), enricher, lab.clock, Arc::new(SimEntropy::new(5)))
        .expect("a staging");
    let mut stages = [staging.stage(), staging.stage()];
    stages.iter_mut().for_each(|stage| stage.budget = budget);
    // 7 and the number of visits have no common divisor.
    for n in (0..visits).map(|n| n * 7 % visits) {
        stages[(n / 3 % 2) as usize].ended(nth(n).1).expect("room");
        stages[0].counted(&count(n)).expect("room");
    }
    let (staged, _) = Stage::finish(stages.into()).expect("a working disk");
    let staged = staged.expect("visits");
    let left: Vec<_> = std::fs::read_dir(&batch).expect("a folder").map(|entry| entry.expect("a name")).collect();
    assert!(left.iter().all(|entry| entry.path().is_dir()), "nothing temporary is left: {left:?}");
    let pending = Pending { importer: 9, batch: 1, staged, dir: batch };
    warehouse.store_import(&pending).expect("a working disk");
    warehouse.store_import(&pending).expect("it is known");
    check(&warehouse, visits, &format!("{budget:?}"));
    warehouse.status().expect("figures").map(|table| table.files)
}

#[test]
fn visits_are_the_same_in_memory_and_outside_it() {
    // A file a month and thread; more where the last ones are written besides.
    assert_eq!(stored(600, Budget::default()), [4, 4, 2]);
    // Each batch is a run of its own.
    assert_eq!(stored(600, Budget { batch: 1, all: 1 }), [4, 4, 2]);
    assert_eq!(stored(20, Budget { batch: 1, all: usize::MAX }), [4, 4, 2]);
}
