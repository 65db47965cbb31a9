//! What the engine has to do around the machine: what a refusal leaves behind, and what a restart must find again.

use std::time::Duration;

use visitlog_core::model::EndReason;
use visitlog_core::ports::{Committed, Durability, Outcome, SessionStore, Standing, StoreError, Token};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Host, VisitId};

use crate::lab::{Lab, arrival, commit_of, is_live_in, token_of};
use crate::plan::Plan;

const SECOND: Duration = Duration::from_secs(1);
/// A session is to be confirmed within ten seconds.
const UNCONFIRMED: Duration = Duration::from_secs(11);

/// A store whose sessions last.
fn patient() -> Lab {
    let mut plan = Plan::plain(Durability::Process);
    plan.rules.idle_timeout = Duration::from_secs(500);
    Lab::new(plan)
}

fn is_shared(lab: &Lab, print: u64) -> bool {
    matches!(lab.begin(print, None).standing, Standing::Shared { .. })
}

#[test]
fn a_commit_that_is_refused_holds_its_session_no_longer() {
    let mut plan = Plan::plain(Durability::Process);
    plan.unwritten_bytes_max = 4 * 1_024;
    let mut lab = Lab::new(plan);
    let first = lab.page(1, None, vec![]);
    let begun = lab.begin(1, token_of(&first));
    assert!(is_live_in(&begun, first.visit.expect("started")));
    let mut print = 2;
    while lab.life.journal().check().is_ok() {
        let other = lab.begin(print, None);
        drop(lab.finish(print, None, &other, vec![]));
        print += 1;
    }
    let refused = lab.finish(1, token_of(&first), &begun, vec![]);
    assert!(matches!(refused.decided(), Some(Err(StoreError::Unavailable { .. }))), "{refused:?}");
    lab.settle();
    lab.wait(Duration::from_secs(30));
    lab.turns(2, SECOND);
    assert_eq!(lab.life.engine.open_sessions(), 0, "idle for longer than it may be");
}

#[test]
fn who_returns_cookies_is_taken_for_somebody_who_keeps_them() {
    let lab = patient();
    for _ in 0..5 {
        let first = lab.page(1, None, vec![]);
        assert!(is_live_in(&lab.begin(1, token_of(&first)), first.visit.expect("one of its own")));
        lab.wait(UNCONFIRMED);
    }
    assert!(!is_shared(&lab, 1));
}

#[test]
fn who_keeps_no_cookies_is_known_after_a_restart() {
    let mut lab = patient();
    for _ in 0..3 {
        lab.page(1, None, vec![]);
        lab.wait(UNCONFIRMED);
    }
    assert!(is_shared(&lab, 1));
    lab.restart();
    assert!(is_shared(&lab, 1) && !is_shared(&lab, 2));
    assert_eq!(lab.page(1, None, vec![]).outcome, Outcome::Shared);
    assert_eq!(lab.life.engine.open_sessions(), 4);
    lab.restart();
    assert_eq!(lab.page(1, None, vec![]).outcome, Outcome::Shared);
    assert_eq!(lab.life.engine.open_sessions(), 4, "it is the same that they share");
}

const SLOW: &str = "slow.example";

/// A store with a site whose sessions last longer than those of the others.
fn two_sites() -> Lab {
    let mut plan = Plan::plain(Durability::Process);
    let own = SiteRules {
        idle_timeout: Duration::from_secs(300),
        max_age: Duration::from_secs(3_600),
        ..SiteRules::default()
    };
    plan.sites = vec![(Host::new("shop.example"), None), (Host::new(SLOW), Some(own))];
    Lab::new(plan)
}

fn slow_page(lab: &Lab, print: u64, token: Option<Token>) -> Committed {
    let begun = lab.life.engine.begin(arrival(print, token, SLOW)).now().expect("at once").expect("it takes more");
    let mut future = lab.life.engine.commit(commit_of(print, token, SLOW, &begun, vec![]));
    lab.settle();
    future.poll_now().expect("written and synced").expect("taken")
}

