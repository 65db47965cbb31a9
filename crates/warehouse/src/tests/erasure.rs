use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::util::pretty::pretty_format_batches;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use visitlog_core::VisitId;
use visitlog_core::erasure::{Claim, Subject, Survey, Whose};
use visitlog_core::model::UserId;

use super::lab::{JOURNAL, Lab, nth, people, requests};
use crate::erase::KnownPages;
use crate::rows::visitor_key;
use crate::store::DurableStore;
use crate::store::fault::{Fault, FaultStore};
use crate::testing::visitor;

/// Every byte of a folder, and every cell of its Parquet files, as text.
pub(super) fn everything(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            everything(&path, out);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes.clone())).expect("parquet");
            let batches: Vec<_> = reader.build().expect("parquet").map(|batch| batch.expect("rows")).collect();
            let text = pretty_format_batches(&batches).expect("text").to_string();
            out.push((path.display().to_string(), text.into_bytes()));
        }
        out.push((path.display().to_string(), bytes));
    }
}

/// The files in which one of the needles occurs.
fn found(folder: &Path, needles: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    everything(folder, &mut all);
    let holds = |bytes: &[u8], needle: &String| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    let mut hits = Vec::new();
    for (file, bytes) in &all {
        hits.extend(needles.iter().filter(|needle| holds(bytes, needle)).map(|needle| format!("{needle} in {file}")));
    }
    hits
}

/// All that is the `who`th visitor's and nobody else's.
fn traces(who: u64, visits: u64) -> Vec<String> {
    let mut traces = vec![
        visitor(who).to_string(),
        visitor_key(visitor(who)).to_string(),
        format!("user-{who}"),
        format!("plan-{who}"),
        format!("/members/{who}"),
        format!("198.51.100.{who}"),
        format!("(reader {who})"),
        format!("?from={who}"),
    ];
    traces.extend((0..visits).filter(|n| n % 10 == who).map(|n| nth(n).1.visit.to_string()));
    traces
}

fn of(who: u64) -> Whose {
    Whose::of(Subject::Visitor(visitor(who)))
}

fn logins(user: &str) -> Whose {
    Whose::of(Subject::User(UserId::new(user)))
}

fn nobody(_: VisitId) -> bool {
    false
}

fn lab(dir: &Path) -> Lab {
    Lab::on(Arc::new(DurableStore::new()), dir.join("tables").to_str().expect("a text"))
}

#[test]
fn nothing_is_left_of_a_visitor() {
    // The key of the first is the least of every file: the log's statistics, old ones too, name it.
    for who in [0, 3] {
        nothing_is_left_of(who);
    }
}

fn nothing_is_left_of(who: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut lab = lab(dir.path());
    let mut process = lab.start();
    lab.feed_all(&mut process, 40, 15);
    let _ = process.warehouse.upkeep_step().expect("a working store");
    lab.feed_all(&mut process, 50, 15);
    std::fs::write(dir.path().join("tables/visits/month=2026-11/x.parquet#7"), format!("user-{who}"))
        .expect("a crash's leftover");
    let traces = traces(who, 50);
    let before = found(dir.path(), &traces);
    for trace in &traces {
        assert!(before.iter().any(|hit| hit.starts_with(trace)), "{trace} is not found before: is the search blind?");
    }
    let other: Vec<String> = traces_of_others(who);
    let erased = process.warehouse.erase(&of(who), &nobody, JOURNAL, &KnownPages::default()).expect("erased");
    assert_eq!((erased.visits, erased.events), (5, 15));
    assert_eq!(found(dir.path(), &traces), Vec::<String>::new());
    for trace in &other {
        assert!(!found(dir.path(), std::slice::from_ref(trace)).is_empty(), "{trace} went too");
    }
    assert_eq!(people(process.warehouse.status().expect("figures")), [45, 135]);
    assert_eq!(requests(&process.warehouse), 100, "they are counted still");
    // What comes again from the journal is not taken: the tables have been that far.
    lab.acknowledged = visitlog_core::Lsn::NONE;
    let mut process = lab.start();
    lab.feed(&mut process, 50, 5).expect("a working store");
    assert_eq!(found(dir.path(), &traces), Vec::<String>::new(), "a person comes back");
    assert_eq!(process.warehouse.erase(&of(who), &nobody, JOURNAL, &KnownPages::default()).expect("again").visits, 0);
}

fn traces_of_others(who: u64) -> Vec<String> {
    (0..9).filter(|n| *n != who).map(|n| format!("/members/{n}")).collect()
}

