//! An engine from its journal.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use visitlog_core::erasure::Barrier;
use visitlog_core::machine::{Chain, HostIndex, Sessions, Shard, ShardConfig, Sites};
use visitlog_core::model::Entry;
use visitlog_core::ports::{Carried, Disk, Entropy, Follow, Seen, TailRecord};
use visitlog_core::{Host, Lsn, Timestamp, VisitId};

use crate::clock::AHEAD_MAX;
use crate::config::EngineConfig;
use crate::config::SHARDS;
use crate::journal::codec::CodecError;
use crate::journal::{Ack, BaseItem, Flags, Journal, JournalError, Kind, RecordRef, Recovered};
use crate::ledger::PendingEnd;

/// What recovery found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What the journal says of itself.
    pub journal: Recovered,
    /// Sessions that go on.
    pub open: usize,
    /// Records whose payload could not be understood though their checksum was right.
    pub unreadable: u64,
}

pub(crate) struct Parts {
    pub(crate) journal: Journal,
    pub(crate) shards: Vec<Shard>,
    pub(crate) sites: Sites,
    pub(crate) last_moment: Timestamp,
    /// Ends in the journal, in its order.
    pub(crate) ends: Vec<PendingEnd>,
    /// The latest acknowledgement of each sink.
    pub(crate) acks: HashMap<String, Ack>,
    /// Of erasures that are not done yet.
    pub(crate) barriers: Vec<Barrier>,
    pub(crate) report: Report,
}

struct Replay {
    shards: Vec<Shard>,
    sites: Sites,
    /// Makes sense of carried copies.
    follow: Follow,
    ends: Vec<PendingEnd>,
    acks: HashMap<String, Ack>,
    /// By salt and mark: each base repeats them.
    barriers: BTreeMap<(u128, u128), Barrier>,
    last_moment: Timestamp,
    unreadable: u64,
}

pub(crate) fn recover(
    disk: Arc<dyn Disk>,
    dir: &Path,
    config: &EngineConfig,
    sessions: &ShardConfig,
    entropy: &dyn Entropy,
) -> Result<Parts, JournalError> {
    let mut replay = Replay {
        shards: (0..SHARDS).map(|_| Shard::new(Sessions::share(sessions, SHARDS))).collect(),
        sites: Sessions::sites(sessions, config.named_sites()),
        follow: Follow::default(),
        ends: Vec::new(),
        acks: HashMap::new(),
        barriers: BTreeMap::new(),
        last_moment: Timestamp::EPOCH,
        unreadable: 0,
    };
    let (journal, recovered) = Journal::open_ahead(
        disk,
        dir,
        config.journal.clone(),
        entropy.random(),
        config.readers,
        Read::of,
        |records| replay.see_all(records),
    )?;
    let open = replay.shards.iter().map(Shard::len).sum();
    let Replay { shards, sites, last_moment, ends, acks, barriers, unreadable, .. } = replay;
    let barriers = barriers.into_values().collect();
    let report = Report { journal: recovered, open, unreadable };
    Ok(Parts { journal, shards, sites, last_moment, ends, acks, barriers, report })
}

/// A record as it is read, ready to be applied.
struct Read {
    lsn: Lsn,
    prev: Lsn,
    visit: VisitId,
    flags: Flags,
    moment: Option<Timestamp>,
    said: Result<Content, CodecError>,
}

/// What a record says.
enum Content {
    Ack(Ack),
    Base(Vec<BaseItem>),
    Synced,
    Entry(Entry),
}

impl Read {
    fn of(record: &RecordRef<'_>) -> Self {
        let RecordRef { lsn, prev, visit, flags, .. } = *record;
        let said = match record.kind {
            Kind::Ack => record.ack().map(Content::Ack),
            Kind::Base => record.base().map(Content::Base),
            Kind::Synced => Ok(Content::Synced),
            _ => record.skimmed().map(Content::Entry),
        };
        Self { lsn, prev, visit, flags, moment: record.moment(), said }
    }
}

