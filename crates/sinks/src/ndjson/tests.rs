use std::collections::BTreeSet;
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::erasure::{Claim, Subject, Whose};

use super::*;
use crate::testing::written;
use visitlog_testkit::StepDisk;
use visitlog_testkit::samples::{MORNING, id, visits};

const TODAY: &str = "data/visits-2025-11-21.ndjson";
const TOMORROW: &str = "data/visits-2025-11-22.ndjson";
/// Ten seconds before midnight.
const EVENING: Timestamp = Timestamp::from_secs(1_763_769_590);
/// What the simulated disk writes as a whole.
const SECTOR_BYTES: usize = 512;

fn sink(disk: &StepDisk) -> NdjsonSink {
    NdjsonSink::new(disk.shared(), "data")
}

fn ids(visits: &[EndedVisit]) -> Vec<VisitId> {
    visits.iter().map(|visit| visit.visit).collect()
}

fn deliver(sink: &mut NdjsonSink, batch: &[EndedVisit]) -> Result<Vec<u8>, SinkError> {
    match deliver_part(sink, batch)? {
        (_, place, None) => Ok(place),
        (_, _, Some(rest)) => Err(rest),
    }
}

/// How many visits of a batch it has stored, the place behind them, and why not the rest.
fn deliver_part(sink: &mut NdjsonSink, batch: &[EndedVisit]) -> Result<(usize, Vec<u8>, Option<SinkError>), SinkError> {
    let batch: Vec<_> = (1..).map(Lsn).zip(batch.iter().cloned()).collect();
    match sink.deliver(&batch)? {
        Delivery::Stored(Kept::All(place)) => Ok((batch.len(), place, None)),
        Delivery::Stored(Kept::Upto { upto: Lsn(upto), place, rest }) => Ok((upto as usize, place, Some(rest))),
        other => panic!("it gathers nothing, but said {other:?}"),
    }
}

/// A sink that has delivered `batch`, and the place behind it.
fn delivered(disk: &StepDisk, batch: &[EndedVisit]) -> (NdjsonSink, Vec<u8>) {
    let mut sink = sink(disk);
    sink.resume(None, &[]).expect("an empty folder");
    let place = deliver(&mut sink, batch).expect("a working disk");
    (sink, place)
}

fn refusal(result: Result<(), SinkError>) -> String {
    match result {
        Err(error @ SinkError::Changed { .. }) => error.to_string(),
        other => panic!("a refusal expected, {other:?} found"),
    }
}

#[test]
fn writes_a_line_each_and_goes_on_at_the_place() {
    let disk = StepDisk::default();
    let all = visits(0..5, MORNING);
    let (_, place) = delivered(&disk, &all[..3]);
    let mut again = sink(&disk);
    again.resume(Some(&place), &ids(&all[3..])).expect("as it was left");
    deliver(&mut again, &all[3..]).expect("a working disk");
    assert_eq!(written(&disk, "data"), ids(&all));
    assert_eq!(disk.paths(), [Path::new(TODAY)]);
}

#[test]
fn a_new_day_is_a_new_file_and_the_day_never_goes_back() {
    let disk = StepDisk::default();
    let mut all = visits(0..20, EVENING);
    all.extend(visits(20..22, EVENING));
    let (mut sink, place) = delivered(&disk, &all[..21]);
    deliver(&mut sink, &all[21..]).expect("a working disk");
    let lines = |path| disk.read(path).map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count());
    assert_eq!((lines(TODAY), lines(TOMORROW)), (Some(10), Some(12)));
    assert_eq!(written(&disk, "data"), ids(&all));
    // Redelivered in other batches, they come to stand where they stood.
    let (today, tomorrow) = (disk.read(TODAY), disk.read(TOMORROW));
    sink.resume(Some(&place), &ids(&all[21..])).expect("one line behind the place");
    assert_eq!(lines(TOMORROW), Some(11));
    sink.resume(None, &ids(&all)).expect("all of it to come again");
    assert!(disk.paths().is_empty());
    all.chunks(3).for_each(|batch| drop(deliver(&mut sink, batch).expect("a working disk")));
    assert_eq!((disk.read(TODAY), disk.read(TOMORROW)), (today, tomorrow));
}

