//! Who holds which session, and what was answered a moment ago: so that a commit counts once.

use crate::ids::VisitId;
use crate::ports::{Committed, HoldOwner, Outcome, RequestId, SessionHold};
use crate::time::Timestamp;

/// The holds of a shard: a record each, given out and taken back once. All are this process's own, in this life of it: a
/// restart forgets them, and none outlives the session that it holds, which ends at its max age whoever holds it.
#[derive(Debug, Default)]
pub(super) struct Holds {
    owner: HoldOwner,
    records: Vec<HoldRecord>,
    free: Vec<u32>,
    /// Where to look next for one whose deadline has passed.
    hand: usize,
}

#[derive(Debug, Clone, Copy)]
struct HoldRecord {
    /// How often the place was given out; odd while it is held.
    turn: u32,
    /// Until when it holds at most, in seconds since 1970.
    until_s: u32,
}

/// Places looked at for a forgotten hold before one more is made.
const LOOKS: usize = 4;

impl Holds {
    /// Another life of the process begins: what a former one gave out is unknown in it.
    pub(super) fn begin_life(&mut self, owner: HoldOwner) {
        *self = Self { owner, ..Self::default() };
    }

    /// A hold of a request on a session, until the session's max age at the latest.
    /// `goes_on`: it has been committed.
    pub(super) fn give(&mut self, visit: VisitId, until: Timestamp, now: Timestamp, goes_on: bool) -> SessionHold {
        if self.free.is_empty() {
            self.reclaim(now);
        }
        let until_s = u32::try_from(until.secs()).unwrap_or(u32::MAX);
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.records.push(HoldRecord { turn: 0, until_s });
                (self.records.len() - 1) as u32
            }
        };
        let held = &mut self.records[place as usize];
        (held.turn, held.until_s) = (held.turn.wrapping_add(1), until_s);
        let turn = held.turn;
        // What the visit's id ends in tells ids of different shards apart, and those of different lives are others.
        let apart = visit.as_u128() as u64 ^ self.owner.incarnation;
        let bits = u128::from(apart) << 64 | u128::from(turn) << 32 | u128::from(place);
        SessionHold { visit, request: RequestId::from_u128(bits), owner: self.owner, until, goes_on }
    }

    /// Takes a hold back. `false`: it was taken back before, its deadline has passed, or it is of another life.
    pub(super) fn take_back(&mut self, hold: SessionHold) -> bool {
        if hold.owner != self.owner {
            return false;
        }
        let bits = hold.request.as_u128();
        let (place, turn) = (bits as u32, (bits >> 32) as u32);
        match self.records.get_mut(place as usize) {
            Some(held) if held.turn == turn && turn % 2 == 1 => {
                held.turn = turn.wrapping_add(1);
                self.free.push(place);
                true
            }
            _ => false,
        }
    }

    /// Places, those included that nobody has at present.
    pub(super) fn entries(&self) -> usize {
        self.records.len()
    }

    /// Takes back a few whose deadline has passed: who got them has forgotten them.
    fn reclaim(&mut self, now: Timestamp) {
        for _ in 0..LOOKS.min(self.records.len()) {
            self.hand = (self.hand + 1) % self.records.len();
            let held = &mut self.records[self.hand];
            if held.turn % 2 == 1 && now.secs() > i64::from(held.until_s) {
                held.turn = held.turn.wrapping_add(1);
                self.free.push(self.hand as u32);
            }
        }
    }
}

/// The newest answers of a shard. Nearly all of them say no more than how it went, and take no more room than that: what
/// is written with every request must stay near the processor.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// With 64 bits of each request, by which they are told apart.
    replies: Vec<(u64, KeptReply)>,
    next: usize,
}

#[derive(Debug)]
enum KeptReply {
    /// It went like this in the session that the request began in, and nothing else is to be told.
    Plain(Outcome),
    Full(Box<Committed>),
}

/// Answers that a shard remembers.
const REPLIES: usize = 256;

impl Replies {
    /// Remembers an answer, and forgets the oldest. `visit`: the session that the request began in, if it did.
    pub(super) fn remember(&mut self, request: RequestId, visit: Option<VisitId>, reply: &Committed) {
        let kept = match reply {
            Committed { outcome, visit: said, issue: None, durable: true, refused: 0 } if *said == visit => {
                KeptReply::Plain(*outcome)
            }
            _ => KeptReply::Full(Box::new(reply.clone())),
        };
        let reply = (mark(request), kept);
        if self.replies.len() < REPLIES {
            self.replies.push(reply);
            return;
        }
        self.replies[self.next] = reply;
        self.next = (self.next + 1) % REPLIES;
    }

    /// What a request was answered.
    pub(super) fn find(&self, request: RequestId, visit: Option<VisitId>) -> Option<Committed> {
        let wanted = mark(request);
        let (_, reply) = self.replies.iter().find(|(mark, _)| *mark == wanted)?;
        Some(match reply {
            KeptReply::Plain(outcome) => Committed { outcome: *outcome, visit, issue: None, durable: true, refused: 0 },
            KeptReply::Full(reply) => (**reply).clone(),
        })
    }
}

/// Ids that differ in a turn or in a place must differ here, and those are small numbers beside each other.
const fn mark(request: RequestId) -> u64 {
    let bits = request.as_u128();
    ((bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bits as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    #[test]
    fn a_hold_is_taken_back_once() {
        let mut holds = Holds::default();
        let visit = VisitId::from_u128(7);
        let (one, two) = (holds.give(visit, NOW, NOW, false), holds.give(visit, NOW, NOW, false));
        assert_ne!(one, two);
        assert!(holds.take_back(one) && !holds.take_back(one));
        let three = holds.give(visit, NOW, NOW, false);
        assert_ne!(one, three, "its place is another's now");
        assert!(!holds.take_back(one) && holds.take_back(three) && holds.take_back(two));
    }

    #[test]
    fn a_hold_of_a_former_life_gives_nobody_elses_back() {
        let life = |incarnation| {
            let mut holds = Holds::default();
            holds.begin_life(HoldOwner { node: 0, incarnation });
            holds
        };
        let visit = VisitId::from_u128(7);
        let old = life(1).give(visit, NOW, NOW, false);
        let mut holds = life(2);
        let new = holds.give(visit, NOW, NOW, false);
        assert_ne!(old.request, new.request, "what one was answered is not the other's answer");
        assert!(!holds.take_back(old) && holds.take_back(new));
        assert_eq!((new.until, new.owner.incarnation), (NOW, 2));
    }

    #[test]
    fn forgotten_holds_cost_nothing_for_ever() {
        let mut holds = Holds::default();
        for n in 0..10_000 {
            let now = Timestamp::from_secs(n * 10);
            holds.give(VisitId::from_u128(7), Timestamp::from_secs(n * 10 + 100), now, false);
        }
        assert!(holds.records.len() < 100, "{}", holds.records.len());
    }

    #[test]
    fn the_newest_answers_are_remembered() {
        let mut replies = Replies::default();
        let request = |n: usize| RequestId::from_u128((n as u128) << 70);
        let reply = |n: usize| Committed {
            outcome: Outcome::Recorded,
            visit: None,
            issue: None,
            durable: true,
            refused: n as u32,
        };
        (0..REPLIES + 10).for_each(|n| replies.remember(request(n), None, &reply(n % 2)));
        assert_eq!(replies.find(request(9), None), None);
        for n in 10..REPLIES + 10 {
            assert_eq!(replies.find(request(n), None), Some(reply(n % 2)));
        }
    }
}
