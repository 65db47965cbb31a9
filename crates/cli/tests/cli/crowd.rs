//! Clients under load, each with a journal of what it asked and got.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::http::Browser;
use visitlog_testkit::Dice;

/// Whether there is a server now, and which life of it.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    answered: Mutex<Vec<String>>,
}

#[derive(Default, Clone, Copy)]
struct State {
    life: u32,
    /// The last life that is being killed, or has been.
    killed: u32,
    site: Option<SocketAddr>,
    over: bool,
}

impl Gate {
    /// A server serves; returns the number of its life, from 1.
    pub(crate) fn open(&self, site: SocketAddr) -> u32 {
        let mut state = self.state.lock().unwrap();
        state.life += 1;
        state.site = Some(site);
        self.changed.notify_all();
        state.life
    }

    /// It is about to be killed.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap();
        (state.site, state.killed) = (None, state.life);
    }

    /// Everybody goes home.
    pub(crate) fn end(&self) {
        self.state.lock().unwrap().over = true;
        self.changed.notify_all();
    }

    /// The pages that were answered so far and have to be in a visit, from the `from`th on. (Those of pairs do not have
    /// to: their other tab may have ended the session meanwhile.)
    pub(crate) fn answered(&self, from: usize) -> Vec<String> {
        self.answered.lock().unwrap()[from..].to_vec()
    }

    /// Waits for a server; `None` when all is over.
    fn wait(&self) -> Option<(u32, SocketAddr)> {
        let mut state = self.state.lock().unwrap();
        loop {
            match state.site {
                _ if state.over => return None,
                Some(site) => return Some((state.life, site)),
                None => state = self.changed.wait(state).unwrap(),
            }
        }
    }

    fn is_killed(&self, life: u32) -> bool {
        self.state.lock().unwrap().killed >= life
    }

    /// Sleeps, unless all is over.
    fn sleep(&self, duration: Duration) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_timeout_while(state, duration, |state| !state.over).unwrap());
    }
}

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Looks at pages without a break, as long as there is a server.
    Steady,
    /// Looks at pages, does things, sets values, and goes for a coffee now and then.
    Pausing,
    /// Logs in and out.
    Member,
    /// Keeps no cookie.
    Cookieless,
    /// Two tabs of one browser, with slow pages in one and goodbyes in the other.
    Pair,
}

/// What a request asked the site to do, besides showing a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    View,
    Slow,
    Action,
    Set,
    Login,
    Logout,
    Abandon,
}

impl Act {
    /// Whether it ends the session.
    pub(crate) fn is_goodbye(self) -> bool {
        matches!(self, Self::Logout | Self::Abandon)
    }
}

/// A request and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Unique.
    pub(crate) path: String,
    /// The number in the path; counts up in each client.
    pub(crate) number: u64,
    pub(crate) life: u32,
    /// Microseconds since 1970, before the first byte was sent.
    pub(crate) sent: i64,
    /// After the last byte was received, or the connection broke.
    pub(crate) done: i64,
    pub(crate) act: Act,
    /// Whether the answer came, whole.
    pub(crate) answered: bool,
    /// Whether the answer to an earlier login or goodbye was lost, and no cookie has come since.
    pub(crate) unsure: bool,
    /// The visit that the site was told.
    pub(crate) told: Option<String>,
}

/// A client's journal. The two of a pair share the name and have one each.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) name: String,
    pub(crate) habit: Habit,
    pub(crate) attempts: Vec<Attempt>,
    /// What should not have happened.
    pub(crate) odd: Vec<String>,
}

