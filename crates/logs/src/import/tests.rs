//! An importer and a log that lives, with crashes at every step: each line once.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use visitlog_core::Timestamp;
use visitlog_core::model::{EndedVisit, Event, OpenVisit};
use visitlog_core::requests::RequestCount;

use super::{Follow, ImportFolder, ReadSettings, Reading, Unsettled, Watch, create_unsettled};
use crate::input::Input;
use crate::parse::Hints;
use crate::sessions::{CountSettings, Ending, OutputError, SessionSettings, Visits};

struct Unwatched;

impl Watch for Unwatched {}

/// Takes the paths of page views, of settled visits and of others, and those of counted requests.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Pages {
    viewed: Vec<String>,
    open: Vec<String>,
    counted: Vec<(String, u64)>,
}

fn paths(events: &[Event]) -> impl Iterator<Item = String> {
    events.iter().filter_map(|event| Some(event.request.as_ref()?.path.to_string()))
}

impl Visits for Pages {
    fn ended(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        self.viewed.extend(paths(&visit.events));
        Ok(())
    }

    fn unsettled(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        self.open.extend(paths(&visit.events));
        Ok(())
    }

    fn open(&mut self, visit: OpenVisit) -> Result<(), OutputError> {
        self.open.extend(paths(&visit.events));
        Ok(())
    }

    fn counted(&mut self, count: &RequestCount<'_>) -> Result<(), OutputError> {
        self.counted.push((count.path.to_owned(), count.requests));
        Ok(())
    }
}

/// What has the settled visits in the end, and knows which batches it has.
#[derive(Default)]
struct Tables {
    pages: BTreeMap<String, u64>,
    counted: BTreeMap<String, u64>,
    batch: u64,
}

impl Tables {
    fn store(&mut self, folder: &ImportFolder) {
        let Some(pending) = folder.pending().filter(|pending| pending.batch > self.batch) else { return };
        self.batch = pending.batch;
        let pages: Pages = serde_json::from_value(pending.staged).expect("paths");
        pages.viewed.into_iter().for_each(|page| *self.pages.entry(page).or_default() += 1);
        pages.counted.into_iter().for_each(|(page, count)| *self.counted.entry(page).or_default() += count);
    }
}

fn open(data: &Path) -> ImportFolder {
    ImportFolder::open(data, || Ok([7; 32])).expect("a folder")
}

fn sessions(folder: &ImportFolder) -> Arc<SessionSettings> {
    let mut settings = SessionSettings::new(folder.key().clone());
    settings.rules.idle_timeout = Duration::from_secs(60);
    settings.counts = Some(CountSettings::new(Arc::default(), |_| None));
    Arc::new(settings)
}

fn begin(folder: &ImportFolder) -> Reading {
    let read = ReadSettings {
        format: None,
        hints: Hints::default(),
        clients: Default::default(),
        takes_open_lines: false,
        threads: 2,
    };
    folder.begin(read, &sessions(folder))
}

fn commit(folder: &mut ImportFolder, reading: Reading, ending: Ending) {
    let mut settings = SessionSettings::clone(&sessions(folder));
    let horizons = folder.horizons();
    let unsettled = folder.next_unsettled().expect("a place");
    let staged = |pages: Vec<Pages>| {
        let mut pages = pages.into_iter().fold(Pages::default(), |mut all, mut pages| {
            all.viewed.append(&mut pages.viewed);
            all.open.append(&mut pages.open);
            all.counted.append(&mut pages.counted);
            all
        });
        let open = std::mem::take(&mut pages.open);
        if !open.is_empty() {
            create_unsettled(&unsettled)?;
            fs::write(unsettled.join("pages"), open.join("\n"))?;
        }
        let is_empty = pages.viewed.is_empty() && pages.counted.is_empty();
        Ok(if is_empty { None } else { Some(serde_json::to_value(pages)?) })
    };
    let outputs = vec![Pages::default(), Pages::default()];
    // Every other batch lets them wait.
    if let Some(counts) = &mut settings.counts {
        counts.hold = Some(Duration::from_secs(60)).filter(|_| folder.state().batch.is_multiple_of(2));
    }
    folder.make(reading, &settings, horizons, ending, outputs, staged).expect("a batch");
}

