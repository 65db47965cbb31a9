//! The sessions whose cookie has not come back, in the order of their starts: the first to go. Where clients are known by
//! cookie, those that cookieless ones share are among them: whoever has enough names makes as many of them as he likes.

use std::collections::VecDeque;

use super::slots::{Slot, Slots};
use crate::ids::VisitId;
use crate::session::Flags;

/// Provisional sessions, oldest first.
#[derive(Debug)]
pub(super) struct Provisional {
    /// Whether shared ones are among them.
    with_shared: bool,
    /// The slot of each, and when it started, in seconds, by which it is known again: slots are used again.
    queue: VecDeque<(u32, u32)>,
    open: usize,
}

/// Entries beyond twice as many as are open before those that are not open any more are dropped.
const SLACK: usize = 1_024;

fn started(visit: VisitId) -> u32 {
    visit.started_at().secs() as u32
}

impl Provisional {
    /// None yet. `cookies`: whether clients are known by cookie; if not, all sessions are shared, and none provisional.
    pub(super) const fn new(cookies: bool) -> Self {
        Self { with_shared: cookies, queue: VecDeque::new(), open: 0 }
    }

    /// Whether a session is one of them.
    pub(super) const fn counts(&self, flags: Flags) -> bool {
        counts(flags, self.with_shared)
    }

    /// A provisional session has been put into a slot.
    pub(super) fn push(&mut self, index: u32, visit: VisitId, slots: &Slots) {
        self.open += 1;
        if self.queue.len() > 2 * self.open + SLACK {
            let Self { queue, with_shared, .. } = self;
            queue.retain(|entry| is_open(*entry, *with_shared, slots));
        }
        self.skip_gone(slots);
        self.queue.push_back((index, started(visit)));
    }

    /// A session has ended or been confirmed; `was`: what was known of it before.
    pub(super) fn left(&mut self, was: Flags) {
        self.open -= usize::from(self.counts(was));
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.open
    }

    /// Entries of the queue, those included that are confirmed or have ended.
    pub(super) fn entries(&self) -> usize {
        self.queue.len()
    }

    /// The oldest.
    pub(super) fn first(&mut self, slots: &Slots) -> Option<u32> {
        self.skip_gone(slots);
        self.queue.front().map(|(index, _)| *index)
    }

    /// Takes those off the front that are confirmed or have ended: mostly all, for browsers confirm at once.
    fn skip_gone(&mut self, slots: &Slots) {
        while self.queue.front().is_some_and(|entry| !is_open(*entry, self.with_shared, slots)) {
            self.queue.pop_front();
        }
    }
}

const fn counts(flags: Flags, with_shared: bool) -> bool {
    flags.provisional() || with_shared && flags.shared()
}

fn is_open((index, started_s): (u32, u32), with_shared: bool, slots: &Slots) -> bool {
    let is_it = |slot: &Slot| counts(slot.session.flags, with_shared) && started(slot.session.visit) == started_s;
    slots.get(index).is_some_and(is_it)
}
