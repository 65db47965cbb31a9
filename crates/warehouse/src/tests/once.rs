use std::sync::Arc;

use deltalake::datafusion::prelude::SessionContext;
use visitlog_core::Lsn;
use visitlog_core::ports::{Delivery, SinkError, StreamId, VisitSink as _};

use super::lab::{JOURNAL, Lab, Trouble, check, nth};
use crate::store::DurableStore;
use crate::store::fault::{Fault, FaultStore};
use crate::views::{DeltaTables, Tables as _};

#[test]
fn what_is_flushed_is_there_after_a_restart_and_comes_once_on_a_real_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let place = dir.path().join("tables");
    let mut lab = Lab::on(Arc::new(DurableStore::new()), place.to_str().expect("a text"));
    let mut process = lab.start();
    lab.feed_all(&mut process, 25, 12);
    check(&process.warehouse, 25, "flushed three times");
    assert_eq!(process.warehouse.cursors(JOURNAL).expect("cursors").map(|(_, lsn)| lsn), [Some(Lsn(2_500)); 3]);
    let status = process.warehouse.status().expect("figures");
    assert_eq!((status[0].rows, status[1].rows, status[0].files), (25, 75, 5), "{status:?}");
    drop(process);

    // The acknowledgements of the last two flushes were lost.
    let mut process = lab.start();
    lab.acknowledged = Lsn(1_200);
    lab.feed(&mut process, 31, 5).expect("a working store");
    check(&process.warehouse, 31, "after losing acknowledgements");
    lab.acknowledged = Lsn(0);
    lab.feed(&mut process, 20, 5).expect("a working store");
    check(&process.warehouse, 31, "all of it was there");
}

#[test]
fn readers_see_tables_and_cursors_of_one_moment() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let reader = |journal| DeltaTables::of(&process.warehouse, journal, Arc::new(SessionContext::new().state()));
    let (reader, other) = (reader(JOURNAL), reader(1));
    let cursors = |tables: &DeltaTables| {
        let stored = runtime.block_on(tables.snapshot(None)).expect("a view");
        [stored.visits, stored.events, stored.requests].map(|table| table.expect("a table").cursor)
    };
    assert_eq!(cursors(&reader), [Lsn::NONE; 3]);
    lab.feed_all(&mut process, 12, 6);
    assert_eq!(cursors(&reader), [Lsn(1_200); 3]);
    lab.feed_all(&mut process, 14, 6);
    assert_eq!(cursors(&reader), [Lsn(1_400); 3]);
    assert_eq!(cursors(&other), [Lsn::NONE; 3], "another journal");
}

#[test]
fn a_full_buffer_asks_for_a_flush() {
    let mut lab = Lab::new();
    lab.settings.buffer_bytes_max = 1;
    let mut process = lab.start();
    assert!(matches!(process.sink.deliver(&[nth(0)]).expect("taken"), Delivery::Full));
    process.sink.flush().expect("a working store");
    check(&process.warehouse, 1, "one");
}

/// Lives through a fault: flushes, merges, vacuums; a call that fails is made again, as the driver does, and after a
/// crash the next process goes on behind the acknowledgement.
fn live(lab: &mut Lab, store: FaultStore, heals: bool) -> u64 {
    let to = 30;
    let (mut store, mut first_calls) = (store, None);
    for attempt in 0.. {
        assert!(attempt < 40, "it never gets through");
        if store.is_dead() {
            first_calls.get_or_insert(store.calls());
            store = FaultStore::new(Arc::clone(&lab.disk));
        }
        if heals && attempt > 2 {
            store.heal();
        }
        let mut process = match lab.start_on(&store, 1_000) {
            Ok(process) => process,
            Err(Trouble::Sink(error)) => {
                assert!(error.is_retryable(), "{error}");
                continue;
            }
            Err(Trouble::Warehouse(error)) => {
                assert!(error.is_retryable(), "{error}");
                continue;
            }
        };
        let mut is_done = true;
        for upto in [8, 16, 24, to] {
            let fed = (0..3).find_map(|_| lab.feed(&mut process, upto, 5).ok());
            is_done &= fed.is_some();
            // Failures of the upkeep are its own.
            let _ = process.warehouse.upkeep_step();
        }
        if is_done && !store.is_dead() {
            while process.warehouse.upkeep_step().is_ok_and(|worked| worked) && !store.is_dead() {}
        }
        if is_done && !store.is_dead() {
            return first_calls.unwrap_or(store.calls());
        }
    }
    unreachable!("it returns or fails")
}

#[test]
fn once_whichever_call_of_the_store_fails_and_whenever_a_crash_comes() {
    let calls = {
        let mut lab = Lab::new();
        let store = FaultStore::new(Arc::clone(&lab.disk));
        let calls = live(&mut lab, store, false);
        check(&lab.start().warehouse, 30, "nothing fails");
        calls
    };
    assert!(calls > 150, "only {calls} calls: is everything exercised?");
    // Each call meets some of the faults; across neighbours, all of them meet all kinds of calls.
    let faults = [Fault::Fails, Fault::CrashesAfter, Fault::Lies, Fault::CrashesBefore];
    let turns: Vec<(u64, Fault)> = (1..=calls)
        .flat_map(|call| {
            faults.into_iter().zip(0..).filter(move |(_, n)| (call + n) % 3 == 0).map(move |(f, _)| (call, f))
        })
        .collect();
    std::thread::scope(|threads| {
        for turns in turns.chunks(turns.len().div_ceil(4)) {
            threads.spawn(move || turns.iter().for_each(|(call, fault)| meets(*call, *fault)));
        }
    });
}

