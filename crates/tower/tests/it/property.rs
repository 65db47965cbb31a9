//! No answer ever carries a cookie that opens somebody else's session, or values, user or session id of one.
//!
//! A few browsers behind one address, some of them twins that look alike and one that keeps no cookie, do what they like
//! in any order: requests overlap, sessions expire, users log in and out, and one browser plants its cookie in another
//! (session fixation). Each logged-in user keeps a secret; who sees whose is checked on every answer. Their cookies are of
//! either version and of any age: nobody is known for longer than a visitor may be, and who follows has nothing of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, Request};
use proptest::prelude::*;
use serde_json::{Value, json};
use visitlog_core::model::Entry;
use visitlog_core::ports::{Clock as _, Token};
use visitlog_core::{Day, Host, VisitId, Visitor, limits};
use visitlog_tower::token::Scope;
use visitlog_tower::{Settings, Visit};

use crate::world::{Answer, Browser, HOST, Pending, Site, html};

const BROWSERS: usize = 5;

/// What a browser asks for. A user is named after its browser.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Page,
    Asset,
    Fetch,
    Login,
    Logout,
    Abandon,
    Action,
}

#[derive(Debug, Clone)]
enum Step {
    /// A request that is answered at once.
    Send(usize, Ask),
    /// A request that is answered later.
    Open(usize, Ask),
    /// The answer to one that was opened.
    Finish(usize),
    /// The client of one that was opened goes away.
    Drop(usize),
    /// Time passes.
    Pass(u64),
    /// A browser's cookie is planted in another, while it names nobody.
    Plant(usize, usize),
    /// A browser goes back to a cookie that it had.
    Replay(usize, usize),
    /// A browser loses its cookie.
    Forget(usize),
    /// A browser's cookie is one whose visitor was born so many days ago.
    Age(usize, u32),
    /// A browser's cookie is one of version 1.
    Downgrade(usize),
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => Just(Ask::Page), 1 => Just(Ask::Asset), 1 => Just(Ask::Fetch), 3 => Just(Ask::Login),
        1 => Just(Ask::Logout), 1 => Just(Ask::Abandon), 1 => Just(Ask::Action),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let browser = || 0..BROWSERS;
    prop_oneof![
        8 => (browser(), ask()).prop_map(|(who, ask)| Step::Send(who, ask)),
        5 => (browser(), ask()).prop_map(|(who, ask)| Step::Open(who, ask)),
        5 => (0..8_usize).prop_map(Step::Finish),
        1 => (0..8_usize).prop_map(Step::Drop),
        3 => prop_oneof![Just(1), Just(8), Just(12), Just(29), Just(31), Just(600), Just(1_801), Just(90_000)].prop_map(Step::Pass),
        3 => (browser(), browser()).prop_map(|(from, to)| Step::Plant(from, to)),
        2 => (browser(), 0..8_usize).prop_map(|(who, which)| Step::Replay(who, which)),
        1 => browser().prop_map(Step::Forget),
        4 => (browser(), prop_oneof![Just(0_u32), Just(200), Just(394), Just(395), Just(396), Just(900)])
            .prop_map(|(who, days)| Step::Age(who, days)),
        1 => browser().prop_map(Step::Downgrade),
    ]
}

/// A handler that does what the path says, waits for its gate, and tells what it saw and when.
fn site() -> Site {
    Site::slow(Settings::default(), |request: Request<()>| {
        let visit = request.extensions().get::<Visit>().unwrap().clone();
        let gate = request.extensions().get::<Arc<AtomicBool>>().cloned();
        let seen = json!({
            "id": visit.id().map(|id| id.to_string()),
            "user": visit.current_user().map(|user| user.as_str().to_owned()),
            "secret": visit.get("secret"),
        });
        let me = request.headers()["x-me"].to_str().unwrap().to_owned();
        Box::pin(async move {
            if let Some(gate) = gate {
                std::future::poll_fn(|_| match gate.load(Ordering::SeqCst) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                })
                .await;
            }
            let answer = match request.uri().path() {
                "/login" => {
                    visit.login(&me);
                    visit.set("secret", format!("secret of {me}"));
                    html(&seen.to_string())
                }
                "/logout" => {
                    visit.logout();
                    html(&seen.to_string())
                }
                "/abandon" => {
                    visit.abandon();
                    html(&seen.to_string())
                }
                "/action" => {
                    visit.action("something", "");
                    Answer::new(seen.to_string())
                }
                "/fetch" | "/asset.css" => Answer::new(seen.to_string()),
                _ => html(&seen.to_string()),
            };
            Ok(answer)
        })
    })
}