/// Each page up to here is seen once, in what is stored and in what goes with that.
fn check_seen(data: &Path, tables: &Tables, pages: u32) {
    let mut seen = tables.pages.clone();
    let found = Unsettled::of(data).expect("a folder");
    if let Some(found) = found.iter().find(|found| found.goes_with(tables.batch)) {
        let open = fs::read_to_string(found.dir.join("pages")).expect("it has a name when it is whole");
        open.lines().for_each(|page| *seen.entry(page.to_owned()).or_default() += 1);
    }
    let wrong: Vec<_> = (0..pages).filter(|n| seen.get(&format!("/p{n}")) != Some(&1)).collect();
    assert!(wrong.is_empty() && seen.len() == pages as usize, "{wrong:?} of {pages}, {seen:?} {found:?}");
}

/// 2026-11-22T00:00:00Z: later than any line.
const NOW: Timestamp = Timestamp::from_secs(1_795_305_600);
const SOON: Ending = Ending::Open { lateness: Duration::from_secs(30), now: Some(NOW) };

/// A web server's log.
struct Log {
    folder: PathBuf,
    file: File,
    pages: u32,
    rotations: u32,
}

impl Log {
    fn new(folder: &Path) -> Self {
        let file = append(&folder.join("access.log"));
        Self { folder: folder.to_owned(), file, pages: 0, rotations: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("access.log")
    }

    fn line(&mut self) -> String {
        let n = self.pages;
        self.pages += 1;
        let (hour, minute, second) = (n / 360, n / 6 % 60, n % 6 * 10);
        format!(
            "192.0.2.{} - - [21/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] \"GET /p{n} HTTP/1.1\" 200 5 \"-\" \"A\"\n",
            n % 7 % 3
        )
    }

    fn grow(&mut self, lines: u32) {
        for _ in 0..lines {
            let line = self.line();
            self.file.write_all(line.as_bytes()).expect("written");
        }
    }

    fn rotated(&mut self) -> PathBuf {
        self.rotations += 1;
        self.folder.join(format!("access.log.{}", self.rotations))
    }

    fn rename(&mut self) -> PathBuf {
        let to = self.rotated();
        fs::rename(self.path(), &to).expect("renamed");
        self.file = append(&self.path());
        to
    }

    fn copy_and_cut(&mut self) {
        let to = self.rotated();
        fs::copy(self.path(), to).expect("copied");
        self.file.set_len(0).expect("cut");
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("a file")
}

/// As `gzip` does it: with the time of the file, which goes.
fn compress(path: &Path, how: u8) {
    let bytes = fs::read(path).expect("there");
    let packed = match how % 3 {
        0 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(&bytes).and_then(|()| out.finish()).expect("memory")
        }
        1 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(&bytes).and_then(|()| out.finish()).expect("memory")
        }
        _ => zstd::encode_all(&*bytes, 1).expect("memory"),
    };
    let modified = fs::metadata(path).and_then(|meta| meta.modified()).expect("a time");
    let mut name = path.as_os_str().to_owned();
    name.push(["gz", "bz2", "zst"].map(|end| format!(".{end}"))[usize::from(how % 3)].as_str());
    fs::write(&name, packed).expect("written");
    File::options().write(true).open(&name).and_then(|file| file.set_modified(modified)).expect("set");
    fs::remove_file(path).expect("removed");
}

