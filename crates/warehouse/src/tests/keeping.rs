use std::sync::Arc;
use std::time::Duration;

use deltalake::datafusion::prelude::SessionContext;
use futures_util::TryStreamExt as _;
use visitlog_core::Lsn;

use super::lab::{JOURNAL, Lab, check, nth, people, rows, texts};
use crate::tables::Table;
use crate::views::{DeltaTables, Tables as _};
use crate::warehouse::{Retention, Warehouse};

/// All objects of a table's folder.
fn objects(warehouse: &Warehouse, table: &Table) -> Vec<String> {
    let list = warehouse.run(table.store().list(None).map_ok(|meta| meta.location.to_string()).try_collect());
    let mut list: Vec<String> = list.expect("a listing");
    list.sort();
    list
}

fn keep_up(warehouse: &Warehouse) {
    while warehouse.upkeep_step().expect("a working store") {}
}

#[test]
fn small_files_of_a_month_are_merged_in_order_and_the_old_ones_go() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    lab.feed_all(&mut process, 40, 8);
    let before = process.warehouse.status().expect("figures");
    assert_eq!(before[0].files, 9, "five flushes in two months, of which one has no visit in December");
    keep_up(&process.warehouse);
    let after = process.warehouse.status().expect("figures");
    assert!(after.iter().all(|table| table.files <= 2 * 2), "{after:?}");
    assert_eq!(people(after), [40, 120]);
    // Ten members' pages and one that is broken, in an hour of each of two months, of five flushes and less.
    assert!((13..=26).contains(&after[2].rows), "{after:?}");
    assert!(after[2].rows < before[2].rows, "what adds up is put together: {before:?} {after:?}");
    check(&process.warehouse, 40, "merged");
    for table in process.warehouse.snapshot() {
        let data = objects(&process.warehouse, &table).into_iter().filter(|path| path.ends_with(".zstd.parquet"));
        assert_eq!(data.count(), table.files().expect("a table").len(), "nothing is left of the old files");
    }
    lab.feed_all(&mut process, 60, 8);
    keep_up(&process.warehouse);
    check(&process.warehouse, 60, "merged again");
}

#[test]
fn removed_files_stay_for_those_who_read_them() {
    let mut lab = Lab::new();
    lab.settings.keep_removed = Duration::from_secs(1_000);
    // The store's times and those of removals are the wall's.
    lab.clock.set(visitlog_core::Timestamp::from_secs(i64::from(u32::MAX)));
    let mut process = lab.start();
    lab.feed_all(&mut process, 40, 8);
    let reader = process.warehouse.snapshot();
    lab.clock.set(visitlog_core::Timestamp::from_secs(0));
    keep_up(&process.warehouse);
    assert!(process.warehouse.status().expect("figures")[0].files < reader[0].files().expect("files").len() as u64);
    let read: usize = rows(&process.warehouse, &reader[0]).iter().map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!(read, 40, "a reader of the older version finds its files");
    lab.clock.set(visitlog_core::Timestamp::from_secs(i64::from(u32::MAX)));
    keep_up(&process.warehouse);
    assert_eq!(
        objects(&process.warehouse, &reader[0]).iter().filter(|path| path.ends_with(".zstd.parquet")).count() as u64,
        process.warehouse.status().expect("figures")[0].files,
        "later they go"
    );
}

#[test]
fn the_log_is_shortened_and_the_table_still_opens() {
    let mut lab = Lab::new();
    lab.settings.merge_files = 1_000;
    let mut process = lab.start();
    lab.feed_all(&mut process, 50, 2);
    keep_up(&process.warehouse);
    let [visits, ..] = process.warehouse.snapshot();
    let log: Vec<_> = objects(&process.warehouse, &visits).into_iter().filter(|path| path.contains("_log/")).collect();
    assert!(log.iter().any(|path| path.contains(".checkpoint.")), "{log:?}");
    assert!(log.len() < 8, "{log:?}");
    let mut process = lab.start();
    check(&process.warehouse, 50, "read from the checkpoint");
    lab.feed_all(&mut process, 60, 5);
    check(&process.warehouse, 60, "and written on");
    lab.acknowledged = Lsn(100);
    lab.feed(&mut process, 60, 5).expect("a working store");
    check(&process.warehouse, 60, "the cursor is in the checkpoint");
}