fn meets(call: u64, fault: Fault) {
    let mut lab = Lab::new();
    let store = FaultStore::new(Arc::clone(&lab.disk));
    store.at(call, fault);
    live(&mut lab, store, false);
    check(&lab.start().warehouse, 30, &format!("call {call}, {fault:?}"));
}

#[test]
fn once_after_the_disk_was_full() {
    for call in (1..150).step_by(7) {
        let mut lab = Lab::new();
        let store = FaultStore::new(Arc::clone(&lab.disk));
        store.at(call, Fault::Full);
        live(&mut lab, store, true);
        check(&lab.start().warehouse, 30, &format!("full from call {call}"));
    }
}

#[test]
fn what_the_tables_had_is_acknowledged_though_the_rest_can_not_be_flushed() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    lab.feed_all(&mut process, 10, 5);
    // The acknowledgements were lost in a crash, and now the disk is full.
    lab.acknowledged = Lsn::NONE;
    let store = FaultStore::new(Arc::clone(&lab.disk));
    let mut process = lab.start_on(&store, 1_000).expect("a working store");
    store.at(1, Fault::Full);
    let rest = lab.feed(&mut process, 20, 5).expect_err("ten visits don't fit");
    assert!(rest.is_retryable(), "{rest}");
    assert_eq!(lab.acknowledged, nth(9).0, "the other ten are there");
    check(&process.warehouse, 10, "nothing of the rest");
    store.heal();
    lab.feed(&mut process, 20, 5).expect("space again");
    check(&lab.start().warehouse, 20, "each once");
}

#[test]
fn once_though_the_store_hangs_and_who_reads_does_not_wait() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut hung = 0;
    for call in (1..80).step_by(4) {
        let mut lab = Lab::new();
        let store = FaultStore::new(Arc::clone(&lab.disk));
        let mut process = lab.start_on(&store, 1_000).expect("a working store");
        let reader = DeltaTables::of(&process.warehouse, JOURNAL, Arc::new(SessionContext::new().state()));
        lab.feed(&mut process, 5, 5).expect("a working store");
        store.at(call, Fault::Hangs);
        std::thread::scope(|threads| {
            let feeding = threads.spawn(|| {
                for to in [12, 18, 24, 30] {
                    lab.feed(&mut process, to, 5).expect("it was only slow");
                    process.warehouse.upkeep_step().expect("it was only slow");
                }
            });
            while !store.is_hanging() && !feeding.is_finished() {
                std::thread::yield_now();
            }
            if store.is_hanging() {
                hung += 1;
                let seen = runtime.block_on(reader.snapshot(None)).expect("a view");
                let cursors = [seen.visits, seen.events].map(|table| table.expect("a table").cursor);
                assert!(cursors.iter().all(|cursor| *cursor >= Lsn(500)), "call {call}: {cursors:?}");
                assert!(!feeding.is_finished(), "call {call}: it did not wait for the store");
                store.heal();
            }
            feeding.join().expect("it gets through");
        });
        check(&lab.start().warehouse, 30, &format!("hung from call {call}"));
    }
    assert!(hung > 15, "only {hung} calls hung");
}

#[test]
fn a_journal_that_is_older_than_the_tables_is_refused_and_another_one_is_not() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    lab.feed_all(&mut process, 20, 20);
    let Err(Trouble::Sink(error)) = lab.start_on(&FaultStore::new(Arc::clone(&lab.disk)), 10) else {
        panic!("tables ahead of the journal are not refused");
    };
    assert!(matches!(error, SinkError::Changed { .. }), "{error}");
    assert!(error.to_string().contains("lsn 1100 expected, up to 2000 found"), "{error}");
    process.sink.attach(StreamId(JOURNAL + 1), Lsn(1)).expect("another journal");
}

#[test]
fn tables_that_are_older_than_the_acknowledgement_are_refused() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    lab.feed_all(&mut process, 20, 20);
    let place = |lsn: u64| [&[1][..], &lsn.to_le_bytes()].concat();
    process.sink.resume(Some(&place(2_000)), &[]).expect("as it was left");
    let error = process.sink.resume(Some(&place(2_001)), &[]).expect_err("visits are missing");
    assert!(matches!(error, SinkError::Changed { .. }), "{error}");
    let error = process.sink.resume(Some(&[9]), &[]).expect_err("no place of ours");
    assert!(matches!(error, SinkError::Changed { .. }), "{error}");
}

#[test]
fn two_writers_with_one_journal_add_each_visit_once() {
    let mut lab = Lab::new();
    let (mut one, mut two) = (lab.start(), lab.start());
    lab.feed(&mut one, 10, 4).expect("a working store");
    lab.acknowledged = Lsn::NONE;
    // The other has read the tables before. Its commit comes to a table that has these visits by now.
    match lab.feed(&mut two, 10, 4) {
        Ok(()) => {}
        Err(error) => assert!(error.is_retryable(), "{error}"),
    }
    lab.acknowledged = Lsn::NONE;
    lab.feed(&mut two, 12, 4).expect("it has read the table again");
    check(&lab.start().warehouse, 12, "two writers");
}
