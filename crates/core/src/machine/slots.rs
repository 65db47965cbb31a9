//! Where a shard keeps its open sessions: slots in chunks of fixed size, so that growing never moves what is there.

use super::sites::HostIndex;
use super::wheel::{Linked, NONE};
use crate::ids::{Lsn, VisitId};
use crate::session::Session;

/// An open session, and where its chain and its place on the wheel are.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) session: Session,
    /// The first record of its chain: what holds the journal's segments back. [`Lsn::NONE`]: the slot is free.
    pub(super) first: Lsn,
    /// The newest record of its chain.
    pub(super) last: Lsn,
    /// Neighbours on the wheel.
    next: u32,
    prev: u32,
    /// Its place on the wheel.
    spoke: u16,
    pub(super) host: HostIndex,
    /// Its rules, by index.
    pub(super) rules: u16,
}

/// Where a session's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The session.
    pub visit: VisitId,
    /// Its first record.
    pub first: Lsn,
    /// Its newest record.
    pub last: Lsn,
    /// Events in it.
    pub events: u16,
}

impl Slot {
    pub(super) const fn new(session: Session, chain: &Chain, host: HostIndex, rules: u16) -> Self {
        Self { session, first: chain.first, last: chain.last, next: NONE, prev: NONE, spoke: 0, host, rules }
    }

    pub(super) const fn chain(&self) -> Chain {
        Chain { visit: self.session.visit, first: self.first, last: self.last, events: self.session.events }
    }

    /// Its place on the wheel.
    pub(super) const fn spoke(&self) -> u16 {
        self.spoke
    }

    /// Its neighbour on the wheel.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// Its neighbour on the wheel.
    pub(super) const fn prev(&self) -> u32 {
        self.prev
    }
}

/// All slots of a shard.
#[derive(Debug, Default)]
pub(super) struct Slots {
    chunks: Vec<Vec<Slot>>,
    free: Vec<u32>,
}

pub(super) const CHUNK: usize = 1_024;

impl Slots {
    pub(super) fn at(&self, index: u32) -> &Slot {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(super) fn at_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        if let Some(index) = self.free.pop() {
            *self.at_mut(index) = slot;
            return index;
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(slot),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(slot);
                self.chunks.push(chunk);
            }
        }
        (self.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, index: u32) {
        let slot = self.at_mut(index);
        slot.session.data = None;
        slot.first = Lsn::NONE;
        self.free.push(index);
    }

    /// Slots, free ones included.
    pub(super) fn len(&self) -> usize {
        self.chunks.len().saturating_sub(1) * CHUNK + self.chunks.last().map_or(0, Vec::len)
    }

    /// Pages of slots.
    pub(super) fn pages(&self) -> usize {
        self.chunks.len()
    }

    /// The slots of a page that a session is in.
    pub(super) fn page(&self, page: usize) -> impl Iterator<Item = u32> + '_ {
        let slots = self.chunks.get(page).into_iter().flatten();
        slots.zip((page * CHUNK) as u32..).filter(|(slot, _)| slot.first.is_some()).map(|(_, index)| index)
    }

    /// The slot at an index, if a session is in it.
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        let slot = self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)?;
        slot.first.is_some().then_some(slot)
    }
}

impl Linked for Slots {
    fn links(&mut self, index: u32) -> (&mut u32, &mut u32, &mut u16) {
        let slot = self.at_mut(index);
        (&mut slot.next, &mut slot.prev, &mut slot.spoke)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_small() {
        // 1,000,000 open sessions are to fit 200 bytes each, table and wheel included.
        assert!(size_of::<Slot>() <= 88, "{}", size_of::<Slot>());
    }
}
