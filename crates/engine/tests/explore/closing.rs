//! A journal that closes while it is used.

use shuttle::future::block_on;

use crate::explore;
use crate::store::{Setup, Store, join};

/// Requests, and the close.
fn closed() {
    let store = Store::new(Setup::default());
    store.engine.journal().let_answers_write();
    let mut threads: Vec<_> = (1..=3)
        .map(|n| {
            store.go(move |store| {
                let path = format!("/{n}");
                let Some(future) = store.request_unless_stopped(n, &path) else { return };
                match block_on(future) {
                    Ok(committed) => assert!(committed.durable),
                    Err(_) => store.forget(&path),
                }
            })
        })
        .collect();
    threads.push(store.go(|store| {
        store.engine.journal().close().expect("a working disk");
        let files = store.files();
        // Whatever the others still do.
        shuttle::thread::yield_now();
        drop(store.engine.journal().write_step());
        drop(store.engine.journal().sync_step());
        store.note_closed(files);
    }));
    join(threads);
    assert!(store.was_closed_with() == store.files(), "nothing is written behind a close");
    let again = store.killed();
    again.end_all();
    again.check_has_pages_of(&store);
}

#[test]
fn what_was_answered_before_a_close_is_there_and_nothing_is_written_behind_it() {
    explore(closed);
}
