//! What strangers can fill stays within its budget, and visitors who are known go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use visitlog_core::machine::{Budget, Call, Chain, Log, Sessions, ShardConfig, TickBudget};
use visitlog_core::model::Entry;
use visitlog_core::ports::{Arrival, Class, Commit, Op, Outcome, Standing};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Fingerprint, Fingerprints, Host, Lsn, limits};
use visitlog_testkit::SimEntropy;

use crate::browser::{START, World, is_live, login, set, view};

fn world(budget: Budget) -> World {
    World::configured(&ShardConfig { budget, ..ShardConfig::default() }, true)
}

#[test]
fn a_stranger_who_says_goodbye_in_each_request_mints_no_session_for_each() {
    let world = World::new();
    let mut bot = world.browser(1);
    bot.keeps_cookies = false;
    for n in 0..20_000 {
        if n % 100 == 0 {
            world.wait(1);
        }
        bot.with_ops("/logout", vec![Op::Logout]);
    }
    let mut tombs = 0;
    world.store.for_each_shard(|shard| tombs += shard.tombstones().count());
    let sessions = world.store.ended().len() + world.store.open().len();
    // 63 of its own, and the shared one, which is full after 10,000 events.
    assert!(sessions <= 66 && tombs <= 66, "{sessions} sessions, {tombs} tombstones");
    assert_eq!(world.store.entries().iter().filter(|(_, entry)| is_view(entry)).count(), 20_000);
}

fn is_view(entry: &Entry) -> bool {
    matches!(entry, Entry::Event(event) if event.request.is_some())
}

#[test]
fn a_stranger_who_logs_in_with_each_request_has_64_sessions_at_once() {
    let world = World::new();
    let mut bot = world.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..1_000 {
        assert_eq!(bot.with_ops("/", vec![login("robot")]).outcome, Outcome::Started);
    }
    assert!(world.store.open().len() <= 64, "{}", world.store.open().len());
    assert!(world.store.sessions().counts().evicted_fingerprint >= 936);
}

#[test]
fn a_flood_of_provisional_sessions_evicts_the_oldest_of_them() {
    let world = world(Budget { provisional: 40, ..Budget::default() });
    let mut known = world.browser(1);
    known.page("/");
    known.asset();
    for n in 10..2_000 {
        if n % 4 == 0 {
            world.wait(1);
        }
        world.browser(n).page("/");
    }
    let open = world.store.open();
    assert!(open.len() <= 41, "{}", open.len());
    assert!(is_live(&known.begin(true).begun).is_some());
    let counts = world.store.sessions().counts();
    assert!(counts.evicted_provisional >= 1_900 && counts.evicted_open == 0, "{counts:?}");
}

#[test]
fn an_idle_session_goes_before_a_busy_one() {
    let world = world(Budget { open_sessions: 32, ..Budget::default() });
    let mut busy = world.browser(1);
    busy.page("/");
    busy.asset();
    world.wait(60);
    for n in 10..26 {
        let mut idle = world.browser(n);
        idle.page("/");
        idle.asset();
    }
    for _ in 0..27 {
        world.wait(60);
        busy.page("/again");
    }
    for n in 100..160 {
        let mut new = world.browser(n);
        new.page("/");
        new.asset();
        assert!(is_live(&busy.begin(true).begun).is_some(), "the busy one went when {n} came");
    }
}

#[test]
fn tombstones_are_bounded_and_a_flood_pushes_out_nobody_who_is_known() {
    let world = world(Budget { tombstones: 640, ..Budget::default() });
    let mut known = world.browser(1);
    known.page("/");
    known.fetch(vec![Op::Logout]);
    for n in 10..5_000 {
        let mut stranger = world.browser(n);
        stranger.keeps_cookies = false;
        stranger.with_ops("/", vec![Op::Abandon]);
    }
    let (mut tombs, mut is_known) = (0, false);
    world.store.for_each_shard(|shard| {
        tombs += shard.tombstones().count();
        is_known |= shard.tombstones().any(|tomb| Some(tomb.visit) == known.token.and_then(|token| token.visit));
    });
    assert!(tombs <= 640 && is_known, "{tombs}");
    assert!(world.store.sessions().counts().tombstones_forgotten > 0);
}

#[test]
fn forged_hosts_make_room_again_when_nobody_has_asked_for_them_for_a_day() {
    let world = World::new();
    for n in 0..limits::SITES_MAX as u64 {
        let mut forger = world.browser(n);
        forger.host = Host::new(&format!("forged-{n}.example"));
        forger.page("/");
        forger.asset();
    }
    let mut real = world.browser(5_000);
    real.page("/");
    real.asset();
    assert!(!world.store.sites().contains(&"shop.example".to_owned()));
    assert_eq!(world.store.sessions().counts().sites_refused, 1);
    world.wait(90_000);
    world.tick();
    real.page("/");
    real.asset();
    assert!(world.store.sites().contains(&"shop.example".to_owned()));
    assert_eq!(world.store.sites().len(), limits::SITES_MAX);
}

#[test]
fn one_commit_records_each_key_once() {
    let world = World::new();
    let mut browser = world.browser(1);
    let ops = (0..1_024).map(|_| set("k", "x".repeat(16_000))).collect();
    assert_eq!(browser.with_ops("/", ops).refused, 0);
    let fields: Vec<_> = world
        .store
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
        world.store.entries().into_iter().rfind(|(_, entry)| matches!(entry, Entry::Set { .. }))
    else {
        panic!("recorded")
    };
    let expected: Vec<(Arc<str>, _)> =
        vec![("a".into(), Some(2.into())), ("b".into(), Some(3.into())), ("k".into(), None)];
    assert_eq!(fields, expected);
}

#[test]
fn a_confirmation_tells_the_index_by_fingerprint() {
    let world = World::new();
    for round in 0..5 {
        let mut browser = world.browser(1);
        browser.page("/");
        browser.asset();
        world.wait(11);
        let next = world.browser(1).begin(false);
        assert!(matches!(next.begun.standing, Standing::Fresh(_)), "round {round}: it keeps cookies");
    }
}

#[test]
fn a_restart_forgets_no_cookieless_fingerprint_and_no_rules() {
    let world = World::new();
    let mut bot = world.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..63 {
        bot.page("/");
    }
    assert!(matches!(bot.begin(false).begun.standing, Standing::Shared { .. }));
    world.store.restart();
    assert!(matches!(bot.begin(false).begun.standing, Standing::Shared { .. }));
}

#[test]
fn a_restart_goes_by_the_sessions_own_rules_and_not_by_the_first() {
    let slow = SiteRules { idle_timeout: Duration::from_secs(7_200), ..SiteRules::default() };
    let config = ShardConfig {
        rules: Arc::new([SiteRules::default(), slow]),
        rules_by_host: Arc::new(HashMap::from([(Host::new("slow.example"), 1)])),
        ..ShardConfig::default()
    };
    let world = World::configured(&config, true);
    let mut browser = world.browser(1);
    browser.host = Host::new("slow.example");
    browser.page("/");
    browser.asset();
    world.store.restart();
    world.wait(3_600);
    world.tick();
    assert!(is_live(&browser.begin(true).begun).is_some());
    world.wait(7_300);
    world.tick();
    assert_eq!(world.reasons(), ["expired"]);
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
