//! The open sessions of some partitions, and what becomes of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;

use super::head::Head;
use super::rejoin::{Rejoin, Tombstone, Tombstones};
use super::restore::Carrying;
use super::sites::HostIndex;
use super::wheel::{Linked, NONE, Wheel};
use super::{Closed, Effects, Mutations};
use crate::ids::{Fingerprint, Host, Lsn, VisitId};
use crate::limits;
use crate::model::{End, EndReason, Entry};
use crate::ports::{Arrival, Live, SessionData, Ticket, Token};
use crate::rules::SiteRules;
use crate::time::Timestamp;

/// How a shard is set up.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// How often the wheel moves: ends are late by at most this, plus the sweep's lag.
    pub tick: Duration,
    /// Open sessions in this shard; one more evicts another.
    pub open_max: usize,
    /// The rules; a session knows its own by index. There is at least one.
    pub rules: Arc<[SiteRules]>,
    /// Which rules a host's sessions follow; others follow the first.
    pub rules_by_host: Arc<[(Host, u8)]>,
    /// For the mutation check.
    pub mutations: Mutations,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            open_max: limits::OPEN_SESSIONS_MAX,
            rules: Arc::new([SiteRules::default()]),
            rules_by_host: Arc::new([]),
            mutations: Mutations::default(),
        }
    }
}

impl ShardConfig {
    pub(super) fn rules_of(&self, host: &Host) -> u8 {
        self.rules_by_host.iter().find(|(named, _)| named == host).map_or(0, |(_, rules)| *rules)
    }
}

/// Open sessions, the wheel that ends them, and what their old tokens may still do.
#[derive(Debug)]
pub struct Shard {
    pub(super) config: ShardConfig,
    pub(super) heads: Heads,
    pub(super) table: HashTable<u32>,
    pub(super) wheel: Wheel,
    pub(super) rejoin: Rejoin,
    pub(super) tombs: Tombstones,
    /// Sessions in the order of their starts, to evict unconfirmed ones first.
    pub(super) provisional: VecDeque<VisitId>,
    pub(super) nothing: Arc<SessionData>,
    /// Chains whose carried copies recovery is reading.
    pub(super) carrying: HashMap<VisitId, Carrying>,
}

/// What a shard makes of an arrival.
#[derive(Debug, Clone)]
pub enum Arrived {
    /// It belongs to a live session.
    Live(Live),
    /// It belongs to none; a session of the token's visitor may start.
    Known,
    /// Its token is outdated: a stranger, who gets a visitor of his own.
    Stranger,
}

