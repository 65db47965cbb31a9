//! How the open sessions of one process are set up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::Host;
use crate::limits;
use crate::rules::SiteRules;

/// How a shard is set up.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// How often the wheel moves: ends are late by at most this, plus the sweep's lag.
    pub tick: Duration,
    /// Whether clients are known by cookie; if not, by fingerprint.
    pub cookies: bool,
    /// What strangers can fill; a shard has its share.
    pub budget: Budget,
    /// The rules; a session knows its own by index. There is at least one.
    pub rules: Arc<[SiteRules]>,
    /// Which rules a host's sessions follow; others follow the first.
    pub rules_by_host: Arc<HashMap<Host, u16>>,
    /// For the mutation check.
    pub mutations: Mutations,
}

/// What strangers can fill: how many of each there may be, in all shards together. What happens at a limit is counted
/// ([`super::BudgetCounts`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Open sessions. One more evicts a provisional one, or the one that is idle longest, near enough.
    pub open_sessions: usize,
    /// Provisional ones among them, those that cookieless clients share included: one more evicts the oldest of them.
    /// Visitors whose cookie came back go on.
    pub provisional: usize,
    /// Ended sessions whose tokens must never join another: one more forgets the oldest. Its token then may bring
    /// parallel requests together again, as that of an expired session does.
    pub tombstones: usize,
    /// Hosts that are sites without being named by the settings: one more takes the place of the one that was not asked
    /// for the longest time, if that was long ago; else it counts to `other`.
    pub sites: usize,
    /// Fingerprints that are remembered though none of their sessions is open: one more forgets the oldest. Its client
    /// may then start three sessions again.
    pub fingerprints: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            open_sessions: limits::OPEN_SESSIONS_MAX,
            provisional: limits::PROVISIONAL_SESSIONS_MAX,
            tombstones: limits::TOMBSTONES_MAX,
            sites: limits::SITES_MAX,
            fingerprints: limits::FINGERPRINTS_MAX,
        }
    }
}

impl Budget {
    /// The share of one of `parts`, at least one of each. Sites are counted together.
    #[must_use]
    pub fn share(self, parts: usize) -> Self {
        let share = |of: usize| of.div_ceil(parts.max(1)).max(1);
        Self {
            open_sessions: share(self.open_sessions),
            provisional: share(self.provisional),
            tombstones: share(self.tombstones),
            sites: self.sites,
            fingerprints: share(self.fingerprints),
        }
    }
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            cookies: true,
            budget: Budget::default(),
            rules: Arc::new([SiteRules::default()]),
            rules_by_host: Arc::default(),
            mutations: Mutations::default(),
        }
    }
}

impl ShardConfig {
    pub(super) fn rules_of(&self, host: &Host) -> u16 {
        self.rules_by_host.get(host).copied().unwrap_or_default()
    }

    pub(super) fn rules(&self, index: u16) -> &SiteRules {
        self.rules.get(usize::from(index)).unwrap_or(&self.rules[0])
    }
}

/// How much one turn of [`super::Sessions::tick`] may do before it lets go of the shard.
#[derive(Debug, Clone, Copy)]
pub struct TickBudget {
    /// Sessions ended.
    pub ends: usize,
    /// Sessions looked at.
    pub looks: usize,
}

/// Rules that a test switches off to see that something notices. All on, at no cost, without the feature.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutations {
    /// A write to an ended session revives it instead of being refused.
    #[cfg(feature = "mutations")]
    pub no_gone_rule: bool,
    /// A session can end twice.
    #[cfg(feature = "mutations")]
    pub no_end_once: bool,
    /// Recovery doesn't pad the last activity by what touches may have lost.
    #[cfg(feature = "mutations")]
    pub no_touch_padding: bool,
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
