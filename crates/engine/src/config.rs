//! How an engine is set up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::Host;
use visitlog_core::machine::{Budget, ShardConfig};
use visitlog_core::ports::BeatPace;
use visitlog_core::rules::SiteRules;

use crate::journal;
use crate::ledger::LedgerSettings;

/// How many shards there are. A visit's partition modulo this is its shard.
pub(crate) const SHARDS: usize = 16;

/// The settings of an [`crate::Engine`].
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How the journal behaves, its durability included.
    pub journal: journal::Config,
    /// The rules of all sites that have none of their own.
    pub rules: SiteRules,
    /// Sites that the settings name, with rules of their own or not.
    pub sites: Vec<(Host, Option<SiteRules>)>,
    /// Whether these are all, if there are any. Default: yes; if not, other hosts become sites once a confirmed session has
    /// used them.
    pub sites_are_all: bool,
    /// Whether clients are known by cookie; if not, by fingerprint.
    pub cookies: bool,
    /// What strangers can fill, besides the journal ([`journal::Config::bytes_max`]).
    pub budget: Budget,
    /// How often the wheels move.
    pub tick: Duration,
    /// Ends per second and shard: how a storm of ends is paced.
    pub ends_per_second: u32,
    /// Journal bytes from which on long sessions are carried forward, so that old segments can go; a quarter of what the
    /// journal may take if that is less.
    pub carry_from_bytes: u64,
    /// Bytes that bases and carried sessions may take of the journal before sinks get their turn.
    pub upkeep_bytes_at_once: u64,
    /// Threads that read the journal when it is opened: with two, one reads ahead of the other, which applies.
    pub readers: usize,
    /// How long [`crate::Local`] waits for a look-up that has the data folder. Default: not at all.
    pub lock_patience: Duration,
    /// How often pages say that they are there.
    pub presence: BeatPace,
    /// How ended visits are read for sinks.
    pub ledger: LedgerSettings,
    /// For the mutation check.
    #[cfg(feature = "mutations")]
    pub mutations: Mutations,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            journal: journal::Config::default(),
            rules: SiteRules::default(),
            sites: Vec::new(),
            sites_are_all: true,
            cookies: true,
            budget: Budget::default(),
            tick: Duration::from_secs(1),
            ends_per_second: 10_000,
            carry_from_bytes: 512 * 1024 * 1024,
            upkeep_bytes_at_once: 1024 * 1024,
            readers: 1,
            lock_patience: Duration::ZERO,
            presence: BeatPace::default(),
            ledger: LedgerSettings::default(),
            #[cfg(feature = "mutations")]
            mutations: Mutations::default(),
        }
    }
}

/// Rules of the engine that can be broken on purpose; the machine's and the journal's have structs of their own.
#[cfg(feature = "mutations")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutations {
    /// The machine's.
    pub machine: visitlog_core::machine::Mutations,
    /// An answer doesn't wait for its session's newest record.
    pub no_wait: bool,
    /// It is asked first what sinks need of the journal, and then what open sessions do.
    pub sinks_before_shards: bool,
    /// Sinks learn of an end when the append lock has gone.
    pub end_told_late: bool,
}

impl EngineConfig {
    pub(crate) fn waits(&self) -> bool {
        #[cfg(feature = "mutations")]
        return !self.mutations.no_wait;
        #[cfg(not(feature = "mutations"))]
        true
    }

    /// Journal bytes from which on long sessions are carried forward.
    pub(crate) fn carry_from(&self) -> u64 {
        self.carry_from_bytes.min(self.journal.bytes_max / 4)
    }

    pub(crate) fn asks_shards_first(&self) -> bool {
        #[cfg(feature = "mutations")]
        return !self.mutations.sinks_before_shards;
        #[cfg(not(feature = "mutations"))]
        true
    }

    pub(crate) fn tells_ends_at_once(&self) -> bool {
        #[cfg(feature = "mutations")]
        return !self.mutations.end_told_late;
        #[cfg(not(feature = "mutations"))]
        true
    }

    /// Whether an engine can be set up so.
    ///
    /// # Errors
    /// When sites have more different rules than sessions can tell apart.
    pub fn check(&self) -> Result<(), TooManyRules> {
        self.sessions().map(drop)
    }

    /// The sites, where they are all.
    pub(crate) fn named_sites(&self) -> impl Iterator<Item = Host> {
        self.sites.iter().filter(|_| self.sites_are_all).map(|(host, _)| host.clone())
    }

    /// How the sessions are set up. Sites with the same rules share them.
    pub(crate) fn sessions(&self) -> Result<ShardConfig, TooManyRules> {
        let mut rules = vec![&self.rules];
        let mut known = HashMap::from([(&self.rules, 0)]);
        let mut by_host = HashMap::new();
        for (host, own) in &self.sites {
            let Some(own) = own else { continue };
            let index = match known.entry(own) {
                Entry::Occupied(same) => *same.get(),
                Entry::Vacant(new) => {
                    let index = u16::try_from(rules.len()).map_err(|_| TooManyRules { host: host.clone() })?;
                    rules.push(own);
                    *new.insert(index)
                }
            };
            by_host.insert(host.clone(), index);
        }
        let rules: Vec<SiteRules> = rules.into_iter().cloned().collect();
        Ok(ShardConfig {
            tick: self.tick,
            cookies: self.cookies,
            budget: self.budget,
            rules: rules.into(),
            rules_by_host: Arc::new(by_host),
            #[cfg(feature = "mutations")]
            mutations: self.mutations.machine,
            #[cfg(not(feature = "mutations"))]
            mutations: visitlog_core::machine::Mutations::default(),
        })
    }
}

/// Sites have more different rules than sessions can tell apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "site {host} has rules of its own, but 65536 other rules are known, and no more can be told apart: let sites share rules"
)]
pub struct TooManyRules {
    /// The first site that is one too many.
    pub host: Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rules: impl Iterator<Item = u64>) -> EngineConfig {
        let own = |secs| SiteRules { idle_timeout: Duration::from_secs(secs), ..SiteRules::default() };
        let sites = (0..).zip(rules).map(|(n, secs)| (Host::new(&format!("{n}.example")), Some(own(secs)))).collect();
        EngineConfig { sites, ..EngineConfig::default() }
    }

    #[test]
    fn sites_with_the_same_rules_share_them_and_none_loses_its_own() {
        let shared = config((0..70_000).map(|n| n % 7)).sessions().expect("eight kinds of rules");
        assert_eq!((shared.rules.len(), shared.rules_by_host.len()), (8, 70_000));
        for n in [3, 69_999] {
            let index = shared.rules_by_host[&Host::new(&format!("{n}.example"))];
            assert_eq!(shared.rules[usize::from(index)].idle_timeout.as_secs(), n % 7);
        }
        assert_eq!(config(10_000..75_535).check(), Ok(()));
        let refused = config(10_000..75_536).check().expect_err("one too many");
        assert_eq!(refused.host.as_str(), "65535.example");
    }
}