#[derive(Debug, Clone)]
enum Step {
    Grow(u32),
    /// So much of a line, and the rest later.
    Half,
    Rename,
    RenameAndNoticeLate(u32),
    CopyAndCut,
    /// Looked at twice when so many of a hundred bytes are there.
    CopySlowlyAndCut(u64),
    RenameAndCompress(u8),
    Look,
    Commit,
    /// Everything in memory is gone.
    Crash,
    /// The same after the state was replaced and before the visits were stored.
    CrashBeforeStore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..30_u32).prop_map(Step::Grow),
        1 => Just(Step::Half),
        1 => Just(Step::Rename),
        1 => (0..5_u32).prop_map(Step::RenameAndNoticeLate),
        1 => Just(Step::CopyAndCut),
        1 => (0..100_u64).prop_map(Step::CopySlowlyAndCut),
        1 => any::<u8>().prop_map(Step::RenameAndCompress),
        5 => Just(Step::Look),
        3 => Just(Step::Commit),
        1 => Just(Step::Crash),
        1 => Just(Step::CrashBeforeStore),
    ]
}

fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let (data, logs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (mut log, mut tables) = (Log::new(logs.path()), Tables::default());
    let mut folder = open(data.path());
    let mut follow = Follow::new(&log.path());
    let mut reading = begin(&folder);
    // A log that was rotated before anybody followed it is none of its business: so it is followed from the start.
    follow.look(&mut reading, &Unwatched).expect("a look");
    log.grow(1);
    follow.look(&mut reading, &Unwatched).expect("a look");
    commit(&mut folder, reading, SOON);
    tables.store(&folder);
    reading = begin(&folder);
    for step in steps {
        match step {
            Step::Grow(lines) => log.grow(*lines),
            Step::Half => {
                let line = log.line();
                let (first, second) = line.split_at(line.len() / 2);
                log.file.write_all(first.as_bytes()).expect("written");
                follow.look(&mut reading, &Unwatched).expect("a look");
                log.file.write_all(second.as_bytes()).expect("written");
            }
            Step::Rename => drop(log.rename()),
            Step::RenameAndNoticeLate(lines) => {
                let to = log.rotated();
                fs::rename(log.path(), to).expect("renamed");
                log.grow(*lines);
                follow.look(&mut reading, &Unwatched).expect("a look");
                log.grow(*lines);
                log.file = append(&log.path());
            }
            Step::CopyAndCut => log.copy_and_cut(),
            Step::CopySlowlyAndCut(hundredths) => {
                let (text, to) = (fs::read(log.path()).expect("read"), log.rotated());
                let some = text.len() as u64 * hundredths / 100;
                fs::write(&to, &text[..some as usize]).expect("written");
                follow.look(&mut reading, &Unwatched).expect("a look");
                follow.look(&mut reading, &Unwatched).expect("a look");
                fs::write(&to, text).expect("written");
                log.file.set_len(0).expect("cut");
            }
            Step::RenameAndCompress(how) => {
                let renamed = log.rename();
                compress(&renamed, *how);
            }
            Step::Look => drop(follow.look(&mut reading, &Unwatched).expect("a look")),
            Step::Commit => {
                commit(&mut folder, reading, SOON);
                tables.store(&folder);
                reading = begin(&folder);
            }
            Step::Crash | Step::CrashBeforeStore => {
                if matches!(step, Step::CrashBeforeStore) {
                    commit(&mut folder, reading, SOON);
                }
                drop(folder);
                folder = open(data.path());
                tables.store(&folder);
                follow = Follow::new(&log.path());
                reading = begin(&folder);
            }
        }
    }
    // What nobody knows is looked at twice.
    follow.look(&mut reading, &Unwatched).expect("a look");
    follow.look(&mut reading, &Unwatched).expect("a look");
    commit(&mut folder, reading, Ending::Final);
    tables.store(&folder);
    let expected: BTreeMap<String, u64> = (0..log.pages).map(|n| (format!("/p{n}"), 1)).collect();
    prop_assert_eq!(&tables.counted, &expected);
    let wrong: Vec<_> = expected
        .keys()
        .chain(tables.pages.keys())
        .filter(|page| expected.get(*page) != tables.pages.get(*page))
        .take(10)
        .collect();
    prop_assert!(
        wrong.is_empty(),
        "{wrong:?} of {}: {:?}",
        log.pages,
        wrong.iter().map(|page| tables.pages.get(*page)).collect::<Vec<_>>()
    );
    Ok(())
}

