//! What a seed decides once: how the engine is set up, and how rough its life will be.

use std::time::Duration;

use visitlog_core::Host;
use visitlog_core::machine::Budget;
use visitlog_core::ports::{Durability, Gathering};
use visitlog_core::rules::SiteRules;
use visitlog_engine::LedgerSettings;
use visitlog_engine::config::{EngineConfig, Mutations};
use visitlog_engine::journal;
use visitlog_sinks::LaneSettings;

use visitlog_testkit::Dice;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    GoneRule,
    EndOnce,
    TouchPadding,
    Wait,
    OnlySynced,
    CollectionBound,
    Epoch,
    FolderSync,
}

/// How a run is set up.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) broken: Broken,
    pub(crate) durability: Durability,
    pub(crate) rules: SiteRules,
    /// Sites that the settings name; then there are no others.
    pub(crate) sites: Vec<(Host, Option<SiteRules>)>,
    pub(crate) cookies: bool,
    /// Open sessions are capped so low that some are evicted.
    pub(crate) capped: bool,
    pub(crate) tick: Duration,
    pub(crate) ends_per_second: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) unwritten_bytes_max: u64,
    pub(crate) carry_from_bytes: u64,
    pub(crate) upkeep_bytes_at_once: u64,
    /// The journal's quota.
    pub(crate) journal_bytes_max: u64,
    pub(crate) page_bytes: usize,
    pub(crate) steps: usize,
    /// Crashes, in a thousand steps.
    pub(crate) crashes: usize,
    /// Times of disk trouble, in a thousand steps.
    pub(crate) troubles: usize,
    /// Sinks that go down or come back, in a thousand steps.
    pub(crate) sink_troubles: usize,
    /// Failing syncs of a file or folder, in a thousand steps.
    pub(crate) bad_syncs: usize,
    /// How the file sink gathers visits, if it does.
    pub(crate) gathers: Option<Gathering>,
}

impl Plan {
    pub(crate) fn of(broken: Broken, dice: &Dice) -> Self {
        let rough = dice.roll(4);
        Self {
            broken,
            durability: dice.pick(&[
                Durability::Process,
                Durability::Process,
                Durability::Process,
                Durability::Power,
                Durability::Power,
                Durability::Relaxed,
            ]),
            rules: SiteRules {
                idle_timeout: dice.pick(&[8, 15, 25, 40].map(Duration::from_secs)),
                max_age: dice.pick(&[60, 120, 600].map(Duration::from_secs)),
                logout_ends_session: !dice.one_in(5),
                single_login: dice.one_in(3),
                ..SiteRules::default()
            },
            sites: Vec::new(),
            cookies: !dice.one_in(25),
            capped: dice.one_in(12),
            tick: dice.pick(&[100, 500, 1_000].map(Duration::from_millis)),
            ends_per_second: dice.pick(&[2, 100, 10_000]),
            segment_bytes: dice.pick(&[2, 4, 8, 16]) * 1_024,
            unwritten_bytes_max: dice.pick(&[4 * 1_024, 64 * 1_024, 1 << 20]),
            journal_bytes_max: u64::MAX,
            carry_from_bytes: dice.pick(&[6, 16, 48]) * 1_024,
            upkeep_bytes_at_once: dice.pick(&[1, 600, 1 << 20]),
            page_bytes: dice.pick(&[512, 1_024, 4_096]),
            steps: 350 + dice.roll(350),
            crashes: [2, 6, 10, 25][rough],
            troubles: dice.pick(&[0, 4, 10]),
            sink_troubles: dice.pick(&[2, 6, 12]),
            bad_syncs: dice.pick(&[0, 1, 4]),
            gathers: None,
        }
    }

    /// One without dice, for scenarios: small segments, an idle timeout of 25 s, a maximal age of 10 min.
    pub(crate) fn plain(durability: Durability) -> Self {
        let rules = SiteRules {
            idle_timeout: Duration::from_secs(25),
            max_age: Duration::from_secs(600),
            ..SiteRules::default()
        };
        Self {
            broken: Broken::Nothing,
            durability,
            rules,
            sites: Vec::new(),
            cookies: true,
            capped: false,
            tick: Duration::from_millis(100),
            ends_per_second: 10_000,
            segment_bytes: 4 * 1_024,
            unwritten_bytes_max: 1 << 20,
            carry_from_bytes: 1 << 20,
            upkeep_bytes_at_once: 1 << 20,
            journal_bytes_max: u64::MAX,
            page_bytes: 512,
            steps: 0,
            crashes: 0,
            troubles: 0,
            sink_troubles: 0,
            bad_syncs: 0,
            gathers: None,
        }
    }

    pub(crate) fn engine(&self) -> EngineConfig {
        let machine = visitlog_core::machine::Mutations {
            no_gone_rule: self.broken == Broken::GoneRule,
            no_end_once: self.broken == Broken::EndOnce,
            no_touch_padding: self.broken == Broken::TouchPadding,
        };
        EngineConfig {
            journal: self.journal(),
            rules: self.rules.clone(),
            sites: self.sites.clone(),
            sites_are_all: true,
            cookies: self.cookies,
            budget: Budget { open_sessions: if self.capped { 32 } else { 100_000 }, ..Budget::default() },
            tick: self.tick,
            ends_per_second: self.ends_per_second,
            carry_from_bytes: self.carry_from_bytes,
            upkeep_bytes_at_once: self.upkeep_bytes_at_once,
            readers: 1,
            lock_patience: Duration::ZERO,
            presence: visitlog_core::ports::BeatPace::default(),
            ledger: LedgerSettings { sees_unsynced: self.broken == Broken::OnlySynced, ..LedgerSettings::default() },
            mutations: Mutations { machine, no_wait: self.broken == Broken::Wait, ..Mutations::default() },
        }
    }

    pub(crate) fn lanes(&self) -> LaneSettings {
        LaneSettings {
            batch_visits_max: 4,
            batch_bytes_max: 20 * 1_024,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(2),
            park_after: Duration::from_secs(10),
            held_bytes_max: 16 * 1_024,
            ..LaneSettings::default()
        }
    }

    pub(crate) fn journal(&self) -> journal::Config {
        journal::Config {
            segment_bytes: self.segment_bytes,
            unwritten_bytes_max: self.unwritten_bytes_max,
            reserve_bytes: 4 * self.segment_bytes,
            bytes_max: self.journal_bytes_max,
            durability: self.durability,
            mutations: journal::Mutations {
                no_epoch_in_checksum: self.broken == Broken::Epoch,
                no_dir_sync: self.broken == Broken::FolderSync,
                no_collection_bound: self.broken == Broken::CollectionBound,
                ..journal::Mutations::default()
            },
        }
    }
}
