//! An engine with one sink on a simulated disk, and what a scene does with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shuttle::thread::{self, JoinHandle};
use visitlog_core::model::{EndedVisit, Event, EventKind, RequestFacts};
use visitlog_core::ports::{
    Arrival, Class, Commit, Committed, Delivery, Disk, Durability, Feed, Kept, Outcome, SessionStore, SinkError, Token,
    VisitSink,
};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Fingerprint, Fingerprints, Host, Lsn, Timestamp, VisitId};
use visitlog_engine::config::Mutations;
use visitlog_engine::{CommitFuture, Engine, EngineConfig, Sweep, Upkeep, journal};
use visitlog_sinks::{LaneSettings, Lanes};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

const MORNING: Timestamp = Timestamp::from_secs(1_763_719_200);
const JOURNAL: &str = "journal";
pub(crate) const SINK: &str = "sink";
/// After so long without a request a session ends.
pub(crate) const IDLE: Duration = Duration::from_secs(25);

/// How a scene's engine is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) durability: Durability,
    pub(crate) mutations: Mutations,
    pub(crate) carry_from_bytes: u64,
    pub(crate) upkeep_bytes_at_once: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            mutations: Mutations::default(),
            carry_from_bytes: 1 << 20,
            upkeep_bytes_at_once: 1 << 20,
        }
    }
}

impl Setup {
    fn config(&self) -> EngineConfig {
        EngineConfig {
            journal: journal::Config {
                segment_bytes: 1_024,
                reserve_bytes: 0,
                durability: self.durability,
                ..journal::Config::default()
            },
            rules: SiteRules { idle_timeout: IDLE, max_age: Duration::from_secs(600), ..SiteRules::default() },
            tick: Duration::from_secs(1),
            carry_from_bytes: self.carry_from_bytes,
            upkeep_bytes_at_once: self.upkeep_bytes_at_once,
            mutations: self.mutations,
            ..EngineConfig::default()
        }
    }
}

type Taken = Arc<Mutex<Vec<EndedVisit>>>;

/// An engine, its sink, and the pages that its visitors were answered.
pub(crate) struct Store {
    pub(crate) engine: Arc<Engine>,
    pub(crate) lanes: Lanes,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    setup: Setup,
    taken: Taken,
    pages: Mutex<Vec<(String, Outcome)>>,
    /// What the journal's files held when it had closed.
    closed_with: Mutex<Files>,
}

type Files = Vec<(PathBuf, Vec<u8>)>;

struct Recorder(Taken);

impl VisitSink for Recorder {
    fn name(&self) -> &str {
        SINK
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        held(&self.0).extend(batch.iter().map(|(_, visit)| visit.clone()));
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn prints(print: u64) -> Fingerprints {
    Fingerprints { today: Fingerprint(print), yesterday: Fingerprint(print + 1_000_000) }
}

fn page(path: &str, time: Timestamp) -> Class {
    let request = RequestFacts { path: path.into(), method: "GET".into(), status: 200, ..RequestFacts::default() };
    let request = Some(Box::new(request));
    Class::Page(Event { time, kind: EventKind::PageView, name: None, type_: None, request, properties: None })
}

impl Store {
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        Self::on(SimDisk::with_page_bytes(1, 512), Arc::new(SimClock::new(MORNING)), setup)
    }

    fn on(disk: SimDisk, clock: Arc<SimClock>, setup: Setup) -> Arc<Self> {
        let as_disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let opened = Engine::open(
            Arc::clone(&as_disk),
            Path::new(JOURNAL),
            setup.config(),
            clock.clone(),
            Arc::new(SimEntropy::new(9)),
        );
        let engine = Arc::new(opened.expect("it opens").0);
        let taken = Taken::default();
        let feed = Feed {
            visits: Arc::clone(engine.ended()) as _,
            clock: engine.clone(),
            disk: as_disk,
            data: "visits".into(),
            parks: JOURNAL.into(),
        };
        let settings = LaneSettings { batch_visits_max: 2, ..LaneSettings::default() };
        let lanes = Lanes::open(&feed, &settings, vec![Box::new(Recorder(Arc::clone(&taken)))]).expect("one sink");
        Arc::new(Self {
            engine,
            lanes,
            disk,
            clock,
            setup,
            taken,
            pages: Mutex::default(),
            closed_with: Mutex::default(),
        })
    }

    /// The process is killed: what a new one makes of the disk.
    pub(crate) fn killed(&self) -> Arc<Self> {
        self.disk.kill();
        Self::on(self.disk.clone(), Arc::clone(&self.clock), self.setup)
    }

    pub(crate) fn go<T>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + Send + 'static) -> JoinHandle<()> {
        let store = Arc::clone(self);
        thread::spawn(move || {
            work(&store);
        })
    }

    /// A first request for a page; what its answer waits for. `None`: the store has stopped.
    pub(crate) fn request_unless_stopped(&self, print: u64, path: &str) -> Option<CommitFuture> {
        self.request(print, None, path).filter(|future| matches!(future.decided(), Some(Ok(_))))
    }

