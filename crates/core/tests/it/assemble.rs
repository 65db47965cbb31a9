//! A visit of a session's chain.

use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::model::{Entry, assemble};
use visitlog_testkit::samples::{MORNING, chain, id};

#[test]
fn a_whole_chain_is_a_visit_with_its_events_in_the_order_of_time() {
    let mut entries = chain(1, MORNING);
    entries.swap(1, 2);
    entries.insert(2, Entry::Touch { at: MORNING, slides: true });
    let visit = assemble(id(1), entries).expect("whole");
    let times: Vec<Timestamp> = visit.events.iter().map(|event| event.time).collect();
    assert_eq!(times, [MORNING.before(Duration::from_secs(60)), MORNING.before(Duration::from_secs(59))]);
    assert_eq!((visit.visit, visit.end.closed_at, visit.redelivered), (id(1), MORNING, false));
}

#[test]
fn a_chain_that_is_not_whole_is_refused_and_says_where() {
    let whole = chain(1, MORNING);
    let (start, end) = (whole[0].clone(), whole[3].clone());
    let check = |entries: Vec<Entry>, expected: &str| {
        let error = assemble(id(1), entries).expect_err(expected);
        assert_eq!(error.to_string(), format!("visit {}: {expected}", id(1)));
    };
    check(Vec::new(), "entry 1 of 0: start expected, nothing found");
    check(vec![start.clone()], "entry 2 of 1: end expected, nothing found");
    check(whole[1..].to_vec(), "entry 1 of 3: start expected, event found");
    check(whole[..3].to_vec(), "entry 3 of 3: end expected, event found");
    let middle = "entry 2 of 3: event, set, touch, rotate or withdraw expected";
    check(vec![start.clone(), start.clone(), end.clone()], &format!("{middle}, start found"));
    check(vec![start, end.clone(), end.clone()], &format!("{middle}, end found"));
    check(vec![end], "entry 1 of 1: start expected, end found");
}