/// A request under way: whose, what for, with which visit's cookie, its gate, and what it waits for.
type Opened = (usize, Ask, Presented, Arc<AtomicBool>, Pending);

/// How things stood when a request was sent.
#[derive(Default)]
struct Presented {
    /// What its cookie says.
    token: Option<Token>,
    /// The visits of others: their ids it must not learn.
    foreign: BTreeSet<VisitId>,
}

struct Run {
    site: Site,
    browsers: Vec<Browser>,
    jars: Vec<Vec<String>>,
    open: Vec<Opened>,
    /// Who may be in which visit: whom its cookies were given to, or planted in; after a login, that one only.
    entitled: BTreeMap<VisitId, BTreeSet<usize>>,
    logged_in: BTreeSet<VisitId>,
    /// Which old token a visit was started by.
    started_by: BTreeMap<VisitId, Token>,
    plants: usize,
    /// Requests with the cookie of a session that somebody else has logged in to.
    outsiders: usize,
    /// Whose each visit is, by the tokens that were issued for it.
    visitor_of: BTreeMap<VisitId, Visitor>,
    /// Tokens that were issued to another visitor than the one who came.
    succeeded: usize,
    /// The days of birth that cookies of a visitor have told.
    births: BTreeMap<u128, BTreeSet<Day>>,
    /// Visitors of whom there is a cookie without a day of birth.
    ageless: BTreeSet<u128>,
}

impl Run {
    fn new() -> Self {
        let twin = Browser::new();
        let other = Browser { agent: "Chrome", ..Browser::new() };
        let keepless = Browser { keeps: false, ..Browser::new() };
        let browsers = vec![twin.clone(), twin.clone(), twin, other, keepless];
        Self {
            site: site(),
            browsers,
            jars: vec![Vec::new(); BROWSERS],
            open: Vec::new(),
            entitled: BTreeMap::new(),
            logged_in: BTreeSet::new(),
            started_by: BTreeMap::new(),
            plants: 0,
            outsiders: 0,
            visitor_of: BTreeMap::new(),
            succeeded: 0,
            births: BTreeMap::new(),
            ageless: BTreeSet::new(),
        }
    }

    fn request(&self, who: usize, ask: Ask) -> Request<()> {
        let (method, path) = match ask {
            Ask::Page => (Method::GET, "/"),
            Ask::Asset => (Method::GET, "/asset.css"),
            Ask::Fetch => (Method::POST, "/fetch"),
            Ask::Login => (Method::POST, "/login"),
            Ask::Logout => (Method::POST, "/logout"),
            Ask::Abandon => (Method::POST, "/abandon"),
            Ask::Action => (Method::POST, "/action"),
        };
        let mut request = self.browsers[who].request(&method, path);
        request.headers_mut().insert("x-me", format!("user-{who}").parse().unwrap());
        request
    }

