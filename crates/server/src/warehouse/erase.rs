//! Erasure of one visitor or user, and export of all that there is of one.
//!
//! The order keeps a crash from bringing anybody back: the sessions end and the barrier is on stable storage; every sink
//! is past it; the tables and the files lose what they have; the journal lets its own copies go. What a crash has left
//! undone is done by the next call.

use std::path::Path;
use std::time::Duration;

use visitlog_core::ports::Disk as _;
use visitlog_core::{Lsn, Timestamp, VisitId};
use visitlog_engine::EraseError;
use visitlog_engine::adapters::RealDisk;
use visitlog_engine::journal::{JournalError, Whose};
use visitlog_logs::import::{self, ImportFolder};
use visitlog_sinks::erase_lines;
use visitlog_warehouse::rows::RowBuilder;
use visitlog_warehouse::{Subject, WarehouseError, WarehouseSink};

use super::import::{StoreError, open_folder};
use super::storage::Shown;

/// How long a step may be waited for: a statement that reads the journal may hold it that long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an erasure did. Nothing of them is left in the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureReport {
    /// Sessions that were open, and were ended.
    pub ended: u64,
    /// Rows of `visits` that went.
    pub visits: u64,
    /// Rows of `events` that went.
    pub events: u64,
    /// Lines that went from the files of ended visits.
    pub lines: u64,
    /// Requests of imported logs that went, whose visits were not settled yet.
    pub requests: u64,
}

/// Why an erasure or an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EraseError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] WarehouseError),
    /// The files of ended visits.
    #[error("erase from the files of ended visits")]
    Lines(#[source] std::io::Error),
    /// What was set aside for sinks.
    #[error("erase from what was set aside for sinks")]
    SetAside(#[source] std::io::Error),
    /// What an import has left.
    #[error(transparent)]
    Import(#[from] StoreError),
    /// Something did not come to an end.
    #[error("{what} expected within {PATIENCE:?}; what is left is done once that is so and this is called again")]
    Late {
        /// What was expected.
        what: String,
    },
}

impl Shown {
    pub(super) fn erase(
        &self,
        data: &Path,
        who: &Subject,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
    ) -> Result<ErasureReport, ErasureError> {
        let _one = self.erasing.lock();
        // Held to the end: no import may bring anything back meanwhile.
        let mut importer = self.importer(data)?;
        let begun = self.engine.begin_erasure(whose(who))?;
        let mut ids = begun.visits;
        let requests = importer.as_mut().map_or(Ok(0), |importer| importer.erase(importer_whose(who)));
        let stored = self.erase_stored(data, who, begun.below, &mut ids, turn);
        // Also after a failure: the journal's copies need not wait for a person.
        let below = self.engine.release_journal(ids);
        let (rows, lines) = stored?;
        let requests = requests.map_err(StoreError::from)?;
        self.wait(turn, || self.engine.is_released(below), || "that no statement holds the journal".to_owned())?;
        if let Some(live) = &self.views.live {
            live.reread();
        }
        Ok(ErasureReport { ended: begun.ended, visits: rows.visits, events: rows.events, lines, requests })
    }

    /// The folder of whoever imports logs, with nothing left to be stored; none where nobody ever did.
    fn importer(&self, data: &Path) -> Result<Option<ImportFolder>, StoreError> {
        if !ImportFolder::is_in(data) {
            return Ok(None);
        }
        let folder = open_folder(data)?;
        if let Some(pending) = folder.pending() {
            self.tables.store_import(&pending)?;
            folder.stored()?;
        }
        Ok(Some(folder))
    }

    /// Erases what the sinks have stored, once they have all that they are to get.
    fn erase_stored(
        &self,
        data: &Path,
        who: &Subject,
        below: Lsn,
        ids: &mut Vec<VisitId>,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
    ) -> Result<(visitlog_warehouse::Erased, u64), ErasureError> {
        let journal = self.engine.journal();
        self.wait(turn, || journal.synced() > below, || "a disk that takes the journal".to_owned())?;
        let lanes = &self.lanes;
        self.engine.ended().hasten(below);
        let late = || format!("sinks {} that have taken what ended before", lanes.without(below).join(", "));
        self.wait(turn, || lanes.without(below).is_empty(), late)?;
        let [(_, visits), (_, events)] = self.tables.cursors(journal.uuid())?;
        if let Some(live) = &self.views.live {
            live.flushed(visits.min(events).unwrap_or(Lsn::NONE));
        }
        let rows = self.tables.erase(who, journal.uuid())?;
        ids.extend(&rows.ids);
        let lines = erase_lines(&RealDisk, data, whose(who)).map_err(ErasureError::Lines)?;
        RealDisk.sync_dir(data).map_err(ErasureError::Lines)?;
        ids.extend(&lines.visits);
        ids.extend(lanes.erase_set_aside(whose(who)).map_err(ErasureError::SetAside)?);
        Ok((rows, lines.lines))
    }

    fn wait(
        &self,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
        is_so: impl Fn() -> bool,
        what: impl Fn() -> String,
    ) -> Result<(), ErasureError> {
        let begun: Timestamp = self.engine.now();
        while !is_so() {
            if self.engine.now().since(begun) > PATIENCE {
                return Err(ErasureError::Late { what: what() });
            }
            turn()?;
        }
        Ok(())
    }

    pub(super) fn export(&self, who: &Subject) -> Result<Vec<serde_json::Value>, ErasureError> {
        let mut rows = RowBuilder::new(std::sync::Arc::clone(&self.enricher), None);
        for visit in self.engine.open_of(whose(who))? {
            if let Some(visit) = self.engine.open_visit(visit)? {
                rows.push_open(&visit);
            }
        }
        // After the open ones: one that ends in between is here, or in the tables.
        for visit in self.engine.ended_of(whose(who), self.engine.journal().appended())? {
            if let Some(visit) = self.engine.one_on_the_way(WarehouseSink::NAME, visit)? {
                rows.push_ended(&visit);
            }
        }
        Ok(self.tables.export_with(who, &mut rows)?)
    }
}

fn importer_whose(who: &Subject) -> import::Whose<'_> {
    match who {
        Subject::Visitor(visitor) => import::Whose::Visitor(*visitor),
        Subject::User(user) => import::Whose::User(user.as_str()),
    }
}

fn whose(who: &Subject) -> Whose<'_> {
    match who {
        Subject::Visitor(visitor) => Whose::Visitor(*visitor),
        Subject::User(user) => Whose::User(user),
    }
}
