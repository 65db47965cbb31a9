//! Answers that wait for the journal.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread::JoinHandle;
use visitlog_core::ports::{Durability, StoreError};
use visitlog_core::{Lsn, VisitId};
use visitlog_testkit::DiskCall;

use crate::explore;
use crate::store::{Setup, Store, join};

/// What happens to the journal while answers wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Nothing,
    /// A sync fails.
    Poisoned,
    /// A write fails once.
    Refused,
    Closed,
}

/// The writer's thread, as the driver has it.
fn writer(store: &Arc<Store>, stop: &Arc<AtomicBool>, durability: Durability) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    store.go(move |store| {
        let journal = store.engine.journal();
        while !stop.load(Ordering::SeqCst) {
            journal.wait_for_work(Duration::from_secs(1));
            let written = journal.write_step();
            if durability == Durability::Power && written.is_ok() && journal.sync_step().is_err() {
                return;
            }
            if written.is_err() && journal.poisoned().is_none() {
                // The pause until the next try.
                drop(journal.write_step());
            }
        }
    })
}

fn last_of(store: &Store, visit: VisitId) -> Option<Lsn> {
    store.engine.open_list().iter().find(|open| open.chain.visit == visit).map(|open| open.chain.last)
}

/// Three requests whose answers wait.
fn waiting(durability: Durability, answers_write: bool, fate: Fate) {
    let store = Store::new(Setup { durability, ..Setup::default() });
    if answers_write {
        store.engine.journal().let_answers_write();
    }
    match fate {
        Fate::Poisoned => store.disk.fail(DiskCall::Sync, 0, 1, io::ErrorKind::Other),
        Fate::Refused => store.disk.fail(DiskCall::Write, 0, 1, io::ErrorKind::Other),
        Fate::Nothing | Fate::Closed => {}
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = writer(&store, &stop, durability);
    let mut threads: Vec<_> = (1..=3)
        .map(|n| {
            store.go(move |store| {
                if fate == Fate::Closed && store.engine.journal().check().is_err() {
                    return;
                }
                let future = store.request_unless_stopped(n, &format!("/{n}"));
                let Some(future) = future else { return };
                let decided = future.decided().cloned();
                let last = decided.and_then(|decided| last_of(store, decided.ok()?.visit?));
                let answer = block_on(future);
                let journal = store.engine.journal();
                let end = if durability == Durability::Power { journal.synced() } else { journal.written() };
                match answer {
                    Ok(committed) if committed.durable => {
                        assert!(last.is_none_or(|last| last < end), "said to be durable too early");
                    }
                    Ok(_) => assert_eq!(fate, Fate::Refused, "not durable, and the disk takes everything"),
                    Err(StoreError::Stopped { .. }) => {
                        assert!(
                            matches!(fate, Fate::Poisoned | Fate::Closed),
                            "it has stopped, and nothing went wrong"
                        );
                    }
                    Err(error) => panic!("{error}"),
                }
            })
        })
        .collect();
    match fate {
        Fate::Closed => threads.push(store.go(|store| store.engine.journal().close().expect("a working disk"))),
        Fate::Poisoned if durability != Durability::Power => {
            threads.push(store.go(|store| store.engine.journal().sync_step()));
        }
        _ => {}
    }
    join(threads);
    stop.store(true, Ordering::SeqCst);
    store.engine.journal().wake_writer();
    join([writer]);
}

#[test]
fn an_answer_waits_until_it_is_written_and_no_longer() {
    explore(|| waiting(Durability::Process, false, Fate::Nothing));
}

#[test]
fn answers_that_write_wake_each_other() {
    explore(|| waiting(Durability::Process, true, Fate::Nothing));
}

#[test]
fn an_answer_in_power_waits_until_it_is_synced_and_no_longer() {
    explore(|| waiting(Durability::Power, false, Fate::Nothing));
}

#[test]
fn a_write_that_fails_lets_answers_go_and_says_so() {
    explore(|| waiting(Durability::Process, false, Fate::Refused));
    explore(|| waiting(Durability::Process, true, Fate::Refused));
}

#[test]
fn a_sync_that_fails_ends_every_wait() {
    explore(|| waiting(Durability::Power, false, Fate::Poisoned));
    explore(|| waiting(Durability::Process, true, Fate::Poisoned));
}

#[test]
fn closing_ends_every_wait() {
    explore(|| waiting(Durability::Process, false, Fate::Closed));
    explore(|| waiting(Durability::Process, true, Fate::Closed));
    explore(|| waiting(Durability::Power, false, Fate::Closed));
}
