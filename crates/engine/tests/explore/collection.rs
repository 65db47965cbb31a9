//! What lets old segments go, beside what still needs them.

use std::time::Duration;

use visitlog_engine::Upkeep;
use visitlog_engine::config::Mutations;

use crate::store::{IDLE, Setup, Store, join};
use crate::{explore, is_found};

/// A session in the oldest segment ends while the upkeep looks what may go.
fn ends_beside_the_upkeep(mutations: Mutations) {
    let store = Store::new(Setup { mutations, ..Setup::default() });
    let (old, _) = store.visitor(1, "/old");
    // Newer segments, and nothing else in them that has to stay.
    for n in 0..3 {
        let (visit, _) = store.visitor(10 + n, &format!("/{n}"));
        store.terminate(visit);
    }
    let (young, token) = store.visitor(2, "/young");
    store.settle();
    store.deliver();
    store.keep_up(3);
    join([
        store.go(move |store| store.terminate(old)),
        store.go(|store| store.keep_up(3)),
        store.go(move |store| {
            store.page(2, token, "/more");
            store.terminate(young);
        }),
    ]);
    store.end_all();
    store.check_delivered();
}

#[test]
fn nothing_goes_that_an_open_session_or_a_sink_needs() {
    explore(|| ends_beside_the_upkeep(Mutations::default()));
}

#[test]
fn that_sinks_are_asked_before_shards_is_found() {
    is_found(|| ends_beside_the_upkeep(Mutations { sinks_before_shards: true, ..Mutations::default() }));
}

/// Sessions of different shards end at once, and a sink takes what it is told of.
fn ends_beside_ends(mutations: Mutations) {
    let store = Store::new(Setup { mutations, ..Setup::default() });
    let visits: Vec<_> = (1..=3).map(|n| store.visitor(n, &format!("/{n}")).0).collect();
    let mut threads: Vec<_> = visits.into_iter().map(|visit| store.go(move |s| s.terminate(visit))).collect();
    threads.push(store.go(|store| {
        for _ in 0..3 {
            store.settle();
            store.lanes.step(store.engine.now());
        }
    }));
    join(threads);
    store.end_all();
    store.check_delivered();
}

#[test]
fn a_sink_gets_every_end_in_whatever_order_they_happen() {
    explore(|| ends_beside_ends(Mutations::default()));
}

#[test]
fn that_ends_are_told_outside_of_the_append_lock_is_found() {
    is_found(|| ends_beside_ends(Mutations { end_told_late: true, ..Mutations::default() }));
}

/// A session gets pages, and ends, while it is carried in small pieces; then the process is killed, or not.
fn carried(ends: bool) {
    let setup = Setup { carry_from_bytes: 1, upkeep_bytes_at_once: 200, ..Setup::default() };
    let store = Store::new(setup);
    let (visit, token) = store.visitor(1, "/0");
    for n in 1..8 {
        store.page(1, token, &format!("/{n}"));
    }
    store.settle();
    join([
        store.go(move |store| {
            store.page(1, token, "/meanwhile");
            store.page(1, token, "/and more");
        }),
        store.go(move |store| {
            if ends {
                store.terminate(visit);
            } else {
                store.sweep_after(Duration::from_secs(1));
            }
        }),
        store.go(|store| {
            let mut upkeep = Upkeep::default();
            for _ in 0..12 {
                upkeep.step(&store.engine).expect("a working disk");
                store.settle();
            }
        }),
    ]);
    store.engine.check_invariants().expect("all hold");
    store.settle();
    let again = store.killed();
    again.end_all();
    again.check_delivered_of(&store);
}

#[test]
fn a_session_that_gets_pages_while_it_is_carried_is_whole_after_a_restart() {
    explore(|| carried(false));
}

#[test]
fn a_session_that_ends_while_it_is_carried_ends_once_and_whole_after_a_restart() {
    explore(|| carried(true));
}

/// The sink acknowledges, the upkeep writes bases and collects, sessions go on; then the process is killed.
fn acknowledged() {
    let store = Store::new(Setup { carry_from_bytes: 1, ..Setup::default() });
    let (_, token) = store.visitor(1, "/0");
    for n in 0..3 {
        let (visit, _) = store.visitor(10 + n, &format!("/{n} of three"));
        store.terminate(visit);
    }
    store.settle();
    join([
        store.go(|store| {
            for _ in 0..3 {
                store.lanes.step(store.engine.now());
            }
        }),
        store.go(|store| store.keep_up(4)),
        store.go(move |store| store.page(1, token, "/1")),
    ]);
    store.sweep_after(IDLE * 2);
    store.end_all();
    store.check_delivered();
}

#[test]
fn what_a_sink_acknowledges_goes_and_nothing_else() {
    explore(acknowledged);
}