    fn presented(&mut self, who: usize) -> Presented {
        let token = self.browsers[who].cookie.as_deref().and_then(|cookie| self.site.token(cookie));
        if let Some(visit) = token.and_then(|token| token.visit).filter(|visit| self.logged_in.contains(visit)) {
            self.outsiders += usize::from(!self.entitled[&visit].contains(&who));
        }
        let mut presented = Presented { token, foreign: BTreeSet::new() };
        let visits = self.entitled.keys().copied();
        presented.foreign = visits.filter(|visit| !self.may_have(who, *visit, &presented)).collect();
        presented
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Send(who, ask) => {
                let presented = self.presented(who);
                let answer = self.site.send(self.request(who, ask));
                self.check(who, ask, &presented, &answer)?;
            }
            Step::Open(who, ask) if self.open.len() < 8 => {
                let gate = Arc::new(AtomicBool::new(false));
                let mut request = self.request(who, ask);
                request.extensions_mut().insert(gate.clone());
                let presented = self.presented(who);
                let pending = self.site.open(request);
                self.open.push((who, ask, presented, gate, pending));
            }
            Step::Finish(which) if which < self.open.len() => {
                let (who, ask, presented, gate, mut pending) = self.open.remove(which);
                gate.store(true, Ordering::SeqCst);
                let answer = pending.poll().expect("its gate is open");
                self.check(who, ask, &presented, &answer)?;
            }
            Step::Drop(which) if which < self.open.len() => drop(self.open.remove(which)),
            Step::Pass(seconds) => self.site.pass(Duration::from_secs(seconds)),
            Step::Plant(from, to) => self.plant(from, to),
            Step::Replay(who, which) if which < self.jars[who].len() => {
                self.browsers[who].cookie = Some(self.jars[who][which].clone());
            }
            Step::Forget(who) => self.browsers[who].cookie = None,
            Step::Age(who, days) => {
                let born = Day::from_number(self.today().number() - days);
                self.reseal(who, |site, token| {
                    let text = site.keys.seal(&Token { born, ..token }, Scope::Host(&Host::new(HOST)));
                    text.as_str().to_owned()
                });
            }
            Step::Downgrade(who) => {
                if let Some(token) = self.reseal(who, |site, token| site.seal_1(&token)) {
                    self.ageless.insert(token.visitor.as_u128());
                }
            }
            Step::Open(..) | Step::Finish(_) | Step::Drop(_) | Step::Replay(..) => {}
        }
        Ok(())
    }

    fn today(&self) -> Day {
        Day::of(self.site.clock.now())
    }

    /// Gives a browser another text of the token that it has. Returns what that says.
    fn reseal(&mut self, who: usize, seal: impl Fn(&Site, Token) -> String) -> Option<Token> {
        let token = self.browsers[who].cookie.as_deref().and_then(|cookie| self.site.token(cookie))?;
        let cookie = format!("visitlog={}", seal(&self.site, token));
        let token = self.site.token(&cookie).expect("our own token");
        self.births.entry(token.visitor.as_u128()).or_default().insert(token.born);
        self.browsers[who].cookie = Some(cookie);
        Some(token)
    }

    /// A token was issued: its visitor is no younger than before, and the visit is nobody else's.
    fn check_birth(&mut self, token: &Token) -> Result<(), TestCaseError> {
        let (today, visitor) = (self.today(), token.visitor.as_u128());
        prop_assert!(token.born <= today);
        if let Some(visit) = token.visit {
            let whose = *self.visitor_of.entry(visit).or_insert(token.visitor);
            prop_assert!(whose == token.visitor, "visit {} was issued to two visitors", visit);
        }
        match self.births.get_mut(&visitor) {
            None => prop_assert_eq!(token.born, today, "a new visitor"),
            Some(_) if self.ageless.contains(&visitor) => {}
            Some(births) => prop_assert!(births.contains(&token.born), "{:?} of {:?}", token.born, births),
        }
        self.births.entry(visitor).or_default().insert(token.born);
        Ok(())
    }

    /// No visit started for a visitor who was too old, and none follows somebody else's.
    fn check_starts(&self) -> Result<(), TestCaseError> {
        for (visit, entry) in self.site.store.entries() {
            let (Entry::Start(start), Some(&visitor)) = (entry, self.visitor_of.get(&visit)) else { continue };
            prop_assert_eq!(start.facts.visitor_id, self.site.keys.visitor_id(visitor), "the record of {}", visit);
            prop_assert_eq!(start.is_new_visitor, Some(start.number == 1));
            if let Some(before) = start.previous.and_then(|previous| self.visitor_of.get(&previous)) {
                prop_assert!(visitor == *before, "visit {} follows another visitor's", visit);
            }
            if start.number > 1 && !self.ageless.contains(&visitor.as_u128()) {
                let youngest = *self.births[&visitor.as_u128()].last().expect("a birth");
                let age = Day::of(start.at).since(youngest);
                prop_assert!(age <= limits::VISITOR_AGE_MAX, "visit {} of a visitor {:?} old", visit, age);
            }
        }
        Ok(())
    }

    /// Only what names nobody may be planted: a browser that gives its logged-in session away has given it away.
    fn plant(&mut self, from: usize, to: usize) {
        let Some(cookie) = self.browsers[from].cookie.clone() else { return };
        let Some(visit) = self.browsers[from].visit(&self.site) else { return };
        if from == to || self.logged_in.contains(&visit) || !self.browsers[to].keeps {
            return;
        }
        self.entitled.entry(visit).or_default().insert(to);
        self.plants += 1;
        self.jars[to].push(cookie.clone());
        self.browsers[to].cookie = Some(cookie);
    }

    fn check(&mut self, who: usize, ask: Ask, presented: &Presented, answer: &Answer) -> Result<(), TestCaseError> {
        let seen: Value = serde_json::from_str(answer.body()).unwrap();
        let me = format!("user-{who}");
        if let Some(user) = seen["user"].as_str() {
            prop_assert_eq!(user, &me, "browser {} saw another one's user", who);
        }
        if let Some(secret) = seen["secret"].as_str() {
            prop_assert_eq!(secret, format!("secret of {me}"), "browser {} saw another one's values", who);
        }
        if let Some(id) = seen["id"].as_str() {
            let foreign = presented.foreign.contains(&id.parse().unwrap());
            prop_assert!(!foreign, "browser {} was told the id of visit {}", who, id);
        }
        let Some(cookie) = crate::world::set_cookie(answer) else { return Ok(()) };
        let token = self.site.token(&cookie).expect("our own token");
        self.check_birth(&token)?;
        let is_other = presented.token.is_some_and(|presented| {
            presented.visitor != token.visitor && self.today().since(presented.born) > limits::VISITOR_AGE_MAX
        });
        self.succeeded += usize::from(is_other);
        if let Some(visit) = token.visit {
            let owners = self.entitled.get(&visit);
            let mine = self.may_have(who, visit, presented);
            prop_assert!(mine, "browser {} got a cookie of visit {} of {:?}", who, visit, owners);
            self.give(who, ask, visit, presented);
        }
        if self.browsers[who].take(answer) && self.browsers[who].keeps {
            self.jars[who].push(cookie);
        }
        Ok(())
    }

    /// Whether a browser may have a visit: nobody has it, it is its own, or the browser has the old token that started
    /// it and nobody has logged in since.
    fn may_have(&self, who: usize, visit: VisitId, presented: &Presented) -> bool {
        let Some(owners) = self.entitled.get(&visit) else { return true };
        let joins = presented.token.is_some() && self.started_by.get(&visit).copied() == presented.token.map(ageless);
        owners.contains(&who) || (joins && !self.logged_in.contains(&visit))
    }

    /// A browser got the cookie of a visit.
    fn give(&mut self, who: usize, ask: Ask, visit: VisitId, presented: &Presented) {
        if let (Some(token), false) = (presented.token, self.entitled.contains_key(&visit)) {
            self.started_by.insert(visit, ageless(token));
        }
        let owners = self.entitled.entry(visit).or_default();
        if matches!(ask, Ask::Login) {
            owners.clear();
            self.logged_in.insert(visit);
        }
        owners.insert(who);
    }
}

