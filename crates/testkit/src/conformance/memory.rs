//! The store in memory, under test: the rules alone.

use std::collections::HashMap;
use std::sync::Arc;

use visitlog_core::invariants;
use visitlog_core::machine::{BudgetCounts, BudgetUse, ShardConfig};
use visitlog_core::model::EndedVisit;

use super::{Setup, StoreUnderTest};
use crate::memory_store::SHARDS;
use crate::{MemoryStore, SimClock, SimEntropy};

/// A [`MemoryStore`] under test. A restart forgets all but what it recorded.
pub struct MemoryUnderTest(Arc<MemoryStore>);

impl StoreUnderTest for MemoryUnderTest {
    type Store = MemoryStore;

    const PARTS: usize = SHARDS;

    fn open(setup: &Setup, clock: &Arc<SimClock>) -> Self {
        let Setup { rules, own_rules, budget, cookies } = setup;
        let own = own_rules.iter().map(|(_, rules)| rules.clone());
        let config = ShardConfig {
            rules: std::iter::once(rules.clone()).chain(own).collect(),
            rules_by_host: Arc::new(own_rules.iter().map(|(host, _)| host.clone()).zip(1..).collect::<HashMap<_, _>>()),
            budget: *budget,
            ..ShardConfig::default()
        };
        let named = own_rules.iter().map(|(host, _)| host.clone()).collect();
        let entropy = Arc::new(SimEntropy::new(7));
        Self(Arc::new(MemoryStore::with_sites(clock.clone(), entropy, &config, *cookies, named)))
    }

    fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0)
    }

    fn settle(&self) {}

    fn tick(&self) {
        self.0.tick();
    }

    fn ended(&self) -> Vec<EndedVisit> {
        self.0.ended()
    }

    fn check(&self) {
        self.0.for_each_shard(|shard| invariants::check_shard(shard).expect("what must always hold of a shard"));
    }

    fn budget(&self) -> (BudgetUse, BudgetCounts) {
        (self.0.sessions().used(), self.0.sessions().counts())
    }

    fn restart(&self) {
        self.0.restart();
    }
}
