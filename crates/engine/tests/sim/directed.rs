//! Scenarios that a person can follow, one at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use visitlog_core::model::EndReason;
use visitlog_core::ports::{Durability, Inquiry, Op, Outcome, SessionStore, Standing, StoreError};
use visitlog_core::{Lsn, VisitId};
use visitlog_engine::journal::format::{HEADER_LEN, file_name};
use visitlog_engine::journal::{Flags, Journal, JournalError, Kind};
use visitlog_testkit::{DiskCall, SimDisk};

use crate::audit::Audit;
use crate::lab::{Lab, arrival, commit_of, cut_copy, is_live_in, login, token_of};
use crate::plan::Plan;
use crate::simulation::JOURNAL;

const IDLE: Duration = Duration::from_secs(25);
const SECOND: Duration = Duration::from_secs(1);

fn lab() -> Lab {
    Lab::new(Plan::plain(Durability::Process))
}

#[test]
fn an_overdue_session_is_ended_by_the_request_that_finds_it() {
    let mut lab = lab();
    let first = lab.page(1, None, vec![]);
    let (visit, seen) = (first.visit.expect("started"), lab.life.engine.now());
    lab.wait(IDLE + Duration::from_micros(1));
    let begun = lab.begin(1, token_of(&first));
    assert!(matches!(begun.standing, Standing::Fresh(_)), "{begun:?}");
    assert_eq!(lab.life.engine.open_sessions(), 0, "no sweep was needed");
    lab.turn();
    let end = &lab.visit(visit).end;
    assert_eq!((end.reason, end.ended_at, end.closed_at), (EndReason::Expired, seen, begun.at));
}

#[test]
fn expiry_during_downtime_has_the_true_end() {
    let mut lab = lab();
    let first = lab.page(1, None, vec![]);
    let seen = lab.life.engine.now();
    lab.restart();
    lab.wait(Duration::from_secs(5 * 86_400));
    let report = lab.restart();
    assert_eq!(report.open, 1, "a restart ends nothing");
    lab.turns(2, SECOND);
    let end = &lab.visit(first.visit.expect("started")).end;
    assert_eq!(end.ended_at, seen);
    // The maximal age was reached too, but later than the idle timeout.
    assert_eq!(end.reason, EndReason::Expired);
    assert!(end.closed_at.since(seen) >= Duration::from_secs(5 * 86_400));
}

#[test]
fn the_cap_evicts_and_a_confirmed_session_goes_last() {
    let mut plan = Plan::plain(Durability::Process);
    plan.capped = true;
    let mut lab = Lab::new(plan);
    let mine = lab.page(1, None, vec![]);
    assert!(is_live_in(&lab.begin(1, token_of(&mine)), mine.visit.expect("started")), "that confirms it");
    for print in 2..300 {
        lab.page(print, None, vec![]);
    }
    assert!(lab.life.engine.open_sessions() <= 32, "{}", lab.life.engine.open_sessions());
    assert!(is_live_in(&lab.begin(1, token_of(&mine)), mine.visit.expect("started")));
    lab.turn();
    assert!(lab.delivered.len() >= 299 - 32);
    assert!(lab.delivered.iter().all(|visit| visit.end.reason == EndReason::Evicted && !visit.end.confirmed));
}

/// The file of the segment that holds a position, and the byte of it.
pub(crate) fn place_of(disk: &SimDisk, lsn: Lsn) -> (PathBuf, usize) {
    use visitlog_core::ports::Disk as _;
    let paths = disk.list(Path::new(JOURNAL)).expect("listed");
    let first = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix("journal-")?.parse::<u64>().ok();
    let firsts = paths.iter().filter_map(first);
    let first = firsts.filter(|first| *first <= lsn.0).max().expect("a segment");
    (Path::new(JOURNAL).join(file_name(Lsn(first))), (HEADER_LEN + lsn.0 - first) as usize)
}

#[test]
fn a_login_that_a_crash_cut_short_supersedes_at_recovery() {
    let mut plan = Plan::plain(Durability::Process);
    plan.rules.single_login = true;
    plan.segment_bytes = 1 << 20;
    let lab = Lab::new(plan.clone());
    let old = lab.page(1, None, vec![login("alice")]).visit.expect("started");
    lab.life.journal().write_step().expect("written");
    let before = lab.life.journal().appended();
    lab.wait(SECOND);
    let begun = lab.begin(2, None);
    let new = lab.finish(2, None, &begun, vec![login("alice")]);
    let new = new.decided().and_then(|decided| decided.as_ref().ok()?.visit).expect("started");
    lab.life.journal().write_step().expect("written");
    // Its last record is the other session's end.
    let mut end = Lsn::NONE;
    let copy = cut_copy(&lab.disk, Path::new(""), 0);
    let see = |record: visitlog_engine::journal::RecordRef<'_>| {
        if record.kind == Kind::End && record.visit == old && record.lsn > before {
            end = record.lsn;
        }
    };
    Journal::open(Arc::new(copy), Path::new(JOURNAL), plan.journal(), 1, see).expect("it opens");
    let (path, byte) = place_of(&lab.disk, end);
    let (mut again, report) = Lab::on(cut_copy(&lab.disk, &path, byte), plan);
    assert_eq!(report.open, 2, "the end is not in the journal");
    let open: Vec<VisitId> = again.life.engine.open_list().iter().map(|open| open.chain.visit).collect();
    assert_eq!(open, [new]);
    again.turn();
    assert_eq!(again.visit(old).end.reason, EndReason::Superseded);
}

