//! A store under test, and the clock that it is on.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use visitlog_core::machine::{Budget, BudgetCounts, BudgetUse};
use visitlog_core::model::{EndedVisit, Event, EventKind, OpenVisit, Start};
use visitlog_core::ports::{Clock as _, OpenSession, SessionStore, Terminated};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Host, Timestamp, VisitId, invariants, limits};

use crate::SimClock;
use crate::samples::MORNING;

/// How a store is to be set up for a case.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The rules of all sites that have none of their own.
    pub rules: SiteRules,
    /// Sites with rules of their own. If there are any, there are no other sites.
    pub own_rules: Vec<(Host, SiteRules)>,
    /// What strangers can fill.
    pub budget: Budget,
    /// Whether clients are known by cookie at all.
    pub cookies: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { rules: SiteRules::default(), own_rules: Vec::new(), budget: Budget::default(), cookies: true }
    }
}

/// What the suite needs of a store besides its port. The store has no threads: it is stepped.
pub trait StoreUnderTest {
    /// The store.
    type Store: SessionStore;

    /// Parts that have a share of the budget each ([`Budget::share`]).
    const PARTS: usize;

    /// A new, empty store. Its time is the clock's.
    fn open(setup: &Setup, clock: &Arc<SimClock>) -> Self;

    /// The store, as it is between two restarts.
    fn store(&self) -> Arc<Self::Store>;

    /// Does what the store's threads would do until all that was asked is answered.
    fn settle(&self);

    /// Ends what is due.
    fn tick(&self);

    /// All visits that have ended so far, once each, in the order of their ends, as a sink is given them that asks now.
    fn ended(&self) -> Vec<EndedVisit>;

    /// Checks what must always hold within the store.
    ///
    /// # Panics
    /// When it does not.
    fn check(&self);

    /// How much of its budget is used, and how often each limit did something since the last restart.
    fn budget(&self) -> (BudgetUse, BudgetCounts);

    /// Whoever runs the store dies and comes back: what it had not written down is forgotten. What has been answered is
    /// settled before.
    fn restart(&self);
}

/// When a store under test is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    /// Where the case says so.
    Never,
    /// And behind each commit, each tick and whatever else changes something. Of many steps some: each of the first 64,
    /// then every second, of the next 64 every third, and so on.
    AfterEachStep,
}

/// A store under test.
#[derive(Debug)]
pub struct Tested<S> {
    /// The clock that it is on.
    pub clock: Arc<SimClock>,
    under_test: S,
    restarts: Restarts,
    steps: Cell<u64>,
    /// Visits that were checked.
    checked: Cell<usize>,
    lives: Cell<usize>,
    counted: Cell<BudgetCounts>,
}

/// When each case begins.
pub(super) const START: Timestamp = MORNING;

/// Why a restart changes what becomes of a request that began before it.
pub(super) const HELD: &str =
    "a hold is of the life that gave it: the session expires, and who asks with it is refused";
/// Why a restart changes what a commit is told that comes again.
pub(super) const ANSWERED: &str = "what was answered is remembered by the life that did, and its requests end with it";
/// Why a restart changes what is known of a fingerprint.
pub(super) const ADMITTED: &str = "of a fingerprint nothing is written down but its open sessions";
/// Why a restart changes where the twins of a visitor meet who is too old.
pub(super) const SUCCEEDED: &str = "the visitor who follows stands in a cookie, and is not written down";
/// Why a restart changes when a session ends.
pub(super) const PADDED: &str = "the newest touch may be lost, and nobody ends early for that";

impl<S: StoreUnderTest> Tested<S> {
    /// A new store with default settings.
    pub fn new(restarts: Restarts) -> Self {
        Self::with(Setup::default(), restarts)
    }

    /// A new store.
    #[expect(clippy::needless_pass_by_value, reason = "a setup is made for one store")]
    pub fn with(setup: Setup, restarts: Restarts) -> Self {
        let clock = Arc::new(SimClock::new(START));
        let under_test = S::open(&setup, &clock);
        Self {
            clock,
            under_test,
            restarts,
            steps: Cell::new(0),
            checked: Cell::new(0),
            lives: Cell::new(1),
            counted: Cell::default(),
        }
    }

    /// The store's port.
    pub fn store(&self) -> Arc<S::Store> {
        self.under_test.store()
    }

