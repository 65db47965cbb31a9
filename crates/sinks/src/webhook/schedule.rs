//! When which message is sent: a session's in their order, one that fails again later, and a receiver that is down is asked
//! now and then by one message alone.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use visitlog_core::{Timestamp, VisitId};

/// After the first attempt, and each further one, the next comes so much later. After the last, a message is dead.
const WAITS: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3_600),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(10 * 3_600),
];
/// A wait is longer by up to this part of it, so that messages that failed together don't come together.
const JITTER: u32 = 4;
/// So many failures one after another, and the receiver is down.
const FAILURES_MAX: u32 = 5;
/// One that is down is asked after so much, then after twice that, at most after [`ASKED_AGAIN_MAX`].
const ASKED_AGAIN_MIN: Duration = Duration::from_secs(5);
const ASKED_AGAIN_MAX: Duration = Duration::from_secs(600);
/// The longest that a receiver may ask us to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 3_600);

/// A message's number: they rise.
pub(super) type Number = u64;

/// A message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) number: Number,
    /// Attempts so far.
    pub(super) attempts: u32,
    /// Not before.
    pub(super) due: Timestamp,
}

/// What becomes of a message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It is sent again.
    Again {
        /// Attempts so far.
        attempts: u32,
        /// When.
        due: Timestamp,
    },
    /// It has failed as often as it may: it is dead, and what the session has behind it (these, in order) with it.
    Dead(Vec<Number>),
    /// It was forgotten meanwhile.
    Forgotten,
}

/// What waits, by session.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    sessions: HashMap<VisitId, VecDeque<Waiting>>,
    /// The first of each session, unless it is being sent.
    due: BTreeSet<(Timestamp, Number, VisitId)>,
    in_flight: usize,
    failures: u32,
    /// Down until then; then one message asks.
    down_until: Option<Timestamp>,
}

impl Schedule {
    /// Adds a message behind those of its session.
    pub(super) fn add(&mut self, visit: VisitId, waiting: Waiting) {
        let session = self.sessions.entry(visit).or_default();
        if session.is_empty() {
            self.due.insert((waiting.due, waiting.number, visit));
        }
        session.push_back(waiting);
    }

    /// The next message to send, which is in flight from now on.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(Number, VisitId)> {
        if self.down_until.is_some_and(|until| now < until || self.in_flight > 0) {
            return None;
        }
        let (due, number, visit) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        self.in_flight += 1;
        Some((number, visit))
    }

    /// When there may be something to send; `None` where only news can bring something.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let (due, ..) = self.due.first()?;
        Some(self.down_until.map_or(*due, |until| until.max(*due)))
    }

    /// A message was taken. Whether it was still one that waited.
    pub(super) fn taken(&mut self, number: Number, visit: VisitId) -> bool {
        self.in_flight -= 1;
        (self.failures, self.down_until) = (0, None);
        let Some(session) = self.sessions.get_mut(&visit) else { return false };
        let is_first = session.pop_front_if(|first| first.number == number).is_some();
        self.line_up(visit);
        is_first
    }

    /// A message was not taken. `retry_after` is what the receiver asked for; `chance` is any number.
    pub(super) fn failed(
        &mut self,
        number: Number,
        visit: VisitId,
        now: Timestamp,
        retry_after: Option<Duration>,
        chance: u32,
    ) -> Next {
        self.in_flight -= 1;
        self.failures += 1;
        let retry_after = retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
        if self.failures >= FAILURES_MAX {
            let doublings = (self.failures - FAILURES_MAX).min(16);
            let wait = (ASKED_AGAIN_MIN * 2_u32.pow(doublings)).min(ASKED_AGAIN_MAX);
            self.down_until = Some(now.after(longer(wait, chance)));
        }
        if let Some(wait) = retry_after {
            self.down_until = self.down_until.max(Some(now.after(wait)));
        }
        let first = self.sessions.get_mut(&visit).and_then(|session| session.front_mut());
        let Some(first) = first.filter(|first| first.number == number) else {
            self.line_up(visit);
            return Next::Forgotten;
        };
        first.attempts += 1;
        let Some(wait) = WAITS.get(first.attempts as usize - 1) else {
            let dead = self.sessions.remove(&visit).into_iter().flatten();
            return Next::Dead(dead.map(|waiting| waiting.number).collect());
        };
        first.due = now.after(longer(*wait, chance).max(retry_after.unwrap_or_default()));
        let Waiting { attempts, due, .. } = *first;
        self.line_up(visit);
        Next::Again { attempts, due }
    }

    /// Gives a message back that was not sent.
    pub(super) fn not_sent(&mut self, visit: VisitId) {
        self.in_flight -= 1;
        self.line_up(visit);
    }

    /// Forgets a message. Whether it waited; it may be on the way all the same.
    pub(super) fn forget(&mut self, number: Number, visit: VisitId) -> bool {
        let Some(session) = self.sessions.get_mut(&visit) else { return false };
        let Some(at) = session.iter().position(|waiting| waiting.number == number) else { return false };
        let due = session.remove(at).map(|waiting| (waiting.due, number, visit));
        if due.is_some_and(|due| self.due.remove(&due)) {
            self.line_up(visit);
        }
        true
    }

    /// Whether the receiver is taken to be down, and until when it is not asked.
    pub(super) const fn down_until(&self) -> Option<Timestamp> {
        self.down_until
    }

    /// Somebody says that the receiver is back: what waits is sent now.
    pub(super) fn resume(&mut self, now: Timestamp) {
        (self.failures, self.down_until) = (0, None);
        for (_, number, visit) in std::mem::take(&mut self.due) {
            if let Some(first) = self.sessions.get_mut(&visit).and_then(|session| session.front_mut()) {
                first.due = first.due.min(now);
                self.due.insert((first.due, number, visit));
            }
        }
    }

    /// The first of a session, which is not on the way, is due.
    fn line_up(&mut self, visit: VisitId) {
        match self.sessions.get(&visit).map(|session| session.front()) {
            Some(Some(first)) => {
                self.due.insert((first.due, first.number, visit));
            }
            Some(None) => {
                self.sessions.remove(&visit);
            }
            None => {}
        }
    }
}

