//! The journal on a real disk, with the threads that it has in life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use visitlog_core::ports::Durability;
use visitlog_core::{Lsn, VisitId};

use super::support::{UUID, append, page, start, visit};
use crate::adapters::RealDisk;
use crate::journal::{BaseItem, Config, Journal, Kind};

const TASKS: u64 = 64;
const EVENTS: u64 = 150;

/// Longer than the test may take: nobody is woken by the time alone.
const FOREVER: Duration = Duration::from_secs(3_600);

/// Writes, and in `power` syncs, as the driver's thread does.
fn drive(journal: Arc<Journal>, stop: Arc<AtomicBool>, durability: Durability) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            journal.wait_for_work(FOREVER);
            journal.write_step().expect("written");
            if durability == Durability::Power {
                journal.sync_step().expect("synced");
            }
        }
        while journal.write_step().expect("written") || journal.sync_step().expect("synced") {}
    })
}

/// Syncs, reads what it can and collects nothing that is needed, at the same time.
fn disturb(journal: Arc<Journal>, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut read = 0;
        while !stop.load(Ordering::SeqCst) {
            journal.sync_step().expect("synced");
            if journal.base_due() {
                let base = journal.begin_base();
                journal.appender().append_base(&[BaseItem::Site("shop.example".to_owned())]);
                journal.finish_base(base);
            }
            journal.collect(Lsn(64)).expect("collected");
            let n = read % TASKS;
            let lsn = append(&journal, visit(1_000 + n), Lsn::NONE, &page(n));
            assert_eq!(journal.read(visit(1_000 + n), lsn).expect("its own record").0.entry, page(n));
            read += 1;
            std::thread::yield_now();
        }
        read
    })
}

fn work(journal: &Arc<Journal>) -> Vec<(VisitId, Lsn)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let journal = Arc::clone(journal);
            runtime.spawn(async move {
                let mut last = append(&journal, visit(n), Lsn::NONE, &start(n));
                for step in 1..=EVENTS {
                    assert_eq!(journal.wait(last).await, Ok(true));
                    last = append(&journal, visit(n), last, &page(100 * n + step));
                }
                assert_eq!(journal.wait(last).await, Ok(true));
                (visit(n), last)
            })
        })
        .collect();
    runtime.block_on(async {
        let mut ends = Vec::new();
        for task in tasks {
            ends.push(task.await.expect("every task is woken"));
        }
        ends
    })
}

fn live(durability: Durability, answers_write: bool) {
    let dir = tempfile::tempdir().expect("a folder");
    let config = Config { durability, segment_bytes: 64 * 1024, ..Config::default() };
    let open = |found: &mut u64| {
        let opened = Journal::open(Arc::new(RealDisk), dir.path(), config.clone(), UUID, |record| {
            *found += u64::from(matches!(record.kind, Kind::Start | Kind::Event));
        });
        Arc::new(opened.expect("opened").0)
    };
    let journal = open(&mut 0);
    if answers_write {
        journal.let_answers_write();
    }
    let (stop, quiet) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let writer = drive(Arc::clone(&journal), Arc::clone(&stop), durability);
    let other = disturb(Arc::clone(&journal), Arc::clone(&quiet));
    let ends = work(&journal);
    quiet.store(true, Ordering::SeqCst);
    let others = other.join().expect("the reader");
    // Only now: what it appended last has to be written too.
    stop.store(true, Ordering::SeqCst);
    journal.wake_writer();
    writer.join().expect("the writer");
    let check = |journal: &Journal| {
        for chain in journal.read_chains(&ends, usize::MAX) {
            assert_eq!(chain.expect("read").len() as u64, EVENTS + 1);
        }
    };
    check(&journal);
    drop(journal);
    let mut found = 0;
    let journal = open(&mut found);
    assert_eq!(found, TASKS * (EVENTS + 1) + others);
    check(&journal);
}

#[test]
fn many_tasks_wait_for_writes() {
    live(Durability::Process, false);
}

#[test]
fn many_tasks_write_themselves() {
    live(Durability::Process, true);
}

#[test]
fn many_tasks_wait_for_syncs() {
    live(Durability::Power, false);
}
