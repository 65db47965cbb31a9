//! Ends what is due, at a pace that leaves room for traffic.

use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::machine::{Call, TickBudget};

use crate::config::SHARDS;
use crate::engine::{Engine, Maintenance};
use crate::sync::atomic::Ordering;

/// Sessions ended, and looked at, before a shard is let go for the traffic that waits for it: some 100 µs.
const AT_ONCE: TickBudget = TickBudget { ends: 64, looks: 256 };

/// How far the sweep of each shard may go.
#[derive(Debug)]
pub struct Sweep {
    last: Timestamp,
    /// Ends that each shard is still allowed, in millionths.
    allowance: [u64; SHARDS],
}

impl Sweep {
    /// A sweep that begins now.
    pub fn new(now: Timestamp) -> Self {
        Self { last: now, allowance: [0; SHARDS] }
    }

    /// Ends what is due in every shard, as far as the pace allows. Returns how many ended, and whether more are due.
    pub fn step(&mut self, engine: &Engine) -> (usize, bool) {
        engine.clock.follow();
        let now = engine.now();
        engine.presence.tick(now);
        let log = Maintenance(engine);
        self.earn(now, engine.config.ends_per_second);
        let (mut ended, mut lags) = (0, [None; SHARDS]);
        let mut unfinished = [true; SHARDS];
        // In turns: what fell due together then stands together in the journal, and is read together by the sinks.
        while unfinished.contains(&true) {
            for place in 0..SHARDS {
                if !unfinished[place] {
                    continue;
                }
                // What can't be journaled must not be decided, and traffic comes first.
                if engine.journal.room_for_maintenance() == 0 {
                    return (ended, true);
                }
                let allowance = &mut self.allowance[place];
                let budget = TickBudget { ends: AT_ONCE.ends.min((*allowance / 1_000_000) as usize), ..AT_ONCE };
                let call = Call { log: &log, entropy: &*engine.entropy, now };
                let ticked = engine.sessions.tick(&call, place, budget);
                *allowance -= ticked.ended as u64 * 1_000_000;
                ended += ticked.ended;
                unfinished[place] = ticked.more && *allowance >= 1_000_000;
                lags[place] = ticked.more.then_some(ticked.lag);
            }
        }
        let lag = lags.iter().flatten().max();
        let (more, lag) = (lag.is_some(), lag.copied().unwrap_or(Duration::ZERO));
        engine.sweep_lag_us.store(lag.as_micros() as u64, Ordering::Relaxed);
        (ended, more)
    }

    /// A shard saves up to a second's worth of ends.
    fn earn(&mut self, now: Timestamp, ends_per_second: u32) {
        let most = u64::from(ends_per_second.max(1)) * 1_000_000;
        let micros = now.since(self.last).as_micros().min(1_000_000) as u64;
        self.last = self.last.max(now);
        for allowance in &mut self.allowance {
            *allowance = (*allowance + micros * u64::from(ends_per_second.max(1))).min(most);
        }
    }
}