/// A token but for what it tells of the visitor's birth: that opens nothing.
fn ageless(token: Token) -> Token {
    Token { born: Day::default(), ..token }
}

/// More with `PROPTEST_CASES`.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(600), ..config }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nobody_gets_anything_of_somebody_else(steps in proptest::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step)?;
        }
        run.check_starts()?;
        // And nothing is held for ever.
        run.open.clear();
        for open in run.site.store.open() {
            prop_assert_eq!(open.in_flight, 0);
        }
        let mut broken = Vec::new();
        run.site.store.for_each_shard(|shard| broken.extend(visitlog_core::invariants::check_shard(shard).err()));
        prop_assert!(broken.is_empty(), "{:?}", broken);
        prop_assert_eq!(run.site.layer.counts().panics, 0);
    }
}

/// The property can fail: the scary states are reached.
#[test]
fn the_interleavings_reach_what_they_are_for() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut logins, mut outsiders, mut planted, mut succeeded) = (0, 0, 0, 0);
    for _ in 0..600 {
        let steps = proptest::collection::vec(step(), 1..60).new_tree(&mut runner).unwrap().current();
        let mut run = Run::new();
        for step in &steps {
            run.step(step).unwrap();
        }
        logins += run.logged_in.len();
        planted += run.plants;
        outsiders += run.outsiders;
        succeeded += run.succeeded;
    }
    let reached = logins > 100 && planted > 50 && outsiders > 10 && succeeded > 5;
    assert!(reached, "{logins} logins, {planted} planted, {outsiders} by outsiders, {succeeded} too old");
}
