//! Events that say strange things about time, and wall clocks that are wrong.

use std::time::Duration;

use visitlog_core::model::EndReason;
use visitlog_core::ports::{Class, Clock as _, Durability, SessionStore};

use crate::lab::{Lab, MORNING, commit_of, token_of};
use crate::plan::Plan;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn what_an_event_says_of_time_is_no_activity_to_come() {
    for (ahead, lasts) in [(Duration::ZERO, 400 * DAY), (400 * DAY, Duration::ZERO)] {
        let mut lab = Lab::new(Plan::plain(Durability::Process));
        let bystander = lab.page(1, None, vec![]).visit.expect("a visit");
        let begun = lab.begin(2, None);
        let mut commit = commit_of(2, None, "shop.example", &begun, vec![]);
        if let Class::Page(event) = &mut commit.class {
            event.time = event.time.after(ahead);
            event.request.as_mut().expect("a page's").duration_us = lasts.as_micros() as u64;
        }
        let strange = lab.life.engine.commit(commit).decided().and_then(|done| done.as_ref().ok()?.visit);
        let strange = strange.expect("a visit");
        lab.settle();
        let before = lab.life.engine.now();
        lab.restart();
        assert_eq!(lab.life.engine.now(), before, "a restart takes no time");
        lab.turns(20, SECOND);
        assert_eq!(lab.life.engine.open_sessions(), 2, "nobody ends early");
        lab.turns(10, SECOND);
        for visit in [bystander, strange] {
            let end = &lab.visit(visit).end;
            assert_eq!(end.reason, EndReason::Expired);
            assert!(end.ended_at <= end.closed_at && end.closed_at < MORNING.after(Duration::from_secs(40)), "{end:?}");
        }
    }
}

#[test]
fn a_start_under_a_clock_ten_years_ahead_is_got_over() {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    let wrong = MORNING.after(3_650 * DAY);
    lab.clock.set(wrong);
    lab.restart();
    assert_eq!(lab.life.engine.now(), wrong, "nothing tells that it is");
    let first = lab.page(1, None, vec![]);
    let left = lab.page(2, None, vec![]).visit.expect("a visit");
    lab.turns(2, SECOND);
    lab.clock.set(MORNING);
    lab.restart();
    assert_eq!(lab.life.engine.now(), MORNING, "time is right again");
    lab.turns(20, SECOND);
    assert_eq!(lab.life.engine.open_sessions(), 2, "nobody ends at once");
    let begun = lab.begin(1, token_of(&first));
    assert!(first.visit.is_some_and(|visit| crate::lab::is_live_in(&begun, visit)));
    drop(lab.finish(1, token_of(&first), &begun, vec![]));
    lab.turns(10, SECOND);
    let open: Vec<_> = lab.life.engine.open_list();
    let ended = lab.delivered.iter().find(|ended| ended.visit == left);
    let ended = ended.unwrap_or_else(|| panic!("it lives for ten years: {:?}, {open:?}", lab.life.engine.now()));
    assert_eq!(ended.end.reason, EndReason::Expired);
    lab.restart();
    lab.turns(1, SECOND);
    assert!(lab.life.engine.now() < MORNING.after(Duration::from_secs(60)));
    lab.turns(40, SECOND);
    assert_eq!(lab.life.engine.open_sessions(), 0);
    let next = lab.page(3, None, vec![]).visit.expect("a visit");
    assert!(next.started_at() < MORNING.after(Duration::from_secs(120)));
}

#[test]
fn a_wall_clock_that_was_set_back_is_met_again_without_an_early_end() {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    let hour = Duration::from_secs(3_600);
    lab.clock.set(MORNING.after(hour));
    lab.restart();
    lab.page(1, None, vec![]);
    lab.clock.set(MORNING);
    lab.restart();
    assert_eq!(lab.life.engine.now(), MORNING.after(hour), "time does not run twice");
    lab.turns(24, SECOND);
    assert_eq!(lab.life.engine.open_sessions(), 1);
    let mut last = lab.life.engine.now();
    for _ in 0..2 * 3_600 {
        lab.turns(1, SECOND);
        assert!(lab.life.engine.now() >= last);
        last = lab.life.engine.now();
    }
    assert!(lab.life.engine.now().since(lab.clock.now()) < 3 * SECOND, "{:?}", lab.life.engine.ahead_of_wall_us());
}

#[test]
fn a_wall_clock_that_jumps_ends_nobody() {
    let mut lab = Lab::new(Plan::plain(Durability::Process));
    lab.page(1, None, vec![]);
    lab.turns(2, SECOND);
    lab.clock.set_wall_ahead(i64::try_from((30 * DAY).as_micros()).expect("small"));
    lab.turns(18, SECOND);
    assert_eq!(lab.life.engine.open_sessions(), 1);
    assert!(lab.life.engine.ahead_of_wall_us() < -29 * 86_400_000_000);
    // Back where it was.
    lab.clock.set_wall_ahead(0);
    lab.turns(10, SECOND);
    assert!(lab.life.engine.ahead_of_wall_us().abs() < 3_000_000);
    assert_eq!(lab.life.engine.open_sessions(), 0, "it has expired by now");
}