#[test]
fn nothing_is_left_of_a_user_and_of_references_to_their_visits() {
    let dir = tempfile::tempdir().expect("a folder");
    let lab = lab(dir.path());
    let mut process = lab.start();
    let mut visits: Vec<_> = (0..20).map(nth).collect();
    visits[4].1.start.previous = Some(visits[3].1.visit);
    use visitlog_core::ports::VisitSink as _;
    process.sink.deliver(&visits).expect("taken");
    process.sink.flush().expect("a working store");
    process.warehouse.erase(&logins("user-3"), &nobody, JOURNAL, &KnownPages::default()).expect("erased");
    assert_eq!(found(dir.path(), &traces(3, 20)), Vec::<String>::new());
    assert_eq!(people(process.warehouse.status().expect("figures")), [18, 54]);
}

#[test]
fn an_erasure_that_was_interrupted_is_finished_by_the_next() {
    let calls = 70;
    for call in (1..calls).step_by(3) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut lab = lab(dir.path());
        let mut process = lab.start();
        lab.feed_all(&mut process, 30, 15);
        let store = FaultStore::new(Arc::clone(&lab.disk));
        let process = lab.start_on(&store, 1_000).unwrap_or_else(|_| panic!("a working store"));
        store.at(call, if call % 2 == 0 { Fault::CrashesAfter } else { Fault::CrashesBefore });
        let erased = process.warehouse.erase(&of(3), &nobody, JOURNAL, &KnownPages::default());
        assert_eq!(erased.is_err(), store.is_dead());
        let process = lab.start();
        process.warehouse.erase(&of(3), &nobody, JOURNAL, &KnownPages::default()).expect("a working store");
        assert_eq!(found(dir.path(), &traces(3, 30)), Vec::<String>::new(), "crash at call {call}");
        assert_eq!(people(process.warehouse.status().expect("figures")), [27, 81], "call {call}");
    }
}

#[test]
fn an_export_has_all_of_one_visitor_and_nothing_of_others() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    lab.feed_all(&mut process, 25, 10);
    let visits = process.warehouse.export(&of(3)).expect("read");
    assert_eq!(visits.len(), 3);
    for (visit, n) in visits.iter().zip([3, 13, 23]) {
        assert_eq!(visit["visit_id"], nth(n).1.visit.to_string());
        assert_eq!((&visit["user_id"], &visit["entry_path"]), (&"user-3".into(), &"/members/3".into()));
        assert_eq!(visit["events"].as_array().expect("events").len(), 3);
        assert_eq!(visit["events"][1]["properties"], format!(r#"{{"size":{n}}}"#));
    }
    assert!(process.warehouse.export(&logins("nobody")).expect("read").is_empty());
}

/// What a survey of the tables finds.
fn surveyed(process: &super::lab::Process, user: &str) -> Whose {
    let mut survey = Survey::of(UserId::new(user), Vec::new());
    process.warehouse.survey(&mut survey).expect("read");
    survey.begin_second();
    process.warehouse.survey(&mut survey).expect("read");
    survey.finish()
}

#[test]
fn a_login_that_only_an_event_names_counts_and_so_does_somebody_elses() {
    use visitlog_core::model::EventKind;
    use visitlog_core::ports::VisitSink as _;
    let dir = tempfile::tempdir().expect("a folder");
    let lab = lab(dir.path());
    let mut process = lab.start();
    let mut visits: Vec<_> = (0..40).map(nth).collect();
    for (n, (_, visit)) in visits.iter_mut().enumerate() {
        // The visitors' first visits tell who they are, the later ones are anonymous.
        if n >= 10 {
            visit.end.user = None;
        }
    }
    // Only an event says that visitor 3 is mallory; visitor 4 is mallory, too.
    for n in [3, 4] {
        let mut login = visits[n].1.events[0].clone();
        (login.kind, login.name, login.request) = (EventKind::Login, Some("mallory".into()), None);
        visits[n].1.events.push(login);
    }
    visits[3].1.end.user = None;
    process.sink.deliver(&visits).expect("taken");
    process.sink.flush().expect("a working store");

    let mallory = surveyed(&process, "mallory");
    assert_eq!(mallory.alone().iter().copied().collect::<Vec<_>>(), [visitor(3)]);
    let found = process.warehouse.find(&mallory).expect("read");
    assert_eq!((found.count(Claim::Login), found.count(Claim::Anonymous)), (2, 3));
    assert_eq!(process.warehouse.export(&mallory).expect("read").len(), 5);
    let erased = process
        .warehouse
        .erase(&mallory, &|visit| visit == visits[5].1.visit, JOURNAL, &KnownPages::default())
        .expect("erased");
    assert_eq!((erased.visits, &erased.found), (5, &found));
    assert_eq!(self::found(dir.path(), &["mallory".to_owned()]), Vec::<String>::new());
    let again = process.warehouse.erase(&mallory, &nobody, JOURNAL, &KnownPages::default()).expect("erased");
    assert_eq!((again.visits, again.events, again.files), (0, 0, 0));
    assert_eq!(process.warehouse.status().expect("figures")[0].rows, 35);
}
