//! Tables for programs that are not ours: `cargo xtask test --only readers` has them written and reads them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::lab::{Lab, check, nth};
use crate::store::DurableStore;

/// The folder to write to.
const FOLDER: &str = "VISITLOG_READERS_FOLDER";

#[test]
#[expect(clippy::print_stdout, reason = "says that it skips")]
fn writes_tables_for_other_programs() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        println!("skipped: {FOLDER} names no folder");
        return;
    };
    let visits = 400;
    let mut lab = Lab::on(Arc::new(DurableStore::new()), folder.join("tables").to_str().expect("a text"));
    let mut process = lab.start();
    lab.feed_all(&mut process, visits - 60, 20);
    while process.warehouse.upkeep_step().expect("a working disk") {}
    lab.feed_all(&mut process, visits, 20);
    check(&process.warehouse, visits, "for other programs");
    let key = |n: u64| i128::from(nth(n).1.visit.as_u128() as i64);
    let keys: i128 = (0..visits).map(key).sum();
    let n = visits;
    // What is in each visit of the tests. The sums of keys are beyond JSON's numbers.
    let (once, thrice) = (keys.to_string(), (3 * keys).to_string());
    let expected = json!({
        "visits": { "rows": n, "page_views": n, "actions": n, "errors": n, "duration_ms": 2_500 * n, "visit_key": once },
        "events": { "rows": 3 * n, "seq": 6 * n, "status": 703 * n, "bytes": 1_024 * n, "visit_key": thrice },
    });
    std::fs::write(folder.join("expected.json"), expected.to_string()).expect("written");
}