#[test]
fn what_belongs_to_no_session_survives_the_collection_of_old_segments() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 2 * 1_024;
    plan.rules.max_age = Duration::from_secs(86_400);
    let mut lab = Lab::new(plan);
    // A site that a confirmed session made, a token that was logged out, and what the sinks have.
    let host = "new.example";
    let visitor = |lab: &Lab, token| {
        let begun = lab.life.engine.begin(arrival(7, token, host)).now().expect("at once").expect("begun");
        let mut future = lab.life.engine.commit(commit_of(7, token, host, &begun, vec![]));
        lab.settle();
        future.poll_now().expect("durable").expect("taken")
    };
    let first = visitor(&lab, None);
    visitor(&lab, token_of(&first));
    let gone = lab.page(8, None, vec![]);
    let gone = lab.page(8, token_of(&gone), vec![Op::Logout]);
    let upto = lab.life.journal().appended();
    for print in 100..300 {
        lab.page(print, None, vec![]);
        lab.turns(1, SECOND);
    }
    assert!(lab.life.journal().oldest() > upto, "all of that is in segments that are gone");
    lab.settle();
    lab.restart();
    lab.turn();
    let delivered: Vec<VisitId> = lab.delivered.iter().map(|visit| visit.visit).collect();
    assert_eq!(lab.lines(), delivered, "the acknowledgement survived: none came again");
    let other = visitor(&lab, None);
    lab.turns(60, SECOND);
    assert_eq!(&*lab.visit(other.visit.expect("started")).end.site, host, "the site survived");
    let twins: Vec<_> = (0..2).map(|_| lab.page(8, token_of(&gone), vec![])).collect();
    assert!(twins.iter().all(|twin| twin.outcome == Outcome::Started), "the tombstone survived: {twins:?}");
    assert_ne!(twins[0].visit, twins[1].visit);
}

#[test]
fn a_chain_whose_carrying_a_crash_cut_short_is_whole() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 1 << 20;
    plan.carry_from_bytes = 2_000;
    let mut lab = Lab::new(plan.clone());
    let first = lab.page(1, None, vec![Op::Set("plan".into(), "pro".into())]);
    let (visit, token) = (first.visit.expect("started"), token_of(&first));
    for _ in 0..12 {
        lab.wait(SECOND);
        lab.page(1, token, vec![Op::Increment("pages".into(), 1)]);
    }
    let whole = lab.life.engine.read_open(visit).expect("read").expect("open");
    assert_eq!(whole.events.len(), 13);
    let from = lab.life.journal().appended();
    lab.life.upkeep.step(&lab.life.engine).expect("a working disk");
    assert_eq!(lab.life.upkeep.carried(), 1);
    lab.life.journal().write_step().expect("written");
    let (path, begin) = place_of(&lab.disk, from);
    let end = lab.disk.contents(&path).expect("it is there").len();
    for len in (begin..=end).step_by(7).chain([end]) {
        let (mut again, report) = Lab::on(cut_copy(&lab.disk, &path, len), plan.clone());
        assert_eq!((report.open, report.unreadable), (1, 0), "cut at {len}");
        let now = again.life.engine.read_open(visit).expect("read").expect("open");
        assert_eq!((&now.events, &now.values), (&whole.events, &whole.values), "cut at {len}");
        again.wait(Duration::from_secs(60));
        again.turns(2, SECOND);
        assert_eq!(again.visit(visit).events, whole.events, "cut at {len}");
    }
}

