//! How fast the journal is: append and write, writers that wait, chains, recovery. Medians of a few runs, on a folder
//! of the system's temporary one (`VISITLOG_BENCH_DIR` names another).
//!
//! `cargo bench -p visitlog-engine --bench journal [-- WORD]`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
#![expect(clippy::print_stdout, reason = "a benchmark reports")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where something fails")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use visitlog_core::model::{End, EndReason, Entry, Event, EventKind, RequestFacts};
use visitlog_core::ports::Durability;
use visitlog_core::{Lsn, Timestamp, VisitId};
use visitlog_engine::adapters::RealDisk;
use visitlog_engine::journal::{Config, Flags, Journal};

const RUNS: usize = 3;
const SESSIONS: u64 = 300_000;
const EVENTS: u64 = 10;

fn main() {
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |name: &str| word.as_ref().is_none_or(|word| name.contains(word.as_str()));
    if wanted("append") {
        median("append and write, relaxed, events/s", append_relaxed);
    }
    if wanted("waiters") {
        median("1,024 writers that wait, process, events/s", waiters);
    }
    if wanted("chains") {
        chains();
    }
}

fn median(what: &str, run: impl Fn(&Path) -> f64) {
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| {
            let dir = folder();
            run(dir.path())
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{what}: {:.0} (of {rates:.0?})", rates[RUNS / 2]);
}

fn folder() -> tempfile::TempDir {
    match std::env::var_os("VISITLOG_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

fn open(dir: &Path, durability: Durability) -> Arc<Journal> {
    let config = Config { durability, ..Config::default() };
    Arc::new(Journal::open(Arc::new(RealDisk), dir, config, 1, |_| {}).unwrap().0)
}

fn page(n: u64) -> Entry {
    Entry::Event(Event {
        time: Timestamp::from_micros(1_763_700_000_000_000 + n as i64),
        kind: EventKind::PageView,
        name: None,
        type_: None,
        request: Some(Box::new(RequestFacts {
            host: None,
            path: "/products/4711".into(),
            query: None,
            route: Some("/products/{id}".into()),
            method: "GET".into(),
            status: 200,
            duration_us: 1_500,
            bytes: Some(4_711),
            referrer: None,
        })),
        properties: None,
    })
}

fn end() -> Entry {
    Entry::End(Box::new(End {
        reason: EndReason::Expired,
        ended_at: Timestamp::from_secs(1_763_700_000),
        closed_at: Timestamp::from_secs(1_763_701_800),
        site: "shop.example".into(),
        confirmed: true,
        user: None,
        values: Arc::default(),
    }))
}

/// The writer's and the syncer's threads, as the driver has them.
fn threads(journal: &Arc<Journal>, stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<()>> {
    let (writer, stopped) = (Arc::clone(journal), Arc::clone(stop));
    let write = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            writer.wait_for_work(Durability::RELAXED_EVERY);
            writer.write_step().unwrap();
        }
        while writer.write_step().unwrap() {}
    });
    let (syncer, stopped) = (Arc::clone(journal), Arc::clone(stop));
    let sync = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_secs(1));
            syncer.sync_step().unwrap();
        }
    });
    vec![write, sync]
}

fn finish(journal: &Journal, stop: &AtomicBool, threads: Vec<std::thread::JoinHandle<()>>) {
    stop.store(true, Ordering::SeqCst);
    journal.wake_writer();
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

/// Two threads append, encoding included, as fast as the disk is told.
fn append_relaxed(dir: &Path) -> f64 {
    let journal = open(dir, Durability::Relaxed);
    let stop = Arc::new(AtomicBool::new(false));
    let threads = threads(&journal, &stop);
    let begun = Instant::now();
    let each = 2_000_000;
    std::thread::scope(|scope| {
        for t in 0..2 {
            let journal = &journal;
            scope.spawn(move || {
                let entry = page(t);
                let mut prev = Lsn::NONE;
                for n in 0..each {
                    let visit = VisitId::from_u128(u128::from((t << 32) | (n % 10_000)));
                    prev = journal.appender().append(visit, prev, Flags::NONE, &entry);
                    while n % 1_000 == 0 && journal.check().is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    finish(&journal, &stop, threads);
    (2 * each) as f64 / begun.elapsed().as_secs_f64()
}

/// 1,024 tasks on two threads, each appending an event and waiting for it.
fn waiters(dir: &Path) -> f64 {
    let journal = open(dir, Durability::Process);
    let stop = Arc::new(AtomicBool::new(false));
    let threads = threads(&journal, &stop);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let each = 2_000;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..1_024_u64)
        .map(|t| {
            let journal = Arc::clone(&journal);
            runtime.spawn(async move {
                let entry = page(t);
                let mut prev = Lsn::NONE;
                for _ in 0..each {
                    prev = journal.appender().append(VisitId::from_u128(u128::from(t)), prev, Flags::NONE, &entry);
                    assert_eq!(journal.wait(prev).await, Ok(true));
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let elapsed = begun.elapsed();
    finish(&journal, &stop, threads);
    (1_024 * each) as f64 / elapsed.as_secs_f64()
}

/// Sessions of ten events and an end, interleaved: read back as chains, warm and cold, and recovered.
fn chains() {
    let dir = folder();
    let journal = open(dir.path(), Durability::Process);
    let entry = page(1);
    let end = end();
    let mut ends: Vec<(VisitId, Lsn)> =
        (0..SESSIONS).map(|n| (VisitId::from_u128((u128::from(n) << 64) | 7), Lsn::NONE)).collect();
    for step in 0..=EVENTS {
        for (n, (visit, last)) in ends.iter_mut().enumerate() {
            let entry = if step < EVENTS { &entry } else { &end };
            *last = journal.appender().append(*visit, *last, Flags::NONE, entry);
            if n % 50_000 == 0 {
                journal.write_step().unwrap();
            }
        }
    }
    while journal.write_step().unwrap() || journal.sync_step().unwrap() {}
    let records = SESSIONS * (EVENTS + 1);
    println!("{records} records, {} MB", journal.usage().bytes / 1_000_000);
    for (what, is_cold) in [("warm", false), ("warm", false), ("cold", true), ("cold", true)] {
        if is_cold {
            drop_cache(dir.path());
        }
        let begun = Instant::now();
        let mut events = 0;
        for batch in ends.chunks(1_024) {
            events += journal
                .read_chains(batch, usize::MAX)
                .into_iter()
                .map(|chain| chain.unwrap().len() as u64)
                .sum::<u64>();
        }
        assert_eq!(events, records);
        println!(
            "chains of {EVENTS} events, {what}, sessions/s: {:.0}",
            SESSIONS as f64 / begun.elapsed().as_secs_f64()
        );
    }
    drop(journal);
    for (what, is_cold) in [("warm", false), ("warm", false), ("cold", true)] {
        if is_cold {
            drop_cache(dir.path());
        }
        let (mut seen, mut newest) = (0, Timestamp::EPOCH);
        let begun = Instant::now();
        let config = Config::default();
        let opened = Journal::open(Arc::new(RealDisk), dir.path(), config, 1, |record| {
            seen += 1;
            newest = newest.max(record.moment().unwrap_or_default());
        });
        opened.unwrap();
        println!("recovery, {what}, records/s: {:.0} of {seen}", seen as f64 / begun.elapsed().as_secs_f64());
    }
}

/// Has the system forget what it holds of a folder's files.
fn drop_cache(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}
