//! What waits for a receiver, on disk: messages in order, those that are dead, and what was told of visits that go on.
//!
//! Two tell it what there is: the follower of the store's records, as things happen, and the lane of ended visits, which
//! is given each of them for certain. What one of both has told the other does not tell again: ids say what was told, and
//! how far both have come stands beside the messages, written with them. What the receiver has taken is forgotten
//! without a sync; after a crash it may be sent again, under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use visitlog_core::model::VisitView;
use visitlog_core::ports::{Clock, StreamId};
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::file;
use super::message::{EventType, Message, Wants, id_of};
use super::schedule::{Next, Number, Schedule, Waiting};
use super::status::{DeadLetter, WebhookStatus};
use super::tables::{
    BODIES, GONE, Head, MESSAGES, PLACES, Places, TOLD, Written, copy, head_at, head_of, insert, message_at, open_db,
    put, remove, write_fresh,
};

/// Dead messages that are kept, the newest.
const DEAD_MAX: usize = 10_000;
/// The longest that a thread sleeps: clocks are set.
const NAP: Duration = Duration::from_millis(500);
/// The most that is kept of what a receiver said, in bytes.
const ERROR_BYTES_MAX: usize = 500;

/// Why an outbox can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file can't be read or written.
    #[error("{}: the messages that wait can't be read or written", path.display())]
    Store {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<redb::Error>,
    },
    /// As many messages wait as may.
    #[error("{waiting} messages wait, as many as may: the receiver takes none, or not as fast as they come")]
    Full {
        /// How many.
        waiting: u64,
    },
    /// The system's certificates can't be used.
    #[error("the system's certificates, which receivers are checked by, can't be used")]
    Certificates(#[from] rustls::Error),
    /// What is asked for is not there.
    #[error("no dead message has the id {id:?}")]
    NoSuchMessage {
        /// What was asked for.
        id: String,
    },
}

/// A message that is to be sent now.
#[derive(Debug)]
pub(super) struct Parcel {
    number: Number,
    visit: VisitId,
    head: Head,
    pub(super) body: Vec<u8>,
}

impl Parcel {
    pub(super) fn id(&self) -> String {
        id_of(self.visit, &self.head.what)
    }

    pub(super) const fn event(&self) -> EventType {
        self.head.event
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Taken,
    /// It may work later.
    Failed {
        /// What happened.
        what: String,
        /// What the receiver asked for, for all messages.
        retry_after: Option<Duration>,
    },
    /// The receiver wants no message any more.
    Gone,
}

/// See the module.
pub(super) struct Outbox {
    path: PathBuf,
    db: RwLock<Database>,
    clock: Arc<dyn Clock>,
    waiting_max: u64,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    places: Places,
    schedule: Schedule,
    next: Number,
    waiting: u64,
    dead: BTreeSet<Number>,
    is_gone: bool,
    is_stopping: bool,
    taken: u64,
    failures: u64,
    dropped: u64,
    last_error: Option<String>,
}

/// Who tells, and how far it has come with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upto {
    Ended(Lsn),
    Seen(Lsn),
}