/// How much one turn of [`Shard::tick`] may do before it lets go of the shard.
#[derive(Debug, Clone, Copy)]
pub struct TickBudget {
    /// Sessions ended.
    pub ends: usize,
    /// Sessions looked at.
    pub looks: usize,
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticked {
    /// Sessions ended.
    pub ended: usize,
    /// Whether there is more to do now.
    pub more: bool,
    /// How far behind the wheel is.
    pub lag: Duration,
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

/// Heads in fixed-size chunks, so that growing never moves what is there.
#[derive(Debug, Default)]
pub(super) struct Heads {
    chunks: Vec<Vec<Head>>,
    free: Vec<u32>,
}

const CHUNK: usize = 1_024;

impl Heads {
    pub(super) fn at(&self, index: u32) -> &Head {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(super) fn at_mut(&mut self, index: u32) -> &mut Head {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    fn insert(&mut self, head: Head) -> u32 {
        if let Some(index) = self.free.pop() {
            *self.at_mut(index) = head;
            return index;
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(head),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(head);
                self.chunks.push(chunk);
            }
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        (full + self.chunks.last().map_or(0, Vec::len) - 1) as u32
    }

    fn remove(&mut self, index: u32) {
        let head = self.at_mut(index);
        // Every open one has a newest record: what has none is free.
        (head.data, head.last) = (None, Lsn::NONE);
        self.free.push(index);
    }

    /// The sessions of a chunk.
    fn chunk(&self, chunk: usize) -> impl Iterator<Item = (u32, &Head)> {
        let heads = self.chunks.get(chunk).into_iter().flatten();
        heads.zip((chunk * CHUNK) as u32..).filter(|(head, _)| head.last.is_some()).map(|(head, index)| (index, head))
    }
}

impl Linked for Heads {
    fn links(&mut self, index: u32) -> (&mut u32, &mut u32, &mut u16) {
        let head = self.at_mut(index);
        (&mut head.next, &mut head.prev, &mut head.slot)
    }
}

impl Shard {
    /// An empty shard.
    pub fn new(config: ShardConfig) -> Self {
        Self {
            wheel: Wheel::new(config.tick),
            config,
            heads: Heads::default(),
            table: HashTable::new(),
            rejoin: Rejoin::default(),
            tombs: Tombstones::default(),
            provisional: VecDeque::new(),
            nothing: Arc::default(),
            carrying: HashMap::new(),
        }
    }

    /// Open sessions.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn find(&self, visit: VisitId) -> Option<u32> {
        self.table.find(visit.hash_bits(), |&index| self.heads.at(index).visit == visit).copied()
    }

    pub(super) fn rules(&self, index: u32) -> &SiteRules {
        let rules = usize::from(self.heads.at(index).rules);
        self.config.rules.get(rules).unwrap_or(&self.config.rules[0])
    }

    pub(super) fn data(&self, index: u32) -> Arc<SessionData> {
        self.heads.at(index).data.clone().unwrap_or_else(|| self.nothing.clone())
    }

    /// Puts a session in the table and on the wheel.
    pub(super) fn insert(&mut self, head: Head, now: Timestamp) -> u32 {
        let visit = head.visit;
        if !head.flags.confirmed() && !head.flags.shared() {
            self.forget_confirmed();
            if self.provisional.len() > 2 * self.table.len() + CHUNK {
                let (table, heads) = (&self.table, &self.heads);
                self.provisional
                    .retain(|&visit| table.find(visit.hash_bits(), |&index| heads.at(index).visit == visit).is_some());
            }
            self.provisional.push_back(visit);
        }
        let index = self.heads.insert(head);
        let heads = &self.heads;
        self.table.insert_unique(visit.hash_bits(), index, |&other| heads.at(other).visit.hash_bits());
        let deadline = self.deadline(index).0;
        self.wheel.arm(&mut self.heads, index, deadline, now);
        index
    }

    /// Takes a session out of the table and off the wheel.
    pub(super) fn remove(&mut self, index: u32) {
        let visit = self.heads.at(index).visit;
        if let Ok(entry) = self.table.find_entry(visit.hash_bits(), |&other| other == index) {
            entry.remove();
        }
        self.wheel.disarm(&mut self.heads, index);
        self.heads.remove(index);
    }

    /// When a session is due if nothing more happens, and why. A request in flight holds off idle expiry only.
    pub(super) fn deadline(&self, index: u32) -> (Timestamp, EndReason) {
        let head = self.heads.at(index);
        let rules = self.rules(index);
        let oldest = head.visit.started_at().after(rules.max_age);
        let idle = head.last_seen.after(rules.idle_timeout);
        if head.in_flight == 0 && idle < oldest { (idle, EndReason::Expired) } else { (oldest, EndReason::MaxAge) }
    }

    /// Who is it? Ends the session of the token if it is overdue, confirms it if it lives, and holds off its idle
    /// expiry unless the request is passive. The token must be in this shard's partitions.
    pub fn arrive(&mut self, now: Timestamp, token: &Token, arrival: &Arrival, fx: &mut impl Effects) -> Arrived {
        let found =
            token.visit.and_then(|visit| self.find(visit)).filter(|&index| !self.end_if_overdue(index, now, fx));
        let (index, current) = match found {
            Some(index) => match self.rotation_of(index, token, now) {
                Some(current) => (index, current),
                None => return Arrived::Stranger,
            },
            None => match self.twin(token, arrival.fingerprint, now) {
                Some(index) if !self.end_if_overdue(index, now, fx) => (index, true),
                _ => return Arrived::Known,
            },
        };
        if found.is_some() {
            self.confirm(index, now, arrival, fx);
        }
        let data = self.data(index);
        let head = self.heads.at_mut(index);
        if !arrival.passive {
            head.in_flight = head.in_flight.saturating_add(1);
        }
        let visit = head.visit;
        let ticket = (!arrival.passive).then_some(Ticket { visit });
        let data = if current { data } else { self.nothing.clone() };
        Arrived::Live(Live { visit, current, data, ticket })
    }

    /// The session that the token of an expired one, or one without a visit, started a moment ago.
    pub(super) fn twin(&mut self, token: &Token, fingerprint: crate::ids::Fingerprints, now: Timestamp) -> Option<u32> {
        if token.visit.is_some_and(|visit| self.tombs.contains(visit)) {
            return None;
        }
        let index = self.rejoin.find(token, fingerprint, now).and_then(|visit| self.find(visit))?;
        // Once it has logged in, only its own token opens it.
        (self.heads.at(index).rotation == 0).then_some(index)
    }

    pub(super) fn end_if_overdue(&mut self, index: u32, now: Timestamp, fx: &mut impl Effects) -> bool {
        let (deadline, reason) = self.deadline(index);
        let overdue = now > deadline;
        if overdue {
            self.end(index, reason, now, fx);
        }
        overdue
    }

    /// Whether a token is current (`true`) or of the rotation before, in its grace (`false`). A newer one than the
    /// shard knows was ours before a crash took the rotation back: it is current.
    fn rotation_of(&mut self, index: u32, token: &Token, now: Timestamp) -> Option<bool> {
        let head = self.heads.at_mut(index);
        if token.rotation >= head.rotation {
            head.rotation = token.rotation;
            return Some(true);
        }
        let since_s = now.secs().saturating_sub(i64::from(head.rotated_at_s));
        let in_grace = since_s <= limits::ROTATION_GRACE.as_secs() as i64;
        (in_grace && token.rotation + 1 == head.rotation).then_some(false)
    }

    fn confirm(&mut self, index: u32, now: Timestamp, arrival: &Arrival, fx: &mut impl Effects) {
        let head = self.heads.at_mut(index);
        if head.flags.confirmed() {
            return;
        }
        head.flags.confirm(false);
        head.host = fx.confirmed(head.visit, head.fingerprint, head.host, &arrival.host);
        if arrival.passive {
            self.append(index, &Entry::Touch { at: now, slides: false }, fx);
        }
    }

    /// Appends a record to a session's chain.
    pub(super) fn append(&mut self, index: u32, entry: &Entry, fx: &mut impl Effects) -> Lsn {
        let head = self.heads.at_mut(index);
        let confirms = head.flags.take_unsaid();
        let chain = head.chain();
        let lsn = fx.append(chain, confirms, entry);
        if !head.first.is_some() {
            head.first = lsn;
        }
        head.last = lsn;
        lsn
    }

    /// A request that began will not be committed.
    pub fn release(&mut self, visit: VisitId, now: Timestamp) {
        if let Some(index) = self.find(visit) {
            let head = self.heads.at_mut(index);
            head.in_flight = head.in_flight.saturating_sub(1);
            self.rearm_if_released(index, now);
        }
    }

    /// Arms a session for its idle deadline, if no request holds that off any more: one that was looked at meanwhile
    /// would be looked at again only an idle timeout later. While another request does, it must stay where it is.
    pub(super) fn rearm_if_released(&mut self, index: u32, now: Timestamp) {
        if self.heads.at(index).in_flight == 0 {
            self.rearm(index, now);
        }
    }

    pub(super) fn rearm(&mut self, index: u32, now: Timestamp) {
        self.wheel.disarm(&mut self.heads, index);
        let deadline = self.deadline(index).0;
        self.wheel.arm(&mut self.heads, index, deadline, now);
    }

    /// Ends a session, if it lives. Returns the position of its `End`.
    pub fn terminate(
        &mut self,
        visit: VisitId,
        reason: EndReason,
        now: Timestamp,
        fx: &mut impl Effects,
    ) -> Option<Lsn> {
        let index = self.find(visit)?;
        Some(self.end(index, reason, now, fx))
    }

    /// The one place where sessions end.
    pub(super) fn end(&mut self, index: u32, reason: EndReason, now: Timestamp, fx: &mut impl Effects) -> Lsn {
        let late_us = match reason {
            EndReason::Expired | EndReason::MaxAge => now.since(self.deadline(index).0).as_micros() as u64,
            _ => 0,
        };
        let data = self.data(index);
        let head = self.heads.at(index);
        let visit = head.visit;
        let (first, identity, confirmed) = (head.first, head.identity(), head.flags.confirmed());
        let fingerprint = head.fingerprint;
        let max_age = self.rules(index).max_age;
        let entry = Entry::End(Box::new(End {
            reason,
            ended_at: head.journaled,
            closed_at: now,
            site: fx.site(head.host),
            confirmed,
            user: data.user.clone(),
            values: data.values.clone(),
        }));
        let end = self.append(index, &entry, fx);
        if self.config.mutations.end_once() {
            self.remove(index);
        } else {
            self.rearm(index, now);
        }
        if reason.bars_rejoin() {
            self.tombs.add(Tombstone { visit, reason, closed_at: now, until: now.after(max_age) });
        }
        if let Some(user) = &data.user {
            fx.logged_out(visit, user);
        }
        fx.ended(Closed { visit, reason, late_us, first, end, identity, confirmed, fingerprint });
        end
    }

    /// Ends what is due, within the budget.
    pub fn tick(&mut self, now: Timestamp, budget: TickBudget, fx: &mut impl Effects) -> Ticked {
        let (mut ended, mut looked) = (0, 0);
        while let Some(index) = self.wheel.next_passed(now) {
            if looked == budget.looks {
                return Ticked { ended, more: true, lag: self.wheel.lag(now) };
            }
            looked += 1;
            let (deadline, reason) = self.deadline(index);
            if now > deadline {
                if ended == budget.ends {
                    return Ticked { ended, more: true, lag: self.wheel.lag(now) };
                }
                self.end(index, reason, now, fx);
                ended += 1;
            } else {
                self.look_again(index, deadline, now);
            }
        }
        Ticked { ended, more: false, lag: Duration::ZERO }
    }

    /// Arms a session that is not due. While a request is in flight its idle deadline is unknown: look again after
    /// one more idle timeout, before which it can't be due.
    fn look_again(&mut self, index: u32, deadline: Timestamp, now: Timestamp) {
        let again = match self.heads.at(index).in_flight {
            0 => deadline,
            _ => deadline.min(now.after(self.rules(index).idle_timeout)),
        };
        self.wheel.disarm(&mut self.heads, index);
        self.wheel.arm(&mut self.heads, index, again.max(now), now);
    }

    /// Makes room for one more session: an unconfirmed one goes first, else the one that is looked at next.
    pub(super) fn make_room(&mut self, now: Timestamp, fx: &mut impl Effects) {
        while self.table.len() >= self.config.open_max.max(1) {
            match self.oldest_provisional().or_else(|| self.wheel.first()) {
                Some(index) => self.end(index, EndReason::Evicted, now, fx),
                None => break,
            };
        }
    }

    /// Takes those off the front of the queue that are confirmed or have ended: mostly all, for browsers confirm at once.
    fn forget_confirmed(&mut self) {
        while let Some(&visit) = self.provisional.front() {
            if self.find(visit).is_some_and(|index| !self.heads.at(index).flags.confirmed()) {
                break;
            }
            self.provisional.pop_front();
        }
    }

    fn oldest_provisional(&mut self) -> Option<u32> {
        self.forget_confirmed();
        self.provisional.front().and_then(|&visit| self.find(visit))
    }

    /// Whether a session is open.
    pub fn knows(&self, visit: VisitId) -> bool {
        self.find(visit).is_some()
    }

    /// An open session.
    pub fn get(&self, visit: VisitId) -> Option<Open> {
        self.find(visit).map(|index| self.open(index))
    }

    fn open(&self, index: u32) -> Open {
        let head = self.heads.at(index);
        Open {
            chain: head.chain(),
            last_seen: head.last_seen,
            journaled: head.journaled,
            confirmed: head.flags.confirmed(),
            shared: head.flags.shared(),
            fingerprint: head.fingerprint,
            host: head.host,
            single_login: self.rules(index).single_login,
            rotated_at_s: head.rotated_at_s,
            data: self.data(index),
            in_flight: head.in_flight,
            events: head.events,
            deadline: self.deadline(index).0,
        }
    }

    /// All open sessions, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Open> + '_ {
        self.table.iter().map(|&index| self.open(index))
    }

    /// The chains of all open sessions, in no order.
    pub fn chains(&self) -> impl Iterator<Item = Chain> + '_ {
        self.table.iter().map(|&index| self.heads.at(index).chain())
    }

    /// How many pages of sessions there are. A session stays in the page that it started in: who wants to see all
    /// that were open when he began, and holds the shard for a page at a time, misses none.
    pub fn pages(&self) -> usize {
        self.heads.chunks.len()
    }

    /// The open sessions of a page, in no order; at most 1,024.
    pub fn page(&self, page: usize) -> impl Iterator<Item = Open> + '_ {
        self.heads.chunk(page).map(|(index, _)| self.open(index))
    }