/// A wait and a part of it, by chance.
fn longer(wait: Duration, chance: u32) -> Duration {
    wait + (wait / JITTER).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use visitlog_testkit::samples::{MORNING, id};

    use super::*;

    fn waiting(number: Number) -> Waiting {
        Waiting { number, attempts: 0, due: MORNING }
    }

    fn later(secs: u64) -> Timestamp {
        MORNING.after(Duration::from_secs(secs))
    }

    #[test]
    fn a_sessions_messages_go_one_after_the_other_and_others_beside_them() {
        let mut schedule = Schedule::default();
        (0..3).for_each(|number| schedule.add(id(1), waiting(number)));
        schedule.add(id(2), waiting(3));
        assert_eq!(schedule.next(MORNING), Some((0, id(1))));
        assert_eq!(schedule.next(MORNING), Some((3, id(2))));
        assert_eq!(schedule.next(MORNING), None, "the first of its session is on the way");
        assert_eq!(schedule.failed(0, id(1), MORNING, None, 0), Next::Again { attempts: 1, due: later(5) });
        schedule.taken(3, id(2));
        assert_eq!((schedule.next(later(4)), schedule.wakes_at()), (None, Some(later(5))));
        assert_eq!(schedule.next(later(5)), Some((0, id(1))));
        schedule.taken(0, id(1));
        assert_eq!(schedule.next(later(5)), Some((1, id(1))));
        schedule.not_sent(id(1));
        assert_eq!(schedule.next(later(5)), Some((1, id(1))));
        schedule.taken(1, id(1));
        assert_eq!(schedule.next(later(5)), Some((2, id(1))));
        assert!(schedule.taken(2, id(1)));
        assert_eq!((schedule.next(later(9)), schedule.wakes_at(), schedule.sessions.len()), (None, None, 0));
    }

    #[test]
    fn one_that_always_fails_is_dead_in_the_end_and_its_session_with_it() {
        let mut schedule = Schedule::default();
        (0..3).for_each(|number| schedule.add(id(1), waiting(number)));
        let (mut now, mut waits) = (MORNING, Vec::new());
        loop {
            // Others are taken, so the receiver is not down.
            schedule.add(id(2), Waiting { due: now, ..waiting(9) });
            let mut next = [schedule.next(now), schedule.next(now)];
            next.sort();
            assert_eq!(next, [Some((0, id(1))), Some((9, id(2)))]);
            schedule.taken(9, id(2));
            match schedule.failed(0, id(1), now, None, u32::MAX) {
                Next::Again { due, .. } => {
                    waits.push(due.since(now).as_secs());
                    now = due;
                }
                Next::Dead(dead) => {
                    assert_eq!(dead, [0, 1, 2]);
                    break;
                }
                Next::Forgotten => unreachable!("nobody forgets"),
            }
        }
        assert_eq!(waits, [6, 37, 150, 750, 2_250, 4_500, 9_000, 22_500, 45_000, 45_000], "a fourth longer at most");
        assert_eq!(schedule.next(now.after(Duration::from_secs(99_999))), None);
    }

    #[test]
    fn one_that_is_down_is_asked_by_one_message_now_and_then() {
        let mut schedule = Schedule::default();
        (0..100).for_each(|number| schedule.add(id(number), waiting(number)));
        for _ in 0..5 {
            let (number, visit) = schedule.next(MORNING).expect("it is not known to be down");
            schedule.failed(number, visit, MORNING, None, 0);
        }
        assert_eq!(schedule.down_until(), Some(later(5)));
        let (mut now, mut asked) = (MORNING, Vec::new());
        for _ in 0..9 {
            assert_eq!(schedule.next(now.after(Duration::from_secs(4))), None);
            let then = schedule.wakes_at().expect("there is something");
            asked.push(then.since(now).as_secs());
            now = then;
            let (number, visit) = schedule.next(now).expect("one asks");
            assert_eq!(schedule.next(now), None, "the others wait for what it finds");
            schedule.failed(number, visit, now, None, 0);
        }
        assert_eq!(asked, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        let (number, visit) = schedule.next(later(99_999)).expect("one asks");
        schedule.taken(number, visit);
        assert!(schedule.next(later(99_999)).is_some() && schedule.next(later(99_999)).is_some(), "it is back");
    }

    #[test]
    fn a_receiver_says_when_to_come_again() {
        let mut schedule = Schedule::default();
        (0..2).for_each(|number| schedule.add(id(number), waiting(number)));
        let (number, visit) = schedule.next(MORNING).expect("due");
        let hour = Duration::from_secs(3_600);
        assert_eq!(
            schedule.failed(number, visit, MORNING, Some(hour), 0),
            Next::Again { attempts: 1, due: later(3_600) }
        );
        assert_eq!((schedule.next(later(3_599)), schedule.wakes_at()), (None, Some(later(3_600))), "for all");
        assert!(schedule.next(later(3_600)).is_some());
        schedule.not_sent(id(1));
        schedule.resume(later(60));
        assert_eq!(schedule.next(later(60)), Some((1, id(1))), "unless somebody knows better");
        assert_eq!(schedule.next(later(60)), Some((0, id(0))));
        schedule.failed(1, id(1), later(60), Some(1_000 * hour), 0);
        assert_eq!(schedule.down_until(), Some(later(60 + 36_000)), "ten hours at most");
    }

    #[test]
    fn what_is_forgotten_is_not_sent_and_what_is_behind_it_is() {
        let mut schedule = Schedule::default();
        (0..4).for_each(|number| schedule.add(id(1), waiting(number)));
        assert!(schedule.forget(0, id(1)) && !schedule.forget(0, id(1)));
        assert_eq!(schedule.next(MORNING), Some((1, id(1))));
        assert!(schedule.forget(1, id(1)), "it is on the way");
        assert_eq!(schedule.next(MORNING), None, "the next one waits for it");
        assert!(!schedule.taken(1, id(1)));
        assert_eq!(schedule.next(MORNING), Some((2, id(1))));
        assert!(schedule.forget(2, id(1)));
        assert_eq!(schedule.failed(2, id(1), MORNING, None, 0), Next::Forgotten);
        assert_eq!(schedule.next(MORNING), Some((3, id(1))));
        assert!(schedule.forget(3, id(1)));
        assert!(!schedule.taken(3, id(1)) && schedule.sessions.is_empty());
    }
}