/// What the two of a pair share.
#[derive(Default)]
pub(crate) struct Jar {
    token: Mutex<Option<String>>,
    /// The visit that the site was told last.
    pub(crate) visit: Mutex<Option<String>>,
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// Starts a client.
pub(crate) fn start(
    gate: &Arc<Gate>,
    name: &str,
    habit: Habit,
    idle: Duration,
    dice: Dice,
    jar: &Arc<Jar>,
    first: u64,
) -> JoinHandle<Book> {
    let unconnected = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut browser = Browser::new(unconnected, &format!("Mozilla/5.0 {name}"));
    browser.keeps = !matches!(habit, Habit::Cookieless | Habit::Pair);
    let client = Client {
        gate: Arc::clone(gate),
        book: Book { name: name.to_owned(), habit, attempts: Vec::new(), odd: Vec::new() },
        browser,
        idle,
        dice,
        jar: Arc::clone(jar),
        number: first,
        life: 0,
        unsure: false,
    };
    std::thread::spawn(move || client.live())
}

struct Client {
    gate: Arc<Gate>,
    book: Book,
    browser: Browser,
    idle: Duration,
    dice: Dice,
    jar: Arc<Jar>,
    number: u64,
    life: u32,
    unsure: bool,
}

impl Client {
    fn live(mut self) -> Book {
        while let Some((life, site)) = self.gate.wait() {
            if life != self.life {
                self.browser.moved_to(site);
                self.life = life;
            }
            self.ask();
            let pause = match self.book.habit {
                Habit::Pausing if self.dice.one_in(60) => self.idle.mul_f64(0.4 + self.dice.below(120) as f64 / 100.0),
                _ => Duration::from_millis(self.dice.below(25)),
            };
            self.gate.sleep(pause);
        }
        self.book
    }

    fn choose(&mut self) -> Act {
        let roll = self.dice.below(20);
        match (self.book.habit, roll) {
            (Habit::Pausing | Habit::Member | Habit::Pair, 0..3) => Act::Set,
            (Habit::Member | Habit::Pair, 3) => Act::Login,
            (Habit::Member, 4) if self.dice.one_in(3) => Act::Logout,
            (Habit::Pair, 4) => Act::Logout,
            (Habit::Pair, 5) => Act::Abandon,
            (Habit::Pair, 6..14) => Act::Slow,
            (Habit::Cookieless, _) => Act::View,
            (_, 14..17) => Act::Action,
            (_, 17) => Act::Slow,
            _ => Act::View,
        }
    }

    fn ask(&mut self) {
        let act = self.choose();
        self.number += 1;
        let (name, number) = (self.book.name.clone(), self.number);
        let path = format!("/{name}/{number}");
        let slow = (5 + self.dice.below(40)).to_string();
        let set = format!("last={number}");
        let header = match act {
            Act::View => ("X-View", ""),
            Act::Slow => ("X-Sleep", slow.as_str()),
            Act::Action => ("X-Action", path.as_str()),
            Act::Set => ("X-Set", set.as_str()),
            Act::Login => ("X-Login", name.as_str()),
            Act::Logout => ("X-Goodbye", ""),
            Act::Abandon => ("X-End", ""),
        };
        if self.book.habit == Habit::Pair {
            self.browser.token = self.jar.token.lock().unwrap().clone();
        }
        let sent = now();
        let result = self.browser.try_get(&path, &[header]);
        let done = now();
        let mut attempt = Attempt {
            path,
            number,
            life: self.life,
            sent,
            done,
            act,
            answered: false,
            unsure: self.unsure,
            told: None,
        };
        match result {
            Ok(answer) if answer.status == 200 => {
                attempt.answered = true;
                if self.book.habit != Habit::Pair {
                    self.gate.answered.lock().unwrap().push(attempt.path.clone());
                }
                attempt.told = answer.seen().visit().map(str::to_owned);
                self.unsure &= answer.token().is_none();
                if self.book.habit == Habit::Pair {
                    if let Some(token) = answer.token() {
                        *self.jar.token.lock().unwrap() = Some(token);
                    }
                    *self.jar.visit.lock().unwrap() = attempt.told.clone();
                }
                if answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("visitlog")) {
                    self.book.odd.push(format!("{}: a header that is not for clients: {answer:?}", attempt.path));
                }
            }
            Ok(answer) => self.book.odd.push(format!("{}: status {}", attempt.path, answer.status)),
            Err(error) => {
                self.unsure |= act.is_goodbye() || act == Act::Login;
                if !self.gate.is_killed(self.life) {
                    self.book.odd.push(format!("{}: {error} while the server lived", attempt.path));
                }
            }
        }
        self.book.attempts.push(attempt);
    }
}
