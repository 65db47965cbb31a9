//! Keeps the journal short: writes bases, carries long sessions forward, lets old segments go.

use visitlog_core::machine::{Chain, Tombstone};
use visitlog_core::model::Entry;
use visitlog_core::{Host, Lsn};

use crate::engine::Engine;
use crate::journal::{BaseItem, Flags, JournalError, Kind, RawRecord};

/// Sessions carried in one step.
const CARRY_AT_ONCE: usize = 256;
/// Copies appended before other writers get their turn.
const APPEND_AT_ONCE: usize = 64;

/// What the upkeep of one journal is about to do.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// Segments below `.0` may go once everything up to `.1` is synced: by then all that was decided when this was
    /// planned (acknowledgements, carried copies) is on stable storage.
    planned: Option<(Lsn, Lsn)>,
    /// Chains that are being carried forward.
    carrying: Vec<Chain>,
    /// Journal bytes from which on the next sessions are carried.
    carry_from_bytes: u64,
    /// Sessions carried so far.
    carried: u64,
    /// Segments removed so far.
    removed: u64,
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

    /// Does what is to be done now, a bounded amount of it. True if there is more to do at once.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost, the next step tries again.
    pub fn step(&mut self, engine: &Engine) -> Result<bool, JournalError> {
        if engine.journal.room_for_maintenance() == 0 {
            return Ok(false);
        }
        if engine.journal.base_due() {
            write_base(engine);
        }
        if let Some(below) = engine.releasing()
            && engine.sinks.oldest_needed().is_some_and(|oldest| oldest < below)
        {
            // What ends now may have begun there.
            engine.sinks.hasten(engine.journal.appended());
        }
        self.carry(engine);
        self.collect(engine)?;
        Ok(!self.carrying.is_empty())
    }

    fn collect(&mut self, engine: &Engine) -> Result<(), JournalError> {
        if let Some((bound, after)) = self.planned {
            if engine.journal.synced() < after {
                return Ok(());
            }
            self.planned = None;
            self.removed += engine.journal.collect(bound)? as u64;
        }
        if engine.journal.usage().segments < 2 {
            return Ok(());
        }
        let (bound, after) = engine.collection_bound();
        if bound > engine.journal.oldest() {
            self.planned = Some((bound, after));
        }
        Ok(())
    }

    /// Once the journal has grown long, the sessions that hold its older half are written again at its end. What is
    /// kept must double before that happens again, so that carrying costs at most as much as writing.
    fn carry(&mut self, engine: &Engine) {
        if self.carrying.is_empty() {
            let Some(cutoff) = self.cutoff(engine) else { return };
            for shard in &engine.shards {
                self.carrying.extend(shard.lock().chains().filter(|chain| chain.first < cutoff));
            }
        }
        for chain in self.carrying.split_off(self.carrying.len().saturating_sub(CARRY_AT_ONCE)) {
            match engine.carry(chain.visit) {
                Ok(carried) => self.carried += u64::from(carried),
                // It stays where it is, and so does what lies behind it. The others can be carried all the same.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, visit = %chain.visit, "a session can't be carried forward");
                }
            }
        }
        if self.carrying.is_empty() {
            // Whatever grew meanwhile: the next time is when the journal is twice as long as it is after this.
            self.carry_from_bytes = engine.config.carry_from_bytes.max(2 * self.kept_bytes(engine));
        }
    }

    /// Sessions that begin below are to be carried now, if any are.
    fn cutoff(&self, engine: &Engine) -> Option<Lsn> {
        let bytes = engine.journal.usage().bytes;
        let is_long = bytes > self.carry_from_bytes.max(engine.config.carry_from_bytes);
        let half = is_long.then(|| Lsn(engine.journal.appended().0.saturating_sub(bytes / 2)));
        half.max(engine.releasing())
    }

    /// What will be left once the collections that the carrying allows are done.
    fn kept_bytes(&self, engine: &Engine) -> u64 {
        let (bound, after) = engine.collection_bound();
        after.0.saturating_sub(bound.0)
    }
}