    /// The moment now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time passes.
    pub fn wait(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// What is due ends. Checks what must always hold.
    pub fn tick(&self) {
        self.under_test.tick();
        self.check();
        self.step();
    }

    /// Checks what must always hold.
    pub fn check(&self) {
        self.under_test.check();
        let ended = self.ended();
        for visit in &ended[self.checked.replace(ended.len())..] {
            invariants::check_visit(visit).expect("what must always hold of a visit");
        }
    }

    /// Something was done: where the suite restarts behind each step, it does so now, or will.
    pub fn step(&self) {
        let steps = self.steps.replace(self.steps.get() + 1);
        if self.restarts == Restarts::AfterEachStep && steps.is_multiple_of(1 + steps / 64) {
            self.restart();
        }
    }

    /// Whether it is restarted behind each step.
    pub fn is_restarted(&self) -> bool {
        self.restarts == Restarts::AfterEachStep
    }

    /// The store is restarted.
    pub fn restart(&self) {
        self.counted.set(self.counts());
        self.lives.set(self.lives.get() + 1);
        self.under_test.restart();
        self.under_test.check();
    }

    /// How often the store was started.
    pub fn lives(&self) -> usize {
        self.lives.get()
    }

    /// By how much later a session ends than it would if nothing had happened to the store.
    pub fn padding(&self) -> Duration {
        self.unless_restarted(Duration::ZERO, limits::TOUCH_EVERY, PADDED)
    }

    /// What comes out: `usual`, or, where a restart lies behind each step, `restarted`; `why` says what makes that right.
    pub fn unless_restarted<T>(&self, usual: T, restarted: T, why: &str) -> T {
        assert!(!why.is_empty());
        match self.restarts {
            Restarts::Never => usual,
            Restarts::AfterEachStep => restarted,
        }
    }

    /// Waits for an answer.
    ///
    /// # Panics
    /// When it does not come though the store was settled.
    pub fn answer<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..4 {
            if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
                return answer;
            }
            self.under_test.settle();
        }
        panic!("no answer though the store was settled");
    }

    /// The open sessions.
    pub fn open(&self) -> Vec<OpenSession> {
        let (mut open, mut next) = (Vec::new(), None);
        loop {
            let page = self.answer(self.store().list(next, usize::MAX)).expect("listed");
            open.extend(page.sessions);
            next = page.next;
            if next.is_none() {
                return open;
            }
        }
    }

    /// An open session, with its events.
    pub fn open_visit(&self, visit: VisitId) -> Option<OpenVisit> {
        self.answer(self.store().open_visit(visit)).expect("read")
    }

    /// The only open session.
    ///
    /// # Panics
    /// When none or more than one is open.
    pub fn only(&self) -> OpenVisit {
        let [only] = &self.open()[..] else { panic!("one open session expected") };
        self.open_visit(only.visit).expect("it is open")
    }

    /// An admin ends a session. Whether it was open.
    pub fn terminate(&self, visit: VisitId) -> bool {
        let terminated = self.answer(self.store().terminate(visit)).expect("taken");
        self.step();
        terminated == Terminated::Ended { durable: true }
    }

    /// All visits that have ended so far, in the order of their ends.
    pub fn ended(&self) -> Vec<EndedVisit> {
        self.under_test.ended()
    }

    /// The reasons of all ends so far.
    pub fn reasons(&self) -> Vec<&'static str> {
        self.ended().iter().map(|visit| visit.end.reason.as_str()).collect()
    }

    /// Page views of all visits, open and ended.
    pub fn page_views(&self) -> usize {
        let is_view = |event: &&Event| event.kind == EventKind::PageView;
        let open = self.open().into_iter().filter_map(|open| self.open_visit(open.visit));
        let open: usize = open.map(|open| open.events.iter().filter(is_view).count()).sum();
        open + self.ended().iter().map(|visit| visit.events.iter().filter(is_view).count()).sum::<usize>()
    }

    /// The site that an open session counts to.
    ///
    /// # Panics
    /// When no such session is open.
    pub fn site_of(&self, visit: VisitId) -> String {
        self.open_visit(visit).expect("it is open").site.into()
    }

    /// How a visit started, open or ended.
    ///
    /// # Panics
    /// When there is no such visit.
    pub fn start_of(&self, visit: VisitId) -> Start {
        let ended = || self.ended().into_iter().find(|ended| ended.visit == visit).map(|ended| ended.start);
        self.open_visit(visit).map(|open| open.start).or_else(ended).expect("it started")
    }

    /// How much of the budget is used.
    pub fn used(&self) -> BudgetUse {
        self.under_test.budget().0
    }

    /// How often each limit did something, in all lives of the store.
    pub fn counts(&self) -> BudgetCounts {
        let (before, now) = (self.counted.get(), self.under_test.budget().1);
        BudgetCounts {
            evicted_open: before.evicted_open + now.evicted_open,
            evicted_provisional: before.evicted_provisional + now.evicted_provisional,
            evicted_fingerprint: before.evicted_fingerprint + now.evicted_fingerprint,
            tombstones_forgotten: before.tombstones_forgotten + now.tombstones_forgotten,
            sites_refused: before.sites_refused + now.sites_refused,
            fingerprints_forgotten: before.fingerprints_forgotten + now.fingerprints_forgotten,
            commits_repeated: before.commits_repeated + now.commits_repeated,
        }
    }
}
