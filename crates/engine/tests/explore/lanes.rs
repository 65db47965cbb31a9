//! A lane that people pause, resume and reopen, while visits end and it acknowledges.

use crate::explore;
use crate::store::{SINK, Setup, Store, join};

fn told() {
    let store = Store::new(Setup::default());
    let visits: Vec<_> = (1..=4).map(|n| store.visitor(n, &format!("/{n}")).0).collect();
    join([
        store.go(move |store| {
            for visit in visits {
                store.terminate(visit);
            }
        }),
        store.go(|store| {
            for _ in 0..5 {
                store.settle();
                store.engine.ended().tell_synced();
                store.lanes.step(store.engine.now());
            }
        }),
        store.go(|store| {
            store.lanes.pause(SINK);
            store.lanes.reopen(SINK);
            store.lanes.resume(SINK);
        }),
        store.go(|store| {
            for _ in 0..3 {
                let status = store.lanes.status();
                assert_eq!(status.len(), 1);
                store.lanes.without(store.engine.journal().synced());
            }
        }),
    ]);
    store.end_all();
    store.check_delivered();
    store.settle();
    // Once what was acknowledged is on stable storage, nothing waits.
    assert!(store.lanes.without(store.engine.journal().synced()).is_empty());
}

#[test]
fn a_lane_that_is_told_things_gives_every_visit_once() {
    explore(told);
}
