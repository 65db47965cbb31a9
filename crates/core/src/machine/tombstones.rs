//! Which tokens never join a session again.

use std::collections::{HashSet, VecDeque};

use crate::ids::VisitId;
use crate::model::EndReason;
use crate::time::Timestamp;

/// Sessions that somebody wanted to end: their tokens never join a session.
///
/// Those whose cookie never came back have a small share of the room. Their token was given out once, and only who keeps
/// cookies can bring it back: that is worth remembering, but strangers without cookies can make as many of them as they
/// send requests, and must not push out those of visitors who are known.
#[derive(Debug)]
pub(super) struct Tombstones {
    ended: HashSet<VisitId>,
    confirmed: Queue,
    unconfirmed: Queue,
}

/// Some of them, oldest first.
#[derive(Debug)]
struct Queue {
    order: VecDeque<Tombstone>,
    max: usize,
}

/// One part in so many is for sessions whose cookie never came back.
const UNCONFIRMED_SHARE: usize = 16;

/// A session that somebody wanted to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// Its visit.
    pub visit: VisitId,
    /// Why it ended.
    pub reason: EndReason,
    /// When its end was decided.
    pub closed_at: Timestamp,
    /// Until when it is remembered.
    pub until: Timestamp,
    /// Whether its cookie had come back.
    pub confirmed: bool,
}

impl Queue {
    const fn new(max: usize) -> Self {
        Self { order: VecDeque::new(), max }
    }

    /// Makes room for one more: forgets those whose time has passed by then, and the oldest if that is not enough.
    /// Returns how many were forgotten before their time.
    fn make_room(&mut self, now: Timestamp, ended: &mut HashSet<VisitId>) -> u64 {
        let mut before_time = 0;
        while let Some(old) = self.order.front() {
            let is_over = old.until < now;
            if !is_over && self.order.len() < self.max {
                break;
            }
            before_time += u64::from(!is_over);
            ended.remove(&old.visit);
            self.order.pop_front();
        }
        before_time
    }
}

impl Tombstones {
    /// None yet, and never more than `max`.
    pub(super) fn new(max: usize) -> Self {
        let unconfirmed = (max / UNCONFIRMED_SHARE).max(1);
        let confirmed = max.saturating_sub(unconfirmed).max(1);
        Self { ended: HashSet::new(), confirmed: Queue::new(confirmed), unconfirmed: Queue::new(unconfirmed) }
    }

    /// Remembers an end. Returns how many were forgotten before their time, for want of room: the oldest.
    pub(super) fn add(&mut self, tomb: Tombstone) -> u64 {
        if self.ended.contains(&tomb.visit) {
            return 0;
        }
        let queue = if tomb.confirmed { &mut self.confirmed } else { &mut self.unconfirmed };
        let before_time = queue.make_room(tomb.closed_at, &mut self.ended);
        self.ended.insert(tomb.visit);
        queue.order.push_back(tomb);
        before_time
    }

    pub(super) fn contains(&self, visit: VisitId) -> bool {
        self.ended.contains(&visit)
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.confirmed.order.len() + self.unconfirmed.order.len()
    }

    /// Forgets those that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(VisitId) -> bool) {
        self.ended.retain(|visit| keep(*visit));
        self.confirmed.order.retain(|tomb| keep(tomb.visit));
        self.unconfirmed.order.retain(|tomb| keep(tomb.visit));
    }

    /// They were read back at `now`: none was closed after that, nor is any remembered for longer than from then.
    pub(super) fn read_at(&mut self, now: Timestamp) {
        for tomb in self.confirmed.order.iter_mut().chain(&mut self.unconfirmed.order) {
            let ahead = tomb.closed_at.since(now);
            (tomb.closed_at, tomb.until) = (tomb.closed_at.before(ahead), tomb.until.before(ahead));
        }
    }

    /// All that are remembered.
    pub(super) fn iter(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.unconfirmed.order.iter().chain(&self.confirmed.order).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tomb(visit: u128, closed_s: i64, confirmed: bool) -> Tombstone {
        let closed_at = Timestamp::from_secs(closed_s);
        let until = Timestamp::from_secs(closed_s + 100);
        Tombstone { visit: VisitId::from_u128(visit), reason: EndReason::LoggedOut, closed_at, until, confirmed }
    }

    #[test]
    fn tombstones_are_forgotten_in_time() {
        let mut tombs = Tombstones::new(100);
        let visit = VisitId::from_u128(5);
        assert_eq!((tombs.add(tomb(5, 100, true)), tombs.add(tomb(6, 200, true))), (0, 0));
        assert!(tombs.contains(visit));
        assert_eq!(tombs.add(tomb(7, 201, true)), 0);
        assert!(!tombs.contains(visit));
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let mut tombs = Tombstones::new(4);
        let forgotten: u64 = (0..10).map(|n| tombs.add(tomb(n, 100, true))).sum();
        assert_eq!((forgotten, tombs.iter().count()), (7, 3));
        assert!(tombs.contains(VisitId::from_u128(9)) && !tombs.contains(VisitId::from_u128(6)));
    }

    #[test]
    fn strangers_push_out_nobody_who_is_known() {
        let mut tombs = Tombstones::new(160);
        (0..150).for_each(|n| assert_eq!(tombs.add(tomb(n, 100, true)), 0));
        let forgotten: u64 = (1_000..21_000).map(|n| tombs.add(tomb(n, 100, false))).sum();
        assert_eq!((forgotten, tombs.iter().count()), (19_990, 160));
        assert!((0..150).all(|n| tombs.contains(VisitId::from_u128(n))));
    }
}