#[test]
fn copies_of_a_carrying_that_a_crash_cut_short_never_count() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 512;
    plan.carry_from_bytes = 4_000;
    plan.rules.idle_timeout = Duration::from_secs(500);
    let mut lab = Lab::new(plan.clone());
    let mine = lab.page(1, None, vec![Op::Increment("pages".into(), 1)]);
    let visit = mine.visit.expect("started");
    for _ in 0..5 {
        lab.wait(SECOND);
        lab.page(1, token_of(&mine), vec![Op::Increment("pages".into(), 1)]);
    }
    for print in 100..120 {
        lab.page(print, None, vec![Op::Logout]);
        while lab.life.sinks.step(lab.life.engine.now()).worked {}
        lab.settle();
    }
    // One that is too young to be carried: it keeps what comes behind it, and not what is before.
    lab.page(2, None, vec![]);
    let whole = lab.life.engine.read_open(visit).expect("read").expect("open");
    let from = lab.life.journal().appended();
    lab.life.upkeep.step(&lab.life.engine).expect("a working disk");
    assert_eq!(lab.life.upkeep.carried(), 1);
    lab.life.journal().write_step().expect("written");
    let upto = lab.life.journal().written();
    let mut collected = 0;
    for lsn in (from.0 + 100..upto.0).step_by(40).map(Lsn) {
        let (path, len) = place_of(&lab.disk, lsn);
        let disk = cut_copy(&lab.disk, &path, len);
        let later = |file: &&PathBuf| **file > path;
        let files = visitlog_core::ports::Disk::list(&disk, Path::new(JOURNAL)).expect("listed");
        for file in files.iter().filter(later) {
            visitlog_core::ports::Disk::remove(&disk, file).expect("removed");
        }
        let (mut again, _) = Lab::on(disk, plan.clone());
        for _ in 0..3 {
            again.life.upkeep.step(&again.life.engine).expect("a working disk");
            again.settle();
        }
        collected += usize::from(again.life.journal().oldest() > Lsn(1_000));
        again.restart();
        let now = again.life.engine.read_open(visit).expect("read").expect("open");
        assert_eq!((&now.events, &now.values), (&whole.events, &whole.values), "cut at {lsn}");
        let open = again.life.engine.open_list();
        let open = open.iter().find(|open| open.chain.visit == visit).expect("open");
        assert_eq!(usize::from(open.events), whole.events.len(), "cut at {lsn}");
    }
    assert!(collected > 0, "the originals were collected");
}

/// The position of a visit's `End`, as the audit of the disk finds it.
fn end_of(lab: &Lab, visit: VisitId) -> Lsn {
    let audit = Audit::of(&lab.disk.synced_copy(), Path::new(JOURNAL), &lab.plan.journal()).expect("a whole journal");
    audit.end_of(visit).expect("it has ended")
}

#[test]
fn a_read_that_fails_costs_no_other_chain() {
    let lab = lab();
    let ends: Vec<(VisitId, Lsn)> = (0..24)
        .map(|print| {
            let visit = lab.page(print, None, vec![Op::Logout]).visit.expect("started");
            (visit, end_of(&lab, visit))
        })
        .collect();
    for skip in 0..8 {
        lab.disk.fail(DiskCall::Read, skip, 1, std::io::ErrorKind::Other);
        for chain in lab.life.journal().read_chains(&ends, usize::MAX) {
            assert!(matches!(chain, Ok(_) | Err(JournalError::Io { .. })), "read {skip} failed: {chain:?}");
        }
        lab.disk.heal();
    }
}

#[test]
fn a_park_that_can_not_be_read_is_not_removed() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 2 * 1_024;
    let mut lab = Lab::new(plan);
    lab.desk.file_is_down.store(true, Ordering::SeqCst);
    let visits: Vec<VisitId> = (0..20)
        .map(|print| {
            lab.turns(1, SECOND);
            lab.page(print, None, vec![Op::Abandon]).visit.expect("started")
        })
        .collect();
    lab.turns(80, SECOND);
    assert!(lab.life.sinks.status()[0].parked > 0, "{:?}", lab.life.sinks.status());
    for skip in 0..6 {
        lab.restart();
        lab.disk.fail(DiskCall::Read, skip, 1, std::io::ErrorKind::Other);
        for _ in 0..2 {
            lab.life.sinks.step(lab.life.engine.now());
        }
        lab.disk.heal();
    }
    lab.restart();
    lab.desk.heal();
    lab.turns(20, SECOND);
    assert_eq!(lab.lines(), visits);
}

#[test]
fn parallel_requests_with_one_expired_token_start_one_session() {
    let lab = lab();
    let first = lab.page(1, None, vec![]);
    lab.wait(IDLE + SECOND);
    let outcomes = fifty_at_once(lab, first.issue);
    let visits: std::collections::BTreeSet<_> = outcomes.iter().map(|(_, visit)| *visit).collect();
    assert_eq!(visits.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|(outcome, _)| *outcome == Outcome::Started).count(), 1);
    assert!(!visits.contains(&first.visit));
}

