//! The indexes beside the shards, each in parts under locks of their own. A shard may be held while one of them is
//! taken, never the other way round, and never two of them at once.

use std::hash::BuildHasher;
use std::sync::PoisonError;

use hashbrown::DefaultHashBuilder;

use super::config::Budget;
use super::cookieless::{Admission, Applicant, Cookieless};
use super::counts::{BudgetCounters, BudgetCounts, BudgetUse, add};
use super::sites::{HostIndex, Sites};
use super::users::Users;
use crate::ids::{Fingerprint, Fingerprints, Host, VisitId};
use crate::model::UserId;
use crate::sync::{Mutex, MutexGuard, RwLock};
use crate::time::Timestamp;

/// Parts of the index by fingerprint, and of that by user.
const PARTS: usize = 16;

/// What is known across sessions.
#[derive(Debug)]
pub(super) struct Indexes {
    cookieless: Box<[Mutex<Cookieless>]>,
    users: Box<[Mutex<Users>]>,
    by_user: DefaultHashBuilder,
    sites: RwLock<Sites>,
    pub(super) counters: BudgetCounters,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Indexes {
    pub(super) fn new(budget: &Budget, sites: Sites) -> Self {
        let lingering_max = budget.share(PARTS).fingerprints;
        Self {
            cookieless: (0..PARTS).map(|_| Mutex::new(Cookieless::new(lingering_max))).collect(),
            users: (0..PARTS).map(|_| Mutex::default()).collect(),
            by_user: DefaultHashBuilder::default(),
            sites: RwLock::new(sites),
            counters: BudgetCounters::default(),
        }
    }

    fn part(&self, key: Fingerprint) -> MutexGuard<'_, Cookieless> {
        lock(&self.cookieless[usize::from(key.partition()) % PARTS])
    }

    /// The key under which a request's fingerprint is known: yesterday's, if that is the one in use.
    pub(super) fn key(&self, prints: Fingerprints) -> Fingerprint {
        let known = |print: Fingerprint| self.part(print).knows(print);
        if !known(prints.today) && known(prints.yesterday) { prints.yesterday } else { prints.today }
    }

    pub(super) fn is_cookieless(&self, key: Fingerprint, now: Timestamp) -> bool {
        self.part(key).is_cookieless(key, now)
    }

    /// A request presents the token of a session that has ended.
    pub(super) fn returned(&self, key: Fingerprint, visit: VisitId) {
        self.part(key).returned(key, visit);
    }

    pub(super) fn admit(&self, key: Fingerprint, applicant: &Applicant, now: Timestamp) -> Admission {
        self.part(key).admit(key, applicant, now)
    }

    pub(super) fn withdrawn(&self, key: Fingerprint, visit: VisitId) {
        self.part(key).withdrawn(key, visit);
    }

    pub(super) fn shares(&self, key: Fingerprint, visit: VisitId) -> bool {
        self.part(key).shares(key, visit)
    }

    pub(super) fn ended(&self, key: Fingerprint, visit: VisitId, evicted: bool, now: Timestamp) {
        self.part(key).ended(key, visit, evicted, now);
    }

    pub(super) fn restore_print(&self, key: Fingerprint, visit: VisitId, shared: bool) {
        self.part(key).restore(key, visit, shared);
    }

    /// A session was confirmed. Returns the place of its host from now on.
    pub(super) fn confirmed(
        &self,
        key: Fingerprint,
        visit: VisitId,
        at: HostIndex,
        asked: &Host,
        now: Timestamp,
    ) -> HostIndex {
        self.part(key).confirmed(key, visit);
        if self.read_sites(|sites| sites.is_known(at)) {
            return at;
        }
        let (index, is_site) = self.write_sites(|sites| sites.confirm_session(at, asked, now));
        add(&self.counters.sites_refused, u64::from(!is_site));
        index
    }

    /// The place of a host in the table of sites.
    pub(super) fn note_host(&self, host: &Host, now: Timestamp) -> HostIndex {
        let found = self.read_sites(|sites| sites.find(host, now));
        found.unwrap_or_else(|| self.write_sites(|sites| sites.note(host, now)))
    }

    pub(super) fn read_sites<R>(&self, read: impl FnOnce(&Sites) -> R) -> R {
        read(&self.sites.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write_sites<R>(&self, write: impl FnOnce(&mut Sites) -> R) -> R {
        write(&mut self.sites.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn users_of(&self, user: &UserId) -> MutexGuard<'_, Users> {
        lock(&self.users[self.by_user.hash_one(user) as usize % PARTS])
    }

    pub(super) fn logged_in(&self, visit: VisitId, user: &UserId, single: bool, superseded: &mut Vec<VisitId>) {
        self.users_of(user).logged_in(user, visit, single, superseded);
    }

    pub(super) fn logged_out(&self, visit: VisitId, user: &UserId) {
        self.users_of(user).logged_out(user, visit);
    }

    pub(super) fn sessions_of(&self, user: &UserId) -> Vec<VisitId> {
        self.users_of(user).sessions(user)
    }

    /// Adds how much of each limit the indexes use.
    pub(super) fn add_used(&self, used: &mut BudgetUse) {
        used.fingerprints += self.cookieless.iter().map(|part| lock(part).lingering()).sum::<usize>();
        used.sites = self.read_sites(Sites::known_len);
    }

    /// Entries of all indexes.
    pub(super) fn entries(&self) -> usize {
        let prints: usize = self.cookieless.iter().map(|part| lock(part).entries()).sum();
        let users: usize = self.users.iter().map(|part| lock(part).len()).sum();
        prints + users + self.read_sites(Sites::len)
    }

    pub(super) fn counts(&self) -> BudgetCounts {
        self.counters.read(self.cookieless.iter().map(|part| lock(part).forgotten()).sum())
    }
}