impl Replay {
    fn see_all(&mut self, records: &mut Vec<Read>) {
        // Sessions stand all over the memory. Looked for one after the other, with nothing in between, the processor
        // waits for many of them at once, and each is at hand when its record is applied.
        let known = records.iter().filter(|record| self.shard(record.visit).knows(record.visit)).count();
        std::hint::black_box(known);
        records.drain(..).for_each(|record| self.see(record));
    }

    fn see(&mut self, record: Read) {
        if let Some(moment) = record.moment {
            self.last_moment = self.last_moment.max(moment);
        }
        let Read { lsn, prev, visit, flags, said, .. } = record;
        match said {
            Ok(Content::Ack(ack)) => self.acked(ack),
            Ok(Content::Base(items)) => items.into_iter().for_each(|item| self.base(item)),
            Ok(Content::Synced) => {}
            Ok(Content::Entry(entry)) => {
                let confirms = flags.has(Flags::CONFIRMS);
                self.record(TailRecord { lsn, prev, visit, confirms, carried: flags.carried(), entry });
            }
            Err(error) => {
                self.unreadable += 1;
                tracing::error!(lsn = lsn.0, %error, "a record can't be understood");
            }
        }
    }

    fn acked(&mut self, ack: Ack) {
        let newest = self.acks.get(&ack.sink).is_none_or(|known| known.lsn <= ack.lsn);
        if newest {
            self.acks.insert(ack.sink.clone(), ack);
        }
    }

    fn base(&mut self, item: BaseItem) {
        match item {
            BaseItem::Ack(ack) => self.acked(ack),
            BaseItem::Site(name) => drop(self.sites.confirm(&Host::new(&name), self.last_moment)),
            BaseItem::Tombstone(tomb) => self.shard(tomb.visit).restore_tombstone(tomb),
            BaseItem::OldTombstone { visit, reason, closed_at } => {
                self.shard(visit).restore_old_tombstone(visit, reason, closed_at);
            }
            BaseItem::Erased(barrier) => {
                self.barriers.insert((barrier.salt, barrier.mark), barrier);
            }
            BaseItem::ErasureDone(done) => self.barriers.retain(|(salt, _), _| *salt != done),
            BaseItem::Time(at) => {
                // A life that began under the right clock after one under a wrong one: see `clock`.
                let was_put_back = self.last_moment.since(at) > AHEAD_MAX;
                self.last_moment = if was_put_back { at } else { self.last_moment.max(at) };
            }
        }
    }

    fn shard(&mut self, visit: VisitId) -> &mut Shard {
        &mut self.shards[usize::from(visit.partition()) % SHARDS]
    }

    fn record(&mut self, record: TailRecord) {
        if record.carried == Carried::No {
            if let Entry::End(_) = record.entry {
                self.follow.ended(record.visit);
            }
            return self.entry(&record);
        }
        let known = self.shard(record.visit).knows(record.visit);
        let mut follow = std::mem::take(&mut self.follow);
        follow.see(record, known, |seen| match seen {
            Seen::Entry(record) => self.entry(&record),
            Seen::Moved { visit, first, last } => self.shard(visit).restore_moved(visit, first, last),
        });
        self.follow = follow;
    }

    fn entry(&mut self, record: &TailRecord) {
        let visit = record.visit;
        let host = match &record.entry {
            Entry::Start(start) => self.sites.note(&start.host, start.at),
            _ => HostIndex::OTHER,
        };
        if let Entry::End(_) = record.entry
            && let Some(Chain { first, events, .. }) = self.shard(visit).chain(visit)
        {
            self.ends.push(PendingEnd { end: record.lsn, first, visit, events: events.into() });
        }
        if self.shard(visit).restore(record, host)
            && record.confirms
            && let Some(open) = self.shard(visit).get(visit)
        {
            self.sites.confirm_at(open.host, open.last_seen);
        }
    }
}
