//! What the machine records, and how much it does at once: of its own log and its own wheel, which no other store has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use visitlog_core::machine::{Call, Chain, Log, Sessions, ShardConfig, TickBudget};
use visitlog_core::model::Entry;
use visitlog_core::ports::{Arrival, Class, Commit, Op};
use visitlog_core::{Fingerprint, Fingerprints, Host, Lsn};
use visitlog_testkit::SimEntropy;
use visitlog_testkit::conformance::{MemoryUnderTest, Restarts, Tested, set, view};
use visitlog_testkit::samples::MORNING as START;

const MINUTES_30: u64 = 30 * 60;

#[test]
fn a_touch_slides_without_a_record_for_every_request() {
    let tested = Tested::<MemoryUnderTest>::new(Restarts::Never);
    let mut browser = tested.browser(1);
    browser.page("/");
    for _ in 0..100 {
        tested.clock.advance(Duration::from_millis(100));
        browser.fetch(Vec::new());
    }
    let touches = tested.store().entries().len();
    assert!((10..=13).contains(&touches), "{touches} records for 10 s of requests");
    tested.wait(MINUTES_30 - 1);
    tested.tick();
    assert_eq!(tested.open().len(), 1, "the last fetch slid it");
}

#[test]
fn one_commit_records_each_key_once() {
    let tested = Tested::<MemoryUnderTest>::new(Restarts::Never);
    let mut browser = tested.browser(1);
    let ops = (0..1_024).map(|_| set("k", "x".repeat(16_000))).collect();
    assert_eq!(browser.with_ops("/", ops).refused, 0);
    let fields: Vec<_> = tested
        .store()
        .entries()
        .into_iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Set { fields, .. } => Some(fields),
            _ => None,
        })
        .collect();
    assert_eq!((fields.len(), fields[0].len()), (1, 1));
    let ops = vec![set("a", 1), Op::Remove("k".into()), set("a", 2), Op::Remove("none".into()), set("b", 3)];
    browser.fetch(ops);
    let Some((_, Entry::Set { fields, .. })) =
        tested.store().entries().into_iter().rfind(|(_, entry)| matches!(entry, Entry::Set { .. }))
    else {
        panic!("recorded")
    };
    let expected: Vec<(Arc<str>, _)> =
        vec![("a".into(), Some(2.into())), ("b".into(), Some(3.into())), ("k".into(), None)];
    assert_eq!(fields, expected);
}

#[test]
fn a_turn_of_the_wheel_does_no_more_than_its_budget() {
    let (entropy, log) = (SimEntropy::new(1), Numbers::default());
    let sessions = Sessions::new(&ShardConfig::default(), 1, []);
    let call = |now| Call { log: &log, entropy: &entropy, now };
    for n in 0..100 {
        let prints = Fingerprints { today: Fingerprint(n), yesterday: Fingerprint(n + 1_000) };
        let host = Host::new("shop.example");
        let arrival = Arrival { host: host.clone(), token: None, fingerprint: prints, passive: false, cookies: true };
        let begun = sessions.begin(&call(START), &arrival);
        let commit = Commit {
            request: begun.request,
            at: begun.at,
            host,
            token: None,
            fingerprint: prints,
            standing: begun.standing,
            class: Class::Page(view("/", begun.at)),
            ops: Vec::new(),
            on_start: Vec::new(),
            facts: None,
            cookies: true,
        };
        sessions.commit(&call(START), commit, true);
    }
    let late = START.after(Duration::from_secs(3_600));
    let ticked = sessions.tick(&call(late), 0, TickBudget { ends: 7, looks: 1_000 });
    assert_eq!((ticked.ended, ticked.more, sessions.len()), (7, true, 93));
    let ticked = sessions.tick(&call(late), 0, TickBudget { ends: 1_000, looks: 5 });
    assert_eq!((ticked.ended, ticked.more, sessions.len()), (5, true, 88));
    let ticked = sessions.tick(&call(late), 0, TickBudget { ends: 88, looks: 88 });
    assert_eq!((ticked.ended, ticked.more, sessions.len()), (88, false, 0));
}

/// A log that only counts.
#[derive(Default)]
struct Numbers(AtomicU64);

impl Log for Numbers {
    fn append(&self, _chain: &Chain, _confirms: bool, _entry: &Entry) -> Lsn {
        Lsn(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