/// Whoever looks while a batch is on its way to the tables sees what was before, and then what is.
#[test]
fn what_is_not_settled_is_seen_once_whether_the_batch_is_stored_or_not() {
    let (data, logs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (mut folder, mut log, mut tables) = (open(data.path()), Log::new(logs.path()), Tables::default());
    let mut follow = Follow::new(&log.path());
    let mut seen = 0;
    for round in 0..60 {
        // Clients come and go.
        let of = |n: u32, line: String| line.replacen("192.0.2.", &format!("198.51.{}.", n / 10), 1);
        let lines: String = (0..round % 5).map(|_| of(log.pages, log.line())).collect();
        log.file.write_all(lines.as_bytes()).expect("written");
        let mut reading = begin(&folder);
        follow.look(&mut reading, &Unwatched).expect("a log");
        commit(&mut folder, reading, SOON);
        if folder.pending().is_some() {
            check_seen(data.path(), &tables, seen);
        }
        if round % 7 == 3 {
            // A crash, and somebody goes on.
            drop(folder);
            folder = open(data.path());
            follow = Follow::new(&log.path());
        }
        tables.store(&folder);
        seen = log.pages;
        check_seen(data.path(), &tables, seen);
        folder.stored().expect("removed");
        check_seen(data.path(), &tables, seen);
        let names = fs::read_dir(folder.dir()).expect("a folder").map(|entry| entry.expect("one").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.starts_with("carry-"));
        let (counts, left): (Vec<String>, Vec<String>) = names.partition(|name| name.starts_with("counts-"));
        let held: Vec<_> = folder.state().counted.iter().map(|held| held.file.clone()).collect();
        assert_eq!(counts, held, "no counts but those that wait");
        assert!(left.len() <= 4, "key, lock, state, and one more: {left:?}");
    }
    assert!(tables.pages.len() > 20 && tables.pages.len() < log.pages as usize);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn each_line_once_whatever_happens(steps in proptest::collection::vec(step(), 0..40)) {
        check(&steps)?;
    }
}

#[test]
fn what_is_compressed_is_the_same_file() {
    for how in 0..3 {
        let (data, logs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let mut folder = open(data.path());
        let mut log = Log::new(logs.path());
        log.grow(500);
        let mut read = |path: &Path| {
            let mut reading = begin(&folder);
            let done = reading.read(&Input::file(path), &Unwatched).expect("a log");
            commit(&mut folder, reading, SOON);
            (done.tally.parsed, done.known_lines)
        };
        assert_eq!(read(&log.path()), (500, 0));
        log.grow(3);
        let renamed = log.rename();
        compress(&renamed, how);
        let packed = fs::read_dir(logs.path()).expect("there").map(|entry| entry.expect("one").path());
        let packed = packed.into_iter().find(|path| *path != log.path()).expect("the compressed one");
        assert_eq!(read(&packed), (3, 500));
        assert_eq!(read(&packed), (0, 503));
    }
}

#[test]
fn who_watches_may_stop_it_and_sees_what_is_rejected() {
    struct Strict(Mutex<Vec<(u64, u64)>>);
    impl Watch for Strict {
        fn rejected(&self, reject: crate::reject::Reject) -> std::ops::ControlFlow<()> {
            self.0.lock().expect("a list").push((reject.line, reject.offset));
            std::ops::ControlFlow::Break(())
        }
    }
    let (data, logs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let folder = open(data.path());
    let mut log = Log::new(logs.path());
    log.grow(2);
    let offset = log.file.metadata().expect("there").len();
    log.file.write_all(b"what is this?\n").expect("written");
    log.grow(2);
    let strict = Strict(Mutex::default());
    let stopped = begin(&folder).read(&Input::file(log.path()), &strict).expect_err("stopped");
    assert!(matches!(stopped, super::ReadError::Stopped));
    assert_eq!(strict.0.into_inner().expect("a list"), [(3, offset)]);
}
