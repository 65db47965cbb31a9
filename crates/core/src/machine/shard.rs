//! The open sessions of some partitions: a table and a wheel around the rules of [`crate::session`].

use hashbrown::HashTable;

use super::config::ShardConfig;
use super::counts::{BudgetUse, add};
use super::effects::{Effects, Log};
use super::holds::{Holds, Replies};
use super::landings::Landings;
use super::provisional::Provisional;
use super::rejoin::{Rejoin, Twin};
use super::sites::HostIndex;
use super::slots::{Chain, Slot, Slots};
use super::tombstones::{Tombstone, Tombstones};
use super::unsettled::Unsettled;
use super::wheel::Wheel;
use crate::ids::{Host, Lsn, VisitId};
use crate::model::{EndReason, Entry};
use crate::rules::SiteRules;
use crate::session::{Change, Decision, Ended, Fate, Record, Rules, Session};
use crate::time::Timestamp;

/// Open sessions, the wheel that ends them, and what their old tokens may still do.
#[derive(Debug)]
pub struct Shard {
    pub(super) config: ShardConfig,
    pub(super) slots: Slots,
    pub(super) table: HashTable<u32>,
    pub(super) wheel: Wheel,
    pub(super) rejoin: Rejoin,
    pub(super) tombs: Tombstones,
    pub(super) provisional: Provisional,
    pub(super) holds: Holds,
    pub(super) replies: Replies,
    pub(super) landings: Landings,
    /// What a recovery has seen of events that go along.
    pub(super) unsettled: Unsettled,
    /// To be used again.
    decision: Decision,
}

/// What a decision is carried out with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) now: Timestamp,
    /// The host that the request named, if it was one.
    pub(super) host: Option<&'a Host>,
    /// That host's place and rules, for a session that starts.
    pub(super) at: HostIndex,
    pub(super) rules: u16,
}

impl<'a> Asked<'a> {
    /// No request asked: time, or an admin.
    pub(super) const fn nobody(now: Timestamp) -> Self {
        Self { now, host: None, at: HostIndex::OTHER, rules: 0 }
    }

    /// A request asked, which can't start a session.
    pub(super) const fn for_host(now: Timestamp, host: &'a Host) -> Self {
        Self { now, host: Some(host), at: HostIndex::OTHER, rules: 0 }
    }
}

impl Shard {
    /// An empty shard. The budget in the configuration is its share.
    pub fn new(config: ShardConfig) -> Self {
        Self {
            slots: Slots::default(),
            table: HashTable::new(),
            wheel: Wheel::new(config.tick),
            rejoin: Rejoin::new(config.budget.provisional),
            tombs: Tombstones::new(config.budget.tombstones),
            provisional: Provisional::new(config.cookies),
            holds: Holds::default(),
            replies: Replies::default(),
            landings: Landings::default(),
            unsettled: Unsettled::default(),
            decision: Decision::default(),
            config,
        }
    }

    /// Open sessions.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Adds how much of each limit this shard uses.
    pub(super) fn add_used(&self, used: &mut BudgetUse) {
        used.open_sessions += self.table.len();
        used.provisional += self.provisional.len();
        used.tombstones += self.tombs.len();
    }

