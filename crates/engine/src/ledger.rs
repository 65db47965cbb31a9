//! Which `End`s of the journal some sink still has to get, and how far each sink has come.
//!
//! An acknowledgement is a record of the journal, with the sink's own place; a park's stands under the name
//! `<sink>.park`. After a crash a sink goes on behind its last acknowledgement that survived. So the journal's records
//! are needed until an acknowledgement is itself on stable storage: that is what [`Ledger::oldest_needed`] says.
//!
//! A sink that was there once and is not now is *left out*. What its park holds waits for it. What ends meanwhile is kept
//! for nobody: from the first base on that is written meanwhile (before which nothing is collected) it is missed, which is
//! counted in the bases, so that the sink can say so when it is back.

mod source;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use hashbrown::HashMap;
use visitlog_core::erasure::{Barrier, Erasure, Erasures, Subject};
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Keeper, Mark};
use visitlog_core::{Lsn, VisitId};

use crate::journal::{Ack, BaseItem, Journal};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};

/// What follows a sink's name in the acknowledgements of its park.
const PARK: &str = ".park";
/// What follows a sink's name where it is written how many visits ended while it was left out: the last of them, and as
/// place the version `1` (u8) and how many (u64, little-endian).
const MISSED: &str = ".missed";
/// So many sinks that are left out and have no park are remembered: names that were used once must not gather for ever.
const LEFT_OUT_MAX: usize = 32;

/// An `End` in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingEnd {
    /// Its position.
    pub end: Lsn,
    /// The first position of its session's chain.
    pub first: Lsn,
    /// The visit.
    pub visit: VisitId,
    /// How many events its chain has, about: it limits how much is read at once.
    pub events: u32,
}

/// The `End`s that sinks still have to get, and their acknowledgements: the journal as a source of ended visits. One for
/// a journal; any thread may call it.
pub struct Ledger {
    journal: Arc<Journal>,
    settings: LedgerSettings,
    /// Behind the last record that was there when the journal was opened.
    opened_at: Lsn,
    /// Taken before `ends`, and before the append lock.
    accounts: Mutex<Accounts>,
    /// Taken last.
    ends: Mutex<Ends>,
    /// Ends up to this one wait for no others.
    hastened: AtomicU64,
    /// Whose visits no sink gets any more, and which visits nobody names any more. Taken after the append lock.
    erasures: RwLock<Erasures>,
    wakers: Mutex<Vec<Waker>>,
    /// Ends below were told of.
    told: AtomicU64,
}

/// How chains are read for sinks.
#[derive(Debug, Clone, Copy)]
pub struct LedgerSettings {
    /// Threads that read what a sink gets. More than one makes the order of reads a matter of chance.
    pub readers: usize,
    /// Gives `End`s that are only written: a rule to break, for the test that shows that other tests notice.
    #[cfg(feature = "mutations")]
    pub sees_unsynced: bool,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            readers: 1,
            #[cfg(feature = "mutations")]
            sees_unsynced: false,
        }
    }
}

/// Who has come how far.
#[derive(Default)]
struct Accounts {
    /// The sinks that there are; `None` until somebody has said.
    sinks: Option<Vec<String>>,
    /// By the name in the journal, which for a park is not the sink's.
    by_name: BTreeMap<String, Account>,
    /// What sinks have missed.
    missed: BTreeMap<String, Missed>,
    /// The sinks that are left out, each with the Ends of this life that were there before it began to miss them.
    left_out: BTreeMap<String, u64>,
}

/// What ended while a sink was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Missed {
    /// The last of them.
    upto: Lsn,
    count: u64,
}

struct Account {
    mark: Mark,
    /// The mark that survives whatever happens.
    settled: Lsn,
    /// Acknowledgements on their way to stable storage: where each stands, and the last End that it lets go.
    unsettled: VecDeque<(Lsn, Lsn)>,
}

#[derive(Default)]
struct Ends {
    /// In the order of the journal.
    queue: VecDeque<PendingEnd>,
    /// The least first positions of the queue's ends: `(end, first)`, both rising.
    least: VecDeque<(Lsn, Lsn)>,
    by_visit: HashMap<VisitId, Lsn>,
    /// The last one, and how many there were since the journal was opened, recovered ones included.
    last: Lsn,
    total: u64,
}