fn is_open(lab: &Lab, visit: VisitId) -> bool {
    lab.life.engine.open_list().iter().any(|open| open.chain.visit == visit)
}

#[test]
fn a_site_has_its_own_rules_after_a_restart() {
    let mut lab = two_sites();
    let visit = slow_page(&lab, 1, None).visit.expect("started");
    lab.restart();
    lab.wait(Duration::from_secs(200));
    lab.turns(2, SECOND);
    assert!(is_open(&lab, visit), "it may be idle for longer than the others");
    lab.wait(Duration::from_secs(200));
    lab.turns(3, SECOND);
    assert_eq!(lab.visit(visit).end.reason, EndReason::Expired);
}

#[test]
fn a_terminated_session_is_remembered_for_as_long_as_its_site_says_after_a_restart() {
    let mut lab = two_sites();
    let first = slow_page(&lab, 1, None);
    let visit = first.visit.expect("started");
    assert!(lab.life.engine.end_session(visit).expect("taken").0);
    lab.settle();
    lab.restart();
    // Longer than the other site's sessions can last.
    lab.wait(Duration::from_secs(1_200));
    // Each shard forgets those whose time has passed when one more is to be remembered.
    for print in 100..200 {
        let other = lab.page(print, None, vec![]).visit.expect("started");
        assert!(lab.life.engine.end_session(other).expect("taken").0);
    }
    for _ in 0..2 {
        assert_eq!(
            slow_page(&lab, 1, token_of(&first)).outcome,
            Outcome::Started,
            "it brings no two requests together"
        );
    }
}

#[test]
fn a_base_says_until_when_an_ended_session_is_remembered() {
    let mut plan = two_sites().plan;
    plan.segment_bytes = 4 * 1_024;
    plan.rules.max_age = Duration::from_secs(86_400);
    let mut lab = Lab::new(plan);
    let end = |lab: &Lab, print| {
        let visit = slow_page(lab, print, None).visit.expect("started");
        assert!(lab.life.engine.end_session(visit).expect("taken").0);
        lab.settle();
    };
    (0..40).for_each(|print| end(&lab, print));
    let upto = lab.life.journal().appended();
    for print in 1_000..1_200 {
        lab.page(print, None, vec![]);
        lab.turns(1, SECOND);
    }
    assert!(lab.life.journal().oldest() > upto, "their ends are in segments that are gone");
    lab.restart();
    lab.wait(Duration::from_secs(3_700));
    (2_000..2_200).for_each(|print| end(&lab, print));
    assert_eq!(lab.life.engine.budget_used().tombstones, 200, "the first are forgotten when their site says");
}

#[test]
fn twins_of_an_old_token_meet_over_a_restart() {
    let mut lab = patient();
    let first = lab.page(1, None, vec![]);
    let with_visit = token_of(&first);
    let without = with_visit.map(|token| Token { visit: None, ..token });
    lab.wait(Duration::from_secs(501));
    lab.turns(2, SECOND);
    for (print, token) in [(1, with_visit), (2, without)] {
        let second = lab.page(print, token, vec![]);
        assert_eq!(second.outcome, Outcome::Started);
        let visit = second.visit.expect("started");
        lab.restart();
        let begun = lab.begin(print, token);
        assert!(is_live_in(&begun, visit), "{token:?}");
        assert_eq!(
            lab.finish(print, token, &begun, vec![]).decided().map(|done| done.clone().map(|done| done.issue)),
            Some(Ok(second.issue))
        );
        let other_hands = token.map(|token| Token { rotation: token.rotation + 1, ..token });
        assert!(!is_live_in(&lab.begin(print, other_hands), visit), "one of another rotation");
        assert!(!is_live_in(&lab.begin(print + 10, token), visit), "from elsewhere");
        lab.settle();
        lab.wait(11 * SECOND);
        assert!(!is_live_in(&lab.begin(print, token), visit), "for a moment only");
    }
}
