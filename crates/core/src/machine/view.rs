//! Open sessions, looked at.

use std::sync::Arc;

use super::shard::Shard;
use super::sites::HostIndex;
use super::slots::{CHUNK, Chain};
use super::tombstones::Tombstone;
use super::wheel::NONE;
use crate::ids::{Fingerprint, Lsn, VisitId};
use crate::ports::SessionData;
use crate::time::Timestamp;

/// An open session, as the shard knows it.
#[derive(Debug, Clone)]
pub struct Open {
    /// Where its chain stands.
    pub chain: Chain,
    /// Its last activity.
    pub last_seen: Timestamp,
    /// Its last activity that the journal knows.
    pub journaled: Timestamp,
    /// Whether the cookie came back.
    pub confirmed: bool,
    /// Whether it is shared by clients of one fingerprint.
    pub shared: bool,
    /// The fingerprint that it counts under.
    pub fingerprint: Fingerprint,
    /// Its host.
    pub host: HostIndex,
    /// Whether its user may have only one session.
    pub single_login: bool,
    /// When its token was last changed, in seconds since 1970; 0 if never.
    pub rotated_at_s: u32,
    /// User and values.
    pub data: Arc<SessionData>,
    /// Requests under way in it.
    pub in_flight: u16,
    /// Events so far.
    pub events: u16,
    /// When it is due, if nothing more happens.
    pub deadline: Timestamp,
}

impl Shard {
    /// An open session.
    pub fn get(&self, visit: VisitId) -> Option<Open> {
        self.find(visit).map(|index| self.open_at(index))
    }

    /// An open session's chain.
    pub fn chain(&self, visit: VisitId) -> Option<Chain> {
        self.find(visit).map(|index| self.slots.at(index).chain())
    }

    pub(super) fn open_at(&self, index: u32) -> Open {
        let slot = self.slots.at(index);
        let session = &slot.session;
        Open {
            chain: slot.chain(),
            last_seen: session.last_seen,
            journaled: session.journaled(),
            confirmed: session.flags.confirmed(),
            shared: session.flags.shared(),
            fingerprint: session.fingerprint,
            host: slot.host,
            single_login: self.rules(index).single_login,
            rotated_at_s: session.rotated_at_s,
            data: session.data.clone().unwrap_or_default(),
            in_flight: session.in_flight,
            events: session.events,
            deadline: self.deadline(index).0,
        }
    }

    /// All open sessions, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = Open> + '_ {
        self.indexes().map(|index| self.open_at(index))
    }

    /// The chains of all open sessions.
    pub fn chains(&self) -> impl Iterator<Item = Chain> + '_ {
        self.indexes().map(|index| self.slots.at(index).chain())
    }

    /// How many pages of sessions there are. A session stays in the page that it started in: who wants to see all
    /// that were open when he began, and holds the shard for a page at a time, misses none.
    pub fn pages(&self) -> usize {
        self.slots.pages()
    }

    /// The open sessions of a page, in no order; at most 1,024.
    pub fn page(&self, page: usize) -> impl Iterator<Item = Open> + '_ {
        self.slots.page(page).map(|index| self.open_at(index))
    }

    /// The places of a page that are taken, in order.
    pub(super) fn places(&self, page: usize) -> impl Iterator<Item = u32> + '_ {
        self.slots.page(page)
    }

    /// The page of a place, and the first place of the page behind it.
    pub(super) const fn page_of(&self, place: u32) -> (usize, u32) {
        let page = place as usize / CHUNK;
        (page, ((page + 1) * CHUNK) as u32)
    }

    /// Their chains.
    pub fn chains_of_page(&self, page: usize) -> impl Iterator<Item = Chain> + '_ {
        self.slots.page(page).map(|index| self.slots.at(index).chain())
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.slots.pages()).flat_map(|page| self.slots.page(page))
    }

    /// Finally ended sessions that are remembered.
    pub fn tombstones(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.tombs.iter()
    }

    /// Forgets that these visits have ended: they are erased.
    pub fn forget_tombstones(&mut self, is_erased: impl Fn(VisitId) -> bool) {
        self.tombs.retain(|visit| !is_erased(visit));
    }

    /// A session's chain was carried forward: its records now begin at `first` and end at `last`. Refused when the
    /// session has ended or got another record since `before`.
    pub fn relink(&mut self, before: Chain, first: Lsn, last: Lsn) -> bool {
        match self.find(before.visit) {
            Some(index) if self.slots.at(index).last == before.last => {
                self.link(index, first, last);
                true
            }
            _ => false,
        }
    }

    pub(super) fn link(&mut self, index: u32, first: Lsn, last: Lsn) {
        let slot = self.slots.at_mut(index);
        (slot.first, slot.last) = (first, last);
    }

    /// Whether every session sits once on the wheel; see [`crate::invariants::check_shard`].
    pub(crate) fn check_wheel(&self) -> Result<(), String> {
        let mut seated = 0;
        for &first in self.wheel.slots() {
            let (mut index, mut prev) = (first, NONE);
            while index != NONE {
                let slot = self.slots.at(index);
                if slot.prev() != prev || self.find(slot.session.visit) != Some(index) {
                    return Err(format!("session {} is linked wrongly on the wheel", slot.session.visit));
                }
                seated += 1;
                (prev, index) = (index, slot.next());
            }
        }
        if seated == self.table.len() {
            Ok(())
        } else {
            Err(format!("{} sessions are open, {seated} sit on the wheel", self.table.len()))
        }
    }

    /// Whether what is kept beside the table agrees with it.
    pub(crate) fn check_counts(&self) -> Result<(), String> {
        let counts = |&index: &u32| self.provisional.counts(self.slots.at(index).session.flags);
        let provisional = self.indexes().filter(counts).count();
        if provisional != self.provisional.len() {
            return Err(format!("{provisional} sessions are provisional, {} are counted", self.provisional.len()));
        }
        Ok(())
    }
}