impl Ledger {
    /// The ledger of a journal. `acks` is the latest acknowledgement of each name that recovery found in it, `ends` the
    /// Ends, in order.
    pub fn new(
        journal: Arc<Journal>,
        settings: LedgerSettings,
        acks: impl IntoIterator<Item = Ack>,
        ends: impl IntoIterator<Item = PendingEnd>,
    ) -> Self {
        let opened_at = Lsn(journal.appended().0.saturating_sub(1));
        let mut accounts = Accounts::default();
        for Ack { sink, lsn, place } in acks {
            if let Some(name) = sink.strip_suffix(MISSED) {
                let count = place.split_first().and_then(|(_, count)| count.try_into().ok());
                let missed = Missed { upto: lsn, count: count.map_or(0, u64::from_le_bytes) };
                accounts.missed.insert(name.to_owned(), missed);
                continue;
            }
            let account = Account { mark: Mark { upto: lsn, place }, settled: lsn, unsettled: VecDeque::new() };
            accounts.by_name.insert(sink, account);
        }
        let ledger = Self {
            journal,
            settings,
            opened_at,
            accounts: Mutex::new(accounts),
            ends: Mutex::default(),
            hastened: AtomicU64::new(0),
            erasures: RwLock::default(),
            wakers: Mutex::default(),
            told: AtomicU64::new(0),
        };
        {
            let mut queue = ledger.ends.lock();
            ends.into_iter().for_each(|end| queue.push(end));
        }
        ledger
    }

    /// An `End` was appended.
    ///
    /// To be called in the order of the journal, and before the record can be synced: while the append lock that it was
    /// appended under is still held. An `End` that came later than a newer one could be skipped for ever.
    pub fn push(&self, end: PendingEnd) {
        debug_assert!(self.journal.is_appending(), "an End is told under the lock that it was appended under");
        self.ends.lock().push(end);
    }

    /// The oldest position that some sink still needs: segments at or behind it must stay. `None`: none needs any.
    ///
    /// To be asked after the same was asked of the open sessions, so that one that ends in between is seen here.
    pub fn oldest_needed(&self) -> Option<Lsn> {
        self.settle();
        self.ends.lock().oldest_behind(Lsn::NONE)
    }

    /// The newest Ends behind a position, the newest first.
    pub(crate) fn newest_behind(&self, after: Lsn, limit: usize) -> Vec<PendingEnd> {
        let ends = self.ends.lock();
        ends.queue.iter().rev().take(limit).take_while(|end| end.end > after).copied().collect()
    }

    /// The End of a visit, if it is behind a position.
    pub(crate) fn find_behind(&self, after: Lsn, visit: VisitId) -> Option<PendingEnd> {
        let ends = self.ends.lock();
        let end = *ends.by_visit.get(&visit)?;
        (end > after).then(|| ends.queue[ends.behind(Lsn(end.0 - 1))])
    }

    /// All Ends below a position that some sink still has to get.
    pub(crate) fn below(&self, below: Lsn) -> Vec<PendingEnd> {
        self.settle();
        self.ends.lock().queue.iter().take_while(|end| end.end < below).copied().collect()
    }

    /// Whether so many Ends wait for a sync before some sink may have them.
    pub(crate) fn has_unsynced(&self, many: usize) -> bool {
        let synced = self.journal.synced();
        let ends = self.ends.lock();
        ends.queue.iter().nth_back(many.max(1) - 1).is_some_and(|end| end.end >= synced)
    }

    /// All Ends up to this one are to be delivered without waiting for more.
    pub fn hasten(&self, end: Lsn) {
        if self.hastened.fetch_max(end.0, Ordering::Relaxed) < end.0 {
            self.wake();
        }
    }

    /// More of the journal is on stable storage: wakes who waits for it, if that is news to anybody.
    pub fn tell_synced(&self) {
        let synced = self.deliverable();
        let told = Lsn(self.told.fetch_max(synced.0, Ordering::Relaxed));
        let is_news = {
            let ends = self.ends.lock();
            ends.queue.get(ends.behind(Lsn(told.0.saturating_sub(1)))).is_some_and(|end| end.end < synced)
        };
        if is_news {
            self.wake();
        }
    }

    fn wake(&self) {
        self.wakers.lock().iter().for_each(Waker::wake_by_ref);
    }

    /// From now on no sink gets what an erasure bars. To be called under the append lock that its barriers were appended
    /// under.
    pub(crate) fn begin_erasure(&self, erasure: Erasure) {
        self.erasures.write().begin(erasure);
    }

    /// What the journal says of one that had begun.
    pub(crate) fn restore_barrier(&self, barrier: Barrier) {
        self.erasures.write().restore(barrier);
    }

    /// Nobody is told any more that one of these visits came before another. What is to be journaled for it.
    pub(crate) fn unname(&self, salt: u128, visits: impl IntoIterator<Item = VisitId>) -> Vec<Barrier> {
        self.erasures.write().unname(salt, visits)
    }