/// Delivers two batches over midnight; something goes wrong at the given step of the second.
fn at_each_step(check: impl Fn(&StepDisk, &mut NdjsonSink, &[u8], &[EndedVisit], u64)) {
    let all = visits(0..20, EVENING);
    let (first, second) = all.split_at(8);
    let steps = {
        let disk = StepDisk::default();
        let (mut sink, _) = delivered(&disk, first);
        let before = disk.steps();
        deliver(&mut sink, second).expect("a working disk");
        before + 1..=disk.steps()
    };
    assert!(steps.clone().count() >= 5, "write, sync, create, write, sync, sync folder: {steps:?}");
    for step in steps {
        let disk = StepDisk::default();
        let (mut sink, place) = delivered(&disk, first);
        check(&disk, &mut sink, &place, &all, step);
    }
}

#[test]
fn once_after_a_kill_at_each_step() {
    at_each_step(|disk, sink, place, all, step| {
        disk.crash_at(step);
        deliver(sink, &all[8..]).expect_err("a crash");
        assert!(disk.has_crashed());
        let disk = disk.after_kill();
        let mut again = NdjsonSink::new(disk.shared(), "data");
        again.resume(Some(place), &ids(&all[8..])).expect("only what comes again");
        assert_eq!(written(&disk, "data"), ids(&all[..8]), "step {step}");
        deliver(&mut again, &all[8..]).expect("a working disk");
        assert_eq!(written(&disk, "data"), ids(all), "step {step}");
    });
}

#[test]
fn once_after_a_power_cut_at_each_step_and_at_each_of_the_recovery() {
    at_each_step(|disk, sink, place, all, step| {
        // After the last step, too: delivered, but the acknowledgement is lost.
        disk.crash_at(step + 1);
        let _ = deliver(sink, &all[8..]);
        for seed in 0..20 {
            let cut = disk.after_power_cut(seed);
            let recovery =
                |disk: &StepDisk| NdjsonSink::new(disk.shared(), "data").resume(Some(place), &ids(&all[8..]));
            let dry = cut.after_kill();
            recovery(&dry).expect("only what comes again");
            for at in 1..=dry.steps() + 1 {
                let twice = cut.after_kill();
                twice.crash_at(at);
                assert_eq!(recovery(&twice).is_err(), at <= dry.steps());
                let twice = twice.after_power_cut(seed + at);
                let mut again = NdjsonSink::new(twice.shared(), "data");
                again.resume(Some(place), &ids(&all[8..])).expect("only what comes again");
                let place = deliver(&mut again, &all[8..]).expect("a working disk");
                let safe = twice.after_power_cut(seed);
                assert_eq!(written(&safe, "data"), ids(all), "step {step}, seed {seed}, recovery step {at}");
                NdjsonSink::new(safe.shared(), "data").resume(Some(&place), &[]).expect("as it was left");
            }
        }
    });
}

#[test]
fn what_was_delivered_survives_a_power_cut() {
    for seed in 0..50 {
        let disk = StepDisk::default();
        let all = visits(0..20, EVENING);
        delivered(&disk, &all);
        assert_eq!(written(&disk.after_power_cut(seed), "data"), ids(&all), "seed {seed}");
    }
}

#[test]
fn a_failed_step_is_taken_back_and_the_batch_works_later() {
    at_each_step(|disk, sink, place, all, step| {
        disk.fail_at(step, 5);
        let (stored, error) = match deliver_part(sink, &all[8..]) {
            Ok((stored, _, Some(error))) => (stored, error),
            other => (0, other.expect_err("an I/O error")),
        };
        assert!(error.is_retryable(), "{error}");
        assert_eq!(written(disk, "data"), ids(&all[..8 + stored]), "step {step}");
        let second = deliver(sink, &all[8 + stored..]).expect("a working disk");
        assert_eq!(written(disk, "data"), ids(all), "step {step}");
        assert_ne!(second, place);
    });
}

