//! A journal read by somebody who knows nothing but the format: what is wrong with its chains, if anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use visitlog_core::invariants;
use visitlog_core::model::{End, Entry};
use visitlog_core::{Lsn, Timestamp, VisitId};
use visitlog_engine::journal::{Config, Flags, Journal, Kind, RecordRef};
use visitlog_testkit::SimDisk;

/// A session as its records tell it.
#[derive(Debug, Default)]
struct Chain {
    /// Its records since its start; the originals.
    entries: Vec<Entry>,
    last: Lsn,
    end: Option<(Lsn, End)>,
    /// Copies that are being carried.
    copies: Option<Vec<Entry>>,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    chains: BTreeMap<VisitId, Chain>,
    wrong: Option<String>,
}

impl Audit {
    /// Opens the journal on `disk` as a recovery would, and looks at all of it. The disk is changed by that.
    pub(crate) fn of(disk: &SimDisk, dir: &Path, config: &Config) -> Result<Self, String> {
        let mut audit = Self::default();
        let opened = Journal::open(Arc::new(disk.clone()), dir, config.clone(), 1, |record| {
            if audit.wrong.is_none()
                && let Err(wrong) = audit.see(&record)
            {
                audit.wrong = Some(format!("lsn {}: {wrong}", record.lsn));
            }
        });
        opened.map_err(|error| format!("the journal can't be opened: {error}"))?;
        match audit.wrong.take() {
            Some(wrong) => Err(wrong),
            None => audit.check_whole().map(|()| audit),
        }
    }

    /// Where a visit's `End` stands.
    pub(crate) fn end_of(&self, visit: VisitId) -> Option<Lsn> {
        self.chains.get(&visit)?.end.as_ref().map(|(lsn, _)| *lsn)
    }

    fn see(&mut self, record: &RecordRef<'_>) -> Result<(), String> {
        if matches!(record.kind, Kind::Ack | Kind::Base | Kind::Synced) {
            return Ok(());
        }
        let entry = record.entry().map_err(|error| error.to_string())?;
        let visit = record.visit;
        if record.flags.has(Flags::CARRIED) {
            return self.see_carried(record, entry);
        }
        if let Entry::Start(_) = &entry {
            if self.chains.contains_key(&visit) {
                return Err(format!("{visit} starts again"));
            }
            self.chains.insert(visit, Chain::default());
        }
        // The start of an unknown one is in a segment that has gone.
        let Some(chain) =
            self.chains.get_mut(&visit).filter(|chain| !chain.entries.is_empty() || matches!(entry, Entry::Start(_)))
        else {
            return Ok(());
        };
        if let Some((end, _)) = &chain.end {
            return Err(format!("a {} of {visit}, which ended at lsn {end}", record.kind.as_str()));
        }
        if record.prev != chain.last {
            return Err(format!("{visit}: previous record {} expected, {} found", chain.last, record.prev));
        }
        chain.last = record.lsn;
        if let Entry::End(end) = &entry {
            chain.end = Some((record.lsn, (**end).clone()));
        }
        chain.entries.push(entry);
        Ok(())
    }

    fn see_carried(&mut self, record: &RecordRef<'_>, entry: Entry) -> Result<(), String> {
        let visit = record.visit;
        let is_first = !record.prev.is_some();
        if is_first {
            self.chains.entry(visit).or_default().copies = Some(Vec::new());
        }
        // The first copies may be in a segment that has gone, because they were carried on themselves.
        let Some(chain) = self.chains.get_mut(&visit) else { return Ok(()) };
        let Some(mut copies) = chain.copies.take() else { return Ok(()) };
        let is_last = record.flags.has(Flags::CARRIED_LAST);
        if chain.end.is_some() && (is_first || is_last) {
            return Err(format!("{visit} was carried after its end"));
        }
        copies.push(entry);
        if !is_last {
            chain.copies = Some(copies);
            return Ok(());
        }
        if chain.entries.is_empty() {
            chain.entries = copies;
        } else if folded(&chain.entries) != folded(&copies) {
            return Err(format!("{visit}: {:?} became {copies:?} when carried", chain.entries));
        }
        chain.last = record.lsn;
        Ok(())
    }

    fn check_whole(&self) -> Result<(), String> {
        for (visit, chain) in self.chains.iter().filter(|(_, chain)| !chain.entries.is_empty()) {
            invariants::check_chain(&chain.entries).map_err(|wrong| format!("{visit}: {wrong}"))?;
            let Some((_, end)) = &chain.end else { continue };
            let last = chain.entries.iter().filter_map(activity).max().unwrap_or_default();
            if end.ended_at != last {
                return Err(format!(
                    "{visit}: ended at {:?}, its last journaled activity was at {last:?}",
                    end.ended_at
                ));
            }
        }
        Ok(())
    }
}

/// Of touches that follow each other, the newest alone.
fn folded(entries: &[Entry]) -> Vec<Entry> {
    let mut folded: Vec<Entry> = Vec::new();
    for entry in entries {
        match (folded.last_mut(), entry) {
            (Some(Entry::Touch { at: last, slides: true }), Entry::Touch { at, slides: true }) => *last = *at.max(last),
            _ => folded.push(entry.clone()),
        }
    }
    folded
}

/// When an entry says that somebody was there.
fn activity(entry: &Entry) -> Option<Timestamp> {
    match entry {
        Entry::Start(start) => Some(start.at),
        Entry::Event(event) => Some(event.activity()),
        Entry::Set { at, .. } | Entry::Rotate { at, .. } | Entry::Touch { at, slides: true } => Some(*at),
        Entry::Touch { slides: false, .. } | Entry::Withdraw { .. } | Entry::End(_) => None,
    }
}