    /// The same for this process, which is all that knows where else they were.
    pub(crate) fn unname_unwritten(&self, salt: u128, visits: impl IntoIterator<Item = VisitId>) {
        self.erasures.write().unname_unwritten(salt, visits);
    }

    /// All erasures of a subject are done. Their salts, which are to be journaled under the append lock that this is
    /// called under.
    pub(crate) fn finish_erasures(&self, subject: &Subject) -> Vec<u128> {
        self.erasures.write().finish(subject)
    }

    /// Erasures of a subject that were begun and are not done.
    pub(crate) fn unfinished_erasures(&self, subject: &Subject) -> Vec<Erasure> {
        self.erasures.read().unfinished_of(subject)
    }

    /// The salt of the erasure that keeps a visit from all sinks, if one does.
    pub(crate) fn barring(&self, end: Lsn, visit: &EndedVisit) -> Option<u128> {
        self.erasures.read().barring(end, visit)
    }

    /// Erasures that have begun and are not done.
    pub fn barriers(&self) -> usize {
        self.erasures.read().unfinished().count()
    }

    pub(crate) fn is_barred(&self, end: Lsn, visit: &EndedVisit) -> bool {
        self.barring(end, visit).is_some()
    }

    /// Whether a visit was erased: nobody is told that it came before another.
    pub fn is_erased(&self, visit: VisitId) -> bool {
        self.erasures.read().unnames(visit)
    }

    /// Appends the sinks' state to a base that has begun.
    pub fn append_base(&self) {
        self.settle();
        let mut accounts = self.accounts.lock();
        accounts.count_missed(&self.ends.lock());
        let ack = |(sink, account): (&String, &Account)| {
            let Mark { upto, place } = account.mark.clone();
            BaseItem::Ack(Ack { sink: sink.clone(), lsn: upto, place })
        };
        let missed = |(sink, missed): (&String, &Missed)| {
            let place = std::iter::once(1).chain(missed.count.to_le_bytes()).collect();
            BaseItem::Ack(Ack { sink: format!("{sink}{MISSED}"), lsn: missed.upto, place })
        };
        let acks = accounts.by_name.iter().map(ack).chain(accounts.missed.iter().map(missed));
        let acks: Vec<BaseItem> = acks.collect();
        let mut appender = self.journal.appender();
        appender.append_base(&acks);
        // Under the append lock, so that none is written as begun behind the word that it is done.
        let barriers: Vec<BaseItem> =
            self.erasures.read().unfinished().flat_map(Erasure::barriers).map(BaseItem::Erased).collect();
        appender.append_base(&barriers);
    }

    /// Lets go what acknowledgements that are now on stable storage say.
    fn settle(&self) {
        let synced = self.journal.synced();
        let mut accounts = self.accounts.lock();
        accounts.by_name.values_mut().for_each(|account| account.settle(synced));
        if let Some(upto) = accounts.settled_by_all() {
            self.ends.lock().release(upto);
        }
    }

    /// Ends below may be delivered.
    fn deliverable(&self) -> Lsn {
        #[cfg(feature = "mutations")]
        if self.settings.sees_unsynced {
            return self.journal.written();
        }
        self.journal.synced()
    }
}

impl Accounts {
    fn name(sink: &str, keeper: Keeper) -> String {
        match keeper {
            Keeper::Sink => sink.to_owned(),
            Keeper::Park => format!("{sink}{PARK}"),
        }
    }

    fn get(&self, sink: &str, keeper: Keeper) -> Option<&Account> {
        match keeper {
            Keeper::Sink => self.by_name.get(sink),
            Keeper::Park => self.by_name.get(&Self::name(sink, keeper)),
        }
    }

    /// Up to where a sink, or its park for it, has all Ends, and that is on stable storage.
    fn settled(&self, sink: &str) -> Lsn {
        let of = |keeper| self.get(sink, keeper).map_or(Lsn::NONE, |account| account.settled);
        of(Keeper::Sink).max(of(Keeper::Park)).max(self.missed(sink).upto)
    }

    fn missed(&self, sink: &str) -> Missed {
        self.missed.get(sink).copied().unwrap_or_default()
    }

    /// What a sink's park said last, if there is anything in it that the sink has not.
    fn parked(&self, sink: &str) -> Option<&Mark> {
        let upto = self.get(sink, Keeper::Sink).map_or(Lsn::NONE, |account| account.mark.upto);
        self.get(sink, Keeper::Park).map(|account| &account.mark).filter(|parked| parked.upto > upto)
    }