    fn request(&self, print: u64, token: Option<Token>, path: &str) -> Option<CommitFuture> {
        let host = Host::new("shop.example");
        let fingerprint = prints(print);
        let arrival = Arrival { host: host.clone(), token, fingerprint, passive: false, cookies: true };
        let begun = self.engine.begin(arrival).now().expect("at once").ok()?;
        let commit = Commit {
            request: begun.request,
            at: begun.at,
            host,
            token,
            fingerprint,
            standing: begun.standing,
            class: page(path, begun.at),
            ops: Vec::new(),
            on_start: Vec::new(),
            facts: Some(Box::default()),
            cookies: true,
        };
        let future = self.engine.commit(commit);
        if let Some(Ok(committed)) = future.decided() {
            held(&self.pages).push((path.to_owned(), committed.outcome));
        }
        Some(future)
    }

    /// A page whose answer nobody waits for.
    pub(crate) fn page(&self, print: u64, token: Option<Token>, path: &str) -> Committed {
        let future = self.request(print, token, path).expect("it takes more");
        future.decided().cloned().expect("decided").expect("taken")
    }

    /// Who starts a session with a page.
    pub(crate) fn visitor(&self, print: u64, path: &str) -> (VisitId, Option<Token>) {
        let first = self.page(print, None, path);
        (first.visit.expect("started"), first.issue)
    }

    pub(crate) fn terminate(&self, visit: VisitId) -> bool {
        self.engine.end_session(visit).expect("taken").0
    }

    /// So much time passes, and what is due then ends.
    pub(crate) fn sweep_after(&self, wait: Duration) {
        let mut sweep = Sweep::new(self.engine.now());
        self.clock.advance(wait);
        sweep.step(&self.engine);
    }

    pub(crate) fn settle(&self) {
        self.engine.journal().write_step().expect("written");
        self.engine.journal().sync_step().expect("synced");
    }

    /// The upkeep, as often as that, with what it appends on stable storage.
    pub(crate) fn keep_up(&self, steps: usize) -> Upkeep {
        let mut upkeep = Upkeep::default();
        for _ in 0..steps {
            upkeep.step(&self.engine).expect("a working disk");
            self.settle();
        }
        upkeep
    }

    /// Everything ends and goes to the sink.
    pub(crate) fn end_all(&self) {
        for _ in 0..3 {
            self.sweep_after(Duration::from_secs(3_600));
            self.settle();
        }
        self.deliver();
    }

    /// All that has ended goes to the sink.
    pub(crate) fn deliver(&self) {
        while self.lanes.step(self.engine.now()).worked {}
    }

    pub(crate) fn taken(&self) -> Vec<EndedVisit> {
        held(&self.taken).clone()
    }

    /// How often each page that was answered was to be recorded: once, unless its session had ended.
    fn expected(&self) -> BTreeMap<String, usize> {
        let count = |(path, outcome): &(String, Outcome)| (path.clone(), usize::from(*outcome != Outcome::Gone));
        held(&self.pages).iter().map(count).filter(|(_, times)| *times > 0).collect()
    }

    /// Checks that all that was answered has been delivered, each visit once, each page once.
    pub(crate) fn check_delivered(&self) {
        self.check_delivered_of(self);
    }

    /// The same for what another life was answered.
    pub(crate) fn check_delivered_of(&self, before: &Self) {
        self.engine.check_invariants().expect("all hold");
        assert_eq!(self.engine.open_sessions(), 0);
        let set_aside = self.lanes.set_aside(SINK).expect("a lane");
        assert!(set_aside.is_empty(), "{set_aside:?}");
        let taken = self.taken();
        let mut visits: Vec<_> = taken.iter().map(|visit| visit.visit).collect();
        visits.sort_unstable();
        visits.dedup();
        assert_eq!(visits.len(), taken.len(), "a visit ends once");
        let mut pages = BTreeMap::new();
        for event in taken.iter().flat_map(|visit| &visit.events) {
            let path = event.request.as_ref().expect("a page").path.to_string();
            *pages.entry(path).or_insert(0) += 1;
        }
        assert_eq!(pages, before.expected(), "pages that were answered, and as often as they were");
    }

    /// A page whose answer was an error: it may be recorded or not.
    pub(crate) fn forget(&self, path: &str) {
        held(&self.pages).retain(|(other, _)| other != path);
    }

    /// Checks that all pages that another life was answered are among those delivered.
    pub(crate) fn check_has_pages_of(&self, before: &Self) {
        let taken = self.taken();
        let events = taken.iter().flat_map(|visit| &visit.events);
        let pages: Vec<_> = events.filter_map(|event| Some(event.request.as_ref()?.path.to_string())).collect();
        for page in before.expected().keys() {
            assert!(pages.contains(page), "{page} was answered: {pages:?}");
        }
    }

    pub(crate) fn note_closed(&self, files: Files) {
        *held(&self.closed_with) = files;
    }

    pub(crate) fn was_closed_with(&self) -> Files {
        held(&self.closed_with).clone()
    }

    /// All files of the journal, and what they hold.
    pub(crate) fn files(&self) -> Files {
        let paths = self.disk.list(Path::new(JOURNAL)).expect("listed");
        let with_contents = |path: PathBuf| {
            let contents = self.disk.contents(&path).unwrap_or_default();
            (path, contents)
        };
        paths.into_iter().map(with_contents).collect()
    }
}

pub(crate) fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("it ends well"));
}
