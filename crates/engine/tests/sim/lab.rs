//! A simulation without dice, for scenarios that a person can follow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::model::{EndedVisit, Event, EventKind, RequestFacts, StartFacts, UserId};
use visitlog_core::ports::{Arrival, Begun, Class, Commit, Committed, Disk as _, Op, SessionStore, Standing, Token};
use visitlog_core::{Fingerprint, Fingerprints, Host, Timestamp, VisitId, VisitorId};
use visitlog_engine::{CommitFuture, Report};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

use crate::plan::Plan;
use crate::simulation::{JOURNAL, Life, VISITS, open};
use crate::sinks::SinkDesk;

pub(crate) const MORNING: Timestamp = Timestamp::from_secs(1_763_719_200);

pub(crate) struct Lab {
    pub(crate) plan: Plan,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    entropy: Arc<SimEntropy>,
    pub(crate) desk: Arc<SinkDesk>,
    pub(crate) life: Life,
    /// What the file sink took, in order, redeliveries too.
    pub(crate) delivered: Vec<EndedVisit>,
}

pub(crate) fn prints(print: u64) -> Fingerprints {
    Fingerprints { today: Fingerprint(print), yesterday: Fingerprint(print + 1_000_000) }
}

pub(crate) fn page(path: &str, time: Timestamp) -> Class {
    let request = RequestFacts { path: path.into(), method: "GET".into(), status: 200, ..RequestFacts::default() };
    let request = Some(Box::new(request));
    Class::Page(Event { time, kind: EventKind::PageView, name: None, type_: None, request, properties: None })
}

pub(crate) fn login(user: &str) -> Op {
    Op::Login(UserId::new(user))
}

pub(crate) fn arrival(print: u64, token: Option<Token>, host: &str) -> Arrival {
    Arrival { host: Host::new(host), token, fingerprint: prints(print), passive: false, cookies: true }
}

pub(crate) fn commit_of(print: u64, token: Option<Token>, host: &str, begun: &Begun, ops: Vec<Op>) -> Commit {
    Commit {
        request: begun.request,
        at: begun.at,
        host: Host::new(host),
        token,
        fingerprint: prints(print),
        standing: begun.standing.clone(),
        class: page("/", begun.at),
        ops,
        on_start: Vec::new(),
        facts: Some(Box::new(StartFacts { visitor_id: VisitorId::from_u128(print.into()), ..StartFacts::default() })),
        cookies: true,
    }
}

impl Lab {
    pub(crate) fn new(plan: Plan) -> Self {
        Self::on(SimDisk::with_page_bytes(1, plan.page_bytes), plan).0
    }

    /// On what a disk holds.
    pub(crate) fn on(disk: SimDisk, plan: Plan) -> (Self, Report) {
        let (clock, entropy) = (Arc::new(SimClock::new(MORNING)), Arc::new(SimEntropy::new(9)));
        let desk = Arc::new(SinkDesk::default());
        let (life, report) = open(&plan, &disk, &desk, &clock, &entropy).expect("it opens");
        (Self { plan, disk, clock, entropy, desk, life, delivered: Vec::new() }, report)
    }

    pub(crate) fn wait(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn begin(&self, print: u64, token: Option<Token>) -> Begun {
        self.life.engine.begin(arrival(print, token, "shop.example")).now().expect("at once").expect("it takes more")
    }

    pub(crate) fn finish(&self, print: u64, token: Option<Token>, begun: &Begun, ops: Vec<Op>) -> CommitFuture {
        self.life.engine.commit(commit_of(print, token, "shop.example", begun, ops))
    }

    /// A page view, written.
    pub(crate) fn page(&self, print: u64, token: Option<Token>, ops: Vec<Op>) -> Committed {
        let begun = self.begin(print, token);
        let mut future = self.finish(print, token, &begun, ops);
        self.settle();
        future.poll_now().expect("written and synced").expect("taken")
    }

    /// Writes and syncs.
    pub(crate) fn settle(&self) {
        self.life.journal().write_step().expect("written");
        self.life.journal().sync_step().expect("synced");
        self.life.journal().write_step().expect("written");
    }

    /// One round of everything that threads do.
    pub(crate) fn turn(&mut self) {
        self.settle();
        let Life { engine, sweep, sinks, upkeep, .. } = &mut self.life;
        sweep.step(engine);
        while sinks.step(engine.now()).worked {}
        upkeep.step(engine).expect("a working disk");
        self.delivered.extend(self.desk.take_file().into_iter().flat_map(|(_, batch)| batch));
        self.desk.take_hook();
    }

    pub(crate) fn turns(&mut self, times: usize, wait: Duration) {
        for _ in 0..times {
            self.wait(wait);
            self.turn();
        }
    }

    /// The process is killed and comes back.
    pub(crate) fn restart(&mut self) -> Report {
        self.disk.kill();
        let (life, report) =
            open(&self.plan, &self.disk, &self.desk, &self.clock, &self.entropy).expect("it opens again");
        self.life = life;
        report
    }

    pub(crate) fn visit(&self, visit: VisitId) -> &EndedVisit {
        self.delivered.iter().find(|ended| ended.visit == visit).expect("delivered")
    }

    /// The ids in the files, in order.
    pub(crate) fn lines(&self) -> Vec<VisitId> {
        let paths = self.disk.list(Path::new(VISITS)).expect("listed");
        let text = |path: &PathBuf| String::from_utf8(self.disk.contents(path).unwrap_or_default()).expect("text");
        let lines: Vec<String> =
            paths.iter().flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let id = |line: &String| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["visit_id"].clone();
        lines.iter().map(|line| id(line).as_str().expect("an id").parse().expect("an id")).collect()
    }
}

/// Another disk with the same files, of which `path` ends at `len`.
pub(crate) fn cut_copy(disk: &SimDisk, path: &Path, len: usize) -> SimDisk {
    let copy = SimDisk::with_page_bytes(1, 512);
    for folder in [JOURNAL, VISITS] {
        for file in disk.list(Path::new(folder)).expect("listed") {
            let mut bytes = disk.contents(&file).expect("it is there");
            if file == path {
                bytes.truncate(len);
            }
            copy.put(&file, &bytes);
        }
    }
    copy
}

pub(crate) fn token_of(committed: &Committed) -> Option<Token> {
    committed.issue
}

pub(crate) fn is_live_in(begun: &Begun, visit: VisitId) -> bool {
    matches!(&begun.standing, Standing::Live(live) if live.visit == visit)
}