    /// These are the sinks that there are: the others are left out.
    fn subscribe(&mut self, sinks: &[String], ends: &Ends) {
        self.sinks = Some(sinks.to_vec());
        let sink_of = |name: &String| name.strip_suffix(PARK).unwrap_or(name).to_owned();
        let mut others: Vec<_> = self.by_name.keys().map(sink_of).filter(|sink| !sinks.contains(sink)).collect();
        others.dedup();
        // Those that were there last are remembered.
        let (parked, mut idle): (Vec<_>, Vec<_>) = others.into_iter().partition(|sink| self.parked(sink).is_some());
        idle.sort_by_key(|sink| std::cmp::Reverse(self.settled(sink)));
        for sink in idle.split_off(idle.len().min(LEFT_OUT_MAX)) {
            self.by_name.remove(&sink);
            self.by_name.remove(&Self::name(&sink, Keeper::Park));
            self.missed.remove(&sink);
        }
        let uncounted = |sink: &String| (ends.queue.len() - ends.behind(self.settled(sink))) as u64;
        let all = parked.into_iter().chain(idle);
        self.left_out = all
            .map(|sink| {
                let before = ends.total - uncounted(&sink);
                (sink, before)
            })
            .collect();
    }

    /// What those who are left out miss from now on, for the journal may let it go.
    fn count_missed(&mut self, ends: &Ends) {
        for (sink, counted) in &mut self.left_out {
            let more = ends.total - std::mem::replace(counted, ends.total);
            if more > 0 {
                let missed = self.missed.entry(sink.clone()).or_default();
                *missed = Missed { upto: ends.last, count: missed.count + more };
            }
        }
    }

    /// Up to where all sinks have all Ends; `None` as long as nobody has said which there are, or if there are none.
    fn settled_by_all(&self) -> Option<Lsn> {
        let sinks = self.sinks.as_ref()?;
        Some(sinks.iter().map(|sink| self.settled(sink)).min().unwrap_or(Lsn(u64::MAX)))
    }
}

impl Account {
    fn settle(&mut self, synced: Lsn) {
        while let Some((_, upto)) = self.unsettled.pop_front_if(|(at, _)| *at < synced) {
            self.settled = upto;
        }
    }
}

impl Ends {
    fn push(&mut self, end: PendingEnd) {
        debug_assert!(self.queue.back().is_none_or(|last| last.end < end.end), "Ends come in the order of the journal");
        while self.least.back().is_some_and(|(_, first)| *first >= end.first) {
            self.least.pop_back();
        }
        self.least.push_back((end.end, end.first));
        self.by_visit.insert(end.visit, end.end);
        (self.last, self.total) = (end.end, self.total + 1);
        self.queue.push_back(end);
    }

    /// Forgets all Ends up to this one.
    fn release(&mut self, upto: Lsn) {
        while let Some(end) = self.queue.pop_front_if(|front| front.end <= upto) {
            self.by_visit.remove(&end.visit);
        }
        while self.least.pop_front_if(|(end, _)| *end <= upto).is_some() {}
    }

    /// Where in the queue the first End behind a position stands.
    fn behind(&self, after: Lsn) -> usize {
        self.queue.partition_point(|end| end.end <= after)
    }

    /// The oldest position that an End behind this one needs.
    fn oldest_behind(&self, after: Lsn) -> Option<Lsn> {
        let at = self.least.partition_point(|(end, _)| *end <= after);
        self.least.get(at).map(|(_, first)| *first)
    }
}

#[cfg(test)]
mod tests {
    use visitlog_testkit::samples::id;

    use super::*;

    fn end(end: u64, first: u64) -> PendingEnd {
        PendingEnd { end: Lsn(end), first: Lsn(first), visit: id(end), events: 1 }
    }

    #[test]
    fn the_oldest_needed_is_the_least_first_position_of_what_is_left() {
        let mut ends = Ends::default();
        assert_eq!(ends.oldest_behind(Lsn::NONE), None);
        let all = [end(10, 5), end(20, 8), end(30, 2), end(40, 35), end(50, 33), end(60, 55)];
        all.into_iter().for_each(|end| ends.push(end));
        for after in 0..=60 {
            let left = all.iter().filter(|end| end.end.0 > after).map(|end| end.first).min();
            assert_eq!(ends.oldest_behind(Lsn(after)), left, "behind {after}");
        }
        for released in 0..=60 {
            ends.release(Lsn(released));
            let left = all.iter().filter(|end| end.end.0 > released).map(|end| end.first).min();
            assert_eq!(ends.oldest_behind(Lsn::NONE), left, "released up to {released}");
            assert_eq!(ends.by_visit.len(), ends.queue.len());
        }
    }
}