    /// Entries of all its tables, queues and lists, those included that are free or wait to be cleared away.
    pub(super) fn entries(&self) -> usize {
        let Self { slots, provisional, tombs, rejoin, holds, landings, .. } = self;
        slots.len() + provisional.entries() + tombs.len() + rejoin.entries() + holds.entries() + landings.entries()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn find(&self, visit: VisitId) -> Option<u32> {
        self.table.find(visit.hash_bits(), |&index| self.slots.at(index).session.visit == visit).copied()
    }

    pub(super) fn rules(&self, index: u32) -> &SiteRules {
        self.config.rules(self.slots.at(index).rules)
    }

    /// When a session is due if nothing more happens, and why.
    pub(super) fn deadline(&self, index: u32) -> (Timestamp, EndReason) {
        self.slots.at(index).session.deadline(self.rules(index))
    }

    /// Puts a session in the table and on the wheel.
    pub(super) fn insert(&mut self, slot: Slot, now: Timestamp) -> u32 {
        let (visit, flags) = (slot.session.visit, slot.session.flags);
        let index = self.slots.insert(slot);
        if self.provisional.counts(flags) {
            self.provisional.push(index, visit, &self.slots);
        }
        let slots = &self.slots;
        self.table.insert_unique(visit.hash_bits(), index, |&other| slots.at(other).session.visit.hash_bits());
        let deadline = self.deadline(index).0;
        self.wheel.arm(&mut self.slots, index, deadline, now);
        index
    }

    /// Takes a session out of the table and off the wheel.
    pub(super) fn remove(&mut self, index: u32) {
        let session = &self.slots.at(index).session;
        let visit = session.visit;
        self.provisional.left(session.flags);
        if let Ok(entry) = self.table.find_entry(visit.hash_bits(), |&other| other == index) {
            entry.remove();
        }
        self.wheel.disarm(&mut self.slots, index);
        self.slots.remove(index);
    }

    pub(super) fn rearm(&mut self, index: u32, now: Timestamp) {
        let deadline = self.deadline(index).0;
        self.rearm_at(index, deadline, now);
    }

    pub(super) fn rearm_at(&mut self, index: u32, deadline: Timestamp, now: Timestamp) {
        self.wheel.disarm(&mut self.slots, index);
        self.wheel.arm(&mut self.slots, index, deadline, now);
    }

    /// Decides about a session by one of the rules, and carries out what was decided.
    pub(super) fn decide<L: Log, R>(
        &mut self,
        index: u32,
        asked: &Asked<'_>,
        fx: &mut Effects<'_, L>,
        rule: impl FnOnce(&mut Session, Rules<'_>, &mut Decision) -> R,
    ) -> R {
        let Self { slots, config, decision, .. } = self;
        let slot = slots.at_mut(index);
        let rules = Rules { session: config.rules(slot.rules), host: config.rules(asked.rules) };
        let was_provisional = slot.session.flags;
        let reply = rule(&mut slot.session, rules, decision);
        if !decision.records.is_empty() || !decision.changes.is_empty() {
            if was_provisional != slot.session.flags && !self.provisional.counts(slot.session.flags) {
                self.provisional.left(was_provisional);
            }
            self.carry_out(index, asked, fx);
        }
        reply
    }

    /// Carries out what was decided about the session in a slot.
    fn carry_out<L: Log>(&mut self, index: u32, asked: &Asked<'_>, fx: &mut Effects<'_, L>) {
        let slot = self.slots.at(index);
        let (mut chain, host) = (slot.chain(), slot.host);
        let fate = std::mem::take(&mut self.decision.fate);
        fx.log.decided(&slot.session, host, asked.now, self.decision.records_of(chain.visit));
        self.append(&mut chain, host, fx);
        if !self.decision.changes.is_empty() {
            self.change(Some(index), asked, fx);
        }
        match fate {
            Fate::Lives => {
                let slot = self.slots.at_mut(index);
                (slot.first, slot.last) = (chain.first, chain.last);
            }
            Fate::Ended => self.ended(index, &chain, asked.now),
            Fate::Followed { by, ended } => {
                self.ended(index, &chain, asked.now);
                self.follow(*by, ended, asked, fx);
            }
        }
        self.decision.clear();
    }

    /// Carries out what was decided about a session that starts.
    pub(super) fn open<L: Log>(
        &mut self,
        asked: &Asked<'_>,
        fx: &mut Effects<'_, L>,
        start: impl FnOnce(Rules<'_>, &mut Decision) -> (Session, crate::ports::Committed),
    ) -> crate::ports::Committed {
        let Self { config, decision, .. } = self;
        let (session, committed) = start(Rules::same(config.rules(asked.rules)), decision);
        let fate = std::mem::take(&mut self.decision.fate);
        match fate {
            Fate::Lives => self.follow(session, false, asked, fx),
            Fate::Ended => self.follow(session, true, asked, fx),
            Fate::Followed { by, ended } => {
                self.follow(session, true, asked, fx);
                self.follow(*by, ended, asked, fx);
            }
        }
        self.change(None, asked, fx);
        self.decision.clear();
        committed
    }

    /// A session starts, and has perhaps ended already.
    fn follow<L: Log>(&mut self, session: Session, ended: bool, asked: &Asked<'_>, fx: &mut Effects<'_, L>) {
        let mut chain = Chain { visit: session.visit, first: Lsn::NONE, last: Lsn::NONE, events: session.events };
        fx.log.decided(&session, asked.at, asked.now, self.decision.records_of(chain.visit));
        self.append(&mut chain, asked.at, fx);
        if !ended {
            self.insert(Slot::new(session, &chain, asked.at, asked.rules), asked.now);
        }
    }

    /// Appends what was decided for one chain.
    fn append<L: Log>(&mut self, chain: &mut Chain, host: HostIndex, fx: &mut Effects<'_, L>) {
        let own = self.decision.records_of(chain.visit).len();
        let records = &mut self.decision.records;
        // In place: an entry is too large to be moved about.
        for Record { confirms, entry, .. } in &mut records[..own] {
            if let Entry::End(end) = entry {
                end.site = fx.indexes.read_sites(|sites| sites.name(host).into());
            }
            fx.append(chain, *confirms, entry);
        }
        records.drain(..own);
    }

    fn ended(&mut self, index: u32, chain: &Chain, now: Timestamp) {
        if self.config.mutations.end_once() {
            self.remove(index);
        } else {
            self.slots.at_mut(index).last = chain.last;
            self.rearm(index, now);
        }
    }

    /// Tells the indexes.
    fn change<L: Log>(&mut self, index: Option<u32>, asked: &Asked<'_>, fx: &mut Effects<'_, L>) {
        let Self { slots, rejoin, tombs, decision, .. } = self;
        let indexes = fx.indexes;
        for change in decision.changes.drain(..) {
            match change {
                Change::Confirmed { visit, fingerprint } => {
                    if let (Some(index), Some(host)) = (index, asked.host) {
                        let slot = slots.at_mut(index);
                        slot.host = indexes.confirmed(fingerprint, visit, slot.host, host, asked.now);
                    }
                }
                Change::LoggedIn { visit, user, single } => {
                    indexes.logged_in(visit, &user, single, &mut fx.superseded);
                }
                Change::LoggedOut { visit, user } => indexes.logged_out(visit, &user),
                Change::Renewed { token, visit, visitor, fingerprint, at } => {
                    if token.visit.is_none_or(|visit| !tombs.contains(visit)) {
                        rejoin.started(token.mark(), Twin { visit, visitor: Some(visitor) }, fingerprint, at);
                    }
                }
                Change::Ended(ended) => {
                    let Ended { visit, reason, closed_at, .. } = ended;
                    if let Some(until) = ended.barred_until {
                        let confirmed = ended.confirmed;
                        let forgotten = tombs.add(Tombstone { visit, reason, closed_at, until, confirmed });
                        add(&indexes.counters.tombstones_forgotten, forgotten);
                    }
                    if !ended.confirmed {
                        let evicted = reason == EndReason::Evicted;
                        indexes.ended(ended.fingerprint, visit, evicted, closed_at);
                    }
                    fx.log.ended(&ended);
                }
            }
        }
    }
}
