//! The ledger as sinks see it.

use std::task::Waker;

use visitlog_core::model::{EndedVisit, assemble};
use visitlog_core::ports::{
    EndedVisits, Found, Keeper, LeftOut, Mark, Most, RawEntry, SourceError, StoreError, StreamId, Waiting,
};
use visitlog_core::{Lsn, VisitId};

use super::{Account, Accounts, Ledger, PendingEnd};
use crate::journal::{Ack, ChainEntry, Journal, JournalError, RecordRef, Window};

/// Fewer chains than this for a thread are read faster than it is started.
const CHAINS_PER_READER_MIN: usize = 256;

impl EndedVisits for Ledger {
    fn streams(&self) -> Vec<StreamId> {
        vec![StreamId(self.journal.uuid())]
    }

    fn subscribe(&self, sinks: &[String]) {
        {
            let mut accounts = self.accounts.lock();
            let known = |accounts: &Accounts, sink: &String| accounts.get(sink, Keeper::Sink).is_some();
            let new: Vec<_> = sinks.iter().filter(|sink| !known(&accounts, sink)).cloned().collect();
            for sink in new {
                self.append(&mut accounts, sink, Mark { upto: self.opened_at, place: Vec::new() });
            }
            accounts.subscribe(sinks, &self.ends.lock());
        }
        self.settle();
        self.wake();
    }

    fn check(&self) -> Result<(), StoreError> {
        self.journal.check()
    }

    fn newest(&self, _stream: StreamId) -> Lsn {
        Lsn(self.journal.appended().0.saturating_sub(1))
    }

    fn recovered(&self, _stream: StreamId) -> Lsn {
        self.opened_at
    }

    fn waiting(&self, _stream: StreamId, after: Lsn) -> Waiting {
        let below = self.deliverable();
        let ends = self.ends.lock();
        let (from, to) = (ends.behind(after), ends.behind(Lsn(below.0.saturating_sub(1))));
        Waiting {
            readable: to.saturating_sub(from) as u64,
            first: ends.queue.get(from).filter(|end| end.end < below).map(|end| end.end),
            visits: (ends.queue.len() - from) as u64,
        }
    }

    fn next_end(&self, _stream: StreamId, after: Lsn) -> Option<Lsn> {
        let ends = self.ends.lock();
        ends.queue.get(ends.behind(after)).map(|end| end.end)
    }

    fn pending(&self, _stream: StreamId, after: Lsn) -> Vec<VisitId> {
        let ends = self.ends.lock();
        ends.queue.range(ends.behind(after)..).map(|end| end.visit).collect()
    }

    fn read(&self, _stream: StreamId, after: Lsn, most: Most) -> Vec<Found> {
        let below = self.deliverable();
        let ends: Vec<PendingEnd> = {
            let ends = self.ends.lock();
            let from = ends.behind(after);
            let readable = ends.queue.range(from..).take(most.visits).take_while(|end| end.end < below);
            readable.copied().collect()
        };
        let mut found = read_all(&self.journal, &ends, self.settings.readers, most.bytes);
        let at_present = |found: &Found| found.what.as_ref().is_err_and(SourceError::is_retryable);
        if let Some(at) = found.iter().position(at_present) {
            found.truncate(at.max(1));
        }
        found
    }

    fn raw(&self, _stream: StreamId, visit: VisitId, end: Lsn, bytes_max: u64) -> Vec<RawEntry> {
        let mut entries = Vec::new();
        let mut left = bytes_max;
        // What can't be read ends it: that is why somebody asks.
        let _ = self.journal.walk_back(
            &mut Window::new(),
            visit,
            (end, Lsn::NONE),
            &mut |RecordRef { lsn, kind, payload, .. }| {
                left = left.checked_sub(payload.len() as u64).ok_or_else(|| self.journal.outside(lsn))?;
                entries.push(RawEntry { at: lsn, kind: kind as u8, payload: payload.to_vec() });
                Ok(())
            },
        );
        entries.reverse();
        entries
    }

    fn admit(&self, _stream: StreamId, end: Lsn, mut visit: EndedVisit) -> Option<EndedVisit> {
        if visit.has_withdrawn() || self.is_barred(end, &visit) {
            return None;
        }
        visit.start.previous = visit.start.previous.filter(|previous| !self.is_erased(*previous));
        Some(visit)
    }

    fn acknowledge(&self, _stream: StreamId, sink: &str, keeper: Keeper, mark: Mark) {
        self.append(&mut self.accounts.lock(), Accounts::name(sink, keeper), mark);
    }

