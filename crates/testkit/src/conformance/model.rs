//! The store against a reference that a person can read at a glance.
#![expect(missing_docs, reason = "a case's name says what it asserts")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use visitlog_core::VisitId;
use visitlog_core::ports::{Op, Outcome};

use super::{Browser, Restarts, StoreUnderTest, Tested, login};

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    Page(usize),
    Fetch(usize),
    Login(usize, u8),
    Logout(usize),
    Abandon(usize),
    Terminate(usize),
    Wait(u64),
    Tick,
}

const BROWSERS: usize = 4;
const IDLE_S: u64 = 1_800;
const MAX_AGE_S: u64 = 86_400;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..BROWSERS;
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Page),
        2 => who.clone().prop_map(Step::Fetch),
        2 => (who.clone(), 0..2u8).prop_map(|(who, user)| Step::Login(who, user)),
        1 => who.clone().prop_map(Step::Logout),
        1 => who.clone().prop_map(Step::Abandon),
        1 => who.prop_map(Step::Terminate),
        4 => prop_oneof![0..60u64, 1_700..1_900u64, Just(IDLE_S), Just(IDLE_S + 1), 20_000..90_000u64]
            .prop_map(Step::Wait),
        3 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 1..120)
}

/// A session as the reference sees it.
#[derive(Debug, Clone)]
struct Session {
    started: u64,
    last: u64,
    user: Option<u8>,
    events: usize,
}

#[derive(Default)]
struct Reference {
    now: u64,
    /// By how much later sessions expire, for the store is restarted again and again.
    padding: u64,
    open: BTreeMap<VisitId, Session>,
    of: [Option<VisitId>; BROWSERS],
    ended: BTreeMap<VisitId, (&'static str, usize)>,
}

impl Reference {
    fn overdue(&self, visit: VisitId) -> Option<&'static str> {
        let session = &self.open[&visit];
        let (idle, age) = (session.last + self.padding + IDLE_S, session.started + MAX_AGE_S);
        (self.now > idle.min(age)).then_some(if idle < age { "expired" } else { "max_age" })
    }

    fn end(&mut self, visit: VisitId, reason: &'static str) {
        let session = self.open.remove(&visit).expect("an open session ends");
        assert!(self.ended.insert(visit, (reason, session.events)).is_none(), "once");
    }

    /// The live session of a browser, once an overdue one has ended.
    fn live(&mut self, who: usize) -> Option<VisitId> {
        let visit = self.of[who].filter(|visit| self.open.contains_key(visit))?;
        match self.overdue(visit) {
            Some(reason) => {
                self.end(visit, reason);
                None
            }
            None => Some(visit),
        }
    }

    fn tick(&mut self) {
        let due: Vec<_> = self.open.keys().filter_map(|&visit| Some((visit, self.overdue(visit)?))).collect();
        due.into_iter().for_each(|(visit, reason)| self.end(visit, reason));
    }
}

fn apply<S: StoreUnderTest>(
    tested: &Tested<S>,
    browsers: &mut [Browser<'_, S>],
    reference: &mut Reference,
    step: Step,
) {
    match step {
        Step::Wait(secs) => {
            tested.wait(secs);
            reference.now += secs;
        }
        Step::Tick => {
            // The wheel looks at a session one tick after it is due; the reference needs no wheel.
            tested.wait(2);
            reference.now += 2;
            tested.tick();
            reference.tick();
        }
        Step::Terminate(who) => {
            if let Some(visit) = reference.live(who) {
                tested.terminate(visit);
                reference.end(visit, "terminated");
            }
        }
        Step::Page(who) => request(browsers, reference, who, true, &[]),
        Step::Fetch(who) => request(browsers, reference, who, false, &[]),
        Step::Login(who, user) => request(browsers, reference, who, false, &[login(&user.to_string())]),
        Step::Logout(who) => request(browsers, reference, who, false, &[Op::Logout]),
        Step::Abandon(who) => request(browsers, reference, who, true, &[Op::Abandon]),
    }
}

fn request<S: StoreUnderTest>(
    browsers: &mut [Browser<'_, S>],
    reference: &mut Reference,
    who: usize,
    page: bool,
    ops: &[Op],
) {
    let live = reference.live(who);
    let browser = &mut browsers[who];
    let committed = if page { browser.with_ops("/", ops.to_vec()) } else { browser.fetch(ops.to_vec()) };
    let starts = page || matches!(ops, [Op::Login(_)]);
    if live.is_none() && !starts {
        assert_eq!(committed.outcome, Outcome::Nothing);
        return;
    }
    let mut visit = committed.visit.expect("recorded");
    match live {
        Some(live) if committed.visit != Some(live) => {
            let user = reference.open[&live].user;
            assert!(matches!(ops, [Op::Login(to)] if user.is_some_and(|user| user.to_string() != to.as_str())));
            reference.open.get_mut(&live).expect("it is open").events += 1;
            reference.end(live, "logged_out");
        }
        Some(live) => visit = live,
        None => assert!(!reference.ended.contains_key(&visit), "an ended session came back"),
    }
    let now = reference.now;
    let session = reference.open.entry(visit).or_insert(Session { started: now, last: now, user: None, events: 0 });
    session.last = now;
    session.events += usize::from(page);
    reference.of[who] = Some(visit);
    match ops {
        [Op::Login(user)] => {
            let user = user.as_str().parse().ok();
            // Who is in already logs in no more.
            session.events += usize::from(session.user != user);
            session.user = user;
        }
        [Op::Logout] => {
            session.events += 1;
            reference.end(visit, "logged_out");
        }
        [Op::Abandon] => reference.end(visit, "abandoned"),
        _ => {}
    }
}

/// Runs of steps; a restart behind each takes its time.
const RUNS: u32 = 400;
const RESTARTED_RUNS: u32 = 100;

pub fn the_machine_does_what_the_reference_does<S: StoreUnderTest>(restarts: Restarts) {
    let cases = if restarts == Restarts::Never { RUNS } else { RESTARTED_RUNS };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&steps(), |steps| run::<S>(restarts, steps));
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

fn run<S: StoreUnderTest>(restarts: Restarts, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let tested = Tested::<S>::new(restarts);
    let mut browsers: Vec<_> = (0..BROWSERS as u64).map(|print| tested.browser(print)).collect();
    let mut reference = Reference { padding: tested.padding().as_secs(), ..Reference::default() };
    for step in steps {
        apply(&tested, &mut browsers, &mut reference, step);
        if tested.is_restarted() {
            tested.restart();
        }
        tested.check();
        let open: Vec<_> = tested.open().iter().map(|open| open.visit).collect();
        for visit in reference.open.keys() {
            prop_assert!(open.contains(visit), "{visit} ended early");
        }
    }
    tested.wait(2 * MAX_AGE_S);
    reference.now += 2 * MAX_AGE_S;
    tested.tick();
    reference.tick();
    let ended: BTreeMap<_, _> =
        tested.ended().iter().map(|visit| (visit.visit, (visit.end.reason.as_str(), visit.events.len()))).collect();
    prop_assert_eq!(ended, reference.ended);
    Ok(())
}