/// State that belongs to no session, each part under the lock that guards it.
fn write_base(engine: &Engine) {
    let journal = &engine.journal;
    let start = journal.begin_base();
    journal.appender().append_base(&[BaseItem::Time(engine.now())]);
    engine.sinks.append_base(journal);
    {
        let sites = engine.sites.read();
        let items: Vec<_> = sites.known().map(Host::to_string).map(BaseItem::Site).collect();
        journal.appender().append_base(&items);
    }
    for shard in &engine.shards {
        let shard = shard.lock();
        let items: Vec<_> = shard
            .tombstones()
            .map(|Tombstone { visit, reason, closed_at, .. }| BaseItem::Tombstone { visit, reason, closed_at })
            .collect();
        if !items.is_empty() {
            journal.appender().append_base(&items);
        }
    }
    journal.finish_base(start);
}

impl Engine {
    /// Below which position nothing is needed any more, once everything up to the second one is synced.
    pub(crate) fn collection_bound(&self) -> (Lsn, Lsn) {
        let mut bound = self.journal.appended();
        // Shards before sinks: a session that ends in between is seen by one of them.
        for shard in &self.shards {
            let oldest = shard.lock().chains().map(|chain| chain.first).min();
            bound = bound.min(oldest.unwrap_or(bound));
        }
        let needed = self.sinks.oldest_needed();
        // Not up to the journal's end: its last record may say that all before it is synced, and then no sync follows
        // until there is something else.
        (bound.min(needed.unwrap_or(bound)), self.journal.content_end())
    }

    /// The start without the visit that it names as its previous one, if that was erased.
    fn without_erased(&self, record: &RawRecord) -> Option<Entry> {
        let Ok(Entry::Start(mut start)) = (record.kind == Kind::Start).then(|| record.entry())? else { return None };
        start.previous.take_if(|previous| self.sinks.is_erased(*previous))?;
        Some(Entry::Start(start))
    }

    /// Writes a session's chain again at the journal's end. `false` if it has ended, or is too busy just now.
    pub(crate) fn carry(&self, visit: visitlog_core::VisitId) -> Result<bool, JournalError> {
        for _ in 0..3 {
            let Some(before) = self.shard_of(visit.partition()).lock().get(visit).map(|open| open.chain) else {
                return Ok(false);
            };
            let records = match self.journal.read_chain_raw(visit, before.last) {
                Ok(records) => records,
                // It ended meanwhile, and its segments are gone.
                Err(_) if self.shard_of(visit.partition()).lock().get(visit).is_none() => return Ok(false),
                Err(error) => return Err(error),
            };
            let mut shard = self.shard_of(visit.partition()).lock();
            if shard.get(visit).is_none_or(|open| open.chain.last != before.last) {
                continue;
            }
            let mut appender = self.journal.appender();
            let (mut first, mut last) = (Lsn::NONE, Lsn::NONE);
            for (place, record) in records.iter().enumerate() {
                if place % APPEND_AT_ONCE == APPEND_AT_ONCE - 1 {
                    // Others may append between: what counts is that the copies are complete.
                    drop(appender);
                    appender = self.journal.appender();
                }
                let kept = if record.flags.has(Flags::CONFIRMS) { Flags::CONFIRMS } else { Flags::NONE };
                let mut flags = kept.with(Flags::CARRIED);
                if place + 1 == records.len() {
                    flags = flags.with(Flags::CARRIED_LAST);
                }
                last = match self.without_erased(record) {
                    Some(start) => appender.append(visit, last, flags, &start),
                    None => appender.append_raw(visit, last, flags, record.kind, &record.payload),
                };
                first = if first.is_some() { first } else { last };
            }
            drop(appender);
            return Ok(shard.relink(before, first, last));
        }
        Ok(false)
    }
}