    fn acknowledged(&self, _stream: StreamId, sink: &str, keeper: Keeper) -> Option<Mark> {
        self.accounts.lock().get(sink, keeper).map(|account| account.mark.clone())
    }

    fn settled(&self, _stream: StreamId, sink: &str, keeper: Keeper) -> Lsn {
        self.settle();
        self.accounts.lock().get(sink, keeper).map_or(Lsn::NONE, |account| account.settled)
    }

    fn is_settled(&self, _stream: StreamId, sink: &str, keeper: Keeper) -> bool {
        self.settle();
        self.accounts.lock().get(sink, keeper).is_none_or(|account| account.unsettled.is_empty())
    }

    fn held_bytes(&self, stream: StreamId, sink: &str) -> u64 {
        let oldest = self.needed_from(stream, sink);
        oldest.map_or(0, |oldest| self.journal.appended().0.saturating_sub(oldest.0))
    }

    fn needed_from(&self, _stream: StreamId, sink: &str) -> Option<Lsn> {
        self.settle();
        let settled = self.accounts.lock().settled(sink);
        self.ends.lock().oldest_behind(settled)
    }

    fn left_out(&self, _stream: StreamId) -> Vec<LeftOut> {
        let accounts = self.accounts.lock();
        let total = self.ends.lock().total;
        let left_out = |(sink, counted): (&String, &u64)| LeftOut {
            sink: sink.clone(),
            parked: accounts.parked(sink).cloned(),
            missed: accounts.missed(sink).count + (total - counted),
        };
        accounts.left_out.iter().map(left_out).collect()
    }

    fn missed(&self, _stream: StreamId, sink: &str) -> u64 {
        self.accounts.lock().missed(sink).count
    }

    fn missed_upto(&self, _stream: StreamId, sink: &str) -> Lsn {
        self.accounts.lock().missed(sink).upto
    }

    fn hastened(&self, _stream: StreamId) -> Lsn {
        Lsn(self.hastened.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn wake_on_news(&self, waker: Waker) {
        self.wakers.lock().push(waker);
    }
}

impl Ledger {
    /// Journals an acknowledgement under a name.
    fn append(&self, accounts: &mut Accounts, name: String, mark: Mark) {
        let Mark { upto, place } = mark.clone();
        let at = self.journal.appender().append_ack(&Ack { sink: name.clone(), lsn: upto, place });
        let account = accounts.by_name.entry(name).or_insert_with(|| Account {
            mark: Mark::default(),
            settled: Lsn::NONE,
            unsettled: std::collections::VecDeque::new(),
        });
        account.mark = mark;
        account.unsettled.push_back((at, upto));
    }
}

/// The visits of these `End`s: as many of the first ones as fit in memory.
fn read_all(journal: &Journal, ends: &[PendingEnd], readers: usize, bytes: u64) -> Vec<Found> {
    let readers = readers.min(ends.len() / CHAINS_PER_READER_MIN).max(1);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX) / readers;
    let (first, others) = ends.split_at(ends.len().div_ceil(readers));
    if others.is_empty() {
        return read_some(journal, first, bytes);
    }
    std::thread::scope(|scope| {
        let parts = others.chunks(first.len());
        let others: Vec<_> =
            parts.map(|part| (part.len(), scope.spawn(move || read_some(journal, part, bytes)))).collect();
        let mut found = read_some(journal, first, bytes);
        let mut expected = first.len();
        for (len, other) in others {
            let more = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if found.len() == expected {
                found.extend(more);
                expected += len;
            }
        }
        found
    })
}

fn read_some(journal: &Journal, ends: &[PendingEnd], bytes: usize) -> Vec<Found> {
    let questions: Vec<(VisitId, Lsn)> = ends.iter().map(|end| (end.visit, end.end)).collect();
    let chains = if ends.is_empty() { Vec::new() } else { journal.read_chains(&questions, bytes) };
    let found = |(chain, end): (Result<Vec<_>, JournalError>, &PendingEnd)| Found {
        end: end.end,
        visit: end.visit,
        what: visit_of(end.visit, chain),
    };
    chains.into_iter().zip(ends).map(found).collect()
}

/// The visit of a chain, or why there is none.
pub(crate) fn visit_of(
    visit: VisitId,
    chain: Result<Vec<ChainEntry>, JournalError>,
) -> Result<EndedVisit, SourceError> {
    let chain = chain.map_err(|error| match error.is_retryable() {
        true => SourceError::Unavailable(Box::new(error)),
        false => SourceError::Unreadable { visit, source: Box::new(error) },
    })?;
    Ok(assemble(visit, chain.into_iter().map(|record| record.entry).collect())?)
}
