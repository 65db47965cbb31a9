//! Who may be due when: a wheel of slots, each a doubly linked list through the entries.
//!
//! A touch moves nothing. A session sits in one slot; when the slot comes due, it is looked at, and ended or armed
//! again for its true deadline. So a session costs the wheel one visit per idle period, not one per request.

use std::time::Duration;

use crate::time::Timestamp;

/// No neighbour, no entry.
pub(super) const NONE: u32 = u32::MAX;
const SLOTS: i64 = 4_096;

/// The links of one entry; they live in the entry itself.
pub(super) trait Linked {
    fn links(&mut self, index: u32) -> (&mut u32, &mut u32, &mut u16);
}

#[derive(Debug)]
pub(super) struct Wheel {
    tick_us: i64,
    /// The tick that is looked at next; all before it are empty.
    cursor: i64,
    started: bool,
    slots: Vec<u32>,
}

impl Wheel {
    pub(super) fn new(tick: Duration) -> Self {
        let tick_us = i64::try_from(tick.as_micros()).unwrap_or(i64::MAX).max(1);
        Self { tick_us, cursor: 0, started: false, slots: vec![NONE; SLOTS as usize] }
    }

    fn tick_of(&self, at: Timestamp) -> i64 {
        at.micros().div_euclid(self.tick_us)
    }

    /// Puts an entry where it is looked at once `deadline` has passed; far ones are looked at earlier, in vain.
    pub(super) fn arm(&mut self, entries: &mut impl Linked, index: u32, deadline: Timestamp, now: Timestamp) {
        if !self.started {
            self.started = true;
            self.cursor = self.tick_of(now);
        }
        let slot = self.place_of(deadline);
        let head = std::mem::replace(&mut self.slots[usize::from(slot)], index);
        let (next, prev, at) = entries.links(index);
        (*next, *prev, *at) = (head, NONE, slot);
        if head != NONE {
            *entries.links(head).1 = index;
        }
    }

    /// An empty one begins anew with the next session, whatever time it is then.
    pub(super) const fn restart(&mut self) {
        self.started = false;
    }

    /// Takes an entry out of its slot.
    pub(super) fn disarm(&mut self, entries: &mut impl Linked, index: u32) {
        let (next, prev, slot) = entries.links(index);
        let (next, prev, slot) = (*next, *prev, *slot as usize);
        if prev == NONE {
            self.slots[slot] = next;
        } else {
            *entries.links(prev).0 = next;
        }
        if next != NONE {
            *entries.links(next).1 = prev;
        }
    }

    /// The next entry whose slot has passed by `now`. The caller disarms it, and arms it again if it is not due.
    pub(super) fn next_passed(&mut self, now: Timestamp) -> Option<u32> {
        let now_tick = self.tick_of(now);
        // After a jump of more than a turn, every slot has passed: one turn sees them all.
        self.cursor = self.cursor.max(now_tick - SLOTS);
        while self.cursor < now_tick {
            match self.slots[self.cursor.rem_euclid(SLOTS) as usize] {
                NONE => self.cursor += 1,
                index => return Some(index),
            }
        }
        None
    }

    /// The first entries of the slots in the order in which they are looked at from now on.
    pub(super) fn ahead(&self) -> impl Iterator<Item = u32> + '_ {
        let slots = (0..SLOTS).map(|step| self.slots[(self.cursor + step).rem_euclid(SLOTS) as usize]);
        slots.filter(|&index| index != NONE)
    }

    /// Where an entry with this deadline is put now.
    pub(super) fn place_of(&self, deadline: Timestamp) -> u16 {
        self.tick_of(deadline).clamp(self.cursor, self.cursor + SLOTS - 1).rem_euclid(SLOTS) as u16
    }

    /// All entries, slot by slot; for invariants.
    pub(super) fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// How long ago the slot that is looked at next has passed.
    pub(super) fn lag(&self, now: Timestamp) -> Duration {
        let behind = (self.tick_of(now) - self.cursor).max(0);
        if self.started { Duration::from_micros((behind.saturating_mul(self.tick_us)) as u64) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Entries(Vec<(u32, u32, u16)>);

    impl Linked for Entries {
        fn links(&mut self, index: u32) -> (&mut u32, &mut u32, &mut u16) {
            let entry = &mut self.0[index as usize];
            (&mut entry.0, &mut entry.1, &mut entry.2)
        }
    }

    fn secs(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn drain(wheel: &mut Wheel, entries: &mut Entries, now: Timestamp) -> Vec<u32> {
        let mut passed = Vec::new();
        while let Some(index) = wheel.next_passed(now) {
            wheel.disarm(entries, index);
            passed.push(index);
        }
        passed
    }

    #[test]
    fn passes_only_after_the_whole_tick_of_the_deadline() {
        let mut wheel = Wheel::new(Duration::from_secs(1));
        let mut entries = Entries(vec![Default::default(); 3]);
        wheel.arm(&mut entries, 0, secs(105), secs(100));
        wheel.arm(&mut entries, 1, secs(103), secs(100));
        wheel.arm(&mut entries, 2, secs(105), secs(100));
        assert_eq!(drain(&mut wheel, &mut entries, secs(103)), Vec::<u32>::new());
        assert_eq!(drain(&mut wheel, &mut entries, secs(104)), [1]);
        assert_eq!(drain(&mut wheel, &mut entries, secs(106)), [2, 0]);
    }

    #[test]
    fn takes_an_entry_out_of_the_middle() {
        let mut wheel = Wheel::new(Duration::from_secs(1));
        let mut entries = Entries(vec![Default::default(); 3]);
        for index in 0..3 {
            wheel.arm(&mut entries, index, secs(105), secs(100));
        }
        wheel.disarm(&mut entries, 1);
        assert_eq!(drain(&mut wheel, &mut entries, secs(110)), [2, 0]);
    }

    #[test]
    fn a_deadline_beyond_the_horizon_and_a_jump_beyond_a_turn_lose_nobody() {
        let mut wheel = Wheel::new(Duration::from_secs(1));
        let mut entries = Entries(vec![Default::default(); 2]);
        wheel.arm(&mut entries, 0, secs(100 + 3 * SLOTS), secs(100));
        wheel.arm(&mut entries, 1, secs(90), secs(100));
        assert_eq!(drain(&mut wheel, &mut entries, secs(101)), [1]);
        assert_eq!(drain(&mut wheel, &mut entries, secs(100 + 10 * SLOTS)), [0]);
    }
}
