//! Keeps the journal short: writes bases, carries long sessions forward, lets old segments go.

use visitlog_core::machine::Chain;
use visitlog_core::ports::StoreError;
use visitlog_core::{Lsn, VisitId};

use crate::allowance::Allowance;
use crate::base::Base;
use crate::carry::{Carry, Progress};
use crate::config::SHARDS;
use crate::engine::Engine;
use crate::journal::{Fill, JournalError};

/// Steps that wait for room before it is looked again what may go.
const PLAN_EVERY: u32 = 16;

/// What the upkeep of one journal is about to do.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// Segments below `.0` may go once everything up to `.1` is synced: by then all that was decided when this was
    /// planned (acknowledgements, carried copies) is on stable storage.
    planned: Option<(Lsn, Lsn)>,
    /// The base that is being written.
    base: Option<Base>,
    /// The sessions that are to be carried.
    round: Option<Round>,
    /// The one that is being carried.
    carrying: Option<Box<Carry>>,
    /// Journal bytes from which on the next sessions are carried.
    carry_from_bytes: u64,
    /// Waits for room.
    is_waiting: bool,
    /// For how many steps in a row.
    waits: u32,
    /// Sessions carried so far.
    carried: u64,
    /// Segments removed so far.
    removed: u64,
}

/// The sessions that begin below a position, shard by shard.
#[derive(Debug)]
struct Round {
    cutoff: Lsn,
    /// The next shard to look at.
    shard: usize,
    /// Those of the shard before it that are left, the oldest one last.
    chains: Vec<(Lsn, VisitId)>,
}

impl Upkeep {
    /// Sessions carried so far.
    pub const fn carried(&self) -> u64 {
        self.carried
    }

    /// Segments removed so far.
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    /// Whether it has something to write and no room for it: to be tried again soon.
    pub const fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Does what is to be done now, a bounded amount of it. True if there is more to do at once.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost, the next step tries again.
    pub fn step(&mut self, engine: &Engine) -> Result<bool, JournalError> {
        if matches!(engine.journal.check(), Err(StoreError::Stopped { .. })) {
            self.is_waiting = false;
            return Ok(false);
        }
        engine.journal.keep_reserve(engine.now());
        let mut allowance = Allowance::of(engine);
        let has_room = !allowance.is_spent();
        if engine.journal.is_on_reserve() {
            // A base is what frees a full disk: it has room where other maintenance has none.
            self.write_base(engine, &mut Allowance::whole(engine));
        } else {
            self.write_base(engine, &mut allowance);
        }
        if let Some(below) = engine.releasing()
            && engine.ledger.oldest_needed().is_some_and(|oldest| oldest < below)
        {
            // What ends now may have begun there.
            engine.ledger.hasten(engine.journal.appended());
        }
        if engine.journal.fill() >= Fill::Half {
            // Whoever lags is parked, so that what it holds back can go.
            engine.ledger.hasten(engine.journal.appended());
        }
        self.carry(engine, &mut allowance);
        self.collect(engine)?;
        let has_more = self.base.is_some() || self.round.is_some() || engine.journal.base_due();
        self.is_waiting = has_more && !has_room;
        self.waits = if self.is_waiting { self.waits + 1 } else { 0 };
        Ok(has_more && has_room)
    }

    fn collect(&mut self, engine: &Engine) -> Result<(), JournalError> {
        if let Some((bound, after)) = self.planned {
            if engine.journal.synced() < after {
                return Ok(());
            }
            self.planned = None;
            self.removed += engine.journal.collect(bound)? as u64;
        }
        // Who only looks whether there is room again does not have to look at the sessions each time.
        if engine.journal.usage().segments < 2 || !self.waits.is_multiple_of(PLAN_EVERY) {
            return Ok(());
        }
        let (bound, after) = engine.collection_bound();
        if bound > engine.journal.oldest() {
            self.planned = Some((bound, after));
        }
        Ok(())
    }

    fn write_base(&mut self, engine: &Engine, allowance: &mut Allowance) {
        if self.base.is_none() && engine.journal.base_due() && !allowance.is_spent() {
            self.base = Some(Base::begin(engine, allowance));
        }
        self.base = self.base.take().and_then(|base| base.step(engine, allowance));
    }

    /// Once the journal has grown long, the sessions that hold its older half are written again at its end. What is
    /// kept must double before that happens again, so that carrying costs at most as much as writing.
    fn carry(&mut self, engine: &Engine, allowance: &mut Allowance) {
        if self.round.is_none() {
            let Some(cutoff) = self.cutoff(engine) else { return };
            self.round = Some(Round { cutoff, shard: 0, chains: Vec::new() });
        }
        while !allowance.is_spent() {
            let Some(mut carry) = self.carrying.take().or_else(|| self.next(engine)) else {
                self.round = None;
                // Whatever grew meanwhile: the next time is when the journal is twice as long as it is after this.
                self.carry_from_bytes = engine.config.carry_from().max(2 * self.kept_bytes(engine));
                return;
            };
            match carry.step(engine, allowance) {
                Ok(Progress::Begun) => self.carrying = Some(carry),
                Ok(Progress::Carried) => self.carried += 1,
                Ok(Progress::Ended) => {}
                // It stays where it is, and so does what lies behind it. The others can be carried all the same.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, visit = %carry.visit(), "a session can't be carried forward");
                }
            }
        }
    }

    fn next(&mut self, engine: &Engine) -> Option<Box<Carry>> {
        let (_, visit) = self.round.as_mut()?.next(engine)?;
        Some(Box::new(Carry::new(visit)))
    }

    /// Sessions that begin below are to be carried now, if any are.
    fn cutoff(&self, engine: &Engine) -> Option<Lsn> {
        let bytes = engine.journal.usage().bytes;
        let is_long = bytes > self.carry_from_bytes.max(engine.config.carry_from());
        let half = is_long.then(|| Lsn(engine.journal.appended().0.saturating_sub(bytes / 2)));
        half.max(engine.releasing())
    }

    /// What will be left once the collections that the carrying allows are done.
    fn kept_bytes(&self, engine: &Engine) -> u64 {
        let (bound, after) = engine.collection_bound();
        after.0.saturating_sub(bound.0)
    }
}

impl Round {
    fn next(&mut self, engine: &Engine) -> Option<(Lsn, VisitId)> {
        while self.chains.is_empty() {
            let shard = u8::try_from(self.shard).ok().filter(|_| self.shard < SHARDS)?;
            self.shard += 1;
            let mut page = 0;
            while let Some(shard) = Some(engine.shard_of(shard)).filter(|shard| page < shard.pages()) {
                let below = shard.chains_of_page(page).filter(|chain| chain.first < self.cutoff);
                self.chains.extend(below.map(|Chain { first, visit, .. }| (first, visit)));
                page += 1;
            }
            // They are read in the order of the journal.
            self.chains.sort_unstable_by_key(|(first, _)| std::cmp::Reverse(*first));
        }
        self.chains.pop()
    }
}
