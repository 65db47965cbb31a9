use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray};
use deltalake::arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use visitlog_core::model::{Event, EventKind};

use super::*;
use crate::testing::{MORNING, id, open, visit, visitor};

fn builder() -> RowBuilder {
    RowBuilder::new(Arc::new(Enricher::empty()), Some("alpha".into()))
}

fn text<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let column = batch.column_by_name(column).expect("a column of that name").as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

fn int(batch: &RecordBatch, column: &str, row: usize) -> Option<i32> {
    let column = batch.column_by_name(column).expect("a column of that name").as_primitive::<Int32Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn long(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(column).expect("a column of that name").as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn time(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(column).expect("a column").as_primitive::<TimestampMicrosecondType>();
    column.is_valid(row).then(|| column.value(row))
}

#[test]
fn an_ended_visit_is_a_row_and_its_events_are_rows() {
    let mut rows = builder();
    let ended = visit(3, MORNING);
    rows.push_ended(&ended);
    rows.push_ended(&visit(4, MORNING));
    assert_eq!((rows.visits(), rows.events()), (2, 6));
    assert!(rows.bytes() > 1_000);
    let Batches { visits, events } = rows.finish().expect("fits");
    assert_eq!((rows.visits(), rows.events(), rows.bytes()), (0, 0, 0));
    assert_eq!((visits.schema(), events.schema()), (schema::visits(), schema::events()));
    assert_eq!((visits.num_rows(), events.num_rows()), (2, 6));

    let start = ended.start.at;
    assert_eq!(text(&visits, "visit_id", 0), Some(&*id(3, start).to_string()));
    assert_eq!(text(&visits, "visitor_id", 0), Some(&*visitor(3).to_string()));
    assert_eq!(long(&visits, "visit_key", 0), Some(ended.visit.as_u128() as u64 as i64));
    assert_eq!(long(&visits, "visitor_key", 0), Some(0x5150_0000_0000_0003));
    assert_eq!(text(&visits, "user_id", 0), Some("user-3"));
    assert_eq!(text(&visits, "previous_visit_id", 0), None);
    assert_eq!(int(&visits, "visit_number", 0), Some(2));
    assert_eq!(time(&visits, "started_at", 0), Some(start.micros()));
    assert_eq!(time(&visits, "ended_at", 0), Some(start.micros() + 2_500_000));
    assert_eq!(long(&visits, "duration_ms", 0), Some(2_500));
    let counts = ["page_views", "actions", "errors"].map(|column| int(&visits, column, 0));
    assert_eq!(counts, [Some(1), Some(1), Some(1)]);
    assert_eq!(
        (text(&visits, "entry_path", 0), text(&visits, "exit_path", 0)),
        (Some("/members/3"), Some("/members/3"))
    );
    assert_eq!(text(&visits, "ip", 0), Some("198.51.100.3"));
    assert_eq!(text(&visits, "session_values", 0), Some(r#"{"plan":"plan-3"}"#));
    assert_eq!((text(&visits, "via", 0), text(&visits, "node", 0)), (Some("proxy"), Some("alpha")));
    assert_eq!(text(&visits, "month", 0), Some("2026-11"));
    assert_eq!(
        visits
            .column_by_name("date")
            .expect("a column")
            .as_primitive::<deltalake::arrow::datatypes::Date32Type>()
            .value(0),
        20_778
    );

    let seqs: Vec<_> = (0..6).map(|row| int(&events, "seq", row)).collect();
    assert_eq!(seqs, [1, 2, 3, 1, 2, 3].map(Some));
    assert_eq!(text(&events, "visit_id", 5), Some(&*id(4, visit(4, MORNING).start.at).to_string()));
    assert_eq!(text(&events, "path", 0), Some("/members/3"));
    assert_eq!(
        (text(&events, "name", 1), text(&events, "type", 1)),
        (Some("Profile picture deleted"), Some("deletion"))
    );
    assert_eq!(text(&events, "properties", 1), Some(r#"{"size":3}"#));
    assert_eq!((int(&events, "status", 1), int(&events, "status", 2)), (None, Some(503)));
    assert_eq!(text(&events, "month", 5), Some("2026-11"));
}

#[test]
fn an_open_visit_has_no_end() {
    let mut rows = builder();
    rows.push_open(&open(3, MORNING));
    let Batches { visits, events } = rows.finish().expect("fits");
    assert_eq!((time(&visits, "ended_at", 0), time(&visits, "closed_at", 0)), (None, None));
    assert_eq!((text(&visits, "end_reason", 0), long(&visits, "duration_ms", 0)), (None, Some(2_500)));
    assert_eq!(int(&visits, "page_views", 0), Some(1));
    assert_eq!(events.num_rows(), 3);
}

#[test]
fn a_login_names_a_user_and_what_is_unknown_is_null() {
    let mut ended = visit(1, MORNING);
    ended.end.user = None;
    ended.end.values = Arc::default();
    ended.start.number = 0;
    ended.start.is_new_visitor = None;
    ended.start.facts.ip = None.into();
    ended.start.at = Timestamp::from_micros(i64::MAX);
    ended.events = vec![Event { kind: EventKind::Login, ..ended.events[1].clone() }];
    let mut rows = builder();
    rows.push_ended(&ended);
    let Batches { visits, events } = rows.finish().expect("fits");
    for column in ["user_id", "session_values", "ip", "entry_path", "exit_path"] {
        assert_eq!(text(&visits, column, 0), None, "{column}");
    }
    assert_eq!(int(&visits, "visit_number", 0), None);
    assert_eq!(text(&visits, "month", 0), Some("9999-12"));
    assert_eq!((text(&events, "user_id", 0), text(&events, "name", 0)), (Some("Profile picture deleted"), None));
}
