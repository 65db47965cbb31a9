//! Browsers, tabs that share a cookie jar, clients that keep no cookie, and some that present old tokens.

use std::sync::Arc;

use visitlog_core::model::{Event, EventKind, RequestFacts, UserId};
use visitlog_core::ports::{Begun, Class, Op, Standing, Token};
use visitlog_core::{Fingerprint, Fingerprints, Timestamp, VisitId};

use crate::books::{Books, Change};
use crate::plan::Plan;
use crate::simulation::Waiting;
use visitlog_testkit::Dice;

/// Where tabs keep the cookie that they share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jar {
    pub(crate) token: Option<Token>,
    pub(crate) old: Vec<Token>,
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) jar: usize,
    pub(crate) print: u64,
    pub(crate) keeps_cookies: bool,
    /// Presents old tokens of its jar, this often in a thousand.
    pub(crate) replays: usize,
    pub(crate) host: &'static str,
}

/// A request that began.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) client: usize,
    pub(crate) token: Option<Token>,
    pub(crate) begun: Begun,
}

/// An answer that waits to be durable.
pub(crate) struct Pending {
    pub(crate) client: Option<usize>,
    pub(crate) waiting: Waiting,
    pub(crate) fact: Option<usize>,
}

impl Request {
    /// The visit whose idle expiry it holds off.
    pub(crate) fn held(&self) -> Option<VisitId> {
        match &self.begun.standing {
            Standing::Live(live) => live.hold.map(|hold| hold.visit),
            _ => None,
        }
    }
}

/// What a request turns out to be, and what the books are to say of it.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) class: Class,
    pub(crate) ops: Vec<Op>,
    pub(crate) tags: Vec<usize>,
    pub(crate) changes: Vec<(Arc<str>, Change)>,
    pub(crate) login: Option<String>,
    pub(crate) logout: bool,
    pub(crate) abandon: bool,
}

impl Client {
    pub(crate) fn prints(&self) -> Fingerprints {
        Fingerprints { today: Fingerprint(self.print), yesterday: Fingerprint(self.print ^ 1 << 63) }
    }
}

/// A few dozen clients, and the jars that they share.
pub(crate) fn crowd(dice: &Dice) -> (Vec<Jar>, Vec<Client>) {
    let (mut jars, mut clients) = (Vec::new(), Vec::new());
    for n in 0..14 + dice.roll(10) as u64 {
        let jar = jars.len();
        jars.push(Jar::default());
        let tabs = dice.pick(&[1, 1, 1, 2, 4]);
        // Some stand behind one address with one user agent.
        let print = if dice.one_in(4) { 1_000 } else { n };
        let keeps_cookies = !dice.one_in(7);
        let replays = dice.pick(&[0, 0, 0, 50, 400]);
        let host = dice.pick(&["shop.example", "shop.example", "blog.example", "forged.example"]);
        clients.extend((0..tabs).map(|_| Client { jar, print, keeps_cookies, replays, host }));
    }
    (jars, clients)
}

fn page(tag: usize, begun: Timestamp, now: Timestamp, dice: &Dice, status: u16) -> Event {
    let took = now.since(begun).as_micros() as u64;
    let request = RequestFacts {
        path: format!("/p/{tag}").into(),
        method: "GET".into(),
        status,
        duration_us: if dice.one_in(3) { dice.roll(took as usize + 1) as u64 } else { took },
        ..RequestFacts::default()
    };
    let kind = if status < 400 { EventKind::PageView } else { EventKind::PageError };
    Event { time: begun, kind, name: None, type_: None, request: Some(Box::new(request)), properties: None }
}

fn action(tag: usize, time: Timestamp, dice: &Dice) -> Event {
    let properties = dice.one_in(3).then(|| format!("{{\"bytes\":\"{}\"}}", "x".repeat(dice.roll(200))).into());
    Event {
        time,
        kind: EventKind::Action,
        name: Some(format!("a-{tag}").into()),
        type_: None,
        request: None,
        properties,
    }
}

impl Deed {
    /// What the request of `client` does, now that it is answered.
    pub(crate) fn draw(
        books: &mut Books,
        dice: &Dice,
        plan: &Plan,
        client: usize,
        begun: &Begun,
        now: Timestamp,
    ) -> Self {
        let mut deed = Self {
            class: Class::Other(None),
            ops: Vec::new(),
            tags: Vec::new(),
            changes: Vec::new(),
            login: None,
            logout: false,
            abandon: false,
        };
        let trusted = !matches!(&begun.standing, Standing::Live(live) if !live.current);
        match dice.roll(20) {
            0..=10 => deed.class = Class::Page(page(deed.tag(books), begun.at, now, dice, 200)),
            11 => deed.class = Class::PageError(page(deed.tag(books), begun.at, now, dice, 500)),
            12 => deed.class = Class::Passive,
            _ => {}
        }
        if deed.class == Class::Passive {
            return deed;
        }
        if trusted && dice.per_mille(if plan.rules.single_login { 120 } else { 60 }) {
            let user = format!("u{}", if dice.one_in(3) { dice.roll(3) } else { client });
            deed.ops.push(Op::Login(UserId::new(&user)));
            deed.login = Some(user);
        }
        while dice.one_in(4) {
            deed.change(dice);
        }
        while dice.one_in(4) {
            let tag = deed.tag(books);
            deed.ops.push(Op::Event(action(tag, now, dice)));
        }
        if deed.login.is_some() {
            return deed;
        }
        if dice.per_mille(60) {
            deed.logout = true;
            deed.ops.push(Op::Logout);
        } else if dice.per_mille(20) {
            deed.abandon = true;
            deed.ops.push(Op::Abandon);
        }
        deed
    }

    fn tag(&mut self, books: &mut Books) -> usize {
        let tag = books.tag();
        self.tags.push(tag);
        tag
    }

    fn change(&mut self, dice: &Dice) {
        let counter: Arc<str> = format!("n{}", dice.roll(2)).into();
        let key: Arc<str> = format!("k{}", dice.roll(3)).into();
        let (key, op, change) = match dice.roll(5) {
            0 => (key.clone(), Op::Remove(key), Change::Remove),
            1 | 2 => {
                let by = dice.roll(9) as i64 - 2;
                (counter.clone(), Op::Increment(counter, by), Change::Add(by))
            }
            _ => {
                let value = serde_json::json!([dice.roll(1_000_000), "y".repeat(dice.roll(60))]);
                (key.clone(), Op::Set(key, value.clone()), Change::Set(value))
            }
        };
        self.ops.push(op);
        self.changes.push((key, change));
    }
}
