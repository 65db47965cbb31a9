//! Requests and what visits came of them, in a form that can be compared.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::model::{EndedVisit, OpenVisit, VisitView};

use crate::hit::Hit;
use crate::sessions::{
    Ending, Finished, Gatherer, Horizons, OutputError, Run, SessionSettings, VisitorKey, Visits, Work, Worker, finish,
};

/// A request of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at_s: i64,
    /// The last two bytes of the address.
    pub(super) client: u16,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) user: Option<&'static str>,
    /// Where it stands in its file.
    pub(super) offset: u64,
}

pub(super) fn page(at_s: i64, client: u16, path: &str) -> Row {
    Row { at_s, client, method: "GET", path: path.to_owned(), status: 200, user: None, offset: at_s.unsigned_abs() }
}

impl Row {
    pub(super) fn hit(&self) -> Hit<'_> {
        let [a, b] = self.client.to_be_bytes();
        Hit {
            time: Timestamp::from_secs(self.at_s),
            client_ip: Some([10, 0, a, b].into()),
            method: self.method.into(),
            path: self.path.as_str().into(),
            status: self.status,
            user: self.user.map(Into::into),
            ..Hit::default()
        }
    }
}

/// A visit, as far as the order of lines must not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) client: String,
    pub(super) from_s: i64,
    pub(super) to_s: i64,
    pub(super) reason: Option<&'static str>,
    pub(super) closed_us: Option<i64>,
    /// Time, kind, path.
    pub(super) events: Vec<(i64, &'static str, String)>,
}

fn seen(visit: &VisitView<'_>, last: Timestamp) -> Seen {
    let event = |event: &visitlog_core::model::Event| {
        let path = event.request.as_ref().map(|request| request.path.to_string());
        (
            event.time.secs(),
            event.kind.as_str(),
            path.or_else(|| event.name.as_deref().map(str::to_owned)).unwrap_or_default(),
        )
    };
    let mut events: Vec<_> = visit.events.iter().map(event).collect();
    events.sort();
    Seen {
        client: visit.start.facts.ip.expose().expect("an address").to_string(),
        from_s: visit.start.at.secs(),
        to_s: last.secs(),
        reason: visit.end.map(|end| end.reason.as_str()),
        closed_us: visit.end.map(|end| end.closed_at.micros()),
        events,
    }
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) ended: Vec<EndedVisit>,
    pub(super) open: Vec<OpenVisit>,
}

impl Visits for Taken {
    fn ended(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        self.ended.push(visit);
        Ok(())
    }

    fn open(&mut self, visit: OpenVisit) -> Result<(), OutputError> {
        self.open.push(visit);
        Ok(())
    }
}

pub(super) fn settings() -> SessionSettings {
    let addresses = visitlog_core::rules::Addresses::Whole;
    SessionSettings { addresses, ..SessionSettings::new(VisitorKey::new([1; 32])) }
}

pub(super) fn idle(seconds: u64) -> SessionSettings {
    let mut settings = settings();
    settings.rules.idle_timeout = Duration::from_secs(seconds);
    settings
}

/// An importer that lives through several batches.
pub(super) struct Importer {
    pub(super) settings: Arc<SessionSettings>,
    carried: Vec<Run>,
    known: Vec<(String, Vec<Timestamp>)>,
    pub(super) ended: Vec<EndedVisit>,
    pub(super) open: Vec<OpenVisit>,
    pub(super) counts: crate::sessions::Counts,
}

impl Importer {
    pub(super) fn new(settings: SessionSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            carried: Vec::new(),
            known: Vec::new(),
            ended: Vec::new(),
            open: Vec::new(),
            counts: Default::default(),
        }
    }

    /// Takes rows, each in the gatherer and file that `place` says.
    pub(super) fn batch(&mut self, rows: &[Row], ending: Ending, place: impl Fn(usize) -> usize) {
        let mut gatherers: Vec<Gatherer> = (0..2).map(|_| Gatherer::new(Arc::clone(&self.settings))).collect();
        for (at, row) in rows.iter().enumerate() {
            let file = place(at);
            let origin = crate::sessions::Origin { file: file as u32, offset: row.offset };
            gatherers[file % 2].add(&row.hit(), origin).expect("a disk");
        }
        let mut horizons = Horizons::default();
        self.known.iter().for_each(|(site, newest)| horizons.remember(site, newest));
        let files = HashMap::from([(0, 100), (1, 101)]);
        let carry =
            |path| File::options().read(true).write(true).create(true).truncate(true).open(path).expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        let worker = |n: usize| {
            let carry = matches!(ending, Ending::Open { .. }).then(|| carry(folder.path().join(n.to_string())));
            Worker { visits: Taken::default(), carry }
        };
        let carried = std::mem::take(&mut self.carried);
        let work = Work { settings: &self.settings, gatherers, carried, horizons, files: &files, ending };
        let finished: Finished<Taken> = finish(work, vec![worker(0), worker(1)]).expect("visits");
        let made = finished.made();
        self.known = finished.horizons.newest().map(|(site, newest)| (site.to_owned(), newest)).collect();
        self.counts.add(&finished.counts);
        self.open.clear();
        let before = self.ended.len();
        for done in finished.done {
            self.ended.extend(done.visits.ended);
            self.open.extend(done.visits.open);
            // Read as a later process would.
            self.carried.extend(done.carried.filter(|run| !run.is_empty()));
        }
        let names = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        self.carried = names.map(|path| Run::open(File::open(path).expect("there")).expect("a run")).collect();
        assert_eq!(made.ended as usize, self.ended.len() - before);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let mut all: Vec<_> = self.ended.iter().map(|visit| seen(&visit.view(), visit.end.ended_at)).collect();
        all.sort();
        all
    }
}

/// The visits of what was gathered, everything ended.
pub(super) fn ended(gatherer: Gatherer) -> Vec<EndedVisit> {
    let (settings, files) = (settings(), HashMap::from([(0, 100)]));
    let work = Work {
        settings: &settings,
        gatherers: vec![gatherer],
        carried: Vec::new(),
        horizons: Horizons::default(),
        files: &files,
        ending: Ending::Final,
    };
    let finished = finish(work, vec![Worker { visits: Taken::default(), carry: None }]).expect("visits");
    finished.done.into_iter().flat_map(|done| done.visits.ended).collect()
}

/// All visits of rows, everything ended.
pub(super) fn visits(settings: SessionSettings, rows: &[Row]) -> Vec<Seen> {
    let mut importer = Importer::new(settings);
    importer.batch(rows, Ending::Final, |at| at % 2);
    importer.seen()
}

pub(super) const HOUR: Ending = Ending::Open { lateness: Duration::from_secs(3_600), now: None };

/// The same order for each seed.
pub(super) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for at in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(at, (state % (at as u64 + 1)) as usize);
    }
}