    /// Their chains.
    pub fn chains_of_page(&self, page: usize) -> impl Iterator<Item = Chain> + '_ {
        self.heads.chunk(page).map(|(_, head)| head.chain())
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
            Some(index) if self.heads.at(index).last == before.last => {
                let head = self.heads.at_mut(index);
                (head.first, head.last) = (first, last);
                true
            }
            _ => false,
        }
    }

    /// Whether every session sits once on the wheel; see [`crate::invariants::check_shard`].
    pub(crate) fn check_wheel(&self) -> Result<(), String> {
        let mut seated = 0;
        for &first in self.wheel.slots() {
            let (mut index, mut prev) = (first, NONE);
            while index != NONE {
                let head = self.heads.at(index);
                if head.prev != prev || self.find(head.visit) != Some(index) {
                    return Err(format!("session {} is linked wrongly on the wheel", head.visit));
                }
                seated += 1;
                (prev, index) = (index, head.next);
            }
        }
        if seated == self.table.len() {
            Ok(())
        } else {
            Err(format!("{} sessions are open, {seated} sit on the wheel", self.table.len()))
        }
    }
}

impl Mutations {
    pub(super) fn end_once(self) -> bool {
        #[cfg(feature = "mutations")]
        return !self.no_end_once;
        #[cfg(not(feature = "mutations"))]
        true
    }

    pub(super) fn gone_rule(self) -> bool {
        #[cfg(feature = "mutations")]
        return !self.no_gone_rule;
        #[cfg(not(feature = "mutations"))]
        true
    }

    pub(super) fn touch_padding(self) -> bool {
        #[cfg(feature = "mutations")]
        return !self.no_touch_padding;
        #[cfg(not(feature = "mutations"))]
        true
    }
}