#[test]
fn a_full_disk_takes_what_fits_and_costs_nothing_but_time() {
    let all = visits(0..20, EVENING);
    let lines: Vec<usize> = (0..all.len())
        .map(|n| {
            let alone = StepDisk::default();
            delivered(&alone, &all[n..=n]);
            alone.paths().iter().filter_map(|path| alone.read(path)).map(|bytes| bytes.len()).sum::<usize>()
        })
        .collect();
    let mut fitted = BTreeSet::new();
    for more in (0..lines[2..].iter().sum()).step_by(150) {
        let disk = StepDisk::default();
        let (mut sink, first) = delivered(&disk, &all[..2]);
        let used = lines[..2].iter().sum::<usize>();
        disk.limit(Some((used + more) as u64));
        // A disk takes whole sectors of each file; eight of the visits come before midnight.
        let sectors = |bytes: usize| bytes / SECTOR_BYTES * SECTOR_BYTES;
        let today: usize = lines[2..10].iter().sum();
        let room = if more < today { sectors(used + more).saturating_sub(used) } else { today + sectors(more - today) };
        let (stored, place, error) = match deliver_part(&mut sink, &all[2..]) {
            Ok((stored, place, Some(error))) => (stored, place, error),
            other => (0, first, other.map(|_| ()).expect_err("no space")),
        };
        assert!(error.is_retryable(), "{error}");
        let fit = (0..=18).rfind(|fit| lines[2..2 + fit].iter().sum::<usize>() <= room).expect("none fit always");
        assert_eq!(stored, fit, "{more} bytes of space");
        assert_eq!(written(&disk, "data"), ids(&all[..2 + stored]), "{more} bytes of space");
        fitted.insert(stored);
        // It is on stable storage before it says so, and nothing else is; whoever goes on behind it loses nothing.
        for disk in [disk.after_power_cut(more as u64), disk.after_kill()] {
            assert_eq!(written(&disk, "data"), ids(&all[..2 + stored]), "{more} bytes of space");
            let mut again = self::sink(&disk);
            again.resume(Some(&place), &ids(&all[2 + stored..])).expect("as it was left");
            deliver(&mut again, &all[2 + stored..]).expect("a disk with space");
            assert_eq!(written(&disk, "data"), ids(&all), "{more} bytes of space");
        }
        disk.limit(None);
        deliver(&mut sink, &all[2 + stored..]).expect("space again");
        assert_eq!(written(&disk, "data"), ids(&all), "{more} bytes of space");
    }
    assert_eq!(fitted, (0..18).collect(), "on both days");
}

#[test]
fn what_a_full_disk_can_not_sync_is_not_stored() {
    let all = visits(0..6, MORNING);
    let disk = StepDisk::default();
    let (mut sink, place) = delivered(&disk, &all[..2]);
    let used = disk.read(TODAY).expect("a file").len();
    disk.limit(Some(used as u64 * 2 + 50));
    // The write, the cut, and the sync that fails.
    disk.fail_at(disk.steps() + 3, 5);
    deliver_part(&mut sink, &all[2..]).map(|_| ()).expect_err("nothing of it");
    assert_eq!(written(&disk, "data"), ids(&all[..2]));
    disk.limit(None);
    assert_ne!(deliver(&mut sink, &all[2..]).expect("space again"), place);
    assert_eq!(written(&disk, "data"), ids(&all));
}

#[test]
fn a_file_that_is_not_as_it_was_left_is_refused() {
    let all = visits(0..6, MORNING);
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change); 7] = [
        ("at least", |bytes| bytes.truncate(100)),
        ("checksum", |bytes| {
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
        }),
        ("no visit's document", |bytes| bytes.extend_from_slice(b"hello\n")),
        ("no visit's document", |bytes| bytes.extend_from_slice(b"hello")),
        ("no visit's document", |bytes| bytes.extend_from_slice(b"\n")),
        ("not among the next ones", |bytes| {
            let first = bytes.split_inclusive(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
            bytes.extend(first.expect("a line"));
        }),
        ("not among the next ones", |bytes| bytes.extend_from_within(..60)),
    ];
    for (why, change) in cases {
        let disk = StepDisk::default();
        let (mut running, place) = delivered(&disk, &all[..3]);
        let mut bytes = disk.read(TODAY).expect("a file");
        change(&mut bytes);
        disk.put(TODAY, &bytes);
        let text = refusal(sink(&disk).resume(Some(&place), &ids(&all[3..])));
        assert!(text.contains(why) && text.contains(TODAY) && text.contains("expected"), "{text}");
        assert_eq!(disk.read(TODAY).as_ref(), Some(&bytes), "nothing was cut off");
        // A sink at work sees it as well.
        refusal(deliver(&mut running, &all[3..]).map(drop));
        assert_eq!(disk.read(TODAY), Some(bytes));
    }
}