#[test]
fn parallel_requests_with_a_logged_out_token_start_one_each() {
    let lab = lab();
    let first = lab.page(1, None, vec![]);
    let gone = lab.page(1, first.issue, vec![login("alice"), Op::Logout]);
    let outcomes = fifty_at_once(lab, gone.issue);
    let visits: std::collections::BTreeSet<_> = outcomes.iter().map(|(_, visit)| *visit).collect();
    assert_eq!(visits.len(), 50, "{outcomes:?}");
    assert!(!visits.contains(&first.visit));
}

#[test]
fn a_request_that_goes_on_past_the_close_writes_nothing() {
    let lab = lab();
    let hold = |lab: &Lab, visit| at_once(lab.life.engine.hold_on(visit)).expect("it takes more").expect("it is open");
    let first = lab.page(1, None, vec![]).visit.expect("started");
    let (one, other) = (hold(&lab, first), hold(&lab, first));
    lab.wait(20 * SECOND);
    let before = lab.life.journal().appended();
    lab.life.engine.release(one);
    assert!(lab.life.journal().appended() > before, "its end is activity");
    lab.settle();
    lab.life.journal().close().expect("a working disk");
    lab.wait(20 * SECOND);
    let closed = lab.life.journal().appended();
    lab.life.engine.release(other);
    assert_eq!(lab.life.journal().appended(), closed);
    assert!(at_once(lab.life.engine.hold_on(first)).is_err(), "nobody is held any more");
}

/// What the engine answers to a question, which it does at once.
fn at_once<T>(mut answer: Inquiry<T>) -> Result<T, StoreError> {
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("at once"),
    }
}

/// Fifty threads, a request each, over the engine's own threads.
fn fifty_at_once(lab: Lab, token: Option<visitlog_core::ports::Token>) -> Vec<(Outcome, Option<VisitId>)> {
    let engine = lab.life.engine;
    let driver = visitlog_engine::Driver::start(Arc::clone(&engine)).expect("threads");
    let begun = std::sync::Barrier::new(50);
    let outcomes = std::thread::scope(|scope| {
        let ask = || {
            let begin = engine.begin(arrival(1, token, "shop.example")).now().expect("at once").expect("begun");
            begun.wait();
            let future = engine.commit(commit_of(1, token, "shop.example", &begin, vec![]));
            let committed = block_on(future).expect("taken");
            (committed.outcome, committed.visit)
        };
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    driver.stop();
    outcomes
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// What an earlier life left behind a cut, in the file that the next life's segment begins in, and how many of its
/// records the life after that takes for its own.
pub(crate) fn stale_records(plan: &Plan) -> usize {
    let config = || visitlog_engine::journal::Config { segment_bytes: 1 << 20, ..plan.journal() };
    let visit = |life: u8| VisitId::from_u128(u128::from(life));
    // The power cut must take the first page and keep others: some seed does that.
    let disk = (0..200).find_map(|seed| {
        let disk = SimDisk::with_page_bytes(seed, 512);
        let (journal, _) = Journal::open(Arc::new(disk.clone()), Path::new(JOURNAL), config(), 1, |_| {}).ok()?;
        for _ in 0..30 {
            journal.appender().append_raw(visit(1), Lsn::NONE, Flags::NONE, Kind::Event, &[7; 58]);
        }
        journal.write_step().ok()?;
        disk.power_cut();
        let bytes = disk.contents(&place_of(&disk, Lsn(64)).0)?;
        // The records of the second page stand there whole.
        let (first, second) = (bytes.get(64..512)?, bytes.get(564..1_024)?);
        let is_whole = second.chunks_exact(100).all(|record| record[42..].iter().all(|byte| *byte == 7));
        (first.iter().all(|byte| *byte == 0) && is_whole).then_some(disk)
    });
    let disk = disk.expect("a power cut that takes the first page only");
    // A `Synced` record of 50 bytes, one more of 50, and four of 100: up to where a record of the first life begins.
    let (journal, found) =
        Journal::open(Arc::new(disk.clone()), Path::new(JOURNAL), config(), 1, |_| {}).expect("it opens");
    assert_eq!((found.end, found.records), (Lsn(64), 0), "all of the first life was cut off");
    journal.appender().append_raw(visit(2), Lsn::NONE, Flags::NONE, Kind::Event, &[8; 8]);
    for _ in 0..4 {
        journal.appender().append_raw(visit(2), Lsn::NONE, Flags::NONE, Kind::Event, &[8; 58]);
    }
    journal.write_step().expect("written");
    assert_eq!(journal.written(), Lsn(564));
    disk.kill();
    let mut stale = 0;
    Journal::open(Arc::new(disk), Path::new(JOURNAL), config(), 1, |record| {
        stale += usize::from(record.visit == visit(1));
    })
    .expect("it opens");
    stale
}
