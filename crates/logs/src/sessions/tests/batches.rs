//! Logs that come in parts, late rows, and rows from the future.

use std::time::Duration;

use visitlog_core::Timestamp;

use super::support::{HOUR, Importer, Row, idle, page, visits};
use crate::sessions::Ending;

const IDLE: u64 = 1_800;

fn at(rows: &[Row], split: usize) -> Importer {
    let mut importer = Importer::new(idle(IDLE));
    importer.batch(&rows[..split], HOUR, |_| 0);
    importer.batch(&rows[split..], HOUR, |_| 0);
    importer.batch(&[], Ending::Final, |_| 0);
    importer
}

#[test]
fn a_visit_that_spans_two_parts_is_one_and_the_same() {
    let rows: Vec<Row> = (0..200).map(|n| page(n * 97, (n % 5) as u16, "/")).collect();
    let whole = at(&rows, 0);
    assert_eq!(whole.seen(), visits(idle(IDLE), &rows));
    let ids = |importer: &Importer| {
        let mut ids: Vec<_> = importer.ended.iter().map(|visit| visit.visit).collect();
        ids.sort();
        ids
    };
    for split in (0..=rows.len()).step_by(13) {
        let parts = at(&rows, split);
        assert_eq!(parts.seen(), whole.seen(), "split at {split}");
        assert_eq!(ids(&parts), ids(&whole), "an id is that of its first line, whenever that came");
    }
}

#[test]
fn who_is_open_at_the_end_is_told_and_waits() {
    let mut importer = Importer::new(idle(IDLE));
    let rows: Vec<Row> = (0..10).map(|n| page(n * 1_000, 1, "/")).chain([page(0, 2, "/x")]).collect();
    importer.batch(&rows, HOUR, |_| 0);
    // The newest time that counts is 6,000, less an hour: the other's visit was due at 1,800.
    assert_eq!((importer.ended.len(), importer.open.len()), (1, 1));
    assert_eq!(importer.open[0].events.len(), 10);
    assert_eq!(importer.open[0].last_seen, Timestamp::from_secs(9_000));
    importer.batch(&[], HOUR, |_| 0);
    assert_eq!((importer.ended.len(), importer.open.len()), (1, 1), "nothing new is known");
    importer.batch(&[page(10_000, 1, "/")], Ending::Final, |_| 0);
    assert_eq!(importer.seen()[0].events.len(), 11);
}

#[test]
fn a_row_of_the_future_ends_nobody_elses_session() {
    let rows: Vec<Row> = (0..100).map(|n| page(n * 60, (n % 3) as u16, "/")).collect();
    let (first, second) = rows.split_at(50);
    let future = page(4_000_000_000, 9, "/future");
    let mut importer = Importer::new(idle(IDLE));
    importer.batch(&[first, std::slice::from_ref(&future)].concat(), HOUR, |_| 0);
    importer.batch(second, HOUR, |_| 0);
    importer.batch(&[], Ending::Final, |_| 0);
    assert_eq!(importer.seen(), visits(idle(IDLE), &[&rows[..], &[future]].concat()));
    assert_eq!(importer.ended.len(), 4);
}

#[test]
fn rows_may_be_late_by_the_lateness() {
    // Each row comes up to 55 minutes after its place, in parts of 40.
    let mut rows: Vec<Row> = (0..2_000).map(|n| page(n * 30, (n / 10 * 3 % 7) as u16, "/")).collect();
    let in_order = rows.clone();
    let key = |row: &Row| row.at_s + (row.at_s * 7_907 % 3_300);
    rows.sort_by_key(key);
    assert_ne!(rows, in_order);
    let mut importer = Importer::new(idle(600));
    for part in rows.chunks(40) {
        importer.batch(part, HOUR, |_| 0);
    }
    assert!(importer.ended.len() > 100, "{}", importer.ended.len());
    importer.batch(&[], Ending::Final, |_| 0);
    assert_eq!(importer.seen(), visits(idle(600), &in_order));
}

#[test]
fn what_comes_too_late_is_a_visit_of_its_own() {
    let mut importer = Importer::new(idle(IDLE));
    let rows: Vec<Row> = (0..100).map(|n| page(n * 1_000, 1, "/")).collect();
    importer.batch(&[page(0, 2, "/a")], HOUR, |_| 0);
    importer.batch(&rows, HOUR, |_| 0);
    importer.batch(&[page(60, 2, "/late")], HOUR, |_| 0);
    importer.batch(&[], Ending::Final, |_| 0);
    let of_two: Vec<_> = importer.seen().into_iter().filter(|visit| visit.client == "10.0.0.2").collect();
    assert_eq!(of_two.iter().map(|visit| visit.events.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_clock_bounds_the_horizon() {
    let future: Vec<Row> = (0..10).map(|n| page(4_000_000_000 + n, 9, "/future")).collect();
    let mut importer = Importer::new(idle(IDLE));
    let now = Some(Timestamp::from_secs(1_000));
    let ending = Ending::Open { lateness: Duration::from_secs(10), now };
    importer.batch(&[&[page(0, 1, "/")], &future[..]].concat(), ending, |_| 0);
    assert_eq!(importer.ended.len(), 0);
    importer.batch(&[page(900, 1, "/")], Ending::Final, |_| 0);
    assert_eq!(importer.ended.len(), 2);
}
