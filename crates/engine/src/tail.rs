//! The engine as a source of what is going on: [`LiveSource`].

use visitlog_core::ports::{Carried, Hold, LiveError, LiveSource, Tail, TailRecord};
use visitlog_core::{Lsn, VisitId};

use crate::engine::Engine;
use crate::journal::{Flags, JournalError, Kind, RecordRef};

impl LiveSource for Engine {
    fn newest(&self) -> Lsn {
        self.journal.appended()
    }

    fn oldest(&self) -> Lsn {
        self.collection_bound().0.max(self.journal.oldest())
    }

    fn read(&self, from: Lsn, bytes: usize) -> Result<Tail, LiveError> {
        let mut tail = Tail::default();
        let next = self.journal.read_tail(from, bytes, &mut |record| match record.kind {
            Kind::Ack | Kind::Synced | Kind::Base => {}
            _ => match tail_record(&record) {
                Some(record) => tail.records.push(record),
                None => tail.unreadable += 1,
            },
        });
        tail.next = next.map_err(|error| live_error(from, error))?;
        Ok(tail)
    }

    fn chains(&self, ends: &[(VisitId, Lsn)]) -> Vec<Result<Vec<TailRecord>, LiveError>> {
        let mut chains = Vec::with_capacity(ends.len());
        let Ok(()) = self.journal.each_chain(ends, |(visit, last), chain| {
            let mut prev = Lsn::NONE;
            let one = |record: crate::journal::ChainEntry| TailRecord {
                lsn: record.lsn,
                prev: std::mem::replace(&mut prev, record.lsn),
                visit,
                confirms: record.flags.has(Flags::CONFIRMS),
                carried: Carried::No,
                entry: record.entry,
            };
            let chain = chain.map(|chain| chain.into_iter().map(one).collect());
            chains.push(chain.map_err(|error| live_error(last, error)));
            Ok::<_, std::convert::Infallible>(())
        });
        chains
    }

    fn hold(&self) -> Hold {
        Hold::new(self.journal.hold())
    }

    fn site(&self, visit: VisitId) -> Option<Box<str>> {
        let open = self.shard_of(visit.partition()).get(visit)?;
        Some(self.sessions.site(open.host))
    }

    fn sites_known(&self) -> usize {
        self.sessions.sites_made()
    }
}

fn tail_record(record: &RecordRef<'_>) -> Option<TailRecord> {
    let carried = record.flags.carried();
    let confirms = record.flags.has(Flags::CONFIRMS);
    let entry = record.entry().ok()?;
    Some(TailRecord { lsn: record.lsn, prev: record.prev, visit: record.visit, confirms, carried, entry })
}

fn live_error(from: Lsn, error: JournalError) -> LiveError {
    match error {
        JournalError::Outside { oldest, .. } => LiveError::Collected { from, oldest },
        error => LiveError::Unreadable { from, source: Box::new(error) },
    }
}