impl Outbox {
    /// Opens it, or makes it; only its own user can read it.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>, waiting_max: u64) -> Result<Self, OutboxError> {
        let io = |doing| move |source| OutboxError::Io { doing, path: path.to_owned(), source };
        let file = file::open(path).map_err(io("opening"))?;
        let failed = |source: redb::Error| OutboxError::Store { path: path.to_owned(), source: Box::new(source) };
        let db = open_db(file).map_err(failed)?;
        let state = read(&db).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            db: RwLock::new(db),
            clock,
            waiting_max,
            state: Mutex::new(state),
            news: Condvar::new(),
        })
    }

    /// Up to where the lane has given ended visits of a stream.
    pub(super) fn ended(&self, stream: StreamId) -> Lsn {
        self.state.lock().places.of(stream).ended
    }

    /// Up to where the follower has seen records of a stream.
    pub(super) fn seen(&self, stream: StreamId) -> Lsn {
        self.state.lock().places.of(stream).seen
    }

    /// Takes down what there is to tell of visits, and that it was. `visits` is asked with the outbox locked, so that
    /// nobody else tells of them meanwhile.
    ///
    /// # Errors
    /// When it is full, or can't be written: nothing was told, then.
    pub(super) fn tell<'a, V: AsRef<[VisitView<'a>]>>(
        &self,
        stream: StreamId,
        upto: Upto,
        wants: &Wants,
        visits: impl FnOnce() -> V,
    ) -> Result<(), OutboxError> {
        let mut state = self.state.lock();
        if state.waiting >= self.waiting_max {
            return Err(OutboxError::Full { waiting: state.waiting });
        }
        let visits = visits();
        let now = self.clock.now();
        let mut places = state.places.of(stream);
        match upto {
            Upto::Ended(at) => places.ended = at,
            Upto::Seen(at) => places.seen = at,
        }
        let write = || -> Result<Vec<(VisitId, Waiting)>, redb::Error> {
            let txn = self.db.read().begin_write()?;
            let Written { fresh, is_any } = write_fresh(&txn, state.next, now, wants, visits.as_ref())?;
            // After a crash who told nothing looks at the same again.
            if is_any {
                places.write(&txn)?;
                txn.commit()?;
            } else {
                txn.abort()?;
            }
            Ok(fresh)
        };
        let fresh = if visits.as_ref().is_empty() { Vec::new() } else { write().map_err(self.failed())? };
        state.places = places;
        state.next += fresh.len() as u64;
        state.waiting += fresh.len() as u64;
        if !fresh.is_empty() {
            fresh.into_iter().for_each(|(visit, waiting)| state.schedule.add(visit, waiting));
            self.news.notify_all();
        }
        Ok(())
    }

    /// Takes down a message that is of no visit.
    pub(super) fn tell_test(&self, message: &Message) -> Result<String, OutboxError> {
        let mut state = self.state.lock();
        let (now, visit) = (self.clock.now(), VisitId::from_u128(0));
        let waiting = Waiting { number: state.next, attempts: 0, due: now };
        self.write(Durability::Immediate, |txn| insert(txn, visit, waiting, message))?;
        state.next += 1;
        state.waiting += 1;
        state.schedule.add(visit, waiting);
        self.news.notify_all();
        Ok(id_of(visit, &message.what))
    }

    /// The next message to send; waits for one. `None` when the outbox is stopped.
    pub(super) fn take(&self) -> Result<Option<Parcel>, OutboxError> {
        let mut state = self.state.lock();
        loop {
            if state.is_stopping {
                return Ok(None);
            }
            let now = self.clock.now();
            let next = if state.is_gone { None } else { state.schedule.next(now) };
            if let Some((number, visit)) = next {
                let parcel = self.read(number, visit);
                if parcel.is_err() {
                    state.schedule.not_sent(visit);
                }
                return parcel.map(Some);
            }
            let nap = state.schedule.wakes_at().map_or(NAP, |at| at.since(now).clamp(Duration::from_millis(1), NAP));
            let _ = self.news.wait_for(&mut state, nap);
        }
    }

    fn read(&self, number: Number, visit: VisitId) -> Result<Parcel, OutboxError> {
        let read = || -> Result<Parcel, redb::Error> {
            let txn = self.db.read().begin_read()?;
            let head = txn.open_table(MESSAGES)?.get(number)?.map(|message| head_of(message.value().1));
            let body = txn.open_table(BODIES)?.get(number)?.map(|body| body.value().to_vec());
            let missing = || redb::Error::Corrupted(format!("message {number} is missing"));
            let (head, body) = (head.ok_or_else(missing)??, body.ok_or_else(missing)?);
            Ok(Parcel { number, visit, head, body })
        };
        read().map_err(self.failed())
    }

    /// A message was sent, or was not.
    pub(super) fn done(&self, parcel: Parcel, outcome: Outcome) -> Result<(), OutboxError> {
        let Parcel { number, visit, mut head, .. } = parcel;
        let mut state = self.state.lock();
        let now = self.clock.now();
        match outcome {
            Outcome::Taken => {
                state.waiting -= u64::from(state.schedule.taken(number, visit));
                state.taken += 1;
                state.last_error = None;
                // Else it comes again.
                self.write(Durability::None, |txn| remove(txn, number))?;
            }
            Outcome::Gone => {
                state.schedule.not_sent(visit);
                state.is_gone = true;
                state.last_error = Some("the receiver answered 410 Gone".to_owned());
                self.write(Durability::Immediate, |txn| {
                    txn.open_table(PLACES)?.insert(GONE, 1)?;
                    Ok(())
                })?;
            }
            Outcome::Failed { what, retry_after } => {
                let what = cut(what);
                state.failures += 1;
                state.last_error = Some(what.clone());
                head.error = Some(what);
                match state.schedule.failed(number, visit, now, retry_after, chance(number, head.attempts)) {
                    Next::Again { attempts, due } => {
                        (head.attempts, head.due_us) = (attempts, due.micros());
                        self.write(Durability::None, |txn| put(txn, number, visit, &head))?;
                    }
                    Next::Dead(numbers) => {
                        head.attempts += 1;
                        self.bury(&mut state, visit, &head, &numbers)?;
                    }
                    Next::Forgotten => {}
                }
            }
        }
        drop(state);
        self.news.notify_all();
        Ok(())
    }

    /// These are dead, the first for what its head says, the others because they come behind it.
    fn bury(&self, state: &mut State, visit: VisitId, first: &Head, numbers: &[Number]) -> Result<(), OutboxError> {
        state.waiting -= numbers.len() as u64;
        state.dead.extend(numbers);
        let too_many = state.dead.len().saturating_sub(DEAD_MAX);
        let forgotten: BTreeSet<Number> = state.dead.iter().copied().take(too_many).collect();
        state.dead.retain(|number| !forgotten.contains(number));
        state.dropped += forgotten.len() as u64;
        self.write(Durability::Immediate, |txn| {
            for number in numbers {
                let head = if Some(number) == numbers.first() {
                    first.clone()
                } else {
                    let Some(head) = head_at(txn, *number)? else { continue };
                    Head { error: Some("what its session had before it was not taken".to_owned()), ..head }
                };
                put(txn, *number, visit, &Head { is_dead: true, ..head })?;
            }
            forgotten.iter().try_for_each(|number| remove(txn, *number))
        })
    }

    /// The dead messages, oldest first; those behind `after`, at most `max`.
    pub(super) fn dead(&self, after: Option<Number>, max: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        let numbers: Vec<Number> = {
            let state = self.state.lock();
            state.dead.range(after.map_or(0, |after| after + 1)..).take(max).copied().collect()
        };
        let read = || -> Result<Vec<DeadLetter>, redb::Error> {
            let txn = self.db.read().begin_read()?;
            let (messages, bodies) = (txn.open_table(MESSAGES)?, txn.open_table(BODIES)?);
            let mut letters = Vec::new();
            for number in numbers {
                let (Some(message), Some(body)) = (messages.get(number)?, bodies.get(number)?) else { continue };
                let (visit, head) = message.value();
                let head = head_of(head)?;
                let body = serde_json::from_slice(body.value()).unwrap_or_default();
                letters.push(DeadLetter {
                    number,
                    id: id_of(VisitId::from_u128(visit), &head.what),
                    event: head.event.as_str(),
                    at: Timestamp::from_micros(head.at_us),
                    attempts: head.attempts,
                    error: head.error.unwrap_or_default(),
                    body,
                });
            }
            Ok(letters)
        };
        read().map_err(self.failed())
    }

    /// Sends dead messages again: all, or one and what its session has behind it. How many.
    pub(super) fn replay(&self, id: Option<&str>) -> Result<u64, OutboxError> {
        let mut state = self.state.lock();
        let now = self.clock.now();
        let mut heads: BTreeMap<Number, (VisitId, Head)> = BTreeMap::new();
        let mut wanted = None;
        let dead = state.dead.clone();
        self.write(Durability::Immediate, |txn| {
            let mut found = Vec::new();
            for number in &dead {
                let Some((visit, head)) = message_at(txn, *number)? else { continue };
                if id.is_some_and(|id| id_of(visit, &head.what) == id) {
                    wanted = Some((visit, *number));
                }
                found.push((*number, visit, head));
            }
            let is_meant = |visit: VisitId, number: Number| match (id, wanted) {
                (None, _) => true,
                (Some(_), Some((of, from))) => visit == of && number >= from,
                (Some(_), None) => false,
            };
            for (number, visit, head) in found.into_iter().filter(|(number, visit, _)| is_meant(*visit, *number)) {
                let head = Head { attempts: 0, due_us: now.micros(), is_dead: false, ..head };
                put(txn, number, visit, &head)?;
                heads.insert(number, (visit, head));
            }
            Ok(())
        })?;
        if let (Some(id), true) = (id, heads.is_empty()) {
            return Err(OutboxError::NoSuchMessage { id: id.to_owned() });
        }
        let count = heads.len() as u64;
        for (number, (visit, _)) in heads {
            state.dead.remove(&number);
            state.schedule.add(visit, Waiting { number, attempts: 0, due: now });
        }
        state.waiting += count;
        state.schedule.resume(now);
        self.news.notify_all();
        Ok(count)
    }

    /// The receiver is there again, somebody says: what waits is sent now.
    pub(super) fn resume(&self) -> Result<(), OutboxError> {
        let mut state = self.state.lock();
        if state.is_gone {
            self.write(Durability::Immediate, |txn| {
                txn.open_table(PLACES)?.remove(GONE)?;
                Ok(())
            })?;
            state.is_gone = false;
        }
        state.schedule.resume(self.clock.now());
        self.news.notify_all();
        Ok(())
    }

    /// Forgets all messages of these visits that were not sent, dead ones too. How many. The file is written anew, so that
    /// nothing is left in it of those that were sent either.
    pub(super) fn forget(&self, is_erased: impl Fn(VisitId) -> bool) -> Result<u64, OutboxError> {
        let mut state = self.state.lock();
        let mut gone = Vec::new();
        self.write(Durability::Immediate, |txn| {
            {
                let messages = txn.open_table(MESSAGES)?;
                for message in messages.iter()? {
                    let (number, message) = message?;
                    let visit = VisitId::from_u128(message.value().0);
                    if is_erased(visit) {
                        gone.push((number.value(), visit));
                    }
                }
            }
            gone.iter().try_for_each(|(number, _)| remove(txn, *number))
        })?;
        for (number, visit) in &gone {
            if !state.dead.remove(number) {
                state.waiting -= u64::from(state.schedule.forget(*number, *visit));
            }
        }
        self.write_anew()?;
        Ok(gone.len() as u64)
    }

    fn write_anew(&self) -> Result<(), OutboxError> {
        let path = self.path.with_extension("new");
        let io = |doing| move |source| OutboxError::Io { doing, path: self.path.clone(), source };
        let mut db = self.db.write();
        let file = file::open_empty(&path).map_err(io("writing anew"))?;
        let copy = || -> Result<Database, redb::Error> {
            let fresh = open_db(file)?;
            copy(&db, &fresh)?;
            Ok(fresh)
        };
        let fresh = copy().map_err(self.failed())?;
        file::replace(&path, &self.path).map_err(io("replacing"))?;
        *db = fresh;
        Ok(())
    }

    pub(super) fn status(&self) -> WebhookStatus {
        let state = self.state.lock();
        WebhookStatus {
            waiting: state.waiting,
            dead: state.dead.len() as u64,
            taken: state.taken,
            failures: state.failures,
            dropped: state.dropped,
            is_gone: state.is_gone,
            down_until: state.schedule.down_until(),
            last_error: state.last_error.clone(),
        }
    }

    /// Ends all waiting. What is being sent is waited for by its thread.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.news.notify_all();
    }

    #[cfg(test)]
    pub(super) fn is_due(&self) -> bool {
        let (state, now) = (self.state.lock(), self.clock.now());
        !state.is_gone && state.schedule.wakes_at().is_some_and(|at| at <= now)
    }

    /// Waits, unless it is to end.
    pub(super) fn sleep(&self, wait: Duration) {
        let mut state = self.state.lock();
        let until = self.clock.now().after(wait);
        while !state.is_stopping && self.clock.now() < until {
            let _ = self.news.wait_for(&mut state, wait.min(NAP));
        }
    }

    /// Whether it is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// Puts all that was taken on stable storage.
    pub(super) fn sync(&self) -> Result<(), OutboxError> {
        let state = self.state.lock();
        self.write(Durability::Immediate, |txn| state.places.write(txn))
    }

    fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, OutboxError> {
        let write = || -> Result<T, redb::Error> {
            let mut txn = self.db.read().begin_write()?;
            txn.set_durability(durability)?;
            let result = work(&txn)?;
            txn.commit()?;
            Ok(result)
        };
        write().map_err(self.failed())
    }

    fn failed(&self) -> impl Fn(redb::Error) -> OutboxError + use<> {
        let path = self.path.clone();
        move |source| OutboxError::Store { path: path.clone(), source: Box::new(source) }
    }
}