#[test]
fn other_peoples_files_are_refused_and_left_alone() {
    let all = visits(0..6, MORNING);
    let disk = StepDisk::default();
    let (mut running, place) = delivered(&disk, &all[..3]);
    disk.put(TOMORROW, b"{\"visit_id\":\"mine\"}\n");
    let text = refusal(sink(&disk).resume(Some(&place), &ids(&all[3..])));
    assert!(text.contains("whose visit_id is no id") && text.contains(TOMORROW), "{text}");
    let later = visits(3..20, EVENING);
    refusal(deliver(&mut running, &later).map(drop));
    assert_eq!(disk.read(TOMORROW).as_deref(), Some(&b"{\"visit_id\":\"mine\"}\n"[..]));
    assert_eq!(written_today(&disk), [ids(&all[..3]), ids(&later[..10])].concat(), "and what came before midnight");
    // Without an acknowledgement, nothing may be there but what is still to come.
    let text = refusal(sink(&disk).resume(None, &ids(&all)));
    assert!(text.contains("byte 0"), "{text}");
}

fn written_today(disk: &StepDisk) -> Vec<VisitId> {
    let only = StepDisk::default();
    only.put(TODAY, &disk.read(TODAY).expect("a file"));
    written(&only, "data")
}

#[test]
fn a_file_that_is_gone_is_refused_until_a_person_says_so() {
    let all = visits(0..6, MORNING);
    let disk = StepDisk::default();
    let (mut running, place) = delivered(&disk, &all[..3]);
    let moved = format!("{TODAY}.moved");
    disk.rename(TODAY, "elsewhere/old");
    let text = refusal(sink(&disk).resume(Some(&place), &ids(&all[3..])));
    assert!(text.contains("none found") && text.contains(&moved), "{text}");
    refusal(deliver(&mut running, &all[3..4]).map(drop));
    disk.rename("elsewhere/old", &moved);
    let mut again = sink(&disk);
    again.resume(Some(&place), &ids(&all[3..])).expect("a person has looked");
    deliver(&mut again, &all[3..4]).expect("a working disk");
    // Not acknowledged, so it comes again: once in the new file.
    again.resume(Some(&place), &ids(&all[3..])).expect("only what comes again");
    let place = deliver(&mut again, &all[3..]).expect("a working disk");
    assert_eq!(written(&disk, "data"), ids(&all[3..]));
    sink(&disk).resume(Some(&place), &[]).expect("as it was left");
}

#[test]
fn a_place_that_nobody_understands_is_refused() {
    let disk = StepDisk::default();
    let text = refusal(sink(&disk).resume(Some(&[9; 17]), &[]));
    assert!(text.contains("version 1 expected"), "{text}");
}

#[test]
fn an_empty_batch_moves_nothing() {
    let disk = StepDisk::default();
    let (mut sink, place) = delivered(&disk, &visits(0..1, MORNING.after(Duration::from_secs(1))));
    assert_eq!(deliver(&mut sink, &[]).expect("nothing to do"), place);
    let disk = StepDisk::default();
    let (mut sink, place) = delivered(&disk, &[]);
    assert!(place.is_empty() && disk.paths().is_empty());
    sink.resume(Some(&place), &[id(1)]).expect("from the start");
}

/// All bytes of a folder's files.
fn bytes(disk: &StepDisk) -> String {
    let mut all = String::new();
    for path in disk.paths() {
        let file = disk.open(&path).expect("listed");
        let mut bytes = vec![0; usize::try_from(file.len().expect("open")).expect("a small file")];
        file.read_at(&mut bytes, 0).expect("open");
        all.push_str(&String::from_utf8(bytes).expect("text"));
    }
    all
}