#[test]
fn visits_older_than_the_retention_go_whole_files_and_single_rows() {
    let mut lab = Lab::new();
    // Ten days and a second after the first visit, and a day after those of December.
    lab.settings.retention = Retention::all(Some(Duration::from_secs(5 * 86_400)));
    let mut process = lab.start();
    lab.feed_all(&mut process, 40, 20);
    keep_up(&process.warehouse);
    let december: Vec<String> = (0..40).filter(|n| n % 10 == 9).map(|n| nth(n).1.visit.to_string()).collect();
    let [visits, events, _] = process.warehouse.snapshot();
    let ids: Vec<String> =
        rows(&process.warehouse, &visits).iter().flat_map(|(_, batch)| texts(batch, "visit_id")).collect();
    assert_eq!(ids.len(), december.len());
    assert!(ids.iter().all(|id| december.contains(id)));
    let left: usize = rows(&process.warehouse, &events).iter().map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!(left, december.len() * 3);
}

#[test]
fn a_file_that_straddles_the_retention_is_rewritten() {
    let mut lab = Lab::new();
    lab.settings.retention = Retention::all(Some(Duration::from_secs(86_400)));
    lab.clock.set(crate::testing::MORNING.after(Duration::from_secs(86_400)));
    let mut process = lab.start();
    let mut all: Vec<_> = (0..4).map(|n| (nth(n).0, crate::testing::visit(n, crate::testing::MORNING))).collect();
    // The day before.
    for (_, visit) in &mut all[..2] {
        visit.start.at = visit.start.at.before(Duration::from_secs(86_400));
    }
    use visitlog_core::ports::VisitSink as _;
    process.sink.deliver(&all).expect("taken");
    process.sink.flush().expect("a working store");
    keep_up(&process.warehouse);
    let status = process.warehouse.status().expect("figures");
    assert_eq!(people(status), [2, 6], "two of four are older than a day");
}

#[test]
fn each_kind_and_each_site_has_its_own_time() {
    use visitlog_core::ports::VisitSink as _;
    let day = Duration::from_secs(86_400);
    let kept = |retention: Retention| {
        let mut lab = Lab::new();
        lab.settings.retention = retention;
        lab.clock.set(crate::testing::MORNING.after(3 * day));
        let mut process = lab.start();
        let mut all: Vec<_> = (0..4).map(|n| (nth(n).0, crate::testing::visit(n, crate::testing::MORNING))).collect();
        all[0].1.end.site = "statistics.example".into();
        process.sink.deliver(&all).expect("taken");
        process.sink.flush().expect("a working store");
        keep_up(&process.warehouse);
        let [_, _, requests] = process.warehouse.snapshot();
        let requests: usize = rows(&process.warehouse, &requests).iter().map(|(_, batch)| batch.num_rows()).sum();
        (people(process.warehouse.status().expect("figures")), requests > 0)
    };
    assert_eq!(kept(Retention::default()), ([4, 12], true));
    assert_eq!(kept(Retention { events: Some(day), ..Retention::default() }), ([4, 0], true));
    assert_eq!(kept(Retention { visits: Some(day), ..Retention::default() }), ([0, 12], true));
    assert_eq!(kept(Retention { requests: Some(day), ..Retention::default() }), ([4, 12], false));
    let sites = |site: &str, kept| Retention { sites: vec![(site.into(), kept)], ..Retention::default() };
    assert_eq!(kept(sites("statistics.example", day)), ([3, 9], true));
    assert_eq!(kept(sites("statistics.example", 9 * day)), ([4, 12], true));
    assert_eq!(kept(sites("another.example", day)), ([4, 12], true));
}

#[test]
fn a_reader_that_slept_sees_the_newest_though_the_log_was_cut_meanwhile() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    let reader = DeltaTables::of(&process.warehouse, JOURNAL, Arc::new(SessionContext::new().state()));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cursors = || {
        let stored = runtime.block_on(reader.snapshot(None)).expect("a view");
        [stored.visits, stored.events, stored.requests].map(|table| table.expect("a table").cursor)
    };
    assert_eq!(cursors(), [Lsn::NONE; 3]);
    for to in [30, 60, 61] {
        lab.feed_all(&mut process, to, 1);
        keep_up(&process.warehouse);
        let log = |table: &Table| {
            let all = objects(&process.warehouse, table);
            all.into_iter().filter(|path| path.starts_with("_delta_log/") && path.ends_with(".json")).collect()
        };
        let logs: [Vec<String>; 3] = process.warehouse.snapshot().each_ref().map(log);
        assert!(logs.iter().all(|log| !log[0].ends_with("00000001.json")), "it is cut: {logs:?}");
        assert_eq!(cursors(), [Lsn(to * 100); 3], "after {to}");
    }
}