/// What the file holds; its tables are made where they are missing.
fn read(db: &Database) -> Result<State, redb::Error> {
    let mut state = State::default();
    let txn = db.begin_write()?;
    {
        txn.open_table(BODIES)?;
        txn.open_table(TOLD)?;
        state.places = Places::read(&txn)?;
        state.is_gone = txn.open_table(PLACES)?.get(GONE)?.is_some();
        for message in txn.open_table(MESSAGES)?.iter()? {
            let (number, message) = message?;
            let (number, (visit, head)) = (number.value(), message.value());
            let head = head_of(head)?;
            state.next = number + 1;
            if head.is_dead {
                state.dead.insert(number);
                continue;
            }
            state.waiting += 1;
            let due = Timestamp::from_micros(head.due_us);
            state.schedule.add(VisitId::from_u128(visit), Waiting { number, attempts: head.attempts, due });
        }
    }
    txn.commit()?;
    Ok(state)
}

/// Any number: the same for one attempt, another for the next.
fn chance(number: Number, attempts: u32) -> u32 {
    let mixed = (number << 8 | u64::from(attempts & 0xff)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

fn cut(mut text: String) -> String {
    if text.len() > ERROR_BYTES_MAX {
        let at = (0..=ERROR_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
        text.push('…');
    }
    text
}