#[test]
fn erased_lines_leave_nothing_and_the_sink_goes_on_whatever_step_a_crash_interrupts() {
    let mut all = visits(0..20, EVENING);
    // The last line, in the last page before the place, refers to the erased visit.
    all[11].start.previous = Some(id(7));
    let whose = Whose::of(Subject::Visitor(all[7].start.facts.visitor_id));
    for step in 1..12 {
        for is_power_cut in [false, true] {
            let disk = StepDisk::default();
            let mut sink = sink(&disk);
            sink.resume(None, &[]).expect("nothing there");
            let place = deliver(&mut sink, &all[..12]).expect("a working disk");
            assert!(bytes(&disk).contains(&id(7).to_string()));
            disk.crash_at(disk.steps() + step);
            let _ = erase_lines(&disk, Path::new("data"), &whose, &|_| false);
            let disk = if is_power_cut { disk.after_power_cut(step) } else { disk.after_kill() };
            let mut sink = self::sink(&disk);
            sink.resume(Some(&place), &ids(&all[12..])).expect("an erasure is no foreign change");
            erase_lines(&disk, Path::new("data"), &whose, &|_| false).expect("a working disk");
            deliver(&mut sink, &all[12..]).expect("and none while it runs");
            let left = bytes(&disk);
            assert!(!left.contains(&all[7].start.facts.visitor_id.to_string()), "step {step}");
            assert_eq!(left.lines().count(), 20);
            for line in left.lines() {
                serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
            }
        }
    }
}

#[test]
fn references_to_an_erased_visit_go_too_and_users_are_found_in_events() {
    let disk = StepDisk::default();
    let mut all = visits(0..12, EVENING);
    all[11].start.previous = Some(id(7));
    all.iter_mut().for_each(|visit| visit.end.user = None);
    all[7].events[1].kind = visitlog_core::model::EventKind::Login;
    all[7].events[1].name = Some("mallory".into());
    let mut sink = sink(&disk);
    sink.resume(None, &[]).expect("nothing there");
    deliver(&mut sink, &all).expect("a working disk");
    let whose = Whose::of(Subject::User(visitlog_core::model::UserId::new("mallory")));
    let erase = || erase_lines(&disk, Path::new("data"), &whose, &|_| false).expect("a working disk");
    assert_eq!(find_lines(&disk, Path::new("data"), &whose).expect("read").visits.count(Claim::Login), 1);
    let erased = erase();
    assert_eq!((erased.lines, erased.visits.ids().collect::<Vec<_>>()), (1, vec![id(7)]));
    let left = bytes(&disk);
    assert!(!left.contains("mallory") && !left.contains(&id(7).to_string()));
    assert_eq!(erase().lines, 0, "nothing left");
}

#[test]
fn a_visit_that_went_elsewhere_is_named_no_more() {
    let disk = StepDisk::default();
    let mut all = visits(0..3, EVENING);
    all[2].start.previous = Some(id(9));
    let mut sink = sink(&disk);
    sink.resume(None, &[]).expect("nothing there");
    deliver(&mut sink, &all).expect("a working disk");
    let whose = Whose::of(Subject::User(visitlog_core::model::UserId::new("mallory")));
    let erased = erase_lines(&disk, Path::new("data"), &whose, &|visit| visit == id(9)).expect("a working disk");
    assert_eq!(erased.lines, 0);
    assert!(!bytes(&disk).contains(&id(9).to_string()));
}

#[test]
fn files_go_by_their_day_and_the_newest_stays() {
    let disk = StepDisk::default();
    let shared = disk.shared();
    for day in ["2025-11-19", "2025-11-20", "2025-11-21"] {
        shared.create(Path::new(&format!("data/visits-{day}.ndjson"))).expect("a working disk");
    }
    shared.create(Path::new("data/visits-2025-11-01.ndjson.moved")).expect("a working disk");
    let left = || {
        let mut names: Vec<_> = shared.list(Path::new("data")).expect("a folder");
        names.sort();
        names.into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    let remove = |moment| remove_files_before(&*shared, Path::new("data"), moment).expect("a working disk");
    assert_eq!(remove(EVENING.before(Duration::from_secs(2 * 86_400))), 0);
    assert_eq!(remove(EVENING.before(Duration::from_secs(86_400))), 1, "2025-11-19");
    assert_eq!(left().len(), 3);
    assert_eq!(remove(EVENING.after(Duration::from_secs(9 * 86_400))), 1, "2025-11-20");
    assert_eq!(left(), ["data/visits-2025-11-01.ndjson.moved", TODAY]);
}
