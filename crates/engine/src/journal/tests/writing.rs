//! Appending, writing, syncing, waiting, collecting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use visitlog_core::Lsn;
use visitlog_core::ports::{Durability, StoreError};
use visitlog_testkit::{DiskCall, SimDisk};

use super::support::{append, append_chains, config, moment, open, page, segment_path, settle, try_open, visit};
use crate::journal::format::{FIRST_LSN, HEADER_LEN, META_BYTES_MAX};
use crate::journal::{Ack, BaseItem, Config, Flags, Journal, JournalError, Kind, Wait};

/// A task that counts how often it is woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Task {
    wait: Wait,
    counter: Arc<Counter>,
}

impl Task {
    fn new(journal: &Arc<Journal>, lsn: Lsn) -> Self {
        Self { wait: journal.wait(lsn), counter: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Result<bool, StoreError>> {
        let waker = Waker::from(Arc::clone(&self.counter));
        std::pin::Pin::new(&mut self.wait).poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> usize {
        self.counter.0.load(Ordering::SeqCst)
    }
}

fn opened(durability: Durability) -> (SimDisk, Arc<Journal>) {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &Config { durability, ..config(4_000) });
    (disk, journal)
}

fn one(journal: &Journal) -> Lsn {
    append(journal, visit(1), Lsn::NONE, &page(1))
}

#[test]
fn positions_are_byte_offsets() {
    let (disk, journal) = opened(Durability::Process);
    let (first, second) = (one(&journal), one(&journal));
    assert_eq!(first, FIRST_LSN);
    assert_eq!(journal.written(), FIRST_LSN);
    assert!(journal.write_step().expect("written"));
    assert!(!journal.write_step().expect("nothing more"));
    assert_eq!(journal.written(), journal.appended());
    assert_eq!(journal.appended().0 - second.0, second.0 - first.0, "two of the same length");
    let bytes = disk.contents(&segment_path(64)).expect("there");
    assert_eq!(bytes.len() as u64, HEADER_LEN + journal.appended().0 - FIRST_LSN.0);
}

#[test]
fn process_waits_for_the_write() {
    let (_disk, journal) = opened(Durability::Process);
    let mut tasks: Vec<Task> = (0..5).map(|_| Task::new(&journal, one(&journal))).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    journal.write_step().expect("written");
    for task in &mut tasks {
        assert_eq!(task.woken(), 1);
        assert_eq!(task.poll(), Poll::Ready(Ok(true)));
    }
    let mut late = Task::new(&journal, FIRST_LSN);
    assert_eq!(late.poll(), Poll::Ready(Ok(true)), "nothing to wait for");
    let mut next = Task::new(&journal, one(&journal));
    assert!(next.poll().is_pending(), "a newer record is another matter");
}

#[test]
fn power_waits_for_the_sync_and_relaxed_for_nothing() {
    let (_disk, journal) = opened(Durability::Power);
    let mut task = Task::new(&journal, one(&journal));
    assert!(task.poll().is_pending());
    journal.write_step().expect("written");
    assert_eq!(task.woken(), 0, "written is not enough");
    assert!(journal.sync_step().expect("synced"));
    assert_eq!((task.woken(), task.poll()), (1, Poll::Ready(Ok(true))));
    let (_disk, journal) = opened(Durability::Relaxed);
    assert_eq!(Task::new(&journal, one(&journal)).poll(), Poll::Ready(Ok(true)));
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_ends() {
    let (_disk, journal) = opened(Durability::Process);
    one(&journal);
    assert!(!journal.sync_step().expect("nothing is written"));
    journal.write_step().expect("written");
    let written = journal.written();
    one(&journal);
    assert!(journal.sync_step().expect("synced"));
    assert_eq!(journal.synced(), written);
    settle(&journal);
    assert!(journal.synced() < journal.appended(), "a mark alone is not worth a sync");
    assert!(!journal.sync_step().expect("nothing to sync") && !journal.write_step().expect("nothing to write"));
}

#[test]
fn a_full_disk_stalls_and_then_everything_is_there() {
    for (skip, kind) in [(0, io::ErrorKind::StorageFull), (1, io::ErrorKind::StorageFull), (0, io::ErrorKind::Other)] {
        let (disk, journal) = opened(Durability::Process);
        let ends = append_chains(&journal, 6, 6);
        let mut task = Task::new(&journal, ends[5].1);
        assert!(task.poll().is_pending());
        disk.fail(DiskCall::Write, skip, 2, kind);
        for _ in 0..2 {
            let error = journal.write_step().expect_err("told to fail");
            assert!(error.is_retryable(), "{error}");
            assert!(journal.is_stalled());
        }
        assert_eq!((task.woken(), task.poll()), (1, Poll::Ready(Ok(false))), "nobody waits");
        assert_eq!(Task::new(&journal, one(&journal)).poll(), Poll::Ready(Ok(false)), "nobody begins to");
        for (visit, last) in &ends {
            assert_eq!(journal.read_chain(*visit, *last).expect("read from memory").len(), 8);
        }
        settle(&journal);
        assert!(!journal.is_stalled());
        drop(journal);
        disk.power_cut();
        let (journal, recovered, _) = open(&disk, &config(4_000));
        assert_eq!(recovered.cut, None);
        for (visit, last) in &ends {
            assert_eq!(journal.read_chain(*visit, *last).expect("read from the disk").len(), 8);
        }
    }
}

#[test]
fn too_much_that_waits_for_the_disk_is_refused_until_it_is_written() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &Config { unwritten_bytes_max: 2_000, ..config(4_000) });
    disk.set_capacity(Some(64));
    assert_eq!(journal.check(), Ok(()));
    while journal.check().is_ok() {
        one(&journal);
        let _ = journal.write_step();
    }
    let error = journal.check().expect_err("full");
    assert!(error.is_retryable(), "{error}");
    assert!((1_000..1_300).contains(&journal.usage().unwritten), "{:?}", journal.usage());
    disk.set_capacity(None);
    settle(&journal);
    assert_eq!(journal.check(), Ok(()));
    assert_eq!(journal.usage().unwritten, 0);
}

#[test]
fn a_failed_sync_stops_the_journal_for_ever() {
    for call in [DiskCall::Sync, DiskCall::SyncDir] {
        let (disk, journal) = opened(Durability::Power);
        let ends = append_chains(&journal, 6, 6);
        let mut task = Task::new(&journal, ends[0].1);
        assert!(task.poll().is_pending());
        journal.write_step().expect("written");
        disk.fail(call, 0, 1, io::ErrorKind::Other);
        journal.sync_step().expect_err("told to fail");
        assert_eq!(task.woken(), 1);
        assert!(matches!(task.poll(), Poll::Ready(Err(StoreError::Stopped { .. }))));
        let Err(StoreError::Stopped { reason }) = journal.check() else { panic!("stopped") };
        assert!(reason.starts_with("journal: sync /data/journal"), "{reason}");
        assert!(reason.ends_with("simulated input/output error"), "{reason}");
        one(&journal);
        assert!(matches!(journal.write_step(), Err(JournalError::Stopped { .. })), "the disk is well again: no retry");
        assert!(matches!(journal.sync_step(), Err(JournalError::Stopped { .. })));
        assert_eq!(journal.read_chain(ends[0].0, ends[0].1).expect("reads go on").len(), 8);
    }
}

#[test]
fn a_write_that_takes_too_long_lets_everybody_go() {
    let (_disk, journal) = opened(Durability::Process);
    let mut task = Task::new(&journal, one(&journal));
    assert!(task.poll().is_pending());
    let limit = Duration::from_secs(5);
    assert!(!journal.stall_if_slow(moment(0), limit), "no write is under way");
    assert!(!journal.stall_if_slow(moment(100), limit));
    journal.write_watch.begin();
    assert!(!journal.stall_if_slow(moment(200), limit), "seen for the first time");
    assert!(!journal.stall_if_slow(moment(205), limit));
    assert!(journal.stall_if_slow(moment(206), limit));
    assert_eq!((task.woken(), task.poll()), (1, Poll::Ready(Ok(false))));
    assert_eq!(journal.undurable_answers(), 1);
    journal.write_watch.end();
    journal.write_step().expect("written");
    assert!(!journal.is_stalled());
}

/// What a slow disk looks like to whoever looks.
fn found_slow(journal: &Journal, from: u64) {
    let limit = Duration::from_secs(5);
    assert!(!journal.stall_if_slow(moment(from), limit), "seen for the first time");
    assert!(journal.stall_if_slow(moment(from + 6), limit));
}

#[test]
fn power_waits_for_a_slow_disk_and_ends_in_an_error_where_a_sync_fails() {
    let (disk, journal) = opened(Durability::Power);
    let mut task = Task::new(&journal, one(&journal));
    assert!(task.poll().is_pending());
    journal.write_watch.begin();
    found_slow(&journal, 100);
    assert!(task.poll().is_pending(), "a slow write");
    journal.write_watch.end();
    journal.write_step().expect("written");
    journal.sync_watch.begin();
    found_slow(&journal, 200);
    assert!(task.poll().is_pending(), "a slow sync");
    assert!(Task::new(&journal, one(&journal)).poll().is_pending(), "and for whoever comes meanwhile");
    journal.sync_watch.end();
    journal.sync_step().expect("synced");
    assert_eq!(task.poll(), Poll::Ready(Ok(true)));
    assert_eq!(journal.undurable_answers(), 0);
    journal.write_step().expect("written");
    let mut task = Task::new(&journal, one(&journal));
    assert!(task.poll().is_pending());
    disk.fail(DiskCall::Sync, 0, 1, io::ErrorKind::Other);
    journal.write_step().expect("written");
    journal.sync_step().expect_err("told to fail");
    assert!(matches!(task.poll(), Poll::Ready(Err(StoreError::Stopped { .. }))));
    assert_eq!(journal.undurable_answers(), 1, "it is served all the same, and counted");
}

#[test]
fn after_a_slow_write_answers_leave_writing_to_the_writers_thread_for_a_minute() {
    let (_disk, journal) = opened(Durability::Process);
    journal.let_answers_write();
    journal.write_watch.begin();
    found_slow(&journal, 100);
    journal.write_watch.end();
    one(&journal);
    journal.write_step().expect("written");
    assert!(!journal.is_stalled());
    let mut task = Task::new(&journal, one(&journal));
    for _ in 0..3 {
        assert!(task.poll().is_pending(), "a runtime's thread does not write");
    }
    assert!(journal.has_work(), "the writer's thread is to");
    journal.write_step().expect("written");
    assert_eq!(task.poll(), Poll::Ready(Ok(true)));
    let limit = Duration::from_secs(5);
    assert!(!journal.stall_if_slow(moment(165), limit));
    assert!(!journal.answers_write());
    assert!(!journal.stall_if_slow(moment(166), limit));
    assert!(journal.answers_write(), "a minute later they do again");
}

#[test]
fn a_closed_journal_has_written_what_it_took_and_takes_nothing() {
    for durability in [Durability::Relaxed, Durability::Process, Durability::Power] {
        let (disk, journal) = opened(durability);
        let last = append_chains(&journal, 3, 3)[0].1;
        journal.close().expect("closed");
        assert_eq!(Task::new(&journal, last).poll(), Poll::Ready(Ok(true)));
        assert!(matches!(journal.check(), Err(StoreError::Stopped { reason }) if &*reason == "closed"));
        journal.close().expect("closed already");
        let mut late = Task::new(&journal, one(&journal));
        assert!(matches!(late.poll(), Poll::Ready(Err(StoreError::Stopped { .. }))), "{durability:?}");
        assert!(matches!(journal.write_step(), Err(JournalError::Stopped { .. })));
        drop(journal);
        disk.power_cut();
        let (_, recovered, kept) = open(&disk, &config(4_000));
        assert_eq!((recovered.cut, kept.iter().filter(|record| record.kind == Kind::End).count()), (None, 3));
    }
}

#[test]
fn maintenance_has_a_share_of_its_own() {
    let disk = SimDisk::new(1);
    let (journal, ..) = open(&disk, &Config { unwritten_bytes_max: 4_000, ..config(4_000) });
    assert_eq!(journal.room_for_maintenance(), 2_000);
    let (visit, _) = append_chains(&journal, 1, 1)[0];
    assert_eq!(journal.room_for_maintenance(), 2_000, "traffic is not maintenance");
    let traffic = journal.usage().unwritten;
    while journal.room_for_maintenance() > 0 {
        let mut appender = journal.appender().for_maintenance();
        appender.append(visit, Lsn::NONE, Flags::NONE, &super::support::end(1));
    }
    journal.appender().append_base(&[BaseItem::Site("x".repeat(3_000))]);
    journal.appender().append_raw(visit, Lsn::NONE, Flags::CARRIED, Kind::Event, &[0; 3_000]);
    let usage = journal.usage();
    assert_eq!(usage.unwritten - usage.unwritten_maintenance, traffic, "{usage:?}");
    assert!(usage.unwritten > 8_000);
    while journal.usage().unwritten - journal.usage().unwritten_maintenance <= 2_000 {
        assert_eq!(journal.check(), Ok(()), "traffic is never refused for maintenance");
        one(&journal);
    }
    assert!(journal.check().is_err(), "for what is its own it is");
    disk.fail(DiskCall::Write, 0, 1, io::ErrorKind::StorageFull);
    journal.write_step().expect_err("told to fail");
    assert_eq!(journal.room_for_maintenance(), 0);
    settle(&journal);
    assert_eq!((journal.check(), journal.room_for_maintenance()), (Ok(()), 2_000));
    assert_eq!(journal.usage().unwritten_maintenance, 0);
}

#[test]
fn the_writers_thread_sleeps_only_while_there_is_nothing_to_write() {
    let (_disk, journal) = opened(Durability::Process);
    let forever = Duration::from_secs(3_600);
    one(&journal);
    journal.wait_for_work(forever);
    journal.write_step().expect("written");
    journal.wake_writer();
    journal.wait_for_work(forever);
    let writer = Arc::clone(&journal);
    let thread = std::thread::spawn(move || {
        while writer.written() < Lsn(5_000) {
            writer.wait_for_work(forever);
            writer.write_step().expect("written");
        }
    });
    while journal.appended() < Lsn(5_000) {
        one(&journal);
    }
    thread.join().expect("it was woken");
    assert_eq!(journal.written(), journal.appended());
}

#[test]
fn an_answer_that_waits_writes_what_has_gathered_once_it_has_let_the_others_append() {
    let (_disk, journal) = opened(Durability::Process);
    journal.let_answers_write();
    let lsn = one(&journal);
    let mut task = Task::new(&journal, lsn);
    assert_eq!((task.poll(), task.woken()), (Poll::Pending, 1), "it steps back, and will be polled again");
    let other = one(&journal);
    assert_eq!(journal.written(), lsn, "not yet");
    assert_eq!(task.poll(), Poll::Ready(Ok(true)), "nobody else has written");
    assert_eq!(journal.written(), journal.appended(), "the other's too");
    assert_eq!(Task::new(&journal, other).poll(), Poll::Ready(Ok(true)));
}

#[test]
fn an_answer_that_finds_somebody_writing_leaves_it_to_the_writers_thread() {
    let (_disk, journal) = opened(Durability::Process);
    journal.let_answers_write();
    let lsn = one(&journal);
    let mut task = Task::new(&journal, lsn);
    assert_eq!(task.poll(), Poll::Pending);
    let somebody = journal.writing.lock();
    assert_eq!(task.poll(), Poll::Pending);
    drop(somebody);
    // Returns at once: an answer waits.
    journal.wait_for_work(Duration::from_secs(3_600));
    journal.write_step().expect("written");
    assert_eq!((task.woken(), task.poll()), (2, Poll::Ready(Ok(true))));
}

#[test]
fn an_answer_that_can_not_write_waits_for_nothing() {
    let (disk, journal) = opened(Durability::Process);
    journal.let_answers_write();
    disk.fail(DiskCall::Write, 0, 1, io::ErrorKind::StorageFull);
    let mut task = Task::new(&journal, one(&journal));
    assert_eq!(task.poll(), Poll::Pending);
    assert_eq!(task.poll(), Poll::Ready(Ok(false)), "the disk is full: it is served, and counted");
    journal.write_step().expect("room again");
    assert_eq!(journal.written(), journal.appended());
}

#[test]
fn records_never_straddle_segments_and_a_giant_has_its_own() {
    let (disk, journal) = opened(Durability::Process);
    for n in 0..100 {
        append(&journal, visit(n), Lsn::NONE, &page(n));
    }
    let payload = vec![7; 10_000];
    let giant = journal.appender().append_raw(visit(1), Lsn::NONE, Flags::CARRIED, Kind::Event, &payload);
    one(&journal);
    settle(&journal);
    drop(journal);
    let (journal, recovered, kept) = open(&disk, &config(4_000));
    assert_eq!(recovered.cut, None);
    assert!(kept.iter().any(|record| record.lsn == giant.0 && record.payload == payload));
    assert!(disk.contents(&segment_path(giant.0)).is_some_and(|bytes| bytes.len() > 10_000), "it begins a segment");
    let sizes: Vec<usize> = visitlog_core::ports::Disk::list(&disk, super::support::dir())
        .expect("listed")
        .iter()
        .filter_map(|path| disk.contents(path).map(|bytes| bytes.len()))
        .collect();
    assert_eq!(sizes.iter().filter(|size| **size > 4_000).count(), 1, "{sizes:?}");
    assert_eq!(journal.usage().segments, sizes.len());
}

#[test]
fn collection_stops_at_the_bound_the_sync_and_the_base() {
    let (disk, journal) = opened(Durability::Process);
    append_chains(&journal, 20, 10);
    journal.write_step().expect("written");
    let count = journal.usage().segments;
    assert!(count > 5);
    assert_eq!(journal.collect(Lsn(u64::MAX)).expect("collected"), 0, "nothing is synced");
    settle(&journal);
    assert_eq!(journal.collect(Lsn(u64::MAX)).expect("collected"), 0, "no base");
    assert!(journal.base_due());
    let base = journal.begin_base();
    let items: Vec<BaseItem> = (0..8_000).map(|n| BaseItem::Site(format!("shop-{n}.example"))).collect();
    journal.appender().append_base(&items);
    journal.finish_base(base);
    assert_eq!(journal.collect(Lsn(u64::MAX)).expect("collected"), 0, "the base is not synced");
    settle(&journal);
    let firsts: Vec<u64> = journal.segments.firsts();
    let bound = firsts[3] - 1;
    assert_eq!(journal.collect(Lsn(bound)).expect("collected"), 2, "the third ends behind the bound");
    assert_eq!(journal.oldest(), Lsn(firsts[2]));
    assert_eq!(journal.collect(Lsn(firsts[3])).expect("collected"), 1, "now it ends there");
    journal.collect(Lsn(u64::MAX)).expect("collected");
    assert!(disk.contents(&segment_path(firsts[3])).is_none());
    let (_, recovered, kept) = open(&disk, &config(4_000));
    assert_eq!(recovered.cut, None);
    let bases: Vec<_> = kept.iter().filter(|record| record.kind == Kind::Base).collect();
    assert!(bases.len() > 1 && bases.iter().all(|record| record.payload.len() + 42 <= META_BYTES_MAX));
    let found: Vec<BaseItem> =
        bases.iter().flat_map(|record| crate::journal::meta::take_base(&record.payload).expect("a base")).collect();
    assert_eq!(found, items);
}

#[test]
fn the_segment_that_is_written_to_is_never_collected() {
    let (_disk, journal) = opened(Durability::Process);
    let base = journal.begin_base();
    journal.appender().append_base(&[BaseItem::Time(moment(1))]);
    journal.finish_base(base);
    settle(&journal);
    assert_eq!(journal.collect(Lsn(u64::MAX)).expect("collected"), 0);
    assert_eq!(journal.usage().segments, 1);
}

#[test]
fn acknowledgements_come_back() {
    let (disk, journal) = opened(Durability::Process);
    let ack = Ack { sink: "warehouse".to_owned(), lsn: Lsn(77), place: b"visits.ndjson:4711".to_vec() };
    let lsn = journal.appender().append_ack(&ack);
    settle(&journal);
    let (_, _, kept) = open(&disk, &config(4_000));
    let record = kept.iter().find(|record| record.lsn == lsn.0).expect("there");
    assert_eq!(crate::journal::meta::take_ack(&record.payload), Ok(ack));
}

#[test]
fn a_full_disk_at_the_start_is_an_error_and_not_a_loss() {
    let (disk, journal) = opened(Durability::Process);
    append_chains(&journal, 2, 2);
    settle(&journal);
    drop(journal);
    disk.set_capacity(Some(disk.used()));
    let error = try_open(&disk, &config(4_000)).expect_err("no room for a new segment");
    assert!(error.is_retryable(), "{error}");
    disk.heal();
    assert_eq!(open(&disk, &config(4_000)).1.cut, None);
}
